//! The sidecar's own process, as the semantic conventions name it.

use std::time::Duration;

use procfs::process::Process;

use crate::series::{Family, Kind, Label, Point, Value};
use crate::units::UnixNanos;

const SCOPE: &str = "qiyas/self";

/// CPU time, memory, threads and files of this process; empty where `/proc` cannot be read.
pub fn families(started: UnixNanos, now: UnixNanos) -> Vec<Family> {
    let Ok(process) = Process::myself() else { return Vec::new() };
    let Ok(stat) = process.stat() else { return Vec::new() };
    let ticks = procfs::ticks_per_second().max(1) as f64;
    let seconds = |count: u64| Value::Float(count as f64 / ticks);
    let count = |count: u64| Value::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let family = |name: &'static str, description: &'static str, unit: &'static str, kind: Kind| {
        move |points: Vec<(Vec<Label>, Value)>| Family {
            name: name.into(),
            description: description.into(),
            unit: unit.into(),
            kind,
            scope: SCOPE.into(),
            points: points
                .into_iter()
                .map(|(labels, value)| Point {
                    identity: None,
                    labels,
                    start: if kind == Kind::Gauge { UnixNanos(0) } else { started },
                    time: now,
                    value,
                    exemplars: Vec::new(),
                })
                .collect(),
        }
    };
    let mode = |mode: &'static str| vec![Label::text("cpu.mode", mode)];
    let uptime = now.since(started).max(Duration::ZERO);
    let mut families = vec![
        family("process.cpu.time", "CPU time of the sidecar.", "s", Kind::Counter)(vec![
            (mode("user"), seconds(stat.utime)),
            (mode("system"), seconds(stat.stime)),
        ]),
        family("process.memory.usage", "Resident memory of the sidecar.", "By", Kind::UpDownCounter)(vec![(
            Vec::new(),
            count(stat.rss * procfs::page_size()),
        )]),
        family("process.memory.virtual", "Virtual memory of the sidecar.", "By", Kind::UpDownCounter)(vec![(
            Vec::new(),
            count(stat.vsize),
        )]),
        family("process.thread.count", "Threads of the sidecar.", "{thread}", Kind::UpDownCounter)(vec![(
            Vec::new(),
            Value::Int(stat.num_threads),
        )]),
        family("process.uptime", "Time since the sidecar started.", "s", Kind::Gauge)(vec![(
            Vec::new(),
            Value::Float(uptime.as_secs_f64()),
        )]),
    ];
    if let Ok(files) = process.fd_count() {
        families.push(family(
            "process.unix.file_descriptor.count",
            "Open file descriptors of the sidecar.",
            "{file_descriptor}",
            Kind::UpDownCounter,
        )(vec![(Vec::new(), count(files as u64))]));
    }
    families
}
