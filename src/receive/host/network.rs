//! `system.network.{io,packet.count,packet.dropped,errors}` by interface and direction, from `/proc/<pid>/net/dev`.
//!
//! The semantic conventions give `system.network.packet.count` the attribute `system.device` where its siblings have
//! `network.interface.name`; it carries both here, so that it joins with them and reads as written.

use std::collections::BTreeMap;
use std::path::Path;

use super::ScrapeError;
use super::families::{Attribute, Families, Family, Points};
use super::root::Root;
use super::starts::Starts;

const IO: Family =
    Family { name: "system.network.io", unit: "By", description: "Bytes that an interface received and sent." };
const PACKETS: Family = Family {
    name: "system.network.packet.count",
    unit: "{packet}",
    description: "Packets that an interface received and sent.",
};
const DROPPED: Family = Family {
    name: "system.network.packet.dropped",
    unit: "{packet}",
    description: "Packets that an interface dropped though they were sound.",
};
const ERRORS: Family =
    Family { name: "system.network.errors", unit: "{error}", description: "Errors that an interface counted." };

/// Columns of `/proc/net/dev` that are read: bytes, packets, errors, drops; received, then sent.
const COUNTERS: usize = 8;
type Counters = [u64; COUNTERS];

#[derive(Debug)]
pub(super) struct NetworkScraper {
    starts: Starts<COUNTERS>,
}

impl NetworkScraper {
    pub(super) fn new() -> Self {
        Self { starts: Starts::new() }
    }

    pub(super) fn scrape(&mut self, root: &Root, families: &mut Families) -> Result<(), ScrapeError> {
        let file = format!("{}/dev", root.net());
        let interfaces = parse(&root.read(&file)?, &root.path(&file))?;
        self.starts.update(families.boot(), families.now(), &interfaces);

        let points = || Points::with_capacity(interfaces.len() * 2);
        let [mut io, mut packets, mut errors, mut dropped] = [points(), points(), points(), points()];
        for (interface, counters) in &interfaces {
            let name = ("network.interface.name", Attribute::from(interface));
            let device = ("system.device", Attribute::from(interface));
            let direction =
                |index| ("network.io.direction", Attribute::Text(if index < 4 { "receive" } else { "transmit" }));
            for (index, (count, start)) in counters.iter().copied().zip(self.starts.of(interface)).enumerate() {
                match index % 4 {
                    0 => io.add_since(start, count, &[name, direction(index)]),
                    1 => packets.add_since(start, count, &[name, device, direction(index)]),
                    2 => errors.add_since(start, count, &[name, direction(index)]),
                    _ => dropped.add_since(start, count, &[name, direction(index)]),
                }
            }
        }
        families.counter(IO, io);
        families.counter(PACKETS, packets);
        families.counter(DROPPED, dropped);
        families.counter(ERRORS, errors);
        Ok(())
    }
}

fn parse(text: &str, path: &Path) -> Result<BTreeMap<String, Counters>, ScrapeError> {
    let mut interfaces = BTreeMap::new();
    // two lines of headings
    for line in text.lines().skip(2).filter(|line| !line.trim().is_empty()) {
        let Some((interface, counters)) = interface(line) else {
            return Err(ScrapeError::malformed(path, line, "`interface:` and 16 counts"));
        };
        interfaces.insert(interface.to_owned(), counters);
    }
    Ok(interfaces)
}

/// `eth0: bytes packets errs drop fifo frame compressed multicast bytes packets errs drop fifo colls carrier compressed`;
/// the name may itself hold a colon, and old kernels put no space behind it.
fn interface(line: &str) -> Option<(&str, Counters)> {
    let (name, columns) = line.rsplit_once(':')?;
    let name = name.trim();
    let mut counts = columns.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
    let mut all = [0; 16];
    for slot in &mut all {
        *slot = counts.next()??;
    }
    let [r_bytes, r_packets, r_errors, r_drops, _, _, _, _, s_bytes, s_packets, s_errors, s_drops, ..] = all;
    let counters = [r_bytes, r_packets, r_errors, r_drops, s_bytes, s_packets, s_errors, s_drops];
    (!name.is_empty()).then_some((name, counters))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADINGS: &str = "Inter-|   Receive |  Transmit\n face |bytes |bytes\n";

    fn parsed(lines: &str) -> Result<BTreeMap<String, Counters>, ScrapeError> {
        parse(&format!("{HEADINGS}{lines}"), Path::new("/proc/net/dev"))
    }

    #[test]
    fn reads_columns_of_both_directions() {
        let interfaces = parsed(
            "    lo:    10 1    0    0    0     0          0         0       10 1    0    0    0     0       0          0\n\
             eth0:1:1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
        )
        .unwrap();
        assert_eq!(interfaces["lo"], [10, 1, 0, 0, 10, 1, 0, 0]);
        assert_eq!(interfaces["eth0:1"], [1, 2, 3, 4, 9, 10, 11, 12], "no space after the colon, a colon in the name");
    }

    #[test]
    fn refuses_a_line_that_is_cut_or_no_count() {
        for line in [
            "eth0: 1 2 3 4",
            "eth0 1 2",
            ": 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
            "eth0: 1 2 x 4 5 6 7 8 9 10 11 12 13 14 15 16",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
        assert!(parsed("").unwrap().is_empty());
    }
}
