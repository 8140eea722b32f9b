//! Measures the index at a million series: build, open, lookups, regular expressions, and the merge of 48 tables.
//!
//! `cargo run --release -p narvi-index --example million` runs all; `-- build|read|merge [SERIES] [TABLES]` one of
//! them. Each runs in a process of its own, so that peak memory is its own. Files go to the directory for temporary
//! files.
#![expect(unsafe_code, reason = "maps files that this process wrote and nobody truncates")]

use std::{
    error::Error,
    fs::{self, File},
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use narvi_index::{BlockRef, KeepAll, Part, Table, TableBuilder, merge, verify};
use narvi_types::{Labels, MatchOp, Matcher, TimeRange};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SERIES: u32 = 1_000_000;
const TABLES: u32 = 48;
const MERGE_SERIES: u32 = 100_000;
const TENANT: &str = "tenant";
const DAY_NS: i64 = 86_400_000_000_000;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let phase = args.next();
    let mut number = |default| args.next().map_or(Ok(default), |text| text.parse::<u32>());
    match phase.as_deref() {
        Some("build") => build(number(SERIES)?),
        Some("read") => read(),
        Some("merge") => merge_many(number(MERGE_SERIES)?, number(TABLES)?),
        Some(other) => Err(format!("unknown phase {other}: say build, read or merge").into()),
        None => {
            for phase in ["build", "read", "merge"] {
                std::process::Command::new(std::env::current_exe()?).arg(phase).status()?;
            }
            Ok(())
        }
    }
}

/// Labels of one stream: one value of its own, one of 100,000, and a few shared ones. Half of all are `env="prod"`.
fn labels(n: u32) -> Result<Labels> {
    let hash = n.wrapping_mul(2_654_435_761);
    let (app, namespace) = (format!("app-{:03}", hash % 200), format!("team-{:02}", hash % 50));
    let pod = format!("app-{:03}-{:08x}-{:05}", hash % 200, hash, n % 100_000);
    let version = format!("v{}.{}", n % 10, n / 10 % 10_000);
    Ok(Labels::from_pairs([
        ("app", app.as_str()),
        ("cluster", ["eu-1", "eu-2", "us-1"][(hash % 3) as usize]),
        ("container", ["main", "sidecar", "init"][(n % 3) as usize]),
        ("env", ["prod", "test"][(n % 2) as usize]),
        ("namespace", namespace.as_str()),
        ("pod", pod.as_str()),
        ("version", version.as_str()),
    ])?)
}

/// A block of stream `n`, which is the one at `rank` in the order of labels: frames hold 32 streams in that order.
fn block(n: u32, rank: u32, pack: u32, start: i64, metadata_keys: u32) -> BlockRef {
    let hash = i64::from(n.wrapping_mul(2_246_822_519));
    let rows = 20 + rank % 300;
    let min = start + hash * 61 % 60_000_000_000;
    let range = TimeRange::new(min, min + 300_000_000_000 + hash);
    let first_row = (rank / 32 * 32..rank).map(|before| 20 + before % 300).sum();
    let frame = rank / 32;
    BlockRef { pack, frame, first_row, rows, line_bytes: u64::from(rows) * 143, range, metadata_keys }
}

/// The place of each stream in the order of labels.
fn ranks(streams: impl Iterator<Item = u32>) -> Result<Vec<u32>> {
    let mut sorted =
        (0..).zip(streams).map(|(at, n)| Ok((labels(n)?, at))).collect::<Result<Vec<(Labels, usize)>>>()?;
    sorted.sort_unstable();
    let mut ranks = vec![0; sorted.len()];
    (0..).zip(sorted).for_each(|(rank, (_, at))| ranks[at] = rank);
    Ok(ranks)
}

