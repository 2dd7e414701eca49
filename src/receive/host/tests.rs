//! Whole scrapes of copied and of real trees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric, number_data_point};
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;
const BOOT_SECONDS: u64 = 1_700_000_000;
const BOOT: UnixNanos = UnixNanos(BOOT_SECONDS * SECOND);
const NOW: UnixNanos = UnixNanos((BOOT_SECONDS + 1_000) * SECOND);

/// A directory that stands for `/`.
struct Tree(tempfile::TempDir);

impl Tree {
    /// A small healthy machine: two CPUs of one core, 1,000 MiB, swap, a disk, two interfaces, eight sockets, four processes.
    fn healthy() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        tree.write("proc/stat", stat([[1000, 50, 300, 8000, 20, 3, 7, 40], [2000, 0, 100, 7000, 0, 0, 0, 0]]));
        tree.write("proc/loadavg", "0.50 1.25 2.00 3/512 12345\n");
        tree.write(
            "proc/meminfo",
            "MemTotal:        1024000 kB\nMemFree:          102400 kB\nMemAvailable:     614400 kB\nBuffers:           10240 kB\n\
             Cached:           409600 kB\nSwapTotal:        204800 kB\nSwapFree:         153600 kB\nShmem:              2048 kB\n\
             SReclaimable:      20480 kB\nSUnreclaim:         5120 kB\nHugePages_Total:       0\n",
        );
        tree.write("proc/uptime", "1000.25 1900.00\n");
        tree.write("proc/1/mounts", "proc /proc proc rw 0 0\n/dev/vda1 / ext4 rw,relatime 0 0\n");
        tree.write(
            "proc/1/net/dev",
            interfaces(&[("lo", [100, 2, 0, 0, 100, 2, 0, 0]), ("eth0", [9000, 60, 1, 2, 5000, 40, 3, 4])]),
        );
        tree.write("proc/1/net/tcp", sockets(&["0A", "01", "01", "06"]));
        tree.write("proc/1/net/tcp6", sockets(&["0A", "0C"]));
        tree.write("proc/1/net/udp", sockets(&["07", "01"]));
        tree.write("proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/vda3\tpartition\t204800\t51200\t-2\n");
        tree.write("proc/vmstat", "nr_free_pages 1\npgpgin 9\npswpin 11\npswpout 22\npgfault 1000\npgmajfault 30\n");
        tree.write(
            "proc/diskstats",
            " 254 0 vda 100 5 2048 1500 200 6 4096 2500 0 3000 4000 7 0 8 9\n 254 1 vda1 90 5 2000 1 190 6 4000 2 0 3 4\n",
        );
        for (pid, state) in [("1", "S"), ("2", "I"), ("77", "R"), ("4000", "Z")] {
            tree.write(&format!("proc/{pid}/stat"), format!("{pid} (a) name) {state} 0 0 0\n"));
        }
        for cpu in 0..2 {
            tree.write(&format!("sys/devices/system/cpu/cpu{cpu}/topology/core_cpus_list"), "0-1\n");
        }
        tree
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.0.path().join(name)).unwrap();
    }

    fn scraper(&self) -> Scraper {
        scraper_of(self.0.path())
    }
}

fn scraper_of(root: &Path) -> Scraper {
    Scraper::new(&HostSettings { root_path: root.to_owned(), ..HostSettings::default() })
}

fn stat(cpus: [[u64; 8]; 2]) -> String {
    let line = |name: &str, ticks: &[u64; 8]| {
        let columns = ticks.map(|ticks| ticks.to_string()).join(" ");
        format!("{name} {columns} 0 0\n")
    };
    let [first, second] = &cpus;
    let mut sum = *first;
    for (sum, other) in sum.iter_mut().zip(second) {
        *sum += other;
    }
    let [all, first, second] = [line("cpu ", &sum), line("cpu0", first), line("cpu1", second)];
    format!(
        "{all}{first}{second}intr 1 2 3\nctxt 99\nbtime {BOOT_SECONDS}\nprocesses 777\nprocs_running 2\nprocs_blocked 1\n"
    )
}

fn interfaces(rows: &[(&str, [u64; 8])]) -> String {
    let mut text = "Inter-|   Receive  |  Transmit\n face |bytes packets |bytes packets\n".to_owned();
    for (name, [rb, rp, re, rd, sb, sp, se, sd]) in rows {
        text += &format!("{name:>6}: {rb:>7} {rp} {re} {rd} 0 0 0 0 {sb:>8} {sp} {se} {sd} 0 0 0 0\n");
    }
    text
}

fn sockets(states: &[&str]) -> String {
    let mut text =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n".to_owned();
    for (slot, state) in states.iter().enumerate() {
        text += &format!(
            "{slot:>4}: 0100007F:1F90 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {slot} 1 x\n"
        );
    }
    text
}

fn metrics(scraped: &Scraped) -> &[Metric] {
    match scraped.metrics.resource_metrics.as_slice() {
        [] => &[],
        [one] => &one.scope_metrics[0].metrics,
        more => panic!("{} resources", more.len()),
    }
}

fn names(scraped: &Scraped) -> BTreeSet<&str> {
    metrics(scraped).iter().map(|metric| metric.name.as_str()).collect()
}

fn points<'a>(scraped: &'a Scraped, name: &str) -> &'a [NumberDataPoint] {
    match metrics(scraped).iter().find(|metric| metric.name == name).and_then(|metric| metric.data.as_ref()) {
        Some(metric::Data::Gauge(gauge)) => &gauge.data_points,
        Some(metric::Data::Sum(sum)) => &sum.data_points,
        _ => &[],
    }
}

