//! What is refused when a handler is loaded, and the cache of compiled code.

use super::*;

/// A core module as a compiler without component type sections writes it: it sends the 16 bytes at address 16 to `out.e`.
fn module(imports: &str, body: &str) -> Vec<u8> {
    let text = format!(
        r#"(module
            {imports}
            (import "seriatim:handler/output@0.1.0" "emit" (func $emit (param i32 i32 i32 i32 i32 i32)))
            (memory (export "memory") 1)
            (data (i32.const 0) "out.e")
            (global $top (mut i32) (i32.const 4096))
            (func (export "cabi_realloc") (param $old i32) (param $old-size i32) (param $align i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
                (global.set $top (i32.add (local.get $at) (local.get $size)))
                (local.get $at))
            (func (export "handle") (param $event i32) (result i32)
                {body}
                (call $emit (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 16))
                (i32.const 64)))"#
    );
    wat::parse_str(text).unwrap()
}

#[tokio::test]
async fn a_module_that_does_not_say_its_world_is_taken_for_ours() {
    let handler = engine().load(&module("", "(i64.store (i32.const 16) (i64.const 7))"), config()).unwrap();
    let effects = once(&handler, "x").await.result.unwrap();
    assert_eq!((effects.outputs[0].subject.as_str(), effects.outputs[0].payload[0]), ("out.e", 7));
}

#[tokio::test]
async fn preview_1_is_an_empty_system_the_same_for_every_instance() {
    let imports = r#"
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))"#;
    let check = |call: &str, expected: u32| format!("(if (i32.ne {call} (i32.const {expected})) (then (unreachable)))");
    let body = [
        // Printing 5 bytes says that 5 were written; nothing else is open, and input is at its end.
        "(i32.store (i32.const 128) (i32.const 0)) (i32.store (i32.const 132) (i32.const 5))".to_owned(),
        check("(call $write (i32.const 1) (i32.const 128) (i32.const 1) (i32.const 136))", 0),
        check("(i32.load (i32.const 136))", 5),
        check("(call $write (i32.const 3) (i32.const 128) (i32.const 1) (i32.const 136))", 8),
        check("(call $read (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 136))", 0),
        check("(i32.load (i32.const 136))", 0),
        check(
            "(call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 136))",
            8,
        ),
        // A sleep of an hour ends at once and moves the clock; a file that is waited for beside it is not open.
        "(i64.store (i32.const 224) (i64.const 3600000000000)) (i32.store8 (i32.const 256) (i32.const 1))".to_owned(),
        check("(call $poll (i32.const 200) (i32.const 400) (i32.const 2) (i32.const 136))", 0),
        check("(i32.load (i32.const 136))", 2),
        check("(i32.load16_u offset=8 (i32.const 400))", 0),
        check("(i32.load16_u offset=8 (i32.const 432))", 8),
        check("(call $clock (i32.const 0) (i64.const 0) (i32.const 16))", 0),
        check("(call $random (i32.const 24) (i32.const 8))", 0),
    ];
    let handler = engine().load(&module(imports, &body.concat()), config()).unwrap();
    let first = once(&handler, "x").await.result.unwrap().outputs.remove(0).payload;
    assert_eq!(first[..8], 3_600_000_001_000_u64.to_le_bytes(), "the clock begins at 0");
    assert_ne!(first[8..], [0; 8]);
    assert_eq!(once(&handler, "another").await.result.unwrap().outputs[0].payload, first);

    let ends = engine().load(&module(imports, "(call $exit (i32.const 0))"), config()).unwrap();
    assert_eq!(once(&ends, "x").await.result.unwrap_err().kind, FailureKind::Trap);
}

