//! Requests made smaller and larger: an export that a receiver would refuse for its size is split by item, small ones are
//! put together.
//!
//! Invariants:
//! - every item stands in exactly one piece, in its order, under the same resource, scope and (for a data point) metric;
//! - what describes them (resource, scope, schema URLs, a metric's name) is repeated in each piece; fields unknown to
//!   opentelemetry-proto may hold items themselves, so they stand in the first piece alone;
//! - a piece is larger than asked only where a single item with its surroundings is, or what is unknown.

#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::schema::{Kind, Message, messages};
use super::wire::{Cursor, Fault, Value, delimited_len, put_delimited};
use super::{Signal, view};

/// Spans, data points or log records in a request.
pub fn count(signal: Signal, request: &[u8]) -> u32 {
    let items: usize = match signal {
        Signal::Traces => view::traces(request)
            .flat_map(|resource| resource.scopes())
            .map(|scope| view::Repeated::<&[u8]>::new(scope.body, 2).count())
            .sum(),
        Signal::Metrics => view::metrics(request)
            .flat_map(|resource| resource.scopes())
            .flat_map(|scope| scope.items())
            .map(|metric| metric.point_count())
            .sum(),
        Signal::Logs => view::logs(request)
            .flat_map(|resource| resource.scopes())
            .map(|scope| view::Repeated::<&[u8]>::new(scope.body, 2).count())
            .sum(),
    };
    u32::try_from(items).unwrap_or(u32::MAX)
}

/// One request with the items of all of them, all of one signal. A single one is given back as it is.
pub fn concat(requests: &[Bytes]) -> Bytes {
    match requests {
        [one] => one.clone(),
        many => many.concat().into(),
    }
}

/// Splits a checked request into pieces of at most `max_bytes`. A request that is small enough is given back as it is.
pub fn split(signal: Signal, request: &Bytes, max_bytes: usize) -> Result<Vec<Bytes>, Fault> {
    if request.len() <= max_bytes {
        return Ok(vec![request.clone()]);
    }
    let pieces = split_message(request, messages::request(signal), path(signal), max_bytes)?;
    Ok(pieces.into_iter().map(Bytes::from).collect())
}

/// The fields that lead from a request down to its items, level by level.
fn path(signal: Signal) -> &'static [&'static [u32]] {
    match signal {
        Signal::Traces | Signal::Logs => &[&[1], &[2], &[2]],
        // A metric holds one of five kinds of data, which holds the points.
        Signal::Metrics => &[&[1], &[2], &[2], &[5, 7, 9, 10, 11], &[1]],
    }
}

/// The key and length of a child, at most.
const HEADER: usize = 6;

fn split_message(
    body: &[u8],
    message: &'static Message,
    path: &'static [&'static [u32]],
    max_bytes: usize,
) -> Result<Vec<Vec<u8>>, Fault> {
    let Some((level, deeper)) = path.split_first() else { return Ok(vec![body.to_vec()]) };
    let parts = Parts::read(body, message, level)?;
    let mut pieces = Pieces {
        done: Vec::new(),
        current: [&*parts.known, &*parts.unknown].concat(),
        children: 0,
        known: &parts.known,
        max_bytes,
        // Of a metric's data only one may stand in a metric.
        one_child: level.len() > 1,
    };
    for &(number, child) in &parts.children {
        let (leaf, whole) = (deeper.is_empty(), delimited_len(number, child.len()));
        if leaf || pieces.fits(whole) || parts.known.len() + whole <= max_bytes {
            pieces.put(number, child);
            continue;
        }
        let Some(Kind::Message(inner)) = message.field(number).map(|field| field.kind) else { continue };
        let room = max_bytes.saturating_sub(parts.known.len() + HEADER);
        for piece in split_message(child, inner, deeper, room)? {
            pieces.put(number, &piece);
        }
    }
    Ok(pieces.finish())
}

/// A message taken apart.
struct Parts<'a> {
    /// The fields to be repeated, encoded.
    known: Vec<u8>,
    unknown: Vec<u8>,
    children: Vec<(u32, &'a [u8])>,
}

impl<'a> Parts<'a> {
    fn read(body: &'a [u8], message: &'static Message, level: &[u32]) -> Result<Self, Fault> {
        let mut parts = Self { known: Vec::new(), unknown: Vec::new(), children: Vec::new() };
        let mut cursor = Cursor::new(body);
        loop {
            let rest = cursor.rest();
            let Some((number, value)) = cursor.field()? else { return Ok(parts) };
            let field = rest.get(..rest.len() - cursor.rest().len()).unwrap_or_default();
            match value {
                Value::Bytes(child) if level.contains(&number) => parts.children.push((number, child)),
                _ if message.field(number).is_some() => parts.known.extend_from_slice(field),
                _ => parts.unknown.extend_from_slice(field),
            }
        }
    }
}

struct Pieces<'p> {
    done: Vec<Vec<u8>>,
    current: Vec<u8>,
    children: usize,
    known: &'p [u8],
    max_bytes: usize,
    one_child: bool,
}

impl Pieces<'_> {
    fn fits(&self, size: usize) -> bool {
        self.current.len() + size <= self.max_bytes && !(self.one_child && self.children > 0)
    }

    fn put(&mut self, number: u32, child: &[u8]) {
        let holds_something = self.children > 0 || self.current.len() > self.known.len();
        if holds_something && !self.fits(delimited_len(number, child.len())) {
            self.done.push(std::mem::replace(&mut self.current, self.known.to_vec()));
            self.children = 0;
        }
        put_delimited(&mut self.current, number, child.len());
        self.current.extend_from_slice(child);
        self.children += 1;
    }

    fn finish(mut self) -> Vec<Vec<u8>> {
        if self.children > 0 || self.done.is_empty() {
            self.done.push(self.current);
        }
        self.done
    }
}
