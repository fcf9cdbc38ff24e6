//! What the tests stand on: a real `nats-server`, the real `seriatim` binary, a publisher and readers. It knows the host only by its
//! contract (command line, config file, HTTP, NATS): nothing here links the host's code.

pub mod broker;
pub mod components;
pub mod config;
pub mod evidence;
pub mod fault;
pub mod host;
pub mod input;
pub mod machine;
pub mod misbehave;
pub mod operator;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod streams;
pub mod telemetry;
pub mod tool;
pub mod tools;
pub mod wait;
pub mod world;

pub use broker::{Users, copy_folder};
pub use config::Config;
pub use fault::{die_after, die_at};
pub use host::{Host, check};
pub use input::{Input, Random, shuffled};
pub use misbehave::{command, misbehave};
pub use operator::Operator;
pub use wait::{time_passes, until};
pub use world::{DEAD_LETTERS, OUTPUTS, SOURCE, World};
