//! One tenant's part of a table, opened for reading.

use narvi_types::{Labels, Matcher, TimeRange};
use roaring::RoaringBitmap;

use crate::{BlockRef, Result};

/// One tenant's part of a table. Series have ids from 0 to `stats().streams - 1`, in the order of their labels; ids are
/// valid within this part only. Cheap to clone; clones share the bytes. Owns what it needs: it may outlive its table.
#[derive(Clone, Debug)]
pub struct Part {}

/// What a part holds, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartStats {
    /// Series.
    pub streams: u32,
    /// Block references.
    pub blocks: u64,
    /// Rows of all blocks.
    pub rows: u64,
    /// Bytes of all lines of all blocks.
    pub line_bytes: u64,
}

/// How varied a label is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cardinality {
    /// Distinct values.
    pub values: u32,
    /// Series that have the label.
    pub series: u32,
}

/// Iterates over series and their labels; see [`Part::series`].
#[derive(Debug)]
pub struct SeriesIter<'a>(std::marker::PhantomData<&'a ()>);

/// Iterates over the blocks of one series; see [`Part::blocks`].
#[derive(Debug)]
pub struct Blocks<'a>(std::marker::PhantomData<&'a ()>);

/// Iterates over the blocks of many series; see [`Part::blocks_of`].
#[derive(Debug)]
pub struct BlockScan<'a>(std::marker::PhantomData<&'a ()>);

impl Part {
    /// The tenant.
    pub fn tenant(&self) -> &str {
        ""
    }

    /// Counts of series, blocks, rows and bytes.
    pub fn stats(&self) -> PartStats {
        PartStats::default()
    }

    /// The smallest range that covers all blocks.
    pub fn range(&self) -> TimeRange {
        TimeRange::EMPTY
    }

    /// The series that pass every matcher; all series if there is none. A missing label has the value "".
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn select(&self, matchers: &[Matcher]) -> Result<RoaringBitmap> {
        let _ = matchers;
        Ok(RoaringBitmap::new())
    }

    /// The id of the series with exactly these labels.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn find(&self, labels: &Labels) -> Result<Option<u32>> {
        let _ = labels;
        Ok(None)
    }

    /// The labels of a series.
    ///
    /// # Errors
    /// No such series; damage in what was read.
    pub fn labels(&self, id: u32) -> Result<Labels> {
        let _ = id;
        Ok(Labels::default())
    }

    /// The labels of many series, in order of id. Decodes sequentially: cheaper than [`Part::labels`] for each.
    pub fn series<'a>(&'a self, ids: &'a RoaringBitmap) -> SeriesIter<'a> {
        let _ = ids;
        SeriesIter(std::marker::PhantomData)
    }

    /// The blocks of a series, sorted by time.
    ///
    /// # Errors
    /// No such series; damage in what was read.
    pub fn blocks(&self, id: u32) -> Result<Blocks<'_>> {
        self.blocks_in(id, TimeRange::ALL)
    }

    /// The blocks of a series that overlap a time range, sorted by time.
    ///
    /// # Errors
    /// No such series; damage in what was read.
    pub fn blocks_in(&self, id: u32, range: TimeRange) -> Result<Blocks<'_>> {
        let _ = (id, range);
        Ok(Blocks(std::marker::PhantomData))
    }

    /// The blocks of many series that overlap a time range: in order of series id, then time. Decodes sequentially.
    pub fn blocks_of<'a>(&'a self, ids: &'a RoaringBitmap, range: TimeRange) -> BlockScan<'a> {
        let _ = (ids, range);
        BlockScan(std::marker::PhantomData)
    }

    /// The sorted names of a set of structured metadata keys; see [`BlockRef::metadata_keys`].
    ///
    /// # Errors
    /// No such set.
    pub fn key_set(&self, set: u32) -> Result<Vec<&str>> {
        let _ = set;
        Ok(Vec::new())
    }

    /// The label names, sorted: of all series, or of those given.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn label_names(&self, ids: Option<&RoaringBitmap>) -> Result<Vec<&str>> {
        let _ = ids;
        Ok(Vec::new())
    }

    /// The values of a label, sorted: of all series, or of those given.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn label_values(&self, name: &str, ids: Option<&RoaringBitmap>) -> Result<Vec<&str>> {
        let _ = (name, ids);
        Ok(Vec::new())
    }

    /// How many values and series a label has; nothing if no series has it.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn cardinality(&self, name: &str) -> Result<Option<Cardinality>> {
        let _ = name;
        Ok(None)
    }
}

impl Iterator for SeriesIter<'_> {
    type Item = Result<(u32, Labels)>;
    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl Iterator for Blocks<'_> {
    type Item = Result<BlockRef>;
    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}

impl Iterator for BlockScan<'_> {
    type Item = Result<(u32, BlockRef)>;
    fn next(&mut self) -> Option<Self::Item> {
        None
    }
}
