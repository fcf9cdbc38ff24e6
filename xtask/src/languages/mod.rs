//! Handlers in languages other than Rust: `plugins/<name>-<language>/` and `tests/guests/canary-<language>/`, each built by its language's own
//! tool to `target/languages/<folder>.wasm`. A handler whose sources and tools did not change is not built again.
//!
//! A language whose tools cannot be had is skipped by name, or an error where nothing may be left out (`--strict`, CI).

mod c;
mod find;
pub(crate) mod measure;
mod stamp;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::repo::Repo;
pub(crate) use toolchain::Toolchain;

/// Built at once: each takes a core and up to a gigabyte.
const AT_ONCE: usize = 2;

/// Where handlers lie.
const FOLDERS: [&str; 2] = ["plugins", "tests/guests"];

/// What a handler may be written in, beside Rust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Language {
    /// C, compiled by zig
    C,
    /// Zig
    Zig,
    /// Go
    Go,
    /// Python
    Python,
    /// JavaScript
    Javascript,
    /// All of them
    All,
}

impl Language {
    const EACH: [Self; 5] = [Self::C, Self::Zig, Self::Go, Self::Python, Self::Javascript];

    /// How folders of its handlers end.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Zig => "zig",
            Self::Go => "go",
            Self::Python => "python",
            Self::Javascript => "javascript",
            Self::All => "all",
        }
    }
}

/// One handler in its folder.
struct Plugin {
    name: String,
    folder: PathBuf,
    language: Language,
}

/// What was built: which languages, and the file of each handler by its name.
#[derive(Default)]
pub(crate) struct Built {
    pub(crate) languages: Vec<Language>,
    pub(crate) files: Vec<(String, PathBuf)>,
}

impl Built {
    /// The languages, as `SERIATIM_LANGUAGES` tells them to the tests.
    pub(crate) fn names(&self) -> String {
        self.languages.iter().map(|language| language.name()).collect::<Vec<_>>().join(",")
    }
}

/// The tools of these languages. One that cannot be had is left out by name, or an error if `strict`.
pub(crate) fn toolchains(repo: &Repo, asked: &[Language], strict: bool) -> Result<Vec<Toolchain>> {
    let _lock = repo.lock("languages")?;
    let mut toolchains = Vec::new();
    for language in Language::EACH.into_iter().filter(|language| asked.contains(language) || asked.contains(&Language::All)) {
        match Toolchain::ensure(repo, language) {
            Ok(toolchain) => toolchains.push(toolchain),
            Err(error) if strict => return Err(error).with_context(|| format!("handlers in {} cannot be built", language.name())),
            Err(error) => eprintln!("handlers in {}: skipped: {error:#}", language.name()),
        }
    }
    Ok(toolchains)
}

/// Builds the handlers in these languages.
pub(crate) fn build(repo: &Repo, asked: &[Language], strict: bool) -> Result<Built> {
    let toolchains = toolchains(repo, asked, strict)?;
    let _lock = repo.lock("languages")?;
    let mut built = Built { languages: toolchains.iter().map(Toolchain::language).collect(), files: Vec::new() };
    let plugins = plugins(repo)?;
    let jobs = plugins.iter().filter_map(|plugin| Some((plugin, of(&toolchains, plugin)?))).collect();
    in_parallel(jobs, |(plugin, toolchain)| compile(repo, plugin, toolchain))?;
    for plugin in plugins.iter().filter(|plugin| of(&toolchains, plugin).is_some()) {
        built.files.push((plugin.name.clone(), finished(repo, plugin)));
    }
    Ok(built)
}

/// Runs the handlers' own tests, natively, of the languages that were built.
pub(crate) fn test(repo: &Repo, languages: &[Language]) -> Result<()> {
    let toolchains = languages.iter().map(|&language| Toolchain::ensure(repo, language)).collect::<Result<Vec<_>>>()?;
    let plugins = plugins(repo)?;
    // Those for tests are tested by what they are for.
    let jobs = plugins.iter().filter(|plugin| plugin.folder.starts_with(repo.path("plugins")));
    let jobs = jobs.filter_map(|plugin| Some((plugin, of(&toolchains, plugin)?))).collect();
    in_parallel(jobs, |(plugin, toolchain)| run_tests(toolchain, &plugin.folder))
}

