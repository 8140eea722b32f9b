//! Manifests; as given, and with the right checksum.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narvi::inspect_manifest;
use narvi_fuzz::repair_manifest;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    let _ = inspect_manifest(&bytes).map_err(|error| error.to_string());
    repair_manifest(&mut bytes);
    let _ = inspect_manifest(&bytes).map_err(|error| error.to_string());
});
