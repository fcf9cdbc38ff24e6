//! The plan as a whole: determinism, resuming in the middle, changed inputs, bad rows.

use super::*;
use crate::publish::template::Template;
use proptest::prelude::*;
use std::io::{BufReader, Cursor};
use std::sync::{Mutex, PoisonError};

const ORDER: Disorder = Disorder { window: 0, duplicate: 0.0, seed: 1 };

fn shape(format: Format, disorder: Disorder) -> Shape {
    let mapping = Mapping {
        entity: Field::new("e"),
        subject: Template::parse("s.{e}").unwrap(),
        kind: None,
        id: None,
        time: None,
        sequence: None,
        epoch: None,
        payload: None,
    };
    Shape { format, mapping, types: Vec::new(), null: None, row_max: 100, disorder }
}

fn input(text: &str) -> Input {
    Box::new(BufReader::with_capacity(7, Cursor::new(text.to_owned().into_bytes())))
}

fn plan(shape: &Shape, text: &str) -> Plan {
    Plan::new(shape, "in", input(text), None).unwrap()
}

type Seen = (String, u64, u32, String);

fn all(mut plan: Plan) -> (Vec<Seen>, Result<Progress, PlanError>) {
    let mut seen = Vec::new();
    loop {
        match plan.next_item() {
            Ok(Some(item)) => {
                let event = item.into_event();
                seen.push((event.entity, event.sequence, event.copy, String::from_utf8(event.payload.to_vec()).unwrap()));
            }
            Ok(None) => return (seen, Ok(plan.progress())),
            Err(error) => return (seen, Err(error)),
        }
    }
}

fn ndjson(entities: &[u8]) -> String {
    entities.iter().enumerate().map(|(at, entity)| format!("{{\"e\":{entity},\"n\":{at}}}\n")).collect()
}

#[test]
fn csv_rows_become_objects_and_unknown_columns_are_refused_at_once() {
    let mut shape = shape(Format::Csv, ORDER);
    shape.types.push((Field::new("n"), Type::Integer));
    let (seen, _) = all(plan(&shape, "n,e\n07,x\n8,y\n9,x\n"));
    let expected = [("x", 1, r#"{"n":7,"e":"x"}"#), ("y", 1, r#"{"n":8,"e":"y"}"#), ("x", 2, r#"{"n":9,"e":"x"}"#)];
    assert_eq!(seen, expected.map(|(entity, sequence, payload)| (entity.to_owned(), sequence, 0, payload.to_owned())));
    let error = Plan::new(&shape, "in.csv", input("n,other\n1,x\n"), None).err().unwrap().to_string();
    assert_eq!(error, "--entity e: in.csv has no such column; it has n, other");
    assert!(matches!(Plan::new(&shape, "in.csv", input(""), None), Err(PlanError::Header { .. })));
    let (_, end) = all(plan(&shape, "n,e\n7,x\n\"a\nb\",y\n"));
    assert_eq!(end.unwrap_err().to_string(), "in:3:1: \"a\\nb\" is not a whole number of 64 bits, as --type says");
}

#[test]
fn a_bad_row_ends_the_plan_behind_what_came_before_or_is_handed_out() {
    let text = "{\"e\":\"a\"}\n{\"e\":\"b\"}\n{\"x\":1, \"e\":\"\"}\n{\"e\":\"a\"}\n";
    let (seen, end) = all(plan(&shape(Format::Ndjson, ORDER), text));
    assert_eq!(seen.len(), 2);
    assert_eq!(end.unwrap_err().to_string(), "in:3:9: \"e\" is missing or empty; every row needs it");
    let bad = Arc::new(Mutex::new(Vec::new()));
    let on_bad: OnBad = Box::new({
        let bad = Arc::clone(&bad);
        move |row| {
            bad.lock().unwrap_or_else(PoisonError::into_inner).push((row.line, row.row.clone()));
            Ok(())
        }
    });
    let (seen, end) = all(Plan::new(&shape(Format::Ndjson, ORDER), "in", input(text), Some(on_bad)).unwrap());
    assert_eq!(seen.iter().map(|(entity, sequence, ..)| (entity.as_str(), *sequence)).collect::<Vec<_>>(), [("a", 1), ("b", 1), ("a", 2)]);
    let progress = end.unwrap();
    assert_eq!((progress.rows, progress.bad), (4, 1));
    assert_eq!(*bad.lock().unwrap(), [(3, "{\"x\":1, \"e\":\"\"}".to_owned())]);
}

#[test]
fn an_input_that_has_changed_is_noticed_where_it_matters() {
    let shape = shape(Format::Ndjson, ORDER);
    let text = ndjson(&[1, 2, 3, 4]);
    let mut first = plan(&shape, &text);
    first.next_item().unwrap();
    first.next_item().unwrap();
    let reached = first.progress();
    let end = |text: &str| all(plan(&shape, text).expecting(reached)).1.map(drop).map_err(|error| error.to_string());
    assert_eq!(end(&text), Ok(()));
    assert_eq!(end(&format!("{text}{}", ndjson(&[9]))), Ok(()), "it may grow");
    assert_eq!(end(&text.replace('\n', "\r\n\n")), Ok(()), "line ends are not content");
    assert_eq!(end(&text.replace("\"e\":4", "\"e\":5")), Ok(()), "nobody has read this row yet");
    assert!(end(&text.replace("\"e\":2", "\"e\":5")).unwrap_err().contains("first 2 rows are not the ones"));
    assert!(end(&ndjson(&[1])).unwrap_err().contains("has become shorter"));
    assert!(end(&ndjson(&[1, 2])).is_ok());
}

proptest! {
    #[test]
    fn the_same_input_gives_the_same_plan_and_every_event_once(
        entities in prop::collection::vec(0_u8..5, 0..120), window in 0_u64..30, duplicate in 0.0..1.0_f64, seed: u64,
    ) {
        let disorder = Disorder { window, duplicate, seed };
        let text = ndjson(&entities);
        let (seen, end) = all(plan(&shape(Format::Ndjson, disorder), &text));
        let progress = end.unwrap();
        let (again, _) = all(plan(&shape(Format::Ndjson, disorder), &text).expecting(progress));
        prop_assert_eq!(&again, &seen);
        let (in_order, _) = all(plan(&shape(Format::Ndjson, ORDER), &text));
        let mut events: Vec<_> = seen.iter().filter(|(_, _, copy, _)| *copy == 0).cloned().collect();
        let mut wanted = in_order.clone();
        events.sort();
        wanted.sort();
        prop_assert_eq!(events, wanted);
        for copy in seen.iter().filter(|(_, _, copy, _)| *copy == 1) {
            prop_assert!(in_order.contains(&(copy.0.clone(), copy.1, 0, copy.3.clone())));
        }
        let ids: std::collections::BTreeSet<_> = seen.iter().map(|(entity, sequence, copy, _)| (entity, sequence, copy)).collect();
        prop_assert_eq!(ids.len(), seen.len(), "each item has an id of its own");
    }

    #[test]
    fn a_grown_input_goes_on_where_the_shorter_one_ended(entities in prop::collection::vec(0_u8..5, 0..60), at in any::<prop::sample::Index>()) {
        let shape = shape(Format::Ndjson, ORDER);
        let (whole, _) = all(plan(&shape, &ndjson(&entities)));
        let shorter = at.index(entities.len() + 1);
        let (part, end) = all(plan(&shape, &ndjson(&entities[..shorter])));
        prop_assert_eq!(&whole[..shorter], &part[..]);
        prop_assert!(all(plan(&shape, &ndjson(&entities)).expecting(end.unwrap())).1.is_ok());
    }
}
