//! What one call has read, written and emitted so far: the base state, the writes over it, the outputs. Plain values, no wasmtime. Nothing in
//! it is visible to anyone before the call has returned; each operation checks the bounds it could break and says which.

use crate::subject::{subject_matches, valid_subject};
use crate::text::one_line;
use crate::{Failure, FailureKind, Header, Limits, OWN_HEADERS_BYTES};
use bytes::Bytes;
use litemap::LiteMap;
use std::collections::BTreeMap;
use std::ops::Bound;

/// One handler's state of one entity, by key. Most entities have one key or a few, and a million of them may be in memory: a sorted vector has no
/// nodes with room for eleven.
pub type State = LiteMap<String, Bytes>;

/// Bytes of one state key.
pub const STATE_KEY_BYTES_MAX: usize = 512;

/// Bytes of a message's header block beside the headers themselves, and of each header beside its name and value.
pub const HEADER_FRAME_BYTES: (usize, usize) = ("NATS/1.0\r\n\r\n".len(), ": \r\n".len());

/// What a call that succeeded wants done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The keys that changed, in order, each with its new value; `None` removes it. Writes that change nothing are left out.
    pub writes: Vec<(String, Option<Bytes>)>,
    /// Messages to send, in the order they were emitted. Checked: the broker will not refuse them for their form or size.
    pub outputs: Vec<Emitted>,
}

/// One message a handler sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// Where to; covered by the handler's `outputs`.
    pub subject: String,
    /// The handler's own headers.
    pub headers: Vec<Header>,
    /// The payload.
    pub payload: Bytes,
}

/// One call's work.
#[derive(Debug, Default)]
pub struct Scratch {
    base: State,
    writes: BTreeMap<String, Option<Bytes>>,
    /// Keys and bytes of the state as the call sees it: counted at the first write.
    size: Option<Size>,
    outputs: Vec<Emitted>,
    output_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Size {
    keys: usize,
    bytes: usize,
}

fn too_large(message: String) -> Failure {
    Failure::new(FailureKind::TooLarge, message)
}

fn refused(message: String) -> Failure {
    Failure::new(FailureKind::OutputRefused, message)
}

/// Text from a handler inside a message about it.
fn quoted(text: &str) -> String {
    format!("`{}`", one_line(text, 256))
}

impl Scratch {
    /// A call that finds this state.
    #[must_use]
    pub fn new(base: State) -> Self {
        Self { base, ..Self::default() }
    }

    /// The state as it came, and what the call wants done.
    #[must_use]
    pub fn finish(self) -> (State, Effects) {
        let Self { base, writes, outputs, .. } = self;
        let writes = writes.into_iter().filter(|(key, value)| base.get(key) != value.as_ref()).collect();
        (base, Effects { writes, outputs })
    }

    /// The value under a key, or none.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Bytes> {
        match self.writes.get(key) {
            Some(written) => written.as_ref(),
            None => self.base.get(key),
        }
    }

    /// Puts a value under a key.
    ///
    /// # Errors
    /// [`FailureKind::TooLarge`] past `state-value-max`, `state-keys-max` or `state-max`, or for a key of more than [`STATE_KEY_BYTES_MAX`].
    pub fn set(&mut self, limits: &Limits, key: String, value: Bytes) -> Result<(), Failure> {
        if key.len() > STATE_KEY_BYTES_MAX {
            return Err(too_large(format!("state key {} has {} bytes, more than {STATE_KEY_BYTES_MAX}", quoted(&key), key.len())));
        }
        if value.len() > limits.state_value_max {
            let max = limits.state_value_max;
            return Err(too_large(format!(
                "state value under {} has {} bytes, more than state-value-max = {max}",
                quoted(&key),
                value.len()
            )));
        }
        let before = self.size();
        let old = self.get(&key).map(|old| key.len().saturating_add(old.len()));
        let after = Size {
            keys: before.keys.saturating_add(usize::from(old.is_none())),
            bytes: before.bytes.saturating_sub(old.unwrap_or(0)).saturating_add(key.len()).saturating_add(value.len()),
        };
        // What was stored under wider limits may still shrink.
        if after.keys > limits.state_keys_max && after.keys > before.keys {
            let max = limits.state_keys_max;
            return Err(too_large(format!("state key {} would be number {}, more than state-keys-max = {max}", quoted(&key), after.keys)));
        }
        if after.bytes > limits.state_max && after.bytes > before.bytes {
            let max = limits.state_max;
            return Err(too_large(format!("with {} the state has {} bytes, more than state-max = {max}", quoted(&key), after.bytes)));
        }
        self.size = Some(after);
        self.writes.insert(key, Some(value));
        Ok(())
    }

