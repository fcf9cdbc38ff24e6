//! Free ports below the range from which the system takes outgoing ones. That matters: a client that retries a port of that range on
//! which nobody listens can end up connected to itself, and a restarted broker could find its port taken.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 12_000;
const COUNT: u32 = 18_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A port on which nobody listened a moment ago and which this process gives out only once.
pub fn free() -> u16 {
    // Several test processes may run at once: each starts somewhere else.
    let start = std::process::id().wrapping_mul(97);
    for _ in 0..COUNT {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT;
        let port = u16::try_from(FIRST + offset).expect("below 30,000");
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
