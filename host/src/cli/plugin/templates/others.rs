//! New handlers in languages other than Rust. They have no package to depend on: what they need is written into their folder.

use super::{Template, copied};

pub(super) const C: Template = Template {
    language: "c",
    files: &[
        ("Makefile", include_str!("c/Makefile.in")),
        ("README.md", include_str!("c/README.md.in")),
        (".gitignore", include_str!("c/gitignore.in")),
        ("src/handler.c", include_str!("c/handler.c.in")),
        ("test/test.c", include_str!("c/test.c.in")),
        ("events.ndjson", include_str!("events.ndjson.in")),
        ("expected.ndjson", include_str!("expected.ndjson.in")),
    ],
    copies: &[
        copied!("guest-sdk/c/seriatim.h" => "seriatim/seriatim.h"),
        copied!("guest-sdk/c/component.c" => "seriatim/component.c"),
        copied!("guest-sdk/c/memory.c" => "seriatim/memory.c"),
        copied!("guest-sdk/c/handler.mk" => "seriatim/handler.mk"),
    ],
    next: "make test\n\
           make\n\
           seriatim plugin test build/{{name}}.wasm events.ndjson --expect expected.ndjson --attack",
    network: "None of this needs a network.",
    refused: &[],
    sdk: None,
};

pub(super) const ZIG: Template = Template {
    language: "zig",
    files: &[
        ("build.zig", include_str!("zig/build.zig.in")),
        ("README.md", include_str!("zig/README.md.in")),
        (".gitignore", include_str!("zig/gitignore.in")),
        ("src/main.zig", include_str!("zig/main.zig.in")),
        ("src/handler.zig", include_str!("zig/handler.zig.in")),
        ("events.ndjson", include_str!("events.ndjson.in")),
        ("expected.ndjson", include_str!("expected.ndjson.in")),
    ],
    copies: &[copied!("guest-sdk/zig/seriatim.zig" => "seriatim/seriatim.zig")],
    next: "zig build test\n\
           zig build\n\
           seriatim plugin test zig-out/bin/{{name}}.wasm events.ndjson --expect expected.ndjson --attack",
    network: "None of this needs a network.",
    refused: &[],
    sdk: None,
};

pub(super) const GO: Template = Template {
    language: "go",
    files: &[
        ("go.mod", include_str!("go/go.mod.in")),
        ("README.md", include_str!("go/README.md.in")),
        (".gitignore", include_str!("go/gitignore.in")),
        ("main.go", include_str!("go/main.go.in")),
        ("handler/handler.go", include_str!("go/handler.go.in")),
        ("handler/handler_test.go", include_str!("go/handler_test.go.in")),
        ("events.ndjson", include_str!("events.ndjson.in")),
        ("expected.ndjson", include_str!("expected.ndjson.in")),
    ],
    copies: &[
        copied!("guest-sdk/go/seriatim/seriatim.go" => "seriatim/seriatim.go"),
        copied!("guest-sdk/go/seriatim/component.go" => "seriatim/component.go"),
    ],
    next: "go test ./...\n\
           GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -trimpath -ldflags='-s -w' -o build/{{name}}.wasm .\n\
           seriatim plugin test build/{{name}}.wasm events.ndjson --expect expected.ndjson --attack",
    network: "None of this needs a network.",
    // Go gives this word in an import path a meaning of its own.
    refused: &["vendor"],
    sdk: None,
};

pub(super) const PYTHON: Template = Template {
    language: "python",
    files: &[
        ("README.md", include_str!("python/README.md.in")),
        (".gitignore", include_str!("python/gitignore.in")),
        ("requirements.txt", include_str!("python/requirements.txt.in")),
        ("app.py", include_str!("python/app.py.in")),
        ("logic.py", include_str!("python/logic.py.in")),
        ("test_logic.py", include_str!("python/test_logic.py.in")),
        ("events.ndjson", include_str!("events.ndjson.in")),
        ("expected.ndjson", include_str!("expected.ndjson.in")),
    ],
    copies: &[
        copied!("guest-sdk/python/seriatim/__init__.py" => "seriatim/__init__.py"),
        copied!("guest-sdk/python/seriatim/component.py" => "seriatim/component.py"),
        copied!("wit/handler.wit" => "wit/handler.wit"),
    ],
    next: "python3 -m unittest\n\
           pip install -r requirements.txt\n\
           mkdir -p build\n\
           componentize-py -d wit -w handler componentize -s app -o build/{{name}}.wasm\n\
           seriatim plugin test build/{{name}}.wasm events.ndjson --expect expected.ndjson --attack --memory-max 64MiB",
    network: "`pip install` needs a network, once; the rest does not.",
    refused: &[],
    sdk: None,
};

pub(super) const JAVASCRIPT: Template = Template {
    language: "javascript",
    files: &[
        ("package.json", include_str!("javascript/package.json.in")),
        ("README.md", include_str!("javascript/README.md.in")),
        (".gitignore", include_str!("javascript/gitignore.in")),
        ("src/component.js", include_str!("javascript/component.js.in")),
        ("src/handler.js", include_str!("javascript/handler.js.in")),
        ("test/handler.test.js", include_str!("javascript/handler.test.js.in")),
        ("events.ndjson", include_str!("events.ndjson.in")),
        ("expected.ndjson", include_str!("expected.ndjson.in")),
    ],
    copies: &[
        copied!("guest-sdk/javascript/seriatim.js" => "seriatim/seriatim.js"),
        copied!("guest-sdk/javascript/host.js" => "seriatim/host.js"),
        copied!("plugins/componentize.js" => "seriatim/componentize.js"),
        copied!("wit/handler.wit" => "wit/handler.wit"),
    ],
    next: "npm test\n\
           npm install\n\
           npm run build\n\
           seriatim plugin test build/{{name}}.wasm events.ndjson --expect expected.ndjson --attack --memory-max 64MiB",
    network: "`npm install` needs a network, once; the rest does not.",
    refused: &[],
    sdk: None,
};
