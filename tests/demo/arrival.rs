//! The stream of flights as it arrived: what the disorder is measured on, and what a naive consumer would see.

use anyhow::{Context as _, Result, bail};
use seriatim_tests::checker::Kept;

/// One message of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The aircraft's registration.
    pub(crate) aircraft: String,
    /// The number of the event within its aircraft: 1, 2, 3, …
    pub(crate) sequence: u64,
    /// What happened.
    pub(crate) step: Step,
}

/// What an event does to an aircraft.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It leaves the ground.
    Departs,
    /// Its flight ends: an arrival, or a diversion.
    Ends,
}

impl Arrival {
    /// Reads one message by its headers.
    ///
    /// # Errors
    /// A header is missing or makes no sense: then the message is not one of the demo's.
    pub(crate) fn of(message: &Kept) -> Result<Self> {
        let header =
            |name| message.header(name).with_context(|| format!("message {} of the stream has no {name}", message.stream_sequence));
        let step = match header("Seriatim-Type")? {
            "departure" => Step::Departs,
            "arrival" | "diversion" => Step::Ends,
            other => bail!("message {} of the stream is of the unknown kind {other:?}", message.stream_sequence),
        };
        let sequence = header("Seriatim-Sequence")?;
        let sequence = sequence.parse().with_context(|| format!("message {}: sequence {sequence:?}", message.stream_sequence))?;
        Ok(Self { aircraft: header("Seriatim-Entity")?.to_owned(), sequence, step })
    }
}

/// A short way to write arrivals down: `"A1+"` is event 1 of aircraft A, a departure, `"A2-"` its second, an end.
#[cfg(test)]
pub(crate) fn arrivals(text: &str) -> Vec<Arrival> {
    let one = |word: &str| Arrival {
        aircraft: word[..1].to_owned(),
        sequence: word[1..word.len() - 1].parse().expect("a sequence"),
        step: if word.ends_with('+') { Step::Departs } else { Step::Ends },
    };
    text.split_whitespace().map(one).collect()
}

#[test]
fn a_message_is_read_by_its_headers() {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let headers = vec![header("Seriatim-Entity", "A"), header("Seriatim-Sequence", "2"), header("Seriatim-Type", "diversion")];
    let mut message = Kept { stream_sequence: 7, subject: "flights.A".into(), headers, payload: Vec::new() };
    assert_eq!(Arrival::of(&message).unwrap(), arrivals("A2-")[0]);
    message.headers[2].1 = "lunch".into();
    assert_eq!(Arrival::of(&message).unwrap_err().to_string(), "message 7 of the stream is of the unknown kind \"lunch\"");
    message.headers.pop();
    assert_eq!(Arrival::of(&message).unwrap_err().to_string(), "message 7 of the stream has no Seriatim-Type");
}