    /// Removes a key, if it is there.
    pub fn delete(&mut self, key: String) {
        let before = self.size();
        let Some(old) = self.get(&key).map(Bytes::len) else { return };
        self.size = Some(Size { keys: before.keys.saturating_sub(1), bytes: before.bytes.saturating_sub(key.len()).saturating_sub(old) });
        if self.base.contains_key(&key) {
            self.writes.insert(key, None);
        } else {
            self.writes.remove(&key);
        }
    }

    /// Keys that begin with `prefix` and follow `after`, ascending, at most `max`.
    #[must_use]
    pub fn keys(&self, prefix: &str, after: Option<&str>, max: u32) -> Vec<String> {
        let from = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let within = |key: &&String| key.starts_with(prefix);
        let first = match from {
            Bound::Excluded(after) => self.base.find_index(after).map_or_else(|at| at, |at| at.saturating_add(1)),
            _ => self.base.find_index(prefix).unwrap_or_else(|at| at),
        };
        let mut base = self.base.keys().skip(first).take_while(within).peekable();
        let mut writes = self.writes.range::<str, _>((from, Bound::Unbounded)).take_while(|(key, _)| within(key)).peekable();
        let mut keys = Vec::new();
        while keys.len() < usize::try_from(max).unwrap_or(usize::MAX) {
            let written = match (base.peek(), writes.peek()) {
                (None, None) => break,
                (Some(_), None) => None,
                (Some(old), Some((new, _))) if old < new => None,
                (old, Some((new, _))) => {
                    if old.is_some_and(|old| old == new) {
                        base.next();
                    }
                    writes.next()
                }
            };
            match written {
                Some((key, Some(_))) => keys.push(key.clone()),
                Some((_, None)) => {}
                None => keys.extend(base.next().cloned()),
            }
        }
        keys
    }

    /// Keeps a message to be sent; `allowed` are the handler's `outputs`.
    ///
    /// # Errors
    /// [`FailureKind::OutputRefused`] for a subject or header it may not use, [`FailureKind::TooLarge`] past a bound on outputs.
    pub fn emit(&mut self, limits: &Limits, allowed: &[String], message: Emitted) -> Result<(), Failure> {
        let Emitted { subject, headers, payload } = &message;
        if !valid_subject(subject) {
            return Err(refused(format!("subject {} is not one a message can be published to", quoted(subject))));
        }
        if !allowed.iter().any(|pattern| subject_matches(pattern, subject)) {
            let why = if allowed.is_empty() { "the handler has no `outputs`" } else { "not covered by the handler's `outputs`" };
            return Err(refused(format!("subject {}: {why}", quoted(subject))));
        }
        headers.iter().try_for_each(check_header)?;
        self.check_size(limits, subject, headers, payload.len())?;
        self.outputs.push(message);
        Ok(())
    }

    fn check_size(&mut self, limits: &Limits, subject: &str, headers: &[Header], payload: usize) -> Result<(), Failure> {
        let at = || format!("output {} to {}", self.outputs.len().saturating_add(1), quoted(subject));
        let over = |what: &str, size: usize, name: &str, max: usize| {
            if size > max { Err(too_large(format!("{}: {what} {size}, more than {name} = {max}", at()))) } else { Ok(()) }
        };
        let (frame, each) = HEADER_FRAME_BYTES;
        let header_bytes =
            headers.iter().map(|h| h.name.len().saturating_add(h.value.len()).saturating_add(each)).fold(frame, usize::saturating_add);
        let message = header_bytes.saturating_add(payload).saturating_add(OWN_HEADERS_BYTES);
        let total = self.output_bytes.saturating_add(subject.len()).saturating_add(header_bytes).saturating_add(payload);
        over("count", self.outputs.len().saturating_add(1), "outputs-max", limits.outputs_max)?;
        over("subject bytes", subject.len(), "the limit", limits.subject_bytes_max)?;
        over("headers", headers.len(), "the limit", limits.headers_max)?;
        over("header bytes", header_bytes, "the limit", limits.header_bytes_max)?;
        over("message bytes with the host's headers", message, "the broker's max_payload", limits.payload_max)?;
        over("bytes of this call's outputs", total, "output-bytes-max", limits.output_bytes_max)?;
        self.output_bytes = total;
        Ok(())
    }

