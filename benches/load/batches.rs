//! Requests encoded beforehand, which are given new ids each time they are sent.
//!
//! Half of the spans are HTTP requests, and each has an AI call as its child: two spans a trace. Ids have to be new because
//! a span that comes twice is, rightly, not measured twice.

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use qiyas::otlp::{self, Signal, visit};

use crate::spans;

/// Different requests; with 512 spans each they name 10,000 users.
const TEMPLATES: usize = 20;
/// gRPC's flag and length before a message.
pub const FRAME_BYTES: usize = 5;

/// Where a request's ids stand.
struct Ids {
    trace: usize,
    span: usize,
    /// None for the first span of a trace.
    parent: Option<usize>,
    /// The sixteen digits of a call's response id.
    response: Option<usize>,
}

struct Template {
    /// With gRPC's frame.
    framed: Vec<u8>,
    ids: Vec<Ids>,
}

pub struct Batches {
    templates: Vec<Template>,
    spans_each: usize,
}

impl Batches {
    /// Requests of `spans_each` spans (an even number) that end at `end_ns`.
    pub fn encode(spans_each: usize, end_ns: u64) -> Self {
        let templates = (0..TEMPLATES).map(|n| Template::encode(n * spans_each, spans_each, end_ns)).collect();
        Self { templates, spans_each }
    }

    pub fn spans_each(&self) -> usize {
        self.spans_each
    }

    pub fn bytes_each(&self) -> usize {
        self.templates.iter().map(|template| template.framed.len() - FRAME_BYTES).sum::<usize>() / TEMPLATES
    }

    /// The `index`th request, in gRPC's frame. Equal indices give equal requests, others have no id in common.
    pub fn framed(&self, index: usize) -> Vec<u8> {
        let template = &self.templates[index % TEMPLATES];
        let mut framed = template.framed.clone();
        for (n, ids) in template.ids.iter().enumerate() {
            let span = (index * self.spans_each + n) as u64;
            let first = span - span % 2;
            put(&mut framed, ids.trace, first);
            put(&mut framed, ids.span, span);
            if let Some(parent) = ids.parent {
                put(&mut framed, parent, first);
            }
            if let Some(response) = ids.response {
                framed[response..response + 16].copy_from_slice(format!("{span:016x}").as_bytes());
            }
        }
        framed
    }
}

/// Writes the id of the `n`th span: never zero, and as scattered as random ones.
fn put(bytes: &mut [u8], at: usize, n: u64) {
    let id = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bytes[at..at + 8].copy_from_slice(&id.to_be_bytes());
}

impl Template {
    fn encode(first: usize, count: usize, end_ns: u64) -> Self {
        assert!(count.is_multiple_of(2), "{count} spans, expected an even number: they come in pairs");
        let pairs = (first..first + count).step_by(2).flat_map(|index| {
            let root = Span { parent_span_id: Vec::new(), ..spans::http(index, end_ns) };
            [root, spans::ai(index + 1, end_ns)]
        });
        let message = spans::request(pairs.collect()).encode_to_vec();
        let mut framed = vec![0];
        framed.extend_from_slice(&u32::try_from(message.len()).expect("below 4 GiB").to_be_bytes());
        framed.extend_from_slice(&message);
        let mut finder = Finder { whole: &framed, ids: Vec::new(), response: None };
        otlp::visit(Signal::Traces, &framed[FRAME_BYTES..], &mut finder).expect("what prost encodes is valid");
        let ids = finder.ids;
        Self { framed, ids }
    }
}

struct Finder<'a> {
    whole: &'a [u8],
    ids: Vec<Ids>,
    /// Of the span being read.
    response: Option<usize>,
}

impl<'a> visit::Visitor<'a> for Finder<'a> {
    fn attribute(&mut self, key: &'a [u8], value: visit::AnyValue<'a>) {
        if let (b"gen_ai.response.id", visit::AnyValue::Text(id)) = (key, value) {
            self.response = Some(id.as_ptr() as usize - self.whole.as_ptr() as usize + id.len() - 16);
        }
    }

    fn span(&mut self, span: visit::Span<'a>) {
        let place = |id: &[u8]| id.as_ptr() as usize - self.whole.as_ptr() as usize;
        let parent = (!span.parent_span_id.is_empty()).then(|| place(span.parent_span_id));
        let (trace, span) = (place(span.trace_id), place(span.span_id));
        self.ids.push(Ids { trace, span, parent, response: self.response.take() });
    }
}
