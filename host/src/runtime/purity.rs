//! Proof that the core is pure: inside a module that imports nothing it decides, effect for effect, what it decides here.
//!
//! The guest `sequencer-purity` is the sequencer and a driver of random inputs; the same driver is compiled into this test. It stands here
//! because wasmtime does.

use std::path::PathBuf;

use wasmtime::{Engine, Instance, Module, Store};

#[path = "../../../tests/guests/sequencer-purity/src/driver.rs"]
mod driver;

const SEEDS: u64 = 25;
const STEPS: u32 = 20_000;

fn guest() -> PathBuf {
    let folder = std::env::var_os("SERIATIM_PLUGINS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins")), PathBuf::from);
    let path = folder.join("sequencer-purity.wasm");
    assert!(path.is_file(), "{} is not built. Run the tests with `cargo xtask test`.", path.display());
    path
}

#[test]
fn the_core_imports_nothing_and_decides_the_same_everywhere() {
    let engine = Engine::default();
    let module = Module::from_file(&engine, guest()).unwrap();
    let imports: Vec<_> = module.imports().map(|import| format!("{}::{}", import.module(), import.name())).collect();
    assert_eq!(imports, Vec::<String>::new(), "a pure core needs nothing from outside");

    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).unwrap();
    let run = instance.get_typed_func::<(u64, u32), u64>(&mut store, "run").unwrap();
    let mut reached = driver::Tally::default();
    for seed in 0..SEEDS {
        let here = driver::drive(seed, STEPS);
        let there = run.call(&mut store, (seed, STEPS)).unwrap();
        assert_eq!(there, here.fingerprint, "seed {seed}: the core decided something else inside the module");
        reached.delivered += here.delivered;
        reached.committed += here.committed;
        reached.caught_up += here.caught_up;
        reached.dead += here.dead;
        reached.answered += here.answered;
        reached.restored += here.restored;
    }
    let counts = [reached.delivered, reached.committed, reached.caught_up, reached.dead, reached.answered, reached.restored];
    assert!(counts.iter().all(|count| *count > 100), "the driver no longer reaches everything: {reached:?}");
}
