//! `system.memory.*` from `/proc/meminfo`.
//!
//! `used` is total − available, as the semantic conventions define it: what could be had without swapping is not used.
//! The states therefore overlap (`cached` and `buffers` are mostly available) and do not add up to the limit. `cached` is
//! the page cache alone; reclaimable slab is its own metric. Kernels before 3.14, gVisor and some `/proc` emulations leave
//! fields out: `used` is then total − free − buffers − cached − reclaimable slab, and a state without its field is absent.

use super::ScrapeError;
use super::families::{Attribute, Families, Family, Points};
use super::root::Root;

const FILE: &str = "proc/meminfo";

const USAGE: Family = Family { name: "system.memory.usage", unit: "By", description: "Memory in each state." };
const UTILIZATION: Family = Family {
    name: "system.memory.utilization",
    unit: "1",
    description: "Memory in each state as a fraction of all memory.",
};
const LIMIT: Family =
    Family { name: "system.memory.limit", unit: "By", description: "Memory that the system has in all." };
const AVAILABLE: Family = Family {
    name: "system.memory.linux.available",
    unit: "By",
    description: "Memory that new work could have without swapping, by the kernel's estimate.",
};
const SHARED: Family =
    Family { name: "system.memory.linux.shared", unit: "By", description: "Shared memory, mostly of tmpfs." };
const SLAB: Family = Family {
    name: "system.memory.linux.slab.usage",
    unit: "By",
    description: "Memory in the kernel's caches of its own objects.",
};

pub(super) fn scrape(root: &Root, families: &mut Families) -> Result<(), ScrapeError> {
    let text = root.read(FILE)?;
    let memory = Meminfo::parse(&text);
    let Some(total) = memory.total.filter(|total| *total > 0) else {
        return Err(ScrapeError::Missing { path: root.path(FILE), what: "`MemTotal` above 0 kB" });
    };

    let states =
        [("used", memory.used()), ("free", memory.free), ("cached", memory.cached), ("buffers", memory.buffers)];
    let mut usage = Points::with_capacity(states.len());
    let mut utilization = Points::with_capacity(states.len());
    for (state, bytes) in states {
        let Some(bytes) = bytes else { continue };
        let attributes = [("system.memory.state", Attribute::Text(state))];
        usage.add(bytes, &attributes);
        utilization.add(bytes as f64 / total as f64, &attributes);
    }
    families.up_down_counter(USAGE, usage);
    families.gauge(UTILIZATION, utilization);

    let singles = [(LIMIT, Some(total)), (AVAILABLE, memory.available), (SHARED, memory.shared)];
    for (family, bytes) in singles {
        let mut points = Points::default();
        if let Some(bytes) = bytes {
            points.add(bytes, &[]);
        }
        families.up_down_counter(family, points);
    }

    let mut slab = Points::default();
    for (state, bytes) in [("reclaimable", memory.reclaimable), ("unreclaimable", memory.unreclaimable)] {
        if let Some(bytes) = bytes {
            slab.add(bytes, &[("system.memory.linux.slab.state", Attribute::Text(state))]);
        }
    }
    families.up_down_counter(SLAB, slab);
    Ok(())
}

/// Fields of `/proc/meminfo`, in bytes.
#[derive(Debug, Default, PartialEq)]
struct Meminfo {
    total: Option<u64>,
    free: Option<u64>,
    available: Option<u64>,
    buffers: Option<u64>,
    cached: Option<u64>,
    shared: Option<u64>,
    reclaimable: Option<u64>,
    unreclaimable: Option<u64>,
}

impl Meminfo {
    /// Takes the fields it can read; a line that is no field is passed over.
    fn parse(text: &str) -> Self {
        let mut memory = Self::default();
        for line in text.lines() {
            let Some((field, value)) = line.split_once(':') else { continue };
            let slot = match field {
                "MemTotal" => &mut memory.total,
                "MemFree" => &mut memory.free,
                "MemAvailable" => &mut memory.available,
                "Buffers" => &mut memory.buffers,
                "Cached" => &mut memory.cached,
                "Shmem" => &mut memory.shared,
                "SReclaimable" => &mut memory.reclaimable,
                "SUnreclaim" => &mut memory.unreclaimable,
                _ => continue,
            };
            *slot = bytes(value);
        }
        memory
    }

    fn used(&self) -> Option<u64> {
        let total = self.total?;
        if let Some(available) = self.available {
            return Some(total.saturating_sub(available));
        }
        let not_used = [Some(self.free?), self.buffers, self.cached, self.reclaimable];
        Some(not_used.into_iter().flatten().fold(total, u64::saturating_sub))
    }
}

/// `1024 kB` in bytes. The kernel has no other unit.
fn bytes(value: &str) -> Option<u64> {
    let mut words = value.split_ascii_whitespace();
    let kibibytes = words.next()?.parse::<u64>().ok()?;
    match (words.next(), words.next()) {
        (Some("kB"), None) => kibibytes.checked_mul(1024),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_is_total_less_available() {
        let memory = Meminfo::parse("MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable: 60 kB\nCached: 45 kB\n");
        assert_eq!(memory.used(), Some(40 * 1024));
    }

    #[test]
    fn used_without_available_is_what_the_old_fields_leave() {
        let old = "MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 5 kB\nCached: 45 kB\nSReclaimable: 7 kB\n";
        assert_eq!(Meminfo::parse(old).used(), Some(33 * 1024));
        assert_eq!(Meminfo::parse("MemTotal: 100 kB\n").used(), None, "nothing to subtract is not all used");
    }

    #[test]
    fn a_field_that_cannot_be_read_is_unknown() {
        let memory =
            Meminfo::parse("MemTotal: many kB\nMemFree: 1 MB\nCached:\nBuffers 3 kB\nBuffers: 18446744073709551615 kB");
        assert_eq!(memory, Meminfo::default());
    }
}
