//! One tenant's rows as a source of queries: heads and blocks, each row alive once.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use narvi_logql::{Budget, Columns, Part, ScanRequest, Segment, Source, SourceError};
use narvi_types::{Direction, Labels, Tenant, TimeRange};

use super::{
    catalog::{Catalog, FoundBlocks},
    dead::overlaps,
    frame_part::FramePart,
    head_part::HeadPart,
    packs::Packs,
    rows::StreamRows,
    source_error,
};
use crate::{
    Error,
    deletes::{Cuts, Fate, MarkFiles, OpenCuts, PackRows, RowCuts},
    head::{Generation, HeadPiece},
};

/// The rows of one tenant in one state of the database.
pub(crate) struct TenantSource {
    pub(crate) tenant: Tenant,
    pub(crate) catalog: Arc<dyn Catalog>,
    /// Oldest first.
    pub(crate) generations: Vec<Arc<Generation>>,
    pub(crate) packs: Arc<Packs>,
    /// What hides rows, or why that is not known.
    pub(crate) cuts: Result<Cuts, Error>,
    pub(crate) marks: Arc<MarkFiles>,
}

/// A stream and the pieces of its heads, oldest first.
type StreamPieces = (Labels, Vec<Arc<HeadPiece>>);

/// The places of one stream, in the order in which they were written.
#[derive(Default)]
struct Places {
    /// Indices into the found blocks.
    blocks: Vec<u32>,
    pieces: Vec<Arc<HeadPiece>>,
}

impl Source for TenantSource {
    fn parts(&self, request: &ScanRequest, budget: &Budget) -> Result<Vec<Box<dyn Part>>, SourceError> {
        let found = self
            .catalog
            .blocks(&self.tenant, &request.selector, request.range, budget)
            .map_err(|error| source_error(&error))?;
        let heads = self.heads(request, budget)?;
        let cuts = self.cuts.as_ref().map_err(source_error)?.open(&self.marks, &request.range);
        let mut parts = Parts::new(self, request, &found, &cuts);
        // Where every stream has one block and no head there is nothing to compare.
        if !heads.is_empty() || found.blocks.len() > found.streams.len() {
            parts.add_streams(heads);
        }
        Ok(parts.finish())
    }
}

impl TenantSource {
    fn heads(&self, request: &ScanRequest, budget: &Budget) -> Result<Vec<StreamPieces>, SourceError> {
        let mut heads: Vec<StreamPieces> = Vec::new();
        let mut known: HashMap<Labels, usize> = HashMap::new();
        for generation in &self.generations {
            budget.check()?;
            for head in generation.select(&self.tenant, request.selector.matchers(), &request.range) {
                let pieces = head.snapshot().pieces;
                let pieces = pieces.into_iter().filter(|piece| piece.range.overlaps(&request.range));
                let next = heads.len();
                let at = *known.entry(head.labels().clone()).or_insert(next);
                if at == next {
                    heads.push((head.labels().clone(), Vec::new()));
                }
                if let Some((_, all)) = heads.get_mut(at) {
                    all.extend(pieces);
                }
            }
        }
        heads.retain(|(_, pieces)| !pieces.is_empty());
        Ok(heads)
    }
}

/// Collects parts.
struct Parts<'a> {
    source: &'a TenantSource,
    request: &'a ScanRequest,
    found: &'a FoundBlocks,
    cuts: &'a OpenCuts,
    /// Per block: the earlier places that share times with it.
    earlier: HashMap<u32, Vec<StreamRows>>,
    heads: Vec<HeadPart>,
}

impl<'a> Parts<'a> {
    fn new(source: &'a TenantSource, request: &'a ScanRequest, found: &'a FoundBlocks, cuts: &'a OpenCuts) -> Self {
        Self { source, request, found, cuts, earlier: HashMap::new(), heads: Vec::new() }
    }