    fn size(&mut self) -> Size {
        *self.size.get_or_insert_with(|| Size {
            keys: self.base.len(),
            bytes: self.base.iter().map(|(key, value)| key.len().saturating_add(value.len())).fold(0, usize::saturating_add),
        })
    }
}

/// A header the broker's protocol can carry, under a name that is not the host's.
fn check_header(header: &Header) -> Result<(), Failure> {
    let Header { name, value } = header;
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        return Err(refused(format!("header name {}: only visible ASCII without `:` and spaces", quoted(name))));
    }
    for ours in ["Nats-", "Seriatim-"] {
        if name.get(..ours.len()).is_some_and(|start| start.eq_ignore_ascii_case(ours)) {
            return Err(refused(format!("header {}: names that begin with `{ours}` belong to the host", quoted(name))));
        }
    }
    if value.contains(['\r', '\n', '\0']) {
        return Err(refused(format!("value of header {} holds a line break or NUL", quoted(name))));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits() -> Limits {
        Limits {
            state_max: 40,
            state_value_max: 10,
            state_keys_max: 4,
            outputs_max: 3,
            output_bytes_max: 200,
            payload_max: 5000,
            ..Limits::default()
        }
    }

    fn state(pairs: &[(&str, &'static str)]) -> State {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), Bytes::from_static(v.as_bytes()))).collect()
    }

    fn emitted(subject: &str, headers: &[(&str, &str)], payload: usize) -> Emitted {
        let headers = headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect();
        Emitted { subject: subject.into(), headers, payload: vec![b'x'; payload].into() }
    }

    #[test]
    fn what_changes_nothing_is_not_an_effect() {
        let mut s = Scratch::new(state(&[("a", "1"), ("b", "2")]));
        s.set(&limits(), "a".into(), "1".into()).unwrap();
        s.set(&limits(), "b".into(), "3".into()).unwrap();
        s.set(&limits(), "b".into(), "4".into()).unwrap();
        s.set(&limits(), "c".into(), "5".into()).unwrap();
        s.delete("c".into());
        s.delete("d".into());
        let (base, effects) = s.finish();
        assert_eq!(base, state(&[("a", "1"), ("b", "2")]));
        assert_eq!(effects.writes, vec![("b".to_owned(), Some(Bytes::from("4")))]);
    }

    #[test]
    fn each_state_bound_is_named() {
        let named = |r: Result<(), Failure>| r.map_err(|f| (f.kind, f.message)).unwrap_err();
        let mut s = Scratch::new(state(&[("a", "0123456789"), ("b", "0123456789"), ("c", "0123456789")]));
        for (key, value, name) in [("d", "01234567890", "state-value-max = 10"), ("d", "0123456789", "state-max = 40")] {
            let (kind, message) = named(s.set(&limits(), key.into(), value.into()));
            assert_eq!(kind, FailureKind::TooLarge);
            assert!(message.contains(name), "{message}");
        }
        s.set(&limits(), "d".into(), "".into()).unwrap();
        assert!(named(s.set(&limits(), "e".into(), "".into())).1.contains("state-keys-max = 4"));
        assert!(named(s.set(&limits(), "k".repeat(513), "".into())).1.contains("513 bytes"));
        s.delete("a".into());
        s.set(&limits(), "e".into(), "".into()).unwrap();
        let mut shrunk = limits();
        shrunk.state_max = 10;
        shrunk.state_keys_max = 1;
        s.set(&shrunk, "b".into(), "x".into()).unwrap();
    }

    #[test]
    fn what_may_not_be_emitted_is_refused() {
        let allowed = vec!["out.>".to_owned()];
        let mut s = Scratch::new(State::new());
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let cases: [Case<'_>; 15] = [
            ("other.x", &[], "outputs"),
            ("out", &[], "outputs"),
            ("out.*", &[], "not one a message"),
            ("out.>", &[], "not one a message"),
            ("out..x", &[], "not one a message"),
            ("out.a b", &[], "not one a message"),
            ("out.a\r\nPUB x 0", &[], "not one a message"),
            ("out.x", &[("", "v")], "header name"),
            ("out.x", &[("a:b", "v")], "header name"),
            ("out.x", &[("a b", "v")], "header name"),
            ("out.x", &[("é", "v")], "header name"),
            ("out.x", &[("A", "v\r\nB: w")], "line break"),
            ("out.x", &[("A", "v\0")], "line break or NUL"),
            ("out.x", &[("nAtS-Msg-Id", "v")], "belong to the host"),
            ("out.x", &[("SERIATIM-Entity", "v")], "belong to the host"),
        ];
        for (subject, headers, why) in cases {
            let failure = s.emit(&limits(), &allowed, emitted(subject, headers, 0)).unwrap_err();
            assert_eq!(failure.kind, FailureKind::OutputRefused, "{failure}");
            assert!(failure.message.contains(why) && !failure.message.contains('\n'), "{failure}");
        }
        assert!(s.emit(&limits(), &[], emitted("out.x", &[], 0)).unwrap_err().message.contains("no `outputs`"));
        s.emit(&limits(), &allowed, emitted("out.x", &[("Native", "ok"), ("Native", "")], 1)).unwrap();
        assert_eq!(s.finish().1.outputs.len(), 1);
    }

    #[test]
    fn each_output_bound_is_named() {
        let allowed = vec![">".to_owned()];
        let why = |limits: &Limits, sizes: &[usize]| {
            let mut s = Scratch::new(State::new());
            let failure = sizes.iter().find_map(|size| s.emit(limits, &allowed, emitted("out", &[("A", "b")], *size)).err())?;
            assert_eq!(failure.kind, FailureKind::TooLarge);
            Some(failure.message)
        };
        assert_eq!(why(&limits(), &[1, 1, 1]), None);
        assert!(why(&limits(), &[1, 1, 1, 1]).unwrap().contains("outputs-max = 3"));
        assert!(why(&limits(), &[90, 90]).unwrap().contains("output-bytes-max = 200"));
        // 12 bytes of frame, 6 of the header, 4096 for the host's own.
        let wide = Limits { output_bytes_max: usize::MAX, ..limits() };
        assert_eq!(why(&wide, &[5000 - 4096 - 18]), None);
        assert!(why(&wide, &[5000 - 4096 - 17]).unwrap().contains("max_payload = 5000"));
        assert!(why(&Limits { headers_max: 0, ..limits() }, &[1]).unwrap().contains("headers 1"));
        assert!(why(&Limits { header_bytes_max: 10, ..limits() }, &[1]).unwrap().contains("header bytes 18"));
        assert!(why(&Limits { subject_bytes_max: 2, ..limits() }, &[1]).unwrap().contains("subject bytes 3"));
    }

    proptest! {
        /// The scratch shows what a plain map would after the same steps, and its effects turn the base into that map.
        #[test]
        fn reads_see_writes(
            base in prop::collection::btree_map("[ab]{0,3}", "[0-9]{0,2}", 0..8),
            steps in prop::collection::vec(("[ab]{0,3}", prop::option::of("[0-9]{0,2}")), 0..12),
            prefix in "[ab]{0,2}", after in prop::option::of("[ab]{0,3}"), max in 0u32..6,
        ) {
            let base: State = base.into_iter().map(|(k, v)| (k, Bytes::from(v))).collect();
            let mut model = base.clone();
            let mut s = Scratch::new(base.clone());
            let wide = Limits::default();
            for (key, value) in steps {
                match value {
                    Some(value) => {
                        model.insert(key.clone(), value.clone().into());
                        s.set(&wide, key, value.into()).unwrap();
                    }
                    None => {
                        model.remove(&key);
                        s.delete(key);
                    }
                }
                let size = s.size();
                prop_assert_eq!(size.keys, model.len());
                prop_assert_eq!(size.bytes, model.iter().map(|(k, v)| k.len() + v.len()).sum::<usize>());
            }
            for key in model.keys().chain(base.keys()) {
                prop_assert_eq!(s.get(key), model.get(key));
            }
            let expected: Vec<String> = model
                .keys()
                .filter(|key| key.starts_with(&prefix) && after.as_ref().is_none_or(|after| *key > after))
                .take(max as usize)
                .cloned()
                .collect();
            prop_assert_eq!(s.keys(&prefix, after.as_deref(), max), expected);
            let (mut state, effects) = s.finish();
            prop_assert_eq!(&state, &base);
            for (key, value) in effects.writes {
                prop_assert_ne!(state.get(&key), value.as_ref());
                match value {
                    Some(value) => state.insert(key, value),
                    None => state.remove(&key),
                };
            }
            prop_assert_eq!(state, model);
        }
    }
}
