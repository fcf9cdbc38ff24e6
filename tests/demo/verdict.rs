//! The verdict: what the output streams hold against what the plain computation says, message by message, for every aircraft.

use crate::plain::Output;
use seriatim_tests::checker::Kept;
use std::collections::BTreeMap;
use std::fmt;

/// What one handler should have sent: for each aircraft its outputs in order.
pub(crate) type Wanted = BTreeMap<String, Vec<Output>>;

/// The first thing that is wrong with one aircraft's outputs of one handler.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// The aircraft's registration.
    pub(crate) aircraft: String,
    /// The handler.
    pub(crate) handler: &'static str,
    /// The place among this aircraft's outputs, from 1.
    pub(crate) place: usize,
    /// In words.
    pub(crate) problem: String,
    /// What belongs there; none after the last.
    pub(crate) expected: Option<Output>,
    /// What is there; none where the stream ends too early.
    pub(crate) found: Option<Output>,
}

/// Compares one handler's output stream, oldest first. No difference means: the same messages with the same subject, headers and payload
/// bytes, in the same order, each once, and none besides.
pub(crate) fn compare(handler: &'static str, wanted: &Wanted, stream: &[Kept]) -> Vec<Difference> {
    let mut found: BTreeMap<&str, Vec<Output>> = BTreeMap::new();
    for message in stream {
        found.entry(message.header("Seriatim-Entity").unwrap_or("(no aircraft)")).or_default().push(read(message));
    }
    let mut names: Vec<&str> = wanted.keys().map(String::as_str).chain(found.keys().copied()).collect();
    names.sort_unstable();
    names.dedup();
    let none: &[Output] = &[];
    let outputs = |name| (wanted.get(name).map_or(none, Vec::as_slice), found.get(name).map_or(none, Vec::as_slice));
    names.into_iter().filter_map(|name| first_difference(name, handler, outputs(name))).collect()
}

fn first_difference(aircraft: &str, handler: &'static str, (wanted, found): (&[Output], &[Output])) -> Option<Difference> {
    let place = (0..wanted.len().max(found.len())).find(|&place| wanted.get(place) != found.get(place))?;
    let (expected, instead) = (wanted.get(place), found.get(place));
    let problem = match (expected, instead) {
        (_, Some(output)) if found.iter().take(place).any(|earlier| earlier == output) => "a second time".to_owned(),
        (_, None) => format!("missing, with all that follow: {} of {} are there", found.len(), wanted.len()),
        (None, Some(_)) => "more than there should be".to_owned(),
        (Some(missing), Some(_)) if found.iter().skip(place).any(|later| later == missing) => "out of order".to_owned(),
        (Some(_), Some(output)) if wanted.iter().skip(place).any(|later| later == output) => "missing".to_owned(),
        (Some(_), Some(_)) => "not what it should be".to_owned(),
    };
    let (expected, found) = (expected.cloned(), instead.cloned());
    Some(Difference { aircraft: aircraft.to_owned(), handler, place: place + 1, problem, expected, found })
}

