//! What is checked in is what the descriptions of the services give.

use std::{collections::BTreeMap, fs};

#[test]
fn checked_in_code_is_up_to_date() {
    let made = narvi_proto::generate().expect("the descriptions are valid");
    let read = fs::read_dir(narvi_proto::folder()).expect("a folder").map(|entry| {
        let entry = entry.expect("readable");
        let name = entry.file_name().into_string().expect("text");
        (name, fs::read_to_string(entry.path()).expect("text"))
    });
    let there: BTreeMap<String, String> = read.collect();
    assert!(made == there, "server/rpc/src/generated is not up to date: cargo run -p narvi-proto");
}
