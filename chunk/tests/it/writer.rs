//! What the writer refuses, how it splits blocks, and what it tells about a pack.

use narvi_chunk::{
    BlockRows, ChunkError, Compression, DecodeLimits, FrameReader, OpenOptions, Pack, PackOptions, PackWriter,
    SectionKind, describe, verify,
};
use narvi_types::Metadata;

use crate::model::{Row, join, labels, metadata, read, write, write_block};

fn rows(count: i64, bytes: usize) -> Vec<Row> {
    (0..count).map(|n| (n, vec![b'x'; bytes], Metadata::default())).collect()
}

fn writer(options: PackOptions) -> PackWriter {
    let mut writer = PackWriter::new(options).expect("valid options");
    writer.tenant("t").expect("first tenant");
    writer
}

#[test]
fn wrong_input_is_refused_and_leaves_no_trace() {
    let mut pack = PackWriter::new(PackOptions::default()).expect("valid options");
    let stream = labels(&[("app", "x")]);
    assert!(matches!(write_block(&mut pack, &stream, &rows(1, 1)), Err(ChunkError::NoTenant)));
    pack.tenant("t").expect("first tenant");
    let unsorted = BlockRows { timestamps: &[1, 3, 2], lines: &["a", "b", "c"], metadata: &[] };
    assert!(matches!(pack.block(&stream, &unsorted), Err(ChunkError::Unsorted { row: 2 })));
    let uneven = BlockRows { timestamps: &[1, 3], lines: &["a"], metadata: &[] };
    assert!(matches!(pack.block(&stream, &uneven), Err(ChunkError::RowCount { .. })));
    let uneven = BlockRows { timestamps: &[1], lines: &["a"], metadata: &[Metadata::default(), Metadata::default()] };
    assert!(matches!(pack.block(&stream, &uneven), Err(ChunkError::RowCount { .. })));
    let huge = [vec![0; narvi_chunk::MAX_LINE_BYTES + 1]];
    let huge = BlockRows { timestamps: &[1], lines: &huge, metadata: &[] };
    assert!(matches!(pack.block(&stream, &huge), Err(ChunkError::TooLarge { .. })));
    assert_eq!(pack.block(&stream, &BlockRows::<&str> { timestamps: &[], lines: &[], metadata: &[] }).expect("ok"), []);
    assert_eq!(read(&join(pack.finish().expect("finishes"))).expect("reads"), []);
}

#[test]
fn options_out_of_range_are_refused() {
    let default = PackOptions::default;
    for options in [
        PackOptions { frame_bytes: 0, ..default() },
        PackOptions { frame_bytes: u32::MAX, ..default() },
        PackOptions { frame_rows: 0, ..default() },
        PackOptions { page_rows: 0, ..default() },
        PackOptions { page_rows: 1 << 20, ..default() },
        PackOptions { compression: Compression::Zstd(23), ..default() },
    ] {
        assert!(matches!(PackWriter::new(options), Err(ChunkError::BadOption { .. })));
    }
}

#[test]
fn a_tenant_is_one_run_of_frames() {
    let mut pack = writer(PackOptions::default());
    write_block(&mut pack, &labels(&[]), &rows(1, 1)).expect("appends");
    pack.tenant("t").expect("the current tenant again");
    pack.tenant("unused").expect("another");
    pack.tenant("u").expect("another");
    pack.tenant("unused").expect("an unused tenant may come again");
    assert!(matches!(pack.tenant("t"), Err(ChunkError::TenantAgain(_))));
    write_block(&mut pack, &labels(&[]), &rows(1, 1)).expect("appends");
    let file = join(pack.finish().expect("finishes"));
    let pack = Pack::open(&file).expect("opens");
    let tenants: Vec<_> = pack.tenants().iter().map(|t| (t.name.as_str(), t.frames.clone())).collect();
    assert_eq!(tenants, [("t", 0..1), ("unused", 1..2)]);
    assert_eq!(pack.frame(1).expect("exists").tenant, 1);
    assert!(matches!(pack.frame(2), Err(ChunkError::OutOfRange { .. })));
}

#[test]
fn small_blocks_stay_whole_and_large_ones_are_split() {
    let mut pack = writer(PackOptions { frame_bytes: 1000, ..PackOptions::default() });
    let stream = labels(&[("app", "x")]);
    let places = |pack: &mut PackWriter, count, bytes| {
        let places = write_block(pack, &stream, &rows(count, bytes)).expect("appends");
        places.iter().map(|p| (p.frame, p.first_row, p.rows)).collect::<Vec<_>>()
    };
    assert_eq!(places(&mut pack, 9, 100), [(0, 0, 9)]);
    assert_eq!(places(&mut pack, 3, 100), [(0, 9, 3)], "a little over is better than a small piece");
    assert_eq!(places(&mut pack, 6, 100), [(1, 0, 6)]);
    assert_eq!(places(&mut pack, 9, 100), [(2, 0, 9)], "half full is full enough");
    assert_eq!(places(&mut pack, 31, 100), [(3, 0, 10), (4, 0, 10), (5, 0, 11)]);
    let level = [metadata(&[("level", "info, at some length")]), metadata(&[("level", "warn, at some length")])];
    let mixed: Vec<Row> = (0..40).map(|n| (n, vec![b'x'; 50], level[n as usize % 2].clone())).collect();
    let places_mixed = write_block(&mut pack, &stream, &mixed).expect("appends");
    let frames: Vec<u32> = places_mixed.iter().map(|p| p.frame).collect();

    assert!(
        frames.len() > 1 && frames.windows(2).all(|f| f[0] < f[1]),
        "no frame holds two pieces of a block: {frames:?}"
    );
    let mut pack = writer(PackOptions { frame_rows: 10, ..PackOptions::default() });
    assert_eq!(places(&mut pack, 25, 0), [(0, 0, 10), (1, 0, 10), (2, 0, 5)], "lines without bytes count as rows");
}

