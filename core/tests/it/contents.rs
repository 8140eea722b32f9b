//! What a store holds, as queries see it, and a naive model of it.

use std::collections::BTreeMap;

use narvi::{
    Db, Entry, Labels, Metadata, PushStream, Selector, Tenant, TimeRange,
    logql::{Budget, Columns, ScanRequest, Source},
};

/// Labels, time, line, metadata.
pub(crate) type Row = (String, i64, Vec<u8>, String);

/// Rows of one tenant, with how often each is answered.
pub(crate) type Rows = BTreeMap<Row, usize>;

/// All rows of a tenant.
pub(crate) fn rows(db: &Db, tenant: &Tenant) -> Rows {
    read(&db.snapshot(tenant))
}

/// All rows of a source that are alive.
pub(crate) fn read(source: &dyn Source) -> Rows {
    let budget = Budget::unlimited();
    let mut request = ScanRequest::new(Selector::default(), TimeRange::ALL);
    request.columns = Columns { timestamps: true, lengths: true, lines: true, metadata: true };
    let mut rows = Rows::new();
    for part in source.parts(&request, &budget).expect("parts") {
        let Ok(batch) = part.open(&budget) else { continue };
        let (Ok(times), Ok(lines), Ok(metadata)) = (batch.timestamps(), batch.lines(), batch.metadata()) else {
            // Damaged: some tests damage packs.
            continue;
        };
        let dead = batch.dead_rows().expect("dead rows");
        for segment in part.segments() {
            let labels = segment.labels.to_string();
            assert!(times[segment.rows.start as usize..segment.rows.end as usize].is_sorted());
            for row in segment.rows.clone().filter(|row| dead.binary_search(row).is_err()) {
                let set = metadata.map(|column| text(&column.sets[column.ids[row as usize] as usize]));
                let time = times[row as usize];
                let row = (labels.clone(), time, lines.get(row).to_vec(), set.unwrap_or_default());
                *rows.entry(row).or_default() += 1;
            }
        }
    }
    rows
}

/// Adds what a push adds: each row is answered once.
pub(crate) fn expect(rows: &mut Rows, labels: &Labels, entries: &[Entry]) {
    for entry in entries {
        let row = (labels.to_string(), entry.timestamp.as_ns(), entry.line.to_vec(), text(&entry.metadata));
        rows.insert(row, 1);
    }
}

/// Pushes entries to one stream, to a store and to a model.
pub(crate) fn push(db: &Db, tenant: &Tenant, labels: &Labels, entries: Vec<Entry>, model: &mut Rows) {
    expect(model, labels, &entries);
    db.push(tenant, vec![PushStream::new(labels.clone(), entries)]).expect("pushed");
}

fn text(metadata: &Metadata) -> String {
    metadata.iter().map(|(name, value)| format!("{name}={value};")).collect()
}
