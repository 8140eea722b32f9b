//! An open pack: its directory, without any column.

use std::sync::Arc;

use bytes::Bytes;
use narvi_types::wire::Reader;

use crate::{
    ChunkError, Codec, DecodeLimits, FORMAT_VERSION, FrameInfo, OLDEST_READABLE_VERSION, ReadAt, Result, SectionInfo,
    SectionKind, TenantInfo, codec,
    directory::{Directory, DirectoryError},
    format::{HEAD_BYTES, HEAD_MAGIC, TAIL_BYTES, TAIL_MAGIC},
    source::read_exact,
};

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
pub struct Pack(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    size: u64,
    version: u16,
    directory: Directory,
    limits: DecodeLimits,
}

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
        let size = input.size();
        if size < (HEAD_BYTES + TAIL_BYTES) as u64 {
            return Err(ChunkError::NotAPack { offset: size });
        }
        let tail_len = (options.tail_bytes.max(TAIL_BYTES) as u64).min(size);
        let tail_offset = size - tail_len;
        let tail = read_exact(input, "footer", tail_offset, tail_len as usize)?;
        let footer_offset = size - TAIL_BYTES as u64;
        let footer = Footer::decode(&tail.slice(tail.len() - TAIL_BYTES..), footer_offset)?;
        footer.check(footer_offset, &options.limits)?;

        let stored = match footer.offset.checked_sub(tail_offset) {
            Some(start) => tail.slice(start as usize..start as usize + footer.len as usize),
            None => read_exact(input, "directory", footer.offset, footer.len as usize)?,
        };
        let corrupt = |detail| ChunkError::Corrupt { what: "directory", frame: None, offset: footer.offset, detail };
        if crc32fast::hash(&stored) != footer.crc32 {
            return Err(corrupt("checksum mismatch".into()));
        }
        let raw = codec::decompress(footer.codec, &stored, footer.raw_len as usize).map_err(corrupt)?;
        let directory = Directory::decode(&raw, footer.offset).map_err(|error| match error {
            DirectoryError::Bad(detail) => corrupt(detail),
            DirectoryError::Unsupported(why) => ChunkError::Unsupported { found: footer.version, why },
        })?;
        Ok(Self(Arc::new(Inner { size, version: footer.version, directory, limits: options.limits })))
    }

    /// Format version of the file.
    pub fn version(&self) -> u16 {
        self.0.version
    }

    /// Size of the file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.0.size
    }

    /// Rows in a page of timestamps or lengths.
    pub fn page_rows(&self) -> u32 {
        self.0.directory.page_rows
    }

    /// The limits it was opened with.
    pub fn limits(&self) -> &DecodeLimits {
        &self.0.limits
    }

    /// The tenants, in file order.
    pub fn tenants(&self) -> &[TenantInfo] {
        &self.0.directory.tenants
    }

    /// How many frames there are.
    pub fn frame_count(&self) -> u32 {
        self.0.directory.frames.len() as u32
    }

    /// All frames' entries, in file order.
    pub fn frames(&self) -> &[FrameInfo] {
        &self.0.directory.frames
    }

    /// A frame's entry.
    ///
    /// # Errors
    /// There is no such frame.
    pub fn frame(&self, frame: u32) -> Result<&FrameInfo> {
        let frames = &self.0.directory.frames;
        let missing = ChunkError::OutOfRange { what: "frame", asked: frame.into(), len: frames.len() as u64 };
        frames.get(frame as usize).ok_or(missing)
    }

    /// All sections, also those of unknown kinds.
    pub fn sections(&self) -> &[SectionInfo] {
        &self.0.directory.sections
    }

    /// Reads and decompresses the first section of that kind; `None` if the pack has none, or for the frames.
    ///
    /// # Errors
    /// The section cannot be read, is damaged, or is above the limits.
    pub fn section(&self, kind: SectionKind, input: &dyn ReadAt) -> Result<Option<Bytes>> {
        match self.sections().iter().find(|s| s.kind == kind && kind != SectionKind::FRAMES) {
            Some(section) => self.read_section(section, input).map(Some),
            None => Ok(None),
        }
    }

    pub(crate) fn read_section(&self, section: &SectionInfo, input: &dyn ReadAt) -> Result<Bytes> {
        let limit = self.0.limits.max_directory_bytes;
        let need = section.len.max(section.raw_len);
        if need > limit {
            return Err(ChunkError::TooLarge { what: "section in bytes", frame: None, need, limit });
        }
        let what = section.kind.name();
        let stored = read_exact(input, what, section.offset, section.len as usize)?;
        let corrupt = |detail| ChunkError::Corrupt { what, frame: None, offset: section.offset, detail };
        if crc32fast::hash(&stored) != section.crc32 {
            return Err(corrupt("checksum mismatch".into()));
        }
        if section.codec == Codec::None && section.raw_len == section.len {
            return Ok(stored);
        }
        codec::decompress(section.codec, &stored, section.raw_len as usize).map(Bytes::from).map_err(corrupt)
    }
}