#[test]
fn blocks_with_the_same_keys_share_the_list() {
    let mut pack = writer(PackOptions { frame_rows: 2, ..PackOptions::default() });
    let row = |time, pairs: &[(&str, &str)]| (time, b"x".to_vec(), metadata(pairs));
    let a = [row(1, &[("b", "1"), ("a", "1")]), row(2, &[]), row(3, &[("a", "2"), ("a", "3")])];
    let places = write_block(&mut pack, &labels(&[]), &a).expect("appends");
    let keys: Vec<Vec<&str>> = places.iter().map(|p| p.metadata_keys.iter().map(|k| &**k).collect()).collect();
    assert_eq!(keys, [vec!["a", "b"], vec!["a"]]);
    let again = write_block(&mut pack, &labels(&[]), &a[..1]).expect("appends");
    assert!(std::sync::Arc::ptr_eq(&again[0].metadata_keys, &places[0].metadata_keys));
}

#[test]
fn metadata_is_absent_when_no_row_has_any() {
    let mut pack = writer(PackOptions { frame_rows: 2, ..PackOptions::default() });
    write_block(&mut pack, &labels(&[]), &rows(2, 1)).expect("appends");
    let file = join(pack.finish().expect("finishes"));
    let pack = Pack::open(&file).expect("opens");
    assert!(FrameReader::new(&pack, 0, &file).expect("exists").metadata().expect("reads").is_none());
}

#[test]
fn other_sections_are_kept_skipped_or_refused() {
    let with = |kind, required| {
        let mut pack = writer(PackOptions::default());
        write_block(&mut pack, &labels(&[]), &rows(3, 3)).expect("appends");
        pack.section(SectionKind(kind), required, &[7; 1000]).expect("compresses");
        join(pack.finish().expect("finishes"))
    };
    let file = with(999, false);
    let pack = Pack::open(&file).expect("an unknown optional section is skipped");
    let section = pack.section(SectionKind(999), &file).expect("reads").expect("exists");
    assert_eq!(section, [7; 1000].as_slice());
    assert_eq!(pack.section(SectionKind::SKIP_FILTER, &file).expect("reads"), None);
    assert_eq!(read(&file).expect("reads")[0].1[0].1.len(), 3);
    assert!(verify(&file).expect("opens").is_sound());

    let error = Pack::open(&with(999, true)).expect_err("an unknown required section is refused");
    assert!(matches!(error, ChunkError::Unsupported { .. }));
    let text = error.to_string();
    assert!(text.contains("format version 0 requires the section unknown (999)"), "{text}");
    assert!(text.contains("reads versions 0 to 0"), "{text}");
}

#[test]
fn limits_are_kept() {
    let rows = rows(100, 100);
    let (file, _) = write(&[("t".into(), vec![(labels(&[]), rows)])], &PackOptions::default()).expect("writes");
    let open = |limits| Pack::open_with(&file, &OpenOptions { limits, ..OpenOptions::default() });
    let pack = open(DecodeLimits { max_column_bytes: 9_999, ..DecodeLimits::default() }).expect("opens");
    assert!(matches!(FrameReader::new(&pack, 0, &file), Err(ChunkError::TooLarge { need: 10_000, .. })));
    let pack = open(DecodeLimits { max_frame_rows: 99, ..DecodeLimits::default() }).expect("opens");
    assert!(matches!(FrameReader::new(&pack, 0, &file), Err(ChunkError::TooLarge { need: 100, .. })));
    let few = DecodeLimits { max_directory_bytes: 10, ..DecodeLimits::default() };
    assert!(matches!(open(few), Err(ChunkError::TooLarge { .. })));
}

#[test]
fn a_description_adds_up() {
    let row = |time, pairs: &[(&str, &str)]| (time, b"a line of text, a line of text".to_vec(), metadata(pairs));
    let blocks = vec![(labels(&[("app", "x")]), vec![row(5, &[("level", "info")]), row(7, &[])])];
    let (file, _) = write(&[("t".into(), blocks)], &PackOptions::default()).expect("writes");
    let description = describe(&Pack::open(&file).expect("opens"));
    assert_eq!((description.frames, description.blocks, description.rows, description.line_bytes), (1, 1, 2, 60));
    let stored: u64 = description.columns.iter().map(|c| c.len).sum();
    assert_eq!(stored, description.sections[0].len);
    let text = description.to_string();
    for word in
        ["version 0", "1 tenants", "frames (1)", "streams", "metadata", "timestamps", "lengths", "lines", "pages"]
    {
        assert!(text.contains(word), "{word} is not in:\n{text}");
    }
}
