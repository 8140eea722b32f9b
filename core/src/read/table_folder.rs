//! Copies of index tables on the disk of a process that reads a store elsewhere, so that they need not lie in memory.
//!
//! A copy is a file of a [`LocalStore`]: written under another name, synced and renamed, and mapped from then on. Its name
//! ends with size and checksum, so that one of an earlier run is trusted only if it is whole. Losing a copy costs a fetch.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::{
    Result,
    store::{LocalStore, Store as _},
};

/// A folder of copies, bounded in bytes.
#[derive(Debug)]
pub(crate) struct TableFolder {
    store: LocalStore,
    max_bytes: u64,
    files: Mutex<Files>,
}

#[derive(Debug, Default)]
struct Files {
    by_key: HashMap<String, File>,
    bytes: u64,
    /// Counts uses, to find what was not used for long.
    clock: u64,
}

#[derive(Clone, Copy, Debug)]
struct File {
    bytes: u64,
    crc: u32,
    used: u64,
    /// Whether this process wrote or checked it.
    checked: bool,
}

/// The name of a copy.
fn name(key: &str, file: &File) -> String {
    format!("{key}-{}-{:08x}", file.bytes, file.crc)
}

/// Key, size and checksum of a copy.
fn parse(name: &str) -> Option<(&str, u64, u32)> {
    let (rest, crc) = name.rsplit_once('-')?;
    let (key, bytes) = rest.rsplit_once('-')?;
    Some((key, bytes.parse().ok()?, u32::from_str_radix(crc, 16).ok()?))
}

impl TableFolder {
    /// Opens a folder, which no other process may use. Copies that do not fit any more go, the oldest first.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub(crate) fn open(path: PathBuf, max_bytes: u64) -> Result<Self> {
        let store = LocalStore::open(path)?;
        let mut objects = store.list("")?;
        objects.sort_by_key(|object| object.modified);
        let mut files = Files::default();
        for object in objects {
            match parse(&object.key) {
                Some((key, bytes, crc)) if bytes == object.bytes => {
                    files.insert(key, File { bytes, crc, used: 0, checked: false });
                }
                _ => {
                    // Not one of ours, or cut. What cannot be removed stays, unused.
                    let _ = store.delete(&object.key);
                }
            }
        }
        let folder = Self { store, max_bytes, files: Mutex::new(files) };
        folder.make_room(0);
        Ok(folder)
    }

    /// The bytes of a copy, mapped.
    pub(crate) fn get(&self, key: &str) -> Option<Bytes> {
        let file = self.files.lock().touch(key)?;
        let mapped = self
            .map(key, &file)
            .filter(|bytes| bytes.len() as u64 == file.bytes && (file.checked || crc32fast::hash(bytes) == file.crc));
        match &mapped {
            Some(_) => self.files.lock().checked(key),
            None => self.remove(key),
        }
        mapped
    }

    /// Makes a copy, and gives it mapped, with the keys that had to go for it. Nothing when there can be none.
    pub(crate) fn keep(&self, key: &str, bytes: Bytes) -> Option<(Bytes, BTreeSet<String>)> {
        let file = File { bytes: bytes.len() as u64, crc: crc32fast::hash(&bytes), used: 0, checked: true };
        if file.bytes > self.max_bytes {
            return None;
        }
        let dropped = self.make_room(file.bytes);
        self.store.put(&name(key, &file), &[bytes]).ok()?;
        self.files.lock().insert(key, file);
        Some((self.map(key, &file)?, dropped))
    }

    /// Removes the copies of tables that are not named.
    pub(crate) fn retain(&self, named: &BTreeSet<&str>) {
        let gone: Vec<String> =
            self.files.lock().by_key.keys().filter(|key| !named.contains(key.as_str())).cloned().collect();
        gone.iter().for_each(|key| self.remove(key));
    }

    fn map(&self, key: &str, file: &File) -> Option<Bytes> {
        let path = self.store.local_path(&name(key, file))?;
        crate::mmap::map_committed(&path).ok()
    }

    fn remove(&self, key: &str) {
        let Some(file) = self.files.lock().remove(key) else { return };
        // One that cannot be removed is found again at the next start.
        let _ = self.store.delete(&name(key, &file));
    }

    /// Removes what was not used for longest until so many bytes fit; says which.
    fn make_room(&self, bytes: u64) -> BTreeSet<String> {
        let mut dropped = BTreeSet::new();
        loop {
            let files = self.files.lock();
            if files.bytes.saturating_add(bytes) <= self.max_bytes {
                return dropped;
            }
            let Some(key) = files.by_key.iter().min_by_key(|(_, file)| file.used).map(|(key, _)| key.clone()) else {
                return dropped;
            };
            drop(files);
            self.remove(&key);
            dropped.insert(key);
        }
    }
}

