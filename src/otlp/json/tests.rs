use std::fs;

use opentelemetry_proto::tonic::collector::{
    logs::v1::ExportLogsServiceRequest,
    metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse},
    trace::v1::ExportTraceServiceRequest,
};
use proptest::prelude::*;
use prost::Message as _;
use serde_json::{Value as Json, json};

use super::super::arbitrary::{self, Disguise, disguise};
use super::super::visit::Check;
use super::*;

fn reencode(signal: Signal, request: &[u8]) -> Vec<u8> {
    super::super::canonical(signal, request).expect("valid").to_vec()
}

fn traces(json: &Json) -> Result<ExportTraceServiceRequest, String> {
    let bytes = decode(Signal::Traces, json.to_string().as_bytes()).map_err(|fault| fault.to_string())?;
    super::super::visit(Signal::Traces, &bytes, &mut Check).expect("what is decoded is valid");
    Ok(ExportTraceServiceRequest::decode(bytes).expect("valid"))
}

/// A trace request of one span.
fn span(span: &Json) -> Json {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
}

fn read_span(json: &Json) -> opentelemetry_proto::tonic::trace::v1::Span {
    traces(&span(json)).expect("readable").resource_spans[0].scope_spans[0].spans[0].clone()
}

fn refusal(json: &Json) -> String {
    traces(&span(json)).expect_err("refused")
}

fn read_value(value: &Json) -> Option<opentelemetry_proto::tonic::common::v1::AnyValue> {
    read_span(&json!({"attributes": [{"key": "k", "value": value}]})).attributes[0].value.clone()
}

proptest! {
    #[test]
    fn encoding_and_decoding_gives_the_same_request((signal, request) in arbitrary::request(), seed in any::<u64>()) {
        let disguised = disguise(signal, &request, seed, Disguise { unknown: true, loose: true, split: false });
        let json = encode(signal, &disguised).expect("valid");
        let decoded = decode(signal, &json).expect("its own output");
        prop_assert_eq!(super::super::visit(signal, &decoded, &mut Check), Ok(()));
        prop_assert_eq!(reencode(signal, &decoded), &*request);
        let (told, any) = match decode_any_line(&json) {
            Err(JsonFault::NoSignal) => (signal, Bytes::new()),
            read => read.expect("its own output"),
        };
        prop_assert_eq!((told, any), (signal, decoded));
    }

    /// The reference implementation's writer, read here; but it writes null for a double that is no finite number.
    #[test]
    fn what_opentelemetry_proto_writes_is_read((signal, request) in arbitrary::request()) {
        let written = String::from_utf8(encode(signal, &request).expect("valid")).expect("JSON is UTF-8");
        if written.contains("\"NaN\"") || written.contains("Infinity\"") {
            return Ok(());
        }
        let json = match signal {
            Signal::Traces => serde_json::to_vec(&ExportTraceServiceRequest::decode(&*request).expect("valid")),
            Signal::Metrics => serde_json::to_vec(&ExportMetricsServiceRequest::decode(&*request).expect("valid")),
            Signal::Logs => serde_json::to_vec(&ExportLogsServiceRequest::decode(&*request).expect("valid")),
        };
        let decoded = decode(signal, &json.expect("writable")).expect("readable");
        prop_assert_eq!(reencode(signal, &decoded), request);
    }

    #[test]
    fn arbitrary_text_ends_without_panic(json in r#"[\[\]{}",:a-z0-9\\-]{0,40}"#) {
        for signal in Signal::ALL {
            let _ = decode(signal, json.as_bytes());
        }
        let _ = decode_any_line(json.as_bytes());
    }

    #[test]
    fn damaged_documents_are_refused_or_valid(
        (signal, request) in arbitrary::request(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut json = encode(signal, &request).expect("valid");
        let at = at.index(json.len());
        json[at] = byte;
        if let Ok(decoded) = decode(signal, &json) {
            prop_assert_eq!(super::super::visit(signal, &decoded, &mut Check), Ok(()));
        }
    }

    #[test]
    fn arbitrary_protobuf_ends_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        for signal in Signal::ALL {
            if super::super::visit(signal, &bytes, &mut Check).is_ok() {
                prop_assert!(encode(signal, &bytes).is_ok());
            }
            let _ = encode(signal, &bytes);
            let _ = encode_response(signal, &bytes);
        }
    }
}

