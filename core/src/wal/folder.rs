//! The folder of the write-ahead log: makes, lists and removes segments.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use super::{
    Poison, Segment,
    segment::{SEGMENT_HEAD_BYTES, SegmentHead},
};
use crate::{Error, Result, manifest::WriterId, store::sync_folder};

/// The segments of one writer.
#[derive(Debug)]
pub(crate) struct Wal {
    folder: PathBuf,
    writer: WriterId,
    /// Whether new files are made to last through a loss of power.
    durable: bool,
    pub(crate) poison: Poison,
}

const SUFFIX: &str = ".wal";
const DAMAGED_SUFFIX: &str = ".wal.damaged";

impl Wal {
    /// Opens the folder, which is made if it does not exist.
    pub(crate) fn open(folder: PathBuf, writer: WriterId, durable: bool) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(|e| Error::io(format!("cannot create folder {}", folder.display()), e))?;
        Ok(Self { folder, writer, durable, poison: Poison::default() })
    }

    pub(crate) fn writer(&self) -> WriterId {
        self.writer
    }

    pub(crate) fn path_of(&self, generation: u64) -> PathBuf {
        self.folder.join(format!("{generation:020}{SUFFIX}"))
    }

    /// Makes the segment of a generation.
    pub(crate) fn create(&self, generation: u64) -> Result<Segment> {
        let segment = Segment::create(self.path_of(generation), self.writer, generation)?;
        if self.durable {
            sync_folder(&self.folder)?;
        }
        Ok(segment)
    }

    /// The generations that have a segment, ascending.
    pub(crate) fn generations(&self) -> Result<Vec<u64>> {
        list(&self.folder)
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> Result<u64> {
        let lengths = self.generations()?.into_iter().map(|generation| fs::metadata(self.path_of(generation)));
        // One that was removed meanwhile has none.
        Ok(lengths.filter_map(|found| found.ok()).map(|found| found.len()).sum())
    }

    /// Removes the segment of a generation. One that does not exist is no error.
    pub(crate) fn remove(&self, generation: u64) -> Result<()> {
        let path = self.path_of(generation);
        ignore_missing(fs::remove_file(&path))
            .map_err(|e| Error::io(format!("cannot delete write-ahead log {}", path.display()), e))
    }

    /// Puts a damaged segment aside, for whoever wants to look at it; it is not replayed again.
    pub(crate) fn put_aside(&self, generation: u64) -> Result<()> {
        let path = self.path_of(generation);
        let aside = self.folder.join(format!("{generation:020}{DAMAGED_SUFFIX}"));
        ignore_missing(fs::rename(&path, aside))
            .map_err(|e| Error::io(format!("cannot rename write-ahead log {}", path.display()), e))
    }

    /// The writer that the segments in a folder name, if any does.
    pub(crate) fn writer_of(folder: &Path) -> Option<WriterId> {
        let generations = list(folder).ok()?;
        generations.iter().rev().find_map(|generation| {
            let mut head = [0; SEGMENT_HEAD_BYTES];
            let mut file = fs::File::open(folder.join(format!("{generation:020}{SUFFIX}"))).ok()?;
            file.read_exact(&mut head).ok()?;
            SegmentHead::decode(&head).map(|head| head.writer)
        })
    }
}

fn list(folder: &Path) -> Result<Vec<u64>> {
    let failed = |e| Error::io(format!("cannot list folder {}", folder.display()), e);
    let mut out = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
        if let Some(generation) = digits.filter(|d| d.len() == 20).and_then(|d| d.parse().ok()) {
            out.push(generation);
        }
    }
    out.sort_unstable();
    Ok(out)
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
