//! From the tree to the typed config, section by section, with the checks that span several values. Bounds and defaults
//! come from the table of keys; nothing here stops at the first fault.

use super::document::Section;
use super::keys::size_text;
use super::parse::{
    address, checked_text, duration, duration_or, durations, integer, integer_or, patterns, servers, size, source, start, text, texts,
    to_usize,
};
use super::problem::{At, Place};
use super::types::{
    AdminConfig, AdminTls, BreakerConfig, By, Component, Config, DeadLettersConfig, EventConfig, FailureConfig, GapConfig, HandlerConfig,
    Isolation, NatsAuth, NatsConfig, NatsTls, OrderConfig, PipelineConfig, Read, RunConfig, StoreConfig, TelemetryConfig,
};
use super::values;
use crate::source::sources::Source;
use seriatim_sequencer::{FailureThen, First, GapThen, Late};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The whole file. None only when something was noted as wrong.
pub(super) fn config(root: &Section<'_, '_>, file: &str, folder: &Path) -> Option<Config> {
    let nats = nats(&root.section("nats"), folder);
    let store = store(&root.section("store"), folder);
    let telemetry = telemetry(&root.section("telemetry"));
    let admin = admin(&root.section("admin"), folder);
    let run = run(&root.section("run"));
    let dead_letters = dead_letters(&root.section("dead-letters"));
    let pipelines = pipelines(root, folder);
    if let (Some(admin), Some(telemetry)) = (&admin, &telemetry)
        && admin.listen.value == telemetry.listen.value
        && admin.listen.port() != 0
    {
        root.problem(&admin.listen, "telemetry.listen is the same address; each needs its own");
    }
    Some(Config {
        file: file.to_owned(),
        nats: nats?,
        store: store?,
        telemetry: telemetry?,
        admin: admin?,
        run: run?,
        dead_letters: dead_letters?,
        pipelines: pipelines?,
    })
}

fn nats(section: &Section<'_, '_>, folder: &Path) -> Option<NatsConfig> {
    let servers = section.read("servers", servers);
    let auth = auth(section, folder);
    let tls = section.section("tls");
    let (ca_file, cert_file, key_file) = (tls.file("ca-file", folder), tls.file("cert-file", folder), tls.file("key-file", folder));
    let required = tls.flag("required");
    let identity = match (cert_file, key_file) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (Some(cert), None) => {
            tls.problem(&cert, "key-file is missing beside it");
            None
        }
        (None, Some(key)) => {
            tls.problem(&key, "cert-file is missing beside it");
            None
        }
        (None, None) => None,
    };
    let tls = match tls.is_written() {
        true => Some(NatsTls { ca_file, identity, required: required? }),
        false => None,
    };
    Some(NatsConfig { servers: servers?.value, auth, tls })
}

fn auth(section: &Section<'_, '_>, folder: &Path) -> NatsAuth {
    let user = section.read("user", text);
    let password = section.file("password-file", folder);
    match (&user, &password) {
        (Some(user), None) => section.problem(user, "password-file is missing beside it"),
        (None, Some(password)) => section.problem(password, "user is missing beside it"),
        _ => {}
    }
    let mut ways: Vec<(At<()>, NatsAuth)> = Vec::new();
    let mut add = |place: &Place, way| ways.push((At { value: (), place: place.clone() }, way));
    if let Some(file) = section.file("credentials-file", folder) {
        add(&file.place.clone(), NatsAuth::Credentials(file));
    }
    if let Some(file) = section.file("nkey-file", folder) {
        add(&file.place.clone(), NatsAuth::Nkey(file));
    }
    if let (Some(user), Some(file)) = (user, password) {
        add(&user.place, NatsAuth::Password { user: user.value, file });
    }
    if let Some(file) = section.file("token-file", folder) {
        add(&file.place.clone(), NatsAuth::Token(file));
    }
    ways.sort_by_key(|(at, _)| at.place.line);
    let mut ways = ways.into_iter();
    let first = ways.next();
    for (at, _) in ways {
        let other = first.as_ref().map_or(0, |(at, _)| at.place.line);
        section.problem(&at, format!("a second way to log in, beside the one in line {other}; leave one"));
    }
    first.map(|(_, way)| way).unwrap_or_default()
}

