//! Views over metrics and their five kinds of data.

use super::super::wire::Value;
use super::{
    Attributes, ExponentialHistogramPoint, Fields, HistogramPoint, NumberPoint, Read, Repeated, ResourceItems,
    ScopeItems, SummaryPoint,
};

pub type ResourceMetrics<'a> = ResourceItems<'a, Metric<'a>>;
pub type ScopeMetrics<'a> = ScopeItems<'a, Metric<'a>>;

/// The resources of an `ExportMetricsServiceRequest` (or `MetricsData`).
pub fn metrics(request: &[u8]) -> Repeated<'_, ResourceMetrics<'_>> {
    Repeated::new(request, 1)
}

/// What a point's value covers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Temporality {
    #[default]
    Unspecified,
    Delta,
    Cumulative,
    /// A value that opentelemetry-proto does not know.
    Other(i32),
}

impl Temporality {
    fn from_wire(value: u64) -> Self {
        match value as i32 {
            0 => Temporality::Unspecified,
            1 => Temporality::Delta,
            2 => Temporality::Cumulative,
            other => Temporality::Other(other),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Metric<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub name: &'a [u8],
    pub description: &'a [u8],
    pub unit: &'a [u8],
    pub data: Data<'a>,
}

#[derive(Clone, Copy, Debug, Default)]
pub enum Data<'a> {
    #[default]
    None,
    Gauge(Gauge<'a>),
    Sum(Sum<'a>),
    Histogram(Histogram<'a>),
    ExponentialHistogram(ExponentialHistogram<'a>),
    Summary(Summary<'a>),
}

impl<'a> Read<'a> for Metric<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            let Value::Bytes(bytes) = value else { continue };
            match number {
                1 => read.name = bytes,
                2 => read.description = bytes,
                3 => read.unit = bytes,
                5 => read.data = Data::Gauge(Gauge { body: bytes }),
                7 => read.data = Data::Sum(Sum::read(bytes)),
                9 => read.data = Data::Histogram(Histogram::read(bytes)),
                10 => read.data = Data::ExponentialHistogram(ExponentialHistogram::read(bytes)),
                11 => read.data = Data::Summary(Summary { body: bytes }),
                _ => {}
            }
        }
        read
    }
}

impl<'a> Metric<'a> {
    pub fn metadata(&self) -> Attributes<'a> {
        Attributes::new(self.body, 12)
    }

    /// How many data points it has.
    pub fn point_count(&self) -> usize {
        let data = match self.data {
            Data::None => return 0,
            Data::Gauge(gauge) => gauge.body,
            Data::Sum(sum) => sum.body,
            Data::Histogram(histogram) => histogram.body,
            Data::ExponentialHistogram(histogram) => histogram.body,
            Data::Summary(summary) => summary.body,
        };
        Repeated::<&[u8]>::new(data, 1).count()
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Gauge<'a> {
    /// The encoded message.
    pub body: &'a [u8],
}

impl<'a> Gauge<'a> {
    pub fn points(&self) -> Repeated<'a, NumberPoint<'a>> {
        Repeated::new(self.body, 1)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Sum<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub temporality: Temporality,
    pub is_monotonic: bool,
}

impl<'a> Read<'a> for Sum<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (2, Value::Varint(value)) => read.temporality = Temporality::from_wire(value),
                (3, Value::Varint(flag)) => read.is_monotonic = flag != 0,
                _ => {}
            }
        }
        read
    }
}

impl<'a> Sum<'a> {
    pub fn points(&self) -> Repeated<'a, NumberPoint<'a>> {
        Repeated::new(self.body, 1)
    }
}

/// The temporality (2) of a histogram of either kind.
fn temporality(message: &[u8]) -> Temporality {
    let found = Fields::new(message).filter_map(|field| match field {
        (2, Value::Varint(value)) => Some(Temporality::from_wire(value)),
        _ => None,
    });
    found.last().unwrap_or_default()
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Histogram<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub temporality: Temporality,
}

impl<'a> Read<'a> for Histogram<'a> {
    fn read(message: &'a [u8]) -> Self {
        Self { body: message, temporality: temporality(message) }
    }
}

impl<'a> Histogram<'a> {
    pub fn points(&self) -> Repeated<'a, HistogramPoint<'a>> {
        Repeated::new(self.body, 1)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialHistogram<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub temporality: Temporality,
}

impl<'a> Read<'a> for ExponentialHistogram<'a> {
    fn read(message: &'a [u8]) -> Self {
        Self { body: message, temporality: temporality(message) }
    }
}

impl<'a> ExponentialHistogram<'a> {
    pub fn points(&self) -> Repeated<'a, ExponentialHistogramPoint<'a>> {
        Repeated::new(self.body, 1)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Summary<'a> {
    /// The encoded message.
    pub body: &'a [u8],
}

impl<'a> Summary<'a> {
    pub fn points(&self) -> Repeated<'a, SummaryPoint<'a>> {
        Repeated::new(self.body, 1)
    }
}
