//! Stages of pipelines over lines in memory, on one thread. Throughput is in bytes of lines.
//!
//! Most queries count, so that what is measured is the stage and not the making of an answer.

use criterion::{BenchmarkGroup, Criterion, Throughput, measurement::WallTime};
use narvi_benches::{LINES, START_NS, STEP_NS, Shape, bytes_of, lines, loghub, source};
use narvi_logql::{Budget, Inline, Params, Query, evaluate, memory::MemorySource, parse};

/// Stages, and whether they fit JSON, logfmt and access lines.
const STAGES: [(&str, &str, [bool; 3]); 14] = [
    ("none", "", [true, true, true]),
    ("contains-rare", "|= `deadlock`", [true, true, true]),
    ("contains-common", "|= `GET`", [true, true, true]),
    ("not-contains", "!= `GET`", [true, true, true]),
    ("alternation-any-case", "|~ `(?i)deadlock|panic|fatal`", [true, true, true]),
    ("regex-filter", r"|~ `items/\d+5\b`", [true, true, true]),
    ("json-one", "| json status | status = `503`", [true, false, false]),
    ("json-path", "| json m=`request.method` | m = `PUT`", [true, false, false]),
    ("json-all", "| json | status = `503`", [true, false, false]),
    ("logfmt-one", "| logfmt status | status = `503`", [false, true, false]),
    ("logfmt-all", "| logfmt | status = `503`", [false, true, false]),
    (
        "pattern",
        "| pattern `<ip> - <_> [<_>] \"<method> <uri> <_>\" <status> <_>` | status = `503`",
        [false, false, true],
    ),
    ("regexp", "| regexp `\" (?P<status>\\d{3}) (?P<bytes>\\d+) ` | status = `503`", [false, false, true]),
    ("rare-then-json", "|= `deadlock` | json", [true, false, false]),
];

/// Queries whose answer depends on labels of the lines.
const GROUPED: [(&str, &str, [bool; 3]); 3] = [
    ("sum-by-json", "sum by (status) (count_over_time({app=`web`} | json [1d]))", [true, false, false]),
    ("sum-by-logfmt", "sum by (status) (count_over_time({app=`web`} | logfmt [1d]))", [false, true, false]),
    (
        "unwrap",
        "sum by (method) (sum_over_time({app=`web`} | logfmt | unwrap request_time [1d]))",
        [false, true, false],
    ),
];

fn bench(group: &mut BenchmarkGroup<'_, WallTime>, name: String, text: &str, source: &MemorySource) {
    let end = START_NS + source.rows() as i64 * STEP_NS;
    let query = Query::new(parse(text).expect("parses"), Params::instant(end));
    let run = || evaluate(&query, source, &Inline, &Budget::unlimited());
    run().expect("evaluates");
    group.bench_function(name, |b| b.iter(run));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("pipeline");
    group.sample_size(10).measurement_time(std::time::Duration::from_secs(1));
    let shapes = [("json", Shape::Json), ("logfmt", Shape::Logfmt), ("access", Shape::Access)];
    for (at, (shape_name, shape)) in shapes.into_iter().enumerate() {
        let lines = lines(shape, LINES);
        let source = source(&lines);
        group.throughput(Throughput::Bytes(bytes_of(&lines)));
        for (name, stages, _) in STAGES.iter().filter(|(.., fits)| fits[at]) {
            // Without a stage, a count needs no lines at all.
            let text = format!("sum(bytes_over_time({{app=`web`}} {stages} [1d]))");
            bench(&mut group, format!("{shape_name}/{name}"), &text, &source);
        }
        for (name, text, _) in GROUPED.iter().filter(|(.., fits)| fits[at]) {
            bench(&mut group, format!("{shape_name}/{name}"), text, &source);
        }
    }
    if let Some(lines) = loghub() {
        let source = source(&lines);
        group.throughput(Throughput::Bytes(bytes_of(&lines)));
        for (name, stages, _) in STAGES.iter().filter(|(.., fits)| fits.iter().all(|fits| *fits)) {
            let text = format!("sum(bytes_over_time({{app=`web`}} {stages} [1d]))");
            bench(&mut group, format!("loghub/{name}"), &text, &source);
        }
    }
    group.finish();
    criterion.final_summary();
}
