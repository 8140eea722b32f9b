//! Opens a writer: locks the directory, finds the manifest, and reads the write-ahead log back.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use parking_lot::{Mutex, RwLock};

use super::{Active, FlushReason, Writer};
use crate::{
    Error, ErrorKind, LocalStore, MemoryStore, Result, Settings, Store, WalSync,
    clock::{Clock, draw_u64},
    failpoint::Failpoints,
    head::{Generation, StreamHead, TenantHead},
    manifest::{ManifestStore, WriterId},
    state::{SharedState, State},
    store::sync_folder,
    wal::{self, Wal},
};

/// What a writer is made of.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The data directory; none for a database in memory.
    pub(crate) folder: Option<PathBuf>,
    /// Where files go; the data directory, or memory, if none is given.
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) settings: Settings,
    /// Whether it may delete what is of no use.
    pub(crate) upkeep: bool,
}

/// What was found when a database was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenReport {
    /// Segments of the write-ahead log that were read back.
    pub replayed_segments: u64,
    /// Rows that were read back.
    pub replayed_rows: u64,
    /// Bytes at the ends of segments that belong to pushes that were never acknowledged.
    pub torn_bytes: u64,
    /// Damage in the write-ahead log, one sentence each. Acknowledged rows may be lost; damaged segments are kept beside the
    /// others, under names that end in `.damaged`.
    pub damage: Vec<String>,
}

const LOCK_FILE: &str = "LOCK";
const WRITER_FILE: &str = "WRITER";
const WAL_FOLDER: &str = "wal";

impl Writer {
    pub(crate) fn open(setup: Setup) -> Result<Arc<Self>> {
        let Setup { folder, store, settings, upkeep } = setup;
        let lock = folder.as_deref().map(lock_folder).transpose()?;
        let shared = store.is_some();
        let store: Arc<dyn Store> = match (store, &folder) {
            (Some(store), _) => store,
            (None, Some(folder)) => Arc::new(LocalStore::open(folder)?),
            (None, None) => Arc::new(MemoryStore::new()),
        };
        let manifests = ManifestStore::new(store.clone());
        let manifest = manifests.load()?;
        let id = folder.as_deref().map_or_else(|| Ok(WriterId(draw_u64())), writer_id)?;
        let wal = match &folder {
            Some(folder) if settings.wal.enabled || folder.join(WAL_FOLDER).is_dir() => {
                Some(Arc::new(Wal::open(folder.join(WAL_FOLDER), id, settings.wal.sync != WalSync::Never)?))
            }
            _ => None,
        };
        let logged = wal.as_ref().map_or_else(|| Ok(Vec::new()), |wal| wal.generations())?;
        let covered = manifest.covered_of(id);
        let next = logged.last().copied().unwrap_or(0).max(covered) + 1;
        let generation = Arc::new(Generation::new(next));
        let writing = wal.as_ref().filter(|_| settings.wal.enabled);
        let segment = writing.map(|wal| wal.create(next).map(Arc::new)).transpose()?;
        let state = SharedState::new(State { manifest, generations: vec![generation.clone()] });
        let writer = Self {
            store,
            shared,
            manifests,
            id,
            state,
            active: RwLock::new(Active { generation, segment }),
            rotating: Mutex::default(),
            frozen: Mutex::default(),
            damaged: Mutex::default(),
            flushing: Mutex::default(),
            making: Mutex::default(),
            pressure: Mutex::default(),
            relieved: parking_lot::Condvar::new(),
            wake: parking_lot::Condvar::new(),
            subscribers: super::Subscribers::default(),
            buffers: Mutex::default(),
            closed: false.into(),
            clock: Clock,
            report: Mutex::default(),
            stats: Mutex::default(),
            wal_records: 0.into(),
            wal_full_failures: 0.into(),
            failpoints: Failpoints::new(),
            wal,
            settings,
            _lock: lock,
        };
        let begun = Instant::now();
        writer.replay(&logged, covered)?;
        writer.stats.lock().wal.replay_time = begun.elapsed();
        writer.failpoints.hit("open.replayed")?;
        if upkeep {
            // Garbage does no harm; a store that cannot be listed now is tried again next time.
            let _ = writer.collect_garbage();
        }
        Ok(Arc::new(writer))
    }

