//! Reads the columns of one frame, each when it is first asked for.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use bytes::Bytes;
use narvi_types::{Labels, Metadata};

use crate::{
    ChunkError, Codec, ColumnInfo, ColumnKind, FrameInfo, Pack, ReadAt, Result, codec,
    column::{ColumnError, ints, metadata, streams, times},
    format::CRC_BYTES,
    source::read_exact,
};

/// Appends the values of a page of that many rows.
type DecodePage = fn(&[u8], usize, &mut Vec<i64>) -> std::result::Result<(), ColumnError>;

/// The metadata of a frame's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetadataColumn {
    /// The distinct sets of pairs; the empty set is among them if a row has no metadata.
    pub sets: Vec<Metadata>,
    /// For each row of the frame, the number of its set; always less than `sets.len()`.
    pub ids: Vec<u32>,
}

impl MetadataColumn {
    /// The metadata of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row(&self, row: usize) -> &Metadata {
        &self.sets[self.ids[row] as usize]
    }
}

/// One frame, read column by column. Lines, offsets and metadata are kept once decoded, so asking again is free; pages
/// of timestamps and lengths are decoded each time. Can be shared between threads.
pub struct FrameReader<R> {
    pack: Pack,
    frame: u32,
    info: FrameInfo,
    input: R,
    /// Stored bytes read ahead, with their offset in the pack.
    spans: Mutex<Vec<(u64, Bytes)>>,
    lines: OnceLock<Bytes>,
    offsets: OnceLock<Arc<[u32]>>,
    metadata: OnceLock<Arc<MetadataColumn>>,
}

impl<R> fmt::Debug for FrameReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader").field("frame", &self.frame).field("info", &self.info).finish_non_exhaustive()
    }
}

impl<R: ReadAt> FrameReader<R> {
    /// Makes a reader; reads nothing yet.
    ///
    /// # Errors
    /// There is no such frame, or it has more rows or bytes of lines than the limits of the pack allow.
    pub fn new(pack: &Pack, frame: u32, input: R) -> Result<Self> {
        let info = pack.frame(frame)?.clone();
        let too_large = |what, need: u32, limit: u64| {
            Err(ChunkError::TooLarge { what, frame: Some(frame), need: need.into(), limit })
        };
        let limits = pack.limits();
        if info.rows > limits.max_frame_rows {
            return too_large("rows", info.rows, limits.max_frame_rows.into());
        }
        if let Some(column) = info.columns.iter().find(|c| u64::from(c.raw_len) > limits.max_column_bytes) {
            return too_large(column.kind.name(), column.raw_len, limits.max_column_bytes);
        }
        let (spans, lines, offsets, metadata) = Default::default();
        Ok(Self { pack: pack.clone(), frame, info, input, spans, lines, offsets, metadata })
    }

    /// The frame's entry in the directory.
    pub fn info(&self) -> &FrameInfo {
        &self.info
    }

    /// Reads the stored bytes of several columns in one positioned read (with what lies between them), for later use.
    /// Absent columns are skipped. Without this, each column is one read when it is first asked for.
    ///
    /// # Errors
    /// The bytes cannot be read.
    pub fn prefetch(&self, columns: &[ColumnKind]) -> Result<()> {
        let wanted = || self.info.columns.iter().filter(|c| columns.contains(&c.kind));
        let start = wanted().map(|c| c.offset).min().unwrap_or(0);
        let end = wanted().map(|c| c.offset + c.len).max().unwrap_or(0);
        if start < end {
            let offset = self.info.offset + u64::from(start);
            let bytes = self.stored("columns", offset, (end - start) as usize)?;
            self.spans.lock().unwrap_or_else(PoisonError::into_inner).push((offset, bytes));
        }
        Ok(())
    }

    /// Decodes the timestamps of some rows; reads and decodes only the pages that hold them.
    ///
    /// # Errors
    /// The rows do not exist; the pages cannot be read or are damaged.
    pub fn timestamps(&self, rows: Range<u32>) -> Result<Vec<i64>> {
        self.paged(ColumnKind::Timestamps, rows, times::decode)
    }

