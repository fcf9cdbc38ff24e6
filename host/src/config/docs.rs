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

/// What a fragment leaves out because its page is about something else.
const LEFT_OUT: &str = r#"
stream = "FLIGHTS"
subjects = ["flights.>"]
event.entity = "subject:2"
handlers = [{ name = "echo", component = "echo.wasm" }]
"#;

/// `table` with what it lacks of `rest`.
fn completed(mut table: toml::Table, rest: &toml::Table) -> toml::Table {
    for (key, value) in rest {
        match (table.get_mut(key), value) {
            (Some(toml::Value::Table(own)), toml::Value::Table(value)) => *own = completed(std::mem::take(own), value),
            (Some(_), _) => {}
            (None, value) => {
                table.insert(key.clone(), value.clone());
            }
        }
    }
    table
}

/// What people copy from the pages is a config: its keys exist and its values are allowed.
#[test]
fn configs_in_the_docs_are_valid() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let rest: toml::Table = LEFT_OUT.parse().expect("TOML");
    for file in ["README.md", "docs/ordering.md", "docs/deployment.md", "plugins/echo/README.md", "plugins/rotation/README.md"] {
        let text = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let blocks: Vec<_> = text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(!blocks.is_empty(), "{file} shows no config: take it from the list");
        for block in blocks {
            let mut config: toml::Table = block.parse().unwrap_or_else(|error| panic!("{file}: {error}\n{block}"));
            let pipelines = config.entry("pipelines").or_insert_with(|| toml::Table::new().into()).as_table_mut().expect("a table");
            if pipelines.is_empty() {
                pipelines.insert("flights".to_owned(), toml::Table::new().into());
            }
            for (_, pipeline) in pipelines.iter_mut() {
                let own = std::mem::take(pipeline.as_table_mut().expect("a table"));
                *pipeline = completed(own, &rest).into();
            }
            let config = toml::to_string(&config).expect("TOML");
            if let Err(problems) = super::Config::parse(&config, file, std::path::Path::new("")) {
                panic!("{problems}\nin:\n{config}");
            }
        }
    }
}