fn store(section: &Section<'_, '_>, folder: &Path) -> Option<StoreConfig> {
    section.word("kind", &[("embedded", ())]);
    let cache = section.bytes("cache");
    Some(StoreConfig { path: section.file("path", folder)?, cache: cache? })
}

fn telemetry(section: &Section<'_, '_>) -> Option<TelemetryConfig> {
    Some(TelemetryConfig { listen: section.read("listen", address)? })
}

fn admin(section: &Section<'_, '_>, folder: &Path) -> Option<AdminConfig> {
    let listen = section.read("listen", address);
    let token_file = section.file("token-file", folder);
    let inner = section.section("tls");
    let tls = AdminTls::both(inner.file("cert-file", folder), inner.file("key-file", folder));
    let hosts = section.read("hosts", patterns(values::host));
    let listen = listen?;
    if !listen.ip().is_loopback() && (token_file.is_none() || !inner.is_written()) {
        section.problem(&listen, "not a loopback address: needs admin.tls and admin.token-file");
    }
    Some(AdminConfig { listen, token_file, tls, hosts: hosts?.value })
}

impl AdminTls {
    fn both(cert_file: Option<At<PathBuf>>, key_file: Option<At<PathBuf>>) -> Option<Self> {
        Some(Self { cert_file: cert_file?, key_file: key_file? })
    }
}

fn run(section: &Section<'_, '_>) -> Option<RunConfig> {
    let shards = section.read("shards", integer_or);
    let drain = section.duration("drain");
    let prefetch_messages = section.count("prefetch-messages");
    let prefetch_bytes = section.bytes("prefetch-bytes");
    let queue_max = section.count("queue-max");
    let calls_max = section.count("calls-max");
    let commits_max = section.count("commits-max");
    let catch_ups_max = section.count("catch-ups-max");
    let held_bytes = section.bytes("held-bytes");
    let entities_max = section.count("entities-max");
    let publish_window = section.count("publish-window");
    let given_up_ranges_max = section.count("given-up-ranges-max");
    let outbox_max = section.count("outbox-max");
    let pipeline_outbox_max = section.count("pipeline-outbox-max");
    let lifecycle_queue = section.count("lifecycle-queue");
    let retention_near_percent = section.read("retention-near-percent", integer);
    let compile_time_max = section.duration("compile-time-max");
    let compile_memory_max = section.bytes("compile-memory-max");
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    Some(RunConfig {
        shards: shards?.value.map_or_else(cores, to_usize),
        drain: drain?,
        prefetch_messages: prefetch_messages?,
        prefetch_bytes: prefetch_bytes?,
        queue_max: queue_max?,
        calls_max: calls_max?,
        commits_max: commits_max?,
        catch_ups_max: catch_ups_max?,
        held_bytes: held_bytes?,
        entities_max: entities_max?,
        publish_window: publish_window?,
        given_up_ranges_max: given_up_ranges_max?,
        outbox_max: outbox_max?,
        pipeline_outbox_max: pipeline_outbox_max?,
        lifecycle_queue: lifecycle_queue?,
        retention_near_percent: retention_near_percent?.value,
        compile_time_max: compile_time_max?,
        compile_memory_max: compile_memory_max?,
    })
}

fn dead_letters(section: &Section<'_, '_>) -> Option<DeadLettersConfig> {
    let max_bytes = section.read("max-bytes", size);
    let max_age = section.read("max-age", duration_or);
    Some(DeadLettersConfig { max_bytes: max_bytes?.value, max_age: max_age?.value })
}

