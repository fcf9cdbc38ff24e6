//! The figures of a run as JSON.

use crate::tally::Tally;
use anyhow::Result;
use serde_json::{Value, json};
use seriatim_tests::harness::{evidence, machine};

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
        Ok(json!({
            "date": evidence::date()?,
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
            "dropped_by_the_broker": tally.dropped_by_broker,
            "judged": tally.counts,
            "violations": tally.violations,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seriatim_tests::harness::evidence::record;
    use std::fs;

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
        assert_eq!((&total["host_kills"]["by"]["random"], &total["judged"]["dead_letters"]["late"]), (&json!(2), &json!(14)));
        assert!(total.get("seed").is_none() && total.get("machine").is_none());
    }
}