impl Files {
    fn insert(&mut self, key: &str, file: File) {
        self.remove(key);
        self.clock += 1;
        self.bytes += file.bytes;
        self.by_key.insert(key.to_owned(), File { used: self.clock, ..file });
    }

    fn remove(&mut self, key: &str) -> Option<File> {
        let file = self.by_key.remove(key)?;
        self.bytes -= file.bytes;
        Some(file)
    }

    fn touch(&mut self, key: &str) -> Option<File> {
        self.clock += 1;
        let file = self.by_key.get_mut(key)?;
        file.used = self.clock;
        Some(*file)
    }

    fn checked(&mut self, key: &str) {
        if let Some(file) = self.by_key.get_mut(key) {
            file.checked = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::TableFolder;

    fn names(path: &Path) -> Vec<String> {
        let entries = fs::read_dir(path.join("index")).expect("a folder");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    #[test]
    fn copies_come_back_after_a_restart_unless_they_were_changed() {
        let path = tempfile::tempdir().expect("a folder");
        let open = || TableFolder::open(path.path().to_owned(), 100).expect("it opens");
        let folder = open();
        assert!(folder.get("index/a").is_none());
        let (kept, dropped) = folder.keep("index/a", "alpha".into()).expect("it is kept");
        assert_eq!((&kept[..], dropped.len()), (&b"alpha"[..], 0));
        folder.keep("index/b", "beta".into()).expect("it is kept");
        folder.keep("index/c", "gamma".into()).expect("it is kept");
        let listed = names(path.path());
        assert_eq!(listed.len(), 3, "{listed:?}");
        fs::write(path.path().join("index").join(&listed[1]), "zeta").expect("written");
        fs::write(path.path().join("index").join(&listed[2]), "gam").expect("written");
        fs::write(path.path().join("index").join("other"), "x").expect("written");
        let folder = open();
        assert_eq!(folder.get("index/a").as_deref(), Some(&b"alpha"[..]));
        assert!(folder.get("index/b").is_none(), "changed");
        assert!(folder.get("index/c").is_none(), "cut");
        assert_eq!(names(path.path()), listed[..1]);
        folder.retain(&BTreeSet::from(["index/b"]));
        assert!(folder.get("index/a").is_none() && names(path.path()).is_empty());
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let path = tempfile::tempdir().expect("a folder");
        let folder = TableFolder::open(path.path().to_owned(), 10).expect("it opens");
        for key in ["index/a", "index/b", "index/c"] {
            folder.keep(key, "abc".into()).expect("it fits");
        }
        folder.get("index/a").expect("it is there");
        let (_, dropped) = folder.keep("index/d", "abcd".into()).expect("it fits");
        assert_eq!(dropped, BTreeSet::from(["index/b".to_owned()]));
        assert!(folder.get("index/a").is_some() && folder.get("index/d").is_some());
        assert!(folder.keep("index/e", "too large for it".into()).is_none());
        drop(folder);
        let folder = TableFolder::open(path.path().to_owned(), 4).expect("it opens");
        assert_eq!(names(path.path()).len(), 1);
        assert!(folder.get("index/a").is_none());
    }
}