    /// Blocks of which all rows are dead, and what to look for in those of which some may be.
    fn block_cuts(&self) -> HashMap<u32, Option<RowCuts>> {
        let mut fates = HashMap::new();
        if self.cuts.is_empty() {
            return fates;
        }
        let streams: Vec<_> = self.found.streams.iter().map(|labels| self.cuts.of(labels)).collect();
        for (at, found) in (0u32..).zip(&self.found.blocks) {
            let Some(cuts) = streams.get(found.stream as usize).filter(|cuts| !cuts.is_empty()) else { continue };
            let (pack, block) = (&self.found.packs[found.pack as usize], &found.block);
            let rows = block.first_row..block.first_row.saturating_add(block.rows);
            match cuts.fate(&block.range, Some(&PackRows { pack, frame: block.frame, rows })) {
                Fate::Alive => {}
                Fate::Dead => drop(fates.insert(at, None)),
                Fate::Some(cuts) => drop(fates.insert(at, Some(cuts))),
            }
        }
        fates
    }

    fn block_rows(&self, at: u32) -> StreamRows {
        let found = &self.found.blocks[at as usize];
        StreamRows::Block {
            pack: self.found.packs[found.pack as usize].clone(),
            frame: found.block.frame,
            first_row: found.block.first_row,
            rows: found.block.rows,
            range: found.block.range,
        }
    }

    /// Finds, stream by stream, which places share times.
    fn add_streams(&mut self, heads: Vec<StreamPieces>) {
        let mut streams: Vec<Places> = Vec::new();
        streams.resize_with(self.found.streams.len(), Places::default);
        for (at, block) in (0u32..).zip(&self.found.blocks) {
            if let Some(places) = streams.get_mut(block.stream as usize) {
                places.blocks.push(at);
            }
        }
        let by_labels: HashMap<&Labels, usize> = match heads.is_empty() {
            true => HashMap::new(),
            false => self.found.streams.iter().zip(0..).collect(),
        };
        for (labels, pieces) in heads {
            match by_labels.get(&labels).and_then(|at| streams.get_mut(*at)) {
                Some(places) => {
                    places.pieces = pieces;
                }
                None => self.add_stream(&labels, &Places { blocks: Vec::new(), pieces }),
            }
        }
        for (places, labels) in streams.iter().zip(&self.found.streams) {
            self.add_stream(labels, places);
        }
    }

    fn add_stream(&mut self, labels: &Labels, places: &Places) {
        if self.request.shard.is_some_and(|shard| !shard.holds(labels)) {
            return;
        }
        let ranges: Vec<TimeRange> = places
            .blocks
            .iter()
            .map(|at| self.found.blocks[*at as usize].block.range)
            .chain(places.pieces.iter().map(|piece| piece.range))
            .collect();
        let rows = |at: usize| match places.blocks.get(at) {
            Some(block) => self.block_rows(*block),
            None => StreamRows::Head(places.pieces[at - places.blocks.len()].clone()),
        };
        let cuts = self.cuts.of(labels);
        let mut heads = Vec::new();
        let mut earlier = Vec::new();
        for (at, others) in overlaps(&ranges).into_iter().enumerate() {
            let others: Vec<StreamRows> = others.into_iter().map(rows).collect();
            match places.blocks.get(at) {
                Some(block) if !others.is_empty() => earlier.push((*block, others)),
                Some(_) => {}
                None => {
                    let piece = places.pieces[at - places.blocks.len()].clone();
                    match cuts.fate(&piece.range, None) {
                        Fate::Alive => heads.push(self.head_part(labels, piece, others, None)),
                        Fate::Dead => {}
                        Fate::Some(cuts) => heads.push(self.head_part(labels, piece, others, Some(cuts))),
                    }
                }
            }
        }
        self.earlier.extend(earlier);
        self.heads.extend(heads);
    }

    fn head_part(
        &self,
        labels: &Labels,
        piece: Arc<HeadPiece>,
        earlier: Vec<StreamRows>,
        cuts: Option<RowCuts>,
    ) -> HeadPart {
        let mut segment = Segment::new(labels.clone(), 0..piece.rows() as u32, piece.range, piece.buffer.len() as u64);
        segment.exact = piece.distinct && earlier.is_empty() && cuts.is_none();
        segment.metadata_keys = metadata_keys(&piece);
        HeadPart { packs: self.source.packs.clone(), piece, segment, earlier, cuts }
    }

