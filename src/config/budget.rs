//! How much of the machine the sidecar takes: memory and threads, from the cgroup's limits.
//!
//! Invariants: the shares of a [`Budget`] add up to less than its memory; none is larger than what the configuration asks
//! for. A sidecar is a guest: with no limit to go by it takes 256 MiB and at most four threads.
//!
//! The cgroup is read below a root that is passed in: version 2 (`memory.max`, `cpu.max`) or 1
//! (`memory.limit_in_bytes`, `cpu.cfs_quota_us`), for the process's own group and every group above it, of which the
//! tightest counts. What cannot be read sets no limit.

use std::path::{Path, PathBuf};

use super::process::{Limits, Memory};
use super::{Config, Size};

/// Memory taken where nothing limits it.
pub const DEFAULT_MEMORY: u64 = 256 << 20;

/// A cgroup v1 limit from here on means none; the kernel writes the largest multiple of a page.
const UNLIMITED: u64 = 1 << 60;

/// What each part may hold, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The whole.
    pub memory: u64,
    /// The journal's ring: at most a fifth, at most `journal.memory`.
    pub ring: u64,
    /// Bodies not yet journaled: at most an eighth, at most `limits.in_flight`.
    pub in_flight: u64,
    /// The largest request after decompression: at most a quarter, at most `receivers.otlp.max_request_size`.
    pub max_request: u64,
    /// Series of every measure: a fifth.
    pub series: u64,
    /// Users: an eighth.
    pub users: u64,
    /// Models: a twentieth.
    pub models: u64,
}

/// A series with its labels, counters and buckets, in bytes: what `limits.series` is held against.
const SERIES_BYTES: u64 = 2048;

impl Budget {
    /// The shares of `memory` bytes under `config`.
    pub fn new(config: &Config, memory: u64) -> Self {
        Self {
            memory,
            ring: config.journal.memory.0.min(memory / 5),
            in_flight: config.limits.in_flight.0.min(memory / 8),
            max_request: config.receivers.otlp.max_request_size.0.min(memory / 4),
            series: memory / 5,
            users: memory / 8,
            models: memory / 20,
        }
    }

    /// The attribute sets that fit: `limits.series`, or fewer where the memory is small.
    pub fn series_count(&self, limits: &Limits) -> usize {
        let fitting = usize::try_from(self.series / SERIES_BYTES).unwrap_or(usize::MAX);
        limits.series.min(fitting)
    }
}

/// The bytes the process may hold: as configured, or 80 % of the cgroup's limit below `root` (`/`), or 256 MiB.
pub fn resolve_memory(root: &Path, limits: &Limits) -> u64 {
    match limits.memory {
        Memory::Bytes(Size(bytes)) => bytes,
        Memory::Auto => memory_limit(root).map_or(DEFAULT_MEMORY, |limit| limit / 5 * 4),
    }
}

/// Worker threads: the cgroup's CPU quota below `root` (`/`) rounded up, else the machine's CPUs; between 2 and 4.
pub fn worker_threads(root: &Path) -> usize {
    let machine = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
    cpu_quota(root).map_or(machine, |quota| quota.ceil() as usize).clamp(2, 4)
}

/// The tightest memory limit, in bytes.
fn memory_limit(root: &Path) -> Option<u64> {
    let limits = groups(root, "memory").into_iter().filter_map(|group| {
        let text = read(&group.join("memory.max")).or_else(|| read(&group.join("memory.limit_in_bytes")))?;
        text.parse::<u64>().ok().filter(|limit| (1..UNLIMITED).contains(limit))
    });
    limits.min()
}

/// The tightest CPU quota, in CPUs.
fn cpu_quota(root: &Path) -> Option<f64> {
    let quotas = groups(root, "cpu").into_iter().filter_map(|group| {
        let (quota, period) = match read(&group.join("cpu.max")) {
            Some(text) => text.split_once(' ').map(|(quota, period)| (quota.to_owned(), period.to_owned()))?,
            None => (read(&group.join("cpu.cfs_quota_us"))?, read(&group.join("cpu.cfs_period_us"))?),
        };
        let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
        (quota > 0.0 && period > 0.0).then_some(quota / period)
    });
    quotas.reduce(f64::min)
}

/// The folders of the process's group and of every group above it, for a controller in either version.
fn groups(root: &Path, controller: &str) -> Vec<PathBuf> {
    let mounts = root.join("sys/fs/cgroup");
    let mut folders = Vec::new();
    let memberships = read(&root.join("proc/self/cgroup")).unwrap_or_default();
    // A line is `id:controllers:path`; version 2 has id 0 and no controllers.
    for line in memberships.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let mount = match (id, controllers) {
            ("0", "") => mounts.clone(),
            (_, listed) if listed.split(',').any(|name| name == controller) => mounts.join(listed),
            _ => continue,
        };
        // Inside a container the path may be the host's, which is not mounted; what does not exist is skipped on read.
        let inside = path.trim_start_matches('/');
        let safe = !inside.split('/').any(|part| part == "..");
        folders.extend(Path::new(inside).ancestors().filter(|_| safe).map(|above| mount.join(above)));
        if controllers != controller && !controllers.is_empty() {
            folders.push(mounts.join(controller));
        }
    }
    folders.push(mounts.clone());
    folders.push(mounts.join(controller));
    folders
}

fn read(file: &Path) -> Option<String> {
    std::fs::read_to_string(file).ok().map(|text| text.trim().to_owned())
}