fn pipelines(root: &Section<'_, '_>, folder: &Path) -> Option<Vec<PipelineConfig>> {
    let section = root.section("pipelines");
    let named = section.named();
    if named.is_empty() && !section.is_faulty() {
        root.missing("pipelines", "missing; at least one [pipelines.NAME] is needed");
    }
    let all: Vec<_> = named.into_iter().map(|(name, section)| pipeline(name, &section, folder)).collect();
    all.into_iter().collect()
}

fn pipeline(name: At<String>, section: &Section<'_, '_>, folder: &Path) -> Option<PipelineConfig> {
    if let Err(message) = values::name(&name) {
        section.problem(&name, message);
    }
    let stream = section.read("stream", checked_text(values::stream));
    let subjects = section.read("subjects", patterns(values::pattern));
    let read = section.word("read", &[("ordered", Read::Ordered)]);
    let start = section.read("start", start);
    let retain = section.duration("retain");
    let event = event(&section.section("event"));
    let order = order(&section.section("order"));
    let failure = failure(&section.section("failure"));
    let handlers = handlers(section, folder);
    if let Some(subjects) = &subjects {
        check_overlaps(section, subjects);
        for source in event.iter().flat_map(EventConfig::needed) {
            check_token(section, source, subjects);
        }
    }
    Some(PipelineConfig {
        name,
        stream: stream?,
        subjects: subjects?.value,
        read: read?,
        start: start?,
        retain,
        event: event?,
        order: order?,
        failure: failure?,
        handlers: handlers?,
    })
}

impl EventConfig {
    /// Where the values come from without which a message is malformed.
    fn needed(&self) -> impl Iterator<Item = &At<Source>> {
        [&self.entity, &self.sequence].into_iter().chain(&self.epoch)
    }
}

/// The broker refuses a consumer whose filters overlap.
fn check_overlaps(section: &Section<'_, '_>, subjects: &[At<String>]) {
    for (index, later) in subjects.iter().enumerate() {
        if let Some(earlier) = subjects.iter().take(index).find(|earlier| values::overlap(earlier, later)) {
            section.problem(later, format!("overlaps {:?}; subjects of a pipeline may not", earlier.value));
        }
    }
}

fn check_token(section: &Section<'_, '_>, source: &At<Source>, subjects: &[At<String>]) {
    if let Source::Subject(token) = source.value
        && let Some(pattern) = subjects.iter().find(|pattern| !values::has_token(pattern, token))
    {
        section.problem(source, format!("subjects like {:?} have no token {token}", pattern.value));
    }
}

fn event(section: &Section<'_, '_>) -> Option<EventConfig> {
    section.word("format", &[("raw", ())]);
    let entity = section.read("entity", source);
    let sequence = section.read("sequence", source);
    let id = section.read("id", |value, reading| match value.get_ref().as_str() {
        Some("content") => Some(Source::Content),
        _ => source(value, reading),
    });
    let kind = section.read("kind", source);
    let time = section.read("time", source);
    let epoch = section.read("epoch", source);
    Some(EventConfig { entity: entity?, sequence: sequence?, id: id?, kind: kind?, time: time?, epoch })
}

fn order(section: &Section<'_, '_>) -> Option<OrderConfig> {
    let by = section.word("by", &[("sequence", By::Sequence)]);
    let first_sequence = section.read("first-sequence", |value, reading| Some(integer_or(value, reading)?.map_or(First::Any, First::At)));
    let accept_missing_history = section.flag("accept-missing-history");
    let inner = section.section("gap");
    let wait = inner.duration("wait");
    let held_max = inner.count("held-max");
    let jump_max = inner.read("jump-max", integer);
    let then = inner
        .word("then", &[("skip", GapThen::Skip), ("dead-letter", GapThen::DeadLetter), ("park", GapThen::Park), ("stop", GapThen::Stop)]);
    let late = section.word("late", &[("dead-letter", Late::DeadLetter), ("drop", Late::Drop), ("deliver", Late::Deliver)]);
    let dedup_ids = section.section("dedup").count("ids");
    Some(OrderConfig {
        by: by?,
        first_sequence: first_sequence?,
        accept_missing_history: accept_missing_history?,
        gap: GapConfig { wait: wait?, held_max: held_max?, jump_max: jump_max?.value, then: then? },
        late: late?,
        dedup_ids: dedup_ids?,
    })
}

