//! What a flush writes: the rows of frozen generations as packs and one table, put into the store.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use bytes::Bytes;
use narvi_chunk::{BlockPlace, ChunkError, PackWriter};
use narvi_index::{BlockRef, IndexError, TableBuilder};
use narvi_types::{Labels, Tenant, TimeRange};

use super::{
    Writer,
    rows::{RowSlice, SortedRows},
};
use crate::{
    Error, ErrorKind, Result,
    clock::draw_u64,
    head::{Generation, HeadPiece, TenantHead},
    manifest::FileEntry,
};

/// The files of a flush.
#[derive(Debug, Default)]
pub(super) struct Output {
    pub(super) packs: Vec<FileEntry>,
    pub(super) tables: Vec<FileEntry>,
}

/// Writes the rows of generations, which nothing is pushed to any more, into the store. Tenant by tenant, period by period,
/// by labels, by time. Takes memory for the compressed pack and some bytes a row.
pub(super) fn write(writer: &Writer, newest: u64, generations: &[Arc<Generation>]) -> Result<Output> {
    let mut tenants: BTreeMap<Tenant, Vec<Arc<TenantHead>>> = BTreeMap::new();
    for heads in generations.iter().flat_map(|generation| generation.tenants()) {
        tenants.entry(heads.tenant().clone()).or_default().push(heads);
    }
    // Each attempt has names of its own, so that a late write of one that failed cannot replace what another committed.
    let name = format!("{:016x}-{newest:020}-{:016x}", writer.id.0, draw_u64());
    let mut files =
        Files { writer, name, pack: None, table: TableBuilder::new(), whole: Span::EMPTY, done: Output::default() };
    for (tenant, heads) in tenants {
        let streams = sorted_streams(&heads);
        // The same key twice cannot be: every stream is in the list once, and a stream has each period once.
        let mut blocks: Vec<(i64, usize, Range<usize>)> = Vec::new();
        for (at, (_, rows)) in streams.iter().enumerate() {
            let periods = rows.periods(writer.settings.period_ns());
            blocks.extend(periods.into_iter().map(|(period, range)| (period, at, range)));
        }
        blocks.sort_by_key(|(period, at, _)| (*period, *at));
        for (_, at, range) in blocks {
            let (labels, rows) = &streams[at];
            files.block(&tenant, labels, rows.slice(range))?;
        }
    }
    files.finish()
}

/// The streams of a tenant, sorted by labels, each with its rows of all generations.
fn sorted_streams(heads: &[Arc<TenantHead>]) -> Vec<(Labels, SortedRows)> {
    let mut pieces: BTreeMap<Labels, Vec<Arc<HeadPiece>>> = BTreeMap::new();
    for stream in heads.iter().flat_map(|heads| heads.streams()) {
        let snapshot = stream.snapshot();
        if snapshot.rows > 0 {
            pieces.entry(stream.labels().clone()).or_default().extend(snapshot.pieces);
        }
    }
    pieces.into_iter().map(|(labels, pieces)| (labels, SortedRows::new(pieces))).collect()
}

/// Rows counted, and their time.
#[derive(Clone, Copy, Debug)]
struct Span {
    range: TimeRange,
    rows: u64,
}

impl Span {
    const EMPTY: Self = Self { range: TimeRange::EMPTY, rows: 0 };

    fn add(&mut self, place: &BlockPlace) {
        self.range = self.range.cover(&place.range);
        self.rows += u64::from(place.rows);
    }
}

struct Files<'a> {
    writer: &'a Writer,
    name: String,
    pack: Option<OpenPack>,
    table: TableBuilder,
    whole: Span,
    done: Output,
}

struct OpenPack {
    key: String,
    /// Its number in the table.
    id: u32,
    writer: PackWriter,
    parts: Vec<Bytes>,
    span: Span,
}

impl Files<'_> {
    fn block(&mut self, tenant: &Tenant, labels: &Labels, rows: RowSlice<'_>) -> Result<()> {
        let settings = &self.writer.settings.flush;
        let pack = match &mut self.pack {
            Some(pack) => pack,
            none => {
                let key = format!("packs/{}-{}.pack", self.name, self.done.packs.len());
                let writer = PackWriter::new(settings.pack.clone()).map_err(pack_error)?;
                let id = self.table.pack(&key);
                none.insert(OpenPack { key, id, writer, parts: Vec::new(), span: Span::EMPTY })
            }
        };
        pack.writer.tenant(tenant.as_str()).map_err(pack_error)?;
        for place in pack.writer.block(labels, &rows).map_err(pack_error)? {
            pack.span.add(&place);
            self.whole.add(&place);
            let block = BlockRef {
                pack: pack.id,
                frame: place.frame,
                first_row: place.first_row,
                rows: place.rows,
                line_bytes: place.line_bytes,
                range: place.range,
                metadata_keys: self.table.key_set(place.metadata_keys.iter().map(|key| &**key)),
            };
            self.table.add(tenant.as_str(), labels, block).map_err(table_error)?;
        }
        pack.parts.extend(pack.writer.drain());
        if pack.writer.stored_bytes() >= settings.pack_bytes {
            self.end_pack()?;
        }
        Ok(())
    }

    fn end_pack(&mut self) -> Result<()> {
        let Some(mut pack) = self.pack.take() else { return Ok(()) };
        pack.parts.extend(pack.writer.finish().map_err(pack_error)?);
        self.writer.failpoints.hit("flush.pack")?;
        self.writer.store.put(&pack.key, &pack.parts)?;
        let bytes = pack.parts.iter().map(|part| part.len() as u64).sum();
        self.done.packs.push(entry(pack.key, bytes, pack.span));
        Ok(())
    }

    fn finish(mut self) -> Result<Output> {
        self.end_pack()?;
        let key = format!("index/{}.index", self.name);
        let bytes = Bytes::from(self.table.finish().map_err(table_error)?);
        self.writer.failpoints.hit("flush.table")?;
        let size = bytes.len() as u64;
        self.writer.store.put(&key, &[bytes])?;
        self.done.tables.push(entry(key, size, self.whole));
        Ok(self.done)
    }
}

fn entry(key: String, bytes: u64, span: Span) -> FileEntry {
    FileEntry { key, bytes, level: 0, tenant: None, period: None, range: span.range, rows: span.rows }
}

fn pack_error(error: ChunkError) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot write a pack: {error}")).with_source(error)
}

fn table_error(error: IndexError) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot write an index table: {error}")).with_source(error)
}
