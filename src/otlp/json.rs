//! OTLP/JSON at the edge: a request's JSON becomes protobuf bytes on its way in, a response's bytes become JSON on
//! their way out.
//!
//! Invariants:
//! - nothing is lost silently: what JSON says under a known name is in the bytes, or the document is refused with the
//!   field, line and column; only unknown names are ignored, as the protocol demands;
//! - decoded bytes pass [`mod@super::visit`]: strings are UTF-8, nothing stands twice that may stand once, no message is
//!   nested deeper than protobuf's limit. Depth costs no stack beyond that limit, whatever the document;
//! - encoding and decoding again gives the same content; unknown protobuf fields have no name and are left out.
//!
//! Both directions follow the tables of [`super::schema`] instead of `opentelemetry-proto`'s serde attributes: those
//! differ from message to message in what they take for a missing, quoted or null value.
//!
//! The mapping is proto3's with OTLP's changes: lowerCamelCase names only; trace and span ids are hexadecimal in either
//! case, other bytes base64 (either alphabet, padding optional); 64-bit integers are strings, or numbers on reading;
//! enumerations are integers, their names understood on reading; doubles also as `"NaN"`, `"Infinity"`, `"-Infinity"`;
//! `null` is absence.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use bytes::Bytes;

use super::Signal;
use super::schema::messages;
use super::wire::Fault;

/// Objects and arrays inside one another, unknown ones included. A request of 100 messages, the deepest there is, has
/// at most three for each.
const MAX_NESTING: usize = 512;

/// Why a document is not an OTLP/JSON request. The sender's fault and permanent.
#[derive(Debug, thiserror::Error)]
pub enum JsonFault {
    /// Not JSON, or a value that its field cannot hold. The message ends with line and column.
    #[error(transparent)]
    Document(#[from] serde_json::Error),
    #[error("the document has none of resourceSpans, resourceMetrics, resourceLogs")]
    NoSignal,
    #[error("the document is larger than 4 GiB as protobuf")]
    TooLong,
    #[error("the document is not valid UTF-8")]
    Utf8,
    #[error("the document is nested deeper than {MAX_NESTING} objects and arrays")]
    Nested,
}

/// Decodes the JSON of a signal's export request into the protobuf of it.
pub fn decode(signal: Signal, json: &[u8]) -> Result<Bytes, JsonFault> {
    check_text_and_nesting(json)?;
    decode::message(json, messages::request(signal))
}

/// Decodes one line of a recording, and tells its signal by the name that stands in it.
pub fn decode_any_line(json: &[u8]) -> Result<(Signal, Bytes), JsonFault> {
    check_text_and_nesting(json)?;
    decode::any_request(json)
}

/// Looks at bytes and brackets alone; that the document is JSON is for the decoder to find.
fn check_text_and_nesting(json: &[u8]) -> Result<(), JsonFault> {
    if !super::wire::is_text(json) {
        return Err(JsonFault::Utf8);
    }
    let (mut depth, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            return Err(JsonFault::Nested);
        }
    }
    Ok(())
}

/// Encodes a signal's export request.
pub fn encode(signal: Signal, request: &[u8]) -> Result<Vec<u8>, Fault> {
    encode::message(request, messages::request(signal))
}

/// Encodes the response to a signal's export request.
pub fn encode_response(signal: Signal, response: &[u8]) -> Result<Vec<u8>, Fault> {
    encode::message(response, messages::response(signal))
}
