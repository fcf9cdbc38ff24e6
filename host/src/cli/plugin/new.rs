//! `seriatim plugin new`.

use super::templates::{self, Sdk};
use crate::cli::door::{Failure, Said};
use clap::builder::PossibleValuesParser;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Longest name of a handler, characters; the config's rule.
const NAME_MAX: usize = 32;

/// Arguments of `plugin new`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The handler's name: a to z, 0 to 9 and -, a letter first, at most 32 characters.
    #[arg(value_name = "NAME", value_parser = name)]
    name: String,
    /// What to write it in.
    #[arg(long, value_name = "LANGUAGE", default_value = "rust", value_parser = languages())]
    language: String,
    /// The folder to make, which may be there if it is empty; without it one of the handler's name.
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// Rust: take the SDK from this checkout of the project, instead of the copy of it that is otherwise written into the folder. Handlers in other languages
    /// always have a copy of what they share.
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

fn languages() -> PossibleValuesParser {
    PossibleValuesParser::new(templates::ALL.iter().map(|template| template.language))
}

fn name(text: &str) -> Result<String, String> {
    let good = text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && text.len() <= NAME_MAX;
    if good { Ok(text.to_owned()) } else { Err("allowed: a to z, 0 to 9 and -, a letter first, at most 32 characters".to_owned()) }
}

pub(super) fn run(args: &Args) -> Result<Said, Failure> {
    let Some(template) = templates::ALL.iter().find(|template| template.language == args.language) else {
        return Err(Failure::Usage(format!("{} is not a language that there are handlers in", args.language)));
    };
    if template.refused.contains(&args.name.as_str()) {
        return Err(Failure::Usage(format!("`{}` cannot be the name of a {} library; choose another", args.name, template.language)));
    }
    let (sdk, copied) = match (&template.sdk, &args.sdk) {
        (None, None) => (String::new(), true),
        (None, Some(_)) => {
            let text = format!("--sdk: a handler in {} depends on no package; what it needs is written into its folder", template.language);
            return Err(Failure::Usage(text));
        }
        (Some(sdk), None) => (sdk.copied.to_owned(), true),
        (Some(sdk), Some(folder)) => (local(sdk, folder)?, false),
    };
    let folder = args.path.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let filled = |text: &str| fill(text, &args.name, &sdk);
    let mut files: Vec<_> = template.files.iter().map(|(name, text)| (filled(name), filled(text))).collect();
    if copied {
        let manifests = template.sdk.iter().flat_map(|sdk| sdk.manifests).map(|&(name, text)| (name.to_owned(), text.to_owned()));
        files.extend(manifests.chain(template.copies.iter().map(|copied| (copied.path.to_owned(), copied.text()))));
    }
    write(&folder, &files).map_err(|(path, error)| Failure::Failed(format!("{}: {error}", path.display())))?;
    let steps: String = filled(template.next).lines().map(|step| format!("  {step}\n")).collect();
    Ok(Said::of(format!("{} is there. In it:\n{steps}{}", folder.display(), template.network)))
}

/// The SDK of a checkout.
fn local(sdk: &Sdk, checkout: &Path) -> Result<String, Failure> {
    let inside = checkout.join(sdk.folder);
    let itself = checkout.file_name().is_some_and(|name| name == sdk.folder);
    let folder = if itself { checkout } else { &inside };
    let whole = fs::canonicalize(folder).ok().filter(|folder| folder.join(sdk.has).is_file());
    let Some(whole) = whole.as_deref().and_then(Path::to_str) else {
        return Err(Failure::Failed(format!("--sdk {}: no {} with a {} in it", checkout.display(), sdk.folder, sdk.has)));
    };
    // A JSON text is a TOML text, too.
    let quoted = serde_json::to_string(whole).map_err(|error| Failure::Failed(format!("--sdk: {error}")))?;
    Ok(sdk.local.replace("{{path}}", &quoted))
}

fn fill(text: &str, name: &str, sdk: &str) -> String {
    let parts = name.split('-').filter(|part| !part.is_empty());
    let kind: String = parts
        .map(|part| {
            let mut letters = part.chars();
            letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
        })
        .collect();
    text.replace("{{name}}", name).replace("{{snake}}", &name.replace('-', "_")).replace("{{type}}", &kind).replace("{{sdk}}", sdk)
}

