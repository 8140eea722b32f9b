//! Tests of push decoding: what is taken, what is refused, and that nothing panics.

use bytes::Bytes;
use narvi_distributor::RawStream;
use proptest::prelude::*;
use prost::Message;

use super::{JsonShape, PushError, decode};

#[derive(Clone, PartialEq, Message)]
struct PushRequest {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<StreamAdapter>,
}

#[derive(Clone, PartialEq, Message)]
struct StreamAdapter {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<EntryAdapter>,
    #[prost(uint64, tag = "3")]
    hash: u64,
}

#[derive(Clone, PartialEq, Message)]
struct EntryAdapter {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Time>,
    #[prost(bytes = "vec", tag = "2")]
    line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Pair>,
}

#[derive(Clone, PartialEq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Pair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

fn json(body: &str) -> Result<Vec<RawStream>, PushError> {
    decode(JsonShape::V1, Some("application/json"), None, Bytes::copy_from_slice(body.as_bytes()), 1 << 20)
}

fn snappy(bytes: &[u8]) -> Bytes {
    snap::raw::Encoder::new().compress_vec(bytes).expect("small").into()
}

#[test]
fn json_is_read_as_loki_reads_it() {
    let body = r#"{"x":1,"streams":[{"stream":{"app":5,"b":true,"c":null},"values":[["1","a\nb"],["2"],["3","x",{"k":"v"},9]]}]} tail"#;
    let streams = json(body).expect("decodes");
    assert_eq!(streams[0].labels, [("app", "5"), ("b", "true"), ("c", "")].map(|(n, v)| (n.to_owned(), v.to_owned())));
    let lines: Vec<_> = streams[0].entries.iter().map(|e| (e.timestamp.as_ns(), &e.line[..])).collect();
    assert_eq!(lines, [(1, &b"a\nb"[..]), (2, b""), (3, b"x")]);
    assert_eq!(streams[0].entries[2].metadata.get("k"), Some("v"));
    for empty in ["null", "{}", r#"{"streams":null}"#, r#"{"streams":[]}"#] {
        assert_eq!(json(empty).map(|s| s.len()), Ok(0), "{empty}");
    }
}

