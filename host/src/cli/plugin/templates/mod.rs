//! What `plugin new` writes, for each language: files whose text stands beside this one, and copies of what the project's own handlers in that language
//! share. A new language is one more folder and one more entry.

mod others;
mod rust;

use std::path::Path;

/// A language.
#[derive(Debug)]
pub(super) struct Template {
    /// As `--language` names it.
    pub(super) language: &'static str,
    /// Path in the new folder, and text. In both `{{name}}` is the handler's name, in the text also `{{snake}}` (with `_` for `-`), `{{type}}` (as a
    /// type's name) and `{{sdk}}` (where the SDK comes from).
    pub(super) files: &'static [(&'static str, &'static str)],
    /// Files that are written as they are, with a line that says where they come from: the SDK, or what takes its place.
    pub(super) copies: &'static [Copied],
    /// What to do next, one command a line.
    pub(super) next: &'static str,
    /// What of it needs a network.
    pub(super) network: &'static str,
    /// Names that the language's tools refuse.
    pub(super) refused: &'static [&'static str],
    /// The SDK as a package; none where `copies` are a few files of the handler's own.
    pub(super) sdk: Option<Sdk>,
}

/// A file of this project that a new handler has a copy of.
#[derive(Debug)]
pub(super) struct Copied {
    /// Path in the new folder.
    pub(super) path: &'static str,
    /// Path in a checkout of the project.
    pub(super) from: &'static str,
    text: &'static str,
}

impl Copied {
    /// The text, and before it where it comes from, in a comment of its language.
    pub(super) fn text(&self) -> String {
        let ending = Path::new(self.path).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let (open, close) = match ending {
            "c" | "h" => ("/* ", " */"),
            "lock" | "mk" | "py" => ("# ", ""),
            _ => ("// ", ""),
        };
        let (from, version, place) = (self.from, env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_REPOSITORY"));
        format!("{open}Copied from {from} of Seriatim {version} ({place}), Apache-2.0.{close}\n\n{}", self.text)
    }
}

/// A [`Copied`] by its two paths.
macro_rules! copied {
    ($from:literal => $path:literal) => {
        $crate::cli::plugin::templates::Copied {
            path: $path,
            from: $from,
            text: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../", $from)),
        }
    };
}
use copied;

/// Where a language's SDK comes from: it is copied into the new folder, or in a checkout.
#[derive(Debug)]
pub(super) struct Sdk {
    /// Its folder in a checkout of the project.
    pub(super) folder: &'static str,
    /// A file that it has.
    pub(super) has: &'static str,
    /// Text for `{{sdk}}`: the copy.
    pub(super) copied: &'static str,
    /// The same: one in the folder `{{path}}`, a quoted text.
    pub(super) local: &'static str,
    /// Path in the new folder, and text: manifests of the copy, which cannot be those of the checkout, as it is no part of this workspace.
    pub(super) manifests: &'static [(&'static str, &'static str)],
}

/// All of them.
pub(super) const ALL: &[Template] = &[rust::RUST, others::C, others::ZIG, others::GO, others::PYTHON, others::JAVASCRIPT];
