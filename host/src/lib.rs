//! Seriatim: per-entity ordered, effectively-once stream processing on NATS JetStream, with WebAssembly handlers.
//!
//! `app` wires the parts; imports point one way: `source → router → shard → {sequencer, runtime, store} → sink`. `docs/architecture.md` walks one
//! event through all of them.

pub mod admin;
pub mod app;
pub mod breaker;
pub mod cli;
pub mod config;
pub mod control;
pub mod directory;
pub mod event;
pub mod failpoint;
pub mod handler_test;
pub mod inbox;
pub mod nats;
pub mod object;
pub mod passes;
pub mod pipeline;
pub mod plugins;
pub mod producer;
pub mod progress;
pub mod publish;
pub mod router;
pub mod runtime;
pub mod shard;
pub mod sink;
pub mod source;
pub mod store;
pub mod sweep;
pub mod telemetry;
