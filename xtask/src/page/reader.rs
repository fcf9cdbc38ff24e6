//! One who reads the page and does what it says.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::blocks::{Block, Kind, replaced};
use super::expect::Shown;
use super::shell::{Shell, Terminal};
use super::stand_ins::Place;

/// The reader, at work.
pub(super) struct Reader<'a> {
    place: &'a Place,
    shell: Shell,
    /// What runs, in the order it was started.
    terminals: Vec<(String, Terminal)>,
    last: Last,
    started: HashMap<String, u32>,
}

/// What the last `sh` block was, for the `text` block behind it.
enum Last {
    Output(String),
    Terminal(String),
}

impl<'a> Reader<'a> {
    pub(super) fn sit_down(place: &'a Place) -> Result<Self> {
        let shell = Shell::open(place.bash()?, place.folder(), &place.logs())?;
        Ok(Self { place, shell, terminals: Vec::new(), last: Last::Output(String::new()), started: HashMap::new() })
    }

    pub(super) fn follow(&mut self, block: &Block) -> Result<()> {
        let text = self.place.local(&block.text);
        match &block.kind {
            Kind::File(path) => self.write(path, &text),
            Kind::Part(path) => {
                let file = self.shell.folder().join(path);
                let there = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
                let changed = replaced(&there, &text).map_err(anyhow::Error::msg)?;
                self.write(path, &changed)
            }
            Kind::Commands => {
                self.last = Last::Output(self.shell.run(&text)?);
                Ok(())
            }
            Kind::Terminal(name) => {
                self.start(name, &text)?;
                self.last = Last::Terminal(name.clone());
                Ok(())
            }
            Kind::Printed => match &self.last {
                Last::Output(output) => Shown::new(&text).is_all_of(output),
                Last::Terminal(name) => until(&mut self.terminals, name, &text),
            },
            Kind::Prints(name) => until(&mut self.terminals, name, &text),
        }
    }

    /// Presses Ctrl-C everywhere, last started first.
    pub(super) fn get_up(mut self) -> Result<()> {
        while let Some((name, terminal)) = self.terminals.pop() {
            terminal.interrupt().with_context(|| format!("at the end of the page, in {name}"))?;
        }
        Ok(())
    }

    fn write(&self, path: &str, text: &str) -> Result<()> {
        let file = self.shell.folder().join(path);
        let text = if Path::new(path).file_name().is_some_and(|name| name == "seriatim.toml") {
            self.place.with_addresses(text)
        } else {
            text.to_owned()
        };
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    fn start(&mut self, name: &str, commands: &str) -> Result<()> {
        if let Some(at) = self.terminals.iter().position(|(there, _)| there == name) {
            let (_, terminal) = self.terminals.remove(at);
            terminal.interrupt().context("Ctrl-C for what ran there before")?;
        }
        let count = self.started.entry(name.to_owned()).or_default();
        *count += 1;
        let log: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let log = self.place.logs().join(format!("terminal-{log}-{count}.log"));
        let terminal = Terminal::start(self.place.bash()?, self.shell.folder(), commands, log)?;
        self.terminals.push((name.to_owned(), terminal));
        Ok(())
    }
}

fn until(terminals: &mut [(String, Terminal)], name: &str, text: &str) -> Result<()> {
    let (_, terminal) = terminals.iter_mut().find(|(there, _)| there == name).with_context(|| format!("nothing runs in {name}"))?;
    terminal.until(&Shown::new(text))
}
