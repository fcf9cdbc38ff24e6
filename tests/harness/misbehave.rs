//! The guest that misbehaves on command (`tests/guests/misbehave`): the payload says what it does; any other payload is echoed.

use super::config::Handler;
use super::input::Input;
use super::tools;

/// The misbehaving handler in the echo handler's place. Calls may be slow: a test that wants a time-out asks for a short `time-max`.
pub fn misbehave(time_max: &'static str) -> Handler {
    Handler { component: tools::plugin("misbehave"), limits: vec![("time-max", time_max)], ..Handler::echo() }
}

/// An event that makes the handler do something: `{"do": "trap"}`.
pub fn command(entity: &str, sequence: u64, what: &serde_json::Value) -> Input {
    Input::event(entity, sequence).payload(what.to_string())
}
