//! Built for wasm32-wasip2: uses the system through Rust's standard library as any program would (prints, reads clocks and randomness, sleeps,
//! opens a file, looks at its environment, connects) and emits what it found. The host's WASI is empty and deterministic; all of this must
//! work as on a machine that has nothing, and give the same answers for the same event.
//!
//! Payloads: `exit` exits the process, `panic` panics (to stderr), `flood` prints 1,000 lines; anything else reports.

use seriatim_guest::{Event, Failure, Handler, Output, export, subject_token};
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

struct Preview2;

impl Handler for Preview2 {
    fn handle(event: Event) -> Result<(), Failure> {
        match event.payload.as_slice() {
            b"exit" => std::process::exit(3),
            b"panic" => panic!("told to"),
            b"flood" => (0..1000).for_each(|n| println!("line {n}")),
            _ => {}
        }
        println!("handling {}", event.sequence);
        eprint!("half a line");

        let started = Instant::now();
        std::thread::sleep(Duration::from_secs(3600));
        let slept = started.elapsed();
        let mut random = [0_u8; 100];
        getrandom::fill(&mut random).map_err(|error| Failure::reject(error.to_string()))?;
        let order: Vec<u32> = (0..20).map(|n| (n, ())).collect::<HashMap<_, _>>().into_keys().collect();
        let report = serde_json::json!({
            "wall-ms": SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |at| at.as_millis() as u64),
            "slept-seconds": slept.as_secs(),
            "random": random.to_vec(),
            "hash-order": order,
            "file": std::fs::read("/etc/passwd").map(|_| ()).map_err(|error| error.to_string()),
            "create": std::fs::write("new-file", b"x").map_err(|error| error.to_string()),
            "listing": std::fs::read_dir("/").map(|_| ()).map_err(|error| error.to_string()),
            "stdin": std::io::read_to_string(std::io::stdin()).map_err(|error| error.to_string()),
            "environment": std::env::vars().count(),
            "arguments": std::env::args().count(),
            "connect": std::net::TcpStream::connect("127.0.0.1:4222").map(|_| ()).map_err(|error| error.to_string()),
            "resolve": std::net::ToSocketAddrs::to_socket_addrs("localhost:80").map(|found| found.count()).map_err(|error| error.to_string()),
        });
        Output::to(format!("out.{}", subject_token(&event.entity))).json(&report)?.emit();
        Ok(())
    }
}

export!(Preview2);
