//! Who may import what: one engine room for each outside library, and one direction between our own modules.

use super::Finding;
use super::source::{Source, line_of};

/// An outside crate and the only places of `host/src` that may name it.
struct Confined {
    name: &'static str,
    to: &'static [&'static str],
}

const CONFINED: &[Confined] = &[
    Confined { name: "wasmtime", to: &["host/src/runtime"] },
    Confined { name: "wasmtime_wasi", to: &["host/src/runtime"] },
    Confined { name: "async_nats", to: &["host/src/nats", "host/src/source", "host/src/sink", "host/src/store/jetstream"] },
    Confined { name: "axum", to: &["host/src/admin"] },
    Confined { name: "fjall", to: &["host/src/store/embedded"] },
    Confined { name: "anyhow", to: &["host/src/main", "host/src/cli", "host/src/app"] },
];

/// One of our modules and those it must not know. The way is source → router → shard → { sequencer, runtime, store } → sink.
struct Direction {
    module: &'static str,
    not: &'static [&'static str],
}

const DIRECTIONS: &[Direction] = &[
    Direction {
        module: "config",
        not: &["admin", "app", "cli", "nats", "router", "runtime", "shard", "sink", "source", "store", "telemetry"],
    },
    Direction { module: "nats", not: &["admin", "app", "cli", "router", "runtime", "shard", "sink", "source", "store"] },
    Direction { module: "source", not: &["admin", "app", "cli", "runtime", "shard"] },
    Direction { module: "router", not: &["admin", "app", "cli", "nats", "runtime", "sink"] },
    Direction { module: "shard", not: &["admin", "app", "cli", "nats", "router"] },
    Direction { module: "runtime", not: &["admin", "app", "cli", "nats", "router", "shard", "sink", "source", "store"] },
    Direction { module: "store", not: &["admin", "app", "cli", "router", "runtime", "shard"] },
    Direction { module: "sink", not: &["admin", "app", "cli", "router", "runtime", "shard"] },
    Direction { module: "admin", not: &["app", "cli", "runtime"] },
    Direction { module: "producer", not: &["admin", "app", "cli", "config", "publish", "router", "runtime", "shard"] },
    Direction { module: "publish", not: &["admin", "app", "cli", "config", "router", "runtime", "shard"] },
];

/// What `config` may take from a component: the types of its own configuration, which do nothing.
const CONFIG_TYPES: &[(&str, &str)] = &[("source", "sources")];

const SEQUENCER: &str = "host/sequencer/src";
/// The core has no operating system under it.
const NOT_IN_SEQUENCER: [&str; 6] = ["std", "tokio", "tracing", "rand", "getrandom", "libc"];

pub(super) fn check(source: &Source, findings: &mut Vec<Finding>) {
    if source.is_test() {
        return;
    }
    if within(&source.path, SEQUENCER) {
        check_sequencer(source, findings);
    } else if let Some(inside) = source.path.strip_prefix("host/src/") {
        let code = source.code();
        check_confined(source, &code, findings);
        let module = inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs");
        check_direction(source, &code, module, findings);
    }
}

/// Reads the environment, and is in no release.
const NOT_CORE: &str = "host/sequencer/src/mutant.rs";

fn check_sequencer(source: &Source, findings: &mut Vec<Finding>) {
    if source.path == NOT_CORE {
        return;
    }
    let code = source.code();
    for name in NOT_IN_SEQUENCER {
        for line in mentions(&code, name) {
            findings.push(Finding::new(&source.path, line, format!("`{name}` in the pure core, which is no_std")));
        }
    }
    if source.path.ends_with("src/lib.rs") && !code.contains("#![no_std]") {
        findings.push(Finding::new(&source.path, 0, "the pure core must say `#![no_std]`"));
    }
}

fn check_confined(source: &Source, code: &str, findings: &mut Vec<Finding>) {
    for confined in CONFINED {
        if confined.to.iter().any(|place| within(&source.path, place)) {
            continue;
        }
        for line in mentions(code, confined.name) {
            findings.push(Finding::new(&source.path, line, format!("`{}` is only for {}", confined.name, confined.to.join(", "))));
        }
    }
}

fn check_direction(source: &Source, code: &str, module: &str, findings: &mut Vec<Finding>) {
    for (line, head, next) in own_imports(code) {
        let wrong = if module == "telemetry" {
            head != "telemetry"
        } else {
            let allowed = module == "config" && CONFIG_TYPES.contains(&(head.as_str(), next.as_str()));
            !allowed && DIRECTIONS.iter().any(|direction| direction.module == module && direction.not.contains(&head.as_str()))
        };
        if wrong {
            findings.push(Finding::new(&source.path, line, format!("`{module}` must not import `crate::{head}`")));
        }
    }
}

