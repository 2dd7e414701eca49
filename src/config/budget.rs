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

#[cfg(test)]
mod tests {
    use super::*;

    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let file = root.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
        root
    }

    fn memory(files: &[(&str, &str)]) -> u64 {
        resolve_memory(root(files).path(), &Limits::default())
    }

    fn threads(files: &[(&str, &str)]) -> usize {
        worker_threads(root(files).path())
    }

    const V2_ROOT: (&str, &str) = ("proc/self/cgroup", "0::/\n");
    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_is_four_fifths_of_the_limit() {
        let version_2 = [V2_ROOT, ("sys/fs/cgroup/memory.max", "134217728\n")];
        assert_eq!(memory(&version_2), 134_217_728 / 5 * 4);
        let version_1 = [
            ("proc/self/cgroup", "4:memory:/\n3:cpu,cpuacct:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "104857600\n"),
        ];
        assert_eq!(memory(&version_1), 80 * MIB);
    }

    #[test]
    fn no_limit_is_256_mib() {
        assert_eq!(memory(&[]), 256 * MIB);
        assert_eq!(memory(&[V2_ROOT, ("sys/fs/cgroup/memory.max", "max\n")]), 256 * MIB);
        assert_eq!(memory(&[V2_ROOT, ("sys/fs/cgroup/memory.max", "nonsense")]), 256 * MIB);
        let unlimited = [
            ("proc/self/cgroup", "4:memory:/docker/x\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
        ];
        assert_eq!(memory(&unlimited), 256 * MIB);
    }

    #[test]
    fn the_tightest_group_above_counts() {
        let nested = [
            ("proc/self/cgroup", "0::/kubepods/pod1/c1\n"),
            ("sys/fs/cgroup/kubepods/pod1/c1/memory.max", "max\n"),
            ("sys/fs/cgroup/kubepods/pod1/memory.max", "209715200\n"),
            ("sys/fs/cgroup/kubepods/memory.max", "419430400\n"),
        ];
        assert_eq!(memory(&nested), 160 * MIB);
    }

    #[test]
    fn a_group_path_cannot_leave_the_mount() {
        let escaping = [("proc/self/cgroup", "0::/../../etc\n"), ("etc/memory.max", "1048576")];
        assert_eq!(memory(&escaping), 256 * MIB);
    }

    #[test]
    fn a_given_memory_is_taken() {
        let limits = Limits { memory: Memory::Bytes(Size::mib(100)), ..Limits::default() };
        assert_eq!(resolve_memory(Path::new("/nowhere"), &limits), 100 * MIB);
    }

    #[test]
    fn threads_follow_the_quota_between_two_and_four() {
        assert_eq!(threads(&[V2_ROOT, ("sys/fs/cgroup/cpu.max", "50000 100000\n")]), 2);
        assert_eq!(threads(&[V2_ROOT, ("sys/fs/cgroup/cpu.max", "250000 100000\n")]), 3);
        assert_eq!(threads(&[V2_ROOT, ("sys/fs/cgroup/cpu.max", "6400000 100000\n")]), 4);
        let version_1 = [
            ("proc/self/cgroup", "3:cpu,cpuacct:/\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "300000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ];
        assert_eq!(threads(&version_1), 3);
        assert!((2..=4).contains(&threads(&[V2_ROOT, ("sys/fs/cgroup/cpu.max", "max 100000\n")])));
        assert!((2..=4).contains(&threads(&[])));
    }

    #[test]
    fn shares_fit_into_the_memory() {
        let config = Config::default();
        for memory in [32 * MIB, 64 * MIB, 256 * MIB, 4096 * MIB] {
            let budget = Budget::new(&config, memory);
            let parts = [budget.ring, budget.in_flight, budget.max_request, budget.series, budget.users, budget.models];
            assert!(parts.iter().sum::<u64>() < memory, "{budget:?}");
        }
        let budget = Budget::new(&config, 256 * MIB);
        assert_eq!((budget.ring, budget.in_flight, budget.max_request), (24 * MIB, 16 * MIB, 64 * MIB), "the defaults");
        assert_eq!(budget.series_count(&config.limits), 20_000);
        assert!(Budget::new(&config, 64 * MIB).series_count(&config.limits) < 20_000);
    }
}
