//! Derived metrics as OTLP export requests.
//!
//! - Every point stands under the resource it is about: an observed app's by its identity, all others under the
//!   sidecar's own.
//! - Sums and histograms are cumulative and carry their start time.
//! - No request is larger than the limit, unless a single point is.
//!
//! Points are gathered by resource and scope first, then written into requests in that order; a request that is full is
//! closed, and the next one opens the same resource, scope and metric again. Sizes are counted as an upper bound while
//! points are added, with each length prefix at its longest, so nothing is encoded twice. This runs once a minute off
//! the hot path, so it builds the message structs and lets prost encode them.

use std::collections::BTreeMap;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar as OtlpExemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge,
    Histogram as OtlpHistogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    exemplar, exponential_histogram_data_point::Buckets, metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;

use crate::config;
use crate::series::{Exemplar, Exponential, Family, Histogram, Identity, Kind, Label, LabelValue, Point, Scope, Value};
use crate::units::UnixNanos;

/// How families become requests.
#[derive(Clone, Copy, Debug)]
pub struct Encoding<'a> {
    /// The sidecar's own resource.
    pub own_resource: &'a [Label],
    /// The form of histograms that have both.
    pub histogram: config::Histogram,
    /// Largest request.
    pub max_bytes: usize,
}

/// One export request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// An encoded `ExportMetricsServiceRequest`.
    pub body: Bytes,
    /// Data points in it.
    pub points: u64,
}

/// All requests, and what could not be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    pub requests: Vec<Request>,
    /// Points whose value does not fit their family's kind.
    pub left_out: u64,
}

/// Encodes families; resources and scopes in a fixed order, the sidecar's own first.
pub fn encode(families: &[Family], encoding: Encoding<'_>) -> Encoded {
    let mut writer = Writer { encoding, encoded: Encoded::default(), open: Open::default() };
    for (resource, scopes) in gather(families) {
        let attributes = resource
            .identity
            .map_or_else(|| encoding.own_resource.iter().map(attribute).collect(), resource_attributes);
        for (scope, metrics) in scopes {
            for (family, points) in metrics {
                writer.family(&attributes, scope, family, &points);
            }
        }
        writer.end_resource();
    }
    writer.flush();
    writer.encoded
}

/// Points by resource, scope and family.
type Gathered<'a> = Vec<(Newest<'a>, BTreeMap<&'a Scope, Metrics<'a>>)>;
type Metrics<'a> = Vec<(&'a Family, Vec<&'a Point>)>;

/// A resource by the newest of its points.
#[derive(Clone, Copy, Default)]
struct Newest<'a> {
    time: UnixNanos,
    identity: Option<&'a Identity>,
}

fn gather(families: &[Family]) -> Gathered<'_> {
    type Key<'a> = Option<(&'a str, &'a str, &'a str)>;
    let mut resources: BTreeMap<Key<'_>, (Newest<'_>, BTreeMap<&Scope, Metrics<'_>>)> = BTreeMap::new();
    for family in families {
        for point in &family.points {
            let identity = point.identity.as_deref();
            let key = identity.map(|of| (of.namespace.as_ref(), of.name.as_ref(), of.instance.as_ref()));
            let (newest, scopes) = resources.entry(key).or_default();
            if newest.identity.is_none() || point.time >= newest.time {
                *newest = Newest { time: point.time, identity };
            }
            let metrics = scopes.entry(&family.scope).or_default();
            match metrics.last_mut() {
                Some((last, points)) if std::ptr::eq(*last, family) => points.push(point),
                _ => metrics.push((family, vec![point])),
            }
        }
    }
    resources.into_values().collect()
}

/// Longest tag and length of a nested message: these fields' numbers are all under 16.
const PREFIX: usize = 1 + 5;

struct Writer<'a> {
    encoding: Encoding<'a>,
    encoded: Encoded,
    open: Open,
}

