//! An operator at the command line: asks the running host of a world, and reads its answers.

use super::host::{Host, command};
use super::ports;
use super::world::World;
use serde_json::Value;
use std::path::PathBuf;

/// The operator of one world, whose hosts all answer on one port.
pub struct Operator {
    config: PathBuf,
}

impl Operator {
    /// A ready host whose admin API has a known port, and who asks it.
    pub async fn with_host(world: &mut World) -> (Host, Self) {
        world.config.admin = ports::free();
        let host = world.host().await;
        (host, Self { config: world.write_config("operator.toml", 0) })
    }

    /// Runs a command that succeeds; its standard output as JSON.
    pub fn ask(&self, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json", "--log", "error"]).collect();
        let (code, out) = command(&self.config, &args);
        assert_eq!(code, Some(0), "{args:?}: {out}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
    }

    /// Says a word to an entity; whether it changed anything.
    pub fn say(&self, word: &str, entity: &str, sequence: u64) -> bool {
        let done = self.ask(&["entity", word, entity, "--sequence", &sequence.to_string()]);
        done["changed"].as_bool().unwrap_or_else(|| panic!("{word} {entity} {sequence}: {done}"))
    }

    /// Runs a command that is refused, with every one of these words.
    pub fn refused(&self, args: &[&str], words: &[&str]) {
        let (code, out) = command(&self.config, args);
        assert!(code == Some(1) && words.iter().all(|word| out.contains(word)), "{args:?}: {words:?} expected, found {code:?} {out}");
    }
}
