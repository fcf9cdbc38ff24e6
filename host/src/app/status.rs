//! What the host says of itself: healthy, ready, and the gauges that are read rather than counted.

use crate::admin::health::HealthSource;
use crate::directory::Directory;
use crate::nats::connect::Connection;
use crate::pipeline::Pipeline;
use crate::store::Poison;
use crate::telemetry::{events, metrics::Recorder};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// See the module.
pub(super) struct Status {
    recorded: &'static Recorder,
    poison: Poison,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    phase: Option<String>,
    parts: Option<Parts>,
    told: BTreeSet<(Arc<str>, &'static str)>,
    told_parked: BTreeSet<(Arc<str>, &'static str)>,
}

struct Parts {
    pipelines: Vec<Arc<Pipeline>>,
    directory: Arc<Directory>,
    connections: Vec<Connection>,
}

impl Status {
    /// Starting.
    pub(super) fn new(recorded: &'static Recorder, poison: Poison) -> Self {
        let state = State { phase: Some("starting".to_owned()), ..State::default() };
        Self { recorded, poison, state: Mutex::new(state) }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it is doing instead of its work; `None` = its work.
    pub(super) fn phase(&self, phase: Option<&str>) {
        self.state().phase = phase.map(str::to_owned);
    }

    /// Everything runs from here on.
    pub(super) fn running(&self, pipelines: Vec<Arc<Pipeline>>, directory: Arc<Directory>, connections: Vec<Connection>) {
        let mut state = self.state();
        state.parts = Some(Parts { pipelines, directory, connections });
        state.phase = None;
    }
}

impl HealthSource for Status {
    fn health(&self) -> Result<(), String> {
        self.poison.poisoned().map_or(Ok(()), Err)
    }

    fn ready(&self) -> Result<(), Vec<String>> {
        let mut reasons = Vec::new();
        reasons.extend(self.poison.poisoned());
        let state = self.state();
        reasons.extend(state.phase.clone());
        if let Some(parts) = &state.parts {
            if parts.connections.iter().any(|connection| !connection.is_connected()) {
                let trouble = parts.connections.iter().find_map(Connection::trouble);
                reasons.push(
                    trouble.map_or("not connected to the broker".to_owned(), |trouble| format!("not connected to the broker: {trouble}")),
                );
            }
            reasons.extend(parts.connections.iter().filter_map(Connection::denied));
            for pipeline in &parts.pipelines {
                if let Some(reason) = pipeline.control.stopped() {
                    reasons.push(format!("pipeline {} stopped: {reason}", pipeline.name));
                } else if pipeline.control.own_full() {
                    reasons.push(format!(
                        "pipeline {} does not read: dead letters of messages without an entity cannot be published",
                        pipeline.name
                    ));
                }
                if let Some((handler, open)) = pipeline.breaker.open() {
                    reasons.push(format!(
                        "pipeline {} waits: its handler {handler} fails so often that none is called: {}",
                        pipeline.name, open.error
                    ));
                }
            }
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn metrics(&self) -> Result<String, String> {
        let mut state = self.state();
        if let Some(parts) = &state.parts {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let waiting = parts.directory.waiting();
            for pipeline in &parts.pipelines {
                let oldest = waiting.iter().filter(|((name, _), _)| *name == pipeline.name).map(|(_, (_, since))| *since).min();
                let age = oldest.map_or(Duration::ZERO, |since| now.saturating_sub(Duration::from_millis(since)));
                events::oldest_waiting_is(&pipeline.name, age);
                events::live_are(&pipeline.name, parts.directory.live_of(&pipeline.name));
            }
            for ((pipeline, reason), (count, _)) in &waiting {
                events::waiting_are(pipeline, reason, *count as u64);
            }
            let gone: Vec<_> = state.told.iter().filter(|told| !waiting.contains_key(*told)).cloned().collect();
            for (pipeline, reason) in gone {
                events::waiting_are(&pipeline, reason, 0);
            }
            let parked = parts.directory.parked();
            for ((pipeline, reason), count) in &parked {
                events::parked_are(pipeline, reason, *count);
            }
            for (pipeline, reason) in state.told_parked.iter().filter(|told| !parked.contains_key(*told)) {
                events::parked_are(pipeline, reason, 0);
            }
            state.told = waiting.into_keys().collect();
            state.told_parked = parked.into_keys().collect();
        }
        drop(state);
        self.recorded.render().map_err(|error| error.to_string())
    }
}
