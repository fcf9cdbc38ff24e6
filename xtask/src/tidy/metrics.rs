//! Metric names in the code and on the page are the same set.

use std::collections::BTreeMap;

use super::Finding;
use super::markdown::code_spans;
use super::source::{line_of, without_test_modules};

const PREFIX: &str = "seriatim_";
/// What the exporter adds to a histogram's name; the page may show them.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

pub(super) fn check((code_path, code): (&str, &str), (page_path, page): (&str, &str), findings: &mut Vec<Finding>) {
    let code = without_test_modules(code);
    let in_code = names_in_code(&code);
    let mut on_page = BTreeMap::new();
    for (line, span) in code_spans(page) {
        let name = name_at_start(span);
        if !name.is_empty() {
            on_page.entry(name).or_insert(line);
        }
    }
    if in_code.is_empty() {
        findings.push(Finding::new(code_path, 0, format!("no metric name (a string that begins with {PREFIX})")));
    }
    for (name, line) in &in_code {
        if !on_page.contains_key(name) {
            findings.push(Finding::new(code_path, *line, format!("`{name}` is not in {page_path}")));
        }
    }
    for (name, line) in &on_page {
        let plain = SUFFIXES.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        if !in_code.contains_key(name) && !in_code.contains_key(plain) {
            findings.push(Finding::new(page_path, *line, format!("`{name}` is not in {code_path}")));
        }
    }
}

fn names_in_code(code: &str) -> BTreeMap<&str, usize> {
    let mut names = BTreeMap::new();
    for (at, quote) in code.match_indices("\"seriatim_") {
        let (_, rest) = code.split_at(at);
        let name = name_at_start(rest.strip_prefix('"').unwrap_or(quote));
        if name != PREFIX {
            names.entry(name).or_insert(line_of(code, at));
        }
    }
    names
}

/// The metric name that `text` begins with, labels left out; empty if none.
fn name_at_start(text: &str) -> &str {
    if !text.starts_with(PREFIX) {
        return "";
    }
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(text.len());
    text.split_at(end).0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(code: &str, page: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(("m.rs", code), ("m.md", page), &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn both_sides_agree() {
        let code = "pub const A: &str = \"seriatim_a_total\";\npub const B: &str = \"seriatim_b_seconds\";\n\
            #[cfg(test)]\nmod tests {\n    const C: &str = \"seriatim_c\";\n}\n";
        assert!(found(code, "`seriatim_a_total{pipeline}` and `seriatim_b_seconds`, `seriatim_b_seconds_bucket`").is_empty());
        assert_eq!(found(code, "`seriatim_a_total`"), ["m.rs:2: `seriatim_b_seconds` is not in m.md"]);
        assert_eq!(found(code, "`seriatim_a_total` `seriatim_b_seconds`\n`seriatim_c`"), ["m.md:2: `seriatim_c` is not in m.rs"]);
        assert_eq!(found("", "").len(), 1);
    }
}
