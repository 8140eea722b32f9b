//! Filters and the remaining stages over lines, and several stages together. However the lines are cut
//! into parts, the answer is the same. The first byte of an input chooses a query, the rest are its lines.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narvi_fuzz::Queries;

static QUERIES: LazyLock<Queries> = LazyLock::new(|| {
    Queries::new(&[
        r#"{a="b"} | regexp `(?P<x>\w+) (?P<y>[^ ]*) ?(?P<z>.*)`"#,
        r#"{a="b"} |= `err` != `x` |~ `(?i)a|b` !~ `c+$`"#,
        r#"{a="b"} |~ `(?i)error|warn|fatal` | logfmt"#,
        r#"{a="b"} |= ip(`10.0.0.0/8`)"#,
        r#"{a="b"} |= `a` or `b` or `c` != `d` or `e`"#,
        r#"{a="b"} | decolorize | json | drop x, y=`1` | keep z, w"#,
        r#"{a="b"} | decolorize | pattern `<x> <_>` | logfmt"#,
        r#"{a="b"} | logfmt | label_format q=`{{.x | ToUpper}}`, r=y | line_format `{{.q}}`"#,
        r#"{a="b"} | regexp `x=(?P<x>\d+)?` | x >= 5 and x != 7"#,
        r#"count_over_time({a="b"} |= `x` [1h])"#,
        r#"sum by (x) (count_over_time({a="b"} | regexp `(?P<x>\S+)$` [1h]))"#,
        r#"absent_over_time({a="b"} |= `x` [1h])"#,
    ])
});

fuzz_target!(|data: &[u8]| QUERIES.check(data));
