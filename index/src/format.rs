//! Magic, versions, section kinds and the directory: what the file and each part in it share. See `FORMAT.md`.

use bytes::Bytes;
use narvi_types::wire::{Reader, WireError, Writer};

use crate::{IndexError, Result};

/// The version this build writes. It stays 0, and the format may change, until the first release.
pub const FORMAT_VERSION: u32 = 0;
/// The oldest version this build reads.
pub const OLDEST_READABLE_VERSION: u32 = 0;

pub(crate) const MAGIC: [u8; 8] = *b"\x8aNRVIDX\n";
pub(crate) const HEADER_BYTES: usize = 16;
pub(crate) const FOOTER_BYTES: usize = 24;
/// The part of the footer that the directory's checksum covers: offset and length.
pub(crate) const FOOTER_CHECKED_BYTES: usize = 12;
/// Series and block lists stand in groups of this many; only the group's start is in an offset table.
pub(crate) const GROUP_SERIES: u32 = 16;
/// Series ids need the top bit free, which marks a posting of one series.
pub(crate) const MAX_SERIES: u64 = 1 << 31;

/// Flag of a section that a reader must understand.
pub(crate) const REQUIRED: u8 = 1;
const UNCOMPRESSED: u8 = 0;
/// Least bytes of a directory entry: kind, flags, codec, two varints, checksum.
const MIN_ENTRY_BYTES: usize = 10;

/// What a section holds. Kinds of the file and of parts are numbered apart from each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Packs,
    Tenants,
    Head,
    Values,
    Postings,
    Series,
    Blocks,
}

impl Kind {
    pub(crate) const FILE: &'static [Self] = &[Self::Packs, Self::Tenants];
    pub(crate) const PART: &'static [Self] = &[Self::Head, Self::Values, Self::Postings, Self::Series, Self::Blocks];

    pub(crate) const fn code(self) -> u16 {
        match self {
            Self::Packs | Self::Head => 1,
            Self::Tenants | Self::Values => 2,
            Self::Postings => 3,
            Self::Series => 4,
            Self::Blocks => 5,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Packs => "packs",
            Self::Tenants => "tenants",
            Self::Head => "head",
            Self::Values => "values",
            Self::Postings => "postings",
            Self::Series => "series",
            Self::Blocks => "blocks",
        }
    }
}

/// Where a section lies, from the start of the file or part that the directory belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) kind: u16,
    pub(crate) flags: u8,
    pub(crate) codec: u8,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) crc: u32,
}

impl Entry {
    pub(crate) fn required(kind: Kind, span: Span) -> Self {
        let Span { offset, length, crc } = span;
        Self { kind: kind.code(), flags: REQUIRED, codec: UNCOMPRESSED, offset, length, crc }
    }
}

/// A stretch of written bytes and their checksum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) crc: u32,
}

/// The sections of a file or part.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) entries: Vec<Entry>,
    /// What the entries' offsets count from, in the file.
    base: u64,
    known: &'static [Kind],
}

