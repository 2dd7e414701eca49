//! The process itself: its own telemetry and its limits.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::secrets::Url;
use super::values::{Dur, Size};

/// The sidecar's own telemetry.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    pub logs: Logs,
    pub traces: Traces,
}

/// The sidecar's own log, on standard error.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Logs {
    pub level: LogLevel,
    pub format: LogFormat,
}

/// The least severe record that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Off,
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The name that `tracing` filters use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// The sidecar's own spans.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// An OTLP/gRPC endpoint such as `http://collector:4317`, never one of the sidecar's own; `null`: no spans are made.
    pub endpoint: Option<Url>,
}

/// Bounds on what the process uses.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// What the process may hold. `auto`: 80 % of the cgroup's limit, else 256MiB. Ring, bodies, series, users and models
    /// each get a share of it.
    pub memory: Memory,
    /// Attribute sets over all measures; further ones fold into the overflow series.
    pub series: usize,
    /// A series without an update for so long is dropped.
    pub series_expiry: Dur,
    /// Longest time for one request to arrive.
    pub request_time: Dur,
    /// Open connections, over all listeners.
    pub connections: usize,
    /// Body bytes not yet journaled, charged as they arrive; at the limit others are refused with a retry hint.
    pub in_flight: Size,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: Memory::Auto,
            series: 20_000,
            series_expiry: Dur::from_hours(1),
            request_time: Dur::from_secs(10),
            connections: 1024,
            in_flight: Size::mib(16),
        }
    }
}

/// `auto`, or a size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Memory {
    #[default]
    Auto,
    Bytes(Size),
}

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MemoryVisitor;

        impl Visitor<'_> for MemoryVisitor {
            type Value = Memory;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("auto or a size like 256MiB")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Memory, E> {
                if text == "auto" {
                    return Ok(Memory::Auto);
                }
                let not_a_size =
                    |_| E::custom(format!("`{}` is neither auto nor a size like 256MiB", super::values::shown(text)));
                Size::parse(text).map(Memory::Bytes).map_err(not_a_size)
            }

            fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Memory, E> {
                Ok(Memory::Bytes(Size(bytes)))
            }
        }

        deserializer.deserialize_any(MemoryVisitor)
    }
}

impl Serialize for Memory {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::Bytes(size) => size.serialize(serializer),
        }
    }
}

impl JsonSchema for Memory {
    fn schema_name() -> Cow<'static, str> {
        "Memory".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let size = generator.subschema_for::<Size>();
        json_schema!({"description": "`auto`, or a size.", "anyOf": [{"const": "auto"}, size]})
    }
}
