//! What a flush writes: the rows of frozen generations as packs and one table, put into the store.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use narvi_types::{Labels, Tenant};

use super::{
    Writer,
    files::{FileSettings, Files, Output, Points},
    rows::SortedRows,
    stats::Tally,
};
use crate::{
    Result,
    clock::draw_u64,
    head::{Generation, HeadPiece, TenantHead},
};

const POINTS: Points =
    Points { pack: "flush.pack", pack_put: "flush.pack_put", table: "flush.table", table_put: "flush.table_put" };

/// Writes the rows of generations, which nothing is pushed to any more, into the store. Tenant by tenant, period by period,
/// by labels, by time. Takes memory for the compressed pack and some bytes a row.
pub(super) fn write(writer: &Writer, newest: u64, generations: &[Arc<Generation>]) -> Result<Output> {
    let mut tenants: BTreeMap<Tenant, Vec<Arc<TenantHead>>> = BTreeMap::new();
    for heads in generations.iter().flat_map(|generation| generation.tenants()) {
        tenants.entry(heads.tenant().clone()).or_default().push(heads);
    }
    // Each attempt has names of its own, so that a late write of one that failed cannot replace what another committed.
    let name = format!("{:016x}-{newest:020}-{:016x}", writer.id.0, draw_u64());
    let settings = FileSettings {
        store: &*writer.store,
        failpoints: &writer.failpoints,
        points: POINTS,
        pack: &writer.settings.flush.pack,
        pack_bytes: writer.settings.flush.pack_bytes,
        level: 0,
        on_put: &|_| {},
    };
    let tally = Tally::new(writer.clock.now_ms(), writer.settings.flush.pack.frame_bytes);
    let mut files = Files::new(settings, name, None).counted(tally);
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
            files.block(&tenant, labels, &rows.slice(range))?;
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
