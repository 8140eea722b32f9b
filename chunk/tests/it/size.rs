//! The size budget: sizes are deterministic, so they are tests.

use narvi_chunk::{BlockRows, ColumnKind, Compression, Description, Pack, PackOptions, PackWriter, describe};
use narvi_types::{Labels, Metadata};

use crate::model::{Random, join};

const STREAMS: u64 = 100_000;
const LINES: u64 = 20;
const START_NS: i64 = 1_700_000_000_000_000_000;

/// A line of about 150 bytes as applications write them: few templates, some numbers, sometimes an identifier.
fn line(random: &mut Random, time_ns: i64) -> String {
    const LEVELS: [&str; 10] = ["info", "info", "info", "info", "info", "info", "info", "debug", "warn", "error"];
    const CALLERS: [&str; 6] = ["server", "handler", "store", "client", "pool", "scheduler"];
    const MESSAGES: [&str; 10] = [
        "request completed",
        "cache miss",
        "cache hit",
        "retrying upstream",
        "connection reset by peer",
        "context deadline exceeded",
        "user logged in",
        "order created",
        "slow query",
        "flushing buffer",
    ];
    const METHODS: [&str; 5] = ["GET", "GET", "POST", "PUT", "DELETE"];
    const PATHS: [&str; 6] =
        ["/api/v1/users", "/api/v1/orders", "/api/v1/cart", "/healthz", "/login", "/api/v2/payments"];
    let millis = time_ns / 1_000_000;
    let mut line = format!(
        "ts={}.{:03} level={} caller={}.go:{} msg=\"{}\" method={} path={} status={} duration={}ms bytes={} user={}",
        millis / 1000,
        millis % 1000,
        random.pick(&LEVELS),
        random.pick(&CALLERS),
        20 + random.below(300),
        random.pick(&MESSAGES),
        random.pick(&METHODS),
        random.pick(&PATHS),
        random.pick(&[200, 200, 200, 200, 201, 304, 404, 500]),
        random.below(400),
        random.below(20_000),
        random.below(5000),
    );
    if random.below(10) == 0 {
        line.push_str(&format!(" trace_id={:016x}", random.next()));
    }
    line
}

/// One tenant, many streams that log every 15 seconds from an offset of their own, as agents that poll do.
fn pack(jitter_ms: u64) -> Description {
    let options = PackOptions { compression: Compression::Zstd(1), ..PackOptions::default() };
    let mut writer = PackWriter::new(options).expect("valid options");
    writer.tenant("tenant").expect("first tenant");
    let mut random = Random(1);
    for stream in 0..STREAMS {
        let pod = format!("api-{:x}-{:05x}", 0x5f7d_9c00 + stream / 50, random.below(1 << 20));
        let labels = Labels::from_pairs([
            ("app", ["api", "web", "worker", "db"][(stream * 4 / STREAMS) as usize]),
            ("cluster", "eu-west-1"),
            ("container", "main"),
            ("namespace", ["default", "payments", "orders"][(stream / 1000 % 3) as usize]),
            ("pod", &pod),
        ])
        .expect("valid labels");
        let offset = random.below(15_000);
        let times: Vec<i64> = (0..LINES)
            .map(|n| START_NS + (offset + n * 15_000 + random.below(jitter_ms + 1)) as i64 * 1_000_000)
            .collect();
        let lines: Vec<String> = times.iter().map(|t| line(&mut random, *t)).collect();
        let rows = BlockRows { timestamps: &times, lines: &lines, metadata: &[] };
        writer.block(&labels, &rows).expect("appends");
    }
    let file = join(writer.finish().expect("finishes"));
    describe(&Pack::open(&file).expect("opens"))
}

fn per_block(pack: &Description) -> f64 {
    let lines = pack.columns.iter().find(|c| c.kind == ColumnKind::Lines).expect("lines").len;
    (pack.file_bytes - lines) as f64 / pack.blocks as f64
}

