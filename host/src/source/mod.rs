//! From the stream to events: the gapless live reader, catch-up passes, decoding, and the watermark. What is read here is
//! handed to the router; nothing here knows of stores or handlers.

pub mod catchup;
pub mod catchup_reader;
pub mod catchup_service;
pub mod decode;
pub mod desk;
pub mod follow;
pub mod history;
pub mod reader;
pub mod retention;
pub mod sources;
pub mod watermark;
