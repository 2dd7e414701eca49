//! `system.filesystem.{usage,utilization,limit}` of the file systems on this machine's devices.
//!
//! `used`, `free` (what anyone may still write) and `reserved` (what only root may) add up to the limit; utilization is
//! each state's part of it. `df`'s percentage is used ÷ (used + free).
//!
//! Each device is shown at its shortest mount point that can be asked. A mount that is covered or was not passed into our
//! mount namespace (a node's root mounted without propagation) would answer with its parent's numbers; it is told by its
//! directory lying on the same device as the parent's, and left out. A device that cannot be asked is an error beside the
//! others' numbers.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::statvfs;

use super::ScrapeError;
use super::families::{Attribute, Families, Family, Points};
use super::mounts::{self, Mount};
use super::root::Root;

const USAGE: Family =
    Family { name: "system.filesystem.usage", unit: "By", description: "Space of a file system in each state." };
const UTILIZATION: Family = Family {
    name: "system.filesystem.utilization",
    unit: "1",
    description: "Space of a file system in each state as a fraction of all its space.",
};
const LIMIT: Family =
    Family { name: "system.filesystem.limit", unit: "By", description: "Space that a file system has in all." };

pub(super) fn scrape(root: &Root, families: &mut Families) -> Result<(), ScrapeError> {
    let table = root.mounts();
    let text = root.read(table)?;
    let (devices, first_odd) = mounts::storage(&text);
    let mut usage = Points::with_capacity(devices.len() * 3);
    let mut utilization = Points::with_capacity(devices.len() * 3);
    let mut limit = Points::with_capacity(devices.len());
    let mut failure = first_odd
        .map(|line| ScrapeError::malformed(root.path(table), line, "a mount, as `device mount-point type options …`"));
    for mounts in &devices {
        let (mount, space) = match first_visible(root, mounts) {
            Ok(Some(found)) => found,
            Ok(None) => continue,
            Err(error) => {
                failure = Some(error);
                continue;
            }
        };
        let identity = [
            ("system.device", Attribute::from(&mount.device)),
            ("system.filesystem.mountpoint", Attribute::from(&mount.mountpoint)),
            ("system.filesystem.type", Attribute::from(&mount.kind)),
            ("system.filesystem.mode", Attribute::from(mount.mode())),
        ];
        let total = space.total();
        for (state, bytes) in [("used", space.used), ("free", space.free), ("reserved", space.reserved)] {
            let [device, mountpoint, kind, mode] = identity;
            let attributes = [device, mountpoint, kind, mode, ("system.filesystem.state", Attribute::Text(state))];
            usage.add(bytes, &attributes);
            utilization.add(bytes as f64 / total as f64, &attributes);
        }
        limit.add(total, &identity);
    }
    families.up_down_counter(USAGE, usage);
    families.gauge(UTILIZATION, utilization);
    families.up_down_counter(LIMIT, limit);
    failure.map_or(Ok(()), Err)
}

/// The first of a device's mounts that can be asked; the last error if none can and one should.
fn first_visible<'a>(root: &Root, mounts: &'a [Mount]) -> Result<Option<(&'a Mount, Space)>, ScrapeError> {
    let mut failure = None;
    for mount in mounts {
        match Space::of(root, mount) {
            Ok(Some(space)) => return Ok(Some((mount, space))),
            Ok(None) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(None), Err)
}

/// How a file system's bytes are divided. Never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Space {
    used: u64,
    free: u64,
    reserved: u64,
}

impl Space {
    /// The space at a mount; `None` where the mount is a file, is not visible from here, or has no size (a pseudo file
    /// system).
    fn of(root: &Root, mount: &Mount) -> Result<Option<Self>, ScrapeError> {
        let place = root.path(&mount.mountpoint);
        let read_error = |error: std::io::Error| ScrapeError::read(place.clone(), error);
        let found = fs::metadata(&place).map_err(read_error)?;
        if !found.is_dir() || (mount.mountpoint != "/" && is_on_device_of_parent(&place, found.dev())) {
            return Ok(None);
        }
        let answer = statvfs(&place).map_err(|errno| read_error(errno.into()))?;
        Ok(Self::from_blocks(answer.f_blocks, answer.f_bfree, answer.f_bavail, answer.f_frsize))
    }

    fn from_blocks(blocks: u64, free_to_root: u64, free_to_all: u64, block_bytes: u64) -> Option<Self> {
        let free_to_root = free_to_root.min(blocks);
        let free_to_all = free_to_all.min(free_to_root);
        let space = Self {
            used: (blocks - free_to_root).checked_mul(block_bytes)?,
            free: free_to_all.checked_mul(block_bytes)?,
            reserved: (free_to_root - free_to_all).checked_mul(block_bytes)?,
        };
        (space.total() > 0).then_some(space)
    }

    fn total(self) -> u64 {
        self.used.saturating_add(self.free).saturating_add(self.reserved)
    }
}

fn is_on_device_of_parent(place: &Path, device: u64) -> bool {
    place.parent().and_then(|parent| fs::metadata(parent).ok()).is_some_and(|parent| parent.dev() == device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_states_add_up_to_the_limit() {
        let space = Space::from_blocks(1000, 300, 250, 4096).unwrap();
        assert_eq!(space, Space { used: 700 * 4096, free: 250 * 4096, reserved: 50 * 4096 });
        assert_eq!(space.total(), 1000 * 4096);
    }

    #[test]
    fn a_file_system_without_size_or_sense_is_none() {
        assert_eq!(Space::from_blocks(0, 0, 0, 4096), None);
        assert_eq!(Space::from_blocks(u64::MAX, 0, 0, 4096), None);
        let odd = Space::from_blocks(10, 50, u64::MAX, 1).unwrap();
        assert_eq!(odd, Space { used: 0, free: 10, reserved: 0 }, "more free than there is, as btrfs and NFS may say");
    }
}
