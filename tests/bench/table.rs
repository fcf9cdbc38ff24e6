//! The result as a person reads it, on the terminal and on the page: sections of Markdown. Pure.

use crate::load::{Arrangement, Disorder, Load};
use crate::report::{Group, Isolation, Latency, Loop, Recovery, Report, Summary, Sweep, Whose};
use crate::spread::{Spread, exponent};

/// A part of the page.
pub(crate) struct Section {
    /// What the page's markers name.
    pub(crate) name: String,
    pub(crate) text: String,
}

/// Every section that the result has something for. `before` is an earlier result to compare with.
pub(crate) fn sections(report: &Report, before: Option<&Report>) -> Vec<Section> {
    let mut sections = vec![section("machine", machine(report))];
    sections.push(section("targets", targets(report)));
    let main: Vec<String> =
        report.main.iter().map(|group| whole_group(group, before.and_then(|before| before.group(&group.name)))).collect();
    if !main.is_empty() {
        sections.push(section("main", main.join("\n")));
    }
    if !report.latency.is_empty() {
        sections.push(section("latency", report.latency.iter().map(latency).collect::<Vec<_>>().join("\n")));
    }
    sections.extend(report.sweeps.iter().map(|sweep| section(&sweep.name, sweep_table(sweep, before))));
    if !report.memory.is_empty() {
        sections.push(section("memory", memory(report)));
    }
    if !report.recovery.is_empty() {
        sections.push(section("recovery", recovery(report)));
    }
    if !report.micro.is_empty() {
        sections.push(section("micro", micro(report)));
    }
    sections
}

fn section(name: &str, text: String) -> Section {
    Section { name: name.to_owned(), text }
}

/// What is said above everything else; ends with a line break.
fn machine(report: &Report) -> String {
    let environment = &report.environment;
    let load = environment.load_before.map_or_else(|| "unknown".to_owned(), |load| format!("{load:.2}"));
    let mut text = format!(
        "{}, {} build of {} (seriatim {}, {}); {}, {} cores, {:.0} GiB, {}, {}; nats-server {}, {}; load before {load}\n",
        report.date,
        environment.profile,
        environment.commit.as_deref().unwrap_or("an unknown commit"),
        environment.version,
        environment.rustc.as_deref().unwrap_or("an unknown rustc"),
        environment.processor,
        environment.cores,
        environment.memory_bytes as f64 / (1_u64 << 30) as f64,
        environment.system,
        environment.disk,
        environment.nats_server,
        environment.libraries.join(", "),
    );
    if report.seconds > 0.0 {
        text.push_str(&format!(
            "\n{} rounds; each group has as many events as its slowest host does in {} s, about.\n",
            report.rounds, report.seconds
        ));
    }
    if environment.profile != "release" || report.quick {
        text.push_str("\nnote: this is no release build, or a quick run: the numbers mean nothing\n");
    }
    text
}

fn targets(report: &Report) -> String {
    let rows = report.targets.iter().map(|target| {
        let reached = match target.reached {
            Some(true) => "reached",
            Some(false) => "NOT REACHED",
            None => "not measured",
        };
        vec![target.case.clone(), target.wanted.clone(), target.found.clone().unwrap_or_default(), reached.to_owned()]
    });
    table(&["case", "target", "found", ""], rows)
}

fn whole_group(group: &Group, before: Option<&Group>) -> String {
    let mut text = format!("**{}**: {}\n\n", group.name, about(group));
    let mut head = vec!["loop", "messages/s", "lowest to highest", "CPU µs/message: loop", "broker", "× acks", "× no acks", "× by hand"];
    if before.is_some() {
        head.push("before");
    }
    let rows = group.summary.iter().map(|summary| {
        let mut row = rates(summary);
        row.extend([[Loop::Receive, Loop::Raw], [Loop::ReceiveNoAck, Loop::RawNoAck], [Loop::IdiomaticReceive, Loop::Idiomatic]].map(
            |rivals| {
                let found = rivals.iter().find_map(|rival| group.ratio(summary.kind, *rival));
                found.map(|ratio| spread(&ratio.spread)).unwrap_or_default()
            },
        ));
        if let Some(before) = before {
            row.push(earlier(before, summary.kind));
        }
        row
    });
    text.push_str(&table(&head, rows));
    text
}

/// The ratios of an earlier result.
fn earlier(before: &Group, of: Loop) -> String {
    let ratios = before.ratios.iter().filter(|ratio| ratio.of == of);
    ratios.map(|ratio| format!("{:.2}", ratio.spread.median)).collect::<Vec<_>>().join(", ")
}

