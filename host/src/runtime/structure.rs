//! Bounds on what is compiled, by a look at the structure alone: compiling takes more than proportionally longer for large functions, and nothing else
//! bounds it. Components of CPython and of a JavaScript engine stay well below.

use wasmparser::{Parser, Payload};

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

/// Whether it may be compiled; if not, why.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let (mut functions, mut parts, mut depth) = (0_u64, 0_u64, 0_usize);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|error| error.to_string())? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                (parts, depth) = (parts.saturating_add(1), depth.saturating_add(1));
            }
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CodeSectionStart { count, .. } => functions = functions.saturating_add(count.into()),
            Payload::CodeSectionEntry(body) => {
                let bytes = body.range().len();
                if bytes > FUNCTION_BYTES_MAX {
                    return Err(format!("a function has {bytes} bytes of code; the most is {FUNCTION_BYTES_MAX}"));
                }
                let mut locals = 0_u64;
                for group in body.get_locals_reader().map_err(|error| error.to_string())? {
                    locals = locals.saturating_add(group.map_err(|error| error.to_string())?.0.into());
                }
                if locals > LOCALS_MAX {
                    return Err(format!("a function has {locals} locals; the most is {LOCALS_MAX}"));
                }
            }
            _ => {}
        }
        for (what, count, max) in
            [("functions", functions, FUNCTIONS_MAX), ("modules", parts, PARTS_MAX), ("levels of modules", depth as u64, DEPTH_MAX as u64)]
        {
            if count > max {
                return Err(format!("it has {count} {what}; the most is {max}"));
            }
        }
    }
    Ok(())
}
