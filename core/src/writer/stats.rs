//! What pushes and flushes have done, counted.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use narvi_chunk::BlockPlace;
use narvi_types::Tenant;

use super::Writer;
use crate::{Distribution, Error, ErrorKind};

/// Why rows were flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum FlushReason {
    /// There were as many bytes of them as the settings allow.
    Full,
    /// The first of them came long ago.
    MaxAge,
    /// The last of them came long ago.
    Idle,
    /// Someone asked for it: a caller of [`Db::flush`](crate::Db::flush), the close of the database, a request to delete.
    Forced,
}

/// What the write side of a database has done since it was opened.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WriterStats {
    /// Flushes that were committed with rows.
    pub flushes: u64,
    /// Flushes that failed; they are tried again.
    pub flush_failures: u64,
    /// Heads of streams that are frozen and wait to be flushed.
    pub waiting_streams: u64,
    /// Blocks that flushes wrote, by why.
    pub blocks_by_reason: BTreeMap<FlushReason, u64>,
    /// What these blocks were like.
    pub blocks: BlockFigures,
    /// Seconds that it took to put each index table into the store.
    pub table_secs: Distribution,
    /// The write-ahead log.
    pub wal: WalStats,
}

/// What the blocks were like that flushes wrote.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BlockFigures {
    /// Rows of a block.
    pub rows: Distribution,
    /// Bytes of a block as stored: the bytes of a pack, shared out by the bytes of lines.
    pub bytes: Distribution,
    /// Bytes of a block's lines, as a part of those that end a frame.
    pub frame_share: Distribution,
    /// Seconds from a block's oldest row to the flush.
    pub age_secs: Distribution,
    /// Hours from a block's oldest row to its newest.
    pub span_hours: Distribution,
    /// Blocks and their bytes as stored, by tenant.
    pub tenants: BTreeMap<Tenant, (u64, u64)>,
}

/// What the write-ahead log has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WalStats {
    /// Records that were appended.
    pub records: u64,
    /// Records for which there was no room on the disk.
    pub full_failures: u64,
    /// Bytes of its segments on the disk now.
    pub bytes: u64,
    /// How long it took to read it back when the database was opened.
    pub replay_time: Duration,
}

/// Ends of ranges of durations, in seconds: from a look into a mapped table to a store that hardly answers.
pub(crate) const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
const ROWS: &[f64] = &[10.0, 50.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0, 12800.0, 25600.0, 51200.0, 204_800.0];
const BYTES: &[f64] =
    &[100.0, 1000.0, 5000.0, 20_000.0, 40_000.0, 80_000.0, 160_000.0, 320_000.0, 640_000.0, 1_280_000.0, 2_560_000.0];
const SHARES: &[f64] = &[0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0];
const AGES: &[f64] = &[60.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14_400.0, 36_000.0, 43_200.0, 57_600.0, 172_800.0];
const HOURS: &[f64] = &[0.1, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 16.0, 24.0];

impl Default for WriterStats {
    fn default() -> Self {
        Self {
            flushes: 0,
            flush_failures: 0,
            waiting_streams: 0,
            blocks_by_reason: BTreeMap::new(),
            blocks: BlockFigures::default(),
            table_secs: Distribution::new(SECONDS),
            wal: WalStats::default(),
        }
    }
}

impl Default for BlockFigures {
    fn default() -> Self {
        Self {
            rows: Distribution::new(ROWS),
            bytes: Distribution::new(BYTES),
            frame_share: Distribution::new(SHARES),
            age_secs: Distribution::new(AGES),
            span_hours: Distribution::new(HOURS),
            tenants: BTreeMap::new(),
        }
    }
}

impl BlockFigures {
    fn merge(&mut self, other: &Self) {
        self.rows.merge(&other.rows);
        self.bytes.merge(&other.bytes);
        self.frame_share.merge(&other.frame_share);
        self.age_secs.merge(&other.age_secs);
        self.span_hours.merge(&other.span_hours);
        for (tenant, (blocks, bytes)) in &other.tenants {
            let of = self.tenants.entry(tenant.clone()).or_default();
            of.0 += blocks;
            of.1 += bytes;
        }
    }
}