/// The load in words.
fn about(group: &Group) -> String {
    let Load { entities, payload_bytes, arrangement, disorder, .. } = group.load;
    let arrangement = match arrangement {
        Arrangement::Bursts(_) if entities == 1 => "all of one entity".to_owned(),
        Arrangement::Bursts(1) => "in turn (every run is a single event)".to_owned(),
        Arrangement::Bursts(burst) => format!("{burst} of an entity at a time (long runs, as a backlog may have them)"),
        Arrangement::Hot => "every second one of one entity".to_owned(),
    };
    let disorder = match disorder {
        Disorder::None => String::new(),
        Disorder::Window(window) => format!(", each moved by less than {window} places"),
        Disorder::Copies(percent) => format!(", {percent} % of them twice"),
    };
    let isolation = match group.isolation {
        Isolation::Run => "isolation `run` (the default)",
        Isolation::Event => "isolation `event`",
        Isolation::Shared => "isolation `shared`: without instance isolation",
    };
    format!("{} messages of {payload_bytes} bytes over {entities} entities, {arrangement}{disorder}; {isolation}", group.messages)
}

fn rates(summary: &Summary) -> Vec<String> {
    let Summary { kind, messages_per_second: rate, loop_cpu_us_per_message, broker_cpu_us_per_message, .. } = summary;
    vec![
        kind.to_string(),
        format!("{:.0}", rate.median),
        format!("{:.0} to {:.0}", rate.min, rate.max),
        format!("{:.1}", loop_cpu_us_per_message.median),
        format!("{:.1}", broker_cpu_us_per_message.median),
    ]
}

fn spread(spread: &Spread) -> String {
    format!("{:.2} ({:.2} to {:.2})", spread.median, spread.min, spread.max)
}

fn sweep_table(sweep: &Sweep, before: Option<&Report>) -> String {
    let rows = sweep.groups.iter().flat_map(|group| {
        let before = before.and_then(|before| before.group(&group.name));
        group.summary.iter().filter(|summary| summary.kind.is_host()).map(move |host| {
            let rivals =
                group.ratios.iter().filter(|ratio| ratio.of == host.kind).map(|ratio| format!("{} × {}", spread(&ratio.spread), ratio.to));
            let mut row = vec![group.name.clone(), group.messages.to_string()];
            row.extend(rates(host));
            row.push(rivals.collect::<Vec<_>>().join("; "));
            row.push(before.map(|before| earlier(before, host.kind)).unwrap_or_default());
            row
        })
    });
    let head =
        ["group", "messages", "loop", "messages/s", "lowest to highest", "CPU µs/message: loop", "broker", "within a round", "before"];
    let mut text = table(&head, rows);
    if let Some((exponent, steepest)) = sweep.exponent.zip(sweep.steepest) {
        let what = if sweep.name == "events" { "for all events" } else { "for each event" };
        text.push_str(&format!(
            "\nThe host's time {what} grows with the power {exponent:.2} of it, where it grows most with the power {steepest:.2} (0: not at all, 1: in \
             proportion, 2: with its square).\n"
        ));
    }
    text
}

fn latency(latency: &Latency) -> String {
    let whose = match latency.whose {
        Whose::Host => "the slowest host",
        Whose::Raw => "`raw`",
    };
    let mut text = format!(
        "**Half of what {whose} carries**: {:.0} events/s for {:.0} s, half of the {:.0}/s that it does with the publisher on the same machine. Milliseconds from the moment at which an event was due to the storing of its output.\n\n",
        latency.rate_per_second,
        latency.events as f64 / latency.rate_per_second,
        latency.live_per_second,
    );
    let rows = latency.runs.iter().map(|run| {
        let who = run.isolation.map_or_else(|| run.kind.to_string(), |isolation| format!("{}, {isolation}", run.kind));
        let mut row = vec![run.round.to_string(), who];
        row.extend([run.p50_ms, run.p99_ms, run.p999_ms, run.max_ms, run.publisher_late_ms].map(|value| format!("{value:.2}")));
        row
    });
    text.push_str(&table(&["round", "loop", "p50", "p99", "p99.9", "max", "publisher late by"], rows));
    text
}

fn memory(report: &Report) -> String {
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20));
    let rows = report.memory.iter().map(|memory| {
        vec![
            memory.state.clone(),
            format!("{:.0}", memory.bytes_per_entity),
            format!("{:.0}", memory.own_bytes),
            format!("{}: {}", memory.entities.0, mib(memory.resident.0)),
            format!("{}: {}", memory.entities.1, mib(memory.resident.1)),
            power(&[(memory.entities.0 as f64, memory.resident.0 as f64), (memory.entities.1 as f64, memory.resident.1 as f64)]),
        ]
    });
    table(
        &["entities that are", "bytes each", "of these its own state and events", "a host with", "and with", "grows with the power"],
        rows,
    )
}

