//! Looks at the files of a store for people: what one holds, and whether all of them are sound.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use narvi_chunk::Pack;
use narvi_index::Table;
use narvi_types::TimeRange;

use crate::{
    Error, ErrorKind, LocalStore, Result, Store,
    deletes::MarkFiles,
    manifest::{FileEntry, Manifest, ManifestStore, MarkFile},
};

/// What a check comes across, in order.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum CheckEvent<'a> {
    /// So much is to be read.
    Begin {
        /// Packs and tables.
        files: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// A file was read.
    File {
        /// Its key in the store.
        key: &'a str,
        /// Its size.
        bytes: u64,
    },
    /// A file, or the agreement of two, is damaged.
    Damage(&'a str),
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckReport {
    /// Packs that the manifest names.
    pub packs: u64,
    /// Index tables that the manifest names.
    pub tables: u64,
    /// Rows in packs without damage.
    pub rows: u64,
    /// Bytes of the files that were read.
    pub bytes: u64,
    /// Damage, one sentence each.
    pub problems: Vec<String>,
    /// Files that no manifest names; they are deleted after a time of grace and harm nothing.
    pub unnamed: Vec<String>,
}

/// Describes a pack or an index table for people, as a text over several lines.
///
/// # Errors
/// The file cannot be read, is damaged, or is neither.
pub fn inspect(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    let bytes: Bytes =
        fs::read(path).map_err(|error| Error::io(format!("cannot read {}", path.display()), error))?.into();
    let failed = |what: &str, error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Corrupt, format!("{} is no sound {what}: {error}", path.display()))
    };
    match kind_of(&bytes) {
        Some(Kind::Pack) => {
            let pack = Pack::open(&bytes).map_err(|error| failed("pack", &error))?;
            Ok(narvi_chunk::describe(&pack).to_string())
        }
        Some(Kind::Table) => {
            let described = narvi_index::describe(&bytes).map_err(|error| failed("index table", &error))?;
            Ok(described.to_string())
        }
        None => {
            let text = format!("{} is neither a pack nor an index table of Narvi", path.display());
            Err(Error::new(ErrorKind::Invalid, text))
        }
    }
}

enum Kind {
    Pack,
    Table,
}

/// Told by the names in the magic numbers at the beginning of the files.
fn kind_of(bytes: &Bytes) -> Option<Kind> {
    let head = &bytes[..bytes.len().min(8)];
    let has = |magic: &[u8]| head.windows(magic.len()).any(|window| window == magic);
    match () {
        () if has(b"NRVP") => Some(Kind::Pack),
        () if has(b"NRVI") => Some(Kind::Table),
        () => None,
    }
}

/// Verifies a data directory that nobody has open for writing: every pack and table that the manifest names, byte by
/// byte, that tables and packs agree, and what the manifest does not name. Changes nothing and replays no write-ahead
/// log. Costs a read and a decompression of everything.
///
/// # Errors
/// The folder is not a data directory, or its manifest cannot be read. Damage of files is in the report.
pub fn check(path: impl AsRef<Path>, progress: &mut dyn FnMut(CheckEvent<'_>)) -> Result<CheckReport> {
    let path = path.as_ref();
    if !path.join("WRITER").is_file() {
        let text = format!("{} is no data directory of Narvi", path.display());
        return Err(Error::new(ErrorKind::Invalid, text));
    }
    let store: Arc<dyn Store> = Arc::new(LocalStore::open(path)?);
    let manifest = ManifestStore::new(store.clone()).load()?;
    let mut check = Check { store, report: CheckReport::default(), progress, frames: BTreeMap::new() };
    let files = manifest.packs.iter().chain(&manifest.tables);
    let bytes = files.clone().map(|file| file.bytes).sum();
    (check.progress)(CheckEvent::Begin { files: files.count(), bytes });
    for file in &manifest.packs {
        check.pack(file);
    }
    for file in &manifest.tables {
        check.table(file);
    }
    for file in &manifest.marks {
        check.marks(file);
    }
    check.unnamed(&manifest)?;
    Ok(check.report)
}

struct Check<'a> {
    store: Arc<dyn Store>,
    report: CheckReport,
    progress: &'a mut dyn FnMut(CheckEvent<'_>),
    /// Rows and time range of each frame of each sound pack.
    frames: BTreeMap<String, Vec<(u32, TimeRange)>>,
}

