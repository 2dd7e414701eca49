//! Views over data points and exemplars.

use super::super::wire::Value;
use super::{Attributes, Doubles, Fields, Fixed64s, Read, Repeated, Varints};

/// The value of a number point or an exemplar.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    Double(f64),
}

impl Number {
    /// Exact for integers up to 2⁵³, rounded beyond.
    pub fn as_f64(self) -> f64 {
        match self {
            Number::Int(int) => int as f64,
            Number::Double(double) => double,
        }
    }
}

/// The flag of a point that says: the series has no value now.
const NO_RECORDED_VALUE: u32 = 1;

#[derive(Clone, Copy, Debug, Default)]
pub struct NumberPoint<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub start_time_unix_nano: u64,
    pub time_unix_nano: u64,
    pub value: Option<Number>,
    pub flags: u32,
}

impl<'a> Read<'a> for NumberPoint<'a> {
    #[inline]
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (2, Value::Fixed64(time)) => read.start_time_unix_nano = time,
                (3, Value::Fixed64(time)) => read.time_unix_nano = time,
                (4, Value::Fixed64(bits)) => read.value = Some(Number::Double(f64::from_bits(bits))),
                (6, Value::Fixed64(bits)) => read.value = Some(Number::Int(bits as i64)),
                (8, Value::Varint(flags)) => read.flags = flags as u32,
                _ => {}
            }
        }
        read
    }
}

impl<'a> NumberPoint<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body, 7)
    }

    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.body, 5)
    }

    pub fn no_recorded_value(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct HistogramPoint<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub start_time_unix_nano: u64,
    pub time_unix_nano: u64,
    pub count: u64,
    pub sum: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub flags: u32,
}

impl<'a> Read<'a> for HistogramPoint<'a> {
    #[inline]
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (2, Value::Fixed64(time)) => read.start_time_unix_nano = time,
                (3, Value::Fixed64(time)) => read.time_unix_nano = time,
                (4, Value::Fixed64(count)) => read.count = count,
                (5, Value::Fixed64(bits)) => read.sum = Some(f64::from_bits(bits)),
                (10, Value::Varint(flags)) => read.flags = flags as u32,
                (11, Value::Fixed64(bits)) => read.min = Some(f64::from_bits(bits)),
                (12, Value::Fixed64(bits)) => read.max = Some(f64::from_bits(bits)),
                _ => {}
            }
        }
        read
    }
}

impl<'a> HistogramPoint<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body, 9)
    }

    pub fn bucket_counts(&self) -> Fixed64s<'a> {
        Fixed64s::new(self.body, 6)
    }

    pub fn explicit_bounds(&self) -> Doubles<'a> {
        Doubles::new(self.body, 7)
    }

    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.body, 8)
    }

    pub fn no_recorded_value(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct ExponentialHistogramPoint<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub start_time_unix_nano: u64,
    pub time_unix_nano: u64,
    pub count: u64,
    pub sum: Option<f64>,
    pub min: Option<f64>,
    pub max: Option<f64>,
    pub scale: i32,
    pub zero_count: u64,
    pub zero_threshold: f64,
    pub positive: Option<Buckets<'a>>,
    pub negative: Option<Buckets<'a>>,
    pub flags: u32,
}

impl<'a> Read<'a> for ExponentialHistogramPoint<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (2, Value::Fixed64(time)) => read.start_time_unix_nano = time,
                (3, Value::Fixed64(time)) => read.time_unix_nano = time,
                (4, Value::Fixed64(count)) => read.count = count,
                (5, Value::Fixed64(bits)) => read.sum = Some(f64::from_bits(bits)),
                (6, Value::Varint(scale)) => read.scale = zigzag(scale),
                (7, Value::Fixed64(count)) => read.zero_count = count,
                (8, Value::Bytes(buckets)) => read.positive = Some(Buckets::read(buckets)),
                (9, Value::Bytes(buckets)) => read.negative = Some(Buckets::read(buckets)),
                (10, Value::Varint(flags)) => read.flags = flags as u32,
                (12, Value::Fixed64(bits)) => read.min = Some(f64::from_bits(bits)),
                (13, Value::Fixed64(bits)) => read.max = Some(f64::from_bits(bits)),
                (14, Value::Fixed64(bits)) => read.zero_threshold = f64::from_bits(bits),
                _ => {}
            }
        }
        read
    }
}

impl<'a> ExponentialHistogramPoint<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body, 1)
    }

    pub fn exemplars(&self) -> Repeated<'a, Exemplar<'a>> {
        Repeated::new(self.body, 11)
    }

    pub fn no_recorded_value(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

/// A `sint32`.
pub(in crate::otlp) fn zigzag(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1) as i32 ^ -((value & 1) as i32)
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Buckets<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub offset: i32,
}

impl<'a> Read<'a> for Buckets<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, offset: 0 };
        for field in Fields::new(message) {
            if let (1, Value::Varint(offset)) = field {
                read.offset = zigzag(offset);
            }
        }
        read
    }
}

impl<'a> Buckets<'a> {
    pub fn bucket_counts(&self) -> Varints<'a> {
        Varints::new(self.body, 2)
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct SummaryPoint<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub start_time_unix_nano: u64,
    pub time_unix_nano: u64,
    pub count: u64,
    pub sum: f64,
    pub flags: u32,
}

impl<'a> Read<'a> for SummaryPoint<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (2, Value::Fixed64(time)) => read.start_time_unix_nano = time,
                (3, Value::Fixed64(time)) => read.time_unix_nano = time,
                (4, Value::Fixed64(count)) => read.count = count,
                (5, Value::Fixed64(bits)) => read.sum = f64::from_bits(bits),
                (8, Value::Varint(flags)) => read.flags = flags as u32,
                _ => {}
            }
        }
        read
    }
}

impl<'a> SummaryPoint<'a> {
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body, 7)
    }

    pub fn quantiles(&self) -> Repeated<'a, ValueAtQuantile> {
        Repeated::new(self.body, 6)
    }

    pub fn no_recorded_value(&self) -> bool {
        self.flags & NO_RECORDED_VALUE != 0
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ValueAtQuantile {
    pub quantile: f64,
    pub value: f64,
}

impl<'a> Read<'a> for ValueAtQuantile {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self::default();
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (1, Value::Fixed64(bits)) => read.quantile = f64::from_bits(bits),
                (2, Value::Fixed64(bits)) => read.value = f64::from_bits(bits),
                _ => {}
            }
        }
        read
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Exemplar<'a> {
    /// The encoded message.
    pub body: &'a [u8],
    pub time_unix_nano: u64,
    pub value: Option<Number>,
    pub span_id: &'a [u8],
    pub trace_id: &'a [u8],
}

impl<'a> Read<'a> for Exemplar<'a> {
    fn read(message: &'a [u8]) -> Self {
        let mut read = Self { body: message, ..Self::default() };
        for (number, value) in Fields::new(message) {
            match (number, value) {
                (2, Value::Fixed64(time)) => read.time_unix_nano = time,
                (3, Value::Fixed64(bits)) => read.value = Some(Number::Double(f64::from_bits(bits))),
                (4, Value::Bytes(id)) => read.span_id = id,
                (5, Value::Bytes(id)) => read.trace_id = id,
                (6, Value::Fixed64(bits)) => read.value = Some(Number::Int(bits as i64)),
                _ => {}
            }
        }
        read
    }
}

impl<'a> Exemplar<'a> {
    pub fn filtered_attributes(&self) -> Attributes<'a> {
        Attributes::new(self.body, 7)
    }
}
