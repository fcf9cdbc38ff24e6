//! Building with cargo, and finding what came out: by cargo's own messages, never by guessing at file names.

use std::io::BufReader;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process;
use crate::repo::Repo;

/// Every cargo command on the host's workspace names the same packages and features, so that one build serves them all.
pub(crate) const WORKSPACE: [&str; 3] = ["--workspace", "--features", "seriatim/failpoints,seriatim/mutants,seriatim-tests/simulation"];

/// One thing that cargo built.
#[derive(Debug, Deserialize)]
pub(crate) struct Artifact {
    pub(crate) package_id: String,
    pub(crate) target: Target,
    pub(crate) profile: Profile,
    pub(crate) filenames: Vec<PathBuf>,
    pub(crate) executable: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) kind: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Profile {
    pub(crate) test: bool,
}

#[derive(Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
enum Message {
    CompilerArtifact(Artifact),
    #[serde(other)]
    Other,
}

/// Runs a `cargo build` and returns what it made or found fresh. Compiler messages and progress go to stderr as usual.
pub(crate) fn artifacts(cargo: &mut Command) -> Result<Vec<Artifact>> {
    let mut child = cargo
        .arg("--message-format=json-render-diagnostics")
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {}", cargo.get_program().display()))?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    let mut artifacts = Vec::new();
    let mut unread = None;
    for message in serde_json::Deserializer::from_reader(BufReader::new(stdout)).into_iter::<Message>() {
        match message {
            Ok(Message::CompilerArtifact(artifact)) => artifacts.push(artifact),
            Ok(Message::Other) => {}
            Err(error) => {
                unread = Some(error);
                break;
            }
        }
    }
    let status = child.wait().context("cannot wait for cargo")?;
    if !status.success() {
        bail!("cargo build failed ({status})");
    }
    if let Some(error) = unread {
        return Err(error).context("cargo printed a message that cannot be read");
    }
    Ok(artifacts)
}

/// The programs of the host's workspace, built.
pub(crate) struct Programs(Vec<Artifact>);

impl Programs {
    /// Builds everything that the tests, the demo and the benchmark run.
    pub(crate) fn build(repo: &Repo) -> Result<Self> {
        let mut cargo = process::cargo();
        cargo.arg("build").args(WORKSPACE).args(["--bins", "--tests"]).current_dir(repo.root());
        Ok(Self(artifacts(&mut cargo)?))
    }

    /// Builds the programs as they are released: optimised, without failpoints. One selection of packages here too, so that one build serves all.
    pub(crate) fn released(repo: &Repo) -> Result<Self> {
        let mut cargo = process::cargo();
        cargo.args(["build", "--release", "--workspace", "--bins"]).current_dir(repo.root());
        Ok(Self(artifacts(&mut cargo)?))
    }

    /// Builds one program with everything that tests have, and optimised: for tools that run the host's parts for hours.
    pub(crate) fn optimised(repo: &Repo, name: &str) -> Result<Self> {
        let mut cargo = process::cargo();
        cargo.args(["build", "--release"]).args(WORKSPACE).args(["--bin", name]).current_dir(repo.root());
        Ok(Self(artifacts(&mut cargo)?))
    }

    /// Where the program with this name is.
    pub(crate) fn path(&self, name: &str) -> Result<PathBuf> {
        self.0
            .iter()
            .find(|artifact| artifact.target.name == name && artifact.target.kind == ["bin"] && !artifact.profile.test)
            .and_then(|artifact| artifact.executable.clone())
            .with_context(|| format!("cargo built no binary named {name}"))
    }
}

impl Programs {
    /// Where the tests of a target are: of a library, or of a test target.
    pub(crate) fn tests(&self, kind: &str, name: &str) -> Result<PathBuf> {
        self.0
            .iter()
            .find(|artifact| artifact.target.name == name && artifact.target.kind == [kind] && artifact.profile.test)
            .and_then(|artifact| artifact.executable.clone())
            .with_context(|| format!("cargo built no tests of the {kind} {name}"))
    }
}

/// Builds everything that the tests run, and returns the path of the `seriatim` binary.
pub(crate) fn host(repo: &Repo) -> Result<PathBuf> {
    Programs::build(repo)?.path("seriatim")
}

#[cfg(test)]
mod tests {
    use super::Message;

    #[test]
    fn reads_cargos_messages() {
        let line = r#"{"reason":"compiler-artifact","package_id":"path+file:///x/plugins/echo#0.1.0","manifest_path":"/x","target":{"kind":["cdylib"],
            "crate_types":["cdylib"],"name":"echo","src_path":"/x","edition":"2024"},"profile":{"opt_level":"s","test":false},"features":[],
            "filenames":["/x/echo.wasm"],"executable":null,"fresh":true}"#;
        let Message::CompilerArtifact(artifact) = serde_json::from_str(line).unwrap() else { panic!("not an artifact") };
        assert_eq!(artifact.target.kind, ["cdylib"]);
        assert!(matches!(serde_json::from_str(r#"{"reason":"build-finished","success":true}"#).unwrap(), Message::Other));
    }
}
