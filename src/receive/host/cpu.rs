//! `system.cpu.time`, `system.cpu.utilization`, `system.cpu.logical.count`, `system.cpu.physical.count`.
//!
//! Invariants:
//! - a counter never steps back. In the kernel some do: `iowait` when its accounting is corrected, `idle` when a CPU goes
//!   offline or returns and another clock counts. A reader would take that for a restart and count the whole value again.
//!   A small step is waited out at the larger value; from a step of three seconds on, the counter goes on from where it was;
//! - the utilization of a CPU adds up to 1 over its modes.
//!
//! Utilization is each mode's share of the time that the kernel accounted to the CPU between two scrapes. For a CPU that
//! was online throughout this is the convention's "change in time divided by elapsed time", without being wrong when the
//! wall clock is set or a tick falls beside the scrape. The first scrape gives none, nor does one within the same tick, nor
//! one in which a count other than `iowait` stepped back: what passed is then not known.

use std::collections::BTreeMap;

use super::families::{Attribute, Families, Family, Points};
use super::root::Root;
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

/// From here on a step back is a change of what counts, not a correction.
const LEAP_SECONDS: u64 = 3;

type Counts = [u64; MODES.len()];

#[derive(Debug)]
pub(super) struct CpuScraper {
    ticks_per_second: u64,
    /// Every CPU that was ever online: one that returns goes on counting.
    shown: BTreeMap<u32, Shown>,
    cores: topology::Cores,
}

/// What was last said of a CPU, in ticks.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    counts: Counts,
    /// Added to the kernel's counts since these leapt back.
    carried: Counts,
}

impl CpuScraper {
    /// `ticks_per_second`: the unit of `/proc/stat` (`sysconf(_SC_CLK_TCK)`), 100 on every Linux that Rust runs on.
    pub(super) fn new(ticks_per_second: u64) -> Self {
        Self { ticks_per_second: ticks_per_second.max(1), shown: BTreeMap::new(), cores: topology::Cores::default() }
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
        let leap_ticks = LEAP_SECONDS.saturating_mul(self.ticks_per_second);
        let mut time = Points::with_capacity(cpus.len() * MODES.len());
        let mut utilization = Points::with_capacity(cpus.len() * MODES.len());
        for (cpu, ticks) in cpus {
            let (counts, shares) = match self.shown.get_mut(cpu) {
                Some(shown) => {
                    let shares = shown.advance(ticks, leap_ticks);
                    (shown.counts, shares)
                }
                None => {
                    let counts = ticks.map(|count| count.unwrap_or(0));
                    self.shown.insert(*cpu, Shown { counts, ..Shown::default() });
                    (counts, None)
                }
            };
            for (index, ((mode, kernel), count)) in MODES.into_iter().zip(ticks).zip(counts).enumerate() {
                if kernel.is_none() {
                    continue; // a mode that this kernel does not have
                }
                let attributes =
                    [("cpu.mode", Attribute::Text(mode)), ("cpu.logical_number", Attribute::Number(i64::from(*cpu)))];
                time.add(count as f64 / self.ticks_per_second as f64, &attributes);
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
}

impl Shown {
    /// Takes the kernel's next counts; gives each mode's share of the time since the last ones, if it is known.
    fn advance(&mut self, ticks: &Ticks, leap_ticks: u64) -> Option<[f64; MODES.len()]> {
        let before = self.counts;
        let mut is_known = true;
        for (index, (count, carried)) in self.counts.iter_mut().zip(&mut self.carried).enumerate() {
            let kernel = ticks.get(index).copied().flatten().unwrap_or(0);
            let next = kernel.saturating_add(*carried);
            let step_back = count.saturating_sub(next);
            if step_back >= leap_ticks {
                *carried = carried.saturating_add(step_back);
            }
            is_known &= step_back == 0 || index == stat::IOWAIT;
            *count = next.max(*count);
        }
        shares(&before, &self.counts).filter(|_| is_known)
    }
}

/// Each mode's share of the time between two counts; none if no time passed.
fn shares(before: &Counts, now: &Counts) -> Option<[f64; MODES.len()]> {
    let mut spent = [0_u64; MODES.len()];
    for ((spent, before), now) in spent.iter_mut().zip(before).zip(now) {
        *spent = now.saturating_sub(*before);
    }
    let all = spent.iter().map(|ticks| *ticks as f64).sum::<f64>();
    (all > 0.0).then(|| spent.map(|ticks| ticks as f64 / all))
}