#[test]
fn ids_are_hexadecimal_in_either_case() {
    let span = read_span(&json!({"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "eee19b7ec3c1b174"}));
    assert_eq!(span.trace_id, 0x5B8E_FFF7_9803_8103_D269_B633_813F_C60C_u128.to_be_bytes());
    assert_eq!(span.span_id, 0xEEE1_9B7E_C3C1_B174_u64.to_be_bytes());
    for wrong in ["5B8", "W47/95gDgQPSabYzgT/GDA==", "zz", "é"] {
        let refusal = refusal(&json!({"traceId": wrong}));
        assert!(refusal.contains("Span.traceId as a hexadecimal string"), "{refusal}");
        assert!(refusal.contains("line 1 column"), "{refusal}");
    }
}

#[test]
fn integers_of_64_bits_are_strings_or_numbers() {
    for time in [json!("18446744073709551615"), json!(u64::MAX)] {
        assert_eq!(read_span(&json!({"startTimeUnixNano": time})).start_time_unix_nano, u64::MAX);
    }
    assert_eq!(read_span(&json!({"startTimeUnixNano": 1e3})).start_time_unix_nano, 1000);
    for wrong in
        [json!(-1), json!("-1"), json!(1.5), json!("x"), json!(""), json!(1e30), json!([1]), json!({}), json!(true)]
    {
        let refusal = refusal(&json!({"startTimeUnixNano": wrong}));
        assert!(refusal.contains("Span.startTimeUnixNano as an unsigned 64-bit integer"), "{wrong}: {refusal}");
    }
    assert!(refusal(&json!({"droppedAttributesCount": 4_294_967_296_u64})).contains("unsigned 32-bit"));
}

#[test]
fn enumerations_are_integers_and_their_names_are_understood() {
    assert_eq!(read_span(&json!({"kind": 2})).kind, 2);
    assert_eq!(read_span(&json!({"kind": "SPAN_KIND_SERVER"})).kind, 2);
    assert_eq!(read_span(&json!({"kind": 77, "status": {"code": "STATUS_CODE_ERROR"}})).kind, 77);
    assert!(refusal(&json!({"kind": "server"})).contains("Span.kind"));
}

#[test]
fn only_lower_camel_case_is_known_and_the_rest_ignored() {
    let span = read_span(&json!({"start_time_unix_nano": "7", "new": {"deep": [[{}], "1e999"]}, "name": "n"}));
    assert_eq!((span.start_time_unix_nano, &*span.name), (0, "n"));
}

#[test]
fn null_is_absence() {
    let span = read_span(&json!({"name": null, "attributes": null, "status": null, "kind": null, "traceId": null}));
    assert_eq!(span, Default::default());
    assert_eq!(traces(&json!({"resourceSpans": null})), Ok(Default::default()));
    assert_eq!(read_value(&Json::Null), None);
    assert!(refusal(&json!({"attributes": [null]})).contains("KeyValue as an object"));
}

#[test]
fn every_kind_of_value_is_read() {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, any_value::Value};
    let read = |json: Json| read_value(&json).expect("present").value;
    assert_eq!(read(json!({})), None);
    assert_eq!(read(json!({"unknownValue": 1})), None);
    assert_eq!(read(json!({"stringValue": ""})), Some(Value::StringValue(String::new())));
    assert_eq!(read(json!({"boolValue": false})), Some(Value::BoolValue(false)));
    assert_eq!(read(json!({"intValue": "-9223372036854775808"})), Some(Value::IntValue(i64::MIN)));
    assert_eq!(read(json!({"intValue": 0})), Some(Value::IntValue(0)));
    assert_eq!(read(json!({"doubleValue": 3})), Some(Value::DoubleValue(3.0)));
    assert_eq!(read(json!({"doubleValue": "-Infinity"})), Some(Value::DoubleValue(f64::NEG_INFINITY)));
    assert_eq!(read(json!({"doubleValue": "0.1"})), Some(Value::DoubleValue(0.1)));
    assert_eq!(read(json!({"bytesValue": "+/8="})), Some(Value::BytesValue(vec![0xfb, 0xff])));
    assert_eq!(read(json!({"bytesValue": "-_8"})), Some(Value::BytesValue(vec![0xfb, 0xff])));
    let nothing = AnyValue { value: None };
    let array = Value::ArrayValue(ArrayValue { values: vec![nothing.clone(), nothing] });
    assert_eq!(read(json!({"arrayValue": {"values": [null, {}]}})), Some(array));
    assert_eq!(read(json!({"arrayValue": {}})), Some(Value::ArrayValue(ArrayValue { values: vec![] })));

    for wrong in
        [json!({"doubleValue": "inf"}), json!({"doubleValue": "1e999"}), json!({"bytesValue": "%"}), json!("x")]
    {
        refusal(&json!({"attributes": [{"key": "k", "value": wrong}]}));
    }
}

/// What `opentelemetry-proto` dropped silently before 0.33.1.
#[test]
fn points_with_quoted_integers_and_omitted_defaults_are_read() {
    use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};
    let json = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
        {"name": "a", "sum": {"dataPoints": [{"asInt": "7"}], "isMonotonic": true, "aggregationTemporality": 2}},
        {"name": "b", "exponentialHistogram": {"dataPoints": [
            {"count": "3", "scale": -1, "positive": {"bucketCounts": ["1", 2]}, "negative": {"offset": -5}}
        ]}},
        {"name": "c", "histogram": {"dataPoints": [{"bucketCounts": [], "explicitBounds": [0.5, "NaN", 1]}]}},
    ]}]}]});
    let bytes = decode(Signal::Metrics, json.to_string().as_bytes()).expect("readable");
    let request = ExportMetricsServiceRequest::decode(bytes).expect("valid");
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let Some(Data::Sum(sum)) = &metrics[0].data else { panic!("a sum") };
    assert_eq!(sum.data_points[0].value, Some(Value::AsInt(7)));
    let Some(Data::ExponentialHistogram(histogram)) = &metrics[1].data else { panic!("a histogram") };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.scale, point.zero_threshold, point.sum), (3, -1, 0.0, None));
    assert_eq!(point.positive.as_ref().expect("present").bucket_counts, [1, 2]);
    assert_eq!(point.negative.as_ref().expect("present").offset, -5);
    let Some(Data::Histogram(histogram)) = &metrics[2].data else { panic!("a histogram") };
    assert_eq!(histogram.data_points[0].explicit_bounds.len(), 3);
}

