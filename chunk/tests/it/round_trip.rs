//! What is written is what is read, for everything that can be written.

use bytes::Bytes;
use narvi_chunk::{
    ColumnKind, FrameReader, FrameRows, OpenOptions, Pack, PackOptions, PackWriter, ReadAt, encode_frame, verify,
};
use narvi_types::{Labels, Metadata};
use proptest::{collection::vec, prelude::*};

use crate::model::{Block, CODECS, Row, Tenant, join, joined, labels, metadata, read, write};

fn pairs() -> impl Strategy<Value = Metadata> {
    let name = prop_oneof![3 => "[ab]", 1 => ".{0,6}"];
    let pair = (name, prop_oneof![3 => "[xy]{0,2}", 1 => ".{0,40}"]);
    let some = vec(pair, 1..5);
    prop_oneof![3 => Just(Vec::new()), 2 => some]
        .prop_map(|p| Metadata::from_pairs(p.iter().map(|(n, v)| (n.as_str(), v.as_str()))).expect("valid"))
}

fn line() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        2 => Just(Vec::new()),
        6 => "[ -~]{0,80}".prop_map(String::into_bytes),
        2 => vec(any::<u8>(), 0..60),
        1 => (any::<u8>(), 0..3000_usize).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn rows(bare: bool) -> impl Strategy<Value = Vec<Row>> {
    let time = prop_oneof![
        4 => 1_700_000_000_000_000_000..1_700_000_100_000_000_000_i64,
        2 => 0..5_i64,
        1 => any::<i64>(),
        1 => Just(i64::MIN),
        1 => Just(i64::MAX),
    ];
    let pairs = if bare { Just(Metadata::default()).boxed() } else { pairs().boxed() };
    vec((time, line(), pairs), 0..60).prop_map(|mut rows| {
        rows.sort_by_key(|row| row.0);
        rows
    })
}

fn block() -> impl Strategy<Value = Block> {
    let labels = proptest::collection::btree_map("[a-z]{1,3}|.{1,4}", ".{0,12}", 0..4).prop_map(|labels| {
        Labels::from_pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str()))).expect("valid labels")
    });
    (labels, any::<bool>().prop_flat_map(rows))
}

