//! Open packs: their directories, and how their bytes are reached.

use std::{collections::HashSet, io, sync::Arc};

use bytes::Bytes;
use narvi_chunk::{ColumnKind, FrameReader, Pack, ReadAt};
use narvi_logql::SourceError;
use quick_cache::{Weighter, sync::Cache};

use super::{chunk_error, source_error};
use crate::{
    Error, ErrorKind, Result,
    manifest::Manifest,
    store::{Store, StoreErrorKind},
};

/// Packs kept open. Each costs its directory and, on a local store, a file handle.
const OPEN_PACKS: usize = 512;

/// Bytes of frames that were decoded and are kept, of those that are compared with others.
const FRAME_BYTES: u64 = 64 << 20;

/// Opens packs of a store and keeps them open.
#[derive(Debug)]
pub(crate) struct Packs {
    store: Arc<dyn Store>,
    open: Cache<Arc<str>, Arc<OpenPack>>,
    frames: Cache<(Arc<str>, u32), Arc<OpenFrame>, FrameWeight>,
}

/// A frame that is being read. What was decoded stays decoded.
#[derive(Debug)]
pub(crate) struct OpenFrame {
    pub(crate) open: Arc<OpenPack>,
    pub(crate) reader: FrameReader<Arc<PackInput>>,
}

#[derive(Clone, Debug)]
struct FrameWeight;

impl Weighter<(Arc<str>, u32), Arc<OpenFrame>> for FrameWeight {
    fn weight(&self, _: &(Arc<str>, u32), frame: &Arc<OpenFrame>) -> u64 {
        let info = frame.reader.info();
        let sets = info.columns.iter().filter(|column| column.kind == ColumnKind::Metadata);
        let sets: u64 = sets.map(|column| u64::from(column.raw_len) * 2).sum();
        // Lines, offsets, and as much of it as was read in its stored form. Each keeps its pack open.
        let all = u64::from(info.line_bytes) * 5 / 4 + u64::from(info.rows) * 8 + sets;
        all.max(FRAME_BYTES / OPEN_PACKS as u64)
    }
}

/// A pack whose directory was read.
#[derive(Debug)]
pub(crate) struct OpenPack {
    pub(crate) key: Arc<str>,
    pub(crate) pack: Pack,
    pub(crate) input: Arc<PackInput>,
}

impl Packs {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        let frames = Cache::with_weighter((FRAME_BYTES >> 20) as usize, FRAME_BYTES, FrameWeight);
        Self { store, open: Cache::new(OPEN_PACKS), frames }
    }

    /// Closes the packs that a manifest does not name: whoever still reads one opens it again.
    pub(crate) fn retain(&self, manifest: &Manifest) {
        let named: HashSet<&str> = manifest.packs.iter().map(|file| file.key.as_str()).collect();
        self.open.retain(|key, _| named.contains(&**key));
        self.frames.retain(|(key, _), _| named.contains(&**key));
    }

    /// A frame, to be read once. Nothing is read yet but the directory of its pack.
    ///
    /// # Errors
    /// The pack cannot be opened; there is no such frame, or it is above the limits.
    pub(crate) fn frame(&self, key: &Arc<str>, frame: u32) -> Result<Arc<OpenFrame>, SourceError> {
        let open = self.open(key).map_err(|error| source_error(&error))?;
        let reader = FrameReader::new(&open.pack, frame, open.input.clone());
        let reader = reader.map_err(|error| chunk_error(&open.key, &error))?;
        Ok(Arc::new(OpenFrame { open, reader }))
    }

    /// A frame that is compared with others: of replicas, say, each with those of the others at the same times. It is kept, so
    /// that it is read and decoded once for all of them. `columns` are those that are wanted soon.
    ///
    /// # Errors
    /// As for [`Packs::frame`], or the columns cannot be fetched.
    pub(crate) fn shared_frame(
        &self,
        key: &Arc<str>,
        frame: u32,
        columns: &[ColumnKind],
    ) -> Result<Arc<OpenFrame>, SourceError> {
        self.frames.get_or_insert_with(&(key.clone(), frame), || {
            let frame = self.frame(key, frame)?;
            frame.prefetch(columns)?;
            Ok(frame)
        })
    }

    /// The pack of that key, opened if it was not.
    ///
    /// # Errors
    /// It does not exist, cannot be read, or is damaged.
    pub(crate) fn open(&self, key: &Arc<str>) -> Result<Arc<OpenPack>> {
        self.open.get_or_insert_with(key, || {
            let input = Arc::new(PackInput::open(&self.store, key)?);
            let pack = Pack::open(&input).map_err(|error| {
                let kind = match error {
                    narvi_chunk::ChunkError::Io { .. } => ErrorKind::Unavailable,
                    _ => ErrorKind::Corrupt,
                };
                Error::new(kind, format!("cannot open pack {key}: {error}"))
            })?;
            Ok(Arc::new(OpenPack { key: key.clone(), pack, input }))
        })
    }
}

impl OpenFrame {
    /// Fetches columns together, if each read is a round trip.
    pub(crate) fn prefetch(&self, columns: &[ColumnKind]) -> Result<(), SourceError> {
        match self.open.input.is_remote() {
            true => self.reader.prefetch(columns).map_err(|error| chunk_error(&self.open.key, &error)),
            false => Ok(()),
        }
    }
}

/// The bytes of one pack.
#[derive(Debug)]
pub(crate) enum PackInput {
    /// A file of a local store: read in place, so that a truncated file gives an error and does not kill the process.
    #[cfg(unix)]
    File {
        /// Open for reading.
        file: std::fs::File,
        /// Its size when it was opened.
        bytes: u64,
    },
    /// An object of any other store.
    Object {
        /// The store.
        store: Arc<dyn Store>,
        /// The key.
        key: Arc<str>,
        /// Its size.
        bytes: u64,
    },
}

impl PackInput {
    fn open(store: &Arc<dyn Store>, key: &Arc<str>) -> Result<Self> {
        #[cfg(unix)]
        if let Some(path) = store.local_path(key) {
            let failed = |error| Error::io(format!("cannot open {}", path.display()), error);
            let file = std::fs::File::open(&path).map_err(failed)?;
            let bytes = file.metadata().map_err(failed)?.len();
            return Ok(Self::File { file, bytes });
        }
        let bytes = store.size(key)?;
        Ok(Self::Object { store: store.clone(), key: key.clone(), bytes })
    }

    /// Whether each read is a round trip, so that columns are better fetched together.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Object { .. })
    }
}

impl ReadAt for PackInput {
    fn read_at(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        match self {
            #[cfg(unix)]
            Self::File { file, bytes } => {
                if offset.checked_add(len as u64).is_none_or(|end| end > *bytes) {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let mut out = vec![0; len];
                std::os::unix::fs::FileExt::read_exact_at(file, &mut out, offset)?;
                Ok(out.into())
            }
            Self::Object { store, key, bytes } => {
                let end = offset.checked_add(len as u64).filter(|end| end <= bytes);
                let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
                store.get_range(key, offset..end).map_err(|error| {
                    let kind = match error.kind() {
                        StoreErrorKind::NotFound => io::ErrorKind::NotFound,
                        StoreErrorKind::OutOfRange => io::ErrorKind::UnexpectedEof,
                        _ => io::ErrorKind::Other,
                    };
                    io::Error::new(kind, error)
                })
            }
        }
    }

    fn size(&self) -> u64 {
        match self {
            #[cfg(unix)]
            Self::File { bytes, .. } => *bytes,
            Self::Object { bytes, .. } => *bytes,
        }
    }
}
