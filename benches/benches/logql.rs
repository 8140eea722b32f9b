//! LogQL: parsing, printing and planning queries of usual lengths.

use criterion::{Criterion, Throughput};
use narvi_logql::{Params, Query, parse};

const QUERIES: [(&str, &str); 4] = [
    ("selector", r#"{app="web", env="prod"}"#),
    ("filter", r#"{app="web", env=~"prod|dev"} |= "error" != "timeout" |~ "(?i)deadlock|panic""#),
    (
        "pipeline",
        r#"{app="web"} | json method="request.method", status | status >= 500 and method = "GET" | line_format "{{.method}} {{.status}}" | drop __error__"#,
    ),
    (
        "metric",
        r#"topk(10, sum by (method, path) (rate({app="web"} | logfmt | status =~ "5.." | __error__ = "" [5m]))) / ignoring(path) group_left sum by (method) (rate({app="web"} | logfmt [5m])) > 0.05"#,
    ),
];

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("logql");
    group.sample_size(10).measurement_time(std::time::Duration::from_secs(1));
    for (name, text) in QUERIES {
        let expr = parse(text).expect("parses");
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("parse/{name}"), |b| b.iter(|| parse(text)));
        group.bench_function(format!("print/{name}"), |b| b.iter(|| expr.to_string()));
        let query = Query::new(expr, Params::range(0, 3_600_000_000_000, 60_000_000_000));
        group.bench_function(format!("plan/{name}"), |b| b.iter(|| query.plan().expect("plans").leaves().len()));
    }
    group.finish();
    criterion.final_summary();
}
