//! The table that divan prints (`host/benches/micro.rs`), read: it has no other form for its results. Pure.

use crate::report::Micro;
use anyhow::{Context as _, Result, ensure};

/// Every benchmark with its median; allocations where they were counted. Lines look like `├─ name  1.5 µs │ 9 µs │ 1.6 µs │ …`, fastest, slowest, median and mean;
/// those on allocations follow as `alloc:` with the counts below.
pub(crate) fn parse(text: &str) -> Result<Vec<Micro>> {
    let mut found: Vec<Micro> = Vec::new();
    let mut counts = None;
    for line in text.lines() {
        let columns: Vec<&str> = line.split('│').map(str::trim).collect();
        let branch = line.trim_start_matches(['│', ' ']);
        if let Some(named) = branch.strip_prefix("├─ ").or_else(|| branch.strip_prefix("╰─ ")) {
            let name = named.split_whitespace().next().context("a benchmark without a name")?;
            let after: Vec<&str> = named.split('│').map(str::trim).collect();
            if let Some(median) = after.get(2).filter(|median| !median.is_empty()) {
                let median_ns = nanoseconds(median).with_context(|| format!("the median of {name}"))?;
                found.push(Micro { name: name.to_owned(), median_ns, allocations: Some(0.0) });
            }
            counts = None;
        } else if columns.iter().any(|column| column.starts_with("alloc:") || column.starts_with("grow:")) {
            counts = Some(());
        } else if counts.take().is_some()
            && let Some(last) = found.last_mut()
        {
            let numbers: Vec<f64> = columns.iter().filter_map(|column| column.split_whitespace().next()?.parse().ok()).collect();
            let median = numbers.get(2).or_else(|| numbers.first()).context("no counts below `alloc:`")?;
            last.allocations = Some(last.allocations.unwrap_or_default() + median);
        }
    }
    ensure!(!found.is_empty(), "divan printed no benchmark:\n{text}");
    Ok(found)
}

fn nanoseconds(text: &str) -> Result<f64> {
    let (number, unit) = text.split_once(' ').with_context(|| format!("`{text}` has no unit"))?;
    let scale = match unit {
        "ps" => 1e-3,
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => anyhow::bail!("`{unit}` is no unit of time"),
    };
    Ok(number.parse::<f64>().with_context(|| format!("`{number}` is no number"))? * scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
micro                       fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ record_encode            5.384 µs      │ 63.58 µs      │ 5.473 µs      │ 6.226 µs      │ 100     │ 100
│                           max alloc:    │               │               │               │         │
│                             10          │ 10            │ 10            │ 10            │         │
│                             1.094 KB    │ 1.094 KB      │ 1.094 KB      │ 1.094 KB      │         │
│                           alloc:        │               │               │               │         │
│                             9           │ 11            │ 10            │ 10            │         │
│                             508 B       │ 508 B         │ 508 B         │ 508 B         │         │
│                           dealloc:      │               │               │               │         │
│                             1           │ 1             │ 1             │ 1             │         │
│                             36 B        │ 36 B          │ 36 B          │ 36 B          │         │
│                           grow:         │               │               │               │         │
│                             3           │ 3             │ 3             │ 3             │         │
│                             586 B       │ 586 B         │ 586 B         │ 586 B         │         │
╰─ sequencer_in_order       41.76 ns      │ 4.377 µs      │ 42.5 ns       │ 51.1 ns       │ 100     │ 200
";

    #[test]
    fn medians_and_allocations_are_found() {
        let found = parse(PRINTED).unwrap();
        let told: Vec<_> = found.iter().map(|micro| (micro.name.as_str(), micro.median_ns, micro.allocations)).collect();
        assert_eq!(told, [("record_encode", 5473.0, Some(13.0)), ("sequencer_in_order", 42.5, Some(0.0))]);
    }

    #[test]
    fn another_program_s_words_are_an_error() {
        assert!(parse("Finished").is_err());
        assert!(parse("╰─ a  1 ns │ 2 ns │ many │ 3 ns").is_err());
    }
}
