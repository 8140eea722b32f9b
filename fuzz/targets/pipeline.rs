//! Stages over lines: the first byte chooses a query, the rest are its lines. However the lines are cut into parts, the answer
//! is the same.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narvi_logql::{Budget, Inline, Params, Query, evaluate, memory::MemorySource, parse};
use narvi_types::{Entry, Labels, Timestamp};

const QUERIES: [&str; 24] = [
    r#"{a="b"} | json"#,
    r#"{a="b"} | json x, y="a.b[0]", z="a[\"b c\"]""#,
    r#"{a="b"} | json | x > 5 or y = `z`"#,
    r#"{a="b"} | logfmt"#,
    r#"{a="b"} | logfmt --strict --keep-empty"#,
    r#"{a="b"} | logfmt x, y="z" | y =~ `a.*`"#,
    r#"{a="b"} | pattern `<x> - <_> [<y>] "<z>" <_>`"#,
    r#"{a="b"} | regexp `(?P<x>\w+) (?P<y>[^ ]*) ?(?P<z>.*)`"#,
    r#"{a="b"} | unpack"#,
    r#"{a="b"} | unpack | json | line_format `{{.x}} {{.__line__}}`"#,
    r#"{a="b"} |= `err` != `x` |~ `(?i)a|b` !~ `c+$`"#,
    r#"{a="b"} |~ `(?i)error|warn|fatal` | logfmt"#,
    r#"{a="b"} |> `<_> x <_>` !> `a<_>`"#,
    r#"{a="b"} |= ip(`10.0.0.0/8`)"#,
    r#"{a="b"} | decolorize | json | drop x, y=`1` | keep z, w"#,
    r#"{a="b"} | logfmt | label_format q=`{{.x | ToUpper}}`, r=y | line_format `{{.q}}`"#,
    r#"{a="b"} | json | x > 1KB | y < 5s | z = ip(`::1`)"#,
    r#"count_over_time({a="b"} |= `x` [1h])"#,
    r#"sum by (x) (count_over_time({a="b"} | json | __error__=`` [1h]))"#,
    r#"sum by (x, y) (rate({a="b"} | logfmt | drop __error__, __error_details__ [1h]))"#,
    r#"sum by (y) (sum_over_time({a="b"} | json | unwrap x | __error__=`` [1h]))"#,
    r#"max_over_time({a="b"} | logfmt | unwrap duration(x) | __error__=`` [1h]) without (y)"#,
    r#"quantile_over_time(0.9, {a="b"} | logfmt | unwrap bytes(x) | __error__=`` [1h]) by (y)"#,
    r#"bytes_over_time({a="b"} | pattern `<x> <_>` | line_format `{{.x}}` [1h])"#,
];

static PARSED: LazyLock<Vec<Query>> = LazyLock::new(|| {
    let params = || {
        let mut params = Params::range(0, 1_000_000_000_000, 1_000_000_000_000);
        params.limit = None;
        params
    };
    let parsed = |text: &&str| Query::new(parse(text).unwrap_or_else(|error| panic!("{text}: {error}")), params());
    QUERIES.iter().map(parsed).collect()
});

fuzz_target!(|data: &[u8]| {
    let Some((first, text)) = data.split_first() else { return };
    let query = &PARSED[usize::from(*first) % QUERIES.len()];
    let labels = Labels::from_pairs([("a", "b"), ("y", "stream")]).expect("valid");
    let answer = |part_rows: usize| {
        let mut source = MemorySource::with_part_rows(part_rows);
        for (n, line) in text.split(|b| *b == b'\n').take(200).enumerate() {
            source.push(&labels, Entry::new(Timestamp::from_secs(n as i64), line.to_vec()));
        }
        evaluate(query, &source, &Inline, &Budget::unlimited()).map(|answer| answer.data)
    };
    let (one, many) = (answer(1), answer(10_000));
    // As text: a NaN is not equal to itself.
    assert_eq!(format!("{one:?}"), format!("{many:?}"), "{:?}", QUERIES[usize::from(*first) % QUERIES.len()]);
});