#[test]
fn what_would_have_to_be_merged_is_refused() {
    for twice in [
        r#"{"name":"a","name":"b"}"#,
        r#"{"status":{},"status":{}}"#,
        r#"{"attributes":[{"key":"k","value":{"intValue":1,"stringValue":"x"}}]}"#,
    ] {
        let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{twice}]}}]}}]}}"#);
        let refusal = decode(Signal::Traces, json.as_bytes()).expect_err("refused").to_string();
        assert!(refusal.contains("twice") || refusal.contains("beside"), "{refusal}");
    }
    // A null beside a value is no value.
    let value = json!({"key": "k", "value": {"intValue": 1, "stringValue": null}});
    assert_eq!(read_span(&json!({"attributes": [value]})).attributes.len(), 1);
}

#[test]
fn documents_that_are_no_requests_are_refused() {
    for wrong in ["", "[]", "1", "{", "{}x", "{\"resourceSpans\":{}}", "{\"resourceSpans\":[1]}", "nul", "\u{feff}{}"] {
        decode(Signal::Traces, wrong.as_bytes()).expect_err(wrong);
    }
    decode(Signal::Traces, b"{\"resourceSpans\":[{\"schemaUrl\":\"\xff\"}]}").expect_err("not UTF-8");
    decode(Signal::Traces, br#"{"resourceSpans":[{"schemaUrl":"\ud800"}]}"#).expect_err("half a character");
    assert_eq!(decode(Signal::Traces, b" {} \n").expect("empty"), Bytes::new());
}

#[test]
fn depth_ends_without_the_stack() {
    let deep = |unit: [&str; 2], count: usize| {
        let body = [&unit[0].repeat(count), "{}", &unit[1].repeat(count)].concat();
        format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{body}}}]}}]}}]}}"#)
    };
    let array = [r#"{"arrayValue":{"values":["#, "]}}"];
    let list = [r#"{"kvlistValue":{"values":[{"value":"#, "}]}}"];
    let small_stack = std::thread::Builder::new().stack_size(1 << 20);
    let test = move || {
        // LogRecord is the third message, its body the fourth; an array adds two, a list three.
        for (unit, most) in [(array, 48), (list, 32)] {
            let deepest = decode(Signal::Logs, deep(unit, most).as_bytes()).expect("as deep as protobuf may be");
            assert_eq!(super::super::visit(Signal::Logs, &deepest, &mut Check), Ok(()));
            assert!(encode(Signal::Logs, &deepest).is_ok());
            for count in [most + 1, 10_000] {
                let refusal = decode(Signal::Logs, deep(unit, count).as_bytes()).expect_err("too deep").to_string();
                assert!(refusal.contains("nested deeper than 100 messages"), "{refusal}");
            }
        }
        // What is skipped may be as deep as it likes.
        let unknown = format!(r#"{{"unknown":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(decode(Signal::Logs, unknown.as_bytes()).expect("skipped"), Bytes::new());
        let plain = format!("{}1", "[".repeat(10_000));
        decode(Signal::Logs, plain.as_bytes()).expect_err("not a request");
    };
    small_stack.spawn(test).expect("a thread").join().expect("no overflow");
}

#[test]
fn a_line_tells_its_signal() {
    for (json, signal) in [
        (r#"{"resourceSpans":[]}"#, Signal::Traces),
        (r#"{"x":1,"resourceMetrics":[{}],"resourceLogs":null}"#, Signal::Metrics),
        (r#"{"resourceLogs":[]}"#, Signal::Logs),
    ] {
        assert_eq!(decode_any_line(json.as_bytes()).expect("readable").0, signal);
    }
    assert!(matches!(decode_any_line(b"{}"), Err(JsonFault::NoSignal)));
    let two = decode_any_line(br#"{"resourceSpans":[],"resourceLogs":[]}"#).expect_err("two signals").to_string();
    assert!(two.contains("resourceLogs stands beside another request"), "{two}");
}

#[test]
fn responses_are_written_as_the_protocol_says() {
    let full = ExportMetricsServiceResponse { partial_success: None }.encode_to_vec();
    assert_eq!(encode_response(Signal::Metrics, &full), Ok(b"{}".to_vec()));
    let partial = ExportMetricsServiceResponse {
        partial_success: Some(ExportMetricsPartialSuccess { rejected_data_points: 3, error_message: "\"n\"".into() }),
    };
    let json = encode_response(Signal::Metrics, &partial.encode_to_vec()).expect("valid");
    let json: Json = serde_json::from_slice(&json).expect("JSON");
    assert_eq!(json, json!({"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "\"n\""}}));
}

/// A document without what does not matter: defaults that may be left out, numbers as strings or not, the case of ids.
fn equivalent(json: &Json) -> Json {
    match json {
        Json::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| (name.clone(), equivalent(value)));
            let matters = |name: &str, value: &Json| match value {
                Json::Null => false,
                // A case of a oneof, or an optional number, tells its default from its absence.
                _ if name.ends_with("Value") || matches!(name, "asInt" | "asDouble" | "sum" | "min" | "max") => true,
                Json::String(text) => !text.is_empty() && text != "0",
                Json::Array(list) => !list.is_empty(),
                Json::Bool(flag) => *flag,
                _ => true,
            };
            fields.filter(|(name, value)| matters(name, value)).collect()
        }
        Json::Array(list) => list.iter().map(equivalent).collect(),
        Json::Number(number) if number.is_f64() => {
            json!(number.as_f64().expect("a double").to_string())
        }
        Json::Number(number) => json!(number.to_string()),
        other => other.clone(),
    }
}

/// Recordings of real instrumentations, as the Collector's file exporter writes them.
#[test]
fn recordings_convert_and_convert_back() {
    let mut lines = 0;
    for file in fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus")).expect("the recordings") {
        let path = file.expect("an entry").path();
        for line in
            fs::read_to_string(&path).expect("text").lines().filter(|_| path.extension().is_some_and(|e| e == "jsonl"))
        {
            let (signal, bytes) = decode_any_line(line.as_bytes()).expect("a request");
            assert_eq!(super::super::visit(signal, &bytes, &mut Check), Ok(()));
            let back: Json = serde_json::from_slice(&encode(signal, &bytes).expect("valid")).expect("JSON");
            let original: Json = serde_json::from_str(line).expect("JSON");
            assert_eq!(equivalent(&back), equivalent(&original), "{}", path.display());
            lines += 1;
        }
    }
    assert!(lines > 0);
}
