//! Tests of the write-ahead log: round trips, torn tails, damage in the middle, golden bytes.

use std::path::Path;

use narvi_types::{Entry, Labels, Metadata, Tenant, Timestamp};
use proptest::prelude::*;

use super::{
    Poison, RecordBuilder, Segment, Wal,
    record::{self, RECORD_HEAD_BYTES, StreamRows},
    replay::{Replayed, replay},
    segment::SEGMENT_HEAD_BYTES,
};
use crate::{ErrorKind, manifest::WriterId};

const WRITER: WriterId = WriterId(0x0123_4567_89ab_cdef);

type Rows = Vec<(Tenant, Vec<StreamRows>)>;

fn read(path: &Path) -> (Replayed, Rows) {
    let mut rows = Vec::new();
    let replayed = replay(path, WRITER, 5, &mut |tenant, streams| rows.push((tenant, streams))).expect("readable");
    (replayed, rows)
}

fn labels(value: &str) -> Labels {
    Labels::from_pairs([("app", value)]).expect("valid")
}

fn entries(count: i64, line: &str) -> Vec<Entry> {
    (0..count).map(|i| Entry::new(Timestamp::from_ns(i * 1000 - 500), format!("{line} {i}"))).collect()
}

/// A segment with `count` records of one stream each; gives the bytes where each one ends.
fn write(wal: &Wal, count: i64) -> (Segment, Vec<u64>, Rows) {
    let segment = wal.create(5).expect("created");
    let mut builder = RecordBuilder::default();
    let (mut ends, mut rows) = (Vec::new(), Vec::new());
    for i in 0..count {
        let tenant = Tenant::new(&format!("t{}", i % 2)).expect("valid");
        let (id, labels) = ((i % 3) as u32, labels(&format!("a{}", i % 3)));
        let stream = StreamRows { id, labels: (i < 3).then_some(labels), entries: entries(i + 1, "hello") };
        builder.start(&tenant);
        builder.stream(stream.id, stream.labels.as_ref(), &stream.entries);
        ends.push(segment.append(&mut builder).expect("appended"));
        rows.push((tenant, vec![stream]));
    }
    (segment, ends, rows)
}

fn folder() -> (tempfile::TempDir, Wal) {
    let folder = tempfile::tempdir().expect("folder");
    let wal = Wal::open(folder.path().join("wal"), WRITER, true).expect("opened");
    (folder, wal)
}

proptest! {
    #[test]
    fn records_round_trip(
        streams in proptest::collection::vec(
            (any::<u32>(), proptest::option::of("[a-z]{1,8}"),
             proptest::collection::vec((any::<i64>(), ".{0,40}", proptest::option::of(".{1,9}")), 0..20)),
            0..6,
        )
    ) {
        let streams: Vec<_> = streams.into_iter().map(|(id, app, rows)| StreamRows {
            id,
            labels: app.map(|app| labels(&app)),
            entries: rows.into_iter().map(|(ts, line, value)| {
                let metadata = Metadata::from_pairs(value.iter().map(|v| ("trace", v.as_str()))).expect("valid");
                Entry { metadata, ..Entry::new(Timestamp::from_ns(ts), line) }
            }).collect(),
        }).collect();
        let mut builder = RecordBuilder::default();
        builder.start(&Tenant::default());
        for stream in &streams {
            builder.stream(stream.id, stream.labels.as_ref(), &stream.entries);
        }
        let crc = builder.payload_crc();
        let payload = bytes::Bytes::copy_from_slice(&builder.finish(0, 0, crc)[RECORD_HEAD_BYTES..]);
        prop_assert_eq!(record::decode(&payload), Ok((Tenant::default(), streams)));
    }

    #[test]
    fn random_payloads_never_panic(bytes: Vec<u8>) {
        let mut payload = vec![1, b'a'];
        payload.extend(&bytes);
        let _ = record::decode(&payload.into());
        let _ = record::decode(&bytes.into());
    }

    #[test]
    fn one_changed_byte_loses_one_record_at_most(at: prop::sample::Index, by in 1u8..=255) {
        let (_folder, wal) = folder();
        let (segment, ends, rows) = write(&wal, 12);
        let mut bytes = std::fs::read(segment.path()).expect("read");
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        std::fs::write(segment.path(), &bytes).expect("written");
        // A changed version refuses the file.
        prop_assume!(at >= SEGMENT_HEAD_BYTES || !(8..10).contains(&at));
        let (replayed, found) = read(segment.path());
        let hit = ends.iter().position(|end| (at as u64) < *end).filter(|_| at >= SEGMENT_HEAD_BYTES);
        let expected: Rows =
            rows.into_iter().enumerate().filter(|(i, _)| Some(*i) != hit).map(|(_, row)| row).collect();
        prop_assert_eq!(found, expected);
        // The last record may just as well be torn.
        prop_assert_eq!(replayed.damage.is_empty(), hit == Some(11), "{:?}", replayed);
    }
}

