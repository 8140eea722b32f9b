//! An open pack: its directory, without any column.

use bytes::Bytes;

use crate::{ChunkError, DecodeLimits, FrameInfo, ReadAt, Result, SectionInfo, SectionKind, TenantInfo};

/// How a pack is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct OpenOptions {
    /// Bytes to read from the end at first. If the directory is larger a second read follows; there is never a third.
    pub tail_bytes: usize,
    /// Bounds of what may be allocated, for the directory and for every frame read through this pack.
    pub limits: DecodeLimits,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self { tail_bytes: 32 << 10, limits: DecodeLimits::default() }
    }
}

/// The directory of a pack. Cheap to clone; keep it, it spares two reads.
#[derive(Clone, Debug)]
pub struct Pack {}

impl Pack {
    /// Reads footer and directory with the default options.
    ///
    /// # Errors
    /// As [`Pack::open_with`].
    pub fn open(input: &dyn ReadAt) -> Result<Self> {
        Self::open_with(input, &OpenOptions::default())
    }

    /// Reads footer and directory, in at most two reads.
    ///
    /// # Errors
    /// Not a pack, a version that cannot be read, damage, or a directory above the limits.
    pub fn open_with(input: &dyn ReadAt, options: &OpenOptions) -> Result<Self> {
        let _ = (input, options);
        Err(ChunkError::NoTenant)
    }

    /// Format version of the file.
    pub fn version(&self) -> u16 {
        0
    }

    /// Rows in a page.
    pub fn page_rows(&self) -> u32 {
        0
    }

    /// The tenants, in file order.
    pub fn tenants(&self) -> &[TenantInfo] {
        &[]
    }

    /// How many frames there are.
    pub fn frame_count(&self) -> u32 {
        0
    }

    /// A frame's entry.
    ///
    /// # Errors
    /// There is no such frame.
    pub fn frame(&self, frame: u32) -> Result<&FrameInfo> {
        Err(ChunkError::OutOfRange { what: "frame", asked: frame.into(), len: 0 })
    }

    /// All sections, also those of unknown kinds.
    pub fn sections(&self) -> &[SectionInfo] {
        &[]
    }

    /// Reads and decompresses a section beside the frames; `None` if the pack has none of that kind.
    ///
    /// # Errors
    /// The section cannot be read, is damaged, or is above the limits.
    pub fn section(&self, kind: SectionKind, input: &dyn ReadAt) -> Result<Option<Bytes>> {
        let _ = (kind, input);
        Ok(None)
    }
}