fn attributes(point: &NumberDataPoint) -> BTreeMap<&str, String> {
    let text = |value: &any_value::Value| match value {
        any_value::Value::StringValue(text) => text.clone(),
        any_value::Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let entries = point.attributes.iter();
    entries.map(|entry| (entry.key.as_str(), text(entry.value.as_ref().unwrap().value.as_ref().unwrap()))).collect()
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        Some(number_data_point::Value::AsDouble(value)) => value,
        None => panic!("no value"),
    }
}

/// The one point that has exactly these attributes.
fn point<'a>(scraped: &'a Scraped, name: &str, wanted: &[(&str, &str)]) -> Option<&'a NumberDataPoint> {
    let wanted = wanted.iter().map(|(key, value)| (*key, (*value).to_owned())).collect::<BTreeMap<_, _>>();
    let mut found = points(scraped, name).iter().filter(|point| attributes(point) == wanted);
    let first = found.next();
    assert!(found.next().is_none(), "{name}{wanted:?} stands twice");
    first
}

fn value(scraped: &Scraped, name: &str, wanted: &[(&str, &str)]) -> Option<f64> {
    point(scraped, name, wanted).map(number)
}

fn failed(scraped: &Scraped) -> Vec<ScraperKind> {
    scraped.failures.iter().map(|failure| failure.scraper).collect()
}

#[test]
fn a_healthy_tree_comes_out_exactly() {
    let tree = Tree::healthy();
    let scraped = tree.scraper().scrape(NOW);
    assert!(scraped.failures.is_empty(), "{:?}", scraped.failures);
    assert_eq!(scraped.scope, Scope::Host);

    let time = |mode, cpu| value(&scraped, "system.cpu.time", &[("cpu.mode", mode), ("cpu.logical_number", cpu)]);
    assert_eq!(time("user", "0"), Some(10.0));
    assert_eq!(time("nice", "0"), Some(0.5));
    assert_eq!(time("system", "0"), Some(3.0));
    assert_eq!(time("idle", "0"), Some(80.0));
    assert_eq!(time("iowait", "0"), Some(0.2));
    assert_eq!(time("interrupt", "0"), Some(0.1));
    assert_eq!(time("steal", "0"), Some(0.4));
    assert_eq!(time("user", "1"), Some(20.0));
    assert_eq!(points(&scraped, "system.cpu.time").len(), 14);
    assert!(points(&scraped, "system.cpu.utilization").is_empty(), "one scrape has no interval");
    assert_eq!(value(&scraped, "system.cpu.logical.count", &[]), Some(2.0));
    assert_eq!(value(&scraped, "system.cpu.physical.count", &[]), Some(1.0));

    assert_eq!(value(&scraped, "system.cpu.load_average.1m", &[]), Some(0.5));
    assert_eq!(value(&scraped, "system.cpu.load_average.5m", &[]), Some(1.25));
    assert_eq!(value(&scraped, "system.cpu.load_average.15m", &[]), Some(2.0));

    let memory = |name, state| value(&scraped, name, &[("system.memory.state", state)]);
    assert_eq!(memory("system.memory.usage", "used"), Some(409_600.0 * 1024.0));
    assert_eq!(memory("system.memory.usage", "free"), Some(102_400.0 * 1024.0));
    assert_eq!(memory("system.memory.usage", "cached"), Some(409_600.0 * 1024.0));
    assert_eq!(memory("system.memory.usage", "buffers"), Some(10_240.0 * 1024.0));
    assert_eq!(memory("system.memory.utilization", "used"), Some(0.4));
    assert_eq!(memory("system.memory.utilization", "free"), Some(0.1));
    assert_eq!(value(&scraped, "system.memory.limit", &[]), Some(1_024_000.0 * 1024.0));
    assert_eq!(value(&scraped, "system.memory.linux.available", &[]), Some(614_400.0 * 1024.0));
    assert_eq!(value(&scraped, "system.memory.linux.shared", &[]), Some(2_048.0 * 1024.0));
    let slab = |state| value(&scraped, "system.memory.linux.slab.usage", &[("system.memory.linux.slab.state", state)]);
    assert_eq!((slab("reclaimable"), slab("unreclaimable")), (Some(20_480.0 * 1024.0), Some(5_120.0 * 1024.0)));

    let network = |name, interface, direction| {
        value(&scraped, name, &[("network.interface.name", interface), ("network.io.direction", direction)])
    };
    assert_eq!(network("system.network.io", "eth0", "receive"), Some(9000.0));
    assert_eq!(network("system.network.io", "eth0", "transmit"), Some(5000.0));
    assert_eq!(network("system.network.io", "lo", "receive"), Some(100.0));
    assert_eq!(network("system.network.errors", "eth0", "receive"), Some(1.0));
    assert_eq!(network("system.network.errors", "eth0", "transmit"), Some(3.0));
    assert_eq!(network("system.network.packet.dropped", "eth0", "receive"), Some(2.0));
    assert_eq!(network("system.network.packet.dropped", "eth0", "transmit"), Some(4.0));
    let packets = [("network.interface.name", "eth0"), ("system.device", "eth0"), ("network.io.direction", "transmit")];
    assert_eq!(value(&scraped, "system.network.packet.count", &packets), Some(40.0));

    let tcp = |state| {
        value(
            &scraped,
            "system.network.connection.count",
            &[("network.transport", "tcp"), ("network.connection.state", state)],
        )
    };
    let expected = [("listen", 2.0), ("established", 2.0), ("time_wait", 1.0), ("syn_received", 1.0), ("closing", 0.0)];
    for (state, count) in expected {
        assert_eq!(tcp(state), Some(count), "{state}");
    }
    assert_eq!(value(&scraped, "system.network.connection.count", &[("network.transport", "udp")]), Some(2.0));
    assert_eq!(points(&scraped, "system.network.connection.count").len(), 12);

    assert_eq!(value(&scraped, "system.uptime", &[]), Some(1000.25));
}

