//! What handlers cost in each language, as the table in `docs/handlers.md` has it: `seriatim plugin inspect` of the smallest handler. One after
//! another, so that none disturbs the next.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Language;
use crate::process;

/// MiB of `memory-max` that are tried, from what an instance has after a call on.
const MEMORIES: [u64; 12] = [1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128];

/// What `inspect` is given to work with where memory is not the question.
const AMPLE: u64 = 256;

const HEAD: &str = "| language | built with | file of `echo` | least `memory-max` | new instance | with its first call | each further call \
    | `isolation` | what the file imports |\n|---|---|---|---|---|---|---|---|---|\n";

/// What is read here of what `inspect` prints.
#[derive(Deserialize)]
struct Inspection {
    bytes: u64,
    imports: Vec<String>,
    memory_after_call_bytes: u64,
    instantiate: Measured,
    fresh_call: Measured,
    warm_call: Option<Measured>,
    failed: Option<String>,
    isolation: String,
}

#[derive(Deserialize)]
struct Measured {
    median_us: f64,
}

/// The table, for Rust and these languages, of the components in `folder`.
pub(crate) fn table(seriatim: &Path, folder: &Path, languages: &[Language]) -> Result<String> {
    let mut rows = HEAD.to_owned();
    rows.push_str(&row(seriatim, &folder.join("echo.wasm"), "Rust", "cargo, `wasm32-unknown-unknown`")?);
    for &language in languages {
        let (name, tool) = match language {
            Language::C => ("C", "make and zig's C compiler; any clang with a wasi-libc"),
            Language::Zig => ("Zig", "`zig build`"),
            Language::Go => ("Go", "`go build -buildmode=c-shared`, 1.24 or newer"),
            Language::Python => ("Python", "componentize-py"),
            Language::Javascript => ("JavaScript", "componentize-js and esbuild"),
            Language::All => continue,
        };
        rows.push_str(&row(seriatim, &folder.join(format!("echo-{}.wasm", language.name())), name, tool)?);
    }
    Ok(rows)
}

fn row(seriatim: &Path, file: &Path, language: &str, tool: &str) -> Result<String> {
    eprintln!("measuring {}", file.display());
    let found = inspect(seriatim, file, AMPLE)?;
    let call = found.warm_call.as_ref().map_or_else(|| "fails".to_owned(), |it| time(it.median_us));
    // Less than it has is surely not enough. A file that asks for more at once is refused, one that asks later fails.
    let least = MEMORIES.into_iter().filter(|mebibytes| mebibytes << 20 >= found.memory_after_call_bytes);
    let least = least.into_iter().find(|&mebibytes| inspect(seriatim, file, mebibytes).is_ok_and(|found| found.failed.is_none()));
    Ok(format!(
        "| {language} | {tool} | {} | {} | {} | {} | {call} | `{}` | {} |\n",
        size(found.bytes),
        least.map_or_else(|| "more than 128 MiB".to_owned(), |mebibytes| format!("{mebibytes} MiB")),
        time(found.instantiate.median_us),
        time(found.fresh_call.median_us),
        found.isolation,
        imports(&found.imports, has_preview1(&fs::read(file).with_context(|| format!("cannot read {}", file.display()))?)),
    ))
}

fn inspect(seriatim: &Path, file: &Path, mebibytes: u64) -> Result<Inspection> {
    let mut command = Command::new(seriatim);
    command.args(["plugin", "inspect", "--json", "--set", "to=out", "--outputs", "out.*", "--time-max", "10s", "--memory-max"]);
    command.arg(format!("{mebibytes}MiB")).arg(file);
    let text = process::stdout_of(&mut command)?;
    serde_json::from_str(&text).context("`seriatim plugin inspect` printed something else")
}

/// Whether it is a core module that imports WASI preview 1, which the host has served by the time `inspect` lists imports.
fn has_preview1(file: &[u8]) -> bool {
    let name = b"wasi_snapshot_preview1";
    file.starts_with(b"\0asm\x01\0\0\0") && file.windows(name.len()).any(|bytes| bytes == name)
}

fn imports(names: &[String], preview1: bool) -> String {
    let mut others: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.starts_with("seriatim:handler/")).collect();
    others.sort_unstable();
    if preview1 {
        others.push("WASI preview 1");
    }
    if others.is_empty() { "the host only".to_owned() } else { format!("the host; {}", others.join(", ")) }
}

fn time(microseconds: f64) -> String {
    if microseconds < 10.0 {
        format!("{microseconds:.1} µs")
    } else if microseconds < 1_000.0 {
        format!("{microseconds:.0} µs")
    } else {
        format!("{:.1} ms", microseconds / 1_000.0)
    }
}

fn size(bytes: u64) -> String {
    if bytes < 1_000_000 { format!("{} KB", bytes.div_ceil(1_000)) } else { format!("{:.1} MB", bytes as f64 / 1e6) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_written_for_readers() {
        assert_eq!([time(0.94), time(57.4), time(2_040.0)], ["0.9 µs", "57 µs", "2.0 ms"]);
        assert_eq!([size(7_001), size(18_420_000)], ["8 KB", "18.4 MB"]);
        let names = |names: &[&str], preview1| imports(&names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>(), preview1);
        assert_eq!(names(&["seriatim:handler/state@0.1.0"], false), "the host only");
        assert_eq!(names(&["wasi:io/poll@0.2.0", "seriatim:handler/state@0.1.0"], false), "the host; wasi:io/poll@0.2.0");
        assert_eq!(names(&["seriatim:handler/state@0.1.0"], true), "the host; WASI preview 1");
        assert!(has_preview1(b"\0asm\x01\0\0\0..wasi_snapshot_preview1") && !has_preview1(b"\0asm\x0d\0\x01\0..wasi_snapshot_preview1"));
    }
}
