//! What the tools that tell a long story with real processes share: everything they started ends with them, and a panic of the harness is told in one line.

use anyhow::{Context as _, Result};
use futures_util::FutureExt as _;
use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use tokio::signal::unix::{SignalKind, signal};

/// What shells report for a program that Ctrl-C has ended.
pub const INTERRUPTED: u8 = 130;

/// How a story ended.
pub enum Told<T> {
    /// It came to its end.
    Ended(T),
    /// In words, and where the harness was surprised.
    Failed(String),
    /// A signal ended it.
    Interrupted,
}

/// Tells a story to its end, the first surprise, or a signal.
///
/// # Errors
/// No runtime.
pub fn tell<T>(story: impl Future<Output = Result<T>>) -> Result<Told<T>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("cannot start")?;
    let place = Arc::new(Mutex::new(String::new()));
    let seen = Arc::clone(&place);
    std::panic::set_hook(Box::new(move |panic| {
        if let (Ok(mut seen), Some(location)) = (seen.lock(), panic.location()) {
            *seen = format!(" ({location})");
        }
    }));
    let told = runtime.block_on(async {
        tokio::select! {
            told = AssertUnwindSafe(story).catch_unwind() => Some(told),
            () = interrupted() => None,
        }
    });
    Ok(match told {
        None => Told::Interrupted,
        Some(Ok(Ok(end))) => Told::Ended(end),
        Some(Ok(Err(error))) => Told::Failed(format!("{error:#}")),
        Some(Err(panic)) => {
            Told::Failed(format!("{}{}", words(panic.as_ref()), place.lock().map(|place| place.clone()).unwrap_or_default()))
        }
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("stopped without a word")
}

async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate())) else {
        // Without them a signal ends the process at once, as it ends other programs.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
