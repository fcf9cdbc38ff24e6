//! The result as a person reads it, beside an earlier one if there is one.

use crate::report::{Report, Summary};

/// Ends with a line break.
pub(crate) fn of(report: &Report, baseline: Option<&Report>) -> String {
    let mut text = head(report);
    text.push_str("\nloop       msg/s: median      min      max   CPU us/msg: loop  broker   start-up s\n");
    for summary in &report.summary {
        row(&mut text, &row_of(summary));
    }
    text.push_str("\nwithin a round          median      min      max");
    text.push_str(if baseline.is_some() { "   baseline   change\n" } else { "\n" });
    for ratio in &report.ratios {
        let name = format!("{} / {}", ratio.of, ratio.to);
        let mut line = format!("{name:<20} {:>9.2} {:>8.2} {:>8.2}", ratio.spread.median, ratio.spread.min, ratio.spread.max);
        if let Some(before) = baseline.and_then(|baseline| baseline.ratio(ratio.of, ratio.to)) {
            let before = before.spread.median;
            line.push_str(&format!(" {before:>10.2} {:>+7.0}%", (ratio.spread.median / before - 1.0) * 100.0));
        }
        row(&mut text, &line);
    }
    for difference in baseline.map(|baseline| differences(report, baseline)).unwrap_or_default() {
        row(&mut text, &format!("note: the baseline was measured otherwise: {difference}"));
    }
    if report.environment.profile != "release" {
        row(&mut text, "note: this is no release build: its numbers mean nothing");
    }
    text
}

fn head(report: &Report) -> String {
    let (settings, environment) = (&report.settings, &report.environment);
    let load = environment.load_before.map_or_else(|| "unknown".to_owned(), |load| format!("{load:.2}"));
    format!(
        "{} messages of {} bytes, {} entities, {} rounds; {} build of {}\n{}, {} cores, {}, nats-server {}, load before {load}\n",
        settings.messages,
        settings.payload_bytes,
        settings.entities,
        settings.rounds,
        environment.profile,
        environment.commit.as_deref().unwrap_or("an unknown commit"),
        environment.processor,
        environment.cores,
        environment.system,
        environment.nats_server,
    )
}

fn row_of(summary: &Summary) -> String {
    let Summary { kind, messages_per_second: rate, startup_seconds, loop_cpu_us_per_message, broker_cpu_us_per_message } = summary;
    format!(
        "{kind:<10} {:>13.0} {:>8.0} {:>8.0} {:>18.1} {:>7.1} {:>12.2}",
        rate.median, rate.min, rate.max, loop_cpu_us_per_message.median, broker_cpu_us_per_message.median, startup_seconds.median,
    )
}

fn row(text: &mut String, line: &str) {
    text.push_str(line);
    text.push('\n');
}

/// What makes two results hard to compare. Ratios bear another load, not another task or another machine.
fn differences(now: &Report, before: &Report) -> Vec<String> {
    let (here, there) = (&now.settings, &before.settings);
    let (machine, other) = (&now.environment, &before.environment);
    [
        ("messages", here.messages.to_string(), there.messages.to_string()),
        ("entities", here.entities.to_string(), there.entities.to_string()),
        ("bytes of a payload", here.payload_bytes.to_string(), there.payload_bytes.to_string()),
        ("prefetch", here.prefetch_messages.to_string(), there.prefetch_messages.to_string()),
        ("publish window", here.publish_window.to_string(), there.publish_window.to_string()),
        ("build", machine.profile.clone(), other.profile.clone()),
        ("cores", machine.cores.to_string(), other.cores.to_string()),
        ("processor", machine.processor.clone(), other.processor.clone()),
        ("nats-server", machine.nats_server.clone(), other.nats_server.clone()),
    ]
    .into_iter()
    .filter(|(_, now, before)| now != before)
    .map(|(what, now, before)| format!("{what}: {before} there, {now} here"))
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;

    fn line<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
        text.lines().find(|line| line.starts_with(begin)).unwrap_or_default().split_whitespace().collect()
    }

    #[test]
    fn names_every_loop_and_every_ratio() {
        let text = of(&sample(100.0), None);
        assert_eq!(line(&text, "host "), ["host", "100", "100", "100", "5.0", "11.0", "0.10"], "{text}");
        assert_eq!(line(&text, "raw "), ["raw", "75", "50", "100", "5.0", "11.0", "0.10"], "{text}");
        assert_eq!(line(&text, "host / raw "), ["host", "/", "raw", "1.50", "1.00", "2.00"], "{text}");
        assert!(!text.contains("note:"), "{text}");
    }

    #[test]
    fn shows_what_changed_against_a_baseline() {
        let text = of(&sample(50.0), Some(&sample(100.0)));
        assert_eq!(line(&text, "host / raw "), ["host", "/", "raw", "0.75", "0.50", "1.00", "1.50", "-50%"], "{text}");
        assert!(!text.contains("note:"), "{text}");
    }

    #[test]
    fn says_what_makes_a_comparison_doubtful() {
        let mut baseline = sample(100.0);
        baseline.settings.messages = 5;
        baseline.environment.cores = 64;
        let mut report = sample(100.0);
        report.environment.profile = "debug".to_owned();
        let text = of(&report, Some(&baseline));
        assert!(text.contains("messages: 5 there, 1000 here"), "{text}");
        assert!(text.contains("cores: 64 there, 2 here"), "{text}");
        assert!(text.contains("no release build"), "{text}");
    }
}
