//! Components made of a built one by changing bytes in its file: other digests, other behaviour.

use super::tools;
use sha2::{Digest as _, Sha256};

/// The guest `versions` under another name (at most 11 characters), with state of this version.
pub fn versions(name: &str, version: u32) -> Vec<u8> {
    let bytes = std::fs::read(tools::plugin("versions")).expect("the guest");
    let named = replaced(bytes, b"NAME=one........", format!("NAME={name:.<11}").as_bytes());
    replaced(named, b"STATE-VERSION=01", format!("STATE-VERSION={version:02}").as_bytes())
}

/// The same component in a larger file: with so many bytes more that mean nothing.
pub fn padded(mut bytes: Vec<u8>, more: usize) -> Vec<u8> {
    let content = [b"\x03pad".as_slice(), &vec![b'.'; more]].concat();
    section(&mut bytes, 0, &content);
    bytes
}

fn replaced(mut bytes: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "{}", String::from_utf8_lossy(to));
    let at = bytes.windows(from.len()).position(|window| window == from).expect("the bytes that a test replaces");
    bytes[at..at + to.len()].copy_from_slice(to);
    bytes
}

/// SHA-256 in hex.
pub fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// A component of one module with so many functions that do nothing for so many instructions: long to compile, and for no world.
pub fn bomb(functions: u32, instructions: usize) -> Vec<u8> {
    // One local; then `local.get 0, i32.const 1, i32.add, local.set 0` over and over; end.
    let mut body = vec![1, 1, 0x7f];
    for _ in 0..instructions {
        body.extend_from_slice(&[0x20, 0, 0x41, 1, 0x6a, 0x21, 0]);
    }
    body.push(0x0b);
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(&mut module, 1, &[1, 0x60, 0, 0]);
    let mut declared = leb(functions);
    declared.extend(std::iter::repeat_n(0, functions as usize));
    section(&mut module, 3, &declared);
    let mut code = leb(functions);
    for _ in 0..functions {
        code.extend(leb(u32::try_from(body.len()).expect("a small body")));
        code.extend_from_slice(&body);
    }
    section(&mut module, 10, &code);
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    section(&mut component, 1, &module);
    component
}

/// A component of one module that begins with so many pages (64 KiB each) of memory and does nothing: for no world.
pub fn hungry(pages: u32) -> Vec<u8> {
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    section(&mut module, 5, &[vec![1, 0], leb(pages)].concat());
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    section(&mut component, 1, &module);
    // One instance of it, which is given nothing.
    section(&mut component, 2, &[1, 0, 0, 0]);
    component
}

fn section(into: &mut Vec<u8>, id: u8, content: &[u8]) {
    into.push(id);
    into.extend(leb(u32::try_from(content.len()).expect("a small section")));
    into.extend_from_slice(content);
}

fn leb(mut number: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
