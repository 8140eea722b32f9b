//! Writes packs: collects rows into frames, encodes them, and ends with the directory.

use std::{collections::HashSet, ops::Range, sync::Arc};

use bytes::Bytes;
use narvi_types::{Labels, TimeRange, wire::Writer};

use crate::{
    ChunkError, Codec, EncodedFrame, FORMAT_VERSION, FrameRows, PackOptions, Result, Rows, SectionInfo, SectionKind,
    TenantInfo, codec,
    directory::Directory,
    encode_frame,
    format::{HEAD_BYTES, HEAD_MAGIC, MAX_FRAME_ROWS, TAIL_BYTES, TAIL_MAGIC},
    frame::check_rows,
};

/// Where a block was put, and its summary for the index.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BlockPlace {
    /// Number of the frame in the pack.
    pub frame: u32,
    /// First row in the frame.
    pub first_row: u32,
    /// How many rows.
    pub rows: u32,
    /// Bytes of the lines.
    pub line_bytes: u64,
    /// Oldest and newest timestamp.
    pub range: TimeRange,
    /// Names of all metadata keys in the block, sorted, each once. Blocks with the same keys share the list.
    pub metadata_keys: Arc<[Arc<str>]>,
}

/// Writes one pack. Memory: the open frame uncompressed, closed frames compressed until they are drained.
#[derive(Debug)]
pub struct PackWriter {
    options: PackOptions,
    open: FrameRows,
    directory: Directory,
    named: HashSet<String>,
    /// Sections beside the frames, written after them.
    sections: Vec<(SectionInfo, Bytes)>,
    ready: Vec<Bytes>,
    /// Bytes of the pack so far, drained or not.
    stored: u64,
    line_bytes: u64,
}

impl PackWriter {
    /// Starts a pack.
    ///
    /// # Errors
    /// A setting out of range.
    pub fn new(options: PackOptions) -> Result<Self> {
        options.check()?;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.put(&HEAD_MAGIC);
        head.put_u16(FORMAT_VERSION);
        let directory =
            Directory { page_rows: options.page_rows, sections: Vec::new(), tenants: Vec::new(), frames: Vec::new() };
        Ok(Self {
            options,
            open: FrameRows::new(),
            directory,
            named: HashSet::new(),
            sections: Vec::new(),
            ready: vec![head.into()],
            stored: HEAD_BYTES as u64,
            line_bytes: 0,
        })
    }

    /// Starts a tenant's part; the open frame is closed. Naming the current tenant again does nothing. A tenant that
    /// gets no rows leaves no trace.
    ///
    /// # Errors
    /// The tenant was written before, with another one since; the open frame cannot be encoded.
    pub fn tenant(&mut self, name: &str) -> Result<()> {
        if self.directory.tenants.last().is_some_and(|tenant| tenant.name == name) {
            return Ok(());
        }
        if self.named.contains(name) {
            return Err(ChunkError::TenantAgain(name.to_owned()));
        }
        self.close_frame()?;
        let next = self.next_frame();
        if let Some(unused) = self.directory.tenants.pop_if(|tenant| tenant.frames.is_empty()) {
            self.named.remove(&unused.name);
        }
        self.named.insert(name.to_owned());
        self.directory.tenants.push(TenantInfo { name: name.to_owned(), frames: next..next });
        Ok(())
    }

    /// Appends rows of one stream, sorted by timestamp. A block that is large is split over several frames; then
    /// several places are given, in row order. No rows give no place. For good compression, come sorted by labels.
    ///
    /// # Errors
    /// No tenant, rows not sorted, a line or metadata above the format's limits (nothing is appended then), or a frame
    /// that cannot be encoded (the pack is then of no use).
    pub fn block<R: Rows + ?Sized>(&mut self, labels: &Labels, rows: &R) -> Result<Vec<BlockPlace>> {
        if self.directory.tenants.is_empty() {
            return Err(ChunkError::NoTenant);
        }
        let checked = check_rows(labels, rows, 0..rows.len())?;
        let target = self.options.frame_bytes as usize;
        // A small block is never split. It goes into the open frame if that stays near its size.
        let together = self.open.fill_bytes() as u64 + checked.line_bytes;
        if self.is_full() || (together > (target + target / 4) as u64 && self.open.fill_bytes() >= target / 2) {
            self.close_frame()?;
        }
        let mut places = Vec::new();
        let mut rest = 0..rows.len();
        while !rest.is_empty() {
            let part = self.fitting(rows, rest.clone());
            rest.start = part.end;
            let place = self.open.push_checked(labels, rows, part);
            places.push(BlockPlace { frame: self.next_frame(), ..place });
            if !rest.is_empty() {
                self.close_frame()?;
            }
        }
        self.line_bytes += checked.line_bytes;
        Ok(places)
    }

    /// Appends a frame that was encoded elsewhere to the current tenant's part, and gives its number; the open frame is
    /// closed before. It must have been encoded with the `page_rows` of this pack.
    ///
    /// # Errors
    /// No tenant; another page size; the open frame cannot be encoded.
    pub fn push_frame(&mut self, frame: EncodedFrame) -> Result<u32> {
        if self.directory.tenants.is_empty() {
            return Err(ChunkError::NoTenant);
        }
        if frame.page_rows != self.options.page_rows {
            let only = self.options.page_rows.into();
            let value = frame.page_rows.into();
            return Err(ChunkError::BadOption { name: "page_rows of the frame", value, min: only, max: only });
        }
        self.close_frame()?;
        self.line_bytes += u64::from(frame.info.line_bytes);
        Ok(self.append(frame))
    }

