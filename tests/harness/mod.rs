//! What the tests stand on: a real `nats-server`, the real `seriatim` binary, a publisher and readers. It knows the host only by its
//! contract (command line, config file, HTTP, NATS): nothing here links the host's code.

mod broker;
mod config;
mod fault;
mod host;
mod input;
mod misbehave;
mod ports;
mod process;
mod streams;
mod telemetry;
mod tools;
mod wait;
mod world;

pub(crate) use broker::copy_folder;
pub(crate) use config::Config;
pub(crate) use fault::{die_after, die_at};
pub(crate) use host::{Host, check};
pub(crate) use input::{Input, Random, shuffled};
pub(crate) use misbehave::{command, misbehave};
pub(crate) use wait::{time_passes, until};
pub(crate) use world::{DEAD_LETTERS, OUTPUTS, SOURCE, World};
