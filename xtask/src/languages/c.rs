//! Handlers in C where there is no `make`: zig is called as `guest-sdk/c/handler.mk` calls it. That file and the handler's Makefile stay the only places
//! where flags and sources stand: they are read here, as far as they are lines `NAME := words`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Compiles the component.
pub(super) fn component(zig: &Path, folder: &Path, sdk: &Path, result: &Path) -> Result<Command> {
    let mut command = compiler(zig, folder, sdk, &["WASM", "CFLAGS"])?;
    command.arg("-o").arg(result).arg(sdk.join("component.c"));
    Ok(command)
}

/// Compiles the tests, and runs them.
pub(super) fn tests(zig: &Path, folder: &Path, sdk: &Path) -> Result<[Command; 2]> {
    let build = folder.join("build");
    fs::create_dir_all(&build).with_context(|| format!("cannot make {}", build.display()))?;
    let program = build.join("test");
    let mut command = compiler(zig, folder, sdk, &["NATIVE"])?;
    command.arg("-o").arg(&program).arg("test/test.c");
    Ok([command, Command::new(program)])
}

fn compiler(zig: &Path, folder: &Path, sdk: &Path, flags: &[&str]) -> Result<Command> {
    let mut command = Command::new(zig);
    command.arg("cc");
    for name in flags {
        command.args(words(&sdk.join("handler.mk"), name)?);
    }
    command.arg("-I").arg(sdk).args(words(&folder.join("Makefile"), "LOGIC")?).arg(sdk.join("memory.c"));
    Ok(command)
}

/// What a variable of a Makefile is set to.
fn words(file: &Path, name: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let values = text.lines().filter_map(|line| {
        let (before, value) = line.split_once('=')?;
        (before.trim_end_matches([':', '?']).trim_end() == name).then_some(value)
    });
    match values.collect::<Vec<_>>()[..] {
        [value] if !value.contains(['$', '\\', '#']) => Ok(value.split_whitespace().map(str::to_owned).collect()),
        _ => bail!(
            "{}: {name} is not set in one line of words; with `make` installed (Debian: `apt-get install make`) it need not be",
            file.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_makefiles_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let sdk = root.join("guest-sdk/c");
        let line = |command: &Command| command.get_args().map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>();
        for (folder, source) in
            [("plugins/echo-c", "src/echo.c"), ("plugins/rotation-c", "src/json.c"), ("tests/guests/canary-c", "src/canary.c")]
        {
            let made = line(&component(Path::new("zig"), &root.join(folder), &sdk, Path::new("x.wasm")).unwrap());
            for word in ["cc", "wasm32-wasi", "-Werror", "-Wl,--strip-all", source] {
                assert!(made.iter().any(|it| it == word), "{folder}: {word}: {made:?}");
            }
        }
        let native = line(&compiler(Path::new("zig"), &root.join("plugins/echo-c"), &sdk, &["NATIVE"]).unwrap());
        assert!(native.contains(&"-UNDEBUG".to_owned()) && !native.contains(&"wasm32-wasi".to_owned()), "{native:?}");
    }

    #[test]
    fn what_only_make_understands_is_not_guessed_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("Makefile");
        for (text, good) in [
            ("A := b c\n", true),
            ("A ?= b\nAB := c\n", true),
            ("A := $(wildcard *.c)\n", false),
            ("A := b \\\n c\n", false),
            ("B := c\n", false),
        ] {
            fs::write(&file, text).unwrap();
            assert_eq!(words(&file, "A").is_ok(), good, "{text}");
        }
    }
}
