//! Lines for the host's log: pipeline, entity, sequence and handler are on each already. The macros [`info!`](crate::info) and its siblings
//! take what `format!` takes.

use crate::host;

pub use crate::bindings::seriatim::handler::log::{Field, Level};

/// Writes a line with named values beside it.
pub fn write(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<Field> = fields.iter().map(|(name, value)| Field { name: (*name).into(), value: (*value).into() }).collect();
    host::log(level, message, &fields);
}

/// Makes a panic say in the log what it is before it becomes a trap. Called by [`export!`](crate::export); done once per instance.
#[doc(hidden)]
pub fn panics_to_log() {
    #[cfg(target_arch = "wasm32")]
    {
        static ONCE: std::sync::Once = std::sync::Once::new();
        ONCE.call_once(|| std::panic::set_hook(Box::new(|panic| write(Level::Error, &panic.to_string(), &[]))));
    }
}

/// Logs a step for whoever follows every step.
#[macro_export]
macro_rules! trace { ($($text:tt)*) => { $crate::log::write($crate::log::Level::Trace, &::std::format!($($text)*), &[]) } }

/// Logs for whoever is looking for a fault.
#[macro_export]
macro_rules! debug { ($($text:tt)*) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($text)*), &[]) } }

/// Logs what is worth knowing.
#[macro_export]
macro_rules! info { ($($text:tt)*) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($text)*), &[]) } }

/// Logs the unexpected that was dealt with.
#[macro_export]
macro_rules! warn { ($($text:tt)*) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($text)*), &[]) } }

/// Logs what an operator is needed for.
#[macro_export]
macro_rules! error { ($($text:tt)*) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($text)*), &[]) } }