    /// Adds a section beside the frames; it is written after them.
    ///
    /// # Errors
    /// The compressor failed.
    pub fn section(&mut self, kind: SectionKind, required: bool, raw: &[u8]) -> Result<()> {
        let mut stored = Vec::new();
        let codec = codec::compress(self.options.compression, kind.name(), raw, &mut stored)?;
        let info = SectionInfo {
            kind,
            required,
            codec,
            offset: 0,
            len: stored.len() as u64,
            raw_len: raw.len() as u64,
            crc32: crc32fast::hash(&stored),
        };
        self.sections.push((info, stored.into()));
        Ok(())
    }

    /// Bytes of lines appended so far.
    pub fn line_bytes(&self) -> u64 {
        self.line_bytes
    }

    /// Bytes of the pack made so far (without the open frame, other sections and the directory), drained or not.
    pub fn stored_bytes(&self) -> u64 {
        self.stored
    }

    /// Takes the bytes that are ready, in file order, so that they can be written out and forgotten.
    pub fn drain(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.ready)
    }

    /// Closes the open frame, writes the directory, and gives all bytes that were not drained, in file order.
    ///
    /// # Errors
    /// The compressor failed.
    pub fn finish(mut self) -> Result<Vec<Bytes>> {
        self.close_frame()?;
        self.directory.tenants.pop_if(|tenant| tenant.frames.is_empty());
        let len = self.stored - HEAD_BYTES as u64;
        self.directory.sections.push(SectionInfo {
            kind: SectionKind::FRAMES,
            required: true,
            codec: Codec::None,
            offset: HEAD_BYTES as u64,
            len,
            raw_len: len,
            crc32: 0,
        });
        for (mut info, stored) in std::mem::take(&mut self.sections) {
            info.offset = self.stored;
            self.directory.sections.push(info);
            self.put(stored);
        }
        let tail = self.tail()?;
        self.put(tail);
        Ok(self.ready)
    }

    /// Directory and footer.
    fn tail(&self) -> Result<Bytes> {
        let mut raw = Vec::new();
        self.directory.encode(&mut raw);
        let mut out = Vec::with_capacity(raw.len() + TAIL_BYTES);
        let codec = codec::compress(self.options.compression, "directory", &raw, &mut out)?;
        let lengths = u32::try_from(out.len()).ok().zip(u32::try_from(raw.len()).ok());
        let Some((len, raw_len)) = lengths else {
            let (need, limit) = (raw.len() as u64, u32::MAX.into());
            return Err(ChunkError::TooLarge { what: "directory in bytes", frame: None, need, limit });
        };
        let crc = crc32fast::hash(&out);
        let mut footer = Vec::with_capacity(TAIL_BYTES);
        footer.put_u64(self.stored);
        footer.put_u32(len);
        footer.put_u32(raw_len);
        footer.put_u32(crc);
        footer.put_u8(codec.number());
        footer.put(&[0; 3]);
        footer.put_u32(crc32fast::hash(&footer));
        footer.put_u16(FORMAT_VERSION);
        footer.put(&TAIL_MAGIC);
        out.put(&footer);
        Ok(out.into())
    }

    fn put(&mut self, bytes: Bytes) {
        self.stored += bytes.len() as u64;
        self.ready.push(bytes);
    }

    /// Number of the open frame.
    fn next_frame(&self) -> u32 {
        self.directory.frames.len() as u32
    }

    fn is_full(&self) -> bool {
        self.open.fill_bytes() >= self.options.frame_bytes as usize
            || self.open.rows() >= self.options.frame_rows.min(MAX_FRAME_ROWS) as usize
    }

    /// The first of those rows that go into the open frame: until it is full, but without leaving a small rest.
    fn fitting<R: Rows + ?Sized>(&self, rows: &R, range: Range<usize>) -> Range<usize> {
        let room = self.options.frame_rows as usize - self.open.rows();
        let most = range.end.min(range.start.saturating_add(room));
        let target = self.options.frame_bytes as usize;
        let size = |row| rows.line(row).len() + rows.metadata(row).map_or(0, |m| m.packed().len());
        let (mut fill, mut end) = (self.open.fill_bytes(), range.start);
        while end < most && fill < target {
            fill += size(end);
            end += 1;
        }
        let mut rest = end;
        while rest < most && fill < target + target / 4 {
            fill += size(rest);
            rest += 1;
        }
        range.start..if rest == range.end { rest } else { end }
    }

    fn close_frame(&mut self) -> Result<()> {
        if self.open.rows() > 0 {
            let frame = encode_frame(&self.open, &self.options)?;
            self.open.clear();
            self.append(frame);
        }
        Ok(())
    }

    fn append(&mut self, mut frame: EncodedFrame) -> u32 {
        let number = self.next_frame();
        if let Some(tenant) = self.directory.tenants.last_mut() {
            tenant.frames.end = number + 1;
        }
        frame.info.tenant = self.directory.tenants.len().saturating_sub(1) as u32;
        frame.info.offset = self.stored;
        self.directory.frames.push(frame.info);
        self.put(frame.bytes);
        number
    }
}
