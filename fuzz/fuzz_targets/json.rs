//! Any text as OTLP/JSON: what is decoded is a valid request, and survives being encoded and decoded again. Any bytes as
//! a protobuf request: what is valid is encoded, and read back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use qiyas::otlp::json::{decode, decode_any_line, encode, encode_response};
use qiyas::otlp::visit::Check;
use qiyas::otlp::{Signal, canonical, visit};

fuzz_target!(|bytes: &[u8]| {
    for signal in Signal::ALL {
        if let Ok(request) = decode(signal, bytes) {
            assert_eq!(visit(signal, &request, &mut Check), Ok(()));
            same(signal, &request);
        }
        if visit(signal, bytes, &mut Check).is_ok() {
            same(signal, bytes);
        }
        let _ = encode_response(signal, bytes);
    }
    if let Ok((signal, request)) = decode_any_line(bytes) {
        assert_eq!(visit(signal, &request, &mut Check), Ok(()));
    }
});

fn same(signal: Signal, request: &[u8]) {
    let json = encode(signal, request).expect("a valid request");
    let back = decode(signal, &json).expect("its own output");
    // JSON has one NaN and protobuf many: compare the documents.
    assert_eq!(encode(signal, &back).expect("valid"), json);
    assert!(canonical(signal, &back).is_some());
}
