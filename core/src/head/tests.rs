//! Tests of heads, against naive models.

use std::{collections::BTreeSet, sync::Arc};

use narvi_types::{Entry, Labels, MatchOp, Matcher, Metadata, Selector, Tenant, TimeRange, Timestamp};
use proptest::prelude::*;

use super::{Generation, HeadPiece, PIECE_BYTES, StreamHead};

/// For matchers: values and patterns.
const VALUES: [&str; 9] = ["", "x", "yz", "x.*", ".+", ".*", "x|y", "z?", "nothing"];

fn entry(ts: i64, line: &str, value: &str) -> Entry {
    let metadata = Metadata::from_pairs((!value.is_empty()).then_some(("trace", value))).expect("valid");
    Entry { metadata, ..Entry::new(Timestamp::from_ns(ts), line.to_owned()) }
}

fn rows(pieces: &[Arc<HeadPiece>]) -> Vec<Entry> {
    let row = |piece: &HeadPiece, row: usize| Entry {
        timestamp: Timestamp::from_ns(piece.timestamps[row]),
        line: bytes::Bytes::copy_from_slice(piece.line(row)),
        metadata: piece.row_metadata(row).cloned().unwrap_or_default(),
    };
    pieces.iter().flat_map(|piece| (0..piece.rows()).map(move |at| row(piece, at))).collect()
}

/// Checks what a piece says of itself.
fn check_piece(piece: &HeadPiece) {
    let times = &piece.timestamps;
    assert_eq!(piece.sorted, times.is_sorted());
    assert_eq!(piece.distinct, times.windows(2).all(|pair| pair[0] < pair[1]));
    assert_eq!(Some(piece.range.min), times.iter().min().copied());
    assert_eq!(Some(piece.range.max), times.iter().max().copied());
    let mut end = 0;
    for (start, len) in piece.starts.iter().zip(&piece.lengths) {
        assert_eq!(*start, end, "lines lie one behind the other");
        end += len;
    }
    assert_eq!(end as usize, piece.buffer.len());
    if let Some(column) = &piece.metadata {
        assert_eq!(column.ids.len(), times.len());
        assert!(column.sets[0].is_empty());
        let distinct: std::collections::HashSet<_> = column.sets.iter().collect();
        assert_eq!(distinct.len(), column.sets.len());
    }
}

