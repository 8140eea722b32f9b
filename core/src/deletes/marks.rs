//! Files of marks: which rows of packs a request to delete hits. `FORMAT.md` describes their bytes.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use narvi_types::wire::{Reader, WireError, Writer as _};
use quick_cache::{Weighter, sync::Cache};
use roaring::RoaringBitmap;

use super::DeleteId;
use crate::{Error, ErrorKind, Result, manifest::MarkFile, store::Store};

const FORMAT_VERSION: u16 = 0;
const MAGIC: [u8; 8] = *b"\x97NARDEL\n";
const HEAD_BYTES: usize = 8 + 2 + 2 + 4;
/// Memory for files of marks that are kept open.
const CACHE_BYTES: u64 = 64 << 20;

/// The rows that one request hits in some packs. A pack that is listed was looked through as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Marks {
    packs: BTreeMap<String, Frames>,
}

/// By frame: rows that are hit. Frames without any are left out.
pub(crate) type Frames = HashMap<u32, Arc<RoaringBitmap>>;

impl Marks {
    /// Adds a pack that was looked through.
    pub(crate) fn insert(&mut self, pack: &str, frames: Frames) {
        self.packs.insert(pack.to_owned(), frames);
    }

    /// The rows of a pack that are hit, if it was looked through.
    pub(crate) fn of_pack(&self, pack: &str) -> Option<&Frames> {
        self.packs.get(pack)
    }

    /// The packs that were looked through.
    pub(crate) fn packs(&self) -> impl Iterator<Item = (&str, &Frames)> {
        self.packs.iter().map(|(pack, frames)| (pack.as_str(), frames))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.packs.is_empty()
    }

    pub(crate) fn encode(&self, request: DeleteId) -> Vec<u8> {
        let mut out = Vec::new();
        out.put(&MAGIC);
        out.put_u16(FORMAT_VERSION);
        out.put_u16(0);
        out.put_u32(request.0);
        out.put_varint(self.packs.len() as u64);
        for (pack, frames) in &self.packs {
            out.put_str(pack);
            out.put_varint(frames.len() as u64);
            let mut sorted: Vec<_> = frames.iter().collect();
            sorted.sort_unstable_by_key(|(frame, _)| **frame);
            for (frame, rows) in sorted {
                out.put_varint(u64::from(*frame));
                let mut bitmap = Vec::with_capacity(rows.serialized_size());
                // Writing into memory does not fail.
                let _ = rows.serialize_into(&mut bitmap);
                out.put_blob(&bitmap);
            }
        }
        let crc = crc32fast::hash(&out);
        out.put_u32(crc);
        out
    }

    pub(crate) fn decode(bytes: &[u8], request: DeleteId) -> Result<Self, MarksError> {
        let mut head = Reader::new(bytes);
        if head.bytes(MAGIC.len(), "magic").map_or(true, |magic| magic != MAGIC) {
            return Err(MarksError::Magic);
        }
        let version = head.u16("version")?;
        if version != FORMAT_VERSION {
            return Err(MarksError::Version(version));
        }
        let (body, crc) = bytes.split_last_chunk::<4>().ok_or(MarksError::Checksum)?;
        if body.len() < HEAD_BYTES || crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(MarksError::Checksum);
        }
        let mut reader = Reader::new(body);
        reader.bytes(MAGIC.len() + 4, "header")?;
        if reader.u32("request")? != request.0 {
            return Err(MarksError::Request);
        }
        let mut packs = BTreeMap::new();
        for _ in 0..reader.count(2, "number of packs")? {
            let pack = reader.str("pack")?.to_owned();
            let mut frames = Frames::new();
            for _ in 0..reader.count(2, "number of frames")? {
                let frame = u32::try_from(reader.varint("frame")?).map_err(|_| MarksError::Bitmap)?;
                let mut blob = reader.blob("rows")?;
                let rows = RoaringBitmap::deserialize_from(&mut blob).map_err(|_| MarksError::Bitmap)?;
                if !blob.is_empty() {
                    return Err(MarksError::Bitmap);
                }
                frames.insert(frame, Arc::new(rows));
            }
            packs.insert(pack, frames);
        }
        if !reader.is_empty() {
            return Err(reader.error("end of the marks").into());
        }
        Ok(Self { packs })
    }
}

/// Why bytes are no marks of a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum MarksError {
    #[error("not a file of marks: it does not begin with the magic bytes")]
    Magic,
    #[error("format version {0} is not the one this build reads, {FORMAT_VERSION}")]
    Version(u16),
    #[error("checksum mismatch: the bytes were changed or cut after they were written")]
    Checksum,
    #[error("it belongs to another delete request")]
    Request,
    #[error("a bitmap of rows is malformed")]
    Bitmap,
    #[error("{0}")]
    Wire(#[from] WireError),
}

/// Opens files of marks of a store and keeps some in memory.
#[derive(Debug)]
pub(crate) struct MarkFiles {
    store: Arc<dyn Store>,
    open: Cache<String, Arc<Opened>, Weight>,
}

#[derive(Debug)]
struct Opened {
    marks: Arc<Marks>,
    bytes: u64,
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<String, Arc<Opened>> for Weight {
    fn weight(&self, key: &String, file: &Arc<Opened>) -> u64 {
        // A bitmap takes about its size on disk, and some bookkeeping for each container.
        key.len() as u64 + 3 * file.bytes
    }
}

impl MarkFiles {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, open: Cache::with_weighter(64, CACHE_BYTES, Weight) }
    }

    /// Reads a file of marks, or finds it in memory.
    ///
    /// # Errors
    /// It cannot be read or is damaged.
    pub(crate) fn open(&self, file: &MarkFile) -> Result<Arc<Marks>> {
        let opened = self.open.get_or_insert_with(&file.key, || {
            let bytes = self.store.get(&file.key)?;
            let marks = Marks::decode(&bytes, file.request).map_err(|error| {
                Error::new(ErrorKind::Corrupt, format!("{} is damaged: {error}", file.key)).with_source(error)
            })?;
            Ok::<_, Error>(Arc::new(Opened { marks: Arc::new(marks), bytes: bytes.len() as u64 }))
        })?;
        Ok(opened.marks.clone())
    }
}
