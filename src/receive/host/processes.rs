//! `system.process.count` by state and `system.process.created`.
//!
//! The processes are those of the `/proc` that is read: in a container, those of its own process name space. A process that
//! ends while it is being read is not counted; one that a `hidepid` mount hides cannot be. An uninterruptible process
//! sleeps, as the conventions have no state of its own for it.

use std::fs::{self, File};
use std::io::Read;

use super::ScrapeError;
use super::families::{Attribute, Families, Family, Points};
use super::root::Root;
use super::stat::{self, OneReading};

const COUNT: Family =
    Family { name: "system.process.count", unit: "{process}", description: "Processes in each state." };
const CREATED: Family = Family {
    name: "system.process.created",
    unit: "{process}",
    description: "Processes and threads created since boot.",
};

/// The values of `process.state`.
const STATES: [&str; 4] = ["running", "sleeping", "stopped", "defunct"];

/// More than `pid_max` allows on a machine of any size.
const MAX_PROCESSES: usize = 1 << 22;

pub(super) fn scrape_count(root: &Root, families: &mut Families) -> Result<(), ScrapeError> {
    let folder = root.path("proc");
    let entries = fs::read_dir(&folder).map_err(|error| ScrapeError::read(folder.clone(), error))?;
    let mut counts = [0_u64; STATES.len()];
    let mut buffer = Vec::with_capacity(512);
    for entry in entries.take(MAX_PROCESSES) {
        let entry = entry.map_err(|error| ScrapeError::read(folder.clone(), error))?;
        let is_process = entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit);
        if !is_process {
            continue;
        }
        buffer.clear();
        // the command's name is at most 64 bytes, so the state stands well within
        let read = File::open(entry.path().join("stat")).and_then(|file| file.take(512).read_to_end(&mut buffer));
        let state = read.ok().and_then(|_| state(&buffer));
        if let Some(count) = state.and_then(|index| counts.get_mut(index)) {
            *count += 1;
        }
    }
    if counts == [0; STATES.len()] {
        return Err(ScrapeError::Missing { path: folder, what: "any process" });
    }
    let mut points = Points::with_capacity(STATES.len());
    for (state, count) in STATES.into_iter().zip(counts) {
        points.add(count, &[("process.state", Attribute::Text(state))]);
    }
    families.up_down_counter(COUNT, points);
    Ok(())
}

pub(super) fn scrape_created(root: &Root, stat: &OneReading, families: &mut Families) -> Result<(), ScrapeError> {
    let Some(created) = stat.get(root)?.created else {
        return Err(ScrapeError::Missing { path: root.path(stat::FILE), what: "a count named `processes`" });
    };
    let mut points = Points::with_capacity(1);
    points.add(created, &[]);
    families.counter(CREATED, points);
    Ok(())
}

/// Where the state of `pid (command) state …` stands in [`STATES`]; the command may hold anything, brackets too.
fn state(line: &[u8]) -> Option<usize> {
    let after_command = memchr::memrchr(b')', line)?.checked_add(1)?;
    match line.get(after_command..)? {
        [b' ', b'R', ..] => Some(0),
        [b' ', b'T' | b't', ..] => Some(2),
        [b' ', b'Z', ..] => Some(3),
        [b' ', b'X' | b'x', ..] => None, // already gone
        [b' ', b'A'..=b'Z', ..] => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_stands_after_the_last_bracket() {
        let of = |line: &str| state(line.as_bytes()).map(|index| STATES[index]);
        assert_eq!(of("12 (a) R (b)) S 1 12"), Some("sleeping"));
        assert_eq!(of("1 (init) R 0"), Some("running"));
        assert_eq!(of("1 (disk wait) D 0"), Some("sleeping"));
        assert_eq!(of("1 (kworker/0:1) I 2"), Some("sleeping"));
        assert_eq!(of("1 (traced) t 2"), Some("stopped"));
        assert_eq!(of("1 (gone) Z 2"), Some("defunct"));
        assert_eq!((of("1 (dead) X 2"), of("1 (cut)"), of("1 (cut) "), of("")), (None, None, None, None));
    }
}