fn recovery(report: &Report) -> String {
    let rows = report.recovery.iter().map(|recovery| {
        let all: Vec<String> = recovery.first_event_seconds.iter().map(|seconds| format!("{seconds:.2}")).collect();
        vec![
            recovery.entities.to_string(),
            all.join(", "),
            format!("{:.2}", recovery.stopped_seconds),
            format!("{:.2}", recovery.empty_seconds),
        ]
    });
    let mut text = table(&["entities", "after SIGKILL at work, s", "after a stop, s", "on an empty store, s"], rows);
    let median = |recovery: &Recovery| Some((recovery.entities as f64, Spread::of(&recovery.first_event_seconds)?.median));
    let points: Vec<(f64, f64)> = report.recovery.iter().filter_map(median).collect();
    text.push_str(&format!("\nThe time after SIGKILL grows with the power {} of the number of entities.\n", power(&points)));
    text
}

/// Of the growth through these points.
fn power(points: &[(f64, f64)]) -> String {
    exponent(points).map_or_else(|| "?".to_owned(), |exponent| format!("{exponent:.2}"))
}

fn micro(report: &Report) -> String {
    let rows = report.micro.iter().map(|micro| {
        let allocations = micro.allocations.map(|count| format!("{count}")).unwrap_or_default();
        vec![micro.name.clone(), format!("{:.0}", micro.median_ns), format!("{:.2}", 1e3 / micro.median_ns), allocations]
    });
    table(&["what", "median ns", "million/s", "allocations"], rows)
}

/// Markdown, with columns of even width for the terminal; numbers to the right.
fn table<'a>(head: &[&str], rows: impl Iterator<Item = Vec<String>> + 'a) -> String {
    let rows: Vec<Vec<String>> = rows.collect();
    let columns: Vec<Vec<&str>> = head
        .iter()
        .enumerate()
        .map(|(at, name)| std::iter::once(*name).chain(rows.iter().map(|row| row.get(at).map_or("", String::as_str))).collect())
        // A column without a value says nothing.
        .filter(|column: &Vec<&str>| column.iter().skip(1).any(|cell| !cell.is_empty()))
        .collect();
    let number =
        |column: &[&str]| column.iter().skip(1).all(|cell| cell.is_empty() || cell.starts_with(|c: char| c.is_ascii_digit() || c == '-'));
    let mut text = String::new();
    for line in 0..=rows.len() {
        for column in &columns {
            let width = column.iter().map(|cell| cell.chars().count()).max().unwrap_or_default();
            let cell = column.get(line).copied().unwrap_or_default();
            text.push_str(&if number(column) { format!("| {cell:>width$} ") } else { format!("| {cell:<width$} ") });
        }
        text.push_str("|\n");
        if line == 0 {
            for column in &columns {
                let width = column.iter().map(|cell| cell.chars().count()).max().unwrap_or_default();
                text.push_str(&if number(column) { format!("|{}:", "-".repeat(width + 1)) } else { format!("|{}", "-".repeat(width + 2)) });
            }
            text.push_str("|\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    fn cells<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
        let line = text.lines().find(|line| line.starts_with(&format!("| {begin}"))).unwrap_or_else(|| panic!("{begin} in {text}"));
        line.trim_matches('|').split('|').map(str::trim).collect()
    }

    fn text_of(report: &Report, before: Option<&Report>, name: &str) -> String {
        sections(report, before).into_iter().find(|section| section.name == name).unwrap().text
    }

    #[test]
    fn a_host_stands_beside_its_rivals() {
        let text = text_of(&sample(100.0), None, "main");
        assert_eq!(
            cells(&text, "host (iii)"),
            ["host (iii)", "75", "50 to 100", "5.0", "11.0", "1.00 (1.00 to 1.00)", "1.25 (1.25 to 1.25)"]
        );
        assert_eq!(cells(&text, "raw")[..2], ["raw", "75"]);
        assert!(text.contains("without instance isolation") && text.contains("in turn"), "{text}");
    }

    #[test]
    fn an_earlier_result_stands_in_a_column_of_its_own() {
        let text = text_of(&sample(50.0), Some(&sample(100.0)), "main");
        assert_eq!(cells(&text, "host (iii)").last(), Some(&"1.00, 1.25"));
        assert_eq!(cells(&text, "raw").last(), Some(&""));
    }

    #[test]
    fn what_means_nothing_says_so() {
        let mut report = sample(100.0);
        assert!(!text_of(&report, None, "machine").contains("note:"));
        report.environment.profile = "debug".to_owned();
        assert!(text_of(&report, None, "machine").contains("no release build"));
    }

    #[test]
    fn targets_are_named_with_what_became_of_them() {
        let mut report = sample(99.0);
        report.targets = crate::targets::of(&report);
        let text = text_of(&report, None, "targets");
        assert!(text.lines().any(|line| line.contains("× idiomatic") && line.contains("NOT REACHED")), "{text}");
        assert!(text.contains("not measured"), "{text}");
    }
}
