//! Makes the code of the gRPC services in `server/rpc/proto`. It is checked in, so that no build needs this tool, a compiler of
//! protocol buffers or a build script: `cargo run -p narvi-proto` writes it anew, a test compares.
#![forbid(unsafe_code)]

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

/// The descriptions of services.
const SOURCES: [&str; 2] = ["health.proto", "narvi.proto"];

const HEAD: &str = "// Made by `cargo run -p narvi-proto` from server/rpc/proto; do not edit.\n";

fn rpc() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../server/rpc")
}

/// Where the code is checked in.
pub fn folder() -> PathBuf {
    rpc().join("src/generated")
}

/// Makes the code: texts of files by their names in [`folder`]. The files are included, and not modules, so that neither
/// formatters nor the rules of this repository apply to them.
///
/// # Errors
/// A description of a service is wrong, or cannot be read.
pub fn generate() -> io::Result<BTreeMap<String, String>> {
    let descriptions = protox::compile(SOURCES, [rpc().join("proto")]).map_err(io::Error::other)?;
    let out = tempfile::tempdir()?;
    tonic_prost_build::configure()
        .bytes(".")
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .out_dir(out.path())
        .compile_fds(descriptions)?;
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(out.path())? {
        let entry = entry?;
        let name = format!("{}.in", entry.file_name().to_string_lossy());
        files.insert(name, format!("{HEAD}{}", fs::read_to_string(entry.path())?));
    }
    Ok(files)
}