proptest! {
    #[test]
    fn a_head_gives_back_what_was_appended(
        pushes in proptest::collection::vec(
            (proptest::collection::vec((0i64..50, "[a-c]{0,3}", "[xy]{0,1}"), 0..8), any::<bool>()), 0..20)
    ) {
        let head = StreamHead::new(Labels::default(), 0);
        let mut model = Vec::new();
        let mut earlier = Vec::new();
        for (push, look) in pushes {
            let push: Vec<_> = push.iter().map(|(ts, line, value)| entry(*ts, line, value)).collect();
            head.append(&push);
            model.extend(push);
            if look {
                earlier.push((head.snapshot(), model.clone()));
            }
        }
        earlier.push((head.snapshot(), model));
        for (snapshot, model) in &earlier {
            prop_assert_eq!(&rows(&snapshot.pieces), model);
            prop_assert_eq!(snapshot.rows, model.len() as u64);
            prop_assert_eq!(snapshot.line_bytes, model.iter().map(|e| e.line.len() as u64).sum::<u64>());
            snapshot.pieces.iter().for_each(|piece| check_piece(piece));
            let range = model.iter().fold(TimeRange::EMPTY, |range, e| {
                range.cover(&TimeRange::new(e.timestamp.as_ns(), e.timestamp.as_ns()))
            });
            let pieces = snapshot.pieces.iter().fold(TimeRange::EMPTY, |range, piece| range.cover(&piece.range));
            prop_assert_eq!(pieces, range);
        }
    }

    #[test]
    fn the_index_selects_as_a_scan_does(
        streams in proptest::collection::btree_set(
            proptest::collection::btree_map("[abc]", "[xyz]{1,2}", 1..3), 0..30),
        matchers in proptest::collection::vec(("[abcd]", 0usize..4, prop::sample::select(VALUES.as_slice())), 0..4),
    ) {
        let generation = Generation::new(1);
        let tenant = Tenant::default();
        let heads = generation.tenant_or_new(&tenant);
        let all: Vec<Labels> = streams.iter().map(|stream| {
            Labels::from_pairs(stream.iter().map(|(n, v)| (n.as_str(), v.as_str()))).expect("valid")
        }).collect();
        for (at, labels) in all.iter().enumerate() {
            generation.append(&generation.stream(&heads, labels), &[entry(at as i64, "x", "")], 1);
        }
        let matchers: Vec<_> = matchers.into_iter().map(|(name, op, value)| {
            let op = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex][op];
            Matcher::new(name, op, value).expect("valid")
        }).collect();
        let selector = Selector::new(matchers.clone());
        let range = TimeRange::new(3, 20);
        let expected: Vec<&Labels> = all.iter().enumerate()
            .filter(|(at, labels)| range.contains(*at as i64) && selector.matches(labels)).map(|(_, l)| l).collect();
        let found = generation.select(&tenant, &matchers, &range);
        prop_assert_eq!(found.iter().map(|head| head.labels()).collect::<Vec<_>>(), expected.clone());
        let mut names = BTreeSet::new();
        heads.label_names(&matchers, &range, &mut names);
        let model: BTreeSet<String> =
            expected.iter().flat_map(|l| l.iter()).map(|(name, _)| name.to_owned()).collect();
        prop_assert_eq!(names, model);
        let mut values = BTreeSet::new();
        heads.label_values("a", &matchers, &range, &mut values);
        let model: BTreeSet<String> = expected.iter().filter_map(|l| l.get("a")).map(str::to_owned).collect();
        prop_assert_eq!(values, model);
        prop_assert!(generation.select(&Tenant::new("other").expect("valid"), &matchers, &range).is_empty());
    }
}

#[test]
fn pieces_stay_small_and_long_lines_pass() {
    let head = StreamHead::new(Labels::default(), 0);
    let lines: Vec<_> = (0..3000).map(|i| entry(i, &"x".repeat(i as usize % 500), "")).collect();
    head.append(&lines);
    head.append(&[entry(5000, &"y".repeat(3 * PIECE_BYTES), ""), entry(5001, "z", "")]);
    let snapshot = head.snapshot();
    assert_eq!(rows(&snapshot.pieces).len(), 3002);
    snapshot.pieces.iter().for_each(|piece| check_piece(piece));
    assert!(snapshot.pieces.iter().all(|p| p.buffer.len() <= 2 * PIECE_BYTES || p.rows() == 1));
    assert!(snapshot.pieces.len() >= 4);
}

#[test]
fn frequent_snapshots_leave_few_pieces() {
    let head = StreamHead::new(Labels::default(), 0);
    for i in 0..1000 {
        head.append(&[entry(i, "line", "")]);
        let _ = head.snapshot();
    }
    let snapshot = head.snapshot();
    assert!(snapshot.pieces.len() <= 12, "{}", snapshot.pieces.len());
    assert_eq!(snapshot.rows, 1000);
}

#[test]
fn readers_copy_nothing() {
    let head = StreamHead::new(Labels::default(), 0);
    head.append(&[entry(1, &"long line ".repeat(20_000), "")]);
    let (first, second) = (head.snapshot(), head.snapshot());
    assert!(Arc::ptr_eq(&first.pieces[0], &second.pieces[0]));
}

#[test]
fn streams_without_rows_are_not_seen() {
    let generation = Generation::new(1);
    let tenant = Tenant::default();
    let heads = generation.tenant_or_new(&tenant);
    let _ = generation.stream(&heads, &Labels::from_pairs([("a", "b")]).expect("valid"));
    assert!(generation.select(&tenant, &[], &TimeRange::ALL).is_empty());
    let mut names = BTreeSet::new();
    heads.label_names(&[], &TimeRange::ALL, &mut names);
    assert!(names.is_empty());
    assert!(generation.is_empty());
}