    /// Decodes the line lengths of some rows; reads and decodes only the pages that hold them.
    ///
    /// # Errors
    /// As [`FrameReader::timestamps`].
    pub fn lengths(&self, rows: Range<u32>) -> Result<Vec<u32>> {
        let wide = self.paged(ColumnKind::Lengths, rows, ints::decode)?;
        // No line is longer than all lines together; this also keeps the sum of any page far from overflow.
        if wide.iter().any(|len| *len < 0 || *len > self.info.line_bytes.into()) {
            let column = self.column(ColumnKind::Lengths)?;
            return Err(self.corrupt(column, 0, "a line is longer than all lines together"));
        }
        Ok(wide.into_iter().map(|len| len as u32).collect())
    }

    /// The bytes of all lines, one after the other.
    ///
    /// # Errors
    /// The column cannot be read, is damaged or is above the limits.
    pub fn lines(&self) -> Result<Bytes> {
        if let Some(lines) = self.lines.get() {
            return Ok(lines.clone());
        }
        let lines = self.whole(self.column(ColumnKind::Lines)?)?;
        Ok(self.lines.get_or_init(|| lines).clone())
    }

    /// Where each line begins in [`FrameReader::lines`], and at last where the last one ends: one more than there are
    /// rows, ascending, the last equal to the length of the buffer.
    ///
    /// # Errors
    /// As [`FrameReader::lengths`].
    pub fn offsets(&self) -> Result<Arc<[u32]>> {
        if let Some(offsets) = self.offsets.get() {
            return Ok(offsets.clone());
        }
        let lengths = self.lengths(0..self.info.rows)?;
        let mut offsets = Vec::with_capacity(lengths.len() + 1);
        let mut end = 0_u64;
        offsets.push(0);
        for len in lengths {
            end += u64::from(len);
            offsets.push(end as u32);
        }
        if end != u64::from(self.info.line_bytes) {
            return Err(self.corrupt(self.column(ColumnKind::Lengths)?, 0, "the lengths do not add up to the lines"));
        }
        Ok(self.offsets.get_or_init(|| offsets.into()).clone())
    }

    /// The structured metadata; `None` when no row of the frame has any.
    ///
    /// # Errors
    /// The column cannot be read, is damaged or is above the limits.
    pub fn metadata(&self) -> Result<Option<Arc<MetadataColumn>>> {
        let Some(column) = self.info.column(ColumnKind::Metadata) else { return Ok(None) };
        if let Some(metadata) = self.metadata.get() {
            return Ok(Some(metadata.clone()));
        }
        let limit = self.pack.limits().max_column_bytes;
        let decoded = metadata::decode(&self.whole(column)?, self.info.rows as usize, limit);
        let (sets, ids) = decoded.map_err(|error| self.failed(column, 0, error))?;
        Ok(Some(self.metadata.get_or_init(|| Arc::new(MetadataColumn { sets, ids })).clone()))
    }

    /// Labels and number of rows of each block, in row order. Decoded each time; queries learn both from the index.
    ///
    /// # Errors
    /// The column cannot be read, is damaged or is above the limits.
    pub fn streams(&self) -> Result<Vec<(Labels, u32)>> {
        let column = self.column(ColumnKind::Streams)?;
        let limit = self.pack.limits().max_column_bytes;
        let decoded = streams::decode(&self.whole(column)?, self.info.blocks as usize, limit);
        let streams = decoded.map_err(|error| self.failed(column, 0, error))?;
        if streams.iter().map(|(_, rows)| u64::from(*rows)).sum::<u64>() != u64::from(self.info.rows) {
            return Err(self.corrupt(column, 0, "the rows of the blocks do not add up to those of the frame"));
        }
        Ok(streams)
    }

    /// Reads a column that this version does not know, and checks its checksum.
    pub(crate) fn check_unknown(&self, column: &ColumnInfo) -> Result<()> {
        self.checked(column, self.info.offset + u64::from(column.offset), column.len as usize).map(|_| ())
    }

    fn column(&self, kind: ColumnKind) -> Result<&ColumnInfo> {
        self.info.column(kind).ok_or_else(|| ChunkError::Corrupt {
            what: kind.name(),
            frame: Some(self.frame),
            offset: self.info.offset,
            detail: "the frame has no such column".into(),
        })
    }

