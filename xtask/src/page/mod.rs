//! Does what a page of the documentation tells its reader to do, block by block, as the reader would: so that nothing on the page is unchecked.
//!
//! Every fenced code block of the page is one of these; one that is not fails the run, and is named by its line.
//!
//! | block | what the runner does |
//! |---|---|
//! | `rust title="src/lib.rs"`, any language but `sh` and `text` | writes the file, in the folder where the reader stands |
//! | `rust title="src/lib.rs (part)"` | replaces the lines of that file from the block's first line to the block's last line, both of which stand in the file |
//! | `sh` | runs the commands, in one bash for the whole page: folder and variables last; a command that fails ends the run |
//! | `sh title="the broker's terminal"` | runs the commands in a terminal of that name, beside everything else. Asked of a terminal that runs something already, it presses Ctrl-C there first and waits for the end |
//! | `text` | what the `sh` block before it printed; of a terminal, what it has printed by and by |
//! | `text title="the broker's terminal"` | what that terminal prints after what was shown of it before |
//!
//! In a `text` block `…` stands for anything within a line, and a line of nothing but `…` for any number of lines, none included. Nothing else
//! is left out: but for empty lines and the blanks at the ends of lines, the block is the whole output (for a terminal, all up to the block's
//! last line).
//!
//! The reader stands in an empty folder beside `seriatim`, a link to the checkout, as the page says at its beginning. Some programs of the reader
//! are stand-ins, see [`stand_ins`]. Where the page says `:4222` and `:9464` there are free ports instead, in files and commands and outputs.

mod blocks;
mod expect;
mod reader;
mod shell;
mod stand_ins;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::build::Programs;
use crate::repo::Repo;
use crate::tools::{self, Tools};
use blocks::Block;
use reader::Reader;
use stand_ins::Place;

/// The pages that are run, in this order.
pub(crate) const PAGES: [&str; 1] = ["docs/handlers.md"];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The page
    #[arg(value_parser = PAGES)]
    page: String,
}

/// `cargo xtask page`: builds what the reader has, and follows one page.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    follow(repo, &tools::ensure(repo)?, &Programs::build(repo)?, &args.page)
}

/// Does what the page says; an error names the line of the block that did not go as told.
pub(crate) fn follow(repo: &Repo, tools: &Tools, programs: &Programs, page: &str) -> Result<()> {
    let text = fs::read_to_string(repo.path(page)).with_context(|| format!("cannot read {page}"))?;
    let blocks = blocks::read(&text).with_context(|| format!("{page} has blocks that nothing checks"))?;
    if blocks.is_empty() {
        bail!("{page} has no code blocks");
    }
    let _lock = repo.lock("page")?;
    let place = Place::make(repo, tools, programs, page)?;
    read(&place, page, &blocks)
        .with_context(|| format!("{page} does not do what it says; the reader's folder is left in {}", place.folder().display()))?;
    place.remove()?;
    println!("{page}: {} blocks do what the page says", blocks.len());
    Ok(())
}

fn read(place: &Place, page: &str, blocks: &[Block]) -> Result<()> {
    let mut reader = Reader::sit_down(place)?;
    for block in blocks {
        eprintln!("{page}:{}: {}", block.line, block.kind);
        reader.follow(block).with_context(|| format!("{page}:{}: {}", block.line, block.kind))?;
    }
    reader.get_up()
}
