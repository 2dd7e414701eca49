//! Where records and state are kept.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::secrets::Url;
use super::values::{Dur, Size};

/// The journal: accepted batches, until every reader has passed them.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Journal {
    /// A folder for segment files; `null` keeps the journal in memory, where a crash loses it.
    pub path: Option<PathBuf>,
    /// Bytes of records held in memory.
    pub memory: Size,
    /// Bytes of segment files.
    pub disk: Size,
    /// When segment files are flushed to the device. `never` and `interval` survive the process's death; power loss
    /// needs `always`.
    pub fsync: Fsync,
}

impl Default for Journal {
    fn default() -> Self {
        Self { path: None, memory: Size::mib(24), disk: Size::mib(1024), fsync: Fsync::Interval }
    }
}

/// When segment files are flushed to the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Fsync {
    Never,
    #[default]
    Interval,
    Always,
}

/// The derived state between restarts.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct State {
    /// A folder for snapshots; `null`: the folder `state` inside `journal.path`, if that is set.
    pub path: Option<PathBuf>,
    /// Longest time between two snapshots.
    pub snapshot_interval: Dur,
    /// A Redis-protocol cluster that many sidecars share, such as `redis://127.0.0.1:6379`.
    pub redis: Option<Url>,
}

impl Default for State {
    fn default() -> Self {
        Self { path: None, snapshot_interval: Dur::from_secs(10), redis: None }
    }
}
