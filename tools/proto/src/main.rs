//! Writes the code of the gRPC services anew.
#![forbid(unsafe_code)]

use std::{fs, io};

fn main() -> io::Result<()> {
    let folder = narvi_proto::folder();
    fs::create_dir_all(&folder)?;
    for (name, text) in narvi_proto::generate()? {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}