fn tenants() -> impl Strategy<Value = Vec<Tenant>> {
    proptest::collection::btree_map(".{0,8}", vec(block(), 0..6), 0..5).prop_map(|map| map.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn packs_give_back_what_was_written(
        tenants in tenants(), codec in 0..4_usize, page_rows in 1..50_u32, frame_rows in 1..200_u32,
        frame_bytes in prop_oneof![1..5000_u32, Just(1 << 20)],
    ) {
        let options = PackOptions { compression: CODECS[codec], frame_bytes, frame_rows, page_rows };
        let (file, places) = write(&tenants, &options)?;
        prop_assert_eq!(joined(&read(&file)?), joined(&tenants));
        let report = verify(&file)?;
        prop_assert!(report.is_sound(), "{:?}", report.problems);

        // The places name the rows, in order, with a true summary.
        let pack = Pack::open(&file)?;
        let mut place = places.iter();
        for (_, blocks) in &tenants {
            for (labels, rows) in blocks {
                let mut rest = rows.as_slice();
                while !rest.is_empty() {
                    let place = place.next().expect("a place for all rows");
                    let (part, after) = rest.split_at(place.rows as usize);
                    rest = after;
                    let reader = FrameReader::new(&pack, place.frame, &file)?;
                    let range = place.first_row..place.first_row + place.rows;
                    let times: Vec<i64> = part.iter().map(|r| r.0).collect();
                    let lengths: Vec<u32> = part.iter().map(|r| r.1.len() as u32).collect();
                    prop_assert_eq!(reader.timestamps(range.clone())?, &times[..]);
                    prop_assert_eq!(reader.lengths(range)?, lengths);
                    prop_assert_eq!((place.range.min, place.range.max), (times[0], times[times.len() - 1]));
                    prop_assert_eq!(place.line_bytes, part.iter().map(|r| r.1.len() as u64).sum::<u64>());
                    let keys: std::collections::BTreeSet<&str> =
                        part.iter().flat_map(|r| r.2.iter().map(|(name, _)| name)).collect();
                    prop_assert!(place.metadata_keys.iter().map(|k| &**k).eq(keys));
                    let before: u32 = place.first_row;
                    let mut row = 0;
                    let of_row = reader.streams()?.into_iter().find(|(_, n)| { row += n; row > before });
                    prop_assert_eq!(of_row.map(|(of_row, _)| of_row), Some(labels.clone()));
                }
            }
        }
        prop_assert!(place.next().is_none());
    }

    #[test]
    fn any_range_of_rows_is_a_slice_of_all(
        rows in rows(false), a: u32, b: u32, page_rows in 1..20_u32, codec in 0..4_usize,
    ) {
        prop_assume!(!rows.is_empty());
        let options = PackOptions { page_rows, compression: CODECS[codec], ..PackOptions::default() };
        let all: Vec<i64> = rows.iter().map(|r| r.0).collect();
        let (file, _) = write(&[("t".into(), vec![(labels(&[]), rows)])], &options)?;
        let (a, b) = (a % (all.len() as u32 + 1), b % (all.len() as u32 + 1));
        let (a, b) = (a.min(b), a.max(b));
        let pack = Pack::open(&file)?;
        let reader = FrameReader::new(&pack, 0, &file)?;
        prop_assert_eq!(reader.timestamps(a..b)?, &all[a as usize..b as usize]);
        prop_assert!(reader.timestamps(0..all.len() as u32 + 1).is_err());
    }
}

#[test]
fn long_lines_round_trip() {
    let mut noise = crate::model::Random(7);
    let random: Vec<u8> = (0..1 << 20).map(|_| noise.next() as u8).collect();
    let rows = vec![
        (1, random, Metadata::default()),
        (1, vec![b'x'; 1 << 20], metadata(&[("a", "1"), ("a", "1"), ("", "odd"), ("b", "")])),
        (2, Vec::new(), Metadata::default()),
        (3, b"\xff\xfe not UTF-8 \x00".to_vec(), Metadata::default()),
    ];
    let tenants = vec![("t".to_owned(), vec![(labels(&[("app", "x")]), rows)])];
    for compression in CODECS {
        let (file, places) = write(&tenants, &PackOptions { compression, ..PackOptions::default() }).expect("writes");
        assert!(places.len() > 1, "a large block is split");
        assert_eq!(joined(&read(&file).expect("reads")), tenants);
    }
}

#[test]
fn extremes_of_time_round_trip_over_descending_blocks() {
    let row = |time| (time, b"x".to_vec(), Metadata::default());
    let blocks: Vec<Block> = [[i64::MAX, i64::MAX], [0, i64::MAX], [i64::MIN, i64::MAX], [i64::MIN, i64::MIN], [-1, 1]]
        .iter()
        .enumerate()
        .map(|(n, times)| (labels(&[("n", &n.to_string())]), times.iter().map(|t| row(*t)).collect()))
        .collect();
    let tenants = vec![("t".to_owned(), blocks)];
    for compression in CODECS {
        let (file, _) = write(&tenants, &PackOptions { compression, ..PackOptions::default() }).expect("writes");
        assert_eq!(read(&file).expect("reads"), tenants);
    }
}

#[test]
fn frames_encoded_elsewhere_make_the_same_pack() {
    let options = PackOptions::default();
    let rows: Vec<Row> = (0..5000).map(|n| (n, format!("line {n}").into_bytes(), Metadata::default())).collect();
    let stream = labels(&[("app", "x")]);
    let (file, _) = write(&[("t".into(), vec![(stream.clone(), rows.clone())])], &options).expect("writes");

    let entries: Vec<narvi_types::Entry> = rows
        .into_iter()
        .map(|(time, line, _)| narvi_types::Entry::new(narvi_types::Timestamp::from_ns(time), line))
        .collect();
    let mut frame = FrameRows::new();
    let place = frame.push(&stream, entries.as_slice(), 0..5000).expect("rows are valid");
    assert_eq!((place.first_row, place.rows, frame.rows()), (0, 5000, 5000));
    let mut writer = PackWriter::new(options.clone()).expect("options are valid");
    writer.tenant("t").expect("first tenant");
    assert_eq!(writer.push_frame(encode_frame(&frame, &options).expect("encodes")).expect("fits"), 0);
    assert_eq!(join(writer.finish().expect("finishes")), file);

    let small = encode_frame(&frame, &PackOptions { page_rows: 7, ..options.clone() }).expect("encodes");
    let mut writer = PackWriter::new(options).expect("options are valid");
    writer.tenant("t").expect("first tenant");
    assert!(writer.push_frame(small).is_err(), "pages of another size cannot be found again");
}

/// Counts the reads.
struct Counting(Bytes, std::sync::atomic::AtomicUsize);

impl ReadAt for Counting {
    fn read_at(&self, offset: u64, len: usize) -> std::io::Result<Bytes> {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.0.read_at(offset, len)
    }

    fn size(&self) -> u64 {
        self.0.size()
    }
}

#[test]
fn opening_and_reading_take_few_reads() {
    let rows: Vec<Row> = (0..20_000).map(|n| (n, format!("line {n}").into_bytes(), metadata(&[("l", "i")]))).collect();
    let (file, _) = write(&[("t".into(), vec![(labels(&[]), rows)])], &PackOptions::default()).expect("writes");
    let input = Counting(file, Default::default());
    let reads = || input.1.swap(0, std::sync::atomic::Ordering::Relaxed);

    let pack = Pack::open(&input).expect("opens");
    assert_eq!(reads(), 1);
    Pack::open_with(&input, &OpenOptions { tail_bytes: 0, ..OpenOptions::default() }).expect("opens");
    assert_eq!(reads(), 2);

    let frame = FrameReader::new(&pack, 0, &input).expect("there is a frame");
    frame.timestamps(4000..5000).expect("reads");
    assert_eq!(reads(), 1, "two pages, one read");
    frame.prefetch(&[ColumnKind::Timestamps, ColumnKind::Lengths, ColumnKind::Lines]).expect("reads");
    frame.timestamps(0..20_000).expect("reads");
    frame.lines().expect("reads");
    frame.offsets().expect("reads");
    assert_eq!(reads(), 1, "three columns, one read");
    frame.metadata().expect("reads");
    frame.metadata().expect("is kept");
    assert_eq!(reads(), 1);
}
