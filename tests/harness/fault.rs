//! `FAILPOINTS` values: the process aborts at a named point, at the first or a later hit.

/// Dies at the first hit of `point`.
pub fn die_at(point: &str) -> String {
    format!("{point}=return")
}

/// Lets `hits` of them pass and dies at the next.
pub fn die_after(hits: u32, point: &str) -> String {
    format!("{point}={hits}*off->return")
}
