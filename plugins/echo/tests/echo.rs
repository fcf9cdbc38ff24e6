//! Echo against a host of twenty lines: the contract in its README.

use echo::Echo;
use seriatim_guest::host::{Host, with};
use seriatim_guest::log::{Field, Level};
use seriatim_guest::{Event, Failure, Handler, Header};
use std::collections::BTreeMap;

type Sent = (String, Vec<(String, String)>, Vec<u8>);

#[derive(Default)]
struct Memory {
    state: BTreeMap<String, Vec<u8>>,
    config: BTreeMap<String, String>,
    sent: Vec<Sent>,
}

impl Host for Memory {
    fn state_get(&mut self, key: &str) -> Option<Vec<u8>> {
        self.state.get(key).cloned()
    }
    fn state_set(&mut self, key: &str, value: &[u8]) {
        self.state.insert(key.into(), value.into());
    }
    fn state_delete(&mut self, key: &str) {
        self.state.remove(key);
    }
    fn state_keys(&mut self, _prefix: &str, _after: Option<&str>, _max: u32) -> Vec<String> {
        self.state.keys().cloned().collect()
    }
    fn emit(&mut self, subject: &str, headers: &[Header], payload: &[u8]) {
        let headers = headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
        self.sent.push((subject.into(), headers, payload.into()));
    }
    fn log(&mut self, _level: Level, _message: &str, _fields: &[Field]) {}
    fn config_get(&mut self, key: &str) -> Option<String> {
        self.config.get(key).cloned()
    }
}

fn event(entity: &str, sequence: u64) -> Event {
    Event {
        pipeline: "flights".into(),
        entity: entity.into(),
        epoch: 0,
        sequence,
        id: format!("flights:{sequence}"),
        kind: String::new(),
        subject: format!("flights.{entity}"),
        time: 0,
        stream_sequence: sequence,
        headers: Vec::new(),
        payload: vec![0, 255, sequence as u8],
    }
}

#[test]
fn every_event_is_sent_on_with_its_sequence_and_count() {
    let config = BTreeMap::from([("to".to_owned(), "echo".to_owned())]);
    let (result, host) = with(Memory { config, ..Memory::default() }, || (5..8).try_for_each(|n| Echo::handle(event("N1.x", n))));
    assert_eq!(result, Ok(()));
    let header = |name: &str, value: u64| (name.to_owned(), value.to_string());
    let expected = [(5, 1), (6, 2), (7, 3)].map(|(sequence, count)| {
        let headers = vec![header("Echo-Sequence", sequence), header("Echo-Count", count)];
        ("echo.N1=2Ex".to_owned(), headers, vec![0, 255, sequence as u8])
    });
    assert_eq!(host.sent, expected);
    assert_eq!(host.state, BTreeMap::from([("count".to_owned(), b"3".to_vec())]));
}

#[test]
fn without_a_destination_it_asks_to_be_called_again() {
    let (result, host) = with(Memory::default(), || Echo::handle(event("N1", 1)));
    assert!(matches!(result, Err(Failure::Retry(reason)) if reason.contains("`to`")));
    assert!(host.sent.is_empty() && host.state.is_empty());
}
