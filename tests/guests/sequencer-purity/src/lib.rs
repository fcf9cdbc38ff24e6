//! The pure core in a module without a single import: no clock, no randomness, no system. What it decides here must be what it decides in
//! the host; `host/src/runtime/purity.rs` drives both with [`driver`] and
//! compares.

mod driver;

/// The fingerprint of everything the core did in `steps` steps from `seed`.
#[unsafe(no_mangle)]
pub extern "C" fn run(seed: u64, steps: u32) -> u64 {
    driver::drive(seed, steps).fingerprint
}