/// Runs the tests of the handler in this folder.
pub(crate) fn run_tests(toolchain: &Toolchain, folder: &Path) -> Result<()> {
    toolchain.test(folder)?.into_iter().try_for_each(|mut command| process::step(command.current_dir(folder)))
}

/// Builds the handler in this folder, and says where its component is.
pub(crate) fn run_build(toolchain: &Toolchain, folder: &Path, name: &str) -> Result<PathBuf> {
    let made = folder.join(toolchain.result(name));
    if let Some(folder) = made.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = toolchain.build(folder, name)?;
    process::step(command.current_dir(folder)).with_context(|| format!("cannot build {}", folder.display()))?;
    if !is_wasm(&made) {
        bail!("{name} was built, but {} is no WebAssembly file", made.display());
    }
    Ok(made)
}

fn of<'a>(toolchains: &'a [Toolchain], plugin: &Plugin) -> Option<&'a Toolchain> {
    toolchains.iter().find(|toolchain| toolchain.language() == plugin.language)
}

fn finished(repo: &Repo, plugin: &Plugin) -> PathBuf {
    repo.target().join("languages").join(format!("{}.wasm", plugin.name))
}

/// Every folder whose name ends in a language.
fn plugins(repo: &Repo) -> Result<Vec<Plugin>> {
    let mut plugins = Vec::new();
    for place in FOLDERS {
        let entries = fs::read_dir(repo.path(place)).with_context(|| format!("cannot read {place}"))?;
        for folder in entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if let Some(language) = language_of(&name) {
                plugins.push(Plugin { name, folder, language });
            }
        }
    }
    plugins.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(plugins)
}

fn language_of(folder: &str) -> Option<Language> {
    let (_, ending) = folder.rsplit_once('-')?;
    Language::EACH.into_iter().find(|language| language.name() == ending)
}

fn compile(repo: &Repo, plugin: &Plugin, toolchain: &Toolchain) -> Result<()> {
    let file = finished(repo, plugin);
    let stamp_file = file.with_extension("stamp");
    let stamp = stamp::of(repo, &plugin.folder, toolchain)?;
    if file.is_file() && fs::read_to_string(&stamp_file).is_ok_and(|there| there == stamp) {
        return Ok(());
    }
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let made = run_build(toolchain, &plugin.folder, &plugin.name)?;
    // The stamp last: what was cut off is built again.
    fs::copy(&made, &file).with_context(|| format!("cannot copy {}", made.display()))?;
    fs::write(&stamp_file, stamp).with_context(|| format!("cannot write {}", stamp_file.display()))
}

fn is_wasm(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"\0asm"))
}

/// Every job, a few at a time; the first error is the answer.
fn in_parallel<T: Send>(jobs: Vec<T>, work: impl Fn(T) -> Result<()> + Sync) -> Result<()> {
    let jobs = Mutex::new(jobs.into_iter());
    let next = || jobs.lock().ok()?.next();
    thread::scope(|scope| {
        let worker = || {
            while let Some(job) = next() {
                work(job)?;
            }
            Ok(())
        };
        let workers: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(|_| bail!("a build's thread panicked")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_says_its_language() {
        assert_eq!(language_of("echo-go"), Some(Language::Go));
        assert_eq!(language_of("rotation-javascript"), Some(Language::Javascript));
        for other in ["echo", "rotation", "go", "sequencer-purity", "echo-all"] {
            assert_eq!(language_of(other), None, "{other}");
        }
    }

    #[test]
    fn jobs_all_run_and_an_error_is_told() {
        let done = Mutex::new(Vec::new());
        in_parallel((0..20).collect(), |job| {
            done.lock().unwrap().push(job);
            Ok(())
        })
        .unwrap();
        let mut done = done.into_inner().unwrap();
        done.sort_unstable();
        assert_eq!(done, (0..20).collect::<Vec<_>>());
        let failed = in_parallel(vec![1, 2, 3], |job| if job == 2 { bail!("job {job}") } else { Ok(()) });
        assert_eq!(failed.unwrap_err().to_string(), "job 2");
    }
}
