//! The example config and the page about it name the same keys.
//!
//! That the host reads the example, and knows no key that the example leaves out, is a test of the config module itself.

use std::collections::BTreeMap;

use super::Finding;
use super::markdown::{code_spans, first_cells, section};

/// Keys of these tables are the user's own words.
const FREE: [&str; 1] = ["config"];

pub(super) fn check((example_path, example): (&str, &str), (page_path, page): (&str, &str), findings: &mut Vec<Finding>) {
    let keys = keys_of(example);
    if keys.is_empty() {
        findings.push(Finding::new(example_path, 0, "sets no key"));
    }
    for (key, line) in &keys {
        let (table, leaf) = split(key);
        // Where the page has a section for the table, the key belongs there.
        let place = section(page, |heading| heading.contains(&format!("[{table}]")), |_| true).map_or(page, |(_, text)| text);
        if !code_spans(place).iter().any(|(_, span)| names(span, leaf)) {
            findings.push(Finding::new(example_path, *line, format!("`{key}` is not in {page_path}")));
        }
    }
    for (line, span) in first_cells(page) {
        let leaf = leaf_of(span);
        let looks_like_a_key = !leaf.is_empty() && leaf.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if looks_like_a_key && !keys.keys().any(|key| key.split('.').any(|part| part == leaf)) {
            findings.push(Finding::new(page_path, line, format!("`{span}` is not in {example_path}, not even as a comment")));
        }
    }
}

/// `key`, `table.key`, `key = value`, `{ key = … }` all name `key`.
fn names(span: &str, leaf: &str) -> bool {
    span.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == leaf)
}

fn leaf_of(span: &str) -> &str {
    let key = span.split('=').next().unwrap_or(span).trim();
    split(key).1
}

fn split(key: &str) -> (&str, &str) {
    key.rsplit_once('.').unwrap_or(("", key))
}

/// Every key that the example sets or shows as a comment (`# key = value`), with its line. Names of pipelines are made alike.
fn keys_of(example: &str) -> BTreeMap<String, usize> {
    let mut keys = BTreeMap::new();
    let mut table = String::new();
    for (index, text) in example.lines().enumerate() {
        let (text, commented) = match text.trim().strip_prefix('#') {
            Some(comment) => (comment.trim(), true),
            None => (text.trim(), false),
        };
        if let Some(header) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            table = plain_table(header.0.trim_start_matches('['));
            continue;
        }
        let Some((key, _)) = text.split_once('=') else { continue };
        let key = key.trim();
        if key.is_empty() || !key.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.')) {
            continue;
        }
        match toml::from_str::<toml::Table>(text) {
            Ok(parsed) => flatten(&table, &parsed, index + 1, &mut keys),
            // The first line of an array over several lines; in a comment it is prose.
            Err(_) if !commented => {
                keys.entry(join(&table, key)).or_insert(index + 1);
            }
            Err(_) => {}
        }
    }
    keys
}

fn flatten(table: &str, parsed: &toml::Table, line: usize, keys: &mut BTreeMap<String, usize>) {
    for (key, value) in parsed {
        let whole = join(table, key);
        match value {
            toml::Value::Table(inner) if !FREE.contains(&key.as_str()) => flatten(&whole, inner, line, keys),
            _ => {
                keys.entry(whole).or_insert(line);
            }
        }
    }
}

fn join(table: &str, key: &str) -> String {
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

/// `pipelines.flights.event` → `pipelines.<name>.event`.
fn plain_table(header: &str) -> String {
    let mut parts: Vec<&str> = header.split('.').collect();
    if parts.first() == Some(&"pipelines")
        && let Some(name) = parts.get_mut(1)
    {
        *name = "<name>";
    }
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "[run]\ndrain = \"20s\"   # how long\n# shards = 2\n# prose = not toml\n[pipelines.flights.order]\n\
        gap = { wait = \"30s\", then = \"park\" }\n[[pipelines.flights.handlers]]\nconfig = { mine = \"1\" }\nsubjects = [\n  \"a\",\n]\n";

    fn found(page: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(("e.toml", EXAMPLE), ("c.md", page), &mut findings);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn reads_the_example() {
        let keys: Vec<_> = keys_of(EXAMPLE).into_keys().collect();
        let expected = [
            "pipelines.<name>.handlers.config",
            "pipelines.<name>.handlers.subjects",
            "pipelines.<name>.order.gap.then",
            "pipelines.<name>.order.gap.wait",
            "run.drain",
            "run.shards",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn both_sides_agree() {
        assert!(found("| `drain` | x |\n`shards` `gap.wait` `then = \"park\"` `config` `subjects`").is_empty());
        assert_eq!(found("`drain` `gap.wait` `gap.then` `config` `subjects`"), ["e.toml:3: `run.shards` is not in c.md"]);
        let more = found("`drain` `shards` `wait` `then` `config` `subjects`\n| `colour` | x |\n");
        assert_eq!(more, ["c.md:2: `colour` is not in e.toml, not even as a comment"]);
    }

    #[test]
    fn a_key_belongs_into_its_section() {
        let page = "## `[run]`\n`drain`\n## rest\n`shards` `wait` `then` `config` `subjects`\n";
        assert_eq!(found(page), ["e.toml:3: `run.shards` is not in c.md"]);
    }
}
