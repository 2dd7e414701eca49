//! `system.uptime`, and the moment of boot.
//!
//! `/proc/uptime` counts through suspend and does not follow steps of the wall clock.

use std::time::Duration;

use super::ScrapeError;
use super::families::{Families, Family, Points};
use super::root::Root;
use super::stat::OneReading;
use crate::units::UnixNanos;

const FILE: &str = "proc/uptime";

pub(super) fn scrape(root: &Root, families: &mut Families) -> Result<(), ScrapeError> {
    let mut points = Points::default();
    points.add(uptime_seconds(root)?, &[]);
    families.gauge(
        Family { name: "system.uptime", unit: "s", description: "How long the system has been running." },
        points,
    );
    Ok(())
}

/// When the kernel booted, by the wall clock: `btime` of `/proc/stat`, else `now` less the uptime.
pub(super) fn boot_time(root: &Root, stat: &OneReading, now: UnixNanos) -> Option<UnixNanos> {
    let stated = stat.get(root).ok().and_then(|stat| stat.boot);
    stated.or_else(|| {
        let uptime = Duration::try_from_secs_f64(uptime_seconds(root).ok()?).ok()?;
        Some(now.saturating_sub(uptime))
    })
}

fn uptime_seconds(root: &Root) -> Result<f64, ScrapeError> {
    let text = root.read(FILE)?;
    let seconds = text.split_whitespace().next().and_then(|first| first.parse::<f64>().ok());
    seconds
        .filter(|seconds| seconds.is_finite() && *seconds >= 0.0)
        .ok_or_else(|| ScrapeError::malformed(root.path(FILE), &text, "seconds since boot, a number not below 0"))
}