#[test]
fn a_cut_at_any_byte_keeps_all_whole_records() {
    let (_folder, wal) = folder();
    let (segment, ends, rows) = write(&wal, 6);
    let bytes = std::fs::read(segment.path()).expect("read");
    assert_eq!(*ends.last().expect("some"), bytes.len() as u64);
    for cut in 0..=bytes.len() {
        for zeros in [0, 100] {
            let mut left = bytes[..cut].to_vec();
            left.resize(cut + zeros, 0);
            std::fs::write(segment.path(), &left).expect("written");
            let (replayed, found) = read(segment.path());
            let whole = ends.iter().filter(|end| **end <= cut as u64).count();
            assert_eq!(found, rows[..whole], "cut at {cut}");
            if cut >= SEGMENT_HEAD_BYTES {
                assert!(replayed.damage.is_empty(), "{replayed:?}");
            }
        }
    }
}

#[test]
fn pushed_bytes_are_not_taken_for_records() {
    let (_folder, wal) = folder();
    let (segment, ..) = write(&wal, 3);
    // The log of another database, and this one's records of another generation, pushed as lines.
    let forged = std::fs::read(segment.path()).expect("read");
    let other = Segment::create(wal.path_of(6), WRITER, 6).expect("created");
    let mut builder = RecordBuilder::default();
    for line in [forged.clone(), b"plain".to_vec()] {
        builder.start(&Tenant::default());
        builder.stream(0, Some(&labels("x")), &[Entry::new(Timestamp::from_ns(1), line)]);
        other.append(&mut builder).expect("appended");
    }
    let mut bytes = std::fs::read(other.path()).expect("read");
    bytes[SEGMENT_HEAD_BYTES + 5] ^= 1;
    std::fs::write(other.path(), &bytes).expect("written");
    let mut lines = Vec::new();
    let replayed = replay(other.path(), WRITER, 6, &mut |_, streams| {
        lines.extend(streams.into_iter().flat_map(|s| s.entries).map(|e| e.line));
    });
    assert_eq!(lines, ["plain"]);
    assert_eq!(replayed.expect("readable").damage.len(), 1);
}

#[test]
fn segments_of_another_version_are_refused() {
    let (_folder, wal) = folder();
    let head = super::segment::SegmentHead { version: 7, writer: WRITER, generation: 5 };
    std::fs::write(wal.path_of(5), head.encode()).expect("written");
    let error = replay(&wal.path_of(5), WRITER, 5, &mut |_, _| {}).expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("version 7"), "{error}");
}

/// Written once, never again.
#[test]
fn golden_segment_of_version_0() {
    let golden = include_bytes!("../../tests/golden/wal-v0.bin");
    let (_folder, wal) = folder();
    let (segment, _, rows) = write(&wal, 5);
    assert_eq!(std::fs::read(segment.path()).expect("read"), golden);
    std::fs::write(segment.path(), golden).expect("written");
    let (replayed, found) = read(segment.path());
    assert_eq!((found, replayed.records, replayed.torn_bytes), (rows, 5, 0));
}

#[test]
fn the_folder_lists_and_removes() {
    let (folder, wal) = folder();
    assert_eq!(Wal::writer_of(&folder.path().join("wal")), None);
    for generation in [3, 1, 2] {
        wal.create(generation).expect("created");
    }
    std::fs::write(folder.path().join("wal/notes.txt"), b"x").expect("written");
    assert_eq!(wal.generations().expect("listed"), [1, 2, 3]);
    assert_eq!(Wal::writer_of(&folder.path().join("wal")), Some(WRITER));
    wal.remove(2).expect("removed");
    wal.remove(2).expect("gone is fine");
    wal.put_aside(1).expect("renamed");
    assert_eq!(wal.generations().expect("listed"), [3]);
    assert!(wal.create(3).is_err(), "never written over");
}

#[test]
fn one_sync_serves_all_who_wait() {
    let (_folder, wal) = folder();
    let (segment, ends, _) = write(&wal, 4);
    let poison = Poison::default();
    std::thread::scope(|scope| {
        for end in &ends {
            scope.spawn(|| segment.sync_to(*end, &poison).expect("synced"));
        }
    });
    segment.sync(&poison).expect("synced");
    assert!(poison.check().is_ok());
}
