//! A store in a folder of the local file system.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, IoSlice, Write},
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{ObjectInfo, Result, Store, StoreError, check_key, check_prefix};

/// Keeps objects as files below a folder. A file is written under a temporary name, synced, renamed (or hard-linked, where
/// it must not exist), and its folder synced, so that it is whole and lasting when the call returns.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    /// Files open for reading, so that a frame costs one system call.
    open: Mutex<HashMap<String, Arc<File>>>,
    next_temporary: AtomicU64,
}

const TEMPORARY: &str = ".tmp-narvi-";
const MAX_OPEN_FILES: usize = 64;

impl LocalStore {
    /// Opens the folder, which is made if it does not exist. Temporary files that a killed process left are removed, so
    /// no two stores may be opened on one folder.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(|e| StoreError::io(format!("cannot create folder {}", root.display()), e))?;
        remove_temporaries(&root)
            .map_err(|e| StoreError::io(format!("cannot clean up folder {}", root.display()), e))?;
        Ok(Self { root, open: Mutex::default(), next_temporary: AtomicU64::new(0) })
    }

    fn path(&self, key: &str) -> Result<PathBuf> {
        check_key(key)?;
        Ok(key.split('/').fold(self.root.clone(), |path, segment| path.join(segment)))
    }

    /// Writes a temporary file beside `path` and syncs it.
    fn write_temporary(&self, path: &Path, parts: &[Bytes]) -> Result<PathBuf> {
        let folder = path.parent().unwrap_or(&self.root);
        self.create_folders(folder)?;
        let number = self.next_temporary.fetch_add(1, Ordering::Relaxed);
        let temporary = folder.join(format!("{TEMPORARY}{}-{number}", std::process::id()));
        let written = File::create(&temporary).and_then(|mut file| {
            write_all_parts(&mut file, parts)?;
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(temporary),
            Err(error) => {
                let _ = fs::remove_file(&temporary);
                Err(StoreError::io(format!("cannot write {}", path.display()), error))
            }
        }
    }

    /// Makes a folder with its parents, each synced into the one above.
    fn create_folders(&self, folder: &Path) -> Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        let parent = folder.parent().unwrap_or(&self.root);
        if folder != self.root {
            self.create_folders(parent)?;
        }
        match fs::create_dir(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                Err(StoreError::io(format!("cannot create folder {}", folder.display()), e))
            }
            _ => sync_folder(parent),
        }
    }

    fn file(&self, key: &str) -> Result<Arc<File>> {
        let path = self.path(key)?;
        if let Some(file) = self.open.lock().get(key) {
            return Ok(file.clone());
        }
        let file = Arc::new(File::open(&path).map_err(|e| read_error(&path, e))?);
        let mut open = self.open.lock();
        if open.len() >= MAX_OPEN_FILES {
            open.clear();
        }
        open.insert(key.to_owned(), file.clone());
        Ok(file)
    }

    fn collect(&self, folder: &Path, key: &str, out: &mut Vec<ObjectInfo>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let key = if key.is_empty() { name.clone() } else { format!("{key}/{name}") };
            if check_key(&key).is_err() {
                continue;
            }
            let info = match entry.metadata() {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                info => info?,
            };
            if info.is_dir() {
                self.collect(&entry.path(), &key, out)?;
            } else if info.is_file() {
                out.push(ObjectInfo { key, bytes: info.len(), modified: info.modified().ok() });
            }
        }
        Ok(())
    }
}

impl Store for LocalStore {
    fn put(&self, key: &str, parts: &[Bytes]) -> Result<()> {
        let path = self.path(key)?;
        let temporary = self.write_temporary(&path, parts)?;
        if let Err(error) = fs::rename(&temporary, &path) {
            let _ = fs::remove_file(&temporary);
            return Err(StoreError::io(format!("cannot rename a file to {}", path.display()), error));
        }
        self.open.lock().remove(key);
        sync_folder(path.parent().unwrap_or(&self.root))
    }

    fn put_if_absent(&self, key: &str, parts: &[Bytes]) -> Result<bool> {
        let path = self.path(key)?;
        if path.exists() {
            return Ok(false);
        }
        let temporary = self.write_temporary(&path, parts)?;
        let linked = fs::hard_link(&temporary, &path);
        let _ = fs::remove_file(&temporary);
        match linked {
            Ok(()) => sync_folder(path.parent().unwrap_or(&self.root)).map(|()| true),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(e) => Err(StoreError::io(format!("cannot link a file to {}", path.display()), e)),
        }
    }

    fn get(&self, key: &str) -> Result<Bytes> {
        let path = self.path(key)?;
        fs::read(&path).map(Bytes::from).map_err(|e| read_error(&path, e))
    }

    fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes> {
        let file = self.file(key)?;
        let path = self.path(key)?;
        let size = file.metadata().map_err(|e| read_error(&path, e))?.len();
        if range.start > range.end || range.end > size {
            return Err(StoreError::out_of_range(key, range.end.max(range.start), size));
        }
        let mut buffer = vec![0; (range.end - range.start) as usize];
        read_exact_at(&file, &mut buffer, range.start).map_err(|e| read_error(&path, e))?;
        Ok(buffer.into())
    }

    fn size(&self, key: &str) -> Result<u64> {
        let path = self.path(key)?;
        fs::metadata(&path).map(|info| info.len()).map_err(|e| read_error(&path, e))
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>> {
        check_prefix(prefix)?;
        let folder = prefix.split('/').fold(self.root.clone(), |path, segment| path.join(segment));
        let mut out = Vec::new();
        self.collect(&folder, prefix, &mut out)
            .map_err(|e| StoreError::io(format!("cannot list folder {}", folder.display()), e))?;
        out.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(out)
    }

    fn delete(&self, key: &str) -> Result<()> {
        let path = self.path(key)?;
        self.open.lock().remove(key);
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(StoreError::io(format!("cannot delete {}", path.display()), e))
            }
            _ => Ok(()),
        }
    }

    fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.path(key).ok()
    }
}

fn read_error(path: &Path, error: io::Error) -> StoreError {
    StoreError::io(format!("cannot read {}", path.display()), error)
}

/// Makes the names in a folder last.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    // Only Unix has folders that can be opened and synced; elsewhere the file system's journal has to do.
    if cfg!(unix) {
        File::open(folder)
            .and_then(|file| file.sync_all())
            .map_err(|e| StoreError::io(format!("cannot sync folder {}", folder.display()), e))?;
    }
    Ok(())
}

fn write_all_parts(file: &mut File, parts: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = parts.iter().filter(|p| !p.is_empty()).map(|p| IoSlice::new(p)).collect();
    let mut rest = slices.as_mut_slice();
    while !rest.is_empty() {
        match file.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut rest, written),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                buffer = &mut buffer[read..];
                offset += read as u64;
            }
        }
    }
    Ok(())
}

/// Removes what killed processes left. Only folders that a store makes can hold any.
fn remove_temporaries(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_temporaries(&entry.path())?;
        } else if entry.file_name().to_str().is_some_and(|name| name.starts_with(TEMPORARY)) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
