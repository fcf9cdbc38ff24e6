//! What `plugin new` writes, for each language: a list of files whose text stands beside this one. A new language is one more folder and one more entry.

/// A language.
#[derive(Debug)]
pub(super) struct Template {
    /// As `--language` names it.
    pub(super) language: &'static str,
    /// Path in the new folder, and text. In both `{{name}}` is the handler's name, in the text also `{{snake}}` (with `_` for `-`), `{{type}}` (as a
    /// type's name) and `{{sdk}}` (where the SDK comes from).
    pub(super) files: &'static [(&'static str, &'static str)],
    /// What to do next, one command a line.
    pub(super) next: &'static str,
    /// Names that the language's tools refuse.
    pub(super) refused: &'static [&'static str],
    /// How the SDK is named, published and in a folder `{{path}}`; none where the language has no SDK.
    pub(super) sdk: Option<Sdk>,
}

/// Where a language's SDK comes from.
#[derive(Debug)]
pub(super) struct Sdk {
    /// Its folder in a checkout of the project.
    pub(super) folder: &'static str,
    /// A file that it has.
    pub(super) has: &'static str,
    /// Text for `{{sdk}}`: the published one.
    pub(super) published: &'static str,
    /// The same: one in the folder `{{path}}`, a quoted text.
    pub(super) local: &'static str,
}

/// All of them.
pub(super) const ALL: &[Template] = &[RUST];

const RUST: Template = Template {
    language: "rust",
    files: &[
        ("Cargo.toml", include_str!("rust/Cargo.toml.in")),
        ("README.md", include_str!("rust/README.md.in")),
        (".gitignore", include_str!("rust/gitignore.in")),
        ("src/lib.rs", include_str!("rust/lib.rs.in")),
        ("src/tests.rs", include_str!("rust/tests.rs.in")),
        ("events.ndjson", include_str!("events.ndjson.in")),
        ("expected.ndjson", include_str!("expected.ndjson.in")),
    ],
    next: "cargo test\n\
           cargo build --release --target wasm32-unknown-unknown\n\
           seriatim plugin test target/wasm32-unknown-unknown/release/{{snake}}.wasm events.ndjson --expect expected.ndjson --attack",
    // Keywords, and crates that Rust has already.
    refused: &[
        "abstract",
        "alloc",
        "as",
        "async",
        "await",
        "become",
        "box",
        "break",
        "const",
        "continue",
        "core",
        "crate",
        "do",
        "dyn",
        "else",
        "enum",
        "extern",
        "false",
        "final",
        "fn",
        "for",
        "gen",
        "if",
        "impl",
        "in",
        "let",
        "loop",
        "macro",
        "match",
        "mod",
        "move",
        "mut",
        "override",
        "priv",
        "proc-macro",
        "pub",
        "ref",
        "return",
        "self",
        "seriatim-guest",
        "static",
        "std",
        "struct",
        "super",
        "test",
        "trait",
        "true",
        "try",
        "type",
        "typeof",
        "unsafe",
        "unsized",
        "use",
        "virtual",
        "where",
        "while",
        "yield",
    ],
    sdk: Some(Sdk {
        folder: "guest-sdk",
        has: "Cargo.toml",
        published: concat!("seriatim-guest = \"", env!("CARGO_PKG_VERSION"), "\""),
        local: "seriatim-guest = { path = {{path}} }",
    }),
};
