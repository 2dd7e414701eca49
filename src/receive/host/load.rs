//! `system.cpu.load_average.{1m,5m,15m}`: the run queue's exponentially damped length, as the kernel keeps it.
//!
//! The semantic conventions have no load average; the names and the unit are those of the OpenTelemetry Collector.

use super::ScrapeError;
use super::families::{Families, Family, Points};
use super::root::Root;

const FILE: &str = "proc/loadavg";

const FAMILIES: [Family; 3] = [
    Family {
        name: "system.cpu.load_average.1m",
        unit: "{thread}",
        description: "Average number of runnable or uninterruptible threads over 1 minute.",
    },
    Family {
        name: "system.cpu.load_average.5m",
        unit: "{thread}",
        description: "Average number of runnable or uninterruptible threads over 5 minutes.",
    },
    Family {
        name: "system.cpu.load_average.15m",
        unit: "{thread}",
        description: "Average number of runnable or uninterruptible threads over 15 minutes.",
    },
];

pub(super) fn scrape(root: &Root, families: &mut Families) -> Result<(), ScrapeError> {
    let text = root.read(FILE)?;
    let averages = parse(&text).ok_or_else(|| {
        ScrapeError::malformed(root.path(FILE), &text, "three load averages, numbers not below 0, at the start")
    })?;
    for (family, average) in FAMILIES.into_iter().zip(averages) {
        let mut points = Points::with_capacity(1);
        points.add(average, &[]);
        families.gauge(family, points);
    }
    Ok(())
}

fn parse(text: &str) -> Option<[f64; 3]> {
    let mut numbers =
        text.split_whitespace().map(|word| word.parse::<f64>().ok().filter(|load| load.is_finite() && *load >= 0.0));
    Some([numbers.next()??, numbers.next()??, numbers.next()??])
}
