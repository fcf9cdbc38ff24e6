//! Words that are true of one machine only, and addresses that nobody looked at.
//!
//! An address in a committed file is a promise to readers, and to build systems a thing to fetch from: each host is on a list. What else a
//! machine's owner wants kept out goes, one word a line, into `.tools/private-words.txt`, which is never committed.

use super::Finding;
use super::source::{Source, line_of};

/// Where checkouts and home folders lie on somebody's machine. (Put together here so that this file passes its own rule.)
const MACHINE_PATHS: [&str; 4] = [concat!("/", "work/"), concat!("/", "root/"), concat!("/", "home/"), concat!("/", "Users/")];

/// Public pages that our files point to.
const HOSTS: &[&str] = &[
    "bytecodealliance.org",
    "cloudevents.io",
    "component-model.bytecodealliance.org",
    "datatracker.ietf.org",
    "doc.rust-lang.org",
    "docs.nats.io",
    "docs.rs",
    "docs.wasmtime.dev",
    "github.com",
    "json-schema.org",
    "keepachangelog.com",
    "nats.io",
    "opentelemetry.io",
    "prometheus.io",
    "semver.org",
    "toml.io",
    "www.apache.org",
    "www.rfc-editor.org",
    "www.rust-lang.org",
    "www.w3.org",
];

pub(super) fn check<'a>(source: &Source, private: impl Iterator<Item = &'a str>, findings: &mut Vec<Finding>) {
    let text = &source.text;
    for path in MACHINE_PATHS {
        for (at, _) in text.match_indices(path) {
            let (before, _) = text.split_at(at);
            if !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '*' | '}' | '>')) {
                findings.push(Finding::new(&source.path, line_of(text, at), format!("`{path}…` is a path of one machine")));
            }
        }
    }
    for (at, host) in hosts(text) {
        if !is_local(host) && !HOSTS.contains(&host) {
            let what = format!("points to {host}, which is not on the list in xtask/src/tidy/words.rs");
            findings.push(Finding::new(&source.path, line_of(text, at), what));
        }
    }
    for word in private {
        if let Some(at) = text.find(word) {
            findings.push(Finding::new(&source.path, line_of(text, at), "a word of .tools/private-words.txt"));
        }
    }
}

/// Offset and host of each http address. One-word hosts are names in some example's own network.
fn hosts(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for scheme in ["http://", "https://"] {
        for (at, _) in text.match_indices(scheme) {
            let (_, rest) = text.split_at(at);
            let after = rest.strip_prefix(scheme).unwrap_or(rest);
            let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))).unwrap_or(after.len());
            let (host, _) = after.split_at(end);
            let host = host.trim_end_matches('.');
            if host.contains('.') {
                found.push((at, host));
            }
        }
    }
    found
}

fn is_local(host: &str) -> bool {
    let numeric = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    let reserved = [".example", ".example.com", ".example.org", ".invalid", ".test", ".local", ".localhost"];
    numeric || host.starts_with("example.") || reserved.iter().any(|end| host.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        let mut findings = Vec::new();
        let source = Source { path: "docs/a.md".to_owned(), text: text.to_owned() };
        check(&source, ["our-secret"].into_iter(), &mut findings);
        findings.len()
    }

    #[test]
    fn paths_of_one_machine() {
        assert_eq!(found(concat!("see ", "/", "work/main")), 1);
        assert_eq!(found(concat!("\"", "/", "root/.cargo\"")), 1);
        assert_eq!(found("queue/work/item, tests/root/x"), 0);
    }

    #[test]
    fn addresses_are_looked_at() {
        assert_eq!(found("https://github.com/seriatim/seriatim and http://127.0.0.1:9464/metrics and http://localhost:1"), 0);
        assert_eq!(found("http://{address}/healthz, https://console.example.com/x, http://nats-1:8222"), 0);
        assert_eq!(found(concat!("https", "://packages.somewhere.dev/simple")), 1);
    }

    #[test]
    fn private_words() {
        assert_eq!(found("as our-secret says"), 1);
    }
}
