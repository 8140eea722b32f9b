//! Reads a whole database, file by file and head by head, without any of the code that queries use.

use std::{collections::BTreeMap, sync::Arc};

use narvi_chunk::{FrameReader, Lines, Pack};
use narvi_index::Table;
use narvi_types::{Metadata, Tenant};

use crate::{Db, Store, state::State};

/// Tenant, labels, time, line, metadata.
pub(super) type Row = (String, String, i64, String, String);

/// Every row with how often it is stored.
pub(super) type Rows = BTreeMap<Row, usize>;

pub(super) fn dump(db: &Db) -> Rows {
    dump_state(db.store(), &db.state())
}

pub(super) fn dump_state(store: &Arc<dyn Store>, state: &State) -> Rows {
    let mut rows = Rows::new();
    for table in &state.manifest.tables {
        dump_table(store, &table.key, &mut rows);
    }
    for heads in state.generations.iter().flat_map(|generation| generation.tenants()) {
        for stream in heads.streams() {
            for piece in stream.snapshot().pieces {
                for row in 0..piece.rows() {
                    let metadata = piece.row_metadata(row).map(text).unwrap_or_default();
                    add(
                        &mut rows,
                        heads.tenant().as_str(),
                        stream.labels(),
                        piece.timestamps[row],
                        piece.line(row),
                        metadata,
                    );
                }
            }
        }
    }
    rows
}

fn dump_table(store: &Arc<dyn Store>, key: &str, rows: &mut Rows) {
    let table = Table::open(store.get(key).expect("the table is there")).expect("a table");
    narvi_index::verify(&store.get(key).expect("the table is there")).expect("a good table");
    let packs: Vec<_> = table.packs().iter().map(|name| store.get(name).expect("the pack is there")).collect();
    let opened: Vec<_> = packs.iter().map(|bytes| Pack::open(bytes).expect("a pack")).collect();
    for tenant in table.tenants() {
        let (tenant, _) = tenant.expect("readable");
        let part = table.part(tenant).expect("readable").expect("there");
        let all = part.select(&[]).expect("readable");
        for found in part.blocks_of(&all, narvi_types::TimeRange::ALL) {
            let (id, block) = found.expect("readable");
            let labels = part.labels(id).expect("readable");
            let at = block.pack as usize;
            let frame = FrameReader::new(&opened[at], block.frame, &packs[at]).expect("a frame");
            let (buffer, offsets) = (frame.lines().expect("lines"), frame.offsets().expect("offsets"));
            let lines = Lines::new(&buffer, &offsets).expect("offsets fit");
            let end = block.first_row + block.rows;
            let times = frame.timestamps(block.first_row..end).expect("times");
            assert!(times.is_sorted());
            assert_eq!((times.first(), times.last()), (Some(&block.range.min), Some(&block.range.max)));
            let metadata = frame.metadata().expect("metadata");
            for (row, ts) in (block.first_row as usize..end as usize).zip(times) {
                let metadata = metadata.as_ref().map(|column| text(column.row(row))).unwrap_or_default();
                add(rows, tenant, &labels, ts, lines.line(row), metadata);
            }
        }
    }
}

fn add(rows: &mut Rows, tenant: &str, labels: &narvi_types::Labels, ts: i64, line: &[u8], metadata: String) {
    let row = (tenant.to_owned(), labels.to_string(), ts, String::from_utf8_lossy(line).into_owned(), metadata);
    *rows.entry(row).or_default() += 1;
}

fn text(metadata: &Metadata) -> String {
    metadata.iter().map(|(name, value)| format!("{name}={value};")).collect()
}

/// What a push shall leave.
pub(super) fn expect_push(rows: &mut Rows, tenant: &Tenant, streams: &[crate::PushStream]) {
    for stream in streams {
        for entry in &stream.entries {
            let (ts, metadata) = (entry.timestamp.as_ns(), text(&entry.metadata));
            add(rows, tenant.as_str(), &stream.labels, ts, &entry.line, metadata);
        }
    }
}

/// Rows without their numbers.
pub(super) fn distinct(rows: &Rows) -> Vec<&Row> {
    rows.keys().collect()
}
