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
    Shape { format, mapping, types: Vec::new(), null: None, row_max: 100, disorder, grows: false }
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

#[test]
fn another_header_is_noticed_before_any_row_was_read() {
    let shape = shape(Format::Csv, ORDER);
    let reached = plan(&shape, "e,n\n1,2\n").progress();
    let end = |text: &str| all(plan(&shape, text).expecting(reached)).1.map(drop).map_err(|error| error.to_string());
    assert_eq!(end("e,n\n5,6\n"), Ok(()));
    assert!(end("e,m\n1,2\n").unwrap_err().contains("it has another header"));
    assert!(end("e,m\n").unwrap_err().contains("it has another header"));
}

#[test]
fn where_an_input_grows_a_last_line_without_its_end_is_no_row_yet() {
    for (format, text, rest) in [
        (Format::Ndjson, "{\"e\":\"a\"}\n{\"e\":1", "2}\n"),
        (Format::Csv, "e,n\na,1\n12,3", "4\n"),
        (Format::Csv, "e,n\na,1\n12,\"3", "4\"\n"),
    ] {
        let growing = Shape { grows: true, ..shape(format, ORDER) };
        let passed = || -> OnBad { Box::new(|_| Ok(())) };
        let mut plan = Plan::new(&growing, "in", input(text), Some(passed())).unwrap();
        assert!(plan.next_item().unwrap().is_some() && plan.next_item().unwrap().is_none(), "{text}");
        let reached = plan.progress();
        let line = text.lines().count() as u64;
        assert_eq!((reached.rows, reached.bad, plan.unfinished()), (1, 0, Some(line)), "{text}");
        let whole = format!("{text}{rest}");
        let (seen, end) = all(Plan::new(&growing, "in", input(&whole), Some(passed())).unwrap().expecting(reached));
        assert_eq!((seen.len(), seen[1].0.as_str(), end.is_ok()), (2, "12", true), "{whole}");
    }
    let growing = Shape { grows: true, ..shape(Format::Csv, ORDER) };
    assert!(matches!(Plan::new(&growing, "in", input("e,n"), None), Err(PlanError::Header { error: HeaderError::Unfinished, .. })));
    let open = Plan::new(&growing, "in", input("e,n\na,\"1\nb,2\n"), Some(Box::new(|_| Ok(())))).unwrap();
    assert_eq!(all(open).1.unwrap_err().to_string(), "in:2:3: a quotation mark is not closed: the row goes on to the input's end");
    let (seen, end) = all(plan(&shape(Format::Csv, ORDER), "e,n\na,1\nb,2"));
    assert_eq!((seen.len(), end.unwrap().rows), (2, 2), "where nothing is added a line end is not needed");
}

#[test]
fn what_the_shuffle_holds_back_is_bounded_in_bytes() {
    let rows = ndjson(&[1; 50]);
    let end = |window, bytes| {
        let mut plan = plan(&shape(Format::Ndjson, Disorder { window, ..ORDER }), &rows);
        plan.held_max = bytes;
        all(plan).1.map(drop).map_err(|error| error.to_string())
    };
    assert_eq!((end(0, 20), end(5, 300)), (Ok(()), Ok(())), "what has left does not count");
    let told = end(1000, 300).unwrap_err();
    assert!(told.contains(": the rows that --shuffle-window holds back have more than 256 MiB"), "{told}");
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