/// Writes all files into a folder that is new or empty.
fn write(folder: &Path, files: &[(String, String)]) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    fs::create_dir_all(folder).map_err(at(folder))?;
    if fs::read_dir(folder).map_err(at(folder))?.next().is_some() {
        return Err(at(folder)(io::Error::other("is there and not empty; name another with --path")));
    }
    for (name, text) in files {
        let path = folder.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(at(parent))?;
        }
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(at(&path))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout(path: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
    }

    fn args(name: &str, path: PathBuf) -> Args {
        Args { name: name.to_owned(), language: "rust".to_owned(), path: Some(path), sdk: None }
    }

    #[test]
    fn names_are_those_of_handlers() {
        assert!(name("orders-totals").is_ok() && name("a1").is_ok());
        for bad in ["", "1a", "-a", "A", "a_b", "ä", &"a".repeat(33)] {
            assert!(name(bad).is_err(), "{bad}");
        }
        let text = fill("{{name}} {{snake}} {{type}} {{sdk}}", "orders-2-go", "x");
        assert_eq!(text, "orders-2-go orders_2_go Orders2Go x");
    }

    #[test]
    fn every_language_fills_every_place() {
        for template in templates::ALL {
            let folder = tempfile::tempdir().unwrap();
            let made = folder.path().join("made");
            run(&Args { language: template.language.to_owned(), ..args("orders", made.clone()) }).unwrap();
            for (name, _) in template.files {
                let text = fs::read_to_string(made.join(fill(name, "orders", ""))).unwrap();
                let left = ["name", "snake", "type", "sdk", "path"].map(|place| format!("{{{{{place}}}}}"));
                assert!(!left.iter().any(|left| text.contains(left)), "{} {name}: {text}", template.language);
            }
            for copied in template.copies {
                let text = fs::read_to_string(made.join(copied.path)).unwrap();
                let whole = fs::read_to_string(checkout(copied.from)).unwrap();
                let (first, rest) = text.split_once("\n\n").unwrap();
                assert!(first.contains(&format!("Copied from {} of Seriatim", copied.from)) && rest == whole, "{}", copied.path);
            }
        }
    }

    #[test]
    fn nothing_is_written_over_and_no_name_is_taken_that_will_not_build() {
        let folder = tempfile::tempdir().unwrap();
        let said = run(&args("totals", folder.path().join("new"))).unwrap();
        assert!(said.text.contains("cargo build") && said.text.contains("release/totals.wasm"), "{}", said.text);
        assert!(said.text.contains("network") && said.note.is_empty(), "{}", said.text);
        let Err(Failure::Failed(text)) = run(&args("totals", folder.path().join("new"))) else { panic!("written over") };
        assert!(text.contains("not empty"), "{text}");
        assert!(matches!(run(&args("loop", folder.path().join("other"))), Err(Failure::Usage(_))));
        let go = |name| Args { language: "go".to_owned(), ..args(name, folder.path().join("other")) };
        assert!(matches!(run(&go("vendor")), Err(Failure::Usage(_))));
        assert!(matches!(run(&Args { sdk: Some(folder.path().to_owned()), ..go("totals") }), Err(Failure::Usage(_))));
        assert!(!folder.path().join("other").exists());
    }

    #[test]
    fn the_sdk_of_a_checkout_is_named_by_its_whole_path() {
        let folder = tempfile::tempdir().unwrap();
        let sdk = templates::ALL[0].sdk.as_ref().unwrap();
        assert!(matches!(local(sdk, folder.path()), Err(Failure::Failed(_))));
        let inside = folder.path().join("guest-sdk");
        fs::create_dir(&inside).unwrap();
        fs::write(inside.join("Cargo.toml"), "").unwrap();
        let named = local(sdk, folder.path()).unwrap();
        assert_eq!(named, local(sdk, &inside).unwrap());
        assert_eq!(named, format!("seriatim-guest = {{ path = {:?} }}", fs::canonicalize(&inside).unwrap()));
    }

    /// The Rust files below a folder of the checkout.
    fn sources(folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(checkout(folder)).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() { found.extend(sources(&path)) } else { found.push(path) }
        }
        found
    }

    #[test]
    fn the_copied_sdk_is_whole_and_a_checkouts_takes_its_place() {
        let rust = &templates::ALL[0];
        let copied = |from: &str| rust.copies.iter().any(|copied| copied.from == from);
        for source in ["guest-sdk/src", "host/contract/src"].iter().flat_map(|folder| sources(folder)) {
            assert!(copied(&source), "{source} is not in templates/rust.rs, so the SDK of a new handler would be without it");
        }
        let folder = tempfile::tempdir().unwrap();
        let [own, local] = ["own", "local"].map(|name| folder.path().join(name));
        run(&args("totals", own.clone())).unwrap();
        run(&Args { sdk: Some(checkout("")), ..args("totals", local.clone()) }).unwrap();
        let manifest = |folder: &Path| fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest(&own).contains("seriatim-guest = { path = \"seriatim\" }"));
        assert!(manifest(&local).contains("guest-sdk\" }") && !local.join("seriatim").exists());
    }

    /// What a manifest takes over from the workspace, taken over.
    fn inherited(mut table: toml::Table, workspace: &toml::Table) -> toml::Table {
        for (key, value) in &mut table {
            if value.get("workspace").is_some() {
                *value = workspace[key].clone();
            }
        }
        table
    }

    #[test]
    fn the_copied_sdks_manifests_ask_for_what_the_checkouts_do() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        let read = |path: &str| table(&fs::read_to_string(checkout(path)).unwrap());
        let part = |table: &toml::Table, name: &str| table[name].as_table().unwrap().clone();
        let [(_, sdk), (_, contract)] = templates::ALL[0].sdk.as_ref().unwrap().manifests else { panic!("two manifests") };

        let mut theirs = read("guest-sdk/Cargo.toml");
        theirs.retain(|name, _| !["lints", "workspace"].contains(&name));
        theirs["target"]["cfg(not(target_arch = \"wasm32\"))"]["dependencies"]["seriatim-contract"]["path"] = "contract".into();
        assert_eq!(table(sdk), theirs);

        let (ours, theirs, workspace) = (table(contract), read("host/contract/Cargo.toml"), part(&read("Cargo.toml"), "workspace"));
        for name in ["package", "dependencies"] {
            assert_eq!(part(&ours, name), inherited(part(&theirs, name), &part(&workspace, name)), "{name}");
        }
        assert_eq!(ours.len(), 2);
    }
}