/// The request under construction.
#[derive(Default)]
struct Open {
    request: ExportMetricsServiceRequest,
    /// At least as many bytes as `request` takes.
    len: usize,
    points: u64,
    /// Whether the last resource of `request` is the one being written.
    resource: bool,
}

impl Writer<'_> {
    fn family(&mut self, attributes: &[KeyValue], scope: &Scope, family: &Family, points: &[&Point]) {
        // A family may mix histograms with and without the exponential form: then it is two metrics of one name.
        let preferred = self.encoding.histogram;
        for form in [Form::Number, Form::Explicit, Form::Exponential] {
            let mut metric: Option<Metric> = None;
            for point in points.iter().filter(|point| form == Form::of(point, preferred)) {
                let Some(data_point) = data_point(family.kind, point, form) else {
                    self.encoded.left_out += 1;
                    continue;
                };
                self.add(attributes, scope, family, &mut metric, data_point);
            }
            if let Some(metric) = metric {
                self.open.close_metric(metric);
            }
        }
    }

    fn add(
        &mut self,
        attributes: &[KeyValue],
        scope: &Scope,
        family: &Family,
        metric: &mut Option<Metric>,
        point: DataPoint,
    ) {
        let point_len = point.len() + PREFIX;
        let opening = self.open.opening_len(attributes, scope, metric.as_ref(), family);
        if self.open.points > 0 && self.open.len + opening + point_len > self.encoding.max_bytes {
            if let Some(full) = metric.take() {
                self.open.close_metric(full);
            }
            self.flush();
        }
        self.open.len += self.open.opening_len(attributes, scope, metric.as_ref(), family) + point_len;
        self.open.open(attributes, scope);
        self.open.points += 1;
        point.push_to(metric.get_or_insert_with(|| header(family)), family.kind);
    }

    fn end_resource(&mut self) {
        self.open.resource = false;
    }

    fn flush(&mut self) {
        let Open { request, points, .. } = std::mem::take(&mut self.open);
        if points > 0 {
            self.encoded.requests.push(Request { body: request.encode_to_vec().into(), points });
        }
    }
}

impl Open {
    /// What a point costs beside itself: the resource, scope and metric that are not open yet.
    fn opening_len(&self, attributes: &[KeyValue], scope: &Scope, metric: Option<&Metric>, family: &Family) -> usize {
        let mut len = 0;
        if !self.resource {
            let resource: usize = attributes.iter().map(|attribute| attribute.encoded_len() + PREFIX).sum();
            len += PREFIX + PREFIX + resource;
        }
        if !self.has_scope(scope) {
            len += PREFIX + PREFIX + PREFIX + scope.name.len() + PREFIX + scope.version.len();
        }
        if metric.is_none() {
            // The metric, its data, and the temporality and monotony in it.
            len += header(family).encoded_len() + PREFIX + PREFIX + 4;
        }
        len
    }

    fn has_scope(&self, scope: &Scope) -> bool {
        let last = self.request.resource_metrics.last().filter(|_| self.resource);
        let open = last.and_then(|resource| resource.scope_metrics.last()).and_then(|metrics| metrics.scope.as_ref());
        open.is_some_and(|open| open.name == scope.name && open.version == scope.version)
    }

    fn open(&mut self, attributes: &[KeyValue], scope: &Scope) {
        if !self.resource {
            let resource = Resource { attributes: attributes.to_vec(), ..Resource::default() };
            self.request
                .resource_metrics
                .push(ResourceMetrics { resource: Some(resource), ..ResourceMetrics::default() });
            self.resource = true;
        }
        if !self.has_scope(scope) {
            let scope = InstrumentationScope {
                name: scope.name.clone().into_owned(),
                version: scope.version.clone().into_owned(),
                ..InstrumentationScope::default()
            };
            if let Some(resource) = self.request.resource_metrics.last_mut() {
                resource.scope_metrics.push(ScopeMetrics { scope: Some(scope), ..ScopeMetrics::default() });
            }
        }
    }

