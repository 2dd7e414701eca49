//! `system.paging.{usage,utilization}` by swap device, from `/proc/swaps`; `system.paging.{faults,operations}`, from
//! `/proc/vmstat`.
//!
//! A machine without swap has no swap device, so no usage. Operations are pages swapped in and out, which are major; the
//! kernel counts no minor ones (`pgpgin` and `pgpgout` are block I/O in KiB).

use std::path::Path;

use super::ScrapeError;
use super::families::{Attribute, Families, Family, Points};
use super::mounts::unescape;
use super::root::Root;

const SWAPS: &str = "proc/swaps";
const VMSTAT: &str = "proc/vmstat";

const USAGE: Family =
    Family { name: "system.paging.usage", unit: "By", description: "Swap space of a device in each state." };
const UTILIZATION: Family = Family {
    name: "system.paging.utilization",
    unit: "1",
    description: "Swap space of a device in each state as a fraction of all its swap space.",
};
const FAULTS: Family =
    Family { name: "system.paging.faults", unit: "{fault}", description: "Page faults, with and without I/O." };
const OPERATIONS: Family =
    Family { name: "system.paging.operations", unit: "{operation}", description: "Pages swapped in and out." };

pub(super) fn scrape_swaps(root: &Root, families: &mut Families) -> Result<(), ScrapeError> {
    let swaps = parse_swaps(&root.read(SWAPS)?, &root.path(SWAPS))?;
    let mut usage = Points::with_capacity(swaps.len() * 2);
    let mut utilization = Points::with_capacity(swaps.len() * 2);
    for Swap { device, total_bytes, used_bytes } in &swaps {
        for (state, bytes) in [("used", *used_bytes), ("free", total_bytes - used_bytes)] {
            let attributes =
                [("system.device", Attribute::from(device)), ("system.paging.state", Attribute::Text(state))];
            usage.add(bytes, &attributes);
            utilization.add(bytes as f64 / *total_bytes as f64, &attributes);
        }
    }
    families.up_down_counter(USAGE, usage);
    families.gauge(UTILIZATION, utilization);
    Ok(())
}

pub(super) fn scrape_vmstat(root: &Root, families: &mut Families) -> Result<(), ScrapeError> {
    let text = root.read(VMSTAT)?;
    let count = |name: &str| {
        let mut fields = text.lines().filter_map(|line| line.split_once(' '));
        fields.find(|(field, _)| *field == name).and_then(|(_, count)| count.trim().parse::<u64>().ok())
    };
    let (Some(all), Some(major)) = (count("pgfault"), count("pgmajfault")) else {
        return Err(ScrapeError::Missing { path: root.path(VMSTAT), what: "counts named `pgfault` and `pgmajfault`" });
    };
    let mut faults = Points::with_capacity(2);
    for (kind, count) in [("major", major), ("minor", all.saturating_sub(major))] {
        faults.add(count, &[("system.paging.fault.type", Attribute::Text(kind))]);
    }
    families.counter(FAULTS, faults);

    let mut operations = Points::with_capacity(2);
    for (direction, count) in [("in", count("pswpin")), ("out", count("pswpout"))] {
        let Some(count) = count else { continue }; // a kernel without swap support has neither
        let kind = ("system.paging.fault.type", Attribute::Text("major"));
        operations.add(count, &[kind, ("system.paging.direction", Attribute::Text(direction))]);
    }
    families.counter(OPERATIONS, operations);
    Ok(())
}

#[derive(Debug, PartialEq)]
struct Swap {
    device: String,
    /// Above 0.
    total_bytes: u64,
    /// At most the total.
    used_bytes: u64,
}

fn parse_swaps(text: &str, path: &Path) -> Result<Vec<Swap>, ScrapeError> {
    let mut swaps = Vec::<Swap>::new();
    for line in text.lines().skip(1).filter(|line| !line.trim().is_empty()) {
        let Some(swap) = swap(line) else {
            return Err(ScrapeError::malformed(path, line, "a swap device, as `name type size used priority`"));
        };
        if swap.total_bytes > 0 && swaps.iter().all(|other| other.device != swap.device) {
            swaps.push(swap);
        }
    }
    Ok(swaps)
}

/// `/dev/dm-1 partition 2097148 1024 -2`, sizes in KiB.
fn swap(line: &str) -> Option<Swap> {
    let mut words = line.split_ascii_whitespace();
    let device = unescape(words.next()?);
    let _kind = words.next()?;
    let total_bytes = words.next()?.parse::<u64>().ok()?.checked_mul(1024)?;
    let used_bytes = words.next()?.parse::<u64>().ok()?.checked_mul(1024)?.min(total_bytes);
    Some(Swap { device, total_bytes, used_bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_swap_devices() {
        let text = "Filename\tType\tSize\tUsed\tPriority\n/dev/dm-1 partition 2048 512 -2\n/swap\\040file file 1024 0 -3\n/dev/zram1 partition 0 0 5\n";
        let swaps = parse_swaps(text, Path::new("f")).unwrap();
        let expected = [
            Swap { device: "/dev/dm-1".to_owned(), total_bytes: 2_097_152, used_bytes: 524_288 },
            Swap { device: "/swap file".to_owned(), total_bytes: 1_048_576, used_bytes: 0 },
        ];
        assert_eq!(swaps, expected);
        assert!(parse_swaps("heading\n/dev/dm-1 partition 2048\n", Path::new("f")).is_err());
        assert!(parse_swaps("", Path::new("f")).unwrap().is_empty());
    }
}
