//! Measures how fast packs are written and read: `cargo run --release -p narvi-chunk --example throughput [FILE]`.
//!
//! FILE is text, one log line per line; without it, lines are made up.

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use narvi_chunk::{
    BlockRows, Compression, Contains, FrameReader, LinePredicate, Lines, Pack, PackOptions, PackWriter, RowSet,
};
use narvi_types::Labels;

const START_NS: i64 = 1_700_000_000_000_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => made_up(),
    };
    let lines: Vec<&[u8]> = text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).collect();
    let bytes: usize = lines.iter().map(|l| l.len()).sum();
    println!("{} lines, {bytes} bytes", lines.len());
    for compression in [Compression::None, Compression::Snappy, Compression::Lz4, Compression::Zstd(1)] {
        measure(&lines, bytes, compression)?;
    }
    Ok(())
}

fn made_up() -> Vec<u8> {
    let mut text = String::new();
    let mut n = 88_172_645_463_325_252_u64;
    for _ in 0..1_000_000 {
        n ^= n << 13;
        n ^= n >> 7;
        n ^= n << 17;
        text.push_str(&format!(
            "level={} caller=server.go:{} msg=\"request completed\" method=GET path=/api/v1/users/{} status=200 \
             duration={}ms bytes={} trace_id={n:016x}\n",
            ["info", "info", "info", "warn"][n as usize % 4],
            n >> 8 & 0xff,
            n >> 16 & 0xffff,
            n >> 32 & 0x1ff,
            n >> 41 & 0x3fff,
        ));
    }
    text.into_bytes()
}

fn measure(lines: &[&[u8]], bytes: usize, compression: Compression) -> Result<(), Box<dyn std::error::Error>> {
    // Sixteen streams that log every hundred milliseconds, give or take a few.
    let times: Vec<i64> = (0..lines.len() as i64).map(|n| START_NS + (n * 100 + n * 7919 % 20) * 1_000_000).collect();
    let begin = Instant::now();
    let mut writer = PackWriter::new(PackOptions { compression, ..PackOptions::default() })?;
    writer.tenant("t")?;
    for (at, (lines, times)) in lines.chunks(lines.len() / 16 + 1).zip(times.chunks(lines.len() / 16 + 1)).enumerate() {
        let labels = Labels::from_pairs([("stream", at.to_string().as_str())])?;
        writer.block(&labels, &BlockRows { timestamps: times, lines, metadata: &[] })?;
    }
    let file: Bytes = writer.finish()?.into_iter().flatten().collect();
    let per_second = |n: usize, begin: Instant| n as f64 / begin.elapsed().as_secs_f64() / 1e6;
    println!("{compression:?}: {:.3} of raw", file.len() as f64 / bytes as f64);
    println!("  write      {:7.0} MB/s", per_second(bytes, begin));

    let pack = Pack::open(&file)?;
    let frames = || (0..pack.frame_count()).map(|f| FrameReader::new(&pack, f, &file));
    let begin = Instant::now();
    for frame in frames() {
        let frame = frame?;
        black_box(frame.timestamps(0..frame.info().rows)?);
    }
    println!("  timestamps {:7.0} M rows/s", per_second(lines.len(), begin));
    let begin = Instant::now();
    for frame in frames() {
        black_box(frame?.offsets()?);
    }
    println!("  offsets    {:7.0} M rows/s", per_second(lines.len(), begin));
    let begin = Instant::now();
    for frame in frames() {
        black_box(frame?.lines()?);
    }
    println!("  lines      {:7.0} MB/s", per_second(bytes, begin));
    let readers: Vec<_> = frames().collect::<Result<_, _>>()?;
    for reader in &readers {
        reader.lines()?;
        reader.offsets()?;
    }
    for needle in ["level=warn", "ca0ffee"] {
        let predicate = Contains::new(needle.as_bytes());
        let (mut found, begin) = (0, Instant::now());
        for reader in &readers {
            let (buffer, offsets) = (reader.lines()?, reader.offsets()?);
            let lines = Lines::new(&buffer, &offsets).ok_or("offsets do not fit")?;
            let mut rows = RowSet::full(lines.len());
            predicate.retain(lines, &mut rows);
            found += rows.count();
        }
        println!("  find       {:7.0} MB/s ({needle}: {found} lines)", per_second(bytes, begin));
    }
    Ok(())
}
