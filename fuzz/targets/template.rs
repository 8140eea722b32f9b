//! Templates of `line_format` and `label_format`: parsed, and run over a few lines.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narvi_logql::{Budget, BudgetLimits, Inline, Params, Query, evaluate, memory::MemorySource, parse};
use narvi_types::{Entry, Labels, Timestamp, go_quote};

const LINES: [&str; 5] = [
    r#"{"level":"error","took":"12.5ms","n":-17,"t":"2024-05-06T07:08:09Z","deep":{"a":[1,2,{"b":null}]}}"#,
    r#"{"level":"info","took":"1h","n":9223372036854775807,"t":"1700000000","b":"aGVsbG8="}"#,
    "level=warn took=3 n=0x1f",
    "\u{e9}t\u{e9} \u{1f600} \\ \" % {{ .x }}",
    "",
];

static SOURCE: LazyLock<MemorySource> = LazyLock::new(|| {
    let mut source = MemorySource::new();
    let labels = Labels::from_pairs([("app", "api"), ("env", "pr od"), ("n", "42")]).expect("valid");
    for (n, line) in LINES.iter().enumerate() {
        source.push(&labels, Entry::new(Timestamp::from_secs(n as i64), line.to_string()));
    }
    source
});

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let mut quoted = String::new();
    go_quote(&mut quoted, text).expect("writing to a string cannot fail");
    let limits = BudgetLimits::default();
    for query in [
        format!("{{app=\"api\"}} | json | line_format {quoted}"),
        format!("{{app=\"api\"}} | logfmt | label_format x={quoted}"),
    ] {
        let Ok(expr) = parse(&query) else { continue };
        let query = Query::new(expr, Params::range(0, 1_000_000_000_000, 0));
        let _ = evaluate(&query, &*SOURCE, &Inline, &Budget::new(limits.clone()));
    }
});
