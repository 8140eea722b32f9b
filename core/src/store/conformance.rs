//! What every store must do, run on all of them.

use std::sync::Arc;

use bytes::Bytes;

use super::{
    Fault, FaultStore, LocalStore, MemoryStore, ObjectStoreAdapter, ObservedStore, SpreadStore, Store, StoreErrorKind,
};

/// A store and what must live as long as it does.
type Made = (Arc<dyn Store>, Option<tempfile::TempDir>);

fn stores() -> Vec<(&'static str, Made)> {
    let local = tempfile::tempdir().expect("folder");
    let remote = tempfile::tempdir().expect("folder");
    let adapter = |inner: Arc<dyn object_store::ObjectStore>, prefix| -> Arc<dyn Store> {
        Arc::new(ObjectStoreAdapter::new(inner, prefix).expect("started"))
    };
    let memory = || Arc::new(MemoryStore::new()) as Arc<dyn Store>;
    let files = object_store::local::LocalFileSystem::new_with_prefix(remote.path()).expect("a folder");
    vec![
        ("memory", (Arc::new(MemoryStore::new()), None)),
        ("local", (Arc::new(LocalStore::open(local.path()).expect("opened")), Some(local))),
        ("object_store memory", (adapter(Arc::new(object_store::memory::InMemory::new()), ""), None)),
        ("object_store memory, prefix", (adapter(Arc::new(object_store::memory::InMemory::new()), "a/b"), None)),
        ("object_store files", (adapter(Arc::new(files), "narvi"), Some(remote))),
        ("spread", (Arc::new(SpreadStore::new((0..3).map(|_| memory()).collect()).expect("there are stores")), None)),
        ("observed", (Arc::new(ObservedStore::new(memory(), |_| ())), None)),
        ("fault without faults", (Arc::new(FaultStore::new(Arc::new(MemoryStore::new()), |_, _, _| None)), None)),
    ]
}

fn on_all(check: impl Fn(&str, &Arc<dyn Store>)) {
    for (name, (store, _folder)) in stores() {
        check(name, &store);
    }
}

