//! Tests of manifests: bytes, races, damage.

use std::sync::Arc;

use narvi_types::{Tenant, TimeRange};
use proptest::prelude::*;

use super::{Delta, FileEntry, Manifest, ManifestStore, MarkFile, Retired, WriterId, codec, key_of};
use crate::{
    ErrorKind,
    deletes::{DeleteId, DeleteRequest, DeleteStatus},
    store::{Fault, FaultStore, MemoryStore, Store, StoreErrorKind},
};

fn file(key: &str) -> Arc<FileEntry> {
    Arc::new(FileEntry {
        key: key.to_owned(),
        bytes: 1234,
        level: 1,
        tenant: None,
        period: None,
        range: TimeRange::new(-5, 7),
        rows: 10,
        class: None,
    })
}

fn added(key: &str) -> Delta {
    Delta { add_packs: vec![file(key)], ..Delta::default() }
}

fn keys(manifest: &Manifest) -> Vec<&str> {
    manifest.packs.iter().map(|file| file.key.as_str()).collect()
}

fn example() -> Manifest {
    let tenant = Tenant::new("acme").expect("valid");
    let split = FileEntry { tenant: Some(tenant), period: Some(-3), level: 2, ..(*file("packs/b.pack")).clone() };
    Manifest {
        sequence: 42,
        packs: vec![file("packs/a.pack"), Arc::new(split)],
        tables: vec![file("index/a.index")],
        covered: [(WriterId(7), 9), (WriterId(u64::MAX), 1)].into(),
        retired: vec![Retired { key: "packs/old.pack".into(), at_ms: 1_700_000_000_000 }],
        ..Manifest::default()
    }
}

fn request(id: u32, status: DeleteStatus) -> Arc<DeleteRequest> {
    Arc::new(DeleteRequest {
        id: DeleteId(id),
        tenant: Tenant::new("acme").expect("valid"),
        query: r#"{app="x"} |= "secret""#.to_owned(),
        range: TimeRange::new(-1, i64::MAX),
        created_ms: 1_700_000_000_000,
        status,
    })
}

fn mark(key: &str, id: u32) -> Arc<MarkFile> {
    Arc::new(MarkFile { key: key.to_owned(), bytes: 100, request: DeleteId(id) })
}

/// What came with requests to delete.
fn example_with_deletes() -> Manifest {
    let mut manifest = example();
    manifest.packs.push(Arc::new(FileEntry { class: Some(86_400), ..(*file("packs/c.pack")).clone() }));
    let processed = DeleteStatus::Processed { at_ms: 1_700_000_000_001 };
    manifest.deletes = vec![request(0xdead_beef, processed), request(7, DeleteStatus::Received)];
    manifest.marks = vec![mark("marks/a.mark", 7)];
    manifest
}

/// Written once, never again: bytes on disk prove that old stores can be read.
#[test]
fn golden_manifest_of_version_0() {
    let golden = include_bytes!("../../tests/golden/manifest-v0.bin");
    assert_eq!(codec::decode(golden).expect("readable"), example());
    assert_eq!(codec::encode(&example()), golden);
    let golden = include_bytes!("../../tests/golden/manifest-v0-deletes.bin");
    assert_eq!(codec::decode(golden).expect("readable"), example_with_deletes());
    assert_eq!(codec::encode(&example_with_deletes()), golden);
}

