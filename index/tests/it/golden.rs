//! The golden file: bytes written once per format version, which every later build must read alike.

use std::path::PathBuf;

use narvi_index::{Table, verify};
use narvi_types::Labels;

use crate::model::{Block, Entry, build, model, read};

/// What the golden file holds: every feature of the format once. Never change it; add a file for a new version.
fn content() -> Vec<Entry> {
    let mut entries = vec![];
    let mut add = |tenant: &str, pairs: &[(&str, &str)], min: i64, max: i64, place, pack: &str, keys: &[&str]| {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let labels = Labels::from_pairs(pairs.iter().copied()).expect("valid");
        entries.push(Entry {
            tenant: tenant.into(),
            labels,
            block: Block { min, max, pack: pack.into(), place, keys },
        });
    };
    add("", &[], 0, 0, (0, 0, 1, 0), "pack-a", &[]);
    add("edge", &[("a", "1")], i64::MIN, i64::MAX, (u32::MAX, u32::MAX - 1, 1, u64::MAX), "pack-b", &["trace_id"]);
    add("edge", &[("a", "2"), ("b", "\u{fc}\n")], -5, 5, (1, 2, 3, 4), "pack-a", &["level", "trace_id"]);
    // More than a group of series, more than a list of postings, several blocks in one series.
    for n in 0..100u32 {
        let (pod, app) = (format!("pod-{n:03}"), format!("app-{}", n % 7));
        let time = 1_700_000_000_000_000_000 + i64::from(n) * 1_000_003;
        let place = (n / 10, n % 10 * 50, 50, u64::from(n) * 1_000);
        add(
            "many",
            &[("app", &app), ("pod", &pod), ("site", "here")],
            time,
            time + 60_000_000_000,
            place,
            "pack-b",
            &["k"],
        );
        if n % 9 == 0 {
            add("many", &[("app", &app), ("pod", &pod), ("site", "here")], time - 7, time, place, "pack-c", &[]);
        }
    }
    entries
}

#[test]
fn version_0_is_read() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v0.index");
    // Until the first release the format may change; then this variable goes, and the file stays for good.
    if std::env::var_os("NARVI_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, build(&content())).expect("writes");
    }
    let bytes = std::fs::read(&path).expect("reads");
    verify(&bytes.clone().into()).expect("sound");
    let table = Table::open(bytes.clone().into()).expect("opens");
    assert_eq!(read(&table), model(&content()));
    assert_eq!(table.packs(), ["pack-a", "pack-b", "pack-c"]);
    assert!(
        bytes == build(&content()),
        "the writer changed; if the format did, say so in FORMAT.md and renew the file"
    );
}
