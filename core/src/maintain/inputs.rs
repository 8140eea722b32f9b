//! What is merged: tables that were checked, and the blocks of one tenant over all of them, in the order of the output.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use narvi_index::{BlockRef, IndexError, Table};
use narvi_types::{Labels, Tenant, TimeRange};

use super::stop::Stop;
use crate::{
    RetentionPolicy,
    manifest::{FileEntry, Manifest},
    read::Tables,
};

/// A table to be merged, and its packs.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) file: Arc<FileEntry>,
    pub(super) table: Table,
    /// Keys of packs, as its blocks number them.
    pub(super) packs: Vec<Arc<str>>,
    /// Bytes of the table and its packs.
    pub(super) bytes: u64,
}

impl Input {
    /// Opens a table; checks no more than that the manifest knows its packs.
    pub(super) fn open(file: &Arc<FileEntry>, tables: &Tables, manifest: &Manifest) -> Result<Self, Stop> {
        let table = tables.open(&file.key).map_err(|error| Stop::opening(&file.key, error))?;
        let mut bytes = file.bytes;
        for key in table.packs() {
            let pack = manifest.packs.iter().find(|pack| pack.key == *key);
            let pack = pack.ok_or_else(|| {
                Stop::damaged(
                    &file.key,
                    format!("index table {} refers to {key}, which the manifest does not have", file.key),
                )
            })?;
            bytes += pack.bytes;
        }
        let packs = table.packs().iter().map(|key| Arc::from(key.as_str())).collect();
        Ok(Self { file: file.clone(), table, packs, bytes })
    }

    /// Checks every byte of the table: its blocks are all that will be left of its packs.
    pub(super) fn verify(&self) -> Result<(), Stop> {
        let stats = narvi_index::verify(self.table.bytes()).map_err(|error| self.damaged(&error))?;
        if stats.rows == self.file.rows {
            return Ok(());
        }
        let (key, rows, expected) = (&self.file.key, stats.rows, self.file.rows);
        Err(Stop::damaged(
            key,
            format!("index table {key} has blocks of {rows} rows, the manifest tells of {expected}"),
        ))
    }

    pub(super) fn damaged(&self, error: &IndexError) -> Stop {
        Stop::damaged(&self.file.key, format!("index table {} is damaged: {error}", self.file.key))
    }
}

/// The tenants of all tables, sorted.
pub(super) fn tenants(inputs: &[Input]) -> Result<Vec<Tenant>, Stop> {
    let mut names = BTreeSet::new();
    for input in inputs {
        for tenant in input.table.tenants() {
            let (name, _) = tenant.map_err(|error| input.damaged(&error))?;
            let tenant = Tenant::new(name).map_err(|error| Stop::damaged(&input.file.key, error))?;
            names.insert(tenant);
        }
    }
    Ok(names.into_iter().collect())
}

/// All blocks of one tenant.
#[derive(Debug, Default)]
pub(super) struct TenantBlocks {
    /// Its streams, sorted.
    pub(super) streams: Vec<Labels>,
    /// By period, class, stream, and input; of one input in the order of their rows.
    pub(super) blocks: Vec<InputBlock>,
}

/// A block, and what it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct InputBlock {
    pub(super) period: i64,
    /// See [`FileEntry::class`].
    pub(super) class: Option<u64>,
    /// Index into [`TenantBlocks::streams`].
    pub(super) stream: u32,
    /// Which input has it.
    pub(super) input: u32,
    pub(super) block: BlockRef,
}

impl TenantBlocks {
    /// Reads the blocks of a tenant from all tables.
    pub(super) fn read(
        tenant: &Tenant,
        inputs: &[Input],
        period_ns: i64,
        policy: &RetentionPolicy,
    ) -> Result<Self, Stop> {
        let mut parts = Vec::new();
        let mut streams = Vec::new();
        for (at, input) in (0u32..).zip(inputs) {
            let damaged = |error| input.damaged(&error);
            let Some(part) = input.table.part(tenant.as_str()).map_err(damaged)? else { continue };
            let all = part.select(&[]).map_err(damaged)?;
            let labels: Vec<_> = part.series(&all).collect::<Result<_, _>>().map_err(damaged)?;
            streams.extend(labels.iter().map(|(_, labels)| labels.clone()));
            parts.push((at, input, part, all, labels));
        }
        streams.sort_unstable();
        streams.dedup();
        let classes: Vec<_> = streams.iter().map(|labels| policy.class_of(labels)).collect();
        let mut blocks = Vec::new();
        for (at, input, part, all, labels) in parts {
            let rank = |labels: &Labels| streams.binary_search(labels).unwrap_or_default() as u32;
            let ranks: Vec<_> = labels.iter().map(|(id, labels)| (*id, rank(labels))).collect();
            let mut next = 0;
            for found in part.blocks_of(&all, TimeRange::ALL) {
                let (id, block) = found.map_err(|error| input.damaged(&error))?;
                while ranks.get(next).is_some_and(|(series, _)| *series < id) {
                    next += 1;
                }
                let stream = ranks.get(next).filter(|(series, _)| *series == id).map(|(_, rank)| *rank);
                let period = period_of(&block, period_ns);
                let (Some(stream), Some(period)) = (stream, period) else {
                    let key = &input.file.key;
                    let why = format!(
                        "index table {key} has a block that crosses periods; was the length of periods changed?"
                    );
                    return Err(Stop::damaged(key, why));
                };
                let class = classes.get(stream as usize).copied().flatten();
                blocks.push(InputBlock { period, class, stream, input: at, block });
            }
        }
        // Stable: blocks of one stream and input keep their order.
        blocks.sort_by_key(|block| (block.period, block.class, block.stream, block.input));
        Ok(Self { streams, blocks })
    }

    /// The blocks of each period and class.
    pub(super) fn sections(&self) -> Vec<Section> {
        let mut start = 0;
        let same = |a: &InputBlock, b: &InputBlock| (a.period, a.class) == (b.period, b.class);
        let sections = self.blocks.chunk_by(same).map(|blocks| {
            let range = start..start + blocks.len();
            start = range.end;
            let line_bytes = blocks.iter().map(|block| block.block.line_bytes).sum();
            let (period, class) = blocks.first().map_or((0, None), |block| (block.period, block.class));
            Section { period, class, line_bytes, blocks: range }
        });
        sections.collect()
    }
}

/// Blocks of one tenant that may lie in files of their own.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub(super) period: i64,
    pub(super) class: Option<u64>,
    /// Bytes of their lines.
    pub(super) line_bytes: u64,
    /// Which of [`TenantBlocks::blocks`].
    pub(super) blocks: Range<usize>,
}

/// The period in which all rows of a block lie.
fn period_of(block: &BlockRef, period_ns: i64) -> Option<i64> {
    let period = block.range.min.div_euclid(period_ns);
    (block.range.max.div_euclid(period_ns) == period).then_some(period)
}
