//! Packs and the index table that refers to them, put into the store: what flushes and compactions have in common.

use std::time::{Duration, Instant};

use bytes::Bytes;
use narvi_chunk::{BlockPlace, ChunkError, PackOptions, PackWriter, Rows};
use narvi_index::{BlockRef, IndexError, TableBuilder};
use narvi_types::{Labels, Tenant, TimeRange};

use super::stats::{BlockFigures, Tally};
use crate::{Error, ErrorKind, Result, failpoint::Failpoints, manifest::FileEntry, store::Store};

/// Files that are in the store and wait for their commit.
#[derive(Debug, Default)]
pub(crate) struct Output {
    pub(crate) packs: Vec<FileEntry>,
    pub(crate) tables: Vec<FileEntry>,
    /// What the blocks are like, if they were counted.
    pub(crate) figures: BlockFigures,
    /// How long it took to put the last table.
    pub(crate) table_time: Duration,
}

/// How files are made.
#[derive(Clone, Copy)]
pub(crate) struct FileSettings<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) failpoints: &'a Failpoints,
    pub(crate) points: Points,
    pub(crate) pack: &'a PackOptions,
    /// Bytes of a pack after which the next one is begun.
    pub(crate) pack_bytes: u64,
    /// See [`FileEntry::level`].
    pub(crate) level: u8,
    /// Told the key of each file before it is put.
    pub(crate) on_put: &'a dyn Fn(&str),
}

/// The names of the fail points that are passed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Points {
    /// Before a pack is put.
    pub(crate) pack: &'static str,
    /// After it.
    pub(crate) pack_put: &'static str,
    /// Before a table is put.
    pub(crate) table: &'static str,
    /// After it.
    pub(crate) table_put: &'static str,
}

/// A table and its packs being written. Takes memory for one compressed pack and for the index of all rows.
pub(crate) struct Files<'a> {
    settings: FileSettings<'a>,
    /// What no other files have in their keys.
    name: String,
    /// What all rows are of, if it is one.
    only: Option<Only>,
    pack: Option<OpenPack>,
    table: TableBuilder,
    whole: Span,
    done: Output,
    tally: Option<Tally>,
}

/// What all rows of a file have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Only {
    pub(crate) tenant: Tenant,
    pub(crate) period: i64,
    /// See [`FileEntry::class`].
    pub(crate) class: Option<u64>,
}

struct OpenPack {
    key: String,
    /// Its number in the table.
    id: u32,
    writer: PackWriter,
    parts: Vec<Bytes>,
    span: Span,
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

impl<'a> Files<'a> {
    /// Begins with nothing; a file is made when there is a row for it.
    pub(crate) fn new(settings: FileSettings<'a>, name: String, only: Option<Only>) -> Self {
        let (pack, table, whole, done) = (None, TableBuilder::new(), Span::EMPTY, Output::default());
        Self { settings, name, only, pack, table, whole, done, tally: None }
    }

    /// Counts blocks too.
    pub(super) fn counted(self, tally: Tally) -> Self {
        Self { tally: Some(tally), ..self }
    }

    /// `folder/name`, with the period in between if all rows are of one.
    fn key(&self, folder: &str, name: &str) -> String {
        match &self.only {
            Some(only) => format!("{folder}/{}/{name}", only.period),
            None => format!("{folder}/{name}"),
        }
    }

    /// Appends rows of one stream, sorted by time. Rows come by tenant, best by period and labels.
    pub(crate) fn block(&mut self, tenant: &Tenant, labels: &Labels, rows: &impl Rows) -> Result<()> {
        let mut pack = match self.pack.take() {
            Some(pack) => pack,
            None => {
                let key = self.key("packs", &format!("{}-{}.pack", self.name, self.done.packs.len()));
                let writer = PackWriter::new(self.settings.pack.clone()).map_err(pack_error)?;
                let id = self.table.pack(&key);
                OpenPack { key, id, writer, parts: Vec::new(), span: Span::EMPTY }
            }
        };
        pack.writer.tenant(tenant.as_str()).map_err(pack_error)?;
        for place in pack.writer.block(labels, rows).map_err(pack_error)? {
            pack.span.add(&place);
            self.whole.add(&place);
            if let Some(tally) = &mut self.tally {
                tally.block(tenant, &place);
            }
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
        if pack.writer.stored_bytes() >= self.settings.pack_bytes {
            return self.end_pack(pack);
        }
        self.pack = Some(pack);
        Ok(())
    }

    fn end_pack(&mut self, mut pack: OpenPack) -> Result<()> {
        pack.parts.extend(pack.writer.finish().map_err(pack_error)?);
        let FileSettings { store, failpoints, points, on_put, .. } = self.settings;
        failpoints.hit(points.pack)?;
        on_put(&pack.key);
        store.put(&pack.key, &pack.parts)?;
        failpoints.hit(points.pack_put)?;
        let bytes = pack.parts.iter().map(|part| part.len() as u64).sum();
        if let Some(tally) = &mut self.tally {
            tally.pack(bytes);
        }
        let entry = self.entry(pack.key, bytes, pack.span);
        self.done.packs.push(entry);
        Ok(())
    }

    /// Puts what is left, and the table. Without rows there are no files.
    pub(crate) fn finish(mut self) -> Result<Output> {
        if let Some(pack) = self.pack.take() {
            self.end_pack(pack)?;
        }
        if self.done.packs.is_empty() {
            return Ok(self.done);
        }
        let begun = Instant::now();
        let key = self.key("index", &format!("{}.index", self.name));
        let bytes = Bytes::from(std::mem::take(&mut self.table).finish().map_err(table_error)?);
        let FileSettings { store, failpoints, points, on_put, .. } = self.settings;
        failpoints.hit(points.table)?;
        let size = bytes.len() as u64;
        on_put(&key);
        store.put(&key, &[bytes])?;
        failpoints.hit(points.table_put)?;
        self.done.table_time = begun.elapsed();
        let entry = self.entry(key, size, self.whole);
        self.done.tables.push(entry);
        self.done.figures = self.tally.take().map(Tally::finish).unwrap_or_default();
        Ok(self.done)
    }

    fn entry(&self, key: String, bytes: u64, span: Span) -> FileEntry {
        let only = self.only.as_ref();
        let (tenant, period) = only.map(|only| (only.tenant.clone(), only.period)).unzip();
        let class = only.and_then(|only| only.class);
        FileEntry { key, bytes, level: self.settings.level, tenant, period, range: span.range, rows: span.rows, class }
    }
}

fn pack_error(error: ChunkError) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot write a pack: {error}")).with_source(error)
}

fn table_error(error: IndexError) -> Error {
    Error::new(ErrorKind::Unavailable, format!("cannot write an index table: {error}")).with_source(error)
}