#[test]
fn paging_disks_and_processes_come_out_exactly() {
    let scraped = Tree::healthy().scraper().scrape(NOW);

    let swap = |name, state| value(&scraped, name, &[("system.device", "/dev/vda3"), ("system.paging.state", state)]);
    assert_eq!(swap("system.paging.usage", "used"), Some(51_200.0 * 1024.0));
    assert_eq!(swap("system.paging.usage", "free"), Some(153_600.0 * 1024.0));
    assert_eq!(swap("system.paging.utilization", "used"), Some(0.25));
    let faults = |kind| value(&scraped, "system.paging.faults", &[("system.paging.fault.type", kind)]);
    assert_eq!((faults("major"), faults("minor")), (Some(30.0), Some(970.0)));
    let pages = |direction| {
        let wanted = [("system.paging.fault.type", "major"), ("system.paging.direction", direction)];
        value(&scraped, "system.paging.operations", &wanted)
    };
    assert_eq!((pages("in"), pages("out")), (Some(11.0), Some(22.0)));

    let disk = |name, direction| value(&scraped, name, &[("system.device", "vda"), ("disk.io.direction", direction)]);
    assert_eq!(
        (disk("system.disk.io", "read"), disk("system.disk.io", "write")),
        (Some(1_048_576.0), Some(2_097_152.0))
    );
    assert_eq!(
        (disk("system.disk.operations", "read"), disk("system.disk.operations", "write")),
        (Some(100.0), Some(200.0))
    );
    assert_eq!((disk("system.disk.merged", "read"), disk("system.disk.merged", "write")), (Some(5.0), Some(6.0)));
    assert_eq!(disk("system.disk.operation_time", "read"), Some(1.5));
    assert_eq!(disk("system.disk.operation_time", "write"), Some(2.5));
    assert_eq!(value(&scraped, "system.disk.io_time", &[("system.device", "vda")]), Some(3.0));
    assert_eq!(points(&scraped, "system.disk.io").len(), 2, "the partition is part of its disk");

    let processes = |state| value(&scraped, "system.process.count", &[("process.state", state)]);
    let expected = [("running", 1.0), ("sleeping", 2.0), ("stopped", 0.0), ("defunct", 1.0)];
    for (state, count) in expected {
        assert_eq!(processes(state), Some(count), "{state}");
    }
    assert_eq!(value(&scraped, "system.process.created", &[]), Some(777.0));
}

#[test]
fn the_file_system_is_that_of_the_root() {
    let tree = Tree::healthy();
    let scraped = tree.scraper().scrape(NOW);
    let expected = rustix::fs::statvfs(tree.0.path()).unwrap();
    let total = (expected.f_blocks * expected.f_frsize) as f64;
    let identity = [
        ("system.device", "/dev/vda1"),
        ("system.filesystem.mountpoint", "/"),
        ("system.filesystem.type", "ext4"),
        ("system.filesystem.mode", "rw"),
    ];
    assert_eq!(value(&scraped, "system.filesystem.limit", &identity), Some(total));
    let of_state = |name, state| {
        let mut wanted = identity.to_vec();
        wanted.push(("system.filesystem.state", state));
        value(&scraped, name, &wanted).unwrap()
    };
    for name in ["system.filesystem.usage", "system.filesystem.utilization"] {
        assert_eq!(points(&scraped, name).len(), 3, "the proc file system has no space");
    }
    let states = ["used", "free", "reserved"];
    assert_eq!(states.map(|state| of_state("system.filesystem.usage", state)).iter().sum::<f64>(), total);
    let whole = states.map(|state| of_state("system.filesystem.utilization", state)).iter().sum::<f64>();
    assert!((whole - 1.0).abs() < 1e-12, "{whole}");
}

#[test]
fn a_mount_that_is_not_visible_below_the_root_is_left_out() {
    let tree = Tree::healthy();
    tree.write("boot/grub.cfg", "");
    tree.write("proc/1/mounts", "/dev/vda1 / ext4 rw 0 0\n/dev/vda2 /boot ext4 rw 0 0\n/dev/vda3 /gone ext4 rw 0 0\n");
    let scraped = tree.scraper().scrape(NOW);
    assert!(scraped.failures.is_empty(), "{:?}", scraped.failures);
    let mountpoints = points(&scraped, "system.filesystem.limit")
        .iter()
        .map(|point| attributes(point)["system.filesystem.mountpoint"].clone());
    assert_eq!(mountpoints.collect::<Vec<_>>(), ["/"], "not the root's numbers under the name of /boot");
}

#[test]
fn every_point_has_its_time_and_every_sum_its_start() {
    let tree = Tree::healthy();
    let mut scraper = tree.scraper();
    scraper.scrape(NOW);
    let later = UnixNanos(NOW.0 + 10 * SECOND);
    tree.write("proc/stat", stat([[1100, 50, 300, 8900, 20, 3, 7, 40], [2000, 0, 100, 8000, 0, 0, 0, 0]]));
    let scraped = scraper.scrape(later);
    for metric in metrics(&scraped) {
        assert!(!metric.description.is_empty() && !metric.unit.is_empty(), "{}", metric.name);
        let (points, start) = match metric.data.as_ref().unwrap() {
            metric::Data::Gauge(gauge) => (&gauge.data_points, 0),
            metric::Data::Sum(sum) => {
                assert_eq!(sum.aggregation_temporality, 2, "cumulative");
                (&sum.data_points, BOOT.0)
            }
            other => panic!("{other:?}"),
        };
        let mut seen = BTreeSet::new();
        let time = if metric.name == "system.network.connection.count" { NOW } else { later };
        for point in points {
            assert_eq!((point.time_unix_nano, point.start_time_unix_nano), (time.0, start), "{}", metric.name);
            assert!(seen.insert(attributes(point)), "{} repeats {:?}", metric.name, attributes(point));
        }
    }
}

