//! How many physical cores the online CPUs are.
//!
//! Two logical CPUs are one core if the kernel lists the same siblings for them (`/sys/devices/system/cpu/cpuN/topology`).
//! Where `/sys` is not visible, `/proc/cpuinfo` names socket and core on x86; elsewhere it does not, and the number is then
//! unknown. The answer is kept until another CPU comes or goes: `/proc/cpuinfo` of a large machine is dear to read.

use std::collections::BTreeSet;

use super::root::Root;

#[derive(Debug, Default)]
pub(super) struct Cores {
    counted: Option<(Vec<u32>, Option<u64>)>,
}

impl Cores {
    /// Physical cores of these logical CPUs, or `None` where the kernel does not say.
    pub(super) fn count(&mut self, root: &Root, cpus: impl Iterator<Item = u32>) -> Option<u64> {
        let cpus = cpus.collect::<Vec<_>>();
        match &self.counted {
            Some((of, cores)) if *of == cpus => *cores,
            _ => {
                let cores =
                    from_sys(root, &cpus).or_else(|| from_cpuinfo(&root.read("proc/cpuinfo").ok()?, cpus.len()));
                self.counted = Some((cpus, cores));
                cores
            }
        }
    }
}

fn from_sys(root: &Root, cpus: &[u32]) -> Option<u64> {
    let siblings = cpus.iter().map(|cpu| {
        let folder = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        // before Linux 5.4 the same list had another name
        let list = root
            .read(&format!("{folder}/core_cpus_list"))
            .or_else(|_| root.read(&format!("{folder}/thread_siblings_list")))
            .ok()?;
        Some(list.trim().to_owned()).filter(|list| !list.is_empty())
    });
    Some(siblings.collect::<Option<BTreeSet<_>>>()?.len() as u64)
}

fn from_cpuinfo(text: &str, cpus: usize) -> Option<u64> {
    let mut cores = BTreeSet::new();
    let mut described = 0;
    for processor in text.split("\n\n") {
        let field = |name: &str| {
            let mut fields = processor.lines().filter_map(|line| line.split_once(':'));
            fields.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim())
        };
        if let Some(core) = field("physical id").zip(field("core id")) {
            cores.insert(core);
            described += 1;
        }
    }
    (described == cpus && described > 0).then_some(cores.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpuinfo_counts_distinct_socket_and_core() {
        let text = "processor\t: 0\nphysical id\t: 0\ncore id\t\t: 0\n\nprocessor\t: 1\nphysical id\t: 0\ncore id\t\t: 0\n\n\
                    processor\t: 2\nphysical id\t: 0\ncore id\t\t: 1\n\nprocessor\t: 3\nphysical id\t: 1\ncore id\t\t: 1\n";
        assert_eq!(from_cpuinfo(text, 4), Some(3));
    }

    #[test]
    fn cpuinfo_that_names_no_core_says_nothing() {
        let arm = "processor\t: 0\nBogoMIPS\t: 50.00\n\nprocessor\t: 1\nBogoMIPS\t: 50.00\n";
        assert_eq!(from_cpuinfo(arm, 2), None);
        assert_eq!(from_cpuinfo("processor: 0\nphysical id: 0\ncore id: 0\n", 2), None, "one of two CPUs described");
        assert_eq!(from_cpuinfo("", 0), None);
    }
}