    fn close_metric(&mut self, metric: Metric) {
        let resource = self.request.resource_metrics.last_mut();
        if let Some(scope) = resource.and_then(|resource| resource.scope_metrics.last_mut()) {
            scope.metrics.push(metric);
        }
    }
}

/// Which of OTLP's points a value becomes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Number,
    Explicit,
    Exponential,
}

impl Form {
    fn of(point: &Point, preferred: config::Histogram) -> Self {
        match &point.value {
            Value::Int(_) | Value::Float(_) | Value::Summary(_) => Self::Number,
            Value::Histogram(histogram) => match (preferred, &histogram.exponential) {
                (config::Histogram::Exponential, Some(_)) => Self::Exponential,
                _ => Self::Explicit,
            },
        }
    }
}

enum DataPoint {
    Number(NumberDataPoint),
    Explicit(HistogramDataPoint),
    Exponential(ExponentialHistogramDataPoint),
}

impl DataPoint {
    fn len(&self) -> usize {
        match self {
            Self::Number(point) => point.encoded_len(),
            Self::Explicit(point) => point.encoded_len(),
            Self::Exponential(point) => point.encoded_len(),
        }
    }

    fn push_to(self, metric: &mut Metric, kind: Kind) {
        let cumulative = AggregationTemporality::Cumulative.into();
        let data = metric.data.get_or_insert_with(|| match (&self, kind) {
            (Self::Number(_), Kind::Counter | Kind::UpDownCounter) => Data::Sum(Sum {
                aggregation_temporality: cumulative,
                is_monotonic: kind == Kind::Counter,
                ..Sum::default()
            }),
            (Self::Number(_), _) => Data::Gauge(Gauge::default()),
            (Self::Explicit(_), _) => {
                Data::Histogram(OtlpHistogram { aggregation_temporality: cumulative, ..OtlpHistogram::default() })
            }
            (Self::Exponential(_), _) => Data::ExponentialHistogram(ExponentialHistogram {
                aggregation_temporality: cumulative,
                ..ExponentialHistogram::default()
            }),
        });
        match (data, self) {
            (Data::Sum(sum), Self::Number(point)) => sum.data_points.push(point),
            (Data::Gauge(gauge), Self::Number(point)) => gauge.data_points.push(point),
            (Data::Histogram(histogram), Self::Explicit(point)) => histogram.data_points.push(point),
            (Data::ExponentialHistogram(histogram), Self::Exponential(point)) => histogram.data_points.push(point),
            // A metric takes the points of one form only: `Writer::family` goes form by form.
            _ => {}
        }
    }
}

fn header(family: &Family) -> Metric {
    Metric {
        name: family.name.clone().into_owned(),
        description: family.description.clone().into_owned(),
        unit: family.unit.clone().into_owned(),
        ..Metric::default()
    }
}

fn data_point(kind: Kind, point: &Point, form: Form) -> Option<DataPoint> {
    let attributes: Vec<KeyValue> = point.labels.iter().map(attribute).collect();
    let exemplars: Vec<OtlpExemplar> = point.exemplars.iter().map(otlp_exemplar).collect();
    let (start_time_unix_nano, time_unix_nano) = (point.start.0, point.time.0);
    match (&point.value, kind) {
        (Value::Histogram(histogram), Kind::Histogram) => match (form, &histogram.exponential) {
            (Form::Exponential, Some(exponential)) => Some(DataPoint::Exponential(ExponentialHistogramDataPoint {
                attributes,
                exemplars,
                start_time_unix_nano,
                time_unix_nano,
                ..exponential_point(histogram, exponential)
            })),
            _ => Some(DataPoint::Explicit(HistogramDataPoint {
                attributes,
                exemplars,
                start_time_unix_nano,
                time_unix_nano,
                ..explicit_point(histogram)
            })),
        },
        // Nothing derived is a summary, and received ones are forwarded as they came.
        (Value::Summary(_), _) | (_, Kind::Summary) => None,
        (Value::Histogram(_), _) | (_, Kind::Histogram) => None,
        (Value::Int(_) | Value::Float(_), _) => Some(DataPoint::Number(NumberDataPoint {
            attributes,
            exemplars,
            start_time_unix_nano,
            time_unix_nano,
            value: number(&point.value),
            flags: 0,
        })),
    }
}

