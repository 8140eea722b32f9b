//! Merges the blocks of one stream: rows by time, then by input, each once.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::Arc,
};

use narvi_types::Tenant;

use super::{
    frames::{Frame, Frames},
    inputs::InputBlock,
    stop::Stop,
};

/// Takes merged rows: a frame, and which of its rows come next.
pub(super) type Sink<'a> = &'a mut dyn FnMut(&Frame, Range<usize>) -> Result<(), Stop>;

/// Blocks that follow one another in time, being read.
struct Chain<'a> {
    input: usize,
    /// Not opened yet.
    blocks: Vec<&'a InputBlock>,
    open: Option<Open>,
}

struct Open {
    frame: Arc<Frame>,
    /// Rows not merged yet; never empty.
    rows: Range<usize>,
}

impl Open {
    fn time(&self) -> i64 {
        self.frame.times.get(self.rows.start).copied().unwrap_or(i64::MAX)
    }

    /// How many of the rows are before a time, or at it.
    fn count(&self, at_or_before: impl Fn(i64) -> bool) -> usize {
        let times = self.frame.times.get(self.rows.clone()).unwrap_or(&[]);
        times.partition_point(|time| at_or_before(*time))
    }
}

/// Merges the blocks of one stream in one period, which come by input. Gives the number of rows dropped because they repeat
/// others. Holds one frame of each input, and some bytes for each row of the one time that is being compared.
pub(super) fn merge(
    tenant: &Tenant,
    blocks: &[InputBlock],
    frames: &mut [Frames<'_>],
    seen: &mut Seen,
    sink: Sink<'_>,
) -> Result<u64, Stop> {
    let mut chains = chains(blocks);
    for chain in &mut chains {
        chain.next_block(tenant, frames)?;
    }
    let mut dropped = 0;
    loop {
        // The chain with the earliest row, the first of several, and the earliest time of the others.
        let times = || chains.iter().enumerate().filter_map(|(at, chain)| Some((chain.open.as_ref()?.time(), at)));
        let Some((time, first)) = times().min() else { return Ok(dropped) };
        let others = times().filter(|(_, at)| *at != first).map(|(time, _)| time).min();
        if others == Some(time) {
            seen.clear();
            for chain in &mut chains {
                dropped += chain.merge_time(time, tenant, frames, seen, sink)?;
            }
            continue;
        }
        let Some(chain) = chains.get_mut(first) else { return Ok(dropped) };
        chain.merge_run(others, tenant, frames, sink)?;
    }
}

/// Puts blocks of each input behind one another as long as their times do not overlap. All blocks of an input usually make
/// one chain.
fn chains(blocks: &[InputBlock]) -> Vec<Chain<'_>> {
    let mut chains: Vec<Chain<'_>> = Vec::new();
    for block in blocks {
        let follows = |chain: &&mut Chain<'_>| {
            let last = chain.blocks.last().map_or(i64::MIN, |last| last.block.range.max);
            chain.input == block.input as usize && last <= block.block.range.min
        };
        match chains.iter_mut().find(follows) {
            Some(chain) => chain.blocks.push(block),
            None => chains.push(Chain { input: block.input as usize, blocks: vec![block], open: None }),
        }
    }
    for chain in &mut chains {
        chain.blocks.reverse();
    }
    chains
}

impl Chain<'_> {
    fn next_block(&mut self, tenant: &Tenant, frames: &mut [Frames<'_>]) -> Result<(), Stop> {
        self.open = None;
        if let (Some(next), Some(frames)) = (self.blocks.pop(), frames.get_mut(self.input)) {
            let frame = frames.of_block(tenant, &next.block)?;
            let start = next.block.first_row as usize;
            self.open = Some(Open { frame, rows: start..start + next.block.rows as usize });
        }
        Ok(())
    }

    /// Takes so many rows off the open block, and opens the next one if they were the last.
    fn advance(&mut self, rows: usize, tenant: &Tenant, frames: &mut [Frames<'_>]) -> Result<(), Stop> {
        if let Some(open) = &mut self.open {
            open.rows.start += rows;
            if open.rows.is_empty() {
                self.next_block(tenant, frames)?;
            }
        }
        Ok(())
    }

    /// Gives all rows of the open block that are before the other chains'.
    fn merge_run(
        &mut self,
        others: Option<i64>,
        tenant: &Tenant,
        frames: &mut [Frames<'_>],
        sink: Sink<'_>,
    ) -> Result<(), Stop> {
        let Some(open) = &self.open else { return Ok(()) };
        let count = open.count(|time| others.is_none_or(|others| time < others));
        sink(&open.frame, open.rows.start..open.rows.start + count)?;
        self.advance(count, tenant, frames)
    }

    /// Gives the rows at one time that no chain before has given. Rows of one chain were told apart when they were written.
    fn merge_time(
        &mut self,
        time: i64,
        tenant: &Tenant,
        frames: &mut [Frames<'_>],
        seen: &mut Seen,
        sink: Sink<'_>,
    ) -> Result<u64, Stop> {
        let mut dropped = 0;
        while let Some(open) = self.open.as_ref().filter(|open| open.time() == time) {
            let count = open.count(|other| other <= time);
            for row in open.rows.start..open.rows.start + count {
                if seen.insert(&open.frame, row) {
                    sink(&open.frame, row..row + 1)?;
                } else {
                    dropped += 1;
                }
            }
            self.advance(count, tenant, frames)?;
        }
        Ok(dropped)
    }
}

/// Rows at one time by two hashes of 64 bits under keys of their own, drawn at random: rows that differ are taken for the
/// same less often than memory flips a bit, and a million rows at one time take some tens of megabytes, not their lines.
#[derive(Debug, Default)]
pub(super) struct Seen {
    keys: [RandomState; 2],
    rows: HashSet<(u64, u64)>,
}

impl Seen {
    /// Whether the row was not there yet.
    fn insert(&mut self, frame: &Frame, row: usize) -> bool {
        let content = (frame.line(row), frame.metadata(row));
        let [a, b] = &self.keys;
        self.rows.insert((a.hash_one(content), b.hash_one(content)))
    }

    fn clear(&mut self) {
        if self.rows.capacity() > 1 << 16 {
            self.rows = HashSet::new();
        } else {
            self.rows.clear();
        }
    }
}