/// What a flush wrote; counted when it is committed.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) reason: FlushReason,
    pub(super) blocks: BlockFigures,
    /// How long it took to put the table.
    pub(super) table_time: Duration,
}

impl WriterStats {
    pub(super) fn flushed(&mut self, written: &Written) {
        let blocks = written.blocks.rows.count();
        if blocks == 0 {
            return;
        }
        self.flushes += 1;
        *self.blocks_by_reason.entry(written.reason).or_default() += blocks;
        self.blocks.merge(&written.blocks);
        self.table_secs.add(written.table_time.as_secs_f64());
    }
}

/// Counts blocks while they are written.
#[derive(Debug)]
pub(crate) struct Tally {
    now_ms: u64,
    frame_bytes: u64,
    figures: BlockFigures,
    /// Of the pack that is being written: the weight of each block, and of each tenant the blocks and their weight.
    weights: Vec<u64>,
    tenants: Vec<(Tenant, u64, u64)>,
}

impl Tally {
    pub(super) fn new(now_ms: u64, frame_bytes: u32) -> Self {
        let frame_bytes = u64::from(frame_bytes).max(1);
        Self { now_ms, frame_bytes, figures: BlockFigures::default(), weights: Vec::new(), tenants: Vec::new() }
    }

    /// Counts a block. Tenants come one after the other.
    pub(super) fn block(&mut self, tenant: &Tenant, place: &BlockPlace) {
        const HOUR_NS: f64 = 3600e9;
        let figures = &mut self.figures;
        figures.rows.add(f64::from(place.rows));
        figures.frame_share.add(place.line_bytes as f64 / self.frame_bytes as f64);
        figures.age_secs.add((self.now_ms as f64 / 1e3 - place.range.min as f64 / 1e9).max(0.0));
        figures.span_hours.add((place.range.max as f64 - place.range.min as f64) / HOUR_NS);
        // Rows of empty lines take room too.
        let weight = place.line_bytes + u64::from(place.rows);
        self.weights.push(weight);
        match self.tenants.last_mut().filter(|(last, ..)| last == tenant) {
            Some((_, blocks, all)) => {
                *blocks += 1;
                *all += weight;
            }
            None => self.tenants.push((tenant.clone(), 1, weight)),
        }
    }

    /// Ends a pack of so many bytes.
    pub(super) fn pack(&mut self, bytes: u64) {
        let all = self.weights.iter().sum::<u64>().max(1) as f64;
        let share = |weight: u64| bytes as f64 * (weight as f64 / all);
        for weight in self.weights.drain(..) {
            self.figures.bytes.add(share(weight));
        }
        for (tenant, blocks, weight) in self.tenants.drain(..) {
            let of = self.figures.tenants.entry(tenant).or_default();
            of.0 += blocks;
            of.1 += share(weight).round() as u64;
        }
    }

    pub(super) fn finish(self) -> BlockFigures {
        self.figures
    }
}

impl Writer {
    /// What was done since the database was opened.
    pub(crate) fn stats(&self) -> WriterStats {
        let mut stats = self.stats.lock().clone();
        let active = self.active.read().generation.id();
        let state = self.state.load();
        let waiting = state.generations.iter().filter(|generation| generation.id() < active);
        stats.waiting_streams = waiting.map(|generation| u64::from(generation.stats().streams)).sum();
        stats.wal.records = self.wal_records.load(Ordering::Relaxed);
        stats.wal.full_failures = self.wal_full_failures.load(Ordering::Relaxed);
        // A folder that cannot be listed now is told of by whoever has to write there.
        stats.wal.bytes = self.wal.as_ref().and_then(|wal| wal.bytes().ok()).unwrap_or(0);
        stats
    }

    /// Counts a record of the write-ahead log that was appended, or why not.
    pub(super) fn count_record<T>(&self, appended: Result<T, Error>) -> Result<T, Error> {
        match &appended {
            Ok(_) => self.wal_records.fetch_add(1, Ordering::Relaxed),
            Err(error) if error.kind() == ErrorKind::Full => self.wal_full_failures.fetch_add(1, Ordering::Relaxed),
            Err(_) => 0,
        };
        appended
    }
}