/// Checks the first bytes of a pack, which opening it does not read.
pub(crate) fn check_head(input: &dyn ReadAt) -> Result<()> {
    let head = read_exact(input, "head", 0, HEAD_BYTES)?;
    let Some(version) = head.strip_prefix(&HEAD_MAGIC) else { return Err(ChunkError::NotAPack { offset: 0 }) };
    check_version(u16::from_le_bytes([version[0], version[1]]))
}

fn check_version(found: u16) -> Result<()> {
    if (OLDEST_READABLE_VERSION..=FORMAT_VERSION).contains(&found) {
        return Ok(());
    }
    let why = if found > FORMAT_VERSION { "is newer" } else { "is too old" };
    Err(ChunkError::Unsupported { found, why: why.into() })
}

struct Footer {
    offset: u64,
    len: u32,
    raw_len: u32,
    crc32: u32,
    codec: Codec,
    version: u16,
}

impl Footer {
    /// Magic and version come first, as another version may have another footer; then the checksum; then the fields.
    fn decode(bytes: &[u8], offset: u64) -> Result<Self> {
        let fields = bytes.strip_suffix(&TAIL_MAGIC).ok_or(ChunkError::NotAPack { offset })?;
        let corrupt = |detail: &str| ChunkError::Corrupt { what: "footer", frame: None, offset, detail: detail.into() };
        let (covered, _) = fields.split_at_checked(24).ok_or_else(|| corrupt("too short"))?;
        let mut reader = Reader::new(fields);
        let mut read = || {
            let (offset, len, raw_len) = (reader.u64("offset")?, reader.u32("length")?, reader.u32("raw length")?);
            let (crc32, codec, _) = (reader.u32("checksum")?, reader.u8("codec")?, reader.bytes(3, "zeros")?);
            let (footer_crc, version) = (reader.u32("footer checksum")?, reader.u16("version")?);
            Ok::<_, narvi_types::wire::WireError>((offset, len, raw_len, crc32, codec, footer_crc, version))
        };
        let (offset_of_directory, len, raw_len, crc32, codec, footer_crc, version) =
            read().map_err(|e| corrupt(&e.to_string()))?;
        check_version(version)?;
        if crc32fast::hash(covered) != footer_crc {
            return Err(corrupt("checksum mismatch"));
        }
        let codec = Codec::from_number(codec).ok_or_else(|| corrupt("unknown codec"))?;
        Ok(Self { offset: offset_of_directory, len, raw_len, crc32, codec, version })
    }

    /// Checks that the directory lies between head and footer and is within the limits.
    fn check(&self, footer_offset: u64, limits: &DecodeLimits) -> Result<()> {
        let end = self.offset.checked_add(self.len.into());
        if self.offset < HEAD_BYTES as u64 || end != Some(footer_offset) {
            let detail = "the directory does not end at the footer".into();
            return Err(ChunkError::Corrupt { what: "footer", frame: None, offset: footer_offset, detail });
        }
        let (need, limit) = (u64::from(self.raw_len.max(self.len)), limits.max_directory_bytes);
        if need > limit {
            return Err(ChunkError::TooLarge { what: "directory in bytes", frame: None, need, limit });
        }
        Ok(())
    }
}