#[test]
fn instruments_and_units_are_the_conventions() {
    let tree = Tree::healthy();
    let mut scraper = tree.scraper();
    scraper.scrape(NOW);
    tree.write("proc/stat", stat([[1100, 50, 300, 8900, 20, 3, 7, 40], [2000, 0, 100, 8000, 0, 0, 0, 0]]));
    let scraped = scraper.scrape(UnixNanos(NOW.0 + 10 * SECOND));
    let found = metrics(&scraped).iter().map(|metric| {
        let instrument = match metric.data.as_ref().unwrap() {
            metric::Data::Sum(sum) if sum.is_monotonic => "counter",
            metric::Data::Sum(_) => "updowncounter",
            _ => "gauge",
        };
        (metric.name.as_str(), instrument, metric.unit.as_str())
    });
    let expected = [
        ("system.cpu.load_average.15m", "gauge", "{thread}"),
        ("system.cpu.load_average.1m", "gauge", "{thread}"),
        ("system.cpu.load_average.5m", "gauge", "{thread}"),
        ("system.cpu.logical.count", "updowncounter", "{cpu}"),
        ("system.cpu.physical.count", "updowncounter", "{cpu}"),
        ("system.cpu.time", "counter", "s"),
        ("system.cpu.utilization", "gauge", "1"),
        ("system.disk.io", "counter", "By"),
        ("system.disk.io_time", "counter", "s"),
        ("system.disk.merged", "counter", "{operation}"),
        ("system.disk.operation_time", "counter", "s"),
        ("system.disk.operations", "counter", "{operation}"),
        ("system.filesystem.limit", "updowncounter", "By"),
        ("system.filesystem.usage", "updowncounter", "By"),
        ("system.filesystem.utilization", "gauge", "1"),
        ("system.memory.limit", "updowncounter", "By"),
        ("system.memory.linux.available", "updowncounter", "By"),
        ("system.memory.linux.shared", "updowncounter", "By"),
        ("system.memory.linux.slab.usage", "updowncounter", "By"),
        ("system.memory.usage", "updowncounter", "By"),
        ("system.memory.utilization", "gauge", "1"),
        ("system.network.connection.count", "updowncounter", "{connection}"),
        ("system.network.errors", "counter", "{error}"),
        ("system.network.io", "counter", "By"),
        ("system.network.packet.count", "counter", "{packet}"),
        ("system.network.packet.dropped", "counter", "{packet}"),
        ("system.paging.faults", "counter", "{fault}"),
        ("system.paging.operations", "counter", "{operation}"),
        ("system.paging.usage", "updowncounter", "By"),
        ("system.paging.utilization", "gauge", "1"),
        ("system.process.count", "updowncounter", "{process}"),
        ("system.process.created", "counter", "{process}"),
        ("system.uptime", "gauge", "s"),
    ];
    assert_eq!(found.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
    let scope = &scraped.metrics.resource_metrics[0].scope_metrics[0];
    assert_eq!(scope.scope.as_ref().unwrap().name, "qiyas/host");
}

#[test]
fn utilization_is_the_share_of_the_time_between_two_scrapes() {
    let tree = Tree::healthy();
    let mut scraper = tree.scraper();
    scraper.scrape(NOW);
    // ten seconds: cpu0 2.5 s user, 1 s system, 0.5 s stolen, the rest idle; cpu1 idle
    tree.write("proc/stat", stat([[1250, 50, 400, 8600, 20, 3, 7, 90], [2000, 0, 100, 8000, 0, 0, 0, 0]]));
    let scraped = scraper.scrape(UnixNanos(NOW.0 + 10 * SECOND));
    let share =
        |mode, cpu| value(&scraped, "system.cpu.utilization", &[("cpu.mode", mode), ("cpu.logical_number", cpu)]);
    let expected = [
        ("user", 0.25),
        ("nice", 0.0),
        ("system", 0.1),
        ("idle", 0.6),
        ("iowait", 0.0),
        ("interrupt", 0.0),
        ("steal", 0.05),
    ];
    for (mode, expected) in expected {
        assert_eq!(share(mode, "0"), Some(expected), "{mode}");
    }
    assert_eq!((share("idle", "1"), share("user", "1")), (Some(1.0), Some(0.0)));

    let same_tick = scraper.scrape(UnixNanos(NOW.0 + 10 * SECOND + 1));
    assert!(points(&same_tick, "system.cpu.utilization").is_empty(), "no time passed by the kernel's count");
    assert_eq!(points(&same_tick, "system.cpu.time").len(), 14);
}

/// Scenario: `iowait` goes back by some ticks, as it does in every kernel; later a CPU leaves, returns, and its `idle` has
/// lost seconds.
/// Guarantees: a reader sees neither as a restart, and no utilization is made up from a count that was lost.
#[test]
fn a_count_that_steps_back_is_never_a_restart() {
    let tree = Tree::healthy();
    let mut scraper = tree.scraper();
    let mut at = |seconds: u64, content: String| {
        tree.write("proc/stat", content);
        let scraped = scraper.scrape(UnixNanos(NOW.0 + seconds * SECOND));
        for point in points(&scraped, "system.cpu.time") {
            assert_eq!(point.start_time_unix_nano, BOOT.0);
        }
        scraped
    };
    let of = |scraped: &Scraped, name, mode| value(scraped, name, &[("cpu.mode", mode), ("cpu.logical_number", "0")]);
    let other = [2000, 0, 100, 7000, 0, 0, 0, 0];
    at(0, stat([[1000, 50, 300, 8000, 20, 3, 7, 40], other]));

    let scraped = at(10, stat([[1000, 50, 300, 9000, 15, 3, 7, 40], other]));
    assert_eq!(of(&scraped, "system.cpu.time", "iowait"), Some(0.2), "waited out");
    assert_eq!(of(&scraped, "system.cpu.utilization", "idle"), Some(1.0));
    let scraped = at(20, stat([[1000, 50, 300, 9994, 21, 3, 7, 40], other]));
    assert_eq!(of(&scraped, "system.cpu.time", "iowait"), Some(0.21), "caught up");

    let only_the_other = "cpu1 2000 0 100 7000 0 0 0 0\nbtime 1700000000\nprocesses 1\n".to_owned();
    let scraped = at(30, only_the_other);
    assert_eq!(of(&scraped, "system.cpu.time", "idle"), None);
    assert_eq!(value(&scraped, "system.cpu.logical.count", &[]), Some(1.0));

    let scraped = at(40, stat([[1500, 50, 300, 5000, 21, 3, 7, 40], other]));
    assert_eq!(of(&scraped, "system.cpu.time", "idle"), Some(99.94), "5,000 ticks stand for 9,994");
    assert_eq!(of(&scraped, "system.cpu.time", "user"), Some(15.0));
    assert_eq!(of(&scraped, "system.cpu.utilization", "user"), None, "how long it was idle is not known");
    let scraped = at(50, stat([[1600, 50, 300, 5900, 21, 3, 7, 40], other]));
    assert_eq!(of(&scraped, "system.cpu.time", "idle"), Some(108.94));
    assert_eq!(of(&scraped, "system.cpu.utilization", "user"), Some(0.1));
}

#[test]
fn an_interface_born_later_starts_later() {
    let tree = Tree::healthy();
    let mut scraper = tree.scraper();
    scraper.scrape(NOW);
    tree.write(
        "proc/1/net/dev",
        interfaces(&[("eth0", [9500, 61, 1, 2, 5000, 40, 3, 4]), ("veth9", [7, 1, 0, 0, 0, 0, 0, 0])]),
    );
    let scraped = scraper.scrape(UnixNanos(NOW.0 + 10 * SECOND));
    let start = |interface| {
        let wanted = [("network.interface.name", interface), ("network.io.direction", "receive")];
        point(&scraped, "system.network.io", &wanted).map(|point| point.start_time_unix_nano)
    };
    assert_eq!((start("eth0"), start("veth9"), start("lo")), (Some(BOOT.0), Some(NOW.0), None));
}

#[test]
fn a_missing_file_mutes_its_scraper_alone() {
    let all = names(&Tree::healthy().scraper().scrape(NOW)).into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
    use ScraperKind::*;
    for (file, scrapers, muted) in [
        (
            "proc/stat",
            vec![Cpu, Processes],
            vec!["system.cpu.time", "system.cpu.logical.count", "system.cpu.physical.count", "system.process.created"],
        ),
        (
            "proc/loadavg",
            vec![Load],
            vec!["system.cpu.load_average.1m", "system.cpu.load_average.5m", "system.cpu.load_average.15m"],
        ),
        ("proc/uptime", vec![System], vec!["system.uptime"]),
        ("proc/swaps", vec![Paging], vec!["system.paging.usage", "system.paging.utilization"]),
        ("proc/vmstat", vec![Paging], vec!["system.paging.faults", "system.paging.operations"]),
        (
            "proc/diskstats",
            vec![Disk],
            vec![
                "system.disk.io",
                "system.disk.operations",
                "system.disk.merged",
                "system.disk.operation_time",
                "system.disk.io_time",
            ],
        ),
        (
            "proc/1/mounts",
            vec![Filesystem],
            vec!["system.filesystem.usage", "system.filesystem.utilization", "system.filesystem.limit"],
        ),
        (
            "proc/1/net/dev",
            vec![Network],
            vec![
                "system.network.io",
                "system.network.errors",
                "system.network.packet.count",
                "system.network.packet.dropped",
            ],
        ),
        ("proc/1/net/udp", vec![Network], vec!["system.network.connection.count"]),
    ] {
        let tree = Tree::healthy();
        tree.remove(file);
        let scraped = tree.scraper().scrape(NOW);
        assert_eq!(failed(&scraped), scrapers, "{file}");
        assert!(scraped.failures[0].error.to_string().contains(file), "{}", scraped.failures[0].error);
        let mut expected = all.clone();
        for name in muted {
            assert!(expected.remove(name), "{name}");
        }
        assert_eq!(names(&scraped), expected.iter().map(String::as_str).collect(), "{file}");
    }
}

#[test]
fn garbage_in_a_file_mutes_its_scraper_alone() {
    for (file, content, scraper) in [
        ("proc/stat", "btime 17\nprocesses 3\n", ScraperKind::Cpu),
        ("proc/stat", "cpu0 1 2 3 4\nprocesses -3\n", ScraperKind::Processes),
        ("proc/swaps", "a\nb\n", ScraperKind::Paging),
        ("proc/vmstat", "pgfault x\npgmajfault 3\n", ScraperKind::Paging),
        ("proc/diskstats", "what is this\n", ScraperKind::Disk),
        ("proc/loadavg", "0.1 0.2\n", ScraperKind::Load),
        ("proc/loadavg", "inf -1 NaN\n", ScraperKind::Load),
        ("proc/meminfo", "MemTotal: 0 kB\n", ScraperKind::Memory),
        ("proc/meminfo", "\0\0\u{fffd}", ScraperKind::Memory),
        ("proc/uptime", "-5 0\n", ScraperKind::System),
        ("proc/1/mounts", "what is this\n", ScraperKind::Filesystem),
        ("proc/1/net/dev", "a\nb\neth0: 1 2 3\n", ScraperKind::Network),
        ("proc/1/net/tcp", "heading\n 0: a b ZZ c\n", ScraperKind::Network),
    ] {
        let tree = Tree::healthy();
        tree.write(file, content);
        let scraped = tree.scraper().scrape(NOW);
        assert_eq!(failed(&scraped), [scraper], "{file}: {content:?}");
    }
}

#[test]
fn a_file_of_the_wrong_size_is_refused() {
    let tree = Tree::healthy();
    tree.write("proc/loadavg", vec![b'1'; 5 << 20]);
    let scraped = tree.scraper().scrape(NOW);
    assert!(matches!(scraped.failures[0].error, ScrapeError::TooLong { limit_bytes: 4_194_304, .. }));
    tree.write("proc/loadavg", "");
    assert_eq!(failed(&tree.scraper().scrape(NOW)), [ScraperKind::Load]);
}

#[test]
fn a_table_longer_than_the_buffer_is_counted_whole() {
    let tree = Tree::healthy();
    tree.write("proc/1/net/tcp", sockets(&["01"; 5_000]));
    let scraped = tree.scraper().scrape(NOW);
    let wanted = [("network.transport", "tcp"), ("network.connection.state", "established")];
    assert_eq!(value(&scraped, "system.network.connection.count", &wanted), Some(5_000.0));
}

/// Scenario: `sockstat` says that no TCP socket over IPv6 exists.
/// Guarantees: its table, a walk of the kernel's whole hash, is then not read; in doubt it is.
#[test]
fn the_ipv6_table_is_read_only_if_it_can_hold_something() {
    let listening = [("network.transport", "tcp"), ("network.connection.state", "listen")];
    for (six, time_wait, expected) in [("0", "0", 1.0), ("1", "0", 2.0), ("0", "3", 2.0), ("?", "0", 2.0)] {
        let tree = Tree::healthy();
        tree.write("proc/1/net/sockstat6", format!("TCP6: inuse {six}\nUDP6: inuse 0\n"));
        tree.write(
            "proc/1/net/sockstat",
            format!("sockets: used 9\nTCP: inuse 1 orphan 0 tw {time_wait} alloc 1 mem 3\n"),
        );
        let scraped = tree.scraper().scrape(NOW);
        let count = value(&scraped, "system.network.connection.count", &listening);
        assert_eq!(count, Some(expected), "{six} in use, {time_wait} waiting");
    }
}

#[test]
fn sockets_are_counted_every_thirty_seconds() {
    let tree = Tree::healthy();
    let mut scraper = tree.scraper();
    let udp = [("network.transport", "udp")];
    let mut at = |seconds: u64| {
        let scraped = scraper.scrape(UnixNanos(NOW.0 + seconds * SECOND));
        let point =
            point(&scraped, "system.network.connection.count", &udp).map(|point| (number(point), point.time_unix_nano));
        (point, scraped.failures.len())
    };
    assert_eq!(at(0), (Some((2.0, NOW.0)), 0));
    tree.write("proc/1/net/udp", sockets(&["07"]));
    assert_eq!(at(29), (Some((2.0, NOW.0)), 0), "the earlier reading, at its own time");
    assert_eq!(at(30), (Some((1.0, NOW.0 + 30 * SECOND)), 0));
    tree.remove("proc/1/net/udp");
    assert_eq!(at(60), (None, 1), "a reading that fails is not made up for by an old one");
    tree.write("proc/1/net/udp", sockets(&[]));
    assert_eq!(at(61), (Some((0.0, NOW.0 + 61 * SECOND)), 0));
    tree.write("proc/1/net/udp", sockets(&["07"]));
    assert_eq!(at(50), (Some((1.0, NOW.0 + 50 * SECOND)), 0), "the clock was set back");
}

/// Scenario: an old kernel, and a sandbox whose `/proc` has next to nothing.
#[test]
fn what_a_kernel_does_not_tell_is_absent() {
    let tree = Tree::healthy();
    tree.write("proc/stat", "cpu  10 0 5 100\ncpu0 10 0 5 100\nprocesses 5\n");
    tree.write("proc/meminfo", "MemTotal: 100 kB\nMemFree: 30 kB\n");
    tree.remove("proc/1/net/tcp6");
    tree.remove("sys/devices/system/cpu/cpu0/topology/core_cpus_list");
    let scraped = tree.scraper().scrape(NOW);
    assert!(scraped.failures.is_empty(), "{:?}", scraped.failures);
    assert_eq!(points(&scraped, "system.cpu.time").len(), 4);
    assert!(points(&scraped, "system.cpu.physical.count").is_empty());
    let states = points(&scraped, "system.memory.usage")
        .iter()
        .map(|point| (attributes(point)["system.memory.state"].clone(), number(point)));
    assert_eq!(states.collect::<Vec<_>>(), [("used".to_owned(), 70.0 * 1024.0), ("free".to_owned(), 30.0 * 1024.0)]);
    assert!(!names(&scraped).contains("system.memory.linux.available"));
    let start = points(&scraped, "system.cpu.time")[0].start_time_unix_nano;
    assert_eq!(start, NOW.0 - 1_000_250_000_000, "without btime the start is now less the uptime");
}

#[test]
fn nothing_to_read_is_no_request_and_one_failure_each() {
    let folder = tempfile::tempdir().unwrap();
    let scraped = scraper_of(folder.path()).scrape(NOW);
    assert!(scraped.metrics.resource_metrics.is_empty());
    let each = failed(&scraped).into_iter().collect::<BTreeSet<_>>();
    assert_eq!(each, ScraperKind::ALL.into_iter().collect());
}

#[test]
fn a_clock_before_boot_gives_no_start_after_the_end() {
    let tree = Tree::healthy();
    let scraped = tree.scraper().scrape(UnixNanos(5));
    for point in metrics(&scraped).iter().flat_map(|metric| points(&scraped, &metric.name)) {
        assert!(point.start_time_unix_nano <= point.time_unix_nano);
    }
}

#[test]
fn only_what_is_enabled_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Tree(folder);
    tree.write("proc/uptime", "5.0 1.0\n");
    let settings = HostSettings {
        root_path: tree.0.path().to_owned(),
        scrapers: vec![ScraperKind::System, ScraperKind::System],
        ..HostSettings::default()
    };
    let scraped = Scraper::new(&settings).scrape(NOW);
    assert!(scraped.failures.is_empty());
    let names = metrics(&scraped).iter().map(|metric| metric.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["system.uptime"], "once, though it is listed twice");
}