#[test]
fn bad_json_is_refused_as_a_whole() {
    for (body, expected) in [
        ("", "EOF"),
        ("hello", "expected value"),
        ("[]", "invalid type: sequence"),
        (r#"{"streams":{}}"#, "invalid type: map"),
        (r#"{"streams":[{"values":[[1,"x"]]}]}"#, "invalid type: integer"),
        (r#"{"streams":[{"values":[["1.5","x"]]}]}"#, "\"1.5\" is not a timestamp"),
        (r#"{"streams":[{"values":[["1",5]]}]}"#, "invalid type: integer"),
        (r#"{"streams":[{"values":[["1","x",null]]}]}"#, "invalid type: null"),
        (r#"{"streams":[{"values":[["1","x",{"k":5}]]}]}"#, "invalid type: integer"),
        (r#"{"streams":[{"values":[{"ts":"1"}]}]}"#, "invalid type: map"),
        (
            r#"{"streams":[{"stream":{"app":"a","bad-name":"x"},"values":[]}]}"#,
            "couldn't parse labels: 1:14: parse error",
        ),
        (r#"{"streams":[{"values":[["1","cut"]"#, "EOF while parsing"),
    ] {
        let error = json(body).expect_err(body);
        assert_eq!(error.status, 400);
        assert!(error.message.contains(expected), "{body}: {}", error.message);
    }
}

#[test]
fn lines_that_are_not_utf8_are_kept() {
    let body = Bytes::from_static(
        b"{\"streams\":[{\"stream\":{\"a\":\"b\"},\"values\":[[\"1\",\"x\xffy\"],[\"2\",\"\\ud800\"]]}]}",
    );
    let streams = decode(JsonShape::V1, Some("application/json"), None, body, 1 << 20).expect("decodes");
    assert_eq!(&streams[0].entries[0].line[..], b"x\xffy");
}

#[test]
fn the_old_shape_has_times_and_labels_as_text() {
    let body =
        r#"{"streams":[{"labels":"{app=\"x\"}","entries":[{"ts":"2026-09-20T02:30:00.123456789+02:00","line":"l"}]}]}"#;
    let legacy = |body: &str| {
        decode(JsonShape::Legacy, Some("application/json"), None, Bytes::copy_from_slice(body.as_bytes()), 1 << 20)
    };
    let streams = legacy(body).expect("decodes");
    assert_eq!(streams[0].labels, [("app".to_owned(), "x".to_owned())]);
    assert_eq!(streams[0].entries[0].timestamp.as_ns(), 1_789_864_200_123_456_789);
    // The shape of the other path holds no entries.
    assert!(json(body).expect("decodes")[0].entries.is_empty());
    assert!(
        legacy(r#"{"streams":[{"labels":"{app=}"}]}"#).expect_err("bad").message.contains("couldn't parse labels: 1:6")
    );
}

#[test]
fn headers_decide() {
    let body = || Bytes::from_static(br#"{"streams":[]}"#);
    let with = |kind: Option<&str>, encoding: Option<&str>| decode(JsonShape::V1, kind, encoding, body(), 1 << 20);
    assert!(with(Some("Application/JSON; charset=utf-8"), None).is_ok());
    for (kind, encoding, expected) in [
        (None, None, "mime: no media type"),
        (Some("application/;"), None, "mime: expected token after slash"),
        (Some("text/plain"), None, "snappy: corrupt input"),
        (Some("application/json"), Some("br"), "Content-Encoding \"br\" not supported"),
        (Some("application/json"), Some("GZIP"), "Content-Encoding \"GZIP\" not supported"),
        (Some("application/json"), Some("gzip"), "gzip: invalid header"),
    ] {
        assert_eq!(with(kind, encoding).expect_err("refused").message, expected);
    }
}

#[test]
fn bombs_are_refused() {
    let big = vec![b'x'; 2 << 20];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &big).expect("memory");
    let gzip = Bytes::from(gzip.finish().expect("memory"));
    let json = decode(JsonShape::V1, Some("application/json"), Some("gzip"), gzip, 1 << 20);
    assert_eq!(json.expect_err("too large").status, 413);
    let proto = decode(JsonShape::V1, Some("application/x-protobuf"), None, snappy(&big), 1 << 20);
    assert_eq!(proto.expect_err("too large").status, 413);
    // A header that claims 4 GiB.
    let claim = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0x00]);
    let claim = decode(JsonShape::V1, Some("application/x-protobuf"), None, claim, usize::MAX);
    assert_eq!(claim.expect_err("corrupt").message, "snappy: corrupt input");
}

fn requests() -> impl Strategy<Value = PushRequest> {
    let pair = (".{1,8}", ".{0,8}").prop_map(|(name, value)| Pair { name, value });
    let entry =
        (-1_000_000_000i64..4_000_000_000, 0i32..1_000_000_000, any::<Vec<u8>>(), prop::collection::vec(pair, 0..3))
            .prop_map(|(seconds, nanos, line, metadata)| EntryAdapter {
                timestamp: Some(Time { seconds, nanos }),
                line,
                metadata,
            });
    let stream = ("[a-z]{1,5}", prop::collection::vec(entry, 1..5), any::<u64>())
        .prop_map(|(value, entries, hash)| StreamAdapter { labels: format!("{{app=\"{value}\"}}"), entries, hash });
    prop::collection::vec(stream, 0..4).prop_map(|streams| PushRequest { streams })
}

proptest! {
    #[test]
    fn protobuf_is_what_prost_writes(request in requests()) {
        let body = snappy(&request.encode_to_vec());
        let streams = decode(JsonShape::V1, Some("application/x-protobuf"), None, body, 1 << 20).expect("decodes");
        prop_assert_eq!(streams.len(), request.streams.len());
        for (stream, expected) in streams.iter().zip(&request.streams) {
            prop_assert_eq!(format!("{{app=\"{}\"}}", stream.labels[0].1), expected.labels.clone());
            for (entry, expected) in stream.entries.iter().zip(&expected.entries) {
                let time = expected.timestamp.as_ref().expect("set");
                prop_assert_eq!(entry.timestamp.as_ns(), time.seconds * 1_000_000_000 + i64::from(time.nanos));
                prop_assert_eq!(&entry.line[..], &expected.line[..]);
                let pairs: Vec<_> = entry.metadata.iter().collect();
                let expected: Vec<_> = expected.metadata.iter().map(|p| (p.name.as_str(), p.value.as_str())).collect();
                prop_assert_eq!(pairs, expected);
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, text in "[{}\\[\\]\":,a-z0-9streamvlu ]{0,80}") {
        let _ = super::proto::decode(&Bytes::from(bytes.clone()));
        let _ = super::otlp::decode_proto(&bytes);
        let _ = super::otlp::decode_json(text.as_bytes());
        for shape in [JsonShape::V1, JsonShape::Legacy] {
            let _ = super::json::decode(shape, &Bytes::from(bytes.clone()));
            let _ = super::json::decode(shape, &Bytes::from(text.clone()));
        }
    }

    #[test]
    fn cut_protobuf_never_panics(request in requests(), cut in 0usize..400) {
        let mut bytes = request.encode_to_vec();
        bytes.truncate(cut);
        let _ = super::proto::decode(&Bytes::from(bytes));
    }
}
