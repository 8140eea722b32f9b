//! The `json` stage over lines: all fields, single paths, what later stages need of them. However the lines are cut
//! into parts, the answer is the same. The first byte of an input chooses a query, the rest are its lines.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narvi_fuzz::Queries;

static QUERIES: LazyLock<Queries> = LazyLock::new(|| {
    Queries::new(&[
        r#"{a="b"} | json"#,
        r#"{a="b"} | json x, y="a.b[0]", z="a[\"b c\"]""#,
        r#"{a="b"} | json | x > 5 or y = `z`"#,
        r#"{a="b"} | json | x > 1KB | y < 5s | z = ip(`::1`)"#,
        r#"{a="b"} | json | drop x, y=`1` | keep z, w"#,
        r#"{a="b"} | json | json | line_format `{{.x}}` | json w="c[1].d""#,
        r#"sum by (x) (count_over_time({a="b"} | json | __error__=`` [1h]))"#,
        r#"sum(count_over_time({a="b"} | json [1h]))"#,
        r#"sum by (y) (sum_over_time({a="b"} | json | unwrap x | __error__=`` [1h]))"#,
        r#"sum by (x, y_extracted) (rate({a="b"} | json x="a[0]", y | drop __error__, __error_details__ [1h]))"#,
    ])
});

fuzz_target!(|data: &[u8]| QUERIES.check(data));