#[test]
fn requests_come_and_go_with_their_marks() {
    let manifests = ManifestStore::new(Arc::new(MemoryStore::new()));
    let commit = |base: &Arc<Manifest>, delta: &Delta| manifests.commit(base, delta).expect("committed");
    let add = Delta { add_deletes: vec![request(1, DeleteStatus::Received)], ..Delta::default() };
    let base = commit(&Arc::default(), &add);
    assert!(base.contains(&add));
    // The same again is the same.
    assert_eq!(commit(&base, &add).sequence, 1);
    let base = commit(&base, &Delta { add_deletes: vec![request(2, DeleteStatus::Received)], ..Delta::default() });
    let marks =
        Delta { add_marks: vec![mark("marks/1", 1), mark("marks/2", 2), mark("marks/9", 9)], ..Delta::default() };
    let base = commit(&base, &marks);
    assert!(base.contains(&marks));
    assert_eq!(base.marks.iter().map(|file| file.key.as_str()).collect::<Vec<_>>(), ["marks/1", "marks/2"]);
    assert_eq!(base.retired.iter().map(|file| file.key.as_str()).collect::<Vec<_>>(), ["marks/9"]);
    let cancel = Delta { cancel: [DeleteId(1)].into(), ..Delta::default() };
    assert!(!base.contains(&cancel));
    // Files without the lines of a request are of no use once it was cancelled, before or after they were made.
    let without = |key: &str| Delta { without: [DeleteId(1)].into(), ..added(key) };
    let base = commit(&base, &without("packs/w"));
    let late = base.clone();
    let base = commit(&base, &cancel);
    for base in [&base, &late] {
        let error = manifests.commit(base, &without("packs/v")).expect_err("cancelled");
        assert_eq!(error.kind(), ErrorKind::Busy);
        assert!(error.to_string().contains("delete request 00000001 was cancelled"), "{error}");
    }
    assert!(base.contains(&cancel) && base.contains(&marks) && !base.contains(&add));
    let processed = Delta { processed: [DeleteId(2)].into(), at_ms: 5, ..Delta::default() };
    assert!(!base.contains(&processed));
    let base = commit(&base, &processed);
    assert!(base.contains(&processed) && base.marks.is_empty() && base.pending_deletes().next().is_none());
    assert_eq!(base.deletes[0].status, DeleteStatus::Processed { at_ms: 5 });
    assert!(base.names().contains("marks/2"));
    // It is forgotten after a month.
    let late = Delta { at_ms: 31 * 24 * 3600 * 1000, ..added("packs/x") };
    assert!(commit(&base, &late).deletes.is_empty());
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        sequence: u64,
        files in proptest::collection::vec(("[a-z/]{0,20}", any::<(u64, u8, Option<i64>, i64, i64, u64)>(), any::<bool>()), 0..20),
        covered in proptest::collection::btree_map(any::<u64>(), any::<u64>(), 0..5),
        retired in proptest::collection::vec(("[a-z]{0,9}", any::<u64>()), 0..5),
        deletes in proptest::collection::vec((any::<u32>(), ".{0,9}", any::<(i64, i64, u64, Option<u64>)>()), 0..4),
        marks in proptest::collection::vec(("[a-z]{0,9}", any::<u32>()), 0..4),
    ) {
        let deletes = deletes.into_iter().map(|(id, query, (min, max, created_ms, processed))| {
            let status = processed.map_or(DeleteStatus::Received, |at_ms| DeleteStatus::Processed { at_ms });
            let range = TimeRange::new(min, max);
            Arc::new(DeleteRequest { query, range, created_ms, ..(*request(id, status)).clone() })
        });
        let files: Vec<_> = files.into_iter().map(|(key, (bytes, level, period, min, max, rows), has)| {
            let tenant = has.then(Tenant::default);
            Arc::new(FileEntry { key, bytes, level, tenant, period, range: TimeRange::new(min, max), rows, class: rows.checked_rem(3) })
        }).collect();
        let manifest = Manifest {
            sequence,
            packs: files.clone(),
            tables: files.into_iter().rev().collect(),
            covered: covered.into_iter().map(|(w, g)| (WriterId(w), g)).collect(),
            retired: retired.into_iter().map(|(key, at_ms)| Retired { key, at_ms }).collect(),
            deletes: deletes.collect(),
            marks: marks.into_iter().map(|(key, id)| mark(&key, id)).collect(),
        };
        prop_assert_eq!(codec::decode(&codec::encode(&manifest)), Ok(manifest));
    }

    #[test]
    fn any_changed_byte_is_found(at: prop::sample::Index, by in 1u8..=255) {
        let mut bytes = codec::encode(&example_with_deletes());
        let at = at.index(bytes.len());
        bytes[at] ^= by;
        prop_assert!(codec::decode(&bytes).is_err());
    }

    #[test]
    fn random_bytes_are_refused(bytes: Vec<u8>, cut: prop::sample::Index) {
        prop_assert!(codec::decode(&bytes).is_err());
        // Right in front and behind, random in between.
        let mut forged = codec::encode(&Manifest::default())[..20].to_vec();
        forged.extend(bytes);
        let crc = crc32fast::hash(&forged);
        forged.extend(crc.to_le_bytes());
        let _ = codec::decode(&forged);
        let whole = codec::encode(&example_with_deletes());
        prop_assert!(codec::decode(&whole[..cut.index(whole.len())]).is_err());
    }
}

