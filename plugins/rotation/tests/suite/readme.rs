//! The README's examples are real, and its texts are those of the handler.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use seriatim_guest::testing::{Kit, event};

use crate::run;

const README: &str = include_str!("../../README.md");

/// The lines of the README's blocks that are marked with this word.
fn block_lines(word: &str) -> Vec<&'static str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in README.lines() {
        match line.strip_prefix("```") {
            Some(mark) => inside = !inside && mark == word,
            None if inside => lines.push(line),
            None => {}
        }
    }
    lines
}

#[test]
fn its_examples_are_lines_of_the_month() {
    let real: BTreeSet<&str> = run::month()
        .iter()
        .flat_map(|step| step.outputs.iter().map(|(_, payload)| payload).chain([&step.payload, &step.state]))
        .map(String::as_str)
        .collect();
    let examples = block_lines("json");
    for example in &examples {
        assert!(real.contains(example), "{example}");
    }
    // Four rows, three alerts, three summaries, two states: one of each kind that there is.
    assert_eq!(examples.len(), 12);
    let marks = [
        r#""kind":"departure""#,
        r#""kind":"arrival""#,
        r#""kind":"diversion""#,
        r#""arr_delay":null,"air_time":null}"#,
        r#""cause":"late-aircraft""#,
        r#""cause":"other""#,
        r#""cause":"unknown""#,
        r#""air_time":null,"arr_delay":null,"#,
        r#""outcome":"arrival""#,
        r#""outcome":"diversion""#,
        r#"{"airborne":{"#,
        r#"{"airborne":null"#,
    ];
    for mark in marks {
        assert!(examples.iter().any(|example| example.contains(mark)), "no example of {mark}");
    }
}

#[test]
fn its_texts_are_those_of_the_failures() {
    let payload = |tailnum: &str, flight: u32| {
        json!({"tailnum": tailnum, "time": "", "carrier": "UA", "flight": flight, "origin": "EWR", "dest": "IAH",
            "dep_delay": 0, "arr_delay": 0, "air_time": 0})
    };
    let mut failures = Vec::new();
    let mut kit = run::kit();
    let mut full = run::kit();
    let mut total = json!({});
    for name in ["alerts", "diversions", "flights", "inherited", "late_arrival", "late_departure", "minutes", "untimed"] {
        total[name] = json!(u64::MAX);
    }
    let airborne = json!({"carrier": "UA", "flight": 1545, "origin": "EWR", "dest": "IAH", "dep_delay": 0, "inherited": 0});
    full = full.state("N14228", "aircraft", &json!({"airborne": airborne, "previous": null, "total": total}));
    let own = payload("N14228", 1545);
    let of = |kind: &str, payload: &Value| event("N14228", 1).kind(kind).json(payload);
    failures.push(Kit::<rotation::Rotation>::new().handle(of("departure", &own)));
    failures.push(Kit::<rotation::Rotation>::new().config("threshold-minutes", "soon").handle(of("departure", &own)));
    failures.push(kit.handle(of("landing", &own)));
    failures.push(kit.handle(of("departure", &payload("N24211", 1545))));
    failures.push(kit.handle(of("arrival", &own)));
    assert_eq!(kit.handle(of("departure", &own)), Ok(Vec::new()));
    failures.push(kit.handle(of("departure", &payload("N14228", 1714))));
    failures.push(kit.handle(of("arrival", &payload("N14228", 1714))));
    failures.push(full.handle(of("arrival", &own)));
    let texts: Vec<String> = failures.into_iter().map(|failure| failure.unwrap_err().message).collect();
    assert_eq!(block_lines("text"), texts);
}
