//! Merges the blocks of one stream: rows by time, then by input, each once.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    ops::Range,
    sync::Arc,
};

use narvi_index::BlockRef;
use narvi_types::{Labels, Tenant};

use super::{
    frames::{Frame, Frames},
    inputs::InputBlock,
    stop::Stop,
};
use crate::deletes::{Fate, Judge, StreamCuts};

/// Takes merged rows: a frame, and which of its rows come next.
pub(super) type Sink<'a> = &'a mut dyn FnMut(&Frame, Range<usize>) -> Result<(), Stop>;

/// Where the rows of one stream are read from, and which of them are dead.
pub(super) struct Feed<'a, 'f> {
    pub(super) tenant: &'a Tenant,
    pub(super) labels: &'a Labels,
    pub(super) frames: &'a mut [Frames<'f>],
    pub(super) cuts: &'a StreamCuts<'a>,
    pub(super) judge: &'a mut Judge,
}

impl Feed<'_, '_> {
    fn open(&mut self, input: usize, block: &BlockRef) -> Result<Option<Open>, Stop> {
        let Some(frames) = self.frames.get_mut(input) else { return Ok(None) };
        let frame = frames.of_block(self.tenant, block)?;
        let dead = match self.cuts.fate(&block.range, None) {
            Fate::Some(cuts) => frame.dead(self.labels, block, &cuts, self.judge)?,
            // Blocks that are dead as a whole are not merged.
            _ => Vec::new(),
        };
        let start = block.first_row as usize;
        Ok(Some(Open { frame, rows: start..start + block.rows as usize, dead }))
    }
}

/// Rows that were left out.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lost {
    /// They repeat others.
    pub(super) repeated: u64,
    /// They were dead.
    pub(super) dead: u64,
}

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
    /// Rows of the frame that are dead, ascending.
    dead: Vec<u32>,
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

    fn is_dead(&self, row: usize) -> bool {
        self.dead.binary_search(&(row as u32)).is_ok()
    }

    /// Gives the rows of a range that are alive. Says how many are not.
    fn give(&self, rows: Range<usize>, sink: Sink<'_>) -> Result<u64, Stop> {
        let from = self.dead.partition_point(|row| (*row as usize) < rows.start);
        let to = self.dead.partition_point(|row| (*row as usize) < rows.end);
        let dead = self.dead.get(from..to).unwrap_or(&[]);
        let mut start = rows.start;
        for row in dead.iter().map(|row| *row as usize).chain([rows.end]) {
            if start < row {
                sink(&self.frame, start..row)?;
            }
            start = row + 1;
        }
        Ok(dead.len() as u64)
    }
}

/// Merges the blocks of one stream in one period, which come by input. Holds one frame of each input, and some bytes for each
/// row of the one time that is being compared.
pub(super) fn merge(
    blocks: &[InputBlock],
    feed: &mut Feed<'_, '_>,
    seen: &mut Seen,
    sink: Sink<'_>,
) -> Result<Lost, Stop> {
    let mut chains = chains(blocks);
    for chain in &mut chains {
        chain.next_block(feed)?;
    }
    let mut lost = Lost::default();
    loop {
        // The chain with the earliest row, the first of several, and the earliest time of the others.
        let times = || chains.iter().enumerate().filter_map(|(at, chain)| Some((chain.open.as_ref()?.time(), at)));
        let Some((time, first)) = times().min() else { return Ok(lost) };
        let others = times().filter(|(_, at)| *at != first).map(|(time, _)| time).min();
        if others == Some(time) {
            let same = same_rows(&chains, time);
            if same > 0 {
                give_once(&mut chains, (time, same), feed, &mut lost, sink)?;
                continue;
            }
            seen.clear();
            for chain in &mut chains {
                chain.merge_time(time, feed, seen, &mut lost, sink)?;
            }
            continue;
        }
        let Some(chain) = chains.get_mut(first) else { return Ok(lost) };
        chain.merge_run(others, feed, &mut lost, sink)?;
    }
}

