//! `seriatim plugin new`.

use super::templates::{self, Sdk, Template};
use crate::cli::door::{Failure, Said};
use clap::builder::PossibleValuesParser;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Longest name of a handler, characters; the config's rule.
const NAME_MAX: usize = 32;

/// Said where the SDK is taken from nowhere yet.
const UNPUBLISHED: &str = "the SDK is not published yet, so this will not build as it stands: name a checkout of the project with --sdk";

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
    /// Rust: take the SDK from this checkout of the project, instead of the published one. (In this release it is not published yet.) Handlers in other
    /// languages need none: what they share with others is written into the folder.
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
    let (sdk, note) = match (&template.sdk, &args.sdk) {
        (None, None) => (String::new(), String::new()),
        (None, Some(_)) => {
            let text = format!("--sdk: a handler in {} depends on no package; what it needs is written into its folder", template.language);
            return Err(Failure::Usage(text));
        }
        (Some(sdk), None) => (sdk.published.to_owned(), UNPUBLISHED.to_owned()),
        (Some(sdk), Some(folder)) => (local(sdk, folder)?, String::new()),
    };
    let folder = args.path.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    let filled = |text: &str| fill(text, &args.name, &sdk);
    write(&folder, template, &filled).map_err(|(path, error)| Failure::Failed(format!("{}: {error}", path.display())))?;
    let steps: String = filled(template.next).lines().map(|step| format!("  {step}\n")).collect();
    Ok(Said { text: format!("{} is there. In it:\n{steps}", folder.display()), note, failed: false })
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
fn write(folder: &Path, template: &Template, filled: &dyn Fn(&str) -> String) -> Result<(), (PathBuf, io::Error)> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |error| (path, error)
    };
    fs::create_dir_all(folder).map_err(at(folder))?;
    if fs::read_dir(folder).map_err(at(folder))?.next().is_some() {
        return Err(at(folder)(io::Error::other("is there and not empty; name another with --path")));
    }
    let files = template.files.iter().map(|(name, text)| (filled(name), filled(text)));
    let copies = template.copies.iter().map(|copied| (copied.path.to_owned(), copied.text()));
    for (name, text) in files.chain(copies) {
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
                let whole = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(copied.from)).unwrap();
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
}
