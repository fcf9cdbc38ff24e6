//! `docs/cli.md` is the program's own help, command by command.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::Finding;
use crate::build;
use crate::process;
use crate::repo::Repo;

const PAGE: &str = "docs/cli.md";
const OPENING: &str = "# Command line\n\nWritten by `cargo xtask tidy --bless` from the program's own help: to change a text, change it in `host/src/cli/`.\n";
/// Commands inside commands.
const DEPTH_MAX: usize = 3;

pub(super) fn check(repo: &Repo, bless: bool) -> Result<Option<Finding>> {
    let binary = build::host(repo)?;
    let mut page = OPENING.to_owned();
    describe(&binary, &mut Vec::new(), &mut page)?;
    let path = repo.path(PAGE);
    if fs::read_to_string(&path).is_ok_and(|there| there == page) {
        return Ok(None);
    }
    if bless {
        fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {PAGE}");
        return Ok(None);
    }
    Ok(Some(Finding::new(PAGE, 0, "is not what the program says; run `cargo xtask tidy --bless`")))
}

fn describe(binary: &Path, command: &mut Vec<String>, page: &mut String) -> Result<()> {
    let help = process::stdout_of(Command::new(binary).args(command.iter()).arg("--help"))?;
    let title = std::iter::once("seriatim").chain(command.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    page.push_str(&format!("\n## `{title}`\n\n```text\n{}\n```\n", lines.join("\n").trim_end()));
    if command.len() < DEPTH_MAX {
        for subcommand in subcommands(&help) {
            command.push(subcommand);
            describe(binary, command, page)?;
            command.pop();
        }
    }
    Ok(())
}

/// The names under `Commands:` in what clap prints.
fn subcommands(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| line.trim_end() != "Commands:")
        .skip(1)
        .take_while(|line| line.starts_with("  "))
        // Deeper lines go on with a description.
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::subcommands;

    #[test]
    fn finds_the_commands() {
        let help = "About\n\nUsage: seriatim <COMMAND>\n\nCommands:\n  run    Run it\n         for long\n  check  Look\n  help   Print\n\nOptions:\n  -h\n";
        assert_eq!(subcommands(help), ["run", "check"]);
        assert!(subcommands("Usage: x\n").is_empty());
    }
}
