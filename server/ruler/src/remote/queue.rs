//! Batches of samples on disk, until they are sent: a file each, numbered, bounded in bytes altogether.

use std::{
    collections::VecDeque,
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use crate::{RulerError, files};

/// How a file ends; behind its content stands a CRC-32 of four bytes.
const ENDING: &str = ".samples";

/// A batch on disk. What its file's name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) number: u64,
    pub(crate) samples: usize,
    pub(crate) newest_ms: i64,
    pub(crate) bytes: u64,
}

impl Batch {
    fn name(&self) -> String {
        format!("{:016}_{}_{}{ENDING}", self.number, self.samples, self.newest_ms)
    }

    fn of_name(name: &str, bytes: u64) -> Option<Self> {
        let mut parts = name.strip_suffix(ENDING)?.split('_');
        let number = parts.next()?.parse().ok()?;
        let samples = parts.next()?.parse().ok()?;
        let newest_ms = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { number, samples, newest_ms, bytes })
    }
}

/// A queue in a folder.
#[derive(Debug)]
pub(crate) struct DiskQueue {
    folder: PathBuf,
    max_bytes: u64,
    batches: Mutex<VecDeque<Batch>>,
}

/// What is in a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) samples: usize,
    pub(crate) bytes: u64,
}

impl DiskQueue {
    /// Opens a queue with what it holds.
    pub(crate) fn open(folder: PathBuf, max_bytes: u64) -> Result<Self, RulerError> {
        fs::create_dir_all(&folder).map_err(|error| RulerError::io("make folder", &folder, error))?;
        let mut batches = Vec::new();
        for name in files::list(&folder)? {
            let path = folder.join(&name);
            let bytes = fs::metadata(&path).map_or(0, |meta| meta.len());
            match Batch::of_name(&name, bytes) {
                Some(batch) => batches.push(batch),
                // Left by a write that was cut short.
                None if name.ends_with(".new") => drop(files::remove(&path)?),
                None => tracing::warn!(path = %path.display(), "this file is not one of the ruler's"),
            }
        }
        batches.sort_unstable_by_key(|batch| batch.number);
        Ok(Self { folder, max_bytes, batches: Mutex::new(batches.into()) })
    }

    /// Adds a batch; gives the number of samples that had to go to make room.
    pub(crate) fn push(&self, content: &[u8], samples: usize, newest_ms: i64) -> Result<usize, RulerError> {
        let mut batches = self.batches.lock();
        let bytes = content.len() as u64 + 4;
        let mut total = batches.iter().map(|batch| batch.bytes).sum::<u64>() + bytes;
        let mut dropped = 0;
        while total > self.max_bytes {
            let Some(oldest) = batches.pop_front() else { return Ok(samples) };
            total -= oldest.bytes;
            dropped += oldest.samples;
            files::remove(&self.folder.join(oldest.name()))?;
        }
        let number = batches.back().map_or(0, |batch| batch.number + 1);
        let batch = Batch { number, samples, newest_ms, bytes };
        self.write(&batch, content)?;
        batches.push_back(batch);
        Ok(dropped)
    }

    fn write(&self, batch: &Batch, content: &[u8]) -> Result<(), RulerError> {
        let (path, new) = (self.folder.join(batch.name()), self.folder.join(format!("{}.new", batch.number)));
        let write = || {
            let mut file = fs::File::create(&new)?;
            file.write_all(content)?;
            file.write_all(&crc32fast::hash(content).to_le_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)
        };
        write().map_err(|error| RulerError::io("write", &path, error))?;
        files::sync_folder(&self.folder)
    }

