//! Frames: what is sent to a client at once.

use std::collections::HashMap;

use narvi::{
    Dropped, Labels, LabelsBuilder,
    logql::{ResultEntry, Row},
};

use super::Wanted;
use crate::encode;

/// The most lines in a frame.
const MOST_LINES: usize = 100;
/// A frame is ended once its lines have so many bytes.
const MOST_BYTES: usize = 1 << 20;
/// The most dropped lines listed in a frame.
const MOST_DROPPED: usize = 1000;

/// Lines that are to be sent, their labels as the client wants them.
pub(super) fn shaped(mut row: Row, wanted: &Wanted, is_live: bool) -> Row {
    if wanted.is_bare() {
        if !is_live {
            let mut labels = LabelsBuilder::from_labels(&row.labels);
            row.structured.iter().chain(row.parsed.iter()).for_each(|(name, value)| {
                labels.set(name, value);
            });
            row.labels = labels.build().unwrap_or(row.labels);
        }
        row.structured = Default::default();
        row.parsed = Default::default();
    }
    row
}

/// Puts lines, and what was dropped before them, into frames. All dropped lines are listed as far as the store lists them;
/// `dropped_total`, which Loki does not have, also counts the others.
pub(super) fn frames(rows: &[Row], dropped: &(Vec<Dropped>, u64), wanted: &Wanted) -> Vec<String> {
    let mut out = Vec::new();
    let (mut rest, mut listed) = (rows, dropped.0.as_slice());
    let mut total = Some(dropped.1).filter(|total| *total > 0);
    while !rest.is_empty() || !listed.is_empty() || total.is_some() {
        let mut bytes = 0;
        let fitting = rest.iter().take(MOST_LINES).take_while(|row| {
            let fits = bytes < MOST_BYTES;
            bytes += row.line.len();
            fits
        });
        let (lines, more) = rest.split_at(fitting.count());
        let (told, untold) = listed.split_at(listed.len().min(MOST_DROPPED));
        out.push(frame(lines, told, total.take(), wanted));
        (rest, listed) = (more, untold);
    }
    out
}

fn frame(rows: &[Row], dropped: &[Dropped], total: Option<u64>, wanted: &Wanted) -> String {
    let mut order: Vec<(&Labels, Vec<&Row>)> = Vec::new();
    let mut known: HashMap<&Labels, usize> = HashMap::new();
    for row in rows {
        let next = order.len();
        let at = *known.entry(&row.labels).or_insert(next);
        if at == next {
            order.push((&row.labels, Vec::new()));
        }
        order[at].1.push(row);
    }
    let mut out = b"{\"streams\":".to_vec();
    encode::list(&mut out, &order, |out, (labels, rows)| stream(out, labels, rows, wanted));
    if !dropped.is_empty() || total.is_some() {
        out.extend_from_slice(b",\"dropped_entries\":");
        encode::list(&mut out, dropped, |out, dropped| {
            out.extend_from_slice(b"{\"labels\":");
            encode::labels(out, &dropped.labels);
            out.extend_from_slice(format!(",\"timestamp\":\"{}\"}}", dropped.timestamp.as_ns()).as_bytes());
        });
    }
    if let Some(total) = total {
        out.extend_from_slice(format!(",\"dropped_total\":{total}").as_bytes());
    }
    if !wanted.flags.is_empty() {
        out.extend_from_slice(b",\"encodingFlags\":");
        encode::list(&mut out, &wanted.flags, |out, flag| encode::string(out, flag.as_bytes(), false));
    }
    out.push(b'}');
    // What the encoder writes is UTF-8.
    String::from_utf8(out).unwrap_or_default()
}

fn stream(out: &mut Vec<u8>, labels: &Labels, rows: &[&Row], wanted: &Wanted) {
    if wanted.legacy {
        out.extend_from_slice(b"{\"labels\":");
        encode::string(out, labels.to_string().as_bytes(), true);
        out.extend_from_slice(b",\"entries\":");
        encode::list(out, rows, |out, row| encode::legacy_entry(out, row.ts, &row.line));
    } else {
        out.extend_from_slice(b"{\"stream\":");
        encode::labels(out, labels);
        out.extend_from_slice(b",\"values\":");
        encode::list(out, rows, |out, row| {
            let entry = ResultEntry {
                ts: row.ts,
                line: row.line.clone(),
                structured: row.structured.clone(),
                parsed: row.parsed.clone(),
            };
            encode::value(out, &entry, wanted.categorize);
        });
    }
    out.push(b'}');
}