impl Check<'_> {
    fn damage(&mut self, text: String) {
        (self.progress)(CheckEvent::Damage(&text));
        self.report.problems.push(text);
    }

    /// Reads a file as a whole and compares its size with the manifest's.
    fn read(&mut self, file: &FileEntry) -> Option<Bytes> {
        match self.store.get(&file.key) {
            Ok(bytes) => {
                self.report.bytes += bytes.len() as u64;
                (self.progress)(CheckEvent::File { key: &file.key, bytes: file.bytes });
                if bytes.len() as u64 != file.bytes {
                    let (key, has, wants) = (&file.key, bytes.len(), file.bytes);
                    self.damage(format!("{key}: has {has} bytes and should have {wants}"));
                }
                Some(bytes)
            }
            Err(error) => {
                self.damage(format!("{}: {error}", file.key));
                None
            }
        }
    }

    fn pack(&mut self, file: &FileEntry) {
        self.report.packs += 1;
        let Some(bytes) = self.read(file) else { return };
        let key = &file.key;
        let found = match narvi_chunk::verify(&bytes) {
            Ok(found) => found,
            Err(error) => return self.damage(format!("{key}: {error}")),
        };
        for problem in &found.problems {
            self.damage(format!("{key}: {problem}"));
        }
        self.report.rows += found.rows;
        if found.problems.is_empty() && found.rows != file.rows {
            self.damage(format!("{key}: has {} rows and should have {}", found.rows, file.rows));
        }
        if let Ok(pack) = Pack::open(&bytes) {
            let frames = pack.frames().iter().map(|frame| (frame.rows, frame.range)).collect();
            self.frames.insert(key.clone(), frames);
        }
    }

    fn table(&mut self, file: &FileEntry) {
        self.report.tables += 1;
        let Some(bytes) = self.read(file) else { return };
        let key = &file.key;
        match narvi_index::verify(&bytes) {
            Ok(stats) if stats.rows != file.rows => {
                self.damage(format!("{key}: refers to {} rows and should refer to {}", stats.rows, file.rows));
            }
            Ok(_) => {}
            Err(error) => return self.damage(format!("{key}: {error}")),
        }
        if let Err(text) = self.references(bytes) {
            self.damage(format!("{key}: {text}"));
        }
    }

    fn marks(&mut self, file: &MarkFile) {
        if let Err(error) = MarkFiles::new(self.store.clone()).open(file) {
            self.damage(error.to_string());
        }
    }

    /// Compares each block reference of a table with the frame that it names.
    fn references(&self, bytes: Bytes) -> Result<(), String> {
        let table = Table::open(bytes).map_err(|error| error.to_string())?;
        let tenants: Vec<String> =
            table.tenants().filter_map(|tenant| tenant.ok().map(|(name, _)| name.to_owned())).collect();
        for tenant in tenants {
            let Some(part) = table.part(&tenant).map_err(|error| error.to_string())? else { continue };
            let all = part.select(&[]).map_err(|error| error.to_string())?;
            for found in part.blocks_of(&all, TimeRange::ALL) {
                let (_, block) = found.map_err(|error| error.to_string())?;
                let pack = table.packs().get(block.pack as usize).ok_or("a block names a pack that is not listed")?;
                // A pack that is missing or damaged was reported already.
                let Some(frames) = self.frames.get(pack) else { continue };
                let (frame, first, rows) = (block.frame, block.first_row, block.rows);
                let fits = frames.get(frame as usize).is_some_and(|(frame_rows, range)| {
                    first.checked_add(rows).is_some_and(|end| end <= *frame_rows) && range.covers(&block.range)
                });
                if !fits {
                    return Err(format!(
                        "tenant {tenant}: a block of {rows} rows from row {first} does not fit frame {frame} of {pack}"
                    ));
                }
            }
        }
        Ok(())
    }

    fn unnamed(&mut self, manifest: &Manifest) -> Result<()> {
        let names: BTreeSet<&str> = manifest.names();
        for folder in ["packs", "index", "marks"] {
            for object in self.store.list(folder)? {
                if !names.contains(object.key.as_str()) {
                    self.report.unnamed.push(object.key);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{check, inspect};
    use crate::{Db, Entry, Labels, PushStream, Result, Tenant, Timestamp};

    fn filled(path: &std::path::Path) -> Result<()> {
        let db = Db::open(path)?;
        let labels = Labels::from_pairs([("app", "a")]).expect("the labels are right");
        let entries = (0..1000).map(|n| Entry::new(Timestamp::from_secs(n), format!("line {n}"))).collect();
        db.push(&Tenant::default(), vec![PushStream::new(labels, entries)])?.wait()?;
        db.flush()?;
        db.close()
    }

    #[test]
    fn a_sound_store_has_no_problems_and_a_damaged_one_has() -> Result<()> {
        let folder = tempfile::tempdir().expect("a folder");
        filled(folder.path())?;
        let report = check(folder.path(), &mut |_| {})?;
        assert_eq!((report.packs, report.tables, report.rows), (1, 1, 1000));
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        let file_in = |name: &str| {
            let mut files = walk(&folder.path().join(name));
            files.remove(0)
        };
        assert!(inspect(file_in("packs"))?.contains("pack"));
        assert!(inspect(file_in("index"))?.contains("index table"));
        assert!(inspect(folder.path().join("WRITER")).is_err());
        for name in ["packs", "index"] {
            let path = file_in(name);
            let sound = fs::read(&path).expect("the file is there");
            let mut damaged = sound.clone();
            let middle = damaged.len() / 2;
            damaged[middle] ^= 0x40;
            fs::write(&path, &damaged).expect("the file can be written");
            assert!(!check(folder.path(), &mut |_| {})?.problems.is_empty(), "{name}");
            fs::write(&path, &sound).expect("the file can be written");
        }
        fs::write(folder.path().join("packs/other"), b"x").expect("the file can be written");
        let report = check(folder.path(), &mut |_| {})?;
        assert_eq!(report.unnamed, ["packs/other"]);
        assert!(check(folder.path().join("none"), &mut |_| {}).is_err());
        Ok(())
    }

    fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
        let entries = fs::read_dir(folder).expect("the folder is there").map(|entry| entry.expect("an entry").path());
        entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
    }
}
