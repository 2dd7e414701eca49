//! `system.disk.{io,operations,merged,operation_time,io_time}` by block device, from `/proc/diskstats`.
//!
//! A partition's traffic is its disk's: a device whose name is that of another listed one and a number (`sda1`,
//! `nvme0n1p2`) is left out, so that a sum over devices counts nothing twice. So are loop and RAM devices, which stand for
//! files and memory. Device-mapper and RAID devices stay, with names of their own, as in every tool.

use std::collections::BTreeMap;
use std::path::Path;

use super::ScrapeError;
use super::families::{Attribute, Families, Family, Points};
use super::root::Root;
use super::starts::Starts;

const FILE: &str = "proc/diskstats";

const IO: Family = Family { name: "system.disk.io", unit: "By", description: "Bytes that a disk read and wrote." };
const OPERATIONS: Family = Family {
    name: "system.disk.operations",
    unit: "{operation}",
    description: "Reads and writes that a disk completed.",
};
const MERGED: Family = Family {
    name: "system.disk.merged",
    unit: "{operation}",
    description: "Reads and writes that were merged into a neighbouring one before they reached the disk.",
};
const OPERATION_TIME: Family = Family {
    name: "system.disk.operation_time",
    unit: "s",
    description: "Time that reads and writes took, added up over those in flight at once.",
};
const IO_TIME: Family = Family {
    name: "system.disk.io_time",
    unit: "s",
    description: "Time in which at least one operation was in flight.",
};

/// The unit of sectors in `/proc/diskstats`, whatever the disk's own.
const SECTOR_BYTES: u64 = 512;

/// Reads, reads merged, sectors read, ms reading; the same of writes; ms busy.
const COUNTERS: usize = 9;
type Counters = [u64; COUNTERS];

#[derive(Debug)]
pub(super) struct DiskScraper {
    starts: Starts<COUNTERS>,
}

impl DiskScraper {
    pub(super) fn new() -> Self {
        Self { starts: Starts::new() }
    }

    pub(super) fn scrape(&mut self, root: &Root, families: &mut Families) -> Result<(), ScrapeError> {
        let disks = parse(&root.read(FILE)?, &root.path(FILE))?;
        self.starts.update(families.boot(), families.now(), &disks);

        let points = || Points::with_capacity(disks.len() * 2);
        let [mut io, mut operations, mut merged, mut operation_time, mut io_time] =
            [points(), points(), points(), points(), points()];
        for (name, counters) in &disks {
            let device = ("system.device", Attribute::from(name));
            let direction = |index| ("disk.io.direction", Attribute::Text(if index < 4 { "read" } else { "write" }));
            for (index, (count, start)) in counters.iter().copied().zip(self.starts.of(name)).enumerate() {
                match index {
                    0 | 4 => operations.add_since(start, count, &[device, direction(index)]),
                    1 | 5 => merged.add_since(start, count, &[device, direction(index)]),
                    2 | 6 => io.add_since(start, count.saturating_mul(SECTOR_BYTES), &[device, direction(index)]),
                    3 | 7 => operation_time.add_since(start, seconds(count), &[device, direction(index)]),
                    _ => io_time.add_since(start, seconds(count), &[device]),
                }
            }
        }
        families.counter(IO, io);
        families.counter(OPERATIONS, operations);
        families.counter(MERGED, merged);
        families.counter(OPERATION_TIME, operation_time);
        families.counter(IO_TIME, io_time);
        Ok(())
    }
}

fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1e3
}

fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, Counters>, ScrapeError> {
    let mut devices = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let Some((name, counters)) = device(line) else {
            return Err(ScrapeError::malformed(path, line, "two device numbers, a name and 11 counts"));
        };
        // a partition of a kernel before 2.6.25 has four counts only
        if let Some(counters) = counters {
            devices.insert(name.to_owned(), counters);
        }
    }
    let whole = devices.iter().filter(|(name, _)| {
        let stands_for_something_else = name.starts_with("loop") || name.starts_with("ram") || name.starts_with("zram");
        !stands_for_something_else && !disk_of(name).is_some_and(|disk| devices.contains_key(disk))
    });
    Ok(whole.map(|(name, counters)| (name.clone(), *counters)).collect())
}

/// Name and counts of one line; no counts where the line has the four of an old kernel's partition.
fn device(line: &str) -> Option<(&str, Option<Counters>)> {
    let mut words = line.split_ascii_whitespace();
    let _major = words.next()?.parse::<u32>().ok()?;
    let _minor = words.next()?.parse::<u32>().ok()?;
    let name = words.next()?;
    let mut counts = [0_u64; 11];
    let mut found = 0;
    for (slot, word) in counts.iter_mut().zip(words) {
        *slot = word.parse().ok()?;
        found += 1;
    }
    let [reads, reads_merged, read_sectors, read_ms, writes, writes_merged, written_sectors, write_ms, _, busy_ms, _] =
        counts;
    let all = [reads, reads_merged, read_sectors, read_ms, writes, writes_merged, written_sectors, write_ms, busy_ms];
    match found {
        11 => Some((name, Some(all))),
        4 => Some((name, None)),
        _ => None,
    }
}

/// The name of the disk that a partition of this name would be on: `sda` for `sda1`, `nvme0n1` for `nvme0n1p2`.
fn disk_of(name: &str) -> Option<&str> {
    let base = name.trim_end_matches(|last: char| last.is_ascii_digit());
    if base.len() == name.len() {
        return None;
    }
    // a disk whose own name ends in a digit sets its partitions apart by a `p`
    let numbered = base.strip_suffix('p').filter(|disk| disk.ends_with(|last: char| last.is_ascii_digit()));
    Some(numbered.unwrap_or(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_stand_ins_are_left_out() {
        let names = [
            "sda",
            "sda1",
            "nvme0n1",
            "nvme0n1p2",
            "mmcblk0",
            "mmcblk0boot0",
            "xvda1",
            "dm-0",
            "md0",
            "md0p1",
            "loop0",
            "ram1",
            "zram0",
            "sr0",
        ];
        let text =
            names.map(|name| format!("   8       0 {name} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n")).concat();
        let disks = parse(&text, Path::new("/proc/diskstats")).unwrap();
        let kept = ["dm-0", "md0", "mmcblk0", "mmcblk0boot0", "nvme0n1", "sda", "sr0", "xvda1"];
        assert_eq!(disks.keys().map(String::as_str).collect::<Vec<_>>(), kept);
        assert_eq!(disks["sda"], [1, 2, 3, 4, 5, 6, 7, 8, 10]);
    }

    #[test]
    fn shapes_of_old_kernels() {
        let text = "8 0 sda 1 2 3 4 5 6 7 8 0 10 11\n8 1 sda1 1 2 3 4\n";
        assert_eq!(parse(text, Path::new("f")).unwrap().len(), 1);
        for cut in ["8 0 sda 1 2 3", "8 0", "x 0 sda 1 2 3 4 5 6 7 8 9 10 11", "8 0 sda 1 2 3 4 5 6 7 8 9 10 -11"] {
            assert!(parse(cut, Path::new("f")).is_err(), "{cut}");
        }
    }
}