impl Directory {
    pub(crate) fn encode(entries: &[Entry]) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_varint(entries.len() as u64);
        for entry in entries {
            out.put_u16(entry.kind);
            out.put_u8(entry.flags);
            out.put_u8(entry.codec);
            out.put_varint(entry.offset);
            out.put_varint(entry.length);
            out.put_u32(entry.crc);
        }
        out
    }

    /// Decodes a directory at byte `at` of the file, whose sections must end by `limit` bytes after `base`.
    pub(crate) fn decode(
        bytes: &[u8],
        at: u64,
        base: u64,
        limit: u64,
        known: &'static [Kind],
        version: u32,
    ) -> Result<Self> {
        let fail = |e: WireError| corrupt("directory", at, e.offset, e.what);
        let mut reader = Reader::new(bytes);
        let count = reader.count(MIN_ENTRY_BYTES, "section count").map_err(fail)?;
        let mut entries: Vec<Entry> = Vec::with_capacity(count);
        for _ in 0..count {
            let start = reader.offset();
            let entry = decode_entry(&mut reader).map_err(fail)?;
            if entry.offset.checked_add(entry.length).is_none_or(|end| end > limit) {
                return Err(corrupt("directory", at, start, "section range"));
            }
            if entries.iter().any(|e| e.kind == entry.kind) {
                return Err(corrupt("directory", at, start, "repeated section"));
            }
            if entry.flags & REQUIRED != 0 && !known.iter().any(|k| k.code() == entry.kind) {
                return Err(IndexError::UnknownSection { kind: entry.kind, offset: base + entry.offset, version });
            }
            entries.push(entry);
        }
        if !reader.is_empty() {
            return Err(corrupt("directory", at, reader.offset(), "directory end"));
        }
        Ok(Self { entries, base, known })
    }

    /// The name of a kind of section.
    pub(crate) fn name(&self, kind: u16) -> &'static str {
        self.known.iter().find(|k| k.code() == kind).map_or("of unknown kind", |k| k.name())
    }

    /// Cuts a section out of `bytes`, which begin at the directory's base. Does not look at its checksum.
    pub(crate) fn section(&self, bytes: &Bytes, kind: Kind) -> Result<Section> {
        let name = kind.name();
        let entry = self.entries.iter().find(|e| e.kind == kind.code());
        let entry = entry.ok_or(corrupt("directory", self.base, 0, "directory: a section is missing"))?;
        if entry.codec != UNCOMPRESSED {
            return Err(corrupt(name, self.base, to_usize(entry.offset), "codec"));
        }
        let (start, end) = (to_usize(entry.offset), to_usize(entry.offset.saturating_add(entry.length)));
        if end > bytes.len() || start > end {
            return Err(corrupt(name, self.base, start, "section range"));
        }
        Ok(Section { name, base: self.base + entry.offset, crc: entry.crc, bytes: bytes.slice(start..end) })
    }
}

fn decode_entry(reader: &mut Reader<'_>) -> Result<Entry, WireError> {
    Ok(Entry {
        kind: reader.u16("section kind")?,
        flags: reader.u8("section flags")?,
        codec: reader.u8("section codec")?,
        offset: reader.varint("section offset")?,
        length: reader.varint("section length")?,
        crc: reader.u32("section checksum")?,
    })
}

/// The bytes of one section, which know where in the file they lie.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    /// Offset in the file of the first byte.
    pub(crate) base: u64,
    pub(crate) crc: u32,
    pub(crate) bytes: Bytes,
}

impl Section {
    pub(crate) fn checked(self) -> Result<Self> {
        if crc32fast::hash(&self.bytes) == self.crc {
            Ok(self)
        } else {
            Err(IndexError::Checksum { section: self.name, offset: self.base })
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// An error at that byte of the section.
    pub(crate) fn corrupt(&self, at: usize, what: &'static str) -> IndexError {
        corrupt(self.name, self.base, at, what)
    }

    /// Places an error of a reader that began at byte `start` of the section.
    pub(crate) fn wire(&self, start: usize) -> impl Fn(WireError) -> IndexError + use<> {
        let (name, base) = (self.name, self.base);
        move |e| corrupt(name, base, start + e.offset, e.what)
    }

    pub(crate) fn slice(&self, start: usize, len: usize, what: &'static str) -> Result<&[u8]> {
        let end = start.checked_add(len);
        end.and_then(|end| self.bytes.get(start..end)).ok_or_else(|| self.corrupt(start, what))
    }

    /// The element at `index` of a table of 32-bit integers at byte `table`.
    pub(crate) fn u32_at(&self, table: usize, index: usize, what: &'static str) -> Result<u32> {
        let at = index.checked_mul(4).and_then(|o| o.checked_add(table));
        let found = at.and_then(|at| self.bytes.get(at..)?.first_chunk::<4>());
        found.map(|b| u32::from_le_bytes(*b)).ok_or_else(|| self.corrupt(table, what))
    }
}

pub(crate) fn corrupt(section: &'static str, base: u64, at: usize, what: &'static str) -> IndexError {
    IndexError::Corrupt { section, offset: base.saturating_add(at as u64), what }
}

/// That many bytes from that offset.
pub(crate) fn cut(bytes: &Bytes, offset: u64, length: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(offset).ok()?..)?.get(..usize::try_from(length).ok()?)
}

/// A length or offset as an index; one that this machine cannot address becomes one that no slice has.
pub(crate) fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
