//! The figures of a run as JSON, and the file that collects the runs: its totals add up over time.

use crate::tally::Tally;
use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use seriatim_tests::harness::machine;
use std::fs;
use std::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What says where and when, and is no figure to be added.
const NO_FIGURES: [&str; 5] = ["date", "commit", "machine", "seed", "load_before"];

/// One run.
pub(crate) struct Facts<'a> {
    pub(crate) seed: u64,
    pub(crate) commit: Option<&'a str>,
    pub(crate) seconds: u64,
    pub(crate) load_before: Option<f64>,
    pub(crate) tally: &'a Tally,
}

impl Facts<'_> {
    /// The run as JSON.
    ///
    /// # Errors
    /// The date cannot be written.
    pub(crate) fn json(&self) -> Result<Value> {
        let tally = self.tally;
        let counts = &tally.counts;
        Ok(json!({
            "date": OffsetDateTime::now_utc().replace_nanosecond(0)?.format(&Rfc3339)?,
            "commit": self.commit,
            "machine": machine::description(),
            "load_before": self.load_before,
            "seed": self.seed,
            "seconds": self.seconds,
            "phases": tally.phases,
            "lives": tally.lives,
            "host_kills": { "all": tally.host_kills(), "by": tally.host_kills, "in_a_call": tally.in_mid_handler, "in_a_life_with_a_catch_up": tally.in_catch_up },
            "broker_kills": { "all": tally.broker_kills(), "by": tally.broker_kills },
            "faults": tally.faults,
            "catch_ups": tally.catch_ups,
            "messages": counts.messages,
            "dropped_by_the_broker": tally.dropped_by_broker,
            "applied": counts.applied,
            "delivered_late": counts.delivered_late,
            "retried": counts.retried,
            "out_of_order": counts.out_of_order,
            "duplicates": counts.duplicates,
            "conflicts": counts.conflicts,
            "late": counts.late,
            "dropped_late": counts.dropped_late,
            "malformed": counts.malformed,
            "given_up": counts.given_up,
            "parked": counts.parked,
            "dead_letters": counts.dead,
            "violations": tally.violations,
        }))
    }
}

/// Appends a run to the file and adds its figures to the totals.
///
/// # Errors
/// The file cannot be read, is not of this kind, or cannot be written.
pub(crate) fn record(file: &Path, run: Value) -> Result<()> {
    let named = || format!("{}", file.display());
    let mut kept = if file.is_file() {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", named()))?;
        serde_json::from_str::<Value>(&text).with_context(|| format!("{} is not JSON", named()))?
    } else {
        json!({ "runs": [] })
    };
    let runs = kept.get_mut("runs").and_then(Value::as_array_mut).with_context(|| format!("{} has no list \"runs\"", named()))?;
    runs.push(run);
    let mut total = Map::from_iter([("runs".to_owned(), json!(runs.len()))]);
    runs.iter().filter_map(Value::as_object).for_each(|run| add(&mut total, run));
    let total = Value::Object(total);
    kept.as_object_mut().with_context(named)?.insert("total".to_owned(), total);
    let text = serde_json::to_string_pretty(&kept).context("cannot write JSON")?;
    fs::write(file, text + "\n").with_context(|| format!("cannot write {}", named()))
}

/// Adds every number of `run` to the one of the same name.
fn add(total: &mut Map<String, Value>, run: &Map<String, Value>) {
    for (name, value) in run.iter().filter(|(name, _)| !NO_FIGURES.contains(&name.as_str())) {
        match value {
            Value::Number(number) => {
                let so_far = total.get(name).and_then(Value::as_u64).unwrap_or_default();
                total.insert(name.clone(), json!(so_far + number.as_u64().unwrap_or_default()));
            }
            Value::Object(inner) => {
                if let Value::Object(sums) = total.entry(name.clone()).or_insert_with(|| json!({})) {
                    add(sums, inner);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_appended_and_their_figures_add_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("chaos.json");
        let mut tally = Tally::default();
        tally.kill("random", "");
        tally.kill("at prune-after", "");
        tally.counts.dead.insert("late".to_owned(), 7);
        for seed in [1, 2] {
            let facts = Facts { seed, commit: Some("abc"), seconds: 60, load_before: Some(0.5), tally: &tally };
            record(&file, facts.json().unwrap()).unwrap();
        }
        let kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(kept["runs"].as_array().map(Vec::len), Some(2));
        assert_eq!((&kept["runs"][1]["seed"], &kept["runs"][0]["commit"]), (&json!(2), &json!("abc")));
        let total = &kept["total"];
        assert_eq!((&total["runs"], &total["seconds"], &total["host_kills"]["all"]), (&json!(2), &json!(120), &json!(4)));
        assert_eq!((&total["host_kills"]["by"]["random"], &total["dead_letters"]["late"]), (&json!(2), &json!(14)));
        assert!(total.get("seed").is_none() && total.get("machine").is_none());
    }

    #[test]
    fn a_file_of_another_kind_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.json");
        fs::write(&file, "[1]").unwrap();
        assert!(record(&file, json!({})).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "[1]");
    }
}