/// True for the module at `place` (without `.rs`) and everything below it.
fn within(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Lines where an outside crate is named: `name::…`, `use name;`, `use name as …`, `extern crate name`.
fn mentions(code: &str, name: &str) -> Vec<usize> {
    let mut lines = Vec::new();
    for (at, _) in code.match_indices(name) {
        let (before, rest) = code.split_at(at);
        let Some(after) = rest.strip_prefix(name) else { continue };
        if before.ends_with(is_word)
            || before.ends_with("::")
            || before.ends_with('.')
            || before.ends_with("r#")
            || after.starts_with(is_word)
        {
            continue;
        }
        let before = before.trim_end();
        let imported = before.ends_with("use") || before.ends_with("extern crate");
        if after.starts_with("::") || (imported && (after.starts_with(';') || after.starts_with(" as "))) {
            lines.push(line_of(code, at));
        }
    }
    lines.dedup();
    lines
}

/// Each `crate::head` and each head of a `crate::{…}` group: its line, the head, and the word after it.
fn own_imports(code: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    for (at, root) in code.match_indices("crate::") {
        let (before, rest) = code.split_at(at);
        if before.ends_with(is_word) || before.ends_with('$') {
            continue;
        }
        let line = line_of(code, at);
        let after = rest.strip_prefix(root).unwrap_or(rest);
        let items = after.strip_prefix('{').map_or_else(|| vec![after.to_owned()], group_items);
        for item in items {
            let mut words = item.trim().splitn(3, "::").map(|part| part.chars().take_while(|c| is_word(*c)).collect::<String>());
            let head = words.next().unwrap_or_default();
            if !head.is_empty() {
                found.push((line, head, words.next().unwrap_or_default()));
            }
        }
    }
    found
}

/// The comma-separated items of a group up to its closing brace; inner groups stay whole.
fn group_items(group: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0_usize;
    for character in group.chars() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(item) = items.last_mut() {
            item.push(character);
        }
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(&Source { path: path.to_owned(), text: text.to_owned() }, &mut findings);
        findings.iter().map(|finding| format!("{}: {}", finding.line, finding.what)).collect()
    }

    #[test]
    fn outside_libraries_stay_in_their_room() {
        assert!(found("host/src/runtime/engine.rs", "use wasmtime::Engine;").is_empty());
        assert_eq!(found("host/src/shard/actor.rs", "//! x\nuse wasmtime::Engine;"), ["2: `wasmtime` is only for host/src/runtime"]);
        assert_eq!(found("host/src/shard/actor.rs", "fn f(e: &async_nats::Client) {}").len(), 1);
        assert_eq!(found("host/src/store/record.rs", "use fjall as f;").len(), 1);
        assert!(found("host/src/store/embedded.rs", "use fjall::Database;").is_empty());
        assert!(found("host/src/app.rs", "use anyhow::Result;").is_empty());
        assert_eq!(found("host/src/router.rs", "use anyhow::Result;").len(), 1);
        assert!(found("host/src/shard/actor.rs", "// wasmtime::Engine\nlet a = \"axum::x\"; let fjall = 1;").is_empty());
        assert!(found("tests/harness/nats.rs", "use async_nats::Client;").is_empty());
    }

    #[test]
    fn imports_point_one_way() {
        assert_eq!(found("host/src/sink/publisher.rs", "use crate::shard::Handle;"), ["1: `sink` must not import `crate::shard`"]);
        assert!(found("host/src/shard/actor.rs", "use crate::sink::outbox::Outbox;").is_empty());
        assert_eq!(found("host/src/store/mod.rs", "use crate::{event::Event, router::{A, B}, app};").len(), 2);
        assert!(found("host/src/telemetry/mod.rs", "use crate::telemetry::metrics;").is_empty());
        assert_eq!(found("host/src/telemetry/mod.rs", "use crate::event::Event;").len(), 1);
        assert!(found("host/src/config/mod.rs", "use crate::source::sources::Source;").is_empty());
        assert_eq!(found("host/src/config/mod.rs", "use crate::runtime::Engine;").len(), 1);
        assert_eq!(found("host/src/config/mod.rs", "use crate::source::reader::Reader;").len(), 1);
        assert!(found("host/src/sink/tests.rs", "use crate::shard::Handle;").is_empty());
        assert!(found("host/src/sink/a.rs", "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::shard::X;\n}\n").is_empty());
    }

    #[test]
    fn the_core_is_pure() {
        assert_eq!(found("host/sequencer/src/dedup.rs", "use std::vec::Vec;").len(), 1);
        assert!(found("host/sequencer/src/mutant.rs", "use std::vec::Vec;").is_empty());
        assert!(found("host/sequencer/src/dedup.rs", "use alloc::vec::Vec;\nuse core::fmt;").is_empty());
        assert_eq!(found("host/sequencer/src/lib.rs", "//! x\nextern crate alloc;"), ["0: the pure core must say `#![no_std]`"]);
        assert!(found("host/sequencer/src/lib.rs", "#![no_std]\nextern crate alloc;").is_empty());
    }
}
