//! Bounds on what is compiled, by a look at the structure alone: compiling takes more than proportionally longer for large functions, and nothing else
//! bounds it. Components of CPython and of a JavaScript engine stay well below.

use wasmparser::{BinaryReaderError, Parser, Payload};

/// Functions in all modules together.
const FUNCTIONS_MAX: u64 = 500_000;
/// Bytes of one function's code.
const FUNCTION_BYTES_MAX: usize = 1 << 20;
/// Locals of one function.
const LOCALS_MAX: u64 = 10_000;
/// Modules and components within one another or side by side.
const PARTS_MAX: u64 = 256;
/// How deep they are within one another.
const DEPTH_MAX: usize = 16;

/// log2 of the bytes of a page of memory, where a module says nothing else.
const PAGE: u32 = 16;

/// Why it may not be compiled.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// It cannot be read.
    #[error(transparent)]
    Broken(#[from] BinaryReaderError),
    /// Larger in some way than we compile.
    #[error("{0}")]
    TooLarge(String),
}

/// Whether it may be compiled. Gives the bytes of memory it starts with: those of all its modules together, as the bound of an instance counts them, each
/// module once; it may make more of one.
pub(super) fn check(bytes: &[u8]) -> Result<u64, Unfit> {
    let (mut functions, mut parts, mut depth, mut memory) = (0_u64, 0_u64, 0_usize, 0_u64);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                (parts, depth) = (parts.saturating_add(1), depth.saturating_add(1));
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::MemorySection(memories) => {
                for one in memories {
                    let one = one?;
                    let page = 1_u64.checked_shl(one.page_size_log2.unwrap_or(PAGE)).unwrap_or(u64::MAX);
                    memory = memory.saturating_add(one.initial.saturating_mul(page));
                }
            }
            Payload::CodeSectionStart { count, .. } => functions = functions.saturating_add(count.into()),
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len();
                if bytes > FUNCTION_BYTES_MAX {
                    return Err(Unfit::TooLarge(format!("a function has {bytes} bytes of code; the most is {FUNCTION_BYTES_MAX}")));
                }
                let mut locals = 0_u64;
                for group in body.get_locals_reader()? {
                    locals = locals.saturating_add(group?.0.into());
                }
                if locals > LOCALS_MAX {
                    return Err(Unfit::TooLarge(format!("a function has {locals} locals; the most is {LOCALS_MAX}")));
                }
            }
            _ => {}
        }
        for (what, count, max) in
            [("functions", functions, FUNCTIONS_MAX), ("modules", parts, PARTS_MAX), ("levels of modules", depth as u64, DEPTH_MAX as u64)]
        {
            if count > max {
                return Err(Unfit::TooLarge(format!("it has {count} {what}; the most is {max}")));
            }
        }
    }
    Ok(memory)
}
