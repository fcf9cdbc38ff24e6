//! Which component each handler runs, which it ran before, and why. Pure; written down as JSON beside the store.
//!
//! What the config names is the beginning. A load by an operator overrides it until what the config names changes; so does a rollback. After a restart the
//! same component runs. The last few versions of each handler are kept for a rollback.

use super::Name;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Versions kept for each handler, the current one included.
pub const VERSIONS_MAX: usize = 5;

/// What stands in the file, so that a newer one is refused by name.
pub const FORMAT: &str = "seriatim-plugins/1";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    format: String,
    /// How many loads there were: each has a number of its own.
    loads: u64,
    /// By `pipeline/handler`.
    handlers: BTreeMap<String, Entry>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { format: FORMAT.to_owned(), loads: 0, handlers: BTreeMap::new() }
    }
}

/// What is known of one handler.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Digest of what the config named when it was last taken.
    pub config: String,
    /// Digest of what the config named when it was last refused; empty = never.
    pub refused: String,
    /// The load that runs.
    pub current: u64,
    /// The number of the load or rollback with which it began to run: its migrations are known by it. Never less than before. 0 = that of its load.
    #[serde(default)]
    pub began: u64,
    /// Migrations of loads up to this number are confirmed.
    pub confirmed: u64,
    /// Ascending by load.
    pub versions: Vec<Version>,
}

/// One component that a handler ran.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The number of its load.
    pub load: u64,
    /// SHA-256 of its file, in hex.
    pub digest: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// The version of its state.
    pub state_version: u32,
    /// When it was loaded, milliseconds since the Unix epoch; for people.
    pub at: u64,
    /// Where it came from; for people.
    pub from: String,
}

/// What a handler begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begin {
    /// What the config names: it is new.
    Config,
    /// The version that ran before the restart.
    Known(Version),
}

impl Entry {
    /// The version that runs.
    #[must_use]
    pub fn running(&self) -> Option<&Version> {
        self.versions.iter().find(|version| version.load == self.current)
    }

    /// The number by which migrations of what runs are known.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.began.max(self.current)
    }

    /// Whether something else runs than what the config names.
    #[must_use]
    pub fn overridden(&self) -> bool {
        self.running().is_some_and(|version| version.digest != self.config)
    }
}

