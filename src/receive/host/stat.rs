//! `/proc/stat`: CPU time by CPU, boot time, processes created.
//!
//! Invariants:
//! - a CPU keeps the number the kernel gave it: with CPU 1 offline the lines are `cpu0`, `cpu2`;
//! - a column that this kernel does not have is `None`, never 0.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::path::Path;

use super::ScrapeError;
use super::root::Root;
use crate::units::UnixNanos;

pub(super) const FILE: &str = "proc/stat";

/// The largest number of CPUs a Linux kernel can be built for.
const MAX_CPUS: u32 = 8192;
/// `user nice system idle`: all that the oldest kernels have.
const FEWEST_COLUMNS: usize = 4;

/// What a CPU spent in each mode, in clock ticks, in [`MODES`]' order.
pub(super) type Ticks = [Option<u64>; MODES.len()];

/// The values of `cpu.mode`. `user` and `nice` include the time of guests, as in the kernel's own sums; `interrupt` is
/// hard and soft interrupts together.
pub(super) const MODES: [&str; 7] = ["user", "nice", "system", "idle", "iowait", "interrupt", "steal"];
/// Where `iowait` stands in [`MODES`].
pub(super) const IOWAIT: usize = 4;

#[derive(Debug, Default, PartialEq)]
pub(super) struct Stat {
    pub cpus: BTreeMap<u32, Ticks>,
    /// To the second.
    pub boot: Option<UnixNanos>,
    /// Processes and threads created since boot.
    pub created: Option<u64>,
}

/// The file as one scrape sees it, read when first asked for: on a large machine it is the dearest of the small files, and
/// three scrapers want it.
#[derive(Debug, Default)]
pub(super) struct OneReading(OnceCell<Result<Stat, ScrapeError>>);

impl OneReading {
    pub(super) fn get(&self, root: &Root) -> Result<&Stat, ScrapeError> {
        let read = || parse(&root.read(FILE)?, &root.path(FILE));
        self.0.get_or_init(read).as_ref().map_err(ScrapeError::clone)
    }
}

fn parse(text: &str, path: &Path) -> Result<Stat, ScrapeError> {
    let mut stat = Stat::default();
    for line in text.lines() {
        let Some((key, rest)) = line.split_once(' ') else { continue };
        match key {
            "btime" => stat.boot = rest.trim().parse::<u64>().ok().filter(|&s| s > 0).and_then(seconds),
            "processes" => stat.created = rest.trim().parse().ok(),
            _ => {
                let Some(number) = key.strip_prefix("cpu").filter(|number| !number.is_empty()) else { continue };
                let cpu = number.parse::<u32>().ok().filter(|number| *number < MAX_CPUS).zip(ticks(rest));
                let Some((number, ticks)) = cpu else {
                    return Err(ScrapeError::malformed(path, line, "a CPU number and at least 4 counts of ticks"));
                };
                stat.cpus.insert(number, ticks);
            }
        }
    }
    Ok(stat)
}

fn ticks(columns: &str) -> Option<Ticks> {
    let mut counts = [None; 8];
    let mut found = 0;
    for (slot, word) in counts.iter_mut().zip(columns.split_ascii_whitespace()) {
        *slot = Some(word.parse::<u64>().ok()?);
        found += 1;
    }
    if found < FEWEST_COLUMNS {
        return None;
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal] = counts;
    let interrupt = irq.map(|irq| irq.saturating_add(softirq.unwrap_or(0)));
    Some([user, nice, system, idle, iowait, interrupt, steal])
}

fn seconds(seconds: u64) -> Option<UnixNanos> {
    seconds.checked_mul(1_000_000_000).map(UnixNanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Stat, ScrapeError> {
        parse(text, Path::new("/proc/stat"))
    }

    #[test]
    fn reads_a_current_kernel_with_an_offline_cpu() {
        let stat = parsed(
            "cpu  30 3 6 90 4 1 2 5 7 8\ncpu0 10 1 2 30 4 1 2 5 7 8\ncpu2 20 2 4 60 0 0 0 0 0 0\n\
             intr 5 0 0\nctxt 9\nbtime 1700000000\nprocesses 42\nprocs_running 1\n",
        )
        .unwrap();
        assert_eq!(stat.cpus.keys().copied().collect::<Vec<_>>(), [0, 2]);
        assert_eq!(stat.cpus[&0], [Some(10), Some(1), Some(2), Some(30), Some(4), Some(3), Some(5)]);
        assert_eq!(stat.boot, Some(UnixNanos(1_700_000_000_000_000_000)));
        assert_eq!(stat.created, Some(42));
    }

    #[test]
    fn a_short_line_leaves_the_missing_modes_out() {
        let stat = parsed("cpu0 1 2 3 4\n").unwrap();
        assert_eq!(stat.cpus[&0], [Some(1), Some(2), Some(3), Some(4), None, None, None]);
        assert_eq!((stat.boot, stat.created), (None, None));
    }

    #[test]
    fn refuses_what_is_no_count() {
        for line in ["cpu0 1 2 3", "cpu0 1 2 x 4", "cpu0 1 2 -3 4", "cpuX 1 2 3 4", "cpu99999 1 2 3 4"] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(line), "{error}");
        }
    }
}
