//! The one place where the crate meets its host. Inside a component these functions are the world's imports. In an ordinary program there is
//! no host, so a test brings its own: anything that is a [`Host`], put in place for the length of a closure by `with`. Tests of handlers have one
//! ready in `testing`.

use crate::Header;
use crate::log::{Field, Level};

/// What a handler can ask of its host, as `wit/` describes it.
pub trait Host {
    /// `state.get`
    fn state_get(&mut self, key: &str) -> Option<Vec<u8>>;
    /// `state.set`
    fn state_set(&mut self, key: &str, value: &[u8]);
    /// `state.delete`
    fn state_delete(&mut self, key: &str);
    /// `state.keys`
    fn state_keys(&mut self, prefix: &str, after: Option<&str>, max: u32) -> Vec<String>;
    /// `output.emit`
    fn emit(&mut self, subject: &str, headers: &[Header], payload: &[u8]);
    /// `log.write`
    fn log(&mut self, level: Level, message: &str, fields: &[Field]);
    /// `config.get`
    fn config_get(&mut self, key: &str) -> Option<String>;
    /// `delivery.attempt`
    fn attempt(&mut self) -> u32 {
        1
    }
    /// `delivery.late`
    fn late(&mut self) -> bool {
        false
    }
    /// `delivery.replay`
    fn replay(&mut self) -> bool {
        false
    }
}

#[cfg(target_arch = "wasm32")]
mod imports {
    use crate::bindings::seriatim::handler::{config, delivery, log, output, state};

    pub(crate) use config::get as config_get;
    pub(crate) use delivery::{attempt, late, replay};
    pub(crate) use log::write as log;
    pub(crate) use output::emit;
    pub(crate) use state::{delete as state_delete, get as state_get, keys as state_keys, set as state_set};
}
#[cfg(target_arch = "wasm32")]
pub(crate) use imports::*;

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use super::{Field, Header, Host, Level};
    use std::cell::RefCell;
    use std::rc::Rc;

    thread_local! {
        static HOST: RefCell<Option<Rc<RefCell<dyn Host>>>> = const { RefCell::new(None) };
    }

    /// Runs `body` with `host` as the host of this thread and gives both its result and the host back.
    ///
    /// # Panics
    /// If `body` is itself inside another `with`.
    pub fn with<H: Host + 'static, R>(host: H, body: impl FnOnce() -> R) -> (R, H) {
        struct Clear;
        impl Drop for Clear {
            fn drop(&mut self) {
                HOST.with_borrow_mut(Option::take);
            }
        }

        let host = Rc::new(RefCell::new(host));
        let shared: Rc<RefCell<dyn Host>> = host.clone();
        assert!(HOST.with_borrow_mut(|slot| slot.replace(shared)).is_none(), "a host is in place already on this thread");
        let clear = Clear;
        let result = body();
        drop(clear);
        let Ok(host) = Rc::try_unwrap(host) else { unreachable!("the thread's slot was cleared, and nobody else can hold it") };
        (result, host.into_inner())
    }

    fn ask<R>(question: impl FnOnce(&mut dyn Host) -> R) -> R {
        HOST.with_borrow(|slot| match slot {
            Some(host) => question(&mut *host.borrow_mut()),
            None => panic!("no host here: outside a component, call handlers with seriatim_guest::testing::Kit"),
        })
    }

    pub(crate) fn state_get(key: &str) -> Option<Vec<u8>> {
        ask(|host| host.state_get(key))
    }
    pub(crate) fn state_set(key: &str, value: &[u8]) {
        ask(|host| host.state_set(key, value));
    }
    pub(crate) fn state_delete(key: &str) {
        ask(|host| host.state_delete(key));
    }
    pub(crate) fn state_keys(prefix: &str, after: Option<&str>, max: u32) -> Vec<String> {
        ask(|host| host.state_keys(prefix, after, max))
    }
    pub(crate) fn emit(subject: &str, headers: &[Header], payload: &[u8]) {
        ask(|host| host.emit(subject, headers, payload));
    }
    pub(crate) fn log(level: Level, message: &str, fields: &[Field]) {
        ask(|host| host.log(level, message, fields));
    }
    pub(crate) fn config_get(key: &str) -> Option<String> {
        ask(|host| host.config_get(key))
    }
    pub(crate) fn attempt() -> u32 {
        ask(|host| host.attempt())
    }
    pub(crate) fn late() -> bool {
        ask(|host| host.late())
    }
    pub(crate) fn replay() -> bool {
        ask(|host| host.replay())
    }
}
#[cfg(not(target_arch = "wasm32"))]
pub use native::with;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use native::{attempt, config_get, emit, late, log, replay, state_delete, state_get, state_keys, state_set};