    /// The oldest batches, up to so many samples but at least one batch, and their contents one after the other. What
    /// is damaged is left out and dropped.
    pub(crate) fn front(&self, max_samples: usize) -> (Vec<Batch>, Vec<u8>) {
        let (mut taken, mut content, mut samples) = (Vec::new(), Vec::new(), 0);
        for batch in self.batches.lock().iter() {
            if !taken.is_empty() && samples + batch.samples > max_samples {
                break;
            }
            samples += batch.samples;
            match read(&self.folder.join(batch.name())) {
                Ok(bytes) => content.extend_from_slice(&bytes),
                Err(error) => tracing::error!(%error, "samples are lost"),
            }
            taken.push(*batch);
        }
        (taken, content)
    }

    /// Removes batches that [`DiskQueue::front`] gave.
    pub(crate) fn remove(&self, done: &[Batch]) -> Result<(), RulerError> {
        let mut batches = self.batches.lock();
        for batch in done {
            // It may have gone meanwhile, to make room.
            batches.retain(|waiting| waiting.number != batch.number);
            files::remove(&self.folder.join(batch.name()))?;
        }
        Ok(())
    }

    pub(crate) fn figures(&self) -> Figures {
        let add = |sum: Figures, batch: &Batch| Figures {
            samples: sum.samples + batch.samples,
            bytes: sum.bytes + batch.bytes,
        };
        self.batches.lock().iter().fold(Figures::default(), add)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.lock().is_empty()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RulerError> {
    let mut bytes = fs::read(path).map_err(|error| RulerError::io("read", path, error))?;
    let sum = bytes.split_last_chunk::<4>().map(|(content, sum)| (crc32fast::hash(content), u32::from_le_bytes(*sum)));
    match sum {
        Some((found, expected)) if found == expected => {
            bytes.truncate(bytes.len() - 4);
            Ok(bytes)
        }
        _ => Err(RulerError::File { path: path.to_owned(), message: "the checksum is wrong".to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::{DiskQueue, Figures};

    #[test]
    fn batches_come_in_order_also_after_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let open = || DiskQueue::open(folder.path().join("q"), 1 << 20).expect("it opens");
        let queue = open();
        for n in 0..12u8 {
            assert_eq!(queue.push(&[n], 2, i64::from(n) - 5).expect("it is written"), 0);
        }
        let (taken, content) = queue.front(5);
        assert_eq!((taken.len(), content), (2, vec![0, 1]));
        queue.remove(&taken).expect("they go");
        std::fs::write(folder.path().join("q/99.new"), b"cut").expect("it is written");
        let queue = open();
        assert_eq!(queue.figures(), Figures { samples: 20, bytes: 50 });
        let (taken, content) = queue.front(1);
        assert_eq!((taken[0].newest_ms, content), (-3, vec![2]));
        queue.push(&[77], 1, 0).expect("it is written");
        let (taken, content) = queue.front(1000);
        assert_eq!((taken.len(), content.last()), (11, Some(&77)));
        queue.remove(&taken).expect("they go");
        assert!(queue.is_empty() && open().is_empty());
    }

    #[test]
    fn the_oldest_go_to_make_room() {
        let folder = tempfile::tempdir().expect("a folder");
        let queue = DiskQueue::open(folder.path().to_owned(), 30).expect("it opens");
        assert_eq!(queue.push(&[1; 10], 3, 0).expect("it is written"), 0);
        assert_eq!(queue.push(&[2; 10], 4, 0).expect("it is written"), 0);
        assert_eq!(queue.push(&[3; 10], 5, 0).expect("it is written"), 3);
        assert_eq!(queue.front(100).1, [[2; 10], [3; 10]].concat());
        assert_eq!(queue.push(&[4; 40], 6, 0).expect("it is too large"), 6);
    }

    #[test]
    fn damage_is_left_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let queue = DiskQueue::open(folder.path().to_owned(), 1 << 20).expect("it opens");
        queue.push(b"good", 1, 0).expect("it is written");
        queue.push(b"bad", 1, 0).expect("it is written");
        let path = folder.path().join("0000000000000001_1_0.samples");
        std::fs::write(&path, b"bat....").expect("it is written");
        let (taken, content) = queue.front(10);
        assert_eq!((taken.len(), content), (2, b"good".to_vec()));
    }
}
