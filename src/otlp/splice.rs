//! Adds attributes to a request, and cuts some out, by rewriting its bytes once.
//!
//! Invariants:
//! - every byte that no edit touches is copied as it stands, unknown fields included; only the lengths of the messages
//!   around an edit are written anew;
//! - an added attribute stands at the end of its message; a key that is there already is not added again;
//! - a resource is never given twice: attributes are appended to the `Resource` that stands, or to one made where none
//!   stands;
//! - nothing to do gives back the same `Bytes`, not a copy;
//! - the result is allocated once, with its exact size.
//!
//! One walk finds the edited messages and notes a list of patches in the order of their positions: here so many bytes are
//! replaced by a new length, there an attribute is inserted. A message's new length is known when its inside has been
//! walked, so lengths come out bottom-up. Then gaps and patches are written in order. Messages without an edit are
//! stepped over by their length.

mod attribute;
#[cfg(test)]
mod tests;

use std::ops::Range;

use bytes::Bytes;

pub use attribute::{Attribute, Value};

use super::wire::{self, Cursor, Fault, Range32, delimited_len, offset, put_delimited, put_varint, varint_len};
use super::{
    Signal,
    view::{self, Read as _},
};

/// Attributes for one span or log record.
#[derive(Clone, Debug)]
pub struct ItemEdit<'a> {
    /// Where the item's encoded message lies in the request, as it was visited.
    pub at: Range32,
    pub attributes: Vec<Attribute<'a>>,
}

/// Attributes for the resource of one `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
#[derive(Clone, Debug)]
pub struct ResourceEdit<'a> {
    /// The how-many-th of the request, from 0, in the order they were visited.
    pub index: u32,
    pub attributes: Vec<Attribute<'a>>,
}

/// What is to be cut out of spans (their events and links included) and log records.
pub trait Excise {
    /// Whether attributes with this key go.
    fn attribute(&self, key: &[u8]) -> bool;
    /// Whether the body of this log record goes.
    fn log_body(&self, _record: &view::LogRecord<'_>) -> bool {
        false
    }
}

/// All that is to be changed in one request.
#[derive(Clone, Default)]
pub struct Edits<'a> {
    /// Sorted by position.
    pub items: Vec<ItemEdit<'a>>,
    /// Sorted by index.
    pub resources: Vec<ResourceEdit<'a>>,
    pub excise: Option<&'a dyn Excise>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    #[error(transparent)]
    Wire(#[from] Fault),
    /// Edits out of order, or made for other bytes.
    #[error("no span or log record lies at {start}..{end} (edits must be sorted by position)")]
    NoItem { start: usize, end: usize },
    #[error("the request has no resource {index} (edits must be sorted by index)")]
    NoResource { index: u32 },
}

/// Applies `edits` to a checked request.
pub fn splice(signal: Signal, request: &Bytes, edits: &Edits<'_>) -> Result<Bytes, SpliceError> {
    if edits.items.is_empty() && edits.resources.is_empty() && edits.excise.is_none() {
        return Ok(request.clone());
    }
    let mut rewriter =
        Rewriter { signal, request, items: &edits.items, resources: &edits.resources, edits, patches: Vec::new() };
    let grown = rewriter.walk_request()?;
    if let Some(edit) = rewriter.items.first() {
        let Range { start, end } = edit.at.range();
        return Err(SpliceError::NoItem { start, end });
    }
    if let Some(edit) = rewriter.resources.first() {
        return Err(SpliceError::NoResource { index: edit.index });
    }
    if rewriter.patches.is_empty() {
        return Ok(request.clone());
    }
    rewriter.write(grown)
}

/// Bytes of the request to be replaced, and by what.
struct Patch<'e> {
    at: Range<usize>,
    with: With<'e>,
}

enum With<'e> {
    Nothing,
    Length(usize),
    Attribute {
        number: u32,
        attribute: &'e Attribute<'e>,
    },
    /// The key and length of a field whose body is the attributes that follow.
    Header {
        number: u32,
        body: usize,
    },
}

struct Rewriter<'e> {
    signal: Signal,
    request: &'e [u8],
    /// What is left to be placed.
    items: &'e [ItemEdit<'e>],
    resources: &'e [ResourceEdit<'e>],
    edits: &'e Edits<'e>,
    patches: Vec<Patch<'e>>,
}

/// By how many bytes a message grew; negative where something was cut out.
type Grown = isize;

/// A field as it lies in the request: where its key begins, and its body.
#[derive(Clone, Copy)]
struct Delimited<'e> {
    number: u32,
    start: usize,
    body: &'e [u8],
}

const RESOURCE: u32 = 1;
const CHILDREN: u32 = 2;
const RESOURCE_ATTRIBUTES: u32 = 1;