#[test]
fn small_streams_stay_within_the_budget() {
    let pack = pack(0);
    let ratio = pack.file_bytes as f64 / pack.line_bytes as f64;
    println!("{pack}\n{ratio:.4} bytes per byte of lines, {:.1} bytes per block", per_block(&pack));
    assert_eq!(pack.rows, STREAMS * LINES);
    assert!((120..180).contains(&(pack.line_bytes / pack.rows)), "lines of {} bytes", pack.line_bytes / pack.rows);
    assert!(ratio <= 0.30, "{ratio:.4} bytes per byte of lines\n{pack}");
    assert!(per_block(&pack) <= 40.0, "{:.1} bytes per block\n{pack}", per_block(&pack));
    let times = pack.columns.iter().find(|c| c.kind == ColumnKind::Timestamps).expect("timestamps");
    assert!(times.len < pack.rows, "{} bytes for {} regular timestamps", times.len, pack.rows);
}

#[test]
fn many_tiny_tenants_stay_cheap() {
    let mut writer = PackWriter::new(PackOptions::default()).expect("valid options");
    let mut random = Random(2);
    let tenants = 10_000_u64;
    for tenant in 0..tenants {
        writer.tenant(&format!("tenant-{tenant:05}")).expect("new tenant");
        let labels = Labels::from_pairs([("app", "api"), ("env", "prod")]).expect("valid labels");
        let times: Vec<i64> =
            (0..4).map(|n| START_NS + random.below(1000) as i64 * 1_000_000 + n * 1_000_000_000).collect();
        let lines: Vec<String> = times.iter().map(|t| line(&mut random, *t)).collect();
        let rows = BlockRows { timestamps: &times, lines: &lines, metadata: &[] };
        writer.block(&labels, &rows).expect("appends");
    }
    let file = join(writer.finish().expect("finishes"));
    let pack = describe(&Pack::open(&file).expect("opens"));
    let directory = (pack.file_bytes - pack.sections[0].len) as f64 / tenants as f64;
    println!("{pack}\n{:.1} bytes per tenant beside the lines, {directory:.1} of them directory", per_block(&pack));
    assert!(directory <= 20.0, "{directory:.1} bytes of directory per tenant");
    assert!(per_block(&pack) <= 110.0, "{:.1} bytes per tenant beside the lines\n{pack}", per_block(&pack));
}

#[test]
fn metadata_is_compact_for_few_sets_and_for_unique_values() {
    let mut random = Random(3);
    let rows = 100_000_u64;
    let mut bytes_per_row = |unique: bool| {
        let mut writer = PackWriter::new(PackOptions::default()).expect("valid options");
        writer.tenant("t").expect("first tenant");
        let times: Vec<i64> = (0..rows as i64).collect();
        let lines = vec!["a line that costs nothing"; rows as usize];
        let metadata: Vec<Metadata> = (0..rows)
            .map(|_| {
                let level = random.pick(&["info", "info", "info", "info", "warn", "error"]);
                let trace = format!("{:016x}{:016x}", random.next(), random.next());
                let pairs = [("detected_level", level), ("trace_id", trace.as_str())];
                Metadata::from_pairs(pairs.into_iter().take(1 + usize::from(unique))).expect("valid metadata")
            })
            .collect();
        let block = BlockRows { timestamps: &times, lines: &lines, metadata: &metadata };
        writer.block(&Labels::default(), &block).expect("appends");
        let file = join(writer.finish().expect("finishes"));
        let pack = describe(&Pack::open(&file).expect("opens"));
        pack.columns.iter().find(|c| c.kind == ColumnKind::Metadata).expect("metadata").len as f64 / rows as f64
    };
    let (few, unique) = (bytes_per_row(false), bytes_per_row(true));
    println!("{few:.2} bytes per row for few sets, {unique:.2} for 32 unique hex digits and a level");
    assert!(few < 0.3, "{few:.2} bytes per row for few sets");
    assert!(unique < 17.5, "{unique:.2} bytes per row for 16 bytes of entropy and a level");
}
