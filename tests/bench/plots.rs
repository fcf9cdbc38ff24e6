//! The result as pictures (SVG) for the page. What is drawn is chosen purely; how, by the plotting crate.

use crate::report::{Delays, Group, Latency, Loop, Report, Sweep, Whose};
use crate::spread::Spread;
use anyhow::{Context as _, Result};
use plotters::prelude::*;
use std::fs;
use std::path::Path;

const SIZE: (u32, u32) = (860, 420);
const FONT: &str = "sans-serif";
const LARGE: u32 = 21;
const SMALL: u32 = 16;
const COLOURS: [RGBColor; 4] = [RGBColor(31, 119, 180), RGBColor(214, 96, 20), RGBColor(60, 140, 60), RGBColor(120, 90, 160)];

type Quantile = fn(&Delays) -> f64;

/// One picture.
#[derive(Debug, PartialEq)]
pub(crate) struct Chart {
    /// Its file, without folder and ending.
    pub(crate) name: String,
    pub(crate) title: String,
    /// The section of the page that it belongs to.
    pub(crate) section: String,
    kind: Kind,
}

#[derive(Debug, PartialEq)]
enum Kind {
    /// One bar for each; whether it is the host's.
    Bars { unit: &'static str, bars: Vec<(String, f64, bool)> },
    /// One line for each series; x is logarithmic.
    Lines { x: &'static str, y: &'static str, series: Vec<(String, Vec<(f64, f64)>)> },
}

/// Every picture that the result has something for.
pub(crate) fn charts(report: &Report) -> Vec<Chart> {
    let mut charts: Vec<Chart> = report.main.iter().map(rates).collect();
    charts.extend(report.latency.iter().map(delays));
    let named = |prefix: &str| report.sweeps.iter().filter(|sweep| sweep.name.starts_with(prefix)).collect::<Vec<_>>();
    for (prefix, x) in [("entities", "entities"), ("payload", "bytes of payload")] {
        let sweeps = named(prefix);
        if !sweeps.is_empty() {
            charts.push(growth(prefix, x, &sweeps));
        }
    }
    for prefix in ["disorder", "languages"] {
        charts.extend(named(prefix).into_iter().map(relative));
    }
    charts
}

/// Draws them all.
pub(crate) fn draw(folder: &Path, charts: &[Chart]) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for chart in charts {
        let mut svg = String::new();
        draw_one(&mut svg, chart).map_err(|error| anyhow::anyhow!("cannot draw {}: {error}", chart.name))?;
        let path = folder.join(format!("{}.svg", chart.name));
        fs::write(&path, svg + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn rates(group: &Group) -> Chart {
    let bars = group.summary.iter().map(|summary| (summary.kind.to_string(), summary.messages_per_second.median, summary.kind.is_host()));
    let kind = Kind::Bars { unit: "messages/s", bars: bars.collect() };
    let title = format!("{}: messages/s, median of the rounds", group.name);
    Chart { name: group.name.replace('/', "-"), title, section: "main".to_owned(), kind }
}

fn delays(latency: &Latency) -> Chart {
    let runs = &latency.runs;
    let mut who: Vec<_> = runs.iter().map(|run| run.isolation).collect();
    who.sort_by_key(|isolation| isolation.map(|isolation| isolation.to_string()));
    who.dedup();
    let quantiles: [(&str, Quantile); 3] = [("p50", |run| run.p50_ms), ("p99", |run| run.p99_ms), ("p99.9", |run| run.p999_ms)];
    let mut bars = Vec::new();
    for (name, of) in quantiles {
        for isolation in &who {
            let values: Vec<f64> = runs.iter().filter(|run| run.isolation == *isolation).map(of).collect();
            let label = isolation.map_or_else(|| format!("{name} raw"), |isolation| format!("{name} host (iii), {isolation}"));
            bars.extend(Spread::of(&values).map(|spread| (label, spread.median, isolation.is_some())));
        }
    }
    let (name, whose) = match latency.whose {
        Whose::Host => ("latency", "the slowest host"),
        Whose::Raw => ("latency-raw", "raw"),
    };
    let title = format!("Latency at half of what {whose} carries, ms");
    Chart { name: name.to_owned(), title, section: "latency".to_owned(), kind: Kind::Bars { unit: "ms", bars } }
}

fn growth(name: &str, x: &'static str, sweeps: &[&Sweep]) -> Chart {
    let points = |sweep: &Sweep, kind: Loop| -> Vec<(f64, f64)> {
        let point = |group: &Group| Some((group.x?, group.summary(kind)?.messages_per_second.median));
        sweep.groups.iter().filter_map(point).collect()
    };
    let label = |sweep: &Sweep| {
        sweep.name.split_once('-').map_or_else(|| "host (iii)".to_owned(), |(_, isolation)| format!("host (iii), {isolation}"))
    };
    let mut series: Vec<_> = sweeps.iter().map(|sweep| (label(sweep), points(sweep, Loop::HostOutput))).collect();
    series.extend(sweeps.first().map(|sweep| ("raw".to_owned(), points(sweep, Loop::Raw))));
    let section = sweeps.first().map(|sweep| sweep.name.clone()).unwrap_or_default();
    Chart { name: name.to_owned(), title: format!("Messages/s over {x}"), section, kind: Kind::Lines { x, y: "messages/s", series } }
}

fn relative(sweep: &Sweep) -> Chart {
    let bar = |group: &Group| Some((group.name.clone(), group.ratio(Loop::HostOutput, Loop::Raw)?.spread.median, true));
    let bars = sweep.groups.iter().filter_map(bar).collect();
    let (name, title) = (sweep.name.clone(), format!("{}: host (iii) / raw", sweep.name));
    Chart { section: name.clone(), name, title, kind: Kind::Bars { unit: "× raw", bars } }
}

/// A number at an axis.
fn short(value: &f64) -> String {
    if *value >= 1e6 { format!("{} M", value / 1e6) } else { format!("{}", (value * 100.0).round() / 100.0) }
}

fn draw_one(svg: &mut String, chart: &Chart) -> Result<(), Box<dyn std::error::Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut builder = ChartBuilder::on(&root);
    builder.caption(&chart.title, (FONT, LARGE)).margin(14).x_label_area_size(42);
    match &chart.kind {
        Kind::Bars { unit, bars } => {
            let most = bars.iter().map(|(_, value, _)| *value).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
            let mut area = builder.build_cartesian_2d(0.0..most * 1.25, 0.0..bars.len().max(1) as f64)?;
            area.configure_mesh()
                .disable_y_mesh()
                .y_labels(0)
                .x_labels(6)
                .x_label_formatter(&short)
                .x_desc(*unit)
                .label_style((FONT, SMALL))
                .draw()?;
            for (at, (label, value, host)) in bars.iter().enumerate() {
                let top = (bars.len() - at) as f64;
                let colour = if *host { RGBColor(240, 170, 110) } else { RGBColor(160, 195, 225) };
                let text = if *value < 10.0 { format!("{label}: {value:.2}") } else { format!("{label}: {value:.0}") };
                area.draw_series([Rectangle::new([(0.0, top - 0.9), (*value, top - 0.1)], colour.filled())])?;
                area.draw_series([Text::new(text, (most * 0.01, top - 0.35), (FONT, SMALL))])?;
            }
        }
        Kind::Lines { x, y, series } => {
            let points = || series.iter().flat_map(|(_, points)| points);
            let most = points().map(|(_, y)| *y).fold(f64::MIN_POSITIVE, f64::max);
            let (low, high) = points().fold((f64::MAX, f64::MIN_POSITIVE), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
            let low = low.min(high).max(1.0);
            builder.y_label_area_size(80);
            let mut area = builder.build_cartesian_2d((low..high.max(low * 10.0)).log_scale(), 0.0..most * 1.1)?;
            area.configure_mesh()
                .x_desc(*x)
                .y_desc(*y)
                .x_label_formatter(&short)
                .y_label_formatter(&short)
                .label_style((FONT, SMALL))
                .draw()?;
            for ((label, points), colour) in series.iter().zip(COLOURS.into_iter().cycle()) {
                let line = area.draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)))?;
                line.label(label.as_str()).legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
                area.draw_series(points.iter().map(|point| Circle::new(*point, 3, colour.filled())))?;
            }
            area.configure_series_labels()
                .position(SeriesLabelPosition::LowerLeft)
                .border_style(BLACK)
                .background_style(WHITE.mix(0.8))
                .label_font((FONT, SMALL))
                .draw()?;
        }
    }
    root.present()?;
    drop(root);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Isolation;
    use crate::report::tests::{group, sample};

    #[test]
    fn every_picture_is_drawn_with_its_words() {
        let mut report = sample(100.0);
        let at = |x: f64| Group {
            x: Some(x),
            ..group(&format!("entities-run/{x}"), Isolation::Run, &[(Loop::Raw, 50.0), (Loop::HostOutput, x)])
        };
        report.sweeps = vec![Sweep { name: "entities-run".to_owned(), groups: vec![at(1.0), at(1000.0)], exponent: None, steepest: None }];
        let charts = charts(&report);
        assert_eq!(charts.iter().map(|chart| chart.name.as_str()).collect::<Vec<_>>(), ["single-shared", "entities"]);
        let folder = tempfile::tempdir().unwrap();
        draw(folder.path(), &charts).unwrap();
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("single-shared.svg").starts_with("<svg") && read("single-shared.svg").contains("host (iii): 75"));
        assert!(read("entities.svg").contains("host (iii), run"));
    }
}
