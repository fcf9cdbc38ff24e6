//! Many components from one build: a test replaces [`NAME`] and [`VERSION`] in the built file. Each output says which name and version made it, so that it can be
//! held against the digest that the host names. State is `<version>:<count>` under `shape`; a version that it does not know is rejected.

use seriatim_guest::{Event, Failure, Handler, Lifecycle, Output, config, export, state, subject_token};
use std::collections::BTreeMap;
use std::hint::black_box;

/// What a test replaces: 16 bytes each.
static NAME: [u8; 16] = *b"NAME=one........";
static VERSION: [u8; 16] = *b"STATE-VERSION=01";

/// See the module.
#[derive(Debug)]
pub struct Versions;

fn name() -> String {
    let text = String::from_utf8_lossy(black_box(&NAME));
    text.trim_start_matches("NAME=").trim_end_matches('.').to_owned()
}

fn version() -> u32 {
    let text = String::from_utf8_lossy(black_box(&VERSION));
    text.trim_start_matches("STATE-VERSION=").parse().unwrap_or(0)
}

impl Handler for Versions {
    fn handle(event: Event) -> Result<(), Failure> {
        let to = config("to").ok_or_else(|| Failure::retry("the handler's config has no `to`"))?;
        let shape = state::get::<String>("shape")?.unwrap_or_else(|| format!("{}:0", version()));
        let count = match shape.split_once(':') {
            Some((found, count)) if found == version().to_string() => count.parse::<u64>().unwrap_or(0),
            _ => return Err(Failure::reject(format!("the state is {shape}, and this is version {}", version()))),
        };
        match event.payload.as_slice() {
            // Whoever is asked to look writes nothing.
            b"look" => {}
            b"stick" => state::set("stuck", &true)?,
            _ => state::set("shape", &format!("{}:{}", version(), count + 1))?,
        }
        let count = if event.payload == b"look" { count } else { count + 1 };
        Output::to(format!("{to}.{}", subject_token(&event.entity)))
            .header("Echo-Sequence", event.sequence)
            .header("Echo-Count", count)
            .header("Made-By", name())
            .header("Made-In", version())
            .bytes(event.payload)
            .emit();
        Ok(())
    }
}

impl Lifecycle for Versions {
    fn state_version() -> u32 {
        match name().as_str() {
            "loops" => loop {
                black_box(0);
            },
            "traps" => panic!("as a test asked for"),
            _ => version(),
        }
    }

    fn migrate(from: u32, state: BTreeMap<String, Vec<u8>>) -> Result<BTreeMap<String, Vec<u8>>, String> {
        if state.contains_key("stuck") {
            return Err(format!("stuck in version {from}"));
        }
        let old = format!("\"{from}:");
        let moved = |(key, value): (String, Vec<u8>)| {
            let text = String::from_utf8_lossy(&value).replacen(&old, &format!("\"{}:", version()), 1);
            (key, text.into_bytes())
        };
        Ok(state.into_iter().map(moved).collect())
    }
}

export!(Versions, lifecycle);
