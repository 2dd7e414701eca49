//! Service level objectives as they are written, and as they are meant.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::values::{Dur, Percent};

/// A service level objective, in a short form or as an OpenSLO document.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slo {
    /// Unique; also tells the subject where no other key does.
    pub name: String,
    /// The service whose requests count; left out: all.
    pub service: Option<String>,
    /// The model whose calls count; left out: all.
    pub model: Option<String>,
    /// The share that must be good.
    pub objective: Option<Percent>,
    /// What separates good from bad: `100ms`, or prose such as `43m downtime/month` or `95% accuracy`.
    pub threshold: Option<String>,
    /// The rolling window of the objective.
    pub window: Dur,
    /// An OpenSLO v1 document in place of the other keys.
    pub openslo: Option<PathBuf>,
}

impl Default for Slo {
    fn default() -> Self {
        Self {
            name: String::new(),
            service: None,
            model: None,
            objective: None,
            threshold: None,
            window: Dur::from_days(30),
            openslo: None,
        }
    }
}
