//! The fenced code blocks of a page, and what each asks for. Pure.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Result, bail};
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

/// One fenced block.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Line of the page on which it opens, from 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
    /// What stands in it.
    pub(super) text: String,
}

/// What the reader does with a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Writes this file.
    File(String),
    /// Changes a part of this file.
    Part(String),
    /// Runs commands and waits for them.
    Commands,
    /// Starts commands in the terminal of this name.
    Terminal(String),
    /// Compares with what the commands printed.
    Printed,
    /// Compares with what this terminal prints.
    Prints(String),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "write {path}"),
            Self::Part(path) => write!(f, "change a part of {path}"),
            Self::Commands => f.write_str("commands"),
            Self::Terminal(name) => write!(f, "commands in {name}"),
            Self::Printed => f.write_str("what the commands print"),
            Self::Prints(name) => write!(f, "what {name} prints"),
        }
    }
}

/// All blocks of a page in order; an error lists those that are none of the kinds above.
pub(super) fn read(page: &str) -> Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut wrong = Vec::new();
    let mut terminals = BTreeSet::new();
    for fenced in fenced(page) {
        let line = fenced.line;
        let kind = match fenced.info.as_deref().map(kind) {
            Some(Ok(kind)) => kind,
            Some(Err(why)) => {
                wrong.push(format!("line {line}: {why}"));
                continue;
            }
            None => {
                wrong.push(format!("line {line}: an indented block; fence it"));
                continue;
            }
        };
        match &kind {
            Kind::Terminal(name) => drop(terminals.insert(name.clone())),
            Kind::Prints(name) if !terminals.contains(name) => wrong.push(format!("line {line}: nothing was started in {name:?} before")),
            Kind::Printed if !matches!(blocks.last().map(|last| &last.kind), Some(Kind::Commands | Kind::Terminal(_))) => {
                wrong.push(format!("line {line}: a `text` block without a `sh` block right before it; whose output is it?"));
            }
            _ => {}
        }
        blocks.push(Block { line, kind, text: fenced.text });
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\n"));
    }
    Ok(blocks)
}

struct Fenced {
    line: usize,
    /// None for an indented block.
    info: Option<String>,
    text: String,
}

fn fenced(page: &str) -> Vec<Fenced> {
    let mut found = Vec::new();
    let mut open: Option<Fenced> = None;
    for (event, range) in Parser::new(page).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                let line = page.bytes().take(range.start).filter(|byte| *byte == b'\n').count() + 1;
                let info = match kind {
                    CodeBlockKind::Fenced(info) => Some(info.to_string()),
                    CodeBlockKind::Indented => None,
                };
                open = Some(Fenced { line, info, text: String::new() });
            }
            Event::End(TagEnd::CodeBlock) => found.extend(open.take()),
            Event::Text(text) => {
                if let Some(open) = &mut open {
                    open.text.push_str(&text);
                }
            }
            _ => {}
        }
    }
    found
}

/// What an info string such as `rust title="src/lib.rs"` asks for.
fn kind(info: &str) -> Result<Kind, String> {
    let (language, rest) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
    let title = match rest.trim() {
        "" => None,
        rest => match rest.strip_prefix("title=\"").and_then(|rest| rest.strip_suffix('"')) {
            Some(title) if !title.is_empty() && !title.contains('"') => Some(title.to_owned()),
            _ => return Err(format!("`{info}`: after the language there may be title=\"…\" and nothing else")),
        },
    };
    match (language, title) {
        ("sh", None) => Ok(Kind::Commands),
        ("sh", Some(name)) => Ok(Kind::Terminal(name)),
        ("text", None) => Ok(Kind::Printed),
        ("text", Some(name)) => Ok(Kind::Prints(name)),
        (_, Some(path)) => Ok(match path.strip_suffix(" (part)") {
            Some(path) => Kind::Part(path.to_owned()),
            None => Kind::File(path),
        }),
        (language, None) => Err(format!("`{language}` without a title: which file is it? (commands are `sh`, outputs `text`)")),
    }
}