/// A message as the plain computation would have written it down. Of the host's own headers those count that say what caused it.
fn read(message: &Kept) -> Output {
    let host = |name: &str| name.starts_with("Seriatim-") || name.starts_with("Nats-") || name == "traceparent";
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in message.headers.iter().filter(|(name, _)| !host(name)) {
        headers.entry(name.clone()).or_default().push(value.clone());
    }
    Output {
        subject: message.subject.clone(),
        headers,
        payload: message.payload.clone(),
        handler: message.header("Seriatim-Handler").unwrap_or_default().to_owned(),
        cause: message.header("Seriatim-Cause-Sequence").and_then(|sequence| sequence.parse().ok()),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { aircraft, handler, place, problem, .. } = self;
        writeln!(f, "{aircraft}, {handler}, output {place}: {problem}")?;
        for (name, output) in [("expected", &self.expected), ("found", &self.found)] {
            match output {
                Some(output) => writeln!(f, "    {name:<8}  {output}")?,
                None => writeln!(f, "    {name:<8}  nothing")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Wanted, compare};
    use crate::plain::Output;
    use seriatim_tests::checker::Kept;

    fn output(number: u64) -> Output {
        Output {
            subject: "echo.A".into(),
            headers: [("Echo-Count".into(), vec![number.to_string()])].into(),
            payload: format!("payload {number}").into_bytes(),
            handler: "echo".into(),
            cause: Some(number),
        }
    }

    fn wanted() -> Wanted {
        Wanted::from([("A".to_owned(), (1..=4).map(output).collect())])
    }

    fn kept(number: u64) -> Kept {
        let output = output(number);
        let mut headers = vec![("Echo-Count".to_owned(), number.to_string())];
        for (name, value) in [
            ("Seriatim-Entity", "A"),
            ("Seriatim-Handler", "echo"),
            ("Seriatim-Cause-Sequence", number.to_string().as_str()),
            ("Nats-Msg-Id", "x"),
        ] {
            headers.push((name.to_owned(), value.to_owned()));
        }
        Kept { stream_sequence: number, subject: output.subject, headers, payload: output.payload }
    }

    /// Place and problem of what is wrong with a stream of these outputs; `spoil` may change them first.
    fn problems(numbers: &[u64], spoil: impl FnOnce(&mut Vec<Kept>)) -> Vec<(usize, String)> {
        let mut stream: Vec<_> = numbers.iter().map(|number| kept(*number)).collect();
        spoil(&mut stream);
        compare("echo", &wanted(), &stream).into_iter().map(|difference| (difference.place, difference.problem)).collect()
    }

    fn found(numbers: &[u64]) -> Vec<(usize, String)> {
        problems(numbers, |_| ())
    }

    #[test]
    fn the_same_is_the_same() {
        assert_eq!(found(&[1, 2, 3, 4]), []);
    }

    #[test]
    fn what_is_missing_doubled_swapped_or_too_much_is_seen() {
        assert_eq!(found(&[1, 3, 4]), [(2, "missing".into())]);
        assert_eq!(found(&[1, 2, 3]), [(4, "missing, with all that follow: 3 of 4 are there".into())]);
        assert_eq!(found(&[]), [(1, "missing, with all that follow: 0 of 4 are there".into())]);
        assert_eq!(found(&[1, 2, 2, 3, 4]), [(3, "a second time".into())]);
        assert_eq!(found(&[1, 2, 3, 4, 4]), [(5, "a second time".into())]);
        assert_eq!(found(&[1, 3, 2, 4]), [(2, "out of order".into())]);
        assert_eq!(found(&[1, 2, 3, 4, 5]), [(5, "more than there should be".into())]);
    }

    #[test]
    fn every_part_of_an_output_counts() {
        let altered = [(3, "not what it should be".to_owned())];
        let all = [1, 2, 3, 4];
        assert_eq!(problems(&all, |stream| stream[2].payload.push(b' ')), altered);
        assert_eq!(problems(&all, |stream| stream[2].subject.push('x')), altered);
        assert_eq!(problems(&all, |stream| stream[2].headers[0].1 = "9".into()), altered);
        assert_eq!(problems(&all, |stream| stream[2].headers[2].1 = "other".into()), altered);
        assert_eq!(problems(&all, |stream| stream[2].headers[3].1 = "9".into()), altered);
        assert_eq!(problems(&all, |stream| stream[2].headers.push(("More".into(), "1".into()))), altered);
    }

    #[test]
    fn outputs_of_nobody_are_seen() {
        let differences = compare("echo", &Wanted::new(), &[kept(1)]);
        assert_eq!(
            differences[0].to_string(),
            "A, echo, output 1: more than there should be\n    expected  nothing\n    found     echo.A [Echo-Count: 1] caused by event 1: payload 1\n"
        );
        let mut stranger = kept(1);
        stranger.headers.retain(|(name, _)| name != "Seriatim-Entity");
        assert_eq!(compare("echo", &Wanted::new(), &[stranger])[0].aircraft, "(no aircraft)");
    }
}
