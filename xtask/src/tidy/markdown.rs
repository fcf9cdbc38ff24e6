//! The little of Markdown that rules read: code spans, headings, first cells of table rows.

/// The contents of each `code span` outside fenced blocks, with its line.
pub(super) fn code_spans(page: &str) -> Vec<(usize, &str)> {
    let mut spans = Vec::new();
    for (line, text) in prose(page) {
        spans.extend(text.split('`').skip(1).step_by(2).map(|span| (line, span.trim())));
    }
    spans
}

/// The code spans in the first cell of each table row.
pub(super) fn first_cells(page: &str) -> Vec<(usize, &str)> {
    let mut spans = Vec::new();
    for (line, text) in prose(page) {
        let Some(row) = text.trim_start().strip_prefix('|') else { continue };
        let cell = row.split('|').next().unwrap_or(row);
        spans.extend(cell.split('`').skip(1).step_by(2).map(|span| (line, span.trim())));
    }
    spans
}

/// From the first heading that satisfies `starts` to the next heading that satisfies `ends`: its first line and text.
pub(super) fn section(page: &str, starts: impl Fn(&str) -> bool, ends: impl Fn(&str) -> bool) -> Option<(usize, &str)> {
    let mut start: Option<(usize, usize)> = None;
    let mut offset = 0;
    for (line, text) in page.split_inclusive('\n').enumerate() {
        let heading = text.starts_with('#');
        if let Some((first_line, first)) = start {
            if heading && ends(text) {
                return page.get(first..offset).map(|section| (first_line, section));
            }
        } else if heading && starts(text) {
            start = Some((line + 1, offset));
        }
        offset += text.len();
    }
    let (first_line, first) = start?;
    page.get(first..).map(|section| (first_line, section))
}

fn prose(page: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (line, text) in page.lines().enumerate() {
        if text.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((line + 1, text));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# G1 one\nsee `a::b`\n```\n`not`\n```\n| `k` | `v` |\n## Part\nx\n# G2 two\n`c`\n";

    #[test]
    fn reads_spans_and_cells() {
        assert_eq!(code_spans(PAGE), [(2, "a::b"), (6, "k"), (6, "v"), (10, "c")]);
        assert_eq!(first_cells(PAGE), [(6, "k")]);
    }

    #[test]
    fn reads_sections() {
        let (line, text) = section(PAGE, |h| h.contains("G1"), |h| h.contains("G2")).unwrap();
        assert_eq!(line, 1);
        assert!(text.contains("## Part") && !text.contains("G2"));
        assert_eq!(section(PAGE, |h| h.contains("G2"), |_| true), Some((9, "# G2 two\n`c`\n")));
        assert_eq!(section(PAGE, |h| h.contains("G3"), |_| true), None);
    }
}
