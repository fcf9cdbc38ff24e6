//! What a component must have if it exports the interface `lifecycle`: everything that is wrong with it is found when it is loaded or tried out, and not by the
//! first entity that has to be migrated.

use super::*;
use wit_component::{StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const WIT: &str = include_str!("../../../../wit/handler.wit");

const STATE_VERSION: &str = "state-version: func() -> u32;";
const MIGRATE: &str = "migrate: func(%from: u32, state: list<entry>) -> result<list<entry>, string>;";

/// The core functions of [`module`].
const MADE_OF: [&str; 3] = [
    r#"(func (export "handle") (param i32) (result i32) (i32.const 64))"#,
    r#"(func (export "seriatim:handler/lifecycle@0.1.0#state-version") (result i32) (i32.const 7))"#,
    r#"(func (export "seriatim:handler/lifecycle@0.1.0#migrate") (param i32 i32 i32) (result i32) (i32.const 64))"#,
];

/// A core module made for the world `versioned-handler` of this WIT.
fn module(wit: &str, functions: [&str; 3]) -> Vec<u8> {
    let text = format!(
        r#"(module
            (memory (export "memory") 1)
            (global $top (mut i32) (i32.const 4096))
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                (global.set $top (i32.add (local.get $at) (local.get $size)))
                (local.get $at))
            {})"#,
        functions.concat()
    );
    let mut module = wat::parse_str(text).unwrap();
    let mut resolve = Resolve::default();
    let package = resolve.push_source("handler.wit", wit).unwrap();
    let world = resolve.select_world(&[package], Some("versioned-handler")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    module
}

/// The world with one signature changed.
fn other(from: &str, to: &str) -> String {
    assert_eq!(WIT.matches(from).count(), 1, "{from}");
    WIT.replace(from, to)
}

#[tokio::test]
async fn the_version_of_the_state_is_asked_for_when_a_component_is_tried_out() {
    let handler = engine().load(&module(WIT, MADE_OF), config()).unwrap();
    assert_eq!(handler.state_version(), 0, "not asked yet");
    handler.try_out().await.unwrap();
    assert_eq!(handler.state_version(), 7);
}

#[test]
fn functions_of_other_types_than_the_worlds_are_refused_at_load_by_name() {
    let [handle, state_version, migrate] = MADE_OF;
    let wide = state_version.replace("i32", "i64");
    let two = migrate.replace("(param i32 i32 i32)", "(param i32 i32)");
    let cases = [
        (other(MIGRATE, ""), [handle, state_version, ""], "no function `migrate: func(from: u32, "),
        (other(STATE_VERSION, ""), [handle, "", migrate], "no function `state-version: func() -> u32`"),
        // The same in the core module: only the component tells them apart.
        (other(STATE_VERSION, "state-version: func() -> s32;"), MADE_OF, "`lifecycle.state-version` is not `func() -> u32`"),
        (other(STATE_VERSION, "state-version: func() -> u64;"), [handle, &wide, migrate], "`lifecycle.state-version` is not"),
        (other(MIGRATE, &MIGRATE.replace("from: u32", "from: s32")), MADE_OF, "`lifecycle.migrate` is not `func(from: u32, "),
        (other(MIGRATE, &MIGRATE.replace("%from: u32, ", "")), [handle, state_version, &two], "`lifecycle.migrate` is not"),
        (other(MIGRATE, &MIGRATE.replace(", string>", ", list<u8>>")), MADE_OF, "`lifecycle.migrate` is not"),
        (
            other("    record entry {\n        /// Its key.\n        key:", "    record entry {\n        name:"),
            MADE_OF,
            "`lifecycle.migrate` is not",
        ),
        (other("-> result<_, failure>;", "-> result<_, string>;"), MADE_OF, "`handle`"),
    ];
    for (wit, functions, expected) in cases {
        let refused = engine().load(&module(&wit, functions), config()).unwrap_err();
        let told = refused.to_string();
        assert!(refused.step() == "world" && told.contains(expected), "{}, expected {expected}: {told}", refused.step());
    }
}
