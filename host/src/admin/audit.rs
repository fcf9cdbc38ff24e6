//! The audit log: one line for each change that an operator asks for, with who, what, on which entity and place, and how it ended. Lines have the target
//! `seriatim::audit`, so that `--log` can send only them or leave them alone.

use super::extract::quoted;
use crate::control::{BulkDone, Done, Fault, Place, PluginDone, PurgeDone, RedriveDone};
use std::sync::Arc;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Who {
    /// The token's name, or what the one who asks says of himself.
    pub(super) name: Arc<str>,
    /// Whether a token proves it.
    pub(super) verified: bool,
}

/// What somebody asks for. Written down once, when it has ended.
#[derive(Debug)]
pub(super) struct Audit {
    pub(super) who: Who,
    /// What: `park`, `redrive`, …
    pub(super) action: &'static str,
    /// The pipeline; empty where it is not named.
    pub(super) pipeline: String,
    /// The entity; empty for many.
    pub(super) entity: String,
    /// The place that was named.
    pub(super) place: Option<Place>,
    /// The dead letter.
    pub(super) dead_letter: Option<u64>,
    /// What else was asked: a filter, another payload.
    pub(super) detail: String,
}

impl Audit {
    /// Of one who does this, to nothing yet.
    pub(super) fn new(who: Who, action: &'static str) -> Self {
        Self { who, action, pipeline: String::new(), entity: String::new(), place: None, dead_letter: None, detail: String::new() }
    }

    /// It is done.
    pub(super) fn done(&self, done: &impl Told) {
        self.line(&self.entity, &done.outcome());
        for (entity, outcome) in done.each() {
            self.line(entity, &outcome);
        }
    }

    /// It is not done.
    pub(super) fn refused(&self, fault: &Fault) {
        let kind = match fault {
            Fault::Unknown(_) => "unknown",
            Fault::Bad(_) => "bad",
            Fault::Conflict { .. } => "conflict",
            Fault::Unavailable(_) => "unavailable",
        };
        self.line(&self.entity, &format!("refused ({kind}): {fault}"));
    }

    /// Nobody knows whether it is done.
    pub(super) fn broke(&self) {
        self.line(&self.entity, "broke off");
    }

    fn line(&self, entity: &str, outcome: &str) {
        tracing::info!(
            target: "seriatim::audit",
            who = %self.who.name,
            verified = self.who.verified,
            action = self.action,
            pipeline = self.pipeline,
            entity,
            epoch = self.place.map(|place| place.epoch),
            sequence = self.place.map(|place| place.sequence),
            dead_letter = self.dead_letter,
            detail = self.detail,
            outcome,
            "audit"
        );
    }
}

/// Something refused before it was asked of the host.
pub(super) fn denied(who: &Who, method: &str, path: &str, reason: &str) {
    tracing::warn!(target: "seriatim::audit", who = %who.name, verified = who.verified, action = method, path = quoted(path), outcome = reason, "audit");
}

/// What the log says of something done.
pub(super) trait Told {
    /// In one line.
    fn outcome(&self) -> String;

    /// Each entity that was named in an answer about many, and what became of it.
    fn each(&self) -> Vec<(&str, String)> {
        Vec::new()
    }
}

fn changed(changed: bool) -> String {
    if changed { "done" } else { "it was so already" }.to_owned()
}

impl Told for Done {
    fn outcome(&self) -> String {
        changed(self.changed)
    }
}

impl Told for PluginDone {
    fn outcome(&self) -> String {
        format!("{}: component {}, load {}", changed(self.changed), self.component, self.load)
    }
}

impl Told for RedriveDone {
    fn outcome(&self) -> String {
        let late = if self.late { ", as late" } else { "" };
        format!("{}{late}", changed(self.changed))
    }
}

impl Told for PurgeDone {
    fn outcome(&self) -> String {
        format!("{} matched, {} deleted", self.matched, self.deleted)
    }
}

impl Told for BulkDone {
    fn outcome(&self) -> String {
        format!("{} matched, {} changed", self.matched, self.changed)
    }

    fn each(&self) -> Vec<(&str, String)> {
        let told = |error: &Option<String>| error.as_ref().map_or("met".to_owned(), |error| format!("refused: {error}"));
        self.entities.iter().map(|entry| (entry.entity.as_str(), told(&entry.error))).collect()
    }
}
