//! A segment that is written to: appends records, syncs for many at once, and takes back what did not fit on the disk.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use narvi_types::wire::{Reader, Writer as _};
use parking_lot::{Condvar, Mutex};

use super::record::RecordBuilder;
use crate::{Error, ErrorKind, Result, manifest::WriterId};

/// The version that is written.
pub(super) const FORMAT_VERSION: u16 = 0;
/// The oldest version that is read.
pub(super) const OLDEST_READABLE_VERSION: u16 = 0;
/// Bytes in front of the first record.
pub(super) const SEGMENT_HEAD_BYTES: usize = 8 + 2 + 2 + 8 + 8 + 4;

const SEGMENT_MAGIC: [u8; 8] = *b"\x97NARWAL\n";

/// Set once by the first sync that fails: what the disk holds is unknown from then on, and no later sync can tell.
#[derive(Debug, Default)]
pub(crate) struct Poison(OnceLock<Error>);

impl Poison {
    pub(crate) fn check(&self) -> Result<()> {
        self.0.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    fn set(&self, path: &Path, error: io::Error) -> Error {
        let text = format!(
            "cannot sync {}: lines acknowledged lately may not be on the disk; check the disk and open the database again",
            path.display()
        );
        self.0.get_or_init(|| Error::new(ErrorKind::Poisoned, text).with_source(error)).clone()
    }
}

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub(super) version: u16,
    pub(super) writer: WriterId,
    pub(super) generation: u64,
}

impl SegmentHead {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(SEGMENT_HEAD_BYTES);
        out.put(&SEGMENT_MAGIC);
        out.put_u16(self.version);
        out.put_u16(0);
        out.put_u64(self.writer.0);
        out.put_u64(self.generation);
        let crc = crc32fast::hash(&out);
        out.put_u32(crc);
        out
    }

    /// Nothing when the bytes are no head or damaged. A version of any number is given.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes.get(..SEGMENT_HEAD_BYTES)?);
        let magic = reader.bytes(SEGMENT_MAGIC.len(), "magic").ok()?;
        let version = reader.u16("version").ok()?;
        reader.u16("reserved").ok()?;
        let writer = WriterId(reader.u64("writer").ok()?);
        let generation = reader.u64("generation").ok()?;
        let crc = crc32fast::hash(&bytes[..SEGMENT_HEAD_BYTES - 4]);
        (magic == SEGMENT_MAGIC && reader.u32("checksum").ok()? == crc).then_some(Self { version, writer, generation })
    }
}

/// What the heads of a segment's records are salted with. Not stored, so that records can be told from pushed bytes, and
/// found even where the segment's head is damaged.
pub(super) fn salt(writer: WriterId, generation: u64) -> u64 {
    (writer.0 ^ generation.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29)
}

/// A segment open for appending.
#[derive(Debug)]
pub(crate) struct Segment {
    path: PathBuf,
    file: File,
    salt: u64,
    tail: Mutex<Tail>,
    syncing: Mutex<Syncing>,
    synced: Condvar,
}

#[derive(Debug)]
struct Tail {
    bytes: u64,
    sequence: u32,
    /// A record was written in part and could not be taken back yet.
    torn: bool,
}

#[derive(Debug, Default)]
struct Syncing {
    /// Bytes known to be on the disk.
    bytes: u64,
    running: bool,
}

impl Segment {
    /// Makes a new segment file.
    pub(super) fn create(path: PathBuf, writer: WriterId, generation: u64) -> Result<Self> {
        let failed = |e| Error::io(format!("cannot create write-ahead log {}", path.display()), e);
        let mut file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(failed)?;
        let head = SegmentHead { version: FORMAT_VERSION, writer, generation }.encode();
        if let Err(error) = file.write_all(&head) {
            let _ = std::fs::remove_file(&path);
            return Err(failed(error));
        }
        let tail = Tail { bytes: head.len() as u64, sequence: 0, torn: false };
        Ok(Self {
            salt: salt(writer, generation),
            file,
            tail: Mutex::new(tail),
            syncing: Mutex::default(),
            synced: Condvar::new(),
            path,
        })
    }

    /// A segment on any file, to see what it does when that fails.
    #[cfg(test)]
    pub(crate) fn on(file: File) -> Self {
        let tail = Tail { bytes: 0, sequence: 0, torn: false };
        let (syncing, synced) = (Mutex::default(), Condvar::new());
        Self { path: "test".into(), file, salt: 0, tail: Mutex::new(tail), syncing, synced }
    }

    #[cfg(test)]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.tail.lock().bytes
    }

    /// Appends a record and gives the position behind it, for [`Segment::sync_to`]. When it returns, the operating system
    /// has the record. One that does not fit is taken back whole.
    pub(crate) fn append(&self, record: &mut RecordBuilder) -> Result<u64> {
        let payload_crc = record.payload_crc();
        let mut tail = self.tail.lock();
        if tail.torn {
            self.file.set_len(tail.bytes).map_err(|e| self.append_error(e))?;
            tail.torn = false;
        }
        let bytes = record.finish(tail.sequence, self.salt, payload_crc);
        if let Err(error) = (&self.file).write_all(bytes) {
            tail.torn = self.file.set_len(tail.bytes).is_err();
            return Err(self.append_error(error));
        }
        tail.bytes += bytes.len() as u64;
        tail.sequence = tail.sequence.wrapping_add(1);
        Ok(tail.bytes)
    }

    fn append_error(&self, error: io::Error) -> Error {
        let error = Error::io(format!("cannot append to write-ahead log {}", self.path.display()), error);
        if error.kind() != ErrorKind::Full {
            return error;
        }
        let text = format!(
            "no space left for write-ahead log {}: pushes are refused until there is room on the disk",
            self.path.display()
        );
        Error::new(ErrorKind::Full, text).with_source(error)
    }

    /// Returns once everything up to a position is on the disk. One caller syncs for all who wait.
    pub(crate) fn sync_to(&self, position: u64, poison: &Poison) -> Result<()> {
        let mut syncing = self.syncing.lock();
        loop {
            if syncing.bytes >= position {
                return Ok(());
            }
            poison.check()?;
            if !syncing.running {
                break;
            }
            self.synced.wait(&mut syncing);
        }
        syncing.running = true;
        drop(syncing);
        let target = self.bytes();
        let result = self.file.sync_data();
        let mut syncing = self.syncing.lock();
        syncing.running = false;
        let result = match result {
            Ok(()) => {
                syncing.bytes = syncing.bytes.max(target);
                Ok(())
            }
            Err(error) => Err(poison.set(&self.path, error)),
        };
        self.synced.notify_all();
        result
    }

    /// Syncs what was appended so far.
    pub(crate) fn sync(&self, poison: &Poison) -> Result<()> {
        self.sync_to(self.bytes(), poison)
    }
}