#[test]
fn scraper_names_are_those_of_the_configuration() {
    let built =
        config::Scraper::ALL.into_iter().filter_map(|scraper| Some((scraper, ScraperKind::from_config(scraper)?)));
    let built = built.collect::<Vec<_>>();
    for (scraper, kind) in &built {
        assert_eq!(serde_json::to_value(scraper).unwrap(), kind.name());
    }
    assert_eq!(built.into_iter().map(|(_, kind)| kind).collect::<Vec<_>>(), ScraperKind::ALL);
}

#[test]
fn the_configuration_is_obeyed() {
    let host = config::Host {
        root_path: PathBuf::from("/hostfs"),
        scope: config::HostScope::Container,
        scrapers: vec![config::Scraper::Gpu, config::Scraper::Load],
        ..config::Host::default()
    };
    let settings = HostSettings::from_config(&host, Resource::default(), true);
    assert_eq!(settings.root_path, Path::new("/hostfs"));
    assert_eq!(settings.scrapers, [ScraperKind::Load]);
    assert_eq!(Scraper::new(&settings).scope(), Scope::Container, "a scope that is set is not searched for");
    assert_eq!(HostSettings::from_config(&config::Host::default(), Resource::default(), true).scope, None);
}

#[test]
fn the_collectors_names_are_given_where_asked_for() {
    let tree = Tree::healthy();
    let root_path = tree.0.path().to_owned();
    let names = config::HostNames::Collector;
    let scraped = Scraper::new(&HostSettings { root_path, names, ..HostSettings::default() }).scrape(NOW);
    for (name, attributes, expected) in [
        ("system.cpu.time", &[("cpu", "cpu0"), ("state", "wait")][..], 0.2),
        ("system.memory.usage", &[("state", "buffered")], 10_240.0 * 1024.0),
        ("system.paging.usage", &[("device", "/dev/vda3"), ("state", "used")], 51_200.0 * 1024.0),
        ("system.paging.faults", &[("type", "minor")], 970.0),
        ("system.paging.operations", &[("type", "major"), ("direction", "page_out")], 22.0),
        ("system.disk.io", &[("device", "vda"), ("direction", "read")], 1_048_576.0),
        ("system.disk.io_time", &[("device", "vda")], 3.0),
        ("system.network.io", &[("device", "eth0"), ("direction", "receive")], 9000.0),
        ("system.network.packets", &[("device", "eth0"), ("direction", "transmit")], 40.0),
        ("system.network.dropped", &[("device", "eth0"), ("direction", "receive")], 2.0),
        ("system.network.connections", &[("protocol", "tcp"), ("state", "SYN_RECV")], 1.0),
        ("system.network.connections", &[("protocol", "tcp"), ("state", "TIME_WAIT")], 1.0),
        ("system.processes.count", &[("status", "zombies")], 1.0),
        ("system.processes.created", &[], 777.0),
    ] {
        assert_eq!(value(&scraped, name, attributes), Some(expected), "{name}{attributes:?}");
    }
    assert_eq!(points(&scraped, "system.network.connections").len(), 11, "TCP alone");
    let disk = [("device", "/dev/vda1"), ("mountpoint", "/"), ("type", "ext4"), ("mode", "rw")];
    assert!(value(&scraped, "system.filesystem.utilization", &disk).is_some());
    let convention_only = ["system.memory.linux.slab.usage"];
    for metric in metrics(&scraped).iter().filter(|metric| !convention_only.contains(&&*metric.name)) {
        for point in points(&scraped, &metric.name) {
            let dotted = attributes(point).into_keys().find(|key| key.contains('.'));
            assert_eq!(dotted, None, "{}", metric.name);
        }
    }
}

