//! One merge: reads the tables of a tier and their packs, and writes those that replace them.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use narvi_chunk::Rows;
use narvi_logql::Budget;
use narvi_types::{Labels, Tenant};

use super::{
    doom::Doom,
    frames::Frames,
    inputs::{Input, InputBlock, TenantBlocks, tenants},
    merge::{Feed, Lost, Seen, merge},
    outputs::Outputs,
    rows::MergedRows,
    stop::Stop,
    switch::Switch,
};
use crate::{
    Error, ErrorKind,
    deletes::{Fate, Judge, StreamCuts},
    read::Packs,
    writer::{FileSettings, Only, Output, Points, Writer},
};

const POINTS: Points = Points {
    pack: "compact.pack",
    pack_put: "compact.pack_put",
    table: "compact.table",
    table_put: "compact.table_put",
};

/// Of the memory for a merge, this part may hold what is fetched in advance of packs that are far away.
const AHEAD_PART: u64 = 4;
/// The most of one pack.
const MOST_AHEAD: u64 = 4 << 20;

/// A merge under way.
pub(super) struct Round<'a> {
    pub(super) writer: &'a Writer,
    pub(super) inputs: &'a [Input],
    /// The level of the files written.
    pub(super) level: u8,
    /// Part of the keys of the files written.
    pub(super) name: &'a str,
    /// Whether the rows are all of one tenant, period and class and stay by themselves, however few.
    pub(super) is_split: bool,
    /// What else is to lie by itself, however little it is.
    pub(super) split: BTreeSet<Only>,
    /// What is left out.
    pub(super) doom: &'a Doom<'a>,
    pub(super) switch: &'a Switch,
    /// Keys of the files that were written.
    pub(super) put: RefCell<Vec<String>>,
}

/// What a merge wrote.
#[derive(Debug, Default)]
pub(super) struct Merged {
    pub(super) output: Output,
    pub(super) rows_in: u64,
    pub(super) rows_out: u64,
    /// Rows left out because they were dead, by tenant.
    pub(super) removed: BTreeMap<Tenant, u64>,
}

/// What goes on from stream to stream.
struct Flow<'a> {
    frames: Vec<Frames<'a>>,
    outputs: Outputs<'a>,
    rows: MergedRows,
    seen: Seen,
    judge: Judge,
    rows_in: u64,
    rows_out: u64,
    lost: Lost,
}

impl Round<'_> {
    /// Writes the files. Tenant by tenant, period by period, by labels, by time, which is the order of the inputs, so that
    /// every frame is read once.
    pub(super) fn run(&self) -> Result<Merged, Stop> {
        self.inputs.iter().try_for_each(Input::verify)?;
        let settings = self.writer.settings();
        let on_put = |key: &str| self.put.borrow_mut().push(key.to_owned());
        let files = FileSettings {
            store: &**self.writer.store(),
            failpoints: self.writer.failpoints(),
            points: POINTS,
            pack: &settings.flush.pack,
            pack_bytes: settings.compaction.max_pack_bytes,
            level: self.level,
            on_put: &on_put,
        };
        let min_split_bytes = if self.is_split { 0 } else { settings.compaction.min_split_bytes };
        // Not the packs that queries use: these are read once and closed when all is done.
        let packs = Packs::new(self.writer.store().clone());
        let room = settings.compaction.memory_bytes / AHEAD_PART / self.inputs.len().max(1) as u64;
        let ahead = usize::try_from(room.min(MOST_AHEAD)).unwrap_or(0);
        let mut flow = Flow {
            frames: self.inputs.iter().map(|input| Frames::new(input, &packs, self.switch, ahead)).collect(),
            outputs: Outputs::new(files, self.name, min_split_bytes, self.split.clone()),
            rows: MergedRows::default(),
            seen: Seen::default(),
            judge: Judge::new(&Budget::unlimited()),
            rows_in: 0,
            rows_out: 0,
            lost: Lost::default(),
        };
        let mut removed = BTreeMap::new();
        for tenant in tenants(self.inputs)? {
            let policy = self.doom.applied().policy(&tenant);
            let blocks = TenantBlocks::read(&tenant, self.inputs, settings.period_ns(), &policy)?;
            let cuts = self.doom.of_tenant(&tenant)?;
            self.writer.failpoints().hit("compact.read")?;
            let dead_before = flow.lost.dead;
            for section in blocks.sections() {
                flow.outputs.begin_part(&tenant, &section)?;
                let blocks_of_section = blocks.blocks.get(section.blocks).unwrap_or(&[]);
                for stream in blocks_of_section.chunk_by(|a, b| a.stream == b.stream) {
                    let labels = stream.first().and_then(|block| blocks.streams.get(block.stream as usize));
                    let labels = labels.cloned().unwrap_or_default();
                    self.stream(&tenant, &labels, stream, &cuts.of(&labels), &mut flow)?;
                }
            }
            if flow.lost.dead > dead_before {
                removed.insert(tenant, flow.lost.dead - dead_before);
            }
        }
        let Flow { outputs, rows_in, rows_out, lost, .. } = flow;
        let expected: u64 = self.inputs.iter().map(|input| input.file.rows).sum();
        if rows_in != expected || rows_out + lost.repeated + lost.dead != rows_in {
            let Lost { repeated, dead } = lost;
            let text = format!(
                "compaction read {rows_in} rows of {expected}, wrote {rows_out}, and dropped {repeated} repeated and \
                 {dead} dead ones; nothing was changed; this is an error of the program"
            );
            return Err(Error::new(ErrorKind::Unavailable, text).into());
        }
        Ok(Merged { output: outputs.finish()?, rows_in, rows_out, removed })
    }

    /// Merges one stream in one period and writes what is alive in blocks of about a frame.
    fn stream(
        &self,
        tenant: &Tenant,
        labels: &Labels,
        blocks: &[InputBlock],
        cuts: &StreamCuts<'_>,
        flow: &mut Flow<'_>,
    ) -> Result<(), Stop> {
        let rows_of = |block: &InputBlock| u64::from(block.block.rows);
        flow.rows_in += blocks.iter().map(rows_of).sum::<u64>();
        let mut alive = Vec::new();
        let blocks = if cuts.is_empty() {
            blocks
        } else {
            let is_dead = |block: &&InputBlock| matches!(cuts.fate(&block.block.range, None), Fate::Dead);
            flow.lost.dead += blocks.iter().filter(is_dead).map(rows_of).sum::<u64>();
            alive.extend(blocks.iter().filter(|block| !is_dead(block)).copied());
            alive.as_slice()
        };
        let pack = &self.writer.settings().flush.pack;
        let Flow { frames, outputs, rows, seen, judge, rows_out, lost, .. } = flow;
        let mut write = |rows: &mut MergedRows| {
            *rows_out += rows.len() as u64;
            outputs.block(tenant, labels, rows)?;
            rows.clear();
            Ok::<_, Stop>(())
        };
        rows.clear();
        let mut feed = Feed { tenant, labels, frames, cuts, judge };
        let more = merge(blocks, &mut feed, seen, &mut |frame, range| {
            rows.push(frame, range);
            if rows.fill_bytes() >= pack.frame_bytes as usize || rows.len() >= pack.frame_rows as usize {
                write(rows)?;
            }
            Ok(())
        })?;
        lost.repeated += more.repeated;
        lost.dead += more.dead;
        if !rows.is_empty() {
            write(rows)?;
        }
        Ok(())
    }
}
