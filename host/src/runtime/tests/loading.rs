//! What is refused when a handler is loaded, and the cache of compiled code.

use super::*;

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
    // A core module that imports `wasi_snapshot_preview1.fd_write`.
    let mut preview1 = b"\0asm\x01\0\0\0".to_vec();
    preview1.extend_from_slice(&[1, 4, 1, 0x60, 0, 0, 2, 35, 1, 22]);
    preview1.extend_from_slice(b"wasi_snapshot_preview1\x08fd_write\0\0");
    assert!(refused(&preview1).contains("preview 1 imports (wasi_snapshot_preview1)"), "{}", refused(&preview1));
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

#[tokio::test]
async fn the_cache_is_used_and_never_trusted() {
    use std::os::unix::fs::PermissionsExt as _;
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

    // A hit leaves the file alone.
    let made = std::fs::metadata(&code).unwrap().modified().unwrap();
    works(&open()).await;
    assert_eq!(std::fs::metadata(&code).unwrap().modified().unwrap(), made);

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
