//! Keeps `docs/configuration.md` true: its tables are made from [`KEYS`] and compared. `UPDATE_DOCS=1 cargo test -p seriatim docs` writes
//! them anew; the prose around them is written by hand.

use super::keys::{KEYS, KeyDoc, Kind, words_text};
use std::fmt::Write as _;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");

/// The table that a key belongs to.
fn table_of(key: &KeyDoc) -> &'static str {
    key.path.rsplit_once('.').expect("every key is in a table").0
}

fn row(key: &KeyDoc) -> String {
    let name = key.path.rsplit_once('.').expect("every key is in a table").1;
    let default = match (key.default, key.required) {
        (Some(default), _) => format!("`{default}`"),
        (None, true) => "required".to_owned(),
        (None, false) => "none".to_owned(),
    };
    let later: &[&str] = match &key.kind {
        Kind::Word { later, .. } => later,
        Kind::Source { later: Some(later), .. } => std::slice::from_ref(later),
        _ => &[],
    };
    let mut doc = key.doc.to_owned();
    if !later.is_empty() {
        write!(doc, " Not in this release: {}.", words_text(later)).expect("text");
    }
    let allowed = key.kind.to_string().replace('|', "\\|");
    format!("| `{name}` | {default} | {allowed} | {doc} |\n")
}

fn table(section: &str) -> String {
    let mut text = "| key | default | allowed | meaning |\n|---|---|---|---|\n".to_owned();
    KEYS.iter().filter(|key| table_of(key) == section).for_each(|key| text.push_str(&row(key)));
    text
}

/// The document with what stands between `<!-- keys NAME -->` and `<!-- end -->` made anew; the names found go into `seen`.
fn regenerated(document: &str, seen: &mut Vec<String>) -> String {
    const BEGIN: &str = "<!-- keys ";
    const END: &str = "<!-- end -->";
    let mut parts = document.split(BEGIN);
    let mut text = parts.next().expect("a first part").to_owned();
    for part in parts {
        let (name, rest) = part.split_once(" -->").expect("the marker is closed");
        let (_, after) = rest.split_once(END).expect("the table's end is marked");
        write!(text, "{BEGIN}{name} -->\n{}{END}{after}", table(name)).expect("text");
        seen.push(name.to_owned());
    }
    text
}

#[test]
fn docs_of_the_configuration_are_true() {
    let document = std::fs::read_to_string(FILE).expect("docs/configuration.md");
    let mut seen = Vec::new();
    let right = regenerated(&document, &mut seen);
    let mut tables: Vec<_> = KEYS.iter().map(table_of).collect();
    tables.dedup();
    assert_eq!(seen, tables, "docs/configuration.md must have one marker for each table, in the order of KEYS");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(FILE, right).expect("docs/configuration.md can be written");
    } else {
        assert!(document == right, "docs/configuration.md is not what the code says: UPDATE_DOCS=1 cargo test -p seriatim docs");
    }
}
