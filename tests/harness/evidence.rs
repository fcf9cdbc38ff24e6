//! The files under `docs/evidence/` that collect a tool's runs: a new run is appended, and the totals add up over time.

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// What says where and when, and is no figure to be added.
const NO_FIGURES: [&str; 7] = ["date", "commit", "machine", "seed", "seeds_from", "seeds_to", "load_before"];

/// Now, to the second, as it stands in evidence.
///
/// # Errors
/// The date cannot be written.
pub fn date() -> Result<String> {
    Ok(OffsetDateTime::now_utc().replace_nanosecond(0)?.format(&Rfc3339)?)
}

/// Appends a run to the file and adds its figures to the totals.
///
/// # Errors
/// The file cannot be read, is not of this kind, or cannot be written.
pub fn record(file: &Path, run: Value) -> Result<()> {
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
        let file = folder.path().join("tool.json");
        for seed in [1, 2] {
            let run = json!({ "date": date().unwrap(), "commit": "abc", "seed": seed, "seconds": 60, "kills": { "all": 2, "by": { "random": 1 } }, "machine": { "cores": 2 } });
            record(&file, run).unwrap();
        }
        let kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        assert_eq!(kept["runs"].as_array().map(Vec::len), Some(2));
        assert_eq!((&kept["runs"][1]["seed"], &kept["runs"][0]["commit"]), (&json!(2), &json!("abc")));
        let total = &kept["total"];
        assert_eq!((&total["runs"], &total["seconds"], &total["kills"]["by"]["random"]), (&json!(2), &json!(120), &json!(2)));
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
