//! Packs: writing, reading every column, and scanning for a substring, per codec. Throughput is in bytes of lines.

use bytes::Bytes;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, measurement::WallTime};
use narvi_benches::{LINES, Shape, bytes_of, entries, lines, loghub, stream};
use narvi_chunk::{Compression, Contains, FrameReader, LinePredicate, Lines, Pack, PackOptions, PackWriter, RowSet};
use narvi_types::Entry;

const CODECS: [(&str, Compression); 5] = [
    ("none", Compression::None),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd-1", Compression::Zstd(1)),
    ("zstd-9", Compression::Zstd(9)),
];

fn write(entries: &[Entry], compression: Compression) -> Bytes {
    let options = PackOptions { compression, ..PackOptions::default() };
    let mut writer = PackWriter::new(options).expect("the options are valid");
    writer.tenant("t").expect("a first tenant");
    writer.block(&stream(0), entries).expect("the entries are sorted");
    writer.finish().expect("compresses").into_iter().flatten().collect()
}

/// Decodes all columns; the number of rows.
fn read(file: &Bytes) -> usize {
    let pack = Pack::open(file).expect("opens");
    let rows = (0..pack.frame_count()).map(|frame| {
        let reader = FrameReader::new(&pack, frame, file).expect("the frame is there");
        let times = reader.timestamps(0..reader.info().rows).expect("decodes");
        let (lines, offsets) = (reader.lines().expect("decodes"), reader.offsets().expect("decodes"));
        reader.metadata().expect("decodes");
        times.len().min(offsets.len()).min(lines.len())
    });
    rows.sum()
}

/// Decodes lines and looks for a substring in all of them; the number of hits.
fn scan(file: &Bytes, needle: &Contains) -> usize {
    let pack = Pack::open(file).expect("opens");
    let hits = (0..pack.frame_count()).map(|frame| {
        let reader = FrameReader::new(&pack, frame, file).expect("the frame is there");
        let (buffer, offsets) = (reader.lines().expect("decodes"), reader.offsets().expect("decodes"));
        let lines = Lines::new(&buffer, &offsets).expect("offsets fit");
        let mut rows = RowSet::full(lines.len());
        needle.retain(lines, &mut rows);
        rows.count()
    });
    hits.sum()
}

fn sample(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, lines: &[impl AsRef<[u8]>]) {
    let entries = entries(lines);
    group.throughput(Throughput::Bytes(bytes_of(lines)));
    let needle = Contains::new(b"deadlock");
    for (codec, compression) in CODECS {
        let file = write(&entries, compression);
        let id = |what: &str| BenchmarkId::new(format!("{what}/{name}"), codec);
        group.bench_function(id("encode"), |b| b.iter(|| write(&entries, compression)));
        group.bench_function(id("decode"), |b| b.iter(|| read(&file)));
        group.bench_function(id("scan"), |b| b.iter(|| scan(&file, &needle)));
    }
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("chunk");
    group.sample_size(10).measurement_time(std::time::Duration::from_secs(1));
    sample(&mut group, "json", &lines(Shape::Json, LINES));
    if let Some(lines) = loghub() {
        sample(&mut group, "loghub", &lines);
    }
    group.finish();
    criterion.final_summary();
}
