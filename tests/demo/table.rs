//! The table at the end. Plain aligned text: three columns whose widths are known need no library.

use crate::disorder::Disorder;
use crate::plain::{self, Month};
use crate::run::{Life, Run};
use indicatif::HumanCount;
use std::fmt::Write as _;
use std::time::Duration;

const NAME: usize = 18;
const FIGURE: usize = 10;
const RULE: usize = 100;

/// What the table tells.
pub(crate) struct Facts<'a> {
    pub(crate) month: &'a Month,
    pub(crate) disorder: &'a Disorder,
    pub(crate) run: &'a Run,
    /// Places by which an event may have been moved.
    pub(crate) window: usize,
    /// Of the disorder.
    pub(crate) seed: u64,
    /// Minutes from which on a late departure raises an alert.
    pub(crate) threshold: i32,
}

/// The table; ends with a line break.
pub(crate) fn render(facts: &Facts<'_>) -> String {
    let mut table = Table::default();
    month(facts, &mut table);
    stream(facts, &mut table);
    host(facts, &mut table);
    findings(facts, &mut table);
    table.rule();
    table.0
}

fn month(facts: &Facts<'_>, table: &mut Table) {
    let (month, figures) = (facts.month, &facts.month.figures);
    table.title("The month");
    let kinds = [(figures.departures, "departures"), (figures.arrivals, "arrivals"), (figures.diversions, "diversions")];
    let kinds: Vec<_> = kinds.iter().map(|(count, name)| format!("{} {name}", HumanCount(*count))).collect();
    table.row("events", count(month.events()), &kinds.join(", "));
    let least = month.sequences.values().min().copied().unwrap_or(0);
    let most = month.sequences.values().max().copied().unwrap_or(0);
    table.row("aircraft", count(month.aircraft()), &format!("with {least} to {most} events each"));
}

fn stream(facts: &Facts<'_>, table: &mut Table) {
    let disorder = facts.disorder;
    table.title("The stream, counted as it arrived");
    let how = format!("mixed within {} places, a tenth doubled; seed {}", count(facts.window as u64), facts.seed);
    table.row("messages", count(disorder.messages), &how);
    table.row("duplicates dropped", count(disorder.duplicates), "");
    table.row("held", count(disorder.held), &format!("came before their turn; at most {} at once", count(disorder.held_at_once)));
    let gap = format!("events missing before one that came early, of {}", disorder.worst_gap_aircraft);
    table.row("worst gap", count(disorder.worst_gap), &gap);
    table.row("longest hold", count(disorder.longest_hold), "messages passed by before an event had its turn");
}

fn host(facts: &Facts<'_>, table: &mut Table) {
    let (month, run) = (facts.month, facts.run);
    table.title(if cfg!(debug_assertions) { "The host (a development build)" } else { "The host" });
    let each = format!("{} of echo, {} of rotation", count(plain::count(&month.echo)), count(plain::count(&month.rotation)));
    table.row("outputs", count(month.outputs()), &each);
    let revivals: Vec<&Life> = run.lives.iter().skip(1).collect();
    table.row("SIGKILLs", count(revivals.len() as u64), "each of a host at work:");
    for ((kill, life), number) in run.lives.iter().filter_map(|life| life.kill.as_ref()).zip(&revivals).zip(1..) {
        let at = kill.outputs * 100 / month.outputs().max(1);
        let how = kill.how.to_string();
        table.row("", String::new(), &format!("{number}  at {at:>2} %  {how:<31}  back after {:>8}", ms(life.first_output)));
    }
    let first: Vec<_> = revivals.iter().map(|life| life.first_output).collect();
    let ready: Vec<_> = revivals.iter().map(|life| life.ready).collect();
    table.row("recovery", ms(median(&first)), "median time from a host's start to its first new output;");
    table.row("", String::new(), &format!("{}; ready after {}", range(&first), range(&ready)));
    let seconds = run.elapsed.as_secs_f64();
    let over = format!("over {seconds:.1} s from the first start to the last output, deaths included");
    table.row("events per second", count(rate(month.events(), run.elapsed)), &over);
    let worked: Duration = run.lives.iter().map(|life| life.worked).sum();
    let events: u64 = run.lives.iter().map(|life| life.events).sum();
    let without = format!("over the {:.1} s from each host's first new output to its end", worked.as_secs_f64());
    table.row("", count(rate(events, worked)), &without);
}

fn findings(facts: &Facts<'_>, table: &mut Table) {
    let figures = &facts.month.figures;
    table.title("What the handler rotation found");
    table.row("alerts", count(figures.alerts.values().sum()), &format!("departures more than {} minutes late, by cause:", facts.threshold));
    let causes: Vec<_> = figures.alerts.iter().map(|(cause, alerts)| format!("{} {cause}", count(*alerts))).collect();
    table.row("", String::new(), &causes.join(", "));
    let (aircraft, minutes) = &figures.most_delayed;
    table.row("most delayed", aircraft.clone(), &format!("left {} minutes late, over all its flights", count(*minutes)));
    let (minutes, flight) = &figures.latest;
    table.row("latest departure", count(*minutes), &format!("minutes: {flight}"));
}

/// Per second, rounded down.
fn rate(events: u64, time: Duration) -> u64 {
    let ms = time.as_millis().max(1);
    u64::try_from(u128::from(events) * 1000 / ms).unwrap_or(u64::MAX)
}

/// The middle one; of an even number the lower of the two.
fn median(all: &[Duration]) -> Duration {
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

fn range(all: &[Duration]) -> String {
    let (least, most) = (all.iter().min().copied(), all.iter().max().copied());
    format!("{} to {}", ms(least.unwrap_or_default()), ms(most.unwrap_or_default()))
}

fn ms(time: Duration) -> String {
    format!("{} ms", HumanCount(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)))
}

fn count(number: u64) -> String {
    HumanCount(number).to_string()
}

/// Text in three columns: a name, a figure to the right, a remark.
#[derive(Default)]
struct Table(String);

impl Table {
    fn title(&mut self, text: &str) {
        self.rule();
        self.line(text.to_owned());
    }

    fn rule(&mut self) {
        self.line("─".repeat(RULE));
    }

    fn row(&mut self, name: &str, figure: String, remark: &str) {
        self.line(format!("  {name:<NAME$} {figure:>FIGURE$}   {remark}").trim_end().to_owned());
    }

    fn line(&mut self, text: String) {
        // A string takes every text.
        writeln!(self.0, "  {text}").ok();
    }
}

#[cfg(test)]
mod tests {
    use super::{Table, median, rate};
    use std::time::Duration;

    #[test]
    fn figures_stand_below_each_other() {
        let mut table = Table::default();
        table.row("events", super::count(52_966), "all");
        table.row("", super::count(7), "");
        assert_eq!(table.0, "    events                 52,966   all\n                                7\n");
    }

    #[test]
    fn rates_and_medians() {
        assert_eq!(rate(3000, Duration::from_millis(1500)), 2000);
        assert_eq!(rate(7, Duration::ZERO), 7000);
        let ms = Duration::from_millis;
        assert_eq!(median(&[ms(9), ms(1), ms(5)]), ms(5));
        assert_eq!(median(&[ms(9), ms(1), ms(5), ms(7)]), ms(5));
        assert_eq!(median(&[]), Duration::ZERO);
    }
}
