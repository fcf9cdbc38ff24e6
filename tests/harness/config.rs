//! A `seriatim.toml` for one test: everything a test may want to change, as plain values; TOML only at the end.

use super::tools;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The whole file.
#[derive(Clone)]
pub struct Config {
    /// `[nats] user` and `password-file`; `None`: no login.
    pub login: Option<(&'static str, PathBuf)>,
    /// `[store] cache`.
    pub store_cache: &'static str,
    /// `[store] path`.
    pub store: PathBuf,
    /// `[run]`: name and TOML value.
    pub run: Vec<(&'static str, String)>,
    /// `[admin] listen` on this port of the loopback address; 0: any free one.
    pub admin: u16,
    /// `[dead-letters] max-bytes`.
    pub dead_letters_max_bytes: &'static str,
    /// The first one is the one that most tests mean.
    pub pipelines: Vec<Pipeline>,
}

/// `[pipelines.<name>]`.
#[derive(Clone)]
pub struct Pipeline {
    /// Its name.
    pub name: &'static str,
    /// `stream`.
    pub stream: &'static str,
    /// `subjects`.
    pub subjects: Vec<&'static str>,
    /// A TOML value.
    pub start: &'static str,
    /// `retain`, if there is one.
    pub retain: Option<&'static str>,
    /// `event.entity`.
    pub entity: &'static str,
    /// `event.epoch`, if there is one.
    pub epoch: Option<&'static str>,
    /// A TOML value.
    pub first_sequence: &'static str,
    /// `order.gap.wait`.
    pub gap_wait: &'static str,
    /// `order.gap.then`.
    pub gap_then: &'static str,
    /// `order.gap.held-max`.
    pub held_max: u32,
    /// `order.late`.
    pub late: &'static str,
    /// `order.dedup.ids`.
    pub ids: u32,
    /// `failure.retry`.
    pub retry: Vec<&'static str>,
    /// `failure.then`.
    pub failure_then: &'static str,
    /// `failure.breaker`, a TOML value.
    pub breaker: &'static str,
    /// Called in this order.
    pub handlers: Vec<Handler>,
}

/// `[[pipelines.<name>.handlers]]`.
#[derive(Clone)]
pub struct Handler {
    /// Its name.
    pub name: &'static str,
    /// The file.
    pub component: PathBuf,
    /// `to` in the handler's own config.
    pub to: &'static str,
    /// More of the handler's own config.
    pub config: Vec<(&'static str, String)>,
    /// `outputs`.
    pub outputs: Vec<&'static str>,
    /// More keys: name and value, a number or a text.
    pub limits: Vec<(&'static str, &'static str)>,
}

impl Config {
    /// One pipeline `flights` with the echo handler.
    pub fn new(folder: &Path) -> Self {
        Self {
            login: None,
            store: folder.join("store"),
            store_cache: "64MiB",
            run: Vec::new(),
            admin: 0,
            dead_letters_max_bytes: "64MiB",
            pipelines: vec![Pipeline::flights()],
        }
    }

    /// The pipeline that most tests have as their only one.
    pub fn flights(&mut self) -> &mut Pipeline {
        self.pipelines.first_mut().expect("a first pipeline")
    }

    /// The file for a host that finds its broker at `url`.
    pub fn toml(&self, url: &str, telemetry: u16) -> String {
        let login = self
            .login
            .iter()
            .map(|(user, file)| format!("user = {}\npassword-file = {}\n", quoted(user), quoted(&file.display().to_string())));
        let mut text = format!(
            "[nats]\nservers = [{}]\n{}\n[store]\nkind = \"embedded\"\npath = {}\ncache = {}\n\n[telemetry]\nlisten = \"127.0.0.1:{telemetry}\"\n\n\
             [admin]\nlisten = \"127.0.0.1:{}\"\n\n\
             [dead-letters]\nmax-bytes = {}\n\n[run]\n",
            quoted(url),
            login.collect::<String>(),
            quoted(&self.store.display().to_string()),
            quoted(self.store_cache),
            self.admin,
            quoted(self.dead_letters_max_bytes),
        );
        for (name, value) in &self.run {
            writeln!(text, "{name} = {value}").expect("a string takes text");
        }
        for pipeline in &self.pipelines {
            text.push_str(&pipeline.toml());
        }
        text
    }
}

impl Pipeline {
    /// Stream `FLIGHTS`, the entity in the second token, a gap that never gives up within a test.
    pub fn flights() -> Self {
        Self {
            name: "flights",
            stream: "FLIGHTS",
            subjects: vec!["flights.>"],
            start: "\"first\"",
            retain: None,
            entity: "subject:2",
            epoch: None,
            first_sequence: "1",
            gap_wait: "10m",
            gap_then: "park",
            held_max: 1000,
            late: "dead-letter",
            ids: 64,
            retry: vec!["50ms", "100ms"],
            failure_then: "dead-letter",
            breaker: "{}",
            handlers: vec![Handler::echo()],
        }
    }

    /// Another pipeline beside the first: stream `TRAINS`, its outputs on `other.>`.
    pub fn trains() -> Self {
        let handler = Handler { to: "other", outputs: vec!["other.>"], ..Handler::echo() };
        Self { name: "trains", stream: "TRAINS", subjects: vec!["trains.>"], handlers: vec![handler], ..Self::flights() }
    }

    fn toml(&self) -> String {
        let name = self.name;
        let mut text = format!(
            "\n[pipelines.{name}]\nstream = \"{}\"\nsubjects = {}\nstart = {}\n{}\n\
             [pipelines.{name}.event]\nformat = \"raw\"\nentity = \"{}\"\nsequence = \"header:Seriatim-Sequence\"\n\
             id = \"header:Seriatim-Id\"\nkind = \"header:Seriatim-Type\"\ntime = \"header:Seriatim-Time\"\n{}\n\
             [pipelines.{name}.order]\nby = \"sequence\"\nfirst-sequence = {}\n\
             gap = {{ wait = \"{}\", held-max = {}, jump-max = 1000000, then = \"{}\" }}\nlate = \"{}\"\ndedup = {{ ids = {} }}\n\n\
             [pipelines.{name}.failure]\nretry = {}\nthen = \"{}\"\nbreaker = {}\n",
            self.stream,
            list(&self.subjects),
            self.start,
            self.retain.map(|after| format!("retain = {}\n", quoted(after))).unwrap_or_default(),
            self.entity,
            self.epoch.map(|source| format!("epoch = {}\n", quoted(source))).unwrap_or_default(),
            self.first_sequence,
            self.gap_wait,
            self.held_max,
            self.gap_then,
            self.late,
            self.ids,
            list(&self.retry),
            self.failure_then,
            self.breaker,
        );
        for handler in &self.handlers {
            text.push_str(&handler.toml(name));
        }
        text
    }
}

impl Handler {
    /// `plugins/echo`: each payload to `echo.<entity>`.
    pub fn echo() -> Self {
        Self { name: "echo", component: tools::plugin("echo"), to: "echo", config: Vec::new(), outputs: vec!["echo.>"], limits: Vec::new() }
    }

    fn toml(&self, pipeline: &str) -> String {
        let more: String = self.config.iter().map(|(key, value)| format!(", {key} = {}", quoted(value))).collect();
        let mut text = format!(
            "\n[[pipelines.{pipeline}.handlers]]\nname = \"{}\"\ncomponent = {}\nconfig = {{ to = \"{}\"{more} }}\noutputs = {}\n",
            self.name,
            quoted(&self.component.display().to_string()),
            self.to,
            list(&self.outputs),
        );
        for (key, value) in &self.limits {
            let value = if value.parse::<u64>().is_ok() { (*value).to_owned() } else { quoted(value) };
            writeln!(text, "{key} = {value}").expect("a string takes text");
        }
        text
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn list(items: &[&str]) -> String {
    toml::Value::from(items.to_vec()).to_string()
}
