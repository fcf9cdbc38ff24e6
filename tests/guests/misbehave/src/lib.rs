//! Does what its payload tells it to, so that one component serves every test of faults: `{"do": "spin"}`. The commands are the variants of
//! [`Command`]. A payload that is no command is echoed, as `plugins/echo` does.

use serde::{Deserialize, Serialize};
use seriatim_guest::log::Level;
use seriatim_guest::{Event, Failure, Handler, Output, config, delivery, export, log, state, subject_token};
use std::hint::black_box;
use std::sync::Mutex;

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Command {
    /// Panics with this message.
    Trap { message: Option<String> },
    /// Recurses without end.
    Overflow,
    /// Loops without end.
    Spin,
    /// Loops for about this many milliseconds (it has no clock), then echoes; with a name it says when it begins and ends.
    Slow { ms: u64, name: Option<String> },
    /// Allocates this many MiB, in pieces of this many bytes (one piece without), keeps them, then echoes.
    Grow { mib: usize, piece: Option<usize> },
    /// Asks for this many MiB, takes no for an answer, and emits `"granted"` or `"refused"`.
    AskForMemory { mib: usize },
    /// Emits this many messages of this many bytes.
    Flood { count: u64, bytes: usize },
    /// Writes this many log lines.
    LogFlood { count: u64 },
    /// Writes one log line.
    Log { level: String, message: String, fields: Vec<(String, String)> },
    /// Emits one message as told.
    Emit { subject: String, headers: Vec<(String, String)>, bytes: usize },
    /// Sets a value of this many bytes, then echoes.
    Set { key: String, bytes: usize },
    /// Sets this many keys (`k00000`, …) of this many bytes, then echoes.
    Fill { keys: usize, bytes: usize },
    /// Deletes a key, then echoes.
    Delete { key: String },
    /// Emits the length of a value, or null.
    Get { key: String },
    /// Emits the keys.
    Keys { prefix: String, after: Option<String>, max: u32 },
    /// Asks for a retry until this attempt, then echoes.
    Retry { until: u32 },
    /// Rejects.
    Reject { reason: String },
    /// Does work that must leave nothing behind (a write, an output), then fails: `retry`, `reject` or `trap`.
    FailAfterWork { how: String },
    /// Emits what it finds in its own memory: [`Spied`].
    Spy,
    /// Emits attempt, late and replay.
    Delivery,
    /// Emits the event as it came.
    Event,
    /// Emits a config value, or null.
    Config { key: String },
    /// Emits the bits of a NaN it computed.
    Nan,
}

/// What an instance can tell about its past. A fresh one has had 1 call, has seen nobody, and finds new memory empty.
#[derive(Serialize)]
struct Spied {
    calls: u64,
    seen: Vec<String>,
    zero: bool,
}

static PAST: Mutex<(u64, Vec<String>)> = Mutex::new((0, Vec::new()));

/// The handler.
#[derive(Debug)]
pub struct Misbehave;