    /// Groups the blocks by frame and sorts all parts.
    fn finish(mut self) -> Vec<Box<dyn Part>> {
        let mut cuts = self.block_cuts();
        let mut order: Vec<u32> = (0..self.found.blocks.len() as u32).collect();
        if !cuts.is_empty() {
            order.retain(|at| !matches!(cuts.get(at), Some(None)));
        }
        let place = |at: &u32| {
            let found = &self.found.blocks[*at as usize];
            (&self.found.packs[found.pack as usize], found.block.frame, found.block.first_row)
        };
        if let Some(shard) = self.request.shard {
            let stream = |at: &u32| &self.found.streams[self.found.blocks[*at as usize].stream as usize];
            order.retain(|at| shard.holds(stream(at)));
        }
        order.sort_unstable_by(|a, b| place(a).cmp(&place(b)));
        // A block that two tables name, as after a compaction that was not cleaned up, is one block.
        order.dedup_by(|a, b| place(a) == place(b));
        let mut parts: Vec<Box<dyn Part>> = Vec::new();
        let same_frame = |a: &u32, b: &u32| {
            let ((pack_a, frame_a, _), (pack_b, frame_b, _)) = (place(a), place(b));
            pack_a == pack_b && frame_a == frame_b
        };
        let others = self.earlier.values().chain(self.heads.iter().map(|head| &head.earlier)).flatten();
        let compared: HashSet<(Arc<str>, u32)> = others.filter_map(StreamRows::frame).collect();
        let source = (&self.source.catalog, &self.source.packs);
        for blocks in order.chunk_by(same_frame) {
            let mut part = frame_part(source, self.request.columns, self.found, blocks);
            part.compared = !compared.is_empty() && compared.contains(&(part.pack.clone(), part.frame));
            // Most queries touch no deleted rows and no repeated ones.
            let looked = if self.earlier.is_empty() && cuts.is_empty() { 0 } else { blocks.len() };
            for (at, (block, segment)) in blocks.iter().zip(&mut part.segments).take(looked).enumerate() {
                if let Some(others) = self.earlier.remove(block) {
                    segment.exact = false;
                    part.earlier.push((at, others));
                }
                if let Some(Some(cuts)) = cuts.remove(block) {
                    segment.exact = false;
                    part.cuts.push((at, cuts));
                }
            }
            parts.push(Box::new(part));
        }
        parts.extend(self.heads.into_iter().map(|part| Box::new(part) as Box<dyn Part>));
        match self.request.direction {
            Direction::Forward => parts.sort_by_key(|part| part.range().min),
            Direction::Backward => parts.sort_by_key(|part| std::cmp::Reverse(part.range().max)),
        }
        parts
    }
}

/// Some blocks of one frame as a part, as far as the index knows them.
pub(crate) fn frame_part(
    (catalog, packs): (&Arc<dyn Catalog>, &Arc<Packs>),
    columns: Columns,
    found: &FoundBlocks,
    blocks: &[u32],
) -> FramePart {
    let first = &found.blocks[blocks[0] as usize];
    let mut part = FramePart {
        _catalog: catalog.clone(),
        packs: packs.clone(),
        pack: found.packs[first.pack as usize].clone(),
        frame: first.block.frame,
        range: TimeRange::EMPTY,
        columns,
        segments: Vec::with_capacity(blocks.len()),
        compared: false,
        earlier: Vec::new(),
        cuts: Vec::new(),
    };
    for at in blocks {
        let block = &found.blocks[*at as usize];
        let rows = block.block.first_row..block.block.first_row.saturating_add(block.block.rows);
        let labels = found.streams[block.stream as usize].clone();
        let mut segment = Segment::new(labels, rows, block.block.range, block.block.line_bytes);
        segment.metadata_keys = block.metadata_keys.clone();
        part.range = part.range.cover(&block.block.range);
        part.segments.push(segment);
    }
    part
}

fn metadata_keys(piece: &HeadPiece) -> Arc<[Arc<str>]> {
    let Some(column) = &piece.metadata else { return Arc::default() };
    let mut names: Vec<&str> = column.sets.iter().flat_map(|set| set.iter().map(|(name, _)| name)).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(Arc::from).collect()
}
