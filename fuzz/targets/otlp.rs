//! Bodies of OTLP pushes, taken for protobuf and for JSON.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use narvi_http::push::otlp::decode;
use narvi_types::Timestamp;

fuzz_target!(|data: &[u8]| {
    for kind in ["application/x-protobuf", "application/json"] {
        for encoding in [None, Some("gzip")] {
            let body = Bytes::copy_from_slice(data);
            let _ = decode(Some(kind), encoding, body, 1 << 20, None, Timestamp::from_secs(1));
        }
    }
});
