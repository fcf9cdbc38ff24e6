//! Every guarantee names the tests that fail without it, and those tests exist.

use super::Finding;
use super::markdown::{code_spans, section};
use super::source::Source;

const GUARANTEES: std::ops::RangeInclusive<u8> = 1..=9;
/// Code spans that begin so are paths.
const ROOTS: [&str; 9] = ["host/", "tests/", "guest-sdk/", "plugins/", "wit/", "xtask/", "docs/", "deploy/", "fuzz/"];

pub(super) fn check(page_path: &str, page: &str, sources: &[Source], findings: &mut Vec<Finding>) {
    for number in GUARANTEES {
        let name = format!("G{number}");
        let Some((first, text)) = section(page, |heading| has_word(heading, &name), is_guarantee) else {
            findings.push(Finding::new(page_path, 0, format!("no heading for {name}")));
            continue;
        };
        let mut tests = 0;
        for (line, span) in code_spans(text) {
            let exists = match reference(span) {
                Some(Reference::Test(path)) => {
                    tests += 1;
                    test_exists(&path, sources)
                }
                Some(Reference::Path(path)) => {
                    tests += usize::from(path.contains("test"));
                    sources.iter().any(|source| source.path == path || source.path.starts_with(&format!("{}/", path.trim_end_matches('/'))))
                }
                None => continue,
            };
            if !exists {
                findings.push(Finding::new(page_path, first + line - 1, format!("`{span}` does not exist")));
            }
        }
        if tests == 0 {
            findings.push(Finding::new(page_path, first, format!("{name} names no test (like `e2e::order::shuffled`)")));
        }
    }
}

enum Reference<'a> {
    /// Modules and a function.
    Test(Vec<&'a str>),
    Path(&'a str),
}

/// Lower-case words joined by `::` are a test; what begins with one of our folders is a path.
fn reference(span: &str) -> Option<Reference<'_>> {
    if ROOTS.iter().any(|root| span.starts_with(root)) && !span.contains(' ') {
        return Some(Reference::Path(span));
    }
    let parts: Vec<&str> = span.split("::").collect();
    let plain = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    (parts.len() > 1 && parts.iter().all(plain)).then_some(Reference::Test(parts))
}

/// The last part is a function in a file named by the part before it, or such a file itself, full of tests.
fn test_exists(parts: &[&str], sources: &[Source]) -> bool {
    let Some((last, modules)) = parts.split_last() else { return false };
    let module = modules.iter().rev().find(|module| **module != "tests");
    let function = format!("fn {last}(");
    sources.iter().filter(|source| source.is_rust()).any(|source| {
        let named = |name: &str| source.path.trim_end_matches(".rs").split('/').any(|part| part == name);
        let in_module = module.is_none_or(|module| named(module));
        let is_file = named(last) && source.text.contains("test]");
        in_module && (source.text.contains(&function) || is_file)
    })
}

fn is_guarantee(heading: &str) -> bool {
    GUARANTEES.map(|number| format!("G{number}")).any(|name| has_word(heading, &name))
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(page: &str) -> Vec<String> {
        let sources = [
            Source { path: "tests/e2e/order.rs".to_owned(), text: "#[tokio::test]\nasync fn shuffled() {}".to_owned() },
            Source { path: "host/src/store/record.rs".to_owned(), text: "mod tests { #[test] fn round_trips() {} }".to_owned() },
        ];
        let mut findings = Vec::new();
        check("g.md", page, &sources, &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    fn page(first: &str) -> String {
        let rest: String = (2..=9).map(|number| format!("## G{number}\n`e2e::order`\n")).collect();
        format!("# Guarantees\n## G1 No loss\n{first}\n{rest}")
    }

    #[test]
    fn tests_exist() {
        assert!(
            found(&page("`e2e::order::shuffled`, `store::record::tests::round_trips`, `tests/e2e/order.rs`, `late = \"drop\"`")).is_empty()
        );
        assert_eq!(found(&page("`e2e::order::lost`")), ["g.md:3: `e2e::order::lost` does not exist"]);
        assert_eq!(found(&page("by `Sequencer::step`")), ["g.md:2: G1 names no test (like `e2e::order::shuffled`)"]);
        assert_eq!(found(&page("`tests/e2e/none.rs`")).len(), 1);
    }

    #[test]
    fn none_is_left_out() {
        assert_eq!(found("# Guarantees\n").len(), 9);
    }
}
