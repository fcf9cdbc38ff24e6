//! Every deliberate mistake stands on the page that says who notices it, and no other.

use std::collections::BTreeMap;

use super::Finding;
use super::markdown::code_spans;

pub(super) fn check<'a>(names: impl Iterator<Item = &'a str>, (page_path, page): (&str, &str), findings: &mut Vec<Finding>) {
    let rows = page.lines().enumerate().filter(|(_, line)| line.starts_with("| `"));
    let mut on_page: BTreeMap<String, usize> = BTreeMap::new();
    for (at, row) in rows {
        if let Some((_, name)) = code_spans(row).into_iter().next() {
            on_page.insert(name.to_owned(), at + 1);
        }
    }
    for name in names {
        if on_page.remove(name).is_none() {
            findings.push(Finding::new(page_path, 0, format!("`{name}` is not there: run `cargo xtask mutants --only {name} --record`")));
        }
    }
    for (name, line) in on_page {
        findings.push(Finding::new(page_path, line, format!("there is no mutant `{name}`")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_agree() {
        let found = |page: &str| {
            let mut findings = Vec::new();
            check(["a-b", "c-d"].into_iter(), ("m.md", page), &mut findings);
            findings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert!(found("| x |\n|---|\n| `a-b` | `other` |\n| `c-d` | y |\n").is_empty());
        assert_eq!(found("| `a-b` | x |\n"), ["m.md: `c-d` is not there: run `cargo xtask mutants --only c-d --record`"]);
        assert_eq!(found("| `a-b` |\n| `c-d` |\n| `e` |\n"), ["m.md:3: there is no mutant `e`"]);
    }
}
