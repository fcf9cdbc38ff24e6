//! The one table of all config keys: what each holds, its default, its bounds, what it means. The reader takes its defaults and bounds from
//! here, unknown keys are what is not here, and `docs/configuration.md` and `deploy/seriatim.toml` are compared with it by tests.

use std::fmt;

/// One key of the config file.
#[derive(Clone, Copy, Debug)]
pub struct KeyDoc {
    /// Path with `*` for a name that the operator chooses and `[]` for an element of a list of tables.
    pub path: &'static str,
    /// What it may hold.
    pub kind: Kind,
    /// Its default as TOML; none: see `required`.
    pub default: Option<&'static str>,
    /// Whether it must be written (within a table that is written).
    pub required: bool,
    /// What it means, one or two sentences of Markdown.
    pub doc: &'static str,
}

/// What a key may hold.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text that is not empty.
    Text,
    /// One of some words; `later` are known and not in this release.
    Word {
        /// Allowed.
        now: &'static [&'static str],
        /// Refused as "not in this release".
        later: &'static [&'static str],
    },
    /// `true` or `false`.
    Flag,
    /// A whole number.
    Integer(u64, u64),
    /// A whole number or a word in its place.
    IntegerOr(&'static str, u64, u64),
    /// A duration such as `"30s"`; bounds in milliseconds.
    Duration(u64, u64),
    /// A duration, or a word in its place.
    DurationOr(&'static str, u64, u64),
    /// A list of durations, at most this many; bounds in milliseconds.
    Durations(usize, u64, u64),
    /// A size such as `"16MiB"`; bounds in bytes.
    Size(u64, u64),
    /// A path of a file or folder, relative to the config file.
    File,
    /// A path of a file, or an object of an object store.
    Component,
    /// An address to listen on.
    Address,
    /// A list of server URLs.
    Servers,
    /// A list of host names.
    Hosts,
    /// The name of a stream.
    Stream,
    /// A list of subject patterns, at least one when `true`.
    Subjects(bool),
    /// Where in a message a value stands; a word may be allowed instead, another be refused as "not in this release".
    Source {
        /// Allowed beside the sources.
        word: Option<&'static str>,
        /// Refused as "not in this release".
        later: Option<&'static str>,
    },
    /// `"first"`, `"new"`, `{ sequence = N }` or `{ time = "…" }`.
    Start,
    /// The name of a handler.
    Name,
    /// A table of texts.
    Texts,
}

const MILLI: u64 = 1;
const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

const fn must(path: &'static str, kind: Kind, doc: &'static str) -> KeyDoc {
    KeyDoc { path, kind, default: None, required: true, doc }
}

const fn may(path: &'static str, kind: Kind, doc: &'static str) -> KeyDoc {
    KeyDoc { path, kind, default: None, required: false, doc }
}

const fn key(path: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> KeyDoc {
    KeyDoc { path, kind, default: Some(default), required: false, doc }
}

const SOURCE: Kind = Kind::Source { word: None, later: None };

/// Every key of `seriatim.toml`, in the order in which the documentation shows them.
#[rustfmt::skip]
pub const KEYS: &[KeyDoc] = &[
    key("nats.servers", Kind::Servers, r#"["nats://127.0.0.1:4222"]"#,
        "Servers to connect to; the others of their cluster are learned from them. Without user and password: those belong into files."),
    may("nats.credentials-file", Kind::File, "A `.creds` file (JWT and seed). Read again at every reconnect. At most one way to log in may be configured."),
    may("nats.nkey-file", Kind::File, "A file that holds an nkey seed."),
    may("nats.user", Kind::Text, "User name; needs `password-file`."),
    may("nats.password-file", Kind::File, "A file that holds the password of `user`; a final line break is not part of it."),
    may("nats.token-file", Kind::File, "A file that holds a token; a final line break is not part of it."),
    may("nats.tls.ca-file", Kind::File, "PEM file of the certificate authorities to trust, instead of the system's."),
    may("nats.tls.cert-file", Kind::File, "PEM file of the client's certificate; needs `key-file`."),
    may("nats.tls.key-file", Kind::File, "PEM file of the client's private key; needs `cert-file`."),
    key("nats.tls.required", Kind::Flag, "false", "Refuse a server that does not offer TLS."),

    key("store.kind", Kind::Word { now: &["embedded"], later: &["jetstream"] }, r#""embedded""#, "Where records are kept: on this host's disk."),
    key("store.path", Kind::File, r#""seriatim-data""#, "Folder of the embedded store. Made when it is missing; one host at a time."),
    key("store.cache", Kind::Size(MIB, 16 * GIB), r#""64MiB""#, "What was read from the store's files and is kept in memory, at most. Entities that come back often and do not fit into `run.entities-max` profit from more."),

    key("telemetry.listen", Kind::Address, r#""127.0.0.1:9464""#, "Address of `/healthz`, `/readyz` and `/metrics`: read-only, without login."),

    key("admin.listen", Kind::Address, r#""127.0.0.1:9465""#, "Address of the API and the page. Any address but a loopback one needs `tls` and `token-file`."),
    may("admin.token-file", Kind::File, "Who may ask: one token a line, `name role token`, with the role `read` or `operate`; requests carry a token as `Authorization: Bearer`. Without it everybody on this machine may."),
    key("admin.hosts", Kind::Hosts, "[]", "Names by which the API may be asked, besides `localhost` and addresses. Requests with another `Host` are refused, so that no web page can ask through a browser."),
    must("admin.tls.cert-file", Kind::File, "PEM file of the server's certificate chain."),
    must("admin.tls.key-file", Kind::File, "PEM file of the server's private key."),

    key("run.shards", Kind::IntegerOr("cores", 1, 1_024), r#""cores""#,
        "Single-owner loops that the entities are spread over; `\"cores\"` is one for each processor core."),
    key("run.drain", Kind::Duration(0, HOUR), r#""20s""#,
        "How long a graceful stop may take. What is not confirmed by then stays in the outbox and leaves after the next start."),
    key("run.prefetch-messages", Kind::Integer(1, 1_000_000), "10000", "Messages read ahead of the shards, for each pipeline. Full: the reader waits, and the broker with it."),
    key("run.prefetch-bytes", Kind::Size(MIB, 16 * GIB), r#""64MiB""#, "The same in bytes; whichever is reached first."),
    key("run.queue-max", Kind::Integer(1, 1_000_000), "1000", "In-order events of one entity that wait in memory behind the running one. Past it the entity waits, and later arrivals are read again."),
    key("run.calls-max", Kind::Integer(1, 10_000), "64", "Handler calls set aside for each shard because they did not finish within a tick. Full: the shard takes no further events until one ends."),
    key("run.commits-max", Kind::Integer(1, 10_000), "256", "Commits of one entity in flight. Full: its next event waits; once half of `queue-max` waits behind it, so does the reader, for as long as a commit takes."),
    key("run.catch-ups-max", Kind::Integer(1, 1_000), "8", "Catch-ups that read at the same time; further ones wait, oldest alarm first."),
    key("run.held-bytes", Kind::Size(MIB, TIB), r#""256MiB""#, "Bytes of all held events together. Past it the entity that holds most waits and its highest held events are read again later."),
    key("run.entities-max", Kind::Integer(1_000, 1_000_000_000), "1000000", "Entities in memory. Past it idle ones leave; their records stay in the store, and they are loaded when they are needed."),
    key("run.publish-window", Kind::Integer(1, 100_000), "4000", "Outputs sent and not yet confirmed. Full: further outputs wait in their outboxes."),
    key("run.given-up-ranges-max", Kind::Integer(1, 10_000), "64", "Given-up ranges of sequences remembered for each entity. Full: the oldest fold into the floor, below which an unknown id is late; ranges above the position never fold, the entity parks."),
    key("run.outbox-max", Kind::Integer(1, 100_000), "64", "Outputs and dead letters of one entity not yet confirmed. Full: its next event waits."),
    key("run.pipeline-outbox-max", Kind::Integer(1, 1_000_000), "10000", "Dead letters of messages without an entity not yet confirmed, for each pipeline. Full: the pipeline stops reading, says so in `/readyz`, and goes on when there is room."),
    key("run.lifecycle-queue", Kind::Integer(0, 1_000_000), "10000", "Lifecycle events (`seriatim.events.…`) that wait to be sent. Full: further ones are counted and not sent; as soon as there is room, the state of all entities that wait is sent again. `0`: none are sent."),
    key("run.retention-near-percent", Kind::Integer(0, 100), "10", "Share of the source stream's limits (`max_age`, `max_msgs`, `max_bytes`) below which what is left of them, until they remove something that is still to be done, is warned of. `0`: never."),
    key("run.compile-time-max", Kind::Duration(SECOND, HOUR), r#""2m""#, "Processor time that compiling a component may take, at a start and in a running host; by the clock four times as long. Past it the process that compiles is ended, and the component refused (`compile`)."),
    key("run.compile-memory-max", Kind::Size(256 * MIB, TIB), r#""4GiB""#, "Address space of the process that compiles a component; less than half of what the machine or the container has beside the host: a rollback may compile beside a load. Past it the component is refused (`compile`)."),

    key("dead-letters.max-bytes", Kind::Size(MIB, 1_024 * TIB), r#""10GiB""#, "Size of the stream `SERIATIM_DEAD_LETTERS`. Full: new dead letters are refused, and entities that owe one wait."),
    key("dead-letters.max-age", Kind::DurationOr("none", HOUR, 36_500 * DAY), r#""none""#, "Age at which dead letters are deleted; `\"none\"`: never."),

    must("pipelines.*.stream", Kind::Stream, "Stream to read."),
    must("pipelines.*.subjects", Kind::Subjects(true), "Subjects to read, as NATS patterns. They may not overlap."),
    key("pipelines.*.read", Kind::Word { now: &["ordered"], later: &["durable"] }, r#""ordered""#, "How the stream is read. `\"ordered\"`: without gaps, and without acks; progress is kept in the store."),
    key("pipelines.*.start", Kind::Start, r#""first""#, "Where a new pipeline starts: `\"first\"` message there is, `\"new\"` ones only, `{ sequence = N }` of the stream, or `{ time = \"2013-01-01T00:00:00Z\" }`. Resolved once; later changes have no effect."),
    may("pipelines.*.retain", Kind::Duration(SECOND, 36_500 * DAY), "How long an entity is remembered of which nothing comes, by the broker's clock: then its state and ids go; where it stands (epoch, position, what was given up) stays. Without this key: for ever. See [Retention of entities](#retention-of-entities)."),

    key("pipelines.*.event.format", Kind::Word { now: &["raw"], later: &["cloudevents", "msgpack"] }, r#""raw""#, "What a message is. `\"raw\"`: the payload is handed on as it came."),
    must("pipelines.*.event.entity", SOURCE, "Where the entity's name stands. A subject token is taken as it stands."),
    key("pipelines.*.event.sequence", Kind::Source { word: None, later: Some("stream") }, r#""header:Seriatim-Sequence""#, "Where the producer's number of the event within its entity stands."),
    key("pipelines.*.event.id", Kind::Source { word: Some("content"), later: None }, r#""header:Seriatim-Id""#, "Where the producer's id stands. Without one there: `Nats-Msg-Id`, else none, and duplicates are known by their sequence alone. `\"content\"`: the hash of the payload."),
    key("pipelines.*.event.kind", SOURCE, r#""header:Seriatim-Type""#, "Where the kind of event stands; may be missing there."),
    key("pipelines.*.event.time", SOURCE, r#""header:Seriatim-Time""#, "Where the producer's time stands (RFC 3339); else it is the broker's timestamp."),
    may("pipelines.*.event.epoch", SOURCE, "Where the epoch stands, a number which a producer that starts over raises. Without this key it is 0."),

    key("pipelines.*.order.by", Kind::Word { now: &["sequence"], later: &["version", "stream", "none"] }, r#""sequence""#, "What the order of an entity's events is. `\"sequence\"`: contiguous numbers, gaps are seen."),
    key("pipelines.*.order.first-sequence", Kind::IntegerOr("any", 1, i64::MAX as u64), "1", "Sequence at which a new entity starts; `\"any\"`: the lowest seen within `gap.wait`."),
    key("pipelines.*.order.accept-missing-history", Kind::Flag, "false", "Accept that the stream does not start at its beginning although `first-sequence` is a number: the earliest events of old entities are then gaps."),
    key("pipelines.*.order.late", Kind::Word { now: &["dead-letter", "drop", "deliver"], later: &[] }, r#""dead-letter""#, "What happens to an event whose sequence had been given up; see [Late events](#late-events)."),
    key("pipelines.*.order.gap.wait", Kind::Duration(100 * MILLI, 365 * DAY), r#""30s""#, "How long a missing event is waited for, on stream time: never because this host was down, behind or cut off."),
    key("pipelines.*.order.gap.held-max", Kind::Integer(1, 1_000_000), "1000", "Early events of one entity held in memory. Past it the entity waits and the highest are read again later; nothing is given up."),
    key("pipelines.*.order.gap.jump-max", Kind::Integer(1, i64::MAX as u64), "1000000", "A sequence more than this ahead of the position is malformed."),
    key("pipelines.*.order.gap.then", Kind::Word { now: &["skip", "dead-letter", "park", "stop"], later: &[] }, r#""park""#, "What happens when `wait` is over; see [Gaps](#gaps)."),
    key("pipelines.*.order.dedup.ids", Kind::Integer(1, 10_000), "64", "Recent ids remembered for each entity, as hashes."),

    key("pipelines.*.failure.retry", Kind::Durations(100, MILLI, 7 * DAY), r#"["100ms", "1s", "10s"]"#, "Delays between the attempts of an event; their number is the number of retries. `[]`: none."),
    key("pipelines.*.failure.then", Kind::Word { now: &["dead-letter", "park", "stop"], later: &[] }, r#""dead-letter""#, "What happens when the attempts are exhausted; see [Failures](#failures)."),

    key("pipelines.*.failure.breaker.percent", Kind::Integer(0, 100), "50", "Share of the last `events` calls of a handler from which on traps, time-outs and `memory` failures open the circuit breaker; see [The circuit breaker](#the-circuit-breaker). `0`: never."),
    key("pipelines.*.failure.breaker.events", Kind::Integer(1, 10_000), "100", "Calls of each handler that are looked at, retries included."),
    key("pipelines.*.failure.breaker.entities", Kind::Integer(1, 10_000), "3", "Entities, at least, that the failures have to come from; not more than `events`."),
    key("pipelines.*.failure.breaker.delay", Kind::Duration(10 * MILLI, DAY), r#""10s""#, "From opening to the first probe."),
    key("pipelines.*.failure.breaker.delay-max", Kind::Duration(10 * MILLI, DAY), r#""5m""#, "Each probe that fails doubles the delay up to this; not less than `delay`."),

    must("pipelines.*.handlers[].name", Kind::Name, "Name of the handler within the pipeline. It owns its state: a new name starts empty."),
    must("pipelines.*.handlers[].component", Kind::Component, "The WebAssembly component, or core module made for our world: the path of a file, relative to the config file, or `object:BUCKET/NAME` in a JetStream object store. When it changes, the new one takes over while the host runs (docs/operations.md); a relative path begins at the folder of the config file."),
    key("pipelines.*.handlers[].config", Kind::Texts, "{}", "Values that the handler can ask for by name; texts only."),
    key("pipelines.*.handlers[].outputs", Kind::Subjects(false), "[]", "Subjects it may emit to, as NATS patterns; each must be covered by a stream. An output elsewhere is `output-refused`."),
    key("pipelines.*.handlers[].isolation", Kind::Word { now: &["run", "event", "shared"], later: &[] }, r#""run""#, "`\"run\"`: one instance serves consecutive events of one entity. `\"event\"`: a fresh one for each event. `\"shared\"`: reused across entities."),
    key("pipelines.*.handlers[].memory-max", Kind::Size(64 * KIB, 4 * GIB), r#""16MiB""#, "Memory of one instance, over all its memories and tables. Past it the call fails as `memory`."),
    key("pipelines.*.handlers[].time-max", Kind::Duration(10 * MILLI, HOUR), r#""1s""#, "Time of one call, in ticks of 10 ms. Past it the call fails as `timeout`."),
    key("pipelines.*.handlers[].state-max", Kind::Size(KIB, 64 * MIB), r#""1MiB""#, "State of one entity, keys and values together. Past it the call fails as `too-large`."),
    key("pipelines.*.handlers[].state-value-max", Kind::Size(KIB, 64 * MIB), r#""256KiB""#, "One value of the state; not more than `state-max`."),
    key("pipelines.*.handlers[].state-keys-max", Kind::Integer(1, 1_000_000), "1000", "Keys in the state of one entity."),
    key("pipelines.*.handlers[].outputs-max", Kind::Integer(1, 10_000), "100", "Outputs of one event. One more fails the call as `too-large`."),
    key("pipelines.*.handlers[].output-bytes-max", Kind::Size(KIB, 256 * MIB), r#""1MiB""#, "Bytes of all outputs of one event, with subjects and headers."),
    key("pipelines.*.handlers[].log-lines-max", Kind::Integer(1, 100_000), "100", "Log lines of one call. One more ends it (`too-large`); lines printed through WASI are dropped instead."),
];

/// The entry of a path as it stands in the table.
pub(super) fn find(path: &str) -> Option<&'static KeyDoc> {
    KEYS.iter().find(|key| key.path == path)
}

/// A duration in its largest whole unit, such as `30s` or `100ms`.
pub(super) fn duration_text(millis: u64) -> String {
    for (unit, name) in [(DAY, "d"), (HOUR, "h"), (60 * SECOND, "m"), (SECOND, "s")] {
        if millis >= unit && millis.is_multiple_of(unit) {
            return format!("{}{name}", millis / unit);
        }
    }
    format!("{millis}ms")
}

/// A size in its largest whole unit, such as `16MiB`.
pub(super) fn size_text(bytes: u64) -> String {
    for (unit, name) in [(TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    format!("{bytes}B")
}

/// Words as TOML texts with commas between them.
pub(super) fn words_text(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// What is allowed, in words: for messages and for the documentation.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Text => f.write_str("a text"),
            Self::Word { now, .. } => f.write_str(&words_text(now)),
            Self::Flag => f.write_str("true, false"),
            Self::Integer(min, max) => write_integer(f, min, max),
            Self::IntegerOr(word, min, max) => {
                write_integer(f, min, max)?;
                write!(f, ", or \"{word}\"")
            }
            Self::Duration(min, max) => write!(f, "a duration, \"{}\" to \"{}\"", duration_text(min), duration_text(max)),
            Self::DurationOr(word, min, max) => {
                write!(f, "a duration, \"{}\" to \"{}\", or \"{word}\"", duration_text(min), duration_text(max))
            }
            Self::Durations(count, min, max) => {
                write!(f, "at most {count} durations, each \"{}\" to \"{}\"", duration_text(min), duration_text(max))
            }
            Self::Size(min, max) => write!(f, "a size, \"{}\" to \"{}\"", size_text(min), size_text(max)),
            Self::File => f.write_str("a path"),
            Self::Component => f.write_str("a path, or \"object:BUCKET/NAME\""),
            Self::Address => f.write_str("an IP address and a port, such as \"127.0.0.1:9464\""),
            Self::Servers => f.write_str("a list of URLs, such as [\"nats://127.0.0.1:4222\"]"),
            Self::Hosts => f.write_str("a list of host names, such as [\"seriatim.example.com\"]"),
            Self::Stream => f.write_str("the name of a stream"),
            Self::Subjects(true) => f.write_str("a list of at least one subject pattern"),
            Self::Subjects(false) => f.write_str("a list of subject patterns"),
            Self::Source { word, .. } => {
                f.write_str("\"subject:N\", \"header:NAME\", \"json:/pointer\", \"msgpack:/pointer\"")?;
                word.map_or(Ok(()), |word| write!(f, ", \"{word}\""))
            }
            Self::Start => f.write_str("\"first\", \"new\", { sequence = N }, { time = \"2013-01-01T00:00:00Z\" }"),
            Self::Name => f.write_str("a name: a to z, 0 to 9 and -, a letter first, at most 32 characters"),
            Self::Texts => f.write_str("a table of texts"),
        }
    }
}

fn write_integer(f: &mut fmt::Formatter<'_>, min: u64, max: u64) -> fmt::Result {
    if max >= i64::MAX as u64 { write!(f, "a whole number, {min} or more") } else { write!(f, "a whole number, {min} to {max}") }
}
