//! The directory at the end of a pack: sections, tenants, frames and their columns.

use std::ops::Range;

use narvi_types::{
    TimeRange,
    wire::{Reader, WireError, Writer},
};

use crate::{
    Codec, ColumnKind, SectionKind,
    format::{HEAD_BYTES, MAX_FRAME_ROWS, MAX_PAGE_ROWS},
};

/// One section of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SectionInfo {
    /// What it holds.
    pub kind: SectionKind,
    /// Whether a reader that does not know the kind must refuse the pack.
    pub required: bool,
    /// How it is compressed. The frames section is not compressed as a whole: its columns are.
    pub codec: Codec,
    /// Where it begins in the pack.
    pub offset: u64,
    /// Stored bytes.
    pub len: u64,
    /// Bytes after decompression.
    pub raw_len: u64,
    /// crc32 (IEEE) of the stored bytes; zero for the frames section, whose columns have checksums of their own.
    pub crc32: u32,
}

/// One tenant's part of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TenantInfo {
    /// Name of the tenant.
    pub name: String,
    /// Its frames.
    pub frames: Range<u32>,
}

/// One frame of a pack, as the directory knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameInfo {
    /// Number of the tenant in [`Pack::tenants`](crate::Pack::tenants).
    pub tenant: u32,
    /// Rows in the frame.
    pub rows: u32,
    /// Blocks in the frame.
    pub blocks: u32,
    /// Bytes of all lines, uncompressed, without line breaks.
    pub line_bytes: u32,
    /// Oldest and newest timestamp.
    pub range: TimeRange,
    /// Where the frame's columns begin in the pack.
    pub offset: u64,
    /// Its columns, in file order.
    pub columns: Vec<ColumnInfo>,
}

impl FrameInfo {
    /// The column of that kind, if the frame has it.
    pub fn column(&self, kind: ColumnKind) -> Option<&ColumnInfo> {
        self.columns.iter().find(|c| c.kind == kind)
    }

    /// Bytes that all columns take in the file, with their checksums.
    pub fn stored_bytes(&self) -> u64 {
        self.columns.iter().map(|c| u64::from(c.len)).sum()
    }
}

/// One column of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ColumnInfo {
    /// What it holds.
    pub kind: ColumnKind,
    /// How it is compressed. Pages carry their own codec; this is then `None`.
    pub codec: Codec,
    /// Where it begins, counted from the frame's first byte.
    pub offset: u32,
    /// Stored bytes, with checksums.
    pub len: u32,
    /// Bytes after decompression; for paged columns eight (timestamps) or four (lengths) per row.
    pub raw_len: u32,
    /// Stored bytes of each page, with checksum; empty for columns without pages.
    pub pages: Vec<u32>,
}

/// The directory, in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) page_rows: u32,
    pub(crate) sections: Vec<SectionInfo>,
    pub(crate) tenants: Vec<TenantInfo>,
    pub(crate) frames: Vec<FrameInfo>,
}

/// Section flag: a reader that does not know the kind must refuse the pack.
const REQUIRED: u8 = 1;

/// Why a directory cannot be used.
#[derive(Debug)]
pub(crate) enum DirectoryError {
    /// Its bytes make no sense.
    Bad(String),
    /// It asks for something that this version cannot do.
    Unsupported(String),
}

impl From<WireError> for DirectoryError {
    fn from(error: WireError) -> Self {
        Self::Bad(error.to_string())
    }
}

type DirectoryResult<T> = Result<T, DirectoryError>;

fn bad<T>(detail: &str) -> DirectoryResult<T> {
    Err(DirectoryError::Bad(detail.to_owned()))
}

