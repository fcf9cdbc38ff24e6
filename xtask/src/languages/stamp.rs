//! What a build depends on, as one line: every source of the handler, what its language's handlers share, the interface, the tools' version and
//! how they are called. As long as the line is the same the handler is what it was.

use std::hash::Hasher;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::toolchain::Toolchain;
use crate::process;
use crate::repo::Repo;

/// Raised when handlers are built in another way by the same tools.
const VERSION: u32 = 2;

pub(super) fn of(repo: &Repo, folder: &Path, toolchain: &Toolchain) -> Result<String> {
    let mut paths = sources(repo, folder)?;
    paths.extend(sources(repo, &repo.path("wit"))?);
    for shared in toolchain.shared() {
        paths.extend(sources(repo, &repo.path(shared))?);
    }
    // Not for secrets: it tells one checkout's states apart.
    let mut hasher = std::hash::DefaultHasher::new();
    for path in paths {
        let bytes = std::fs::read(repo.path(&path)).with_context(|| format!("cannot read {path}"))?;
        hasher.write(path.as_bytes());
        hasher.write_usize(bytes.len());
        hasher.write(&bytes);
    }
    Ok(format!("{VERSION} {} {:016x}\n", toolchain.version(), hasher.finish()))
}

/// The file, or every file of the folder, that git tracks or would track, but for prose.
fn sources(repo: &Repo, folder: &Path) -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate", "--"]).arg(folder).current_dir(repo.root());
    let listed = process::stdout_of(&mut git)?;
    let mut paths: Vec<String> =
        listed.split_terminator('\0').filter(|path| !path.ends_with(".md") && repo.path(path).is_file()).map(str::to_owned).collect();
    paths.sort();
    Ok(paths)
}