    /// Reads, checks and decompresses a column without pages.
    fn whole(&self, column: &ColumnInfo) -> Result<Bytes> {
        let stored = self.checked(column, self.info.offset + u64::from(column.offset), column.len as usize)?;
        if column.codec == Codec::None && stored.len() == column.raw_len as usize {
            return Ok(stored);
        }
        let raw = codec::decompress(column.codec, &stored, column.raw_len as usize);
        raw.map(Bytes::from).map_err(|detail| self.corrupt(column, 0, &detail))
    }

    fn paged(&self, kind: ColumnKind, rows: Range<u32>, decode: DecodePage) -> Result<Vec<i64>> {
        if rows.start > rows.end || rows.end > self.info.rows {
            let (asked, len) = (rows.end.max(rows.start).into(), self.info.rows.into());
            return Err(ChunkError::OutOfRange { what: "row", asked, len });
        }
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let column = self.column(kind)?;
        let page_rows = self.pack.page_rows();
        let pages = (rows.start / page_rows) as usize..rows.end.div_ceil(page_rows) as usize;
        let before: u32 = column.pages.iter().take(pages.start).sum();
        let lengths = column.pages.get(pages.clone()).unwrap_or(&[]);
        let start = column.offset + before;
        let all =
            self.stored(kind.name(), self.info.offset + u64::from(start), lengths.iter().sum::<u32>() as usize)?;

        let first_row = pages.start as u32 * page_rows;
        let mut values =
            Vec::with_capacity((rows.end.next_multiple_of(page_rows).min(self.info.rows) - first_row) as usize);
        let (mut at, mut row) = (0, first_row);
        for len in lengths {
            let count = page_rows.min(self.info.rows - row);
            let page = all.slice(at..at + *len as usize);
            let page = self.without_crc(column, before + at as u32, page)?;
            decode(&page, count as usize, &mut values).map_err(|e| self.failed(column, before + at as u32, e))?;
            at += *len as usize;
            row += count;
        }
        values.truncate((rows.end - first_row) as usize);
        values.drain(..(rows.start - first_row) as usize);
        Ok(values)
    }

    /// Takes stored bytes from what was read ahead, or else reads them.
    fn stored(&self, what: &'static str, offset: u64, len: usize) -> Result<Bytes> {
        for (start, bytes) in &*self.spans.lock().unwrap_or_else(PoisonError::into_inner) {
            let at = offset.checked_sub(*start).and_then(|at| usize::try_from(at).ok());
            if let Some(at) = at
                && at.checked_add(len).is_some_and(|end| end <= bytes.len())
            {
                return Ok(bytes.slice(at..at + len));
            }
        }
        read_exact(&self.input, what, offset, len)
    }

    fn checked(&self, column: &ColumnInfo, offset: u64, len: usize) -> Result<Bytes> {
        self.without_crc(column, 0, self.stored(column.kind.name(), offset, len)?)
    }

    /// Checks and cuts off the checksum at the end of a column or page, which begins `at` bytes into its column.
    fn without_crc(&self, column: &ColumnInfo, at: u32, stored: Bytes) -> Result<Bytes> {
        let Some((body, crc)) = stored.split_last_chunk::<CRC_BYTES>() else {
            return Err(self.corrupt(column, at, "shorter than its checksum"));
        };
        if crc32fast::hash(body) != u32::from_le_bytes(*crc) {
            return Err(self.corrupt(column, at, "checksum mismatch"));
        }
        Ok(stored.slice(..body.len()))
    }

    fn corrupt(&self, column: &ColumnInfo, at: u32, detail: &str) -> ChunkError {
        ChunkError::Corrupt {
            what: column.kind.name(),
            frame: Some(self.frame),
            offset: self.info.offset + u64::from(column.offset) + u64::from(at),
            detail: detail.to_owned(),
        }
    }

    fn failed(&self, column: &ColumnInfo, at: u32, error: ColumnError) -> ChunkError {
        match error {
            ColumnError::Bad(detail) => self.corrupt(column, at, &detail),
            ColumnError::TooLarge(need) => {
                let limit = self.pack.limits().max_column_bytes;
                ChunkError::TooLarge { what: column.kind.name(), frame: Some(self.frame), need, limit }
            }
        }
    }
}
