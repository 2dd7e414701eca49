//! Whether the numbers are a host's or stand inside a container.
//!
//! In a container `/proc/stat`, `/proc/meminfo` and `/proc/loadavg` still show the whole node, while the network and the
//! mounts are the container's own. So "which scope are we in" is a fact that readers need; [`detect`] finds it.

use super::root::Root;

/// Whose numbers the scrape shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The machine, seen from it or through its mounted root.
    Host,
    /// A container: CPU, memory and load are the node's, network and file systems the container's.
    Container,
}

impl Scope {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Container => "container",
        }
    }
}

/// Parts of a cgroup path that container engines write.
const ENGINES: [&str; 9] = ["docker", "kubepods", "containerd", "libpod", "crio", "lxc", "garden", "buildkit", "/ecs/"];

/// What the files below `root` say. A root other than `/` is a mounted node: that is the host.
pub(super) fn detect(root: &Root, in_kubernetes: bool) -> Scope {
    if !root.is_own() {
        return Scope::Host;
    }
    if in_kubernetes || shows_a_container(root) { Scope::Container } else { Scope::Host }
}

fn shows_a_container(root: &Root) -> bool {
    let engine_marks = ["/.dockerenv", "/run/.containerenv"];
    // the root of the cgroup v2 hierarchy has no events of its own: where they exist, we see a namespace's root
    let namespace_root = "/sys/fs/cgroup/cgroup.events";
    if engine_marks.into_iter().chain([namespace_root]).any(|mark| root.exists(mark)) {
        return true;
    }
    let cgroups = root.read("proc/1/cgroup").unwrap_or_default();
    cgroups.lines().any(|line| ENGINES.iter().any(|engine| line.contains(engine)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        folder
    }

    #[test]
    fn a_container_is_known_by_any_of_its_marks() {
        for (file, content) in [
            (".dockerenv", ""),
            ("run/.containerenv", "engine=\"podman\"\n"),
            ("sys/fs/cgroup/cgroup.events", "populated 1\n"),
            ("proc/1/cgroup", "2:cpu,cpuacct:/kubepods/burstable/pod1/abc\n"),
            ("proc/1/cgroup", "0::/system.slice/docker-0123.scope\n"),
        ] {
            let folder = tree(&[(file, content)]);
            assert!(shows_a_container(&Root::new(folder.path())), "{file}: {content}");
        }
    }

    #[test]
    fn a_plain_machine_is_a_host() {
        let folder = tree(&[
            ("proc/1/cgroup", "1:name=systemd:/init.scope\n0::/init.scope\n"),
            ("sys/fs/cgroup/cgroup.procs", "1\n"),
        ]);
        assert!(!shows_a_container(&Root::new(folder.path())));
        assert!(!shows_a_container(&Root::new(folder.path().join("nothing"))));
    }

    #[test]
    fn a_mounted_root_is_the_host_wherever_we_run() {
        let folder = tree(&[(".dockerenv", "")]);
        assert_eq!(detect(&Root::new(folder.path()), true), Scope::Host);
        assert_eq!(detect(&Root::new("/"), true), Scope::Container);
    }
}
