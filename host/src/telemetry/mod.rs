//! What the host tells about itself: [`metrics`] (names, and the recorder), [`events`] (one call that counts and logs what happened),
//! [`lifecycle`] (what is published for other software) and [`logging`] (the log's form). Knows no other module of ours: everybody may call it.

#[cfg(test)]
pub(crate) mod captured;
pub mod events;
pub mod lifecycle;
pub mod logging;
pub mod metrics;