fn directory() -> Result<PathBuf> {
    let directory = std::env::temp_dir().join("narvi-index-million");
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

fn build(series: u32) -> Result<()> {
    let start = Instant::now();
    let text_bytes: usize = (0..series).try_fold(0, |sum, n| {
        labels(n).map(|l| sum + l.iter().filter(|(name, _)| *name == "pod").map(|(_, v)| v.len()).sum::<usize>())
    })?;
    println!("generating the labels alone: {:.2} s", start.elapsed().as_secs_f64());
    let ranks = ranks(0..series)?;
    // Forgets the peak so far, where the system can.
    let _ = fs::write("/proc/self/clear_refs", "5");
    println!("memory before the build: {} MiB (some of it freed and kept by the allocator)", status("VmHWM")? / 1024);
    let start = Instant::now();
    let mut builder = TableBuilder::new();
    let pack = builder.pack("pack-0001");
    let keys = [builder.key_set([]), builder.key_set(["trace_id"]), builder.key_set(["trace_id", "user"])];
    for (n, rank) in (0..series).zip(ranks) {
        builder.add(TENANT, &labels(n)?, block(n, rank, pack, DAY_NS, keys[(rank / 100 % 3) as usize]))?;
    }
    let added = start.elapsed();
    let path = directory()?.join("million.index");
    builder.write(&mut File::create(&path)?)?;
    let length = fs::metadata(&path)?.len();
    println!(
        "build of {series} series: {:.2} s (adding {:.2} s), peak memory {} MiB",
        start.elapsed().as_secs_f64(),
        added.as_secs_f64(),
        status("VmHWM")? / 1024
    );
    let per_series = (length - text_bytes as u64) as f64 / f64::from(series);
    println!("file {length} bytes: {per_series:.1} per series and block beyond its unique value's text");
    Ok(())
}

fn read() -> Result<()> {
    let path = directory()?.join("million.index");
    let start = Instant::now();
    let bytes = map(&path)?;
    let table = Table::open(bytes.clone())?;
    let part = table.part(TENANT)?.ok_or("no such tenant")?;
    println!("open: {:?}", start.elapsed());
    print!("{}", narvi_index::describe(&bytes)?);

    let series = part.stats().streams as u32;
    let pod = labels(series / 3)?.get("pod").ok_or("no pod")?.to_owned();
    lookup(&part, "one match", &[("pod", MatchOp::Equal, &pod)])?;
    lookup(&part, "half of all", &[("env", MatchOp::Equal, "prod")])?;
    lookup(&part, "two halves", &[("env", MatchOp::Equal, "prod"), ("cluster", MatchOp::NotEqual, "eu-1")])?;
    lookup(&part, "regex over 100,000 values, few match", &[("version", MatchOp::Regex, ".*[.]77[0-9]")])?;
    lookup(&part, "regex over 100,000 values, a tenth match", &[("version", MatchOp::Regex, "v1[.].*")])?;
    lookup(&part, "regex over 100,000 values, alternatives", &[("version", MatchOp::Regex, "v1[.]7|v3[.]9|v5.6")])?;
    lookup(&part, "regex over 100,000 values, most match", &[("version", MatchOp::NotRegex, "v1[.]7.*")])?;
    lookup(&part, "regex over 1,000,000 values", &[("pod", MatchOp::Regex, "app-0.*00ff.*")])?;
    let narrow = [("version", MatchOp::Equal, "v1.77"), ("pod", MatchOp::Regex, "app-0.*")];
    lookup(&part, "regex over 1,000,000 values, narrowed", &narrow)?;

    let all = part.select(&[])?;
    let start = Instant::now();
    let found = part.series(&all).try_fold(0usize, |n, s| s.map(|(_, l)| n + usize::from(!l.is_empty())))?;
    println!("labels of {found} series: {:?}", start.elapsed());
    let start = Instant::now();
    let rows = part.blocks_of(&all, TimeRange::ALL).try_fold(0u64, |n, b| b.map(|(_, b)| n + u64::from(b.rows)))?;
    println!("{rows} rows counted from all block references: {:?}", start.elapsed());
    let start = Instant::now();
    verify(&bytes)?;
    println!("verify: {:?}", start.elapsed());
    Ok(())
}

/// Times matchers to postings and the first 100 block references: the first call, and the median of some.
fn lookup(part: &Part, what: &str, matchers: &[(&str, MatchOp, &str)]) -> Result<()> {
    let matchers: std::result::Result<Vec<_>, _> =
        matchers.iter().map(|(name, op, value)| Matcher::new(*name, *op, *value)).collect();
    let matchers = matchers?;
    let mut times = Vec::new();
    let mut found = (0, 0);
    for _ in 0..31 {
        let start = Instant::now();
        let ids = part.select(&matchers)?;
        let blocks = part.blocks_of(&ids, TimeRange::ALL).take(100).filter_map(narvi_index::Result::ok).count();
        times.push(start.elapsed());
        found = (ids.len(), blocks);
    }
    let first = times.first().copied().unwrap_or_default();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    println!("{what}: {median:?} (first {first:?}), {} series, {} blocks", found.0, found.1);
    Ok(())
}

/// Merges tables of which half the series stand in all and half in one only.
fn merge_many(series: u32, tables: u32) -> Result<()> {
    let directory = directory()?;
    let mut paths = Vec::new();
    for table in 0..tables {
        let mut builder = TableBuilder::new();
        let pack = builder.pack(&format!("pack-{table:04}"));
        let keys = builder.key_set(["trace_id"]);
        let streams = || (0..series).map(|n| if n % 2 == 0 { n } else { n + table * series });
        let start = DAY_NS + DAY_NS / i64::from(tables) * i64::from(table);
        for (n, rank) in streams().zip(ranks(streams())?) {
            builder.add(TENANT, &labels(n)?, block(n, rank, pack, start, keys))?;
        }
        let path = directory.join(format!("merge-{table}.index"));
        builder.write(&mut File::create(&path)?)?;
        paths.push(path);
    }
    let inputs = paths.iter().map(|path| Ok(Table::open(map(path)?)?)).collect::<Result<Vec<_>>>()?;
    let before = status("RssAnon")?;
    let (done, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    let merged = directory.join("merged.index");
    let summary = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                peak.fetch_max(status("RssAnon").unwrap_or(0), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        let summary = File::create(&merged).map_err(Into::into).and_then(|mut out| merge(&inputs, &KeepAll, &mut out));
        done.store(true, Ordering::Relaxed);
        summary
    })?;
    println!("merge of {tables} tables of {series} series: {:.2} s", start.elapsed().as_secs_f64());
    println!("{summary:?}");
    println!(
        "memory: {} MiB at its peak, {} MiB before (freed by the generator and kept by the allocator)",
        peak.load(Ordering::Relaxed) / 1024,
        before / 1024
    );
    let start = Instant::now();
    verify(&map(&merged)?)?;
    println!("verify: {:.2} s", start.elapsed().as_secs_f64());
    Ok(())
}

fn map(path: &PathBuf) -> Result<Bytes> {
    // SAFETY: this program wrote the file and nobody else writes or truncates it.
    let map = unsafe { memmap2::Mmap::map(&File::open(path)?)? };
    Ok(Bytes::from_owner(map))
}

/// A field of this process' status, in KiB; 0 where the system has none.
fn status(field: &str) -> Result<u64> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    Ok(line.and_then(|rest| rest.split_whitespace().next()).map_or(Ok(0), str::parse)?)
}
