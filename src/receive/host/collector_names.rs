//! `names: collector`: the same numbers under the names that the OpenTelemetry Collector's host metrics receiver gives,
//! for dashboards and rules that were written for it.
//!
//! Invariant: with `names: semconv` nothing here runs; the scrapers know one set of names.
//!
//! What the Collector has no name for keeps its own. UDP sockets are left out (it counts TCP alone); the utilization of a
//! file system is its used part, without a state. Soft interrupts stay with `interrupt`.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, metric};

/// Renames what one scrape gave.
pub(super) fn rename(metrics: &mut [Metric]) {
    for metric in metrics {
        let points = match metric.data.as_mut() {
            Some(metric::Data::Gauge(gauge)) => &mut gauge.data_points,
            Some(metric::Data::Sum(sum)) => &mut sum.data_points,
            _ => continue,
        };
        match metric.name.as_str() {
            "system.network.connection.count" => points.retain(|point| has(point, "network.transport", "tcp")),
            "system.network.packet.count" => remove(points, "system.device"),
            "system.filesystem.utilization" => {
                points.retain(|point| has(point, "system.filesystem.state", "used"));
                remove(points, "system.filesystem.state");
            }
            _ => {}
        }
        for attribute in points.iter_mut().flat_map(|point| &mut point.attributes) {
            rename_value(attribute);
            if let Some(name) = key(&attribute.key) {
                name.clone_into(&mut attribute.key);
            }
        }
        if let Some(name) = family(&metric.name) {
            name.clone_into(&mut metric.name);
        }
    }
}

fn family(name: &str) -> Option<&'static str> {
    Some(match name {
        "system.network.packet.count" => "system.network.packets",
        "system.network.packet.dropped" => "system.network.dropped",
        "system.network.connection.count" => "system.network.connections",
        "system.process.count" => "system.processes.count",
        "system.process.created" => "system.processes.created",
        _ => return None,
    })
}

fn key(key: &str) -> Option<&'static str> {
    Some(match key {
        "cpu.logical_number" => "cpu",
        "cpu.mode"
        | "system.memory.state"
        | "system.paging.state"
        | "system.filesystem.state"
        | "network.connection.state" => "state",
        "system.device" | "network.interface.name" => "device",
        "disk.io.direction" | "network.io.direction" | "system.paging.direction" => "direction",
        "system.paging.fault.type" | "system.filesystem.type" => "type",
        "system.filesystem.mountpoint" => "mountpoint",
        "system.filesystem.mode" => "mode",
        "network.transport" => "protocol",
        "process.state" => "status",
        _ => return None,
    })
}

fn rename_value(attribute: &mut KeyValue) {
    let Some(value) = attribute.value.as_mut().and_then(|value| value.value.as_mut()) else { return };
    if let ("cpu.logical_number", any_value::Value::IntValue(number)) = (attribute.key.as_str(), &*value) {
        *value = any_value::Value::StringValue(format!("cpu{number}"));
        return;
    }
    let any_value::Value::StringValue(text) = value else { return };
    let renamed = match (attribute.key.as_str(), text.as_str()) {
        ("cpu.mode", "iowait") => "wait",
        ("system.memory.state", "buffers") => "buffered",
        ("process.state", "defunct") => "zombies",
        ("system.paging.direction", "in") => "page_in",
        ("system.paging.direction", "out") => "page_out",
        ("network.connection.state", "closed") => "CLOSE",
        ("network.connection.state", "syn_received") => "SYN_RECV",
        ("network.connection.state", _) => return text.make_ascii_uppercase(),
        _ => return,
    };
    renamed.clone_into(text);
}

fn has(point: &NumberDataPoint, key: &str, wanted: &str) -> bool {
    let value = point.attributes.iter().find(|attribute| attribute.key == key);
    let value = value.and_then(|attribute| attribute.value.as_ref()?.value.as_ref());
    matches!(value, Some(any_value::Value::StringValue(text)) if text == wanted)
}

fn remove(points: &mut [NumberDataPoint], key: &str) {
    for point in points {
        point.attributes.retain(|attribute| attribute.key != key);
    }
}
