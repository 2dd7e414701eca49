//! Quantities with their unit in the type.
//!
//! Inside, everything that is added up is an integer: nanoseconds and 10⁻¹² dollars. Addition is then associative, so a
//! replay or a merge of two states gives the same answer to the last digit. Floats appear only at the edge.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment: nanoseconds since 1970-01-01T00:00:00Z. Zero means "not given", as in OTLP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct UnixNanos(pub u64);

impl UnixNanos {
    /// The wall clock. Only the stages at the edge read it; the fold takes time from its records.
    pub fn now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX))
    }

    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(nanos(duration)))
    }

    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(duration)))
    }

    /// Time from `earlier` to `self`; zero where `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Seconds since the epoch, for the text formats.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1e9
    }
}

/// A duration in whole nanoseconds, saturating at 584 years.
pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Dollars in 10⁻¹² USD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct PicoUsd(pub i128);

impl PicoUsd {
    /// `None` for a value that is not finite or is beyond ±10¹² dollars.
    pub fn from_usd(usd: f64) -> Option<Self> {
        let plausible = usd.is_finite() && usd.abs() <= 1e12;
        plausible.then(|| Self((usd * 1e12).round() as i128))
    }

    pub fn as_usd(self) -> f64 {
        self.0 as f64 / 1e12
    }
}

impl std::ops::AddAssign for PicoUsd {
    fn add_assign(&mut self, other: Self) {
        self.0 = self.0.saturating_add(other.0);
    }
}