fn failure(section: &Section<'_, '_>) -> Option<FailureConfig> {
    let retry = section.read("retry", durations);
    let then = section.word("then", &[("dead-letter", FailureThen::DeadLetter), ("park", FailureThen::Park), ("stop", FailureThen::Stop)]);
    let breaker = breaker(&section.section("breaker"));
    Some(FailureConfig { retry: retry?.value, then: then?, breaker: breaker? })
}

fn breaker(section: &Section<'_, '_>) -> Option<BreakerConfig> {
    let percent = section.read("percent", integer);
    let events = section.count("events");
    let entities = section.read("entities", integer);
    let delay = section.duration("delay");
    let delay_max = section.read("delay-max", duration);
    if let (Some(entities), Some(events)) = (&entities, events)
        && to_usize(entities.value) > events
    {
        section.problem(entities, format!("more than events, which is {events}: it could never open"));
    }
    if let (Some(delay_max), Some(delay)) = (&delay_max, delay)
        && delay_max.value < delay
    {
        section.problem(delay_max, format!("less than delay, which is {}", humantime::format_duration(delay)));
    }
    Some(BreakerConfig {
        percent: percent?.value,
        events: events?,
        entities: to_usize(entities?.value),
        delay: delay?,
        delay_max: delay_max?.value,
    })
}

fn handlers(section: &Section<'_, '_>, folder: &Path) -> Option<Vec<HandlerConfig>> {
    let list = section.list("handlers")?;
    if list.is_empty() {
        section.missing("handlers", "missing; at least one [[pipelines.NAME.handlers]] is needed");
    }
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let all: Vec<_> = list.iter().map(|section| handler(section, folder, &mut names)).collect();
    all.into_iter().collect()
}

fn handler(section: &Section<'_, '_>, folder: &Path, names: &mut BTreeMap<String, usize>) -> Option<HandlerConfig> {
    let name = section.read("name", checked_text(values::name));
    if let Some(name) = &name {
        match names.get(&name.value) {
            Some(line) => section.problem(name, format!("the handler in line {line} has this name")),
            None => drop(names.insert(name.value.clone(), name.place.line)),
        }
    }
    let component = section.read("component", |value, reading| {
        let text = text(value, reading)?;
        if text.starts_with("object:") {
            return match text.parse() {
                Ok(object) => Some(Component::Object(object)),
                Err(error) => reading.fault(value.span(), error),
            };
        }
        Some(Component::File(folder.join(text)))
    });
    let config = section.read("config", texts);
    let outputs = section.read("outputs", patterns(values::output));
    let isolation = section.word("isolation", &[("run", Isolation::Run), ("event", Isolation::Event), ("shared", Isolation::Shared)]);
    let memory_max = section.bytes("memory-max");
    let time_max = section.duration("time-max");
    let state_max = section.bytes("state-max");
    let state_value_max = section.read("state-value-max", size);
    let state_keys_max = section.count("state-keys-max");
    let outputs_max = section.count("outputs-max");
    let output_bytes_max = section.bytes("output-bytes-max");
    let log_lines_max = section.count("log-lines-max");
    if let (Some(value), Some(all)) = (&state_value_max, state_max)
        && to_usize(value.value) > all
    {
        section.problem(value, format!("more than state-max, which is {}", size_text(all as u64)));
    }
    Some(HandlerConfig {
        name: name?,
        component: component?,
        config: config?.value,
        outputs: outputs?.value,
        isolation: isolation?,
        memory_max: memory_max?,
        time_max: time_max?,
        state_max: state_max?,
        state_value_max: to_usize(state_value_max?.value),
        state_keys_max: state_keys_max?,
        outputs_max: outputs_max?,
        output_bytes_max: output_bytes_max?,
        log_lines_max: log_lines_max?,
    })
}
