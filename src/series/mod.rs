//! Metric families and the tables they come from.
//!
//! - [`family`]: the shape in which measures hand their series to the encoders.

pub mod family;

pub use family::{Exemplar, Exponential, Family, Histogram, Identity, Kind, Label, LabelValue, Point, Value};