/// So many rows are given at once.
const MOST_COMPARED: usize = 1024;
/// So many are compared at first, and four times as many each time that all were the same: what differs now and then is not
/// compared again and again.
const FIRST_COMPARED: usize = 8;

/// How many rows from a time on all chains that are at it have in common: replicas have all their rows. None of them is dead,
/// and all are before the rows of the other chains, so that each is to be given once and repeats nothing else.
fn same_rows(chains: &[Chain<'_>], time: i64) -> usize {
    let open = || chains.iter().filter_map(|chain| chain.open.as_ref());
    let at_it = || open().filter(|open| open.time() == time);
    let Some(first) = at_it().next() else { return 0 };
    if at_it().any(|open| !open.dead.is_empty()) {
        return 0;
    }
    let others = open().map(Open::time).filter(|other| *other != time).min();
    let before = first.count(|at| others.is_none_or(|others| at < others));
    let most = at_it().map(|open| open.rows.len()).min().unwrap_or(0).min(before).min(MOST_COMPARED);
    let (mut same, mut step) = (0, FIRST_COMPARED);
    while same < most {
        let wanted = step.min(most - same);
        let mut equal = wanted;
        for open in at_it().skip(1) {
            let (own, theirs) = (first.rows.start + same, open.rows.start + same);
            equal = first.frame.same_rows(own, &open.frame, theirs, equal);
        }
        same += equal;
        if equal < wanted {
            break;
        }
        step *= 4;
    }
    same
}

/// Gives rows that all chains at a time have, of the first of them.
fn give_once(
    chains: &mut [Chain<'_>],
    (time, rows): (i64, usize),
    feed: &mut Feed<'_, '_>,
    lost: &mut Lost,
    sink: Sink<'_>,
) -> Result<(), Stop> {
    let at_it = chains.iter_mut().filter(|chain| chain.open.as_ref().is_some_and(|open| open.time() == time));
    for (at, chain) in at_it.enumerate() {
        match &chain.open {
            Some(open) if at == 0 => drop(open.give(open.rows.start..open.rows.start + rows, sink)?),
            _ => lost.repeated += rows as u64,
        }
        chain.advance(rows, feed)?;
    }
    Ok(())
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
    fn next_block(&mut self, feed: &mut Feed<'_, '_>) -> Result<(), Stop> {
        self.open = None;
        if let Some(next) = self.blocks.pop() {
            self.open = feed.open(self.input, &next.block)?;
        }
        Ok(())
    }

    /// Takes so many rows off the open block, and opens the next one if they were the last.
    fn advance(&mut self, rows: usize, feed: &mut Feed<'_, '_>) -> Result<(), Stop> {
        if let Some(open) = &mut self.open {
            open.rows.start += rows;
            if open.rows.is_empty() {
                self.next_block(feed)?;
            }
        }
        Ok(())
    }

    /// Gives all rows of the open block that are before the other chains'.
    fn merge_run(
        &mut self,
        others: Option<i64>,
        feed: &mut Feed<'_, '_>,
        lost: &mut Lost,
        sink: Sink<'_>,
    ) -> Result<(), Stop> {
        let Some(open) = &self.open else { return Ok(()) };
        let count = open.count(|time| others.is_none_or(|others| time < others));
        lost.dead += open.give(open.rows.start..open.rows.start + count, sink)?;
        self.advance(count, feed)
    }

    /// Gives the rows at one time that no chain before has given. Rows of one chain were told apart when they were written.
    fn merge_time(
        &mut self,
        time: i64,
        feed: &mut Feed<'_, '_>,
        seen: &mut Seen,
        lost: &mut Lost,
        sink: Sink<'_>,
    ) -> Result<(), Stop> {
        while let Some(open) = self.open.as_ref().filter(|open| open.time() == time) {
            let count = open.count(|other| other <= time);
            for row in open.rows.start..open.rows.start + count {
                if open.is_dead(row) {
                    lost.dead += 1;
                } else if seen.insert(&open.frame, row) {
                    sink(&open.frame, row..row + 1)?;
                } else {
                    lost.repeated += 1;
                }
            }
            self.advance(count, feed)?;
        }
        Ok(())
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