impl<'e> Rewriter<'e> {
    fn walk_request(&mut self) -> Result<Grown, SpliceError> {
        let mut index = 0;
        self.each_delimited(self.request, |this, field| {
            if field.number != 1 {
                return Ok(0);
            }
            let edit = take_resource(&mut this.resources, index);
            index += 1;
            if edit.is_empty() && !this.reaches_into(field.body) {
                return Ok(0);
            }
            this.nested(field, |this| this.walk_resource_items(field.body, edit))
        })
    }

    /// Inside a `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
    fn walk_resource_items(&mut self, body: &'e [u8], edit: &'e [ResourceEdit<'e>]) -> Result<Grown, SpliceError> {
        let mut grown = 0;
        if !edit.is_empty() && !view::has_message(body, RESOURCE) {
            grown += self.make_resource(body, edit);
        }
        grown += self.each_delimited(body, |this, field| match field.number {
            RESOURCE if !edit.is_empty() => this.nested(field, |this| {
                let attributes = edit.iter().flat_map(|edit| &edit.attributes);
                Ok(this.append(field.body, RESOURCE_ATTRIBUTES, attributes))
            }),
            CHILDREN if this.reaches_into(field.body) => this.nested(field, |this| {
                this.each_delimited(field.body, |this, field| match field.number {
                    CHILDREN => this.walk_item(field),
                    _ => Ok(0),
                })
            }),
            _ => Ok(0),
        })?;
        Ok(grown)
    }

    /// Where no resource stands: one that holds the new attributes, in front, where encoders write it.
    fn make_resource(&mut self, body: &'e [u8], edit: &'e [ResourceEdit<'e>]) -> Grown {
        let mark = self.patches.len();
        let start = offset(self.request, body);
        self.patches.push(Patch { at: start..start, with: With::Nothing });
        let attributes = edit.iter().flat_map(|edit| &edit.attributes);
        let inside = self.append_at(start, &[], RESOURCE_ATTRIBUTES, attributes);
        let Ok(length @ 1..) = usize::try_from(inside) else {
            self.patches.truncate(mark);
            return 0;
        };
        if let Some(patch) = self.patches.get_mut(mark) {
            patch.with = With::Header { number: RESOURCE, body: length };
        }
        delimited_len(RESOURCE, length) as Grown
    }

    fn walk_item(&mut self, field: Delimited<'e>) -> Result<Grown, SpliceError> {
        let attributes = match self.signal {
            Signal::Traces => 9,
            Signal::Logs => 6,
            // A metric has no attributes of its own; an edit of one is left over, and refused.
            Signal::Metrics => return Ok(0),
        };
        let start = offset(self.request, field.body);
        let edits = take_items(&mut self.items, start..start + field.body.len())?;
        if edits.is_empty() && self.edits.excise.is_none() {
            return Ok(0);
        }
        self.nested(field, |this| {
            let cut = match this.edits.excise {
                Some(excise) => this.excise_item(field.body, excise)?,
                None => 0,
            };
            Ok(cut + this.append(field.body, attributes, edits.iter().flat_map(|edit| &edit.attributes)))
        })
    }

    fn excise_item(&mut self, item: &'e [u8], excise: &dyn Excise) -> Result<Grown, SpliceError> {
        if self.signal == Signal::Logs {
            let body_goes = excise.log_body(&view::LogRecord::read(item));
            return self.each_delimited(item, |this, field| match field.number {
                5 if body_goes => Ok(this.cut(field)),
                6 if excise.attribute(view::key(field.body)) => Ok(this.cut(field)),
                _ => Ok(0),
            });
        }
        self.each_delimited(item, |this, field| {
            // Attributes of the span itself, of its events, of its links.
            let attributes = match field.number {
                9 if excise.attribute(view::key(field.body)) => return Ok(this.cut(field)),
                11 => 3,
                13 => 4,
                _ => return Ok(0),
            };
            this.nested(field, |this| {
                this.each_delimited(field.body, |this, field| {
                    let goes = field.number == attributes && excise.attribute(view::key(field.body));
                    Ok(if goes { this.cut(field) } else { 0 })
                })
            })
        })
    }

    fn cut(&mut self, field: Delimited<'e>) -> Grown {
        let at = field.start..offset(self.request, field.body) + field.body.len();
        let grown = -(at.len() as Grown);
        self.patches.push(Patch { at, with: With::Nothing });
        grown
    }

    /// Appends to `message` those attributes whose keys it does not have.
    fn append(&mut self, message: &'e [u8], number: u32, attributes: impl Iterator<Item = &'e Attribute<'e>>) -> Grown {
        self.append_at(offset(self.request, message) + message.len(), message, number, attributes)
    }

    fn append_at(
        &mut self,
        end: usize,
        message: &[u8],
        number: u32,
        attributes: impl Iterator<Item = &'e Attribute<'e>>,
    ) -> Grown {
        let first = self.patches.len();
        for attribute in attributes {
            let twice = self.patches.iter().skip(first).any(|patch| patch.with.adds(attribute.0.as_bytes()));
            if !twice {
                self.patches.push(Patch { at: end..end, with: With::Attribute { number, attribute } });
            }
        }
        if self.patches.len() == first {
            return 0;
        }
        let mut present = false;
        for key in view::Keys::new(message, number) {
            for patch in self.patches.iter_mut().skip(first).filter(|patch| patch.with.adds(key)) {
                patch.with = With::Nothing;
                present = true;
            }
        }
        if present {
            self.patches.extract_if(first.., |patch| matches!(patch.with, With::Nothing)).for_each(drop);
        }
        let added = self.patches.iter().skip(first);
        added.map(|patch| patch.with.len() as Grown).sum()
    }

    /// Runs `inside` and, if it changed anything, gives the message that `field` holds its new length.
    fn nested(
        &mut self,
        field: Delimited<'e>,
        inside: impl FnOnce(&mut Self) -> Result<Grown, SpliceError>,
    ) -> Result<Grown, SpliceError> {
        let mark = self.patches.len();
        let body = offset(self.request, field.body);
        let mut header = Cursor::new(self.request.get(field.start..body).unwrap_or_default());
        header.varint()?;
        let length_at = body - header.rest().len()..body;
        let old = length_at.len() as Grown;
        self.patches.push(Patch { at: length_at, with: With::Nothing });
        let grown = inside(self)?;
        if self.patches.len() == mark + 1 {
            self.patches.truncate(mark);
            return Ok(0);
        }
        let length = field.body.len().saturating_add_signed(grown);
        if let Some(patch) = self.patches.get_mut(mark) {
            patch.with = With::Length(length);
        }
        Ok(grown + varint_len(length as u64) as Grown - old)
    }

    /// Calls `each` for every length-delimited field of `message`, and adds up by how much they grew.
    fn each_delimited(
        &mut self,
        message: &'e [u8],
        mut each: impl FnMut(&mut Self, Delimited<'e>) -> Result<Grown, SpliceError>,
    ) -> Result<Grown, SpliceError> {
        let mut grown = 0;
        let mut cursor = Cursor::new(message);
        loop {
            let start = offset(self.request, cursor.rest());
            match cursor.field()? {
                None => return Ok(grown),
                Some((number, wire::Value::Bytes(body))) => grown += each(self, Delimited { number, start, body })?,
                Some(_) => {}
            }
        }
    }

    /// Whether an item to be edited may lie inside `body`.
    fn reaches_into(&self, body: &[u8]) -> bool {
        let end = offset(self.request, body) + body.len();
        self.edits.excise.is_some() || self.items.first().is_some_and(|edit| edit.at.range().start <= end)
    }

    fn write(self, grown: Grown) -> Result<Bytes, SpliceError> {
        let size = self.request.len().saturating_add_signed(grown);
        if size > u32::MAX as usize {
            return Err(Fault::TooLong.into());
        }
        let mut out = Vec::with_capacity(size);
        let mut copied = 0;
        for patch in &self.patches {
            out.extend_from_slice(self.request.get(copied..patch.at.start).unwrap_or_default());
            patch.with.put(&mut out);
            copied = patch.at.end;
        }
        out.extend_from_slice(self.request.get(copied..).unwrap_or_default());
        debug_assert_eq!(out.len(), size);
        Ok(out.into())
    }
}

impl With<'_> {
    #[inline]
    fn adds(&self, key: &[u8]) -> bool {
        matches!(self, With::Attribute { attribute, .. } if attribute.0.as_bytes() == key)
    }

    fn len(&self) -> usize {
        match *self {
            With::Nothing => 0,
            With::Length(length) => varint_len(length as u64),
            With::Attribute { number, attribute } => attribute::len(number, attribute),
            With::Header { number, body } => delimited_len(number, body) - body,
        }
    }

    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            With::Nothing => {}
            With::Length(length) => put_varint(out, length as u64),
            With::Attribute { number, attribute } => attribute::put(out, number, attribute),
            With::Header { number, body } => put_delimited(out, number, body),
        }
    }
}

/// Takes the edits of resource `index` off the front.
fn take_resource<'e>(edits: &mut &'e [ResourceEdit<'e>], index: u32) -> &'e [ResourceEdit<'e>] {
    let count = edits.iter().take_while(|edit| edit.index == index).count();
    let (taken, rest) = edits.split_at_checked(count).unwrap_or_default();
    *edits = rest;
    taken
}

/// Takes the edits of the item at `at` off the front. An edit before it was made for something else.
fn take_items<'e>(edits: &mut &'e [ItemEdit<'e>], at: Range<usize>) -> Result<&'e [ItemEdit<'e>], SpliceError> {
    let count = edits.iter().take_while(|edit| edit.at.range() == at).count();
    let (taken, rest) = edits.split_at_checked(count).unwrap_or_default();
    if let Some(next) = rest.first()
        && next.at.range().start < at.start
    {
        let Range { start, end } = next.at.range();
        return Err(SpliceError::NoItem { start, end });
    }
    *edits = rest;
    Ok(taken)
}