#[test]
fn what_cannot_be_run_is_refused_at_load() {
    let refused = |bytes: &[u8]| engine().load(bytes, config()).unwrap_err().to_string();
    let stranger = refused(&guest("stranger"));
    assert!(stranger.contains("stranger:network/sockets@0.1.0") && stranger.contains("`test`"), "{stranger}");
    assert!(refused(b"hello").contains("not a WebAssembly module"));
    assert!(refused(b"").contains("not a WebAssembly module"));
    assert!(refused(b"\0asm\x01\0\0\0").contains("without a component type section"));
    // A component that exports nothing.
    assert!(refused(b"\0asm\x0d\0\x01\0").contains("does not fit the world"));
    // A component that imports an instance `wasi:http/types@0.2.0`.
    let mut http = b"\0asm\x0d\0\x01\0".to_vec();
    http.extend_from_slice(&[7, 3, 1, 0x42, 0]);
    http.extend_from_slice(&[10, 26, 1, 0, 21]);
    http.extend_from_slice(b"wasi:http/types@0.2.0");
    http.extend_from_slice(&[5, 0]);
    assert!(refused(&http).contains("does not have: wasi:http/types@0.2.0"), "{}", refused(&http));
    // A core module is refused by the name of the function, and by the name of a module nobody serves.
    let unknown = refused(&module(r#"(import "wasi_snapshot_preview1" "fd_fly" (func))"#, ""));
    assert!(unknown.contains("preview 1 that the host does not have: fd_fly;"), "{unknown}");
    let older = refused(&module(r#"(import "wasi_unstable" "fd_write" (func))"#, ""));
    assert!(older.contains("imports that the host does not have: wasi_unstable"), "{older}");
    // It exports a `handle` that is not ours.
    let wrong = refused(&wat::parse_str(r#"(module (memory (export "memory") 1) (func (export "handle")))"#).unwrap());
    assert!(wrong.contains("does not make a component") && wrong.contains("handle"), "{wrong}");
    let mut truncated = guest("echo");
    truncated.truncate(truncated.len() / 2);
    assert!(refused(&truncated).contains("not a WebAssembly module"));

    let mut small = config();
    small.limits.memory_max = 64 << 10;
    assert!(engine().load(&guest("echo"), small).unwrap_err().to_string().contains("memory-max = 65536"));
    let mut big = config();
    big.limits.memory_max = 1 << 40;
    assert!(engine().load(&guest("echo"), big).unwrap_err().to_string().contains("memory-max is 1099511627776 bytes"));
}

#[test]
fn the_steps_come_in_their_order_and_nothing_is_compiled_before_them() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = Compiler { program: folder.path().join("nobody"), time_max: Duration::from_secs(1), memory_max: 1 << 20 };
    let refused = |text: &str| {
        let mut config = config();
        config.limits.memory_max = 256 << 16;
        engine().load_with(&wat::parse_str(text).unwrap(), config, Some(&nobody)).unwrap_err()
    };
    let stranger = r#"(import "stranger:network/sockets@0.1.0" (instance))"#;
    let locals = |count| format!("(core module (func (local {})))", "i32 ".repeat(count));
    let memories = |first, second| {
        format!(
            "(core module $a (memory {first})) (core instance (instantiate $a)) (core module $b (memory {second})) (core instance (instantiate $b))"
        )
    };
    for (parts, step) in [
        ([stranger, &memories(257, 0), &locals(10_001)], "structure"),
        ([stranger, &memories(257, 0), &locals(10_000)], "imports"),
        (["", &memories(257, 0), &locals(10_000)], "resources"),
        (["", &memories(200, 57), ""], "resources"),
        // There is nobody who could compile.
        (["", &memories(200, 56), ""], "compile"),
    ] {
        let error = refused(&format!("(component {})", parts.concat()));
        assert_eq!(error.step(), step, "{error}");
    }
    let error = refused(&format!("(component {})", memories(200, 57)));
    assert!(error.to_string().contains("starts with 16842752 bytes of memory, more than memory-max = 16777216"), "{error}");
    // Of modules, too: before they are wrapped, which this one would not survive, and before their imports are looked at.
    assert_eq!(refused(r#"(module (memory 257) (func (export "handle")))"#).step(), "resources");
    assert!(matches!(refused(r#"(module (import "env" "f" (func)))"#), LoadError::NoWorld { .. }));
}

#[tokio::test]
async fn the_cache_is_used_and_never_trusted() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("compiled");
    let open = || Engine::new(&EngineConfig { cache_dir: Some(dir.clone()), calls_max: 1, ..EngineConfig::default() }).unwrap();
    let works = async |engine: &Engine| {
        let handler = engine.load(&guest("echo"), config()).unwrap();
        assert_eq!(once(&handler, "x").await.result.unwrap().outputs.len(), 1);
    };
    let files = || {
        let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    works(&open()).await;
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let [code, sum] = files().try_into().unwrap();
    assert_eq!(std::fs::metadata(&code).unwrap().permissions().mode() & 0o777, 0o600);
    let good = std::fs::read(&code).unwrap();

    // A hit is the same file afterwards, marked as used.
    let made = std::fs::metadata(&code).unwrap().ino();
    std::fs::File::open(&code).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    works(&open()).await;
    let used = std::fs::metadata(&code).unwrap();
    assert!(used.ino() == made && used.modified().unwrap() > std::time::UNIX_EPOCH);

    // Changed, cut, with a wrong or no checksum, or not ours at all under a right checksum: compiled again, and put right.
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let other = b"\x7fELF nonsense".to_vec();
    let right = |bytes: &[u8]| {
        use sha2::Digest as _;
        hex::encode(sha2::Sha256::digest(bytes))
    };
    for (bytes, checksum) in [
        (flipped.clone(), std::fs::read_to_string(&sum).unwrap()),
        (good[..1000].to_vec(), right(&good)),
        (Vec::new(), right(&good)),
        (good.clone(), "nonsense".into()),
        (other.clone(), right(&other)),
    ] {
        std::fs::write(&code, bytes).unwrap();
        std::fs::write(&sum, checksum).unwrap();
        works(&open()).await;
        assert_eq!(std::fs::read(&code).unwrap().len(), good.len());
        assert_eq!(std::fs::read_to_string(&sum).unwrap(), right(&std::fs::read(&code).unwrap()));
    }
    std::fs::remove_file(&sum).unwrap();
    works(&open()).await;

    // A folder that others may enter is not used.
    std::fs::remove_file(&code).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    works(&open()).await;
    assert!(!code.exists());
}