/// The files that a scrape of a mounted root reads.
const FILES: [&str; 18] = [
    "proc/stat",
    "proc/loadavg",
    "proc/meminfo",
    "proc/uptime",
    "proc/swaps",
    "proc/vmstat",
    "proc/diskstats",
    "proc/1/stat",
    "proc/cpuinfo",
    "proc/1/mounts",
    "proc/1/net/dev",
    "proc/1/net/tcp",
    "proc/1/net/tcp6",
    "proc/1/net/udp",
    "proc/1/net/udp6",
    "proc/1/net/sockstat",
    "proc/1/net/sockstat6",
    "sys/devices/system/cpu/cpu0/topology/core_cpus_list",
];

/// Bytes that are likely to get somewhere: words of the real files, numbers at their limits, and anything.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "cpu",
            "cpu0",
            "cpu1",
            "btime",
            "processes",
            "MemTotal:",
            "MemFree:",
            "MemAvailable:",
            "kB",
            "eth0:",
            "lo:",
            "/dev/sda",
            "/",
            "ext4",
            "rw,ro",
            "\\040",
            "\\777",
            "0A",
            "0C",
            "FF",
            "18446744073709551615",
            "-1",
            "1e308",
            "NaN",
            "é",
            ":",
        ])
        .prop_map(|word| word.as_bytes().to_vec()),
        any::<u64>().prop_map(|number| number.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    let separator = prop::sample::select(vec![b" ".to_vec(), b"\n".to_vec(), b"\t".to_vec(), Vec::new()]);
    prop::collection::vec((word, separator), 0..120)
        .prop_map(|parts| parts.into_iter().flat_map(|(word, separator)| [word, separator].concat()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Whatever stands in the files: no panic, the invariants of the points hold, and at most one failure a source.
    #[test]
    fn no_content_breaks_a_scrape(first in prop::collection::vec(content(), FILES.len()), second in prop::collection::vec(content(), FILES.len())) {
        let tree = Tree(tempfile::tempdir().unwrap());
        let mut scraper = tree.scraper();
        for (round, contents) in [first, second].into_iter().enumerate() {
            for (name, content) in FILES.into_iter().zip(contents) {
                tree.write(name, content);
            }
            let scraped = scraper.scrape(UnixNanos(NOW.0 + round as u64 * 10 * SECOND));
            prop_assert!(scraped.failures.len() <= 3 + ScraperKind::ALL.len());
            for metric in metrics(&scraped) {
                for point in points(&scraped, &metric.name) {
                    prop_assert!(point.start_time_unix_nano <= point.time_unix_nano);
                    prop_assert!(number(point).is_finite() && number(point) >= 0.0, "{} {:?}", metric.name, point);
                    if metric.name == "system.cpu.utilization" {
                        prop_assert!(number(point) <= 1.0);
                    }
                }
            }
        }
    }

    /// One file of garbage in a healthy tree fails at most that file's scraper.
    #[test]
    fn garbage_stays_where_it_is(file in 0..FILES.len(), content in content()) {
        let tree = Tree::healthy();
        let name = FILES[file];
        tree.write(name, content);
        let scraped = tree.scraper().scrape(NOW);
        let readers = if name == "proc/stat" { 2 } else { 1 };
        prop_assert!(scraped.failures.len() <= readers);
        for failure in &scraped.failures {
            prop_assert!(failure.error.to_string().contains(name), "{}", failure.error);
        }
    }
}

/// Seconds over all CPUs and modes but the guests', which are in `user` and `nice` already.
fn cpu_seconds_of_all() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    let columns = text.lines().next().unwrap().split_whitespace().skip(1).take(8);
    columns.map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// This machine, read by another library and by hand.
#[test]
fn the_real_machine_agrees_with_an_independent_reading() {
    let cpu_seconds_before = cpu_seconds_of_all();
    let mut scraper = scraper_of(Path::new("/"));
    let scraped = scraper.scrape(UnixNanos::now());
    let system = sysinfo::System::new_with_specifics(
        sysinfo::RefreshKind::nothing()
            .with_memory(sysinfo::MemoryRefreshKind::everything())
            .with_cpu(sysinfo::CpuRefreshKind::nothing()),
    )
    .unwrap();
    // whoever runs this may be kept out of a mount
    let unexpected = scraped.failures.iter().filter(|failure| failure.scraper != ScraperKind::Filesystem);
    assert_eq!(unexpected.count(), 0, "{:?}", scraped.failures);

    assert_eq!(value(&scraped, "system.memory.limit", &[]), Some(system.total_memory() as f64));
    let available = value(&scraped, "system.memory.linux.available", &[]).unwrap();
    let between_readings = system.total_memory() as f64 * 0.1;
    assert!((available - system.available_memory() as f64).abs() < between_readings, "{available}");
    assert_eq!(value(&scraped, "system.cpu.logical.count", &[]), Some(system.cpus().len() as f64));
    if let Ok(cores) = sysinfo::System::physical_core_count() {
        assert_eq!(value(&scraped, "system.cpu.physical.count", &[]), Some(cores as f64));
    }
    let uptime = value(&scraped, "system.uptime", &[]).unwrap();
    assert!((uptime - sysinfo::System::uptime().unwrap() as f64).abs() < 5.0, "{uptime}");
    let start = points(&scraped, "system.cpu.time")[0].start_time_unix_nano / SECOND;
    assert!(start.abs_diff(sysinfo::System::boot_time().unwrap()) < 5, "{start}");
    let load = value(&scraped, "system.cpu.load_average.15m", &[]).unwrap();
    assert!((load - sysinfo::System::load_average().unwrap().fifteen).abs() < 0.5, "{load}");

    let cpu_seconds = points(&scraped, "system.cpu.time").iter().map(number).sum::<f64>();
    let rounding = points(&scraped, "system.cpu.time").len() as f64 * 0.01;
    let allowed = cpu_seconds_before - rounding..=cpu_seconds_of_all() + rounding;
    assert!(allowed.contains(&cpu_seconds), "{cpu_seconds} s is not in {allowed:?}");

    let networks = sysinfo::Networks::new_with_refreshed_list().unwrap();
    for (interface, data) in &networks {
        let wanted = [("network.interface.name", interface.to_str().unwrap()), ("network.io.direction", "receive")];
        let received = value(&scraped, "system.network.io", &wanted).unwrap();
        assert!(received <= data.total_received() as f64, "{interface:?}: counted before {}", data.total_received());
    }
    let disks = sysinfo::Disks::new_with_refreshed_list().unwrap();
    for point in points(&scraped, "system.filesystem.limit") {
        let mountpoint = attributes(point)["system.filesystem.mountpoint"].clone();
        if let Some(disk) = disks.iter().find(|disk| disk.mount_point() == Path::new(&mountpoint)) {
            assert_eq!(number(point), disk.total_space() as f64, "{mountpoint}");
        }
    }
}