impl Directory {
    /// Appends the directory, before compression.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.sections.len() as u64);
        for section in &self.sections {
            out.put_varint(section.kind.0.into());
            out.put_u8(if section.required { REQUIRED } else { 0 });
            out.put_u8(section.codec.number());
            out.put_varint(section.offset);
            out.put_varint(section.len);
            out.put_varint(section.raw_len);
            out.put_u32(section.crc32);
        }
        out.put_varint(self.page_rows.into());
        out.put_varint(self.tenants.len() as u64);
        for tenant in &self.tenants {
            out.put_str(&tenant.name);
            out.put_varint(u64::from(tenant.frames.end - tenant.frames.start));
        }
        let mut last_min = 0;
        for frame in &self.frames {
            encode_frame(frame, last_min, out);
            last_min = frame.range.min;
        }
    }

    /// Decodes the directory of a pack whose directory begins at `end`: no section may reach beyond it.
    pub(crate) fn decode(raw: &[u8], end: u64) -> DirectoryResult<Self> {
        let mut reader = Reader::new(raw);
        let count = reader.count(10, "section count")?;
        let sections = (0..count).map(|_| decode_section(&mut reader, end)).collect::<DirectoryResult<Vec<_>>>()?;
        for section in &sections {
            if section.required && section.kind != SectionKind::FRAMES {
                return Err(DirectoryError::Unsupported(format!("requires the section {}", section.kind)));
            }
        }
        let page_rows = reader.varint("rows in a page")?;
        if page_rows == 0 || page_rows > MAX_PAGE_ROWS.into() {
            return bad("rows in a page out of range");
        }
        let page_rows = page_rows as u32;

        let count = reader.count(2, "tenant count")?;
        let mut tenants = Vec::with_capacity(count);
        let mut next = 0_u32;
        for _ in 0..count {
            let name = reader.str("tenant name")?.to_owned();
            let frames = u32::try_from(reader.varint("frames of a tenant")?).ok();
            let Some(end) = frames.and_then(|frames| next.checked_add(frames)) else {
                return bad("too many frames");
            };
            tenants.push(TenantInfo { name, frames: next..end });
            next = end;
        }
        let frames = decode_frames(&mut reader, &tenants, page_rows, next)?;
        if !reader.is_empty() {
            return bad("bytes left after the last frame");
        }
        let mut of_frames = sections.iter().filter(|s| s.kind == SectionKind::FRAMES);
        let (Some(section), None) = (of_frames.next(), of_frames.next()) else {
            return bad("not one frames section");
        };
        let mut directory = Self { page_rows, sections: sections.clone(), tenants, frames };
        directory.place_frames(section)?;
        Ok(directory)
    }

    /// Frames lie one after the other in their section and fill it; so their places need not be stored.
    fn place_frames(&mut self, section: &SectionInfo) -> DirectoryResult<()> {
        let mut offset = section.offset;
        let end = section.offset + section.len;
        for frame in &mut self.frames {
            frame.offset = offset;
            offset = offset.saturating_add(frame.stored_bytes());
            if offset > end {
                return bad("frames do not fit their section");
            }
        }
        if offset == end { Ok(()) } else { bad("frames do not fill their section") }
    }
}

fn decode_section(reader: &mut Reader<'_>, end: u64) -> DirectoryResult<SectionInfo> {
    let Ok(kind) = u16::try_from(reader.varint("section kind")?) else { return bad("section kind above 65535") };
    let flags = reader.u8("section flags")?;
    let codec = reader.u8("section codec")?;
    let Some(codec) = Codec::from_number(codec) else {
        return Err(DirectoryError::Unsupported(format!("uses codec {codec}")));
    };
    let section = SectionInfo {
        kind: SectionKind(kind),
        required: flags & REQUIRED != 0,
        codec,
        offset: reader.varint("section offset")?,
        len: reader.varint("section length")?,
        raw_len: reader.varint("section raw length")?,
        crc32: reader.u32("section checksum")?,
    };
    if section.offset < HEAD_BYTES as u64 || section.offset.checked_add(section.len).is_none_or(|e| e > end) {
        return bad("a section lies outside of the file");
    }
    Ok(section)
}

