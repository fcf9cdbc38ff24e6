//! What a stopped host's store and its config say together: where the events of its pipelines are.

use super::start::known_stream;
use crate::config::{Config, PipelineConfig};
use crate::control::History;
use crate::source::decode::Decoder;
use crate::source::history::HistorySource;
use crate::source::sources::Source;
use crate::store::PipelineRecord;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The pipelines that both know, each as far as it was read.
#[must_use]
pub fn histories(config: &Config, records: &[(String, PipelineRecord)]) -> BTreeMap<String, History> {
    let of = |(name, record): &(String, PipelineRecord)| {
        let settings = config.pipelines.iter().find(|pipeline| pipeline.name.value == *name)?;
        let known = known_stream(record);
        let decoder = Arc::new(Decoder::new(name.as_str().into(), known.name.as_str().into(), settings.event.sources()));
        Some((name.clone(), History { source: history_source(settings, decoder), known: Box::new(move || known.clone()) }))
    };
    records.iter().filter_map(of).collect()
}

/// Where an entity's events are found again.
pub(super) fn history_source(settings: &PipelineConfig, decoder: Arc<Decoder>) -> HistorySource {
    let token = match settings.event.entity.value {
        Source::Subject(token) => Some(token),
        _ => None,
    };
    let subjects = settings.subjects.iter().map(|subject| subject.value.clone()).collect();
    HistorySource { pipeline: settings.name.value.as_str().into(), subjects, token, decoder }
}