    /// Reads segments back into generations. What is in files already is deleted; when memory is full, it is flushed.
    fn replay(&self, logged: &[u64], covered: u64) -> Result<()> {
        let Some(wal) = self.wal.clone() else { return Ok(()) };
        for &id in logged {
            if id <= covered {
                wal.remove(id)?;
                continue;
            }
            let generation = self.replay_segment(&wal, id)?;
            if generation.is_empty() && !self.damaged.lock().contains(&id) {
                wal.remove(id)?;
                continue;
            }
            self.state.update(|state| {
                let mut generations = state.generations.clone();
                // The last one takes pushes.
                generations.insert(generations.len().saturating_sub(1), generation);
                State { manifest: state.manifest.clone(), generations }
            });
            if self.load().is_too_much(&self.settings.flush) {
                self.try_flush_frozen(&mut self.flushing.lock(), FlushReason::Full)?;
            }
        }
        Ok(())
    }

    fn replay_segment(&self, wal: &Wal, id: u64) -> Result<Arc<Generation>> {
        let generation = Generation::new(id);
        let now_ms = self.clock.now_ms();
        let mut streams: HashMap<u32, (Arc<TenantHead>, Arc<StreamHead>)> = HashMap::new();
        let mut orphans = 0u64;
        let path = wal.path_of(id);
        let replayed = wal::replay(&path, wal.writer(), id, &mut |tenant, rows| {
            let heads = generation.tenant_or_new(&tenant);
            for stream in rows {
                if let Some(labels) = &stream.labels {
                    let head = generation.stream(&heads, labels);
                    streams.insert(stream.id, (heads.clone(), head));
                }
                match streams.get(&stream.id) {
                    Some((owner, head)) if owner.tenant() == heads.tenant() => {
                        generation.append(head, &stream.entries, now_ms);
                    }
                    _ => orphans += stream.entries.len() as u64,
                }
            }
        })?;
        let mut damage = replayed.damage;
        if orphans > 0 {
            damage.push(format!(
                "write-ahead log {}: {orphans} rows are lost because the record that tells their labels is",
                path.display()
            ));
        }
        let mut report = self.report.lock();
        report.replayed_segments += 1;
        report.replayed_rows += generation.stats().rows;
        report.torn_bytes += replayed.torn_bytes;
        if !damage.is_empty() {
            self.damaged.lock().insert(id);
            report.damage.extend(damage);
        }
        Ok(Arc::new(generation))
    }
}

/// The lock on a data directory. It is let go explicitly: a process that this one is just starting has, for a moment, the same
/// open file, and would keep the lock of one that is only closed.
#[derive(Debug)]
pub(crate) struct FolderLock(File);

impl Drop for FolderLock {
    fn drop(&mut self) {
        // If this fails, closing the file lets go too, if a little later.
        let _ = self.0.unlock();
    }
}

/// Makes the folder and locks it for this process.
fn lock_folder(folder: &Path) -> Result<FolderLock> {
    fs::create_dir_all(folder).map_err(|e| Error::io(format!("cannot create folder {}", folder.display()), e))?;
    let path = folder.join(LOCK_FILE);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|e| Error::io(format!("cannot open {}", path.display()), e))?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock(file)),
        Err(TryLockError::WouldBlock) => {
            let text = format!(
                "data directory {} is in use by another process (or another database of this one); close that one first",
                folder.display()
            );
            Err(Error::new(ErrorKind::Locked, text))
        }
        Err(TryLockError::Error(e)) => Err(Error::io(format!("cannot lock {}", path.display()), e)),
    }
}

/// The id of the directory's writer, drawn when the directory is new. It must not be lost while there are segments: replay
/// tells by it what the manifest covers.
fn writer_id(folder: &Path) -> Result<WriterId> {
    let path = folder.join(WRITER_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => {
            let id = u64::from_str_radix(text.trim(), 16).map_err(|e| {
                let text = format!(
                    "{} does not hold a writer's id, which are 16 hexadecimal digits; delete it if the folder has no \
                     write-ahead log, else put the id there that the names of its packs begin with",
                    path.display()
                );
                Error::new(ErrorKind::Corrupt, text).with_source(e)
            })?;
            return Ok(WriterId(id));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io(format!("cannot read {}", path.display()), e)),
    }
    let id = Wal::writer_of(&folder.join(WAL_FOLDER)).unwrap_or_else(|| WriterId(draw_u64()));
    let temporary = folder.join(format!("{WRITER_FILE}.new"));
    let written = File::create(&temporary).and_then(|mut file| {
        std::io::Write::write_all(&mut file, format!("{:016x}\n", id.0).as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, &path)
    });
    written.map_err(|e| Error::io(format!("cannot write {}", path.display()), e))?;
    sync_folder(folder)?;
    Ok(id)
}
