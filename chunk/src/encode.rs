//! Encodes frames.

use bytes::Bytes;
use narvi_types::{TimeRange, wire::Writer};

use crate::{
    Codec, ColumnInfo, ColumnKind, FrameInfo, FrameRows, PackOptions, Result, codec,
    column::{ints, metadata, streams, times},
};

/// A frame ready to be put into a pack.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct EncodedFrame {
    /// The stored columns, one after the other.
    pub bytes: Bytes,
    /// The frame's entry; `tenant` and `offset` are set by the pack that takes it.
    pub info: FrameInfo,
    /// The page size it was made with, which must be that of the pack.
    pub(crate) page_rows: u32,
}

/// Encodes a frame. A pure function of its arguments, so frames can be encoded on many threads and then handed to
/// [`PackWriter::push_frame`](crate::PackWriter::push_frame) in order.
///
/// # Errors
/// A setting is out of range, or the compressor failed.
pub fn encode_frame(rows: &FrameRows, options: &PackOptions) -> Result<EncodedFrame> {
    options.check()?;
    // Realistic lines shrink to less than a third.
    let mut encoder = Encoder { options, out: Vec::with_capacity(rows.lines.len() / 3 + 256), columns: Vec::new() };

    let mut raw = Vec::new();
    streams::encode(&rows.streams, &mut raw);
    encoder.column(ColumnKind::Streams, &raw)?;
    if rows.metadata.is_present() {
        raw.clear();
        metadata::encode(&rows.metadata.sets, &rows.metadata.ids, &mut raw);
        encoder.column(ColumnKind::Metadata, &raw)?;
    }
    encoder
        .pages(ColumnKind::Timestamps, &rows.timestamps, |page, out| times::encode(page, options.compression, out))?;
    let mut wide = Vec::new();
    encoder.pages(ColumnKind::Lengths, &rows.lengths, |page, out| {
        wide.clear();
        wide.extend(page.iter().copied().map(i64::from));
        ints::encode(&wide, options.compression, "lengths", out)
    })?;
    encoder.column(ColumnKind::Lines, &rows.lines)?;

    let info = FrameInfo {
        tenant: 0,
        rows: rows.rows() as u32,
        blocks: rows.streams.len() as u32,
        line_bytes: rows.lines.len() as u32,
        range: rows.range.unwrap_or(TimeRange::EMPTY),
        offset: 0,
        columns: encoder.columns,
    };
    Ok(EncodedFrame { bytes: encoder.out.into(), info, page_rows: options.page_rows })
}

struct Encoder<'a> {
    options: &'a PackOptions,
    out: Vec<u8>,
    columns: Vec<ColumnInfo>,
}

impl Encoder<'_> {
    fn column(&mut self, kind: ColumnKind, raw: &[u8]) -> Result<()> {
        let start = self.out.len();
        let codec = codec::compress(self.options.compression, kind.name(), raw, &mut self.out)?;
        self.end_piece(start);
        self.end_column(kind, codec, start, raw.len(), Vec::new());
        Ok(())
    }

    fn pages<T>(
        &mut self,
        kind: ColumnKind,
        values: &[T],
        mut encode: impl FnMut(&[T], &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        let start = self.out.len();
        let mut pages = Vec::new();
        for page in values.chunks(self.options.page_rows as usize) {
            let start = self.out.len();
            encode(page, &mut self.out)?;
            self.end_piece(start);
            pages.push((self.out.len() - start) as u32);
        }
        self.end_column(kind, Codec::None, start, size_of_val(values), pages);
        Ok(())
    }

    /// Appends the checksum of a column or page.
    fn end_piece(&mut self, start: usize) {
        let crc = crc32fast::hash(&self.out[start..]);
        self.out.put_u32(crc);
    }

    fn end_column(&mut self, kind: ColumnKind, codec: Codec, start: usize, raw_len: usize, pages: Vec<u32>) {
        let len = (self.out.len() - start) as u32;
        self.columns.push(ColumnInfo { kind, codec, offset: start as u32, len, raw_len: raw_len as u32, pages });
    }
}
