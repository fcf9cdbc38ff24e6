//! What producers publish: events with the headers of the design, and the disorder that reaches a real stream.

use crate::checker::Sent;

/// One message to publish. Starts as a well-formed event; the methods spoil or change parts of it.
#[derive(Clone, Debug)]
pub struct Input {
    /// What the broker files it under.
    pub subject: String,
    /// The entity that the test means.
    pub entity: String,
    /// The sequence that the test means.
    pub sequence: u64,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// Payload.
    pub payload: Vec<u8>,
}

impl Input {
    /// The `sequence`th event of `entity`, on `flights.<entity>`.
    pub fn event(entity: &str, sequence: u64) -> Self {
        let id = format!("{entity}-{sequence}");
        Self {
            subject: format!("flights.{entity}"),
            entity: entity.to_owned(),
            sequence,
            headers: vec![
                ("Seriatim-Entity".to_owned(), entity.to_owned()),
                ("Seriatim-Sequence".to_owned(), sequence.to_string()),
                ("Seriatim-Id".to_owned(), id.clone()),
                ("Nats-Msg-Id".to_owned(), id),
            ],
            payload: serde_json::json!({ "entity": entity, "sequence": sequence }).to_string().into_bytes(),
        }
    }

    /// Another subject.
    pub fn on(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.subject);
        self
    }

    /// Another payload.
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Sets a header in the place of what it was.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.without(name).and(name, value)
    }

    /// Adds a header, also a second one of the same name.
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Takes a header away.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self
    }

    /// Gets past the broker's own duplicate check: stored again, whatever was published before.
    pub fn again(self) -> Self {
        self.without("Nats-Msg-Id")
    }

    /// What the judge gets to know about it.
    pub fn sent(&self, stream_sequence: u64) -> Sent {
        Sent {
            stream_sequence,
            entity: self.entity.clone(),
            sequence: self.sequence,
            headers: self.headers.clone(),
            payload: self.payload.clone(),
        }
    }

    /// The headers as the client wants them.
    pub fn header_map(&self) -> async_nats::HeaderMap {
        let mut map = async_nats::HeaderMap::new();
        for (name, value) in &self.headers {
            map.append(name.as_str(), value.as_str());
        }
        map
    }
}

/// A reproducible source of disorder (splitmix64).
pub struct Random(u64);

impl Random {
    /// The same seed gives the same disorder.
    pub fn new(seed: u64) -> Self {
        println!("seed {seed}");
        Self::silent(seed)
    }

    /// The same for a caller who says himself what the seed is.
    pub fn silent(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).expect("below a usize")
    }
}

/// `events` events of each entity `e0`, `e1`, …, interleaved, each moved by less than `window` places, one in ten published a second time
/// without the broker's duplicate check.
pub fn shuffled(random: &mut Random, entities: usize, events: u64, window: usize) -> Vec<Input> {
    let mut keyed = Vec::new();
    let mut place = 0;
    for sequence in 1..=events {
        for entity in 0..entities {
            let input = Input::event(&format!("e{entity}"), sequence);
            if random.below(10) == 0 {
                keyed.push((place + random.below(window * 2), input.clone().again()));
            }
            keyed.push((place + random.below(window), input));
            place += 1;
        }
    }
    keyed.sort_by_key(|(key, _)| *key);
    keyed.into_iter().map(|(_, input)| input).collect()
}