fn parts(parts: &[&'static str]) -> Vec<Bytes> {
    parts.iter().map(|p| Bytes::from_static(p.as_bytes())).collect()
}

#[test]
fn what_is_put_is_got() {
    on_all(|name, store| {
        store.put("a/b.pack", &parts(&["one", "", "two"])).expect(name);
        assert_eq!(store.get("a/b.pack").expect(name), "onetwo", "{name}");
        assert_eq!(store.size("a/b.pack").expect(name), 6, "{name}");
        store.put("a/b.pack", &parts(&["three"])).expect(name);
        assert_eq!(store.get("a/b.pack").expect(name), "three", "{name}");
        assert_eq!(store.get_range("a/b.pack", 1..3).expect(name), "hr", "{name}: replaced");
        store.put("empty", &[]).expect(name);
        assert_eq!(store.get("empty").expect(name), "", "{name}");
    });
}

#[test]
fn only_the_first_create_wins() {
    on_all(|name, store| {
        assert!(store.put_if_absent("m/1", &parts(&["first"])).expect(name), "{name}");
        assert!(!store.put_if_absent("m/1", &parts(&["second"])).expect(name), "{name}");
        assert_eq!(store.get("m/1").expect(name), "first", "{name}");
        store.delete("m/1").expect(name);
        assert!(store.put_if_absent("m/1", &parts(&["third"])).expect(name), "{name}");
        let winners: usize = std::thread::scope(|scope| {
            let racers: Vec<_> = (0..8)
                .map(|i| scope.spawn(move || store.put_if_absent("m/2", &[Bytes::from(format!("{i}"))]).expect(name)))
                .collect();
            racers.into_iter().map(|r| usize::from(r.join().expect("joined"))).sum()
        });
        assert_eq!(winners, 1, "{name}");
    });
}

#[test]
fn ranges_lie_within_the_object() {
    on_all(|name, store| {
        store.put("x", &parts(&["0123456789"])).expect(name);
        assert_eq!(store.get_range("x", 0..10).expect(name), "0123456789", "{name}");
        assert_eq!(store.get_range("x", 4..4).expect(name), "", "{name}");
        assert_eq!(store.get_range("x", 10..10).expect(name), "", "{name}");
        let several = store.get_ranges("x", &[7..9, 0..2, 3..3, 1..5]).expect(name);
        assert_eq!(several, ["78", "01", "", "1234"], "{name}");
        #[expect(clippy::reversed_empty_ranges, reason = "wrong on purpose")]
        for range in [0..11, 10..12, 20..30, 11..11, 5..4] {
            let kind = store.get_range("x", range.clone()).map_err(|e| e.kind());
            assert_eq!(kind, Err(StoreErrorKind::OutOfRange), "{name} {range:?}");
            assert!(store.get_ranges("x", &[0..1, range]).is_err(), "{name}");
        }
    });
}

#[test]
fn missing_objects_are_told_apart() {
    on_all(|name, store| {
        assert_eq!(store.get("none").map_err(|e| e.kind()), Err(StoreErrorKind::NotFound), "{name}");
        assert_eq!(store.get_range("none", 0..1).map_err(|e| e.kind()), Err(StoreErrorKind::NotFound), "{name}");
        assert_eq!(store.size("none/either").map_err(|e| e.kind()), Err(StoreErrorKind::NotFound), "{name}");
        store.delete("none").expect(name);
        assert!(store.list("none").expect(name).is_empty(), "{name}");
        store.put("there", &parts(&["x"])).expect(name);
        assert_eq!(store.get_range("there", 0..1).expect(name), "x", "{name}");
        store.delete("there").expect(name);
        assert_eq!(store.get_range("there", 0..1).map_err(|e| e.kind()), Err(StoreErrorKind::NotFound), "{name}");
    });
}

#[test]
fn listings_are_sorted_and_by_whole_segments() {
    on_all(|name, store| {
        for key in ["p/b", "p/a", "p/c/d", "pq", "q/x", "p/a.x"] {
            store.put(key, &parts(&["12"])).expect(name);
        }
        let keys = |prefix: &str| -> Vec<String> {
            store.list(prefix).expect(name).into_iter().map(|object| object.key).collect()
        };
        assert_eq!(keys("p"), ["p/a", "p/a.x", "p/b", "p/c/d"], "{name}");
        assert_eq!(keys("p/c"), ["p/c/d"], "{name}");
        assert_eq!(keys(""), ["p/a", "p/a.x", "p/b", "p/c/d", "pq", "q/x"], "{name}");
        let object = store.list("q").expect(name).remove(0);
        assert_eq!(object.bytes, 2, "{name}");
        assert!(object.modified.is_some(), "{name}");
    });
}

#[test]
fn no_key_leaves_the_store() {
    on_all(|name, store| {
        for key in ["", "/a", "a/", "a//b", "../a", "a/../b", ".", "a/.", "a\\b", "a b", "\u{e9}", ".tmp-x", "a/.tmp-1"]
        {
            let refused = store.put(key, &parts(&["x"])).map_err(|e| e.kind());
            assert_eq!(refused, Err(StoreErrorKind::InvalidKey), "{name} '{key}'");
            assert_eq!(store.get(key).map_err(|e| e.kind()), Err(StoreErrorKind::InvalidKey), "{name} '{key}'");
            assert!(store.delete(key).is_err(), "{name} '{key}'");
        }
        assert!(store.put(&"x/".repeat(17), &[]).is_err(), "{name}");
        assert!(store.list("../x").is_err(), "{name}");
        store.put("tenants/a!-_.*'()/1", &parts(&["x"])).expect(name);
        assert_eq!(store.list("tenants").expect(name).len(), 1, "{name}");
    });
}

#[test]
fn local_files_are_whole_and_temporaries_go() {
    let folder = tempfile::tempdir().expect("folder");
    let store = LocalStore::open(folder.path()).expect("opened");
    store.put("a/b", &parts(&["x"])).expect("put");
    let path = store.local_path("a/b").expect("a path");
    assert_eq!(std::fs::read(path).expect("read"), b"x");
    let left = folder.path().join("a/.tmp-narvi-1-1");
    std::fs::write(&left, b"half").expect("written");
    assert_eq!(store.list("").expect("listed").len(), 1);
    drop(store);
    LocalStore::open(folder.path()).expect("opened");
    assert!(!left.exists());
}

#[test]
fn errors_name_the_path() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("file");
    std::fs::write(&file, b"x").expect("written");
    let error = LocalStore::open(file.join("below")).expect_err("a file is no folder");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[test]
fn an_adapter_may_be_used_and_dropped_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("built");
    runtime.block_on(async {
        let inner = Arc::new(object_store::memory::InMemory::new());
        let store = ObjectStoreAdapter::new(inner, "narvi").expect("started");
        store.put("a", &parts(&["x"])).expect("put");
        assert_eq!(store.get("a").expect("got"), "x");
        drop(store);
    });
}

#[test]
fn faults_come_before_or_after_the_deed() {
    let inner: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let store = FaultStore::new(inner.clone(), |step, _, _| match step {
        0 => Some(Fault::Before(StoreErrorKind::Full)),
        1 => Some(Fault::After(StoreErrorKind::Unavailable)),
        _ => None,
    });
    assert_eq!(store.put("a", &[]).map_err(|e| e.kind()), Err(StoreErrorKind::Full));
    assert!(inner.get("a").is_err());
    assert_eq!(store.put("a", &[]).map_err(|e| e.kind()), Err(StoreErrorKind::Unavailable));
    assert!(inner.get("a").is_ok());
    store.put("a", &[]).expect("no fault");
    assert_eq!(store.steps(), 3);
}