#[test]
fn commits_follow_each_other_and_old_ones_go() {
    let store = Arc::new(MemoryStore::new());
    let manifests = ManifestStore::new(store.clone());
    let mut last = manifests.load().expect("empty");
    assert_eq!(last.sequence, 0);
    for i in 0..20 {
        last = manifests.commit(&last, &added(&format!("packs/{i}"))).expect("committed");
    }
    assert_eq!(last.sequence, 20);
    assert_eq!(manifests.load().expect("loaded"), last);
    assert_eq!(store.list("manifest").expect("listed").len(), 8);
    let delta = Delta { remove: ["packs/3".to_owned()].into(), at_ms: 5, ..Delta::default() };
    let next = manifests.commit(&last, &delta).expect("committed");
    assert!(!keys(&next).contains(&"packs/3"));
    assert_eq!(next.retired, [Retired { key: "packs/3".into(), at_ms: 5 }]);
    let again = manifests.commit(&next, &Delta { remove: ["packs/3".to_owned()].into(), ..Delta::default() });
    assert_eq!(again.map_err(|e| e.kind()).err(), Some(ErrorKind::Busy));
}

#[test]
fn racing_writers_lose_nothing() {
    let store = Arc::new(MemoryStore::new());
    std::thread::scope(|scope| {
        for writer in 0..4u64 {
            let manifests = ManifestStore::new(store.clone());
            scope.spawn(move || {
                let mut base = manifests.load().expect("loaded");
                for i in 0..25u64 {
                    let delta = Delta { covered: Some((WriterId(writer), i)), ..added(&format!("packs/{writer}-{i}")) };
                    base = manifests.commit(&base, &delta).expect("committed");
                }
            });
        }
    });
    let manifest = ManifestStore::new(store).load().expect("loaded");
    assert_eq!(manifest.packs.len(), 100);
    assert_eq!(manifest.sequence, 100);
    assert!((0..4).all(|writer| manifest.covered_of(WriterId(writer)) == 24));
}

#[test]
fn a_writer_far_behind_does_not_bring_an_old_number_back() {
    let store = Arc::new(MemoryStore::new());
    let manifests = ManifestStore::new(store.clone());
    let old = manifests.commit(&Arc::default(), &added("packs/0")).expect("committed");
    let mut newest = old.clone();
    for i in 1..30 {
        newest = manifests.commit(&newest, &added(&format!("packs/{i}"))).expect("committed");
    }
    assert!(store.get(&key_of(2)).is_err(), "pruned");
    let made = manifests.commit(&old, &added("packs/late")).expect("committed");
    assert_eq!(made.sequence, 31);
    assert_eq!(made.packs.len(), 31);
    assert!(store.get(&key_of(2)).is_err());
}

#[test]
fn a_commit_whose_answer_was_lost_is_found_again() {
    let inner = Arc::new(MemoryStore::new());
    let fault = FaultStore::new(inner, |_, name, key| {
        (name == "put_if_absent" && key == key_of(2)).then_some(Fault::After(StoreErrorKind::Unavailable))
    });
    let manifests = ManifestStore::new(Arc::new(fault));
    let base = manifests.commit(&Arc::default(), &added("packs/0")).expect("committed");
    let error = manifests.commit(&base, &added("packs/1")).expect_err("the answer is lost");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    // Trying the same again finds the number taken, by itself.
    let made = manifests.load().expect("loaded");
    assert_eq!(keys(&made), ["packs/0", "packs/1"]);
    assert!(made.contains(&added("packs/1")));
}

#[test]
fn a_damaged_newest_manifest_is_named() {
    let store = Arc::new(MemoryStore::new());
    let manifests = ManifestStore::new(store.clone());
    let base = manifests.commit(&Arc::default(), &added("packs/0")).expect("committed");
    manifests.commit(&base, &added("packs/1")).expect("committed");
    let mut bytes = store.get(&key_of(2)).expect("there").to_vec();
    bytes[30] ^= 1;
    store.put(&key_of(2), &[bytes.into()]).expect("put");
    let error = manifests.load().expect_err("damaged");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&key_of(2)), "{error}");
    // Another version is told from damage.
    let mut bytes = codec::encode(&example());
    bytes[8] = 9;
    assert_eq!(codec::decode(&bytes), Err(codec::DecodeError::Version(9)));
}
