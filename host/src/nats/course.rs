//! Where a reader of a stream stands, over all its consumers, and whether what one consumer delivers is contiguous. Pure.

use super::identity::KnownStream;
use crate::event::Message;
use seriatim_sequencer::mutant;

/// Which stream is read, and from where the next consumer begins.
#[derive(Clone, Debug)]
pub struct Course {
    known: KnownStream,
    /// The stream sequence that the next message must reach.
    at: u64,
    /// Where the first consumer began.
    began: u64,
}

impl Course {
    /// Reads from stream sequence `at` on, as long as the stream is `known`.
    #[must_use]
    pub fn new(known: KnownStream, at: u64) -> Self {
        Self { known, at: at.max(1), began: at.max(1) }
    }

    /// What is known of the stream, with the highest message handed on.
    #[must_use]
    pub fn known(&self) -> &KnownStream {
        &self.known
    }

    /// The stream sequence that the next message must reach.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Where the next consumer begins: above what was handed on, however little of it is durable.
    #[must_use]
    pub fn next_consumer(&self) -> u64 {
        if mutant!(ReaderRecreatedAtWatermark) { self.began } else { self.at }
    }

    /// The message was handed on: the next one lies above it.
    pub fn handed_on(&mut self, message: &Message) {
        self.at = message.stream_sequence.saturating_add(1);
        if message.stream_sequence > self.known.highest {
            self.known.highest = message.stream_sequence;
            self.known.highest_time = message.time;
        }
    }

    /// Reads again from `at`, which must not be above what was handed on.
    pub fn rewind(&mut self, at: u64) {
        self.at = at.max(1);
    }
}

/// What one consumer has delivered.
#[derive(Clone, Copy, Debug)]
pub struct Deliveries {
    /// Where it began.
    at: u64,
    /// Consumer sequence of the last message.
    sequence: u64,
    /// Stream sequence of it.
    last: u64,
}

impl Deliveries {
    /// A consumer that begins at stream sequence `at`.
    #[must_use]
    pub fn new(at: u64) -> Self {
        Self { at, sequence: 0, last: 0 }
    }

    /// A message came: its number at this consumer, how often it was delivered, its stream sequence. Whether it is one of those asked for: a start behind
    /// the stream's end begins at its end.
    ///
    /// # Errors
    /// What shows that one is missing before it. The consumer cannot be trusted any more.
    pub fn take(&mut self, consumer_sequence: u64, delivered: u64, stream_sequence: u64) -> Result<bool, String> {
        let follows = consumer_sequence == self.sequence.saturating_add(1) && delivered == 1;
        if !follows && !mutant!(ReaderHolePassedOver) {
            return Err(format!("delivery {consumer_sequence} (time {delivered}) of the consumer followed delivery {}", self.sequence));
        }
        if stream_sequence <= self.last {
            return Err(format!("stream sequence {stream_sequence} followed {}: the stream went back", self.last));
        }
        self.sequence = consumer_sequence;
        self.last = stream_sequence;
        Ok(stream_sequence >= self.at)
    }

    /// A heartbeat that names the last delivery of the consumer (`None`: it does not).
    ///
    /// # Errors
    /// As for `take`.
    pub fn heartbeat(&self, last: Option<u64>) -> Result<(), String> {
        match last.filter(|last| *last != self.sequence) {
            Some(last) => Err(format!("the server has delivered {last} messages, {} came", self.sequence)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Deliveries;

    #[test]
    fn only_the_next_delivery_is_taken() {
        let mut deliveries = Deliveries::new(10);
        assert_eq!(deliveries.take(1, 1, 9), Ok(false), "below the start");
        assert_eq!(deliveries.take(2, 1, 10), Ok(true));
        for (consumer_sequence, delivered, stream_sequence, problem) in
            [(4, 1, 12, "delivery 4"), (2, 1, 11, "delivery 2"), (3, 2, 11, "time 2"), (3, 1, 10, "went back")]
        {
            let told = deliveries.take(consumer_sequence, delivered, stream_sequence).unwrap_err();
            assert!(told.contains(problem), "{told}");
        }
        assert_eq!((deliveries.heartbeat(Some(2)), deliveries.heartbeat(None)), (Ok(()), Ok(())));
        assert!(deliveries.heartbeat(Some(3)).is_err());
        assert_eq!(deliveries.take(3, 1, 20), Ok(true), "the stream's own holes are none of the consumer's");
    }
}
