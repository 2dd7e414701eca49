//! `system.cpu.time`, `system.cpu.utilization`, `system.cpu.logical.count`, `system.cpu.physical.count`.
//!
//! Invariants:
//! - a counter never steps back by a little: `iowait` and `idle` do in the kernel when a CPU's accounting is corrected,
//!   and a reader would take that for a restart and count the whole value again. The larger value is held until the
//!   kernel has caught up. Three seconds or more at once is a CPU that came back online: its series start anew;
//! - the utilization of a CPU adds up to 1 over its modes.
//!
//! Utilization is each mode's share of the time that the kernel accounted to the CPU between two scrapes. For a CPU that
//! was online throughout this is the convention's "change in time divided by elapsed time", without being wrong when the
//! wall clock is set or a tick falls beside the scrape. The first scrape gives none, and neither does one within the same
//! tick.

use std::collections::BTreeMap;

use super::families::{Attribute, Families, Family, Points};
use super::root::Root;
use super::starts::Starts;
use super::stat::{self, MODES, OneReading, Ticks};
use super::{ScrapeError, topology};

const TIME: Family =
    Family { name: "system.cpu.time", unit: "s", description: "Time each logical CPU spent in each mode since boot." };
const UTILIZATION: Family = Family {
    name: "system.cpu.utilization",
    unit: "1",
    description: "Share of a logical CPU's time spent in each mode since the previous scrape.",
};
const LOGICAL: Family =
    Family { name: "system.cpu.logical.count", unit: "{cpu}", description: "Logical CPUs that are online." };
const PHYSICAL: Family = Family {
    name: "system.cpu.physical.count",
    unit: "{cpu}",
    description: "Physical cores that the online logical CPUs belong to.",
};

/// From here on a step back is a CPU that was offline, not a correction.
const RESET_SECONDS: u64 = 3;

#[derive(Debug)]
pub(super) struct CpuScraper {
    ticks_per_second: u64,
    starts: Starts<u32, { MODES.len() }>,
    cores: topology::Cores,
}

impl CpuScraper {
    /// `ticks_per_second`: the unit of `/proc/stat` (`sysconf(_SC_CLK_TCK)`), 100 on every Linux that Rust runs on.
    pub(super) fn new(ticks_per_second: u64) -> Self {
        Self { ticks_per_second: ticks_per_second.max(1), starts: Starts::new(), cores: topology::Cores::default() }
    }

    pub(super) fn scrape(
        &mut self,
        root: &Root,
        stat: &OneReading,
        families: &mut Families,
    ) -> Result<(), ScrapeError> {
        let cpus = &stat.get(root)?.cpus;
        if cpus.is_empty() {
            return Err(ScrapeError::Missing {
                path: root.path(stat::FILE), what: "a line for each CPU, as `cpu0 …`"
            });
        }
        let before = cpus.keys().filter_map(|cpu| Some((*cpu, *self.starts.last(cpu)?))).collect::<BTreeMap<_, _>>();
        let counted = cpus.iter().map(|(cpu, ticks)| (*cpu, self.held(before.get(cpu), ticks))).collect();
        self.starts.update(families.boot(), families.now(), &counted);

        let mut time = Points::with_capacity(cpus.len() * MODES.len());
        let mut utilization = Points::with_capacity(cpus.len() * MODES.len());
        for (cpu, ticks) in cpus {
            let Some(counts) = counted.get(cpu) else { continue };
            let shares = before.get(cpu).and_then(|before| shares(before, counts));
            let starts = self.starts.of(cpu);
            for (index, (mode, start)) in MODES.into_iter().zip(starts).enumerate() {
                let is_known = ticks.get(index).is_some_and(Option::is_some);
                let Some(count) = counts.get(index).filter(|_| is_known) else { continue };
                let attributes =
                    [("cpu.mode", Attribute::Text(mode)), ("cpu.logical_number", Attribute::Number(i64::from(*cpu)))];
                let seconds = *count as f64 / self.ticks_per_second as f64;
                time.add_since(start, seconds, &attributes);
                if let Some(share) = shares.and_then(|shares| shares.get(index).copied()) {
                    utilization.add(share, &attributes);
                }
            }
        }
        families.counter(TIME, time);
        families.gauge(UTILIZATION, utilization);

        let mut logical = Points::with_capacity(1);
        logical.add(cpus.len() as u64, &[]);
        families.up_down_counter(LOGICAL, logical);
        let mut physical = Points::with_capacity(1);
        if let Some(cores) = self.cores.count(root, cpus.keys().copied()) {
            physical.add(cores, &[]);
        }
        families.up_down_counter(PHYSICAL, physical);
        Ok(())
    }

    /// The counts to show: those of the kernel, or the last shown where it stepped back a little.
    fn held(&self, before: Option<&[u64; MODES.len()]>, ticks: &Ticks) -> [u64; MODES.len()] {
        let counts = ticks.map(|count| count.unwrap_or(0));
        let Some(before) = before else { return counts };
        let reset_ticks = RESET_SECONDS.saturating_mul(self.ticks_per_second);
        let came_back = before.iter().zip(&counts).any(|(old, new)| old.saturating_sub(*new) >= reset_ticks);
        if came_back {
            return counts;
        }
        let mut held = counts;
        for (count, old) in held.iter_mut().zip(before) {
            *count = (*count).max(*old);
        }
        held
    }
}

/// Each mode's share of the time between two counts; none if no time passed or the counter started anew.
fn shares(before: &[u64; MODES.len()], now: &[u64; MODES.len()]) -> Option<[f64; MODES.len()]> {
    let mut spent = [0_u64; MODES.len()];
    for ((spent, before), now) in spent.iter_mut().zip(before).zip(now) {
        *spent = now.checked_sub(*before)?;
    }
    let all = spent.iter().map(|ticks| *ticks as f64).sum::<f64>();
    (all > 0.0).then(|| spent.map(|ticks| ticks as f64 / all))
}