fn number(value: &Value) -> Option<number_data_point::Value> {
    match value {
        Value::Int(value) => Some(number_data_point::Value::AsInt(*value)),
        Value::Float(value) => Some(number_data_point::Value::AsDouble(*value)),
        Value::Histogram(_) | Value::Summary(_) => None,
    }
}

fn explicit_point(histogram: &Histogram) -> HistogramDataPoint {
    HistogramDataPoint {
        count: histogram.count,
        sum: Some(histogram.sum).filter(|sum| !sum.is_nan()),
        min: histogram.min,
        max: histogram.max,
        bucket_counts: histogram.buckets.clone(),
        explicit_bounds: histogram.bounds.to_vec(),
        ..HistogramDataPoint::default()
    }
}

fn exponential_point(histogram: &Histogram, exponential: &Exponential) -> ExponentialHistogramDataPoint {
    ExponentialHistogramDataPoint {
        count: histogram.count,
        sum: Some(histogram.sum).filter(|sum| !sum.is_nan()),
        min: histogram.min,
        max: histogram.max,
        scale: exponential.scale.into(),
        zero_count: exponential.zero_count,
        zero_threshold: exponential.zero_threshold,
        positive: buckets(exponential.offset, &exponential.buckets),
        negative: buckets(exponential.negative_offset, &exponential.negative_buckets)
            .filter(|negative| !negative.bucket_counts.is_empty()),
        ..ExponentialHistogramDataPoint::default()
    }
}

fn buckets(offset: i32, counts: &[u64]) -> Option<Buckets> {
    Some(Buckets { offset, bucket_counts: counts.to_vec() })
}

fn otlp_exemplar(exemplar: &Exemplar) -> OtlpExemplar {
    let or_none = |id: &[u8]| if id.iter().all(|byte| *byte == 0) { Vec::new() } else { id.to_vec() };
    OtlpExemplar {
        time_unix_nano: exemplar.time.0,
        span_id: or_none(&exemplar.span_id),
        trace_id: or_none(&exemplar.trace_id),
        value: Some(exemplar::Value::AsDouble(exemplar.value)),
        ..OtlpExemplar::default()
    }
}

/// The app's own `service.*` attributes, then the others as sent.
fn resource_attributes(identity: &Identity) -> Vec<KeyValue> {
    let service = [
        ("service.namespace", &identity.namespace),
        ("service.name", &identity.name),
        ("service.instance.id", &identity.instance),
    ];
    let present = service.into_iter().filter(|(_, value)| !value.is_empty());
    let mut attributes: Vec<KeyValue> =
        present.map(|(key, value)| attribute(&Label::text(key, value.clone()))).collect();
    let others = identity.attributes.iter().filter(|other| service.iter().all(|(key, _)| other.key != *key));
    attributes.extend(others.map(attribute));
    attributes
}

fn attribute(label: &Label) -> KeyValue {
    let value = match &label.value {
        LabelValue::Text(text) => any_value::Value::StringValue(text.to_string()),
        LabelValue::Int(value) => any_value::Value::IntValue(*value),
        LabelValue::Bool(value) => any_value::Value::BoolValue(*value),
        LabelValue::Double(value) => any_value::Value::DoubleValue(*value),
    };
    KeyValue {
        key: label.key.clone().into_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

#[cfg(test)]
#[path = "otlp_tests.rs"]
mod tests;
