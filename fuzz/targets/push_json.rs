//! Bodies of JSON pushes, of both shapes, plain and as gzip.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use narvi_http::push::{JsonShape, decode};

fuzz_target!(|data: &[u8]| {
    for shape in [JsonShape::V1, JsonShape::Legacy] {
        for encoding in [None, Some("gzip"), Some("deflate")] {
            let body = Bytes::copy_from_slice(data);
            match decode(shape, Some("application/json"), encoding, body, 1 << 20) {
                Ok(streams) => {
                    let lines: usize = streams.iter().flat_map(|s| &s.entries).map(|e| e.line.len()).sum();
                    assert!(encoding.is_some() || lines <= 3 * data.len(), "lines are larger than the body");
                }
                Err(error) => assert!(error.status >= 400 && !error.message.is_empty()),
            }
        }
    }
});
