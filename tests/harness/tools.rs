//! Where the built things are: `cargo xtask test` builds them and says so in the environment.

use std::env::var_os;
use std::path::PathBuf;

/// The `seriatim` binary, built with the `failpoints` feature.
pub fn seriatim() -> PathBuf {
    from_environment("SERIATIM_BIN")
}

/// A handler's component, e.g. `echo`.
pub fn plugin(name: &str) -> PathBuf {
    let path = from_environment("SERIATIM_PLUGINS").join(format!("{name}.wasm"));
    assert!(path.is_file(), "{} is not built. Run the tests with `cargo xtask test`.", path.display());
    path
}

/// Whether a handler that not every machine can build is there.
pub fn is_built(name: &str) -> bool {
    from_environment("SERIATIM_PLUGINS").join(format!("{name}.wasm")).is_file()
}

/// The languages beside Rust in which handlers are built: those that `SERIATIM_LANGUAGES` names, which must be there, else those that are there.
pub fn languages() -> Vec<String> {
    if let Some(names) = var_os("SERIATIM_LANGUAGES") {
        let names = names.into_string().expect("names of languages");
        return names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    }
    let folder = from_environment("SERIATIM_PLUGINS");
    let all = ["c", "zig", "go", "python", "javascript"];
    all.into_iter().filter(|name| folder.join(format!("echo-{name}.wasm")).is_file()).map(str::to_owned).collect()
}

/// The broker.
pub fn nats_server() -> PathBuf {
    from_environment("SERIATIM_NATS_SERVER")
}

/// Followers of a parked entity, where somebody asks for another number than every run has.
pub fn followers() -> Option<u64> {
    let text = var_os("SERIATIM_FOLLOWERS")?;
    Some(
        text.to_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("SERIATIM_FOLLOWERS is {}, not a number", text.display())),
    )
}

fn from_environment(name: &str) -> PathBuf {
    match var_os(name).map(PathBuf::from) {
        Some(path) if path.exists() => path,
        Some(path) => panic!("{name} names {}, which does not exist. Run the tests with `cargo xtask test`.", path.display()),
        None => panic!("{name} is not set. Run the tests with `cargo xtask test`: it builds what they need and sets it."),
    }
}
