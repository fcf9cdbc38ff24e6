//! The judge. It is given what was published and what NATS holds now, and says for each promise whether it was kept, with the history that
//! offends. It shares no code with the host and knows nothing about how the host works: only the design's names (§5.3) and guarantees.
//!
//! [`judge`] compares with a result that the test knows beforehand. [`laws`] judges runs whose outcome depends on timing (simulation, chaos),
//! by rules over what the streams and the store hold; [`store`] reads the store from outside.

mod dead;
pub mod laws;
mod outputs;
pub mod store;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;

/// A message that the broker confirmed.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Its number in the source stream.
    pub stream_sequence: u64,
    /// The entity that the test meant.
    pub entity: String,
    /// The sequence that the test meant.
    pub sequence: u64,
    /// Headers as published.
    pub headers: Vec<(String, String)>,
    /// Payload as published.
    pub payload: Vec<u8>,
}

/// A message that a stream holds.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its number in that stream.
    pub stream_sequence: u64,
    /// Its subject.
    pub subject: String,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its payload.
    pub payload: Vec<u8>,
}

impl Kept {
    /// A header's (first) value.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }
}

/// Everything the judge may look at.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What was published, confirmed.
    pub sent: Vec<Sent>,
    /// What `echo.>` holds.
    pub outputs: Vec<Kept>,
    /// What `SERIATIM_DEAD_LETTERS` holds.
    pub dead: Vec<Kept>,
}

/// What should have come of it.
#[derive(Clone, Debug)]
pub struct Expected {
    /// For each entity the sequences of its outputs, in order.
    outputs: BTreeMap<String, Vec<u64>>,
    /// Dead letters: source stream sequence and reason.
    dead: BTreeMap<u64, &'static str>,
    /// Whether dead letters `lost` are expected, which name ranges and not messages.
    lost: bool,
    pipeline: &'static str,
    handler: &'static str,
}

impl Expected {
    /// Each entity's published sequences, ascending, each once; no dead letters.
    pub fn everything(sent: &[Sent]) -> Self {
        let mut outputs: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for sent in sent {
            outputs.entry(sent.entity.clone()).or_default().push(sent.sequence);
        }
        for sequences in outputs.values_mut() {
            sequences.sort_unstable();
            sequences.dedup();
        }
        Self { outputs, dead: BTreeMap::new(), lost: false, pipeline: "flights", handler: "echo" }
    }

    /// This entity's outputs are exactly these, in this order.
    pub fn outputs(mut self, entity: &str, sequences: impl IntoIterator<Item = u64>) -> Self {
        self.outputs.insert(entity.to_owned(), sequences.into_iter().collect());
        self
    }

    /// The message with this number of the source stream is dead-lettered, once, for this reason.
    pub fn dead(mut self, stream_sequence: u64, reason: &'static str) -> Self {
        self.dead.insert(stream_sequence, reason);
        self
    }

    /// What retention took is named by at least one dead letter `lost`.
    pub fn lost(mut self) -> Self {
        self.lost = true;
        self
    }
}

/// Checks every promise.
///
/// # Errors
/// All that were broken, each with the history that shows it.
pub fn judge(history: &History, expected: &Expected) -> Result<(), Verdict> {
    let mut verdict = Verdict::default();
    outputs::check(history, expected, &mut verdict);
    dead::check(history, expected, &mut verdict);
    if verdict.0.is_empty() { Ok(()) } else { Err(verdict) }
}

/// The promises that were broken.
#[derive(Debug, Default)]
pub struct Verdict(Vec<String>);

impl Verdict {
    fn broken(&mut self, text: String) {
        self.0.push(text);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        writeln!(f, "{} broken promises:", self.0.len())?;
        for text in self.0.iter().take(SHOWN) {
            writeln!(f, "- {text}")?;
        }
        if self.0.len() > SHOWN {
            writeln!(f, "- … and {} more", self.0.len() - SHOWN)?;
        }
        Ok(())
    }
}

/// An entity as a subject token: every byte outside `[A-Za-z0-9_-]` as `=XX` (design §5.1).
pub fn token(entity: &str) -> String {
    let mut token = String::new();
    for byte in entity.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            token.push(char::from(byte));
        } else {
            token.push_str(&format!("={byte:02X}"));
        }
    }
    token
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// Undoes percent-encoding; `None` for what is not valid.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = after.get(..2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}
