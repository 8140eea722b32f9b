//! Bodies of protobuf pushes: as given (snappy), and as what is inside of the snappy.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use narvi_http::push::{JsonShape, decode};

fuzz_target!(|data: &[u8]| {
    let push = |body: Bytes| decode(JsonShape::V1, Some("application/x-protobuf"), None, body, 1 << 20);
    let _ = push(Bytes::copy_from_slice(data));
    let packed = snap::raw::Encoder::new().compress_vec(data).expect("inputs are small");
    if let Ok(streams) = push(packed.into()) {
        let lines: usize = streams.iter().flat_map(|s| &s.entries).map(|e| e.line.len()).sum();
        assert!(lines <= data.len(), "lines are larger than the body");
    }
});
