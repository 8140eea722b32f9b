//! What the benches share: log lines from seeded generators, and the sources made of them. The same numbers give the same
//! lines on every machine.
#![forbid(unsafe_code)]

use std::{fmt::Write as _, fs, io::Read as _, path::Path};

use flate2::read::GzDecoder;
use narvi_logql::memory::MemorySource;
use narvi_types::{Entry, Labels, Timestamp};

/// Seed of all generators.
pub const SEED: u64 = 0x6e61_7276_6900_0001;
/// Lines that codecs and pipelines are measured on; about 7 MB of JSON.
pub const LINES: usize = 20_000;
/// Streams that they are spread over.
pub const STREAMS: usize = 8;
/// Time of the first line, in nanoseconds.
pub const START_NS: i64 = 1_700_000_000_000_000_000;
/// Distance of two lines, in nanoseconds.
pub const STEP_NS: i64 = 3_000_000;
/// A word that stands in one line of this many.
pub const RARE: usize = 1_000;

/// Pseudo-random numbers (xorshift64*).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Default for Random {
    fn default() -> Self {
        Self(SEED)
    }
}

impl Random {
    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        ((u128::from(self.draw()) * limit as u128) >> 64) as usize
    }

    /// One of these.
    pub fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

/// What lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Shape {
    /// The access log of a web server, as JSON.
    Json,
    /// The same fields as logfmt.
    Logfmt,
    /// The common log format.
    Access,
}

/// Lines of that shape.
pub fn lines(shape: Shape, count: usize) -> Vec<String> {
    let mut random = Random::default();
    (0..count).map(|n| line(shape, n, &mut random)).collect()
}

fn line(shape: Shape, n: usize, random: &mut Random) -> String {
    let method = random.pick(&["GET", "GET", "GET", "GET", "POST", "PUT", "DELETE"]);
    let status = random.pick(&["200", "200", "200", "200", "200", "301", "304", "404", "500", "503"]);
    let level = if status.starts_with('5') { "error" } else { "info" };
    let page = random.pick(&["items", "users", "orders", "static/js", "api/v1/query"]);
    let agent = random.pick(&[
        "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0 Safari/537.36",
        "curl/8.5.0",
    ]);
    let (ip, path, bytes) = (random.draw() as u32, random.below(10_000), random.below(100_000));
    let ip = format!("{}.{}.{}.{}", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
    let (trace, micros) = (random.draw(), random.below(2_000_000));
    let what = if n % RARE == RARE / 2 { "deadlock" } else { "served" };
    let took = micros as f64 / 1e6;
    let mut out = String::with_capacity(400);
    let written = match shape {
        Shape::Json => write!(
            out,
            r#"{{"ts":{n},"level":"{level}","msg":"{what}","remote_addr":"{ip}","request":{{"method":"{method}","uri":"/{page}/{path}?q={bytes}","proto":"HTTP/1.1"}},"status":{status},"body_bytes_sent":{bytes},"request_time":{took},"trace_id":"{trace:032x}","agent":"{agent}"}}"#
        ),
        Shape::Logfmt => write!(
            out,
            r#"ts={n} level={level} msg={what} remote_addr={ip} method={method} uri="/{page}/{path}?q={bytes}" proto=HTTP/1.1 status={status} body_bytes_sent={bytes} request_time={took} trace_id={trace:032x} agent="{agent}""#
        ),
        Shape::Access => write!(
            out,
            r#"{ip} - {what} [14/Nov/2023:22:13:20 +0000] "{method} /{page}/{path}?q={bytes} HTTP/1.1" {status} {bytes} "-" "{agent}""#
        ),
    };
    debug_assert!(written.is_ok(), "writing to a string cannot fail");
    out
}

/// The lines with times.
pub fn entries(lines: &[impl AsRef<[u8]>]) -> Vec<Entry> {
    let at = |n: usize| Timestamp::from_ns(START_NS + n as i64 * STEP_NS);
    lines.iter().enumerate().map(|(n, line)| Entry::new(at(n), line.as_ref().to_vec())).collect()
}

/// The labels of stream `n`.
///
/// # Panics
/// Never: the names are valid.
pub fn stream(n: usize) -> Labels {
    let pod = format!("web-{n}");
    let zone = ["a", "b", "c"][n % 3];
    Labels::from_pairs([("app", "web"), ("env", "prod"), ("pod", &pod), ("zone", zone)]).expect("valid names")
}

/// The lines, dealt out to [`STREAMS`] streams in turn.
pub fn source(lines: &[impl AsRef<[u8]>]) -> MemorySource {
    let mut source = MemorySource::new();
    let streams: Vec<Labels> = (0..STREAMS).map(stream).collect();
    for (n, entry) in entries(lines).into_iter().enumerate() {
        source.push(&streams[n % STREAMS], entry);
    }
    source
}

/// Bytes of the lines.
pub fn bytes_of(lines: &[impl AsRef<[u8]>]) -> u64 {
    lines.iter().map(|line| line.as_ref().len() as u64).sum()
}

/// The lines of all `*.log` and `*.log.gz` files in the folder that the environment variable `NARVI_LOGHUB` names, by file
/// name. Nothing if it is not set.
///
/// # Panics
/// If it is set and the files cannot be read: a bench of nothing would be worse.
pub fn loghub() -> Option<Vec<Vec<u8>>> {
    let folder = std::env::var_os("NARVI_LOGHUB")?;
    let mut paths: Vec<_> = fs::read_dir(Path::new(&folder))
        .expect("NARVI_LOGHUB names a folder that can be read")
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .collect();
    paths.sort();
    let mut lines = Vec::new();
    for path in paths {
        let name = path.to_string_lossy();
        let stored = || fs::read(&path).expect("a sample of NARVI_LOGHUB can be read");
        let text = if name.ends_with(".log") {
            stored()
        } else if name.ends_with(".log.gz") {
            let mut text = Vec::new();
            GzDecoder::new(&stored()[..]).read_to_end(&mut text).expect("a sample of NARVI_LOGHUB is gzip");
            text
        } else {
            continue;
        };
        lines.extend(text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
    }
    Some(lines)
}
