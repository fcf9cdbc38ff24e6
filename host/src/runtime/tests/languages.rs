//! One suite for handlers in every language. `echo` and `rotation` exist in each, by one contract: on the same events every component must give the
//! bytes of the one in Rust, from the same state, with the same failures. `canary-<language>` (`canary` in Rust) remembers what it must not, and nobody
//! else may hear of it; told to, it reaches the limits of a call.
//!
//! `cargo xtask plugins --languages all` builds the components; `SERIATIM_LANGUAGES` names those that must be there, else those that are there
//! are taken; without any, only Rust is tested, which is said.

mod contract;
mod leaks;

use super::*;
use std::io::Write as _;
use std::sync::PoisonError;

/// The suite's own engine: its instances are large, and what it compiles is kept for the next run.
fn fresh_engine() -> Engine {
    let dir = folder().parent().map(|target| target.join("compiled-languages"));
    Engine::new(&EngineConfig { calls_max: 2, cache_dir: dir, ..EngineConfig::default() }).unwrap()
}

fn folder() -> PathBuf {
    std::env::var_os("SERIATIM_PLUGINS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins")), PathBuf::from)
}

/// The languages to test beside Rust; without any, says that this test does not run for them.
fn languages(test: &str) -> Vec<String> {
    let names = match std::env::var_os("SERIATIM_LANGUAGES") {
        Some(names) => names.into_string().unwrap().split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
        None => built(),
    };
    if names.is_empty() {
        let text = format!("runtime::tests::languages::{test}: NOT RUN: handlers in other languages are not built (cargo xtask ci does)\n");
        // Past the test's own capture, which hides what tests that pass have printed.
        std::io::stderr().write_all(text.as_bytes()).unwrap();
    }
    names
}

fn built() -> Vec<String> {
    let all = ["c", "zig", "go", "python", "javascript"];
    all.into_iter().filter(|name| folder().join(format!("echo-{name}.wasm")).is_file()).map(str::to_owned).collect()
}

/// A component in each of these languages, and in Rust, whose has no ending.
fn components(name: &str, languages: &[String]) -> Vec<String> {
    languages.iter().map(|language| format!("{name}-{language}")).chain([name.to_owned()]).collect()
}

/// Tests of one process that want the same component at the same time compile it once, which takes a minute for some: the others find it in the cache.
fn load_once(engine: &Engine, component: &str, config: HandlerConfig) -> Handler {
    static UNDER_WAY: Mutex<BTreeMap<String, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());
    let turn = UNDER_WAY.lock().unwrap().entry(component.to_owned()).or_default().clone();
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    engine.load(&guest(component), config).unwrap()
}

/// As a config that names the component would have it: Python and JavaScript need more memory than the default.
fn handler_config(settings: &[(&str, &str)], outputs: &str, isolation: Isolation) -> HandlerConfig {
    HandlerConfig {
        name: "test".into(),
        config: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
        outputs: vec![outputs.to_owned()],
        isolation,
        limits: Limits { memory_max: 64 << 20, time_max: Duration::from_secs(60), ..Limits::default() },
        load: 0,
    }
}

/// What is to be handled, and what state there is before.
#[derive(Clone, Debug)]
struct Given {
    entity: String,
    sequence: u64,
    kind: String,
    payload: Vec<u8>,
}

/// Subject, headers, payload.
type Message = (String, Vec<(String, String)>, Bytes);

/// What came of an event: outputs and the state afterwards, or the failure.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Came {
    Out { outputs: Vec<Message>, state: State },
    Failure { kind: &'static str, message: String },
}

/// A handler as a shard runs it: it keeps an instance as long as isolation allows, and each entity's state.
struct Runner {
    handler: Handler,
    instance: Option<Instance>,
    states: BTreeMap<String, State>,
}

impl Runner {
    fn new(handler: Handler) -> Self {
        Self { handler, instance: None, states: BTreeMap::new() }
    }

    async fn handle(&mut self, given: &Given) -> Came {
        let event =
            Arc::new(Event { kind: given.kind.clone(), ..Arc::unwrap_or_clone(event(&given.entity, given.sequence, &given.payload)) });
        let mut instance = match self.instance.take().filter(|instance| instance.serves(&event.key)) {
            Some(instance) => instance,
            None => self.handler.instantiate().await.unwrap(),
        };
        let before = self.states.remove(&given.entity).unwrap_or_default();
        let returned = instance.call(Call { event, attempt: 1, late: false, replay: false, state: before }).await;
        self.instance = Some(instance);
        let mut state = returned.state;
        let came = match returned.result {
            Ok(effects) => {
                for (key, value) in effects.writes {
                    match value {
                        Some(value) => state.insert(key, value),
                        None => state.remove(&key),
                    };
                }
                let headers = |headers: Vec<Header>| headers.into_iter().map(|header| (header.name, header.value)).collect();
                let outputs = effects.outputs.into_iter().map(|output| (output.subject, headers(output.headers), output.payload));
                Came::Out { outputs: outputs.collect(), state: state.clone() }
            }
            Err(failure) => Came::Failure { kind: failure.kind.name(), message: told(&failure.message) },
        };
        self.states.insert(given.entity.clone(), state);
        came
    }
}

/// What the contract fixes of a failure's text: after this the decoder's own words follow.
fn told(message: &str) -> String {
    const OWN_WORDS: &str = "is not the expected JSON: ";
    message.find(OWN_WORDS).map_or(message, |at| message.split_at(at + OWN_WORDS.len()).0).to_owned()
}