impl Handler for Misbehave {
    fn handle(event: Event) -> Result<(), Failure> {
        let Ok(command) = serde_json::from_slice(&event.payload) else {
            return echo(&event);
        };
        match command {
            Command::Trap { message } => panic!("{}", message.unwrap_or_else(|| "told to".into())),
            Command::Overflow => {
                black_box(recurse(black_box(0)));
            }
            Command::Spin => loop {
                black_box(0);
            },
            Command::Slow { ms, name } => {
                if let Some(name) = &name {
                    seriatim_guest::info!("{name} begins");
                }
                let mut x = 1_u64;
                for _ in 0..ms * 400_000 {
                    x ^= x << 13;
                    x ^= x >> 7;
                    x ^= x << 17;
                }
                black_box(x);
                if let Some(name) = &name {
                    seriatim_guest::info!("{name} ends");
                }
            }
            Command::Grow { mib, piece } => {
                let total = mib << 20;
                let piece = piece.unwrap_or(total).max(1);
                let mut kept = Vec::new();
                for _ in 0..total.div_ceil(piece) {
                    kept.push(black_box(vec![1_u8; piece]));
                }
                black_box(kept);
            }
            Command::AskForMemory { mib } => {
                return tell(&event, if grow(mib << 4).is_some() { "granted" } else { "refused" });
            }
            Command::Flood { count, bytes } => {
                for _ in 0..count {
                    output(&event).bytes(vec![b'x'; bytes]).emit();
                }
                return Ok(());
            }
            Command::LogFlood { count } => {
                for n in 0..count {
                    seriatim_guest::info!("line {n}");
                }
            }
            Command::Log { level, message, fields } => {
                let level = match level.as_str() {
                    "trace" => Level::Trace,
                    "debug" => Level::Debug,
                    "warn" => Level::Warn,
                    "error" => Level::Error,
                    _ => Level::Info,
                };
                let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                log::write(level, &message, &fields);
            }
            Command::Emit { subject, headers, bytes } => {
                headers
                    .iter()
                    .fold(Output::to(subject), |output, (name, value)| output.header(name, value))
                    .bytes(vec![b'x'; bytes])
                    .emit();
                return Ok(());
            }
            Command::Set { key, bytes } => state::set_bytes(&key, &vec![b'x'; bytes]),
            Command::Fill { keys, bytes } => (0..keys).for_each(|n| state::set_bytes(&format!("k{n:05}"), &vec![b'x'; bytes])),
            Command::Delete { key } => state::delete(&key),
            Command::Get { key } => return tell(&event, &state::get_bytes(&key).map(|value| value.len())),
            Command::Keys { prefix, after, max } => return tell(&event, &state::keys(&prefix, after.as_deref(), max)),
            Command::Retry { until } => {
                if delivery::attempt() < until {
                    return Err(Failure::retry(format!("attempt {} of {until}", delivery::attempt())));
                }
            }
            Command::Reject { reason } => return Err(Failure::reject(reason)),
            Command::FailAfterWork { how } => {
                state::set("work", "left behind")?;
                echo(&event)?;
                match how.as_str() {
                    "retry" => return Err(Failure::retry("after work")),
                    "reject" => return Err(Failure::reject("after work")),
                    _ => panic!("after work"),
                }
            }
            Command::Spy => return spy(&event),
            Command::Delivery => return tell(&event, &(delivery::attempt(), delivery::late(), delivery::replay())),
            Command::Event => return tell_event(&event),
            Command::Config { key } => return tell(&event, &config(&key)),
            Command::Nan => return tell(&event, &(black_box(0.0_f64) / black_box(0.0)).to_bits()),
        }
        echo(&event)
    }
}

export!(Misbehave);

fn output(event: &Event) -> Output {
    Output::to(format!("{}.{}", config("to").unwrap_or_else(|| "out".into()), subject_token(&event.entity)))
}

fn echo(event: &Event) -> Result<(), Failure> {
    let count = state::get::<u64>("count")?.unwrap_or(0) + 1;
    state::set("count", &count)?;
    output(event).header("Echo-Sequence", event.sequence).header("Echo-Count", count).bytes(event.payload.clone()).emit();
    Ok(())
}

fn tell<T: Serialize + ?Sized>(event: &Event, what: &T) -> Result<(), Failure> {
    output(event).json(what)?.emit();
    Ok(())
}

fn tell_event(event: &Event) -> Result<(), Failure> {
    let headers: Vec<_> = event.headers.iter().map(|header| (&header.name, &header.value)).collect();
    tell(
        event,
        &serde_json::json!({
            "pipeline": event.pipeline, "entity": event.entity, "epoch": event.epoch, "sequence": event.sequence, "id": event.id,
            "kind": event.kind, "subject": event.subject, "time": event.time, "stream-sequence": event.stream_sequence,
            "headers": headers, "payload": event.payload.len(),
        }),
    )
}

/// Asks for so many pages of memory; the number of the first one.
#[cfg(target_arch = "wasm32")]
fn grow(pages: usize) -> Option<usize> {
    Some(core::arch::wasm32::memory_grow(0, pages)).filter(|page| *page != usize::MAX)
}

/// In a native test there is no such memory.
#[cfg(not(target_arch = "wasm32"))]
fn grow(_pages: usize) -> Option<usize> {
    None
}

fn spy(event: &Event) -> Result<(), Failure> {
    let Some(page) = grow(1) else {
        return Err(Failure::reject("no memory to look at"));
    };
    // SAFETY: the page was granted just now, and nobody else knows of it.
    let fresh = unsafe { core::slice::from_raw_parts_mut((page << 16) as *mut u8, 1 << 16) };
    let zero = fresh.iter().all(|byte| *byte == 0);
    fresh.fill(0xa5);
    let mut past = PAST.lock().map_err(|_| Failure::reject("poisoned"))?;
    past.0 += 1;
    let spied = Spied { calls: past.0, seen: past.1.clone(), zero };
    past.1.push(event.entity.clone());
    tell(event, &spied)
}

#[inline(never)]
#[allow(unconditional_recursion)]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[(depth % 64) as usize]
}