impl Registry {
    /// As it was written.
    ///
    /// # Errors
    /// In words: it is none, or one that this seriatim does not know, which is told first, whatever else a newer one may have in it.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Begins {
            format: String,
        }
        let begins: Begins = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if begins.format != FORMAT {
            return Err(format!("it has the format {:?}, this seriatim reads {FORMAT:?}: run the version that wrote it", begins.format));
        }
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    /// What is known of a handler.
    #[must_use]
    pub fn entry(&self, name: &Name) -> Option<&Entry> {
        self.handlers.get(&name.to_string())
    }

    /// The version of a handler that runs.
    #[must_use]
    pub fn running(&self, name: &Name) -> Option<&Version> {
        self.entry(name).and_then(Entry::running)
    }

    /// What the handler begins with, when the config names a component with this digest.
    #[must_use]
    pub fn begin(&self, name: &Name, config: &str) -> Begin {
        let entry = self.entry(name).filter(|entry| entry.config == config || entry.refused == config);
        entry.and_then(Entry::running).map_or(Begin::Config, |version| Begin::Known(version.clone()))
    }

    /// The number of the next load.
    pub fn next_load(&mut self) -> u64 {
        self.loads = self.loads.saturating_add(1);
        self.loads
    }

    /// A version runs from now on. `config`: it is what the config names.
    pub fn loaded(&mut self, name: &Name, version: Version, config: bool) {
        let entry = self.handlers.entry(name.to_string()).or_default();
        // What the config names and was refused before, and is now brought by an operator, is what the config names.
        if config || entry.refused == version.digest {
            entry.config.clone_from(&version.digest);
            entry.refused.clear();
        }
        entry.current = version.load;
        entry.began = entry.began.max(version.load);
        // An older load of the same component is nothing to go back to.
        entry.versions.retain(|older| older.digest != version.digest);
        entry.versions.push(version);
        let surplus = entry.versions.len().saturating_sub(VERSIONS_MAX);
        entry.versions.drain(..surplus);
    }

    /// What the config names now was refused; with an empty digest, what it names now was not.
    pub fn refused(&mut self, name: &Name, digest: &str) {
        let entry = self.handlers.entry(name.to_string()).or_default();
        digest.clone_into(&mut entry.refused);
    }

    /// The config names what runs already, or what was refused before: nothing is to be done.
    #[must_use]
    pub fn settled(&self, name: &Name, digest: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry.config == digest || entry.refused == digest)
    }

    /// The version to go back to: the one whose digest begins with `to`, else the last one before the current.
    ///
    /// # Errors
    /// There is none, or several; in words.
    pub fn target(&self, name: &Name, to: Option<&str>) -> Result<Version, String> {
        let entry = self.entry(name).ok_or_else(|| format!("nothing is known of the handler {name}"))?;
        let mut fitting = entry.versions.iter().filter(|version| match to {
            Some(digest) => version.digest.starts_with(digest),
            None => version.load < entry.current,
        });
        match (to, fitting.next_back(), fitting.next()) {
            (_, Some(last), None) | (None, Some(last), Some(_)) => Ok(last.clone()),
            (Some(digest), Some(_), Some(_)) => {
                Err(format!("several kept versions of {name} begin with {digest}; give more of the digest"))
            }
            (Some(digest), None, _) => {
                let kept: Vec<_> = entry.versions.iter().map(|version| version.digest.get(..12).unwrap_or(&version.digest)).collect();
                Err(format!("no kept version of {name} begins with {digest}; kept are {}", kept.join(", ")))
            }
            (None, None, _) => Err(format!("{name} has run nothing before what it runs now: there is nothing to go back to")),
        }
    }

    /// A kept version runs again, from the number `began` on. False: it is not kept any more.
    pub fn rolled_back(&mut self, name: &Name, load: u64, began: u64) -> bool {
        let Some(entry) = self.handlers.get_mut(&name.to_string()) else { return false };
        if entry.versions.iter().all(|version| version.load != load) {
            return false;
        }
        entry.current = load;
        entry.began = entry.began.max(began);
        true
    }

    /// Migrations so far stay: those of what runs, and of what ran before it. Gives the number up to which; `None` where nothing is known of the handler.
    pub fn confirm(&mut self, name: &Name) -> Option<u64> {
        let entry = self.handlers.get_mut(&name.to_string())?;
        entry.confirmed = entry.confirmed.max(entry.number());
        Some(entry.confirmed)
    }

    /// Digests that must be kept.
    pub fn digests(&self) -> impl Iterator<Item = &str> {
        self.handlers.values().flat_map(|entry| &entry.versions).map(|version| version.digest.as_str())
    }

    /// Forgets handlers that the config does not have.
    pub fn retain(&mut self, names: &[Name]) {
        let known: Vec<String> = names.iter().map(ToString::to_string).collect();
        self.handlers.retain(|name, _| known.contains(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> Name {
        Name { pipeline: "p".into(), handler: "h".into() }
    }

    fn load(registry: &mut Registry, digest: &str, config: bool) -> u64 {
        let load = registry.next_load();
        registry.loaded(&name(), Version { load, digest: digest.to_owned(), ..Version::default() }, config);
        load
    }

    fn runs(registry: &Registry) -> &str {
        registry.entry(&name()).and_then(Entry::running).map_or("", |version| &version.digest)
    }

    #[test]
    fn a_load_lasts_until_the_config_names_something_else() {
        let mut registry = Registry::default();
        assert_eq!(registry.begin(&name(), "a1"), Begin::Config);
        load(&mut registry, "a1", true);
        load(&mut registry, "b2", false);
        assert!(registry.entry(&name()).is_some_and(Entry::overridden));
        let Begin::Known(version) = registry.begin(&name(), "a1") else { panic!("the load is forgotten") };
        assert_eq!(version.digest, "b2");
        assert_eq!(registry.begin(&name(), "c3"), Begin::Config);
        load(&mut registry, "c3", true);
        assert!(!registry.entry(&name()).is_some_and(Entry::overridden));
        assert_eq!(registry.begin(&name(), "a1"), Begin::Config, "back to an old file is a change, too");
    }

    #[test]
    fn a_refused_file_does_not_end_what_runs() {
        let mut registry = Registry::default();
        load(&mut registry, "a1", true);
        registry.refused(&name(), "bad");
        assert!(registry.settled(&name(), "bad") && registry.settled(&name(), "a1") && !registry.settled(&name(), "b2"));
        let Begin::Known(version) = registry.begin(&name(), "bad") else { panic!("it began with what was refused") };
        assert_eq!(version.digest, "a1");
    }

    #[test]
    fn rollback_goes_one_back_or_to_a_digest() {
        let mut registry = Registry::default();
        assert!(registry.target(&name(), None).unwrap_err().contains("nothing is known"));
        load(&mut registry, "a1", true);
        assert!(registry.target(&name(), None).unwrap_err().contains("nothing to go back to"));
        load(&mut registry, "b2", false);
        load(&mut registry, "b3", false);
        let target = registry.target(&name(), None).unwrap();
        assert_eq!(target.digest, "b2");
        let began = registry.next_load();
        assert!(registry.rolled_back(&name(), target.load, began));
        assert_eq!(runs(&registry), "b2");
        assert_eq!(registry.target(&name(), None).unwrap().digest, "a1");
        assert_eq!(registry.target(&name(), Some("b3")).unwrap().digest, "b3", "and forward again");
        assert!(registry.target(&name(), Some("b")).unwrap_err().contains("several"));
        assert!(registry.target(&name(), Some("c")).unwrap_err().contains("kept are a1, b2, b3"));
    }

    #[test]
    fn only_migrations_so_far_are_confirmed() {
        let mut registry = Registry::default();
        let first = load(&mut registry, "a1", true);
        let under_way = registry.next_load();
        assert_eq!(registry.confirm(&name()), Some(first), "a load that still compiles has migrated nothing");
        registry.loaded(&name(), Version { load: under_way, digest: "b2".to_owned(), ..Version::default() }, false);
        assert_eq!(registry.confirm(&name()), Some(under_way));
        for (digest, number) in [("a1", 3), ("b2", 4)] {
            let (target, began) = (registry.target(&name(), Some(digest)).unwrap(), registry.next_load());
            assert!(registry.rolled_back(&name(), target.load, began));
            let entry = registry.entry(&name()).unwrap();
            assert!(entry.began > entry.confirmed, "what it migrates from now on can be taken back");
            assert_eq!(entry.began, number);
        }
    }

    #[test]
    fn five_versions_are_kept_each_once() {
        let mut registry = Registry::default();
        for number in 0..9 {
            load(&mut registry, &format!("d{number}"), number == 0);
        }
        load(&mut registry, "d7", false);
        let kept: Vec<_> = registry.digests().collect();
        assert_eq!(kept, ["d4", "d5", "d6", "d8", "d7"], "d7 stands where it was loaded last");
        load(&mut registry, "d9", false);
        load(&mut registry, "e0", false);
        assert_eq!(registry.digests().count(), VERSIONS_MAX);
        assert_eq!(runs(&registry), "e0");
    }

    #[test]
    fn what_is_written_is_read_and_newer_formats_are_refused() {
        let mut registry = Registry::default();
        load(&mut registry, "a1", true);
        registry.confirm(&name());
        let text = serde_json::to_string(&registry).unwrap();
        assert_eq!(serde_json::from_str::<Registry>(&text).unwrap(), registry);
        let newer = text.replace("plugins/1", "plugins/2").replacen('{', r#"{"new": 1, "#, 1);
        assert!(Registry::read(newer.as_bytes()).unwrap_err().contains("seriatim-plugins/2"));
        assert_eq!(Registry::read(text.as_bytes()).unwrap(), registry);
    }

    #[test]
    fn an_older_one_is_read_and_what_was_confirmed_stays_so() {
        let text = r#"{"format": "seriatim-plugins/1", "loads": 9, "handlers": {"p/h": {"config": "a1", "refused": "", "current": 1, "confirmed": 9,
            "versions": [{"load": 1, "digest": "a1", "bytes": 7, "state_version": 0, "at": 5, "from": "f"}]}}}"#;
        let mut registry = Registry::read(text.as_bytes()).unwrap();
        assert_eq!(runs(&registry), "a1");
        assert_eq!(registry.confirm(&name()), Some(9));
    }

    #[test]
    fn a_refused_file_that_an_operator_brings_is_what_the_config_names() {
        let mut registry = Registry::default();
        load(&mut registry, "a1", true);
        registry.refused(&name(), "b2");
        load(&mut registry, "b2", false);
        assert_eq!(registry.entry(&name()).map(|entry| (entry.refused.as_str(), entry.overridden())), Some(("", false)));
        assert!(!registry.settled(&name(), "a1"), "back to the file before is a change");
    }
}