/// The file with a part of it replaced: from the line that is the part's first to the line that is the part's last.
pub(super) fn replaced(file: &str, part: &str) -> Result<String, String> {
    let (Some(first), Some(last)) = (part.lines().next(), part.lines().last()) else {
        return Err("the part is empty".to_owned());
    };
    let lines: Vec<&str> = file.lines().collect();
    let mut starts = lines.iter().enumerate().filter(|(_, line)| **line == first).map(|(at, _)| at);
    let (Some(start), None) = (starts.next(), starts.next()) else {
        return Err(format!("the part's first line must stand in the file once: {first}"));
    };
    let Some(length) = lines.iter().skip(start).position(|line| *line == last) else {
        return Err(format!("the part's last line does not stand in the file after its first: {last}"));
    };
    let (before, after) = (lines.iter().take(start), lines.iter().skip(start + length + 1));
    let all: Vec<&str> = before.copied().chain(part.lines()).chain(after.copied()).collect();
    Ok(all.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# A\n\n```toml title=\"Cargo.toml\"\n[lib]\n```\n\n1. one\n\n   ```sh\n   cd a\n   cargo new b\n   ```\n\n```text\nx\n```\n\
        ```sh title=\"the broker's terminal\"\nrun\n```\n```text\nready\n```\n~~~rust title=\"src/lib.rs (part)\"\nfn a() {}\n~~~\n\
        ```text title=\"the broker's terminal\"\ngone\n```\n";

    #[test]
    fn every_block_has_a_line_and_a_meaning() {
        let terminal = || "the broker's terminal".to_owned();
        let blocks = read(PAGE).unwrap();
        let found: Vec<_> = blocks.iter().map(|block| (block.line, &block.kind, block.text.as_str())).collect();
        assert_eq!(
            found,
            [
                (3, &Kind::File("Cargo.toml".to_owned()), "[lib]\n"),
                (9, &Kind::Commands, "cd a\ncargo new b\n"),
                (14, &Kind::Printed, "x\n"),
                (17, &Kind::Terminal(terminal()), "run\n"),
                (20, &Kind::Printed, "ready\n"),
                (23, &Kind::Part("src/lib.rs".to_owned()), "fn a() {}\n"),
                (26, &Kind::Prints(terminal()), "gone\n"),
            ]
        );
    }

    #[test]
    fn a_block_that_nothing_checks_is_an_error() {
        for (page, said) in [
            ("```rust\nfn a() {}\n```\n", "line 1: `rust` without a title"),
            ("```\nx\n```\n", "line 1: `` without a title"),
            ("a\n\n    indented\n", "line 3: an indented block"),
            ("```rust ignore\nx\n```\n", "line 1: `rust ignore`: after the language"),
            ("```toml title=\"a\" b\nx\n```\n", "after the language"),
            ("```text\nx\n```\n", "line 1: a `text` block without a `sh` block right before it"),
            ("```sh\nx\n```\n```text\nx\n```\n```text\ny\n```\n", "line 7: a `text` block without"),
            ("```text title=\"host\"\nx\n```\n", "nothing was started in \"host\""),
        ] {
            let error = read(page).unwrap_err().to_string();
            assert!(error.contains(said), "{page}\n{error}");
        }
        let both = read("```rust\n```\n```c\n```\n").unwrap_err().to_string();
        assert_eq!(both.lines().count(), 2, "{both}");
    }

    #[test]
    fn a_part_goes_where_its_ends_stand() {
        let file = "a\nfn b() {\n    old\n}\nc\n}\n";
        assert_eq!(replaced(file, "fn b() {\n    new\n    more\n}\n").unwrap(), "a\nfn b() {\n    new\n    more\n}\nc\n}\n");
        assert!(replaced(file, "fn d() {\n}\n").unwrap_err().contains("fn d() {"));
        assert!(replaced(file, "fn b() {\nend\n").unwrap_err().contains("end"));
        assert!(replaced("x\nx\n", "x\n").unwrap_err().contains("once"));
        assert!(replaced("x\n", "").is_err());
    }
}
