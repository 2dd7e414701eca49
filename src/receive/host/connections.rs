//! `system.network.connection.count`: sockets of a network namespace by state.
//!
//! TCP sockets are counted by state over IPv4 and IPv6, every state each time, so that a series does not come and go. UDP
//! is stateless: its sockets carry no `network.connection.state`, as the conventions ask. The tables are read in a fixed
//! buffer; a table beyond 16 MiB (about 100,000 sockets) is an error, for a cut count would be a wrong one. A table that
//! is not there (IPv6 turned off) counts nothing, but a transport must have at least one.
//!
//! This is the dearest part of a scrape: to list TCP sockets the kernel walks its whole hash, however empty (1.6 ms for the
//! 262,144 buckets of a 24 GiB machine, all name spaces in one). So each table is read once through, that of IPv6 only if
//! `sockstat` says that it can hold something, and all of them at most every 30 seconds. Scrapes between repeat the points
//! with the time at which they were read.

use std::time::Duration;

use super::ScrapeError;
use super::families::{Attribute, Families, Family, Points};
use super::root::Root;
use crate::units::UnixNanos;

const COUNT: Family = Family {
    name: "system.network.connection.count",
    unit: "{connection}",
    description: "Sockets by transport and, for TCP, by state.",
};

/// A reading younger than this is repeated.
const INTERVAL: Duration = Duration::from_secs(30);

const MAX_TABLE_BYTES: u64 = 16 << 20;

/// `network.connection.state` by the kernel's number less one (`include/net/tcp_states.h`). The twelfth, a request that
/// waits for its handshake's end, is `syn_received` too.
const STATES: [&str; 12] = [
    "established",
    "syn_sent",
    "syn_received",
    "fin_wait_1",
    "fin_wait_2",
    "time_wait",
    "closed",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
    "syn_received",
];
const SYN_RECEIVED: usize = 2;
const NEW_SYN_RECEIVED: usize = 11;

#[derive(Debug, Default)]
pub(super) struct ConnectionScraper {
    last: Option<Reading>,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    time: UnixNanos,
    tcp: [u64; STATES.len()],
    udp: u64,
}

impl ConnectionScraper {
    pub(super) fn scrape(&mut self, root: &Root, families: &mut Families) -> Result<(), ScrapeError> {
        let now = families.now();
        let is_young = |last: &Reading| last.time <= now && now.since(last.time) < INTERVAL;
        let reading = match self.last.take().filter(is_young) {
            Some(last) => last,
            None => Reading::read(root, now)?,
        };
        self.last = Some(reading);

        let mut points = Points::with_capacity(STATES.len());
        for (index, (state, count)) in STATES.into_iter().zip(reading.tcp).enumerate() {
            if index == NEW_SYN_RECEIVED {
                continue; // counted with its namesake
            }
            let transport = ("network.transport", Attribute::Text("tcp"));
            points.add(count, &[transport, ("network.connection.state", Attribute::Text(state))]);
        }
        points.add(reading.udp, &[("network.transport", Attribute::Text("udp"))]);
        families.up_down_counter(COUNT, points.read_at(reading.time));
        Ok(())
    }
}

impl Reading {
    fn read(root: &Root, now: UnixNanos) -> Result<Self, ScrapeError> {
        let tcp_tables: &[&str] = if has_no_tcp6(root) { &["tcp"] } else { &["tcp", "tcp6"] };
        let tcp = by_state(root, tcp_tables)?;
        let udp = by_state(root, &["udp", "udp6"])?.iter().sum();
        Ok(Self { time: now, tcp, udp })
    }
}

/// Sockets in each of [`STATES`] over these tables.
fn by_state(root: &Root, tables: &[&str]) -> Result<[u64; STATES.len()], ScrapeError> {
    let mut counts = [0_u64; STATES.len()];
    let mut missing = None;
    let mut found_one = false;
    for table in tables {
        let file = format!("{}/{table}", root.net());
        let mut is_heading = true;
        let read = root.each_line(&file, MAX_TABLE_BYTES, |line| {
            if std::mem::take(&mut is_heading) || line.iter().all(u8::is_ascii_whitespace) {
                return Ok(());
            }
            let Some(count) = state(line).and_then(|index| counts.get_mut(index)) else {
                let line = String::from_utf8_lossy(line);
                return Err(ScrapeError::malformed(
                    root.path(&file),
                    &line,
                    "a state from 01 to 0C in the fourth column",
                ));
            };
            *count += 1;
            Ok(())
        });
        match read {
            Err(error) if error.is_not_found() => missing = Some(error),
            Err(error) => return Err(error),
            Ok(()) => found_one = true,
        }
    }
    if let (false, Some(error)) = (found_one, missing) {
        return Err(error);
    }
    let [.., new_syn_received] = counts;
    if let Some(count) = counts.get_mut(SYN_RECEIVED) {
        *count += new_syn_received;
    }
    if let Some(count) = counts.get_mut(NEW_SYN_RECEIVED) {
        *count = 0;
    }
    Ok(counts)
}

/// Whether the kernel's own counts leave nothing for the table of TCP over IPv6. Sockets in `TIME_WAIT` are counted for both
/// families together.
fn has_no_tcp6(root: &Root) -> bool {
    let count = |file: &str, protocol: &str, name: &str| {
        let text = root.read(&format!("{}/{file}", root.net())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(protocol))?;
        let mut words = line.split_ascii_whitespace().skip_while(|word| *word != name);
        words.nth(1)?.parse::<u64>().ok()
    };
    count("sockstat6", "TCP6:", "inuse") == Some(0) && count("sockstat", "TCP:", "tw") == Some(0)
}

/// Where the line's state stands in [`STATES`].
fn state(line: &[u8]) -> Option<usize> {
    let word = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).nth(3)?;
    let number = u8::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
    usize::from(number).checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_the_fourth_column() {
        let line = b"   0: 00000000:07E8 0100007F:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1667 1";
        assert_eq!(state(line).map(|index| STATES[index]), Some("listen"));
        assert_eq!(state(b"   0: 00000000:07E8"), None);
        assert_eq!(state(b"0: a b 00"), None);
    }
}