fn encode_frame(frame: &FrameInfo, last_min: i64, out: &mut Vec<u8>) {
    out.put_varint(frame.rows.into());
    out.put_varint(frame.blocks.into());
    out.put_varint(frame.line_bytes.into());
    out.put_zigzag(frame.range.min.wrapping_sub(last_min));
    out.put_varint(frame.range.max.wrapping_sub(frame.range.min) as u64);
    out.put_u8(frame.columns.len() as u8);
    for column in &frame.columns {
        out.put_u8(column.kind.number());
        if column.kind.is_paged() {
            for page in &column.pages {
                out.put_varint((*page).into());
            }
            continue;
        }
        out.put_u8(column.codec.number());
        out.put_varint(column.len.into());
        if column.kind != ColumnKind::Lines {
            out.put_varint(column.raw_len.into());
        }
    }
}

fn decode_frames(
    reader: &mut Reader<'_>,
    tenants: &[TenantInfo],
    page_rows: u32,
    count: u32,
) -> DirectoryResult<Vec<FrameInfo>> {
    // Each frame takes six bytes and more, so a flipped count cannot ask for more memory than the directory's size.
    if u64::from(count) * 6 > reader.remaining() as u64 {
        return bad("more frames than the directory can hold");
    }
    let mut frames = Vec::with_capacity(count as usize);
    let mut last_min = 0;
    for (number, tenant) in tenants.iter().enumerate() {
        for _ in tenant.frames.clone() {
            let frame = decode_frame(reader, number as u32, page_rows, last_min)?;
            last_min = frame.range.min;
            frames.push(frame);
        }
    }
    Ok(frames)
}

fn decode_frame(reader: &mut Reader<'_>, tenant: u32, page_rows: u32, last_min: i64) -> DirectoryResult<FrameInfo> {
    let rows = narrow(reader.varint("rows")?)?;
    let blocks = narrow(reader.varint("blocks")?)?;
    let line_bytes = narrow(reader.varint("line bytes")?)?;
    let min = last_min.wrapping_add(reader.zigzag("oldest timestamp")?);
    let max = min.wrapping_add(reader.varint("time span")? as i64);
    if rows > MAX_FRAME_ROWS || blocks > rows || (rows > 0 && max < min) {
        return bad("impossible frame");
    }
    let count = reader.u8("column count")?;
    let mut columns = Vec::with_capacity(count.into());
    let mut offset = 0_u32;
    for _ in 0..count {
        let mut column = decode_column(reader, rows, line_bytes, page_rows)?;
        column.offset = offset;
        let Some(end) = offset.checked_add(column.len) else { return bad("frame of more than 4 GiB") };
        if columns.iter().any(|c: &ColumnInfo| c.kind == column.kind) {
            return bad("a column occurs twice");
        }
        offset = end;
        columns.push(column);
    }
    Ok(FrameInfo { tenant, rows, blocks, line_bytes, range: TimeRange::new(min, max), offset: 0, columns })
}

fn decode_column(reader: &mut Reader<'_>, rows: u32, line_bytes: u32, page_rows: u32) -> DirectoryResult<ColumnInfo> {
    let number = reader.u8("column kind")?;
    let Some(kind) = ColumnKind::from_number(number) else {
        return Err(DirectoryError::Unsupported(format!("has a column of kind {number}")));
    };
    if kind.is_paged() {
        let mut pages = Vec::new();
        let mut len = 0_u32;
        for _ in 0..rows.div_ceil(page_rows) {
            let page = narrow(reader.varint("page length")?)?;
            let Some(sum) = len.checked_add(page) else { return bad("column of more than 4 GiB") };
            len = sum;
            pages.push(page);
        }
        let raw_len = rows * if kind == ColumnKind::Timestamps { 8 } else { 4 };
        return Ok(ColumnInfo { kind, codec: Codec::None, offset: 0, len, raw_len, pages });
    }
    let codec = reader.u8("column codec")?;
    let Some(codec) = Codec::from_number(codec) else {
        return Err(DirectoryError::Unsupported(format!("uses codec {codec}")));
    };
    let len = narrow(reader.varint("column length")?)?;
    let raw_len = if kind == ColumnKind::Lines { line_bytes } else { narrow(reader.varint("raw length")?)? };
    Ok(ColumnInfo { kind, codec, offset: 0, len, raw_len, pages: Vec::new() })
}

fn narrow(value: u64) -> DirectoryResult<u32> {
    u32::try_from(value).or_else(|_| bad("number above 4 294 967 295"))
}
