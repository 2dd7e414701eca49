//! Series: what measures keep by label set, and the families they report.
//!
//! - [`table`]: series by their packed labels, with a budget, an overflow and expiry;
//! - [`distribution`], [`exponential`]: histograms with exact sums;
//! - [`family`]: the shape in which measures hand their series to the encoders.

pub mod distribution;
pub mod exponential;
pub mod family;
pub mod key;
pub mod table;

pub use distribution::{Bounds, Distribution};
pub use family::{
    Exemplar, Exponential, Family, Histogram, Identity, Kind, Label, LabelValue, Point, Scope, Summary, Value,
};
pub use key::{Key, Parts, parts};
pub use table::{Merge, Series, Stored, Table};

/// A hash of parts that never changes between processes or versions (XXH3), for identities and sampling.
pub fn stable_hash(parts: &[&[u8]]) -> u64 {
    let mut key = Key::default();
    for part in parts {
        key.push(part);
    }
    twox_hash::XxHash3_64::oneshot(key.as_bytes())
}

/// A hash of one text that never changes between processes or versions (XXH3).
pub fn text_hash(text: &[u8]) -> u64 {
    twox_hash::XxHash3_64::oneshot(text)
}
