//! The `logfmt` stage over lines: with its flags, all keys, single keys, what later stages need of them. However the lines are cut
//! into parts, the answer is the same. The first byte of an input chooses a query, the rest are its lines.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narvi_fuzz::Queries;

static QUERIES: LazyLock<Queries> = LazyLock::new(|| {
    Queries::new(&[
        r#"{a="b"} | logfmt"#,
        r#"{a="b"} | logfmt --strict --keep-empty"#,
        r#"{a="b"} | logfmt --strict | x = `1`"#,
        r#"{a="b"} | logfmt --keep-empty"#,
        r#"{a="b"} | logfmt x, y="z" | y =~ `a.*`"#,
        r#"{a="b"} | logfmt --strict --keep-empty x, y="z""#,
        r#"{a="b"} | logfmt | label_format q=`{{.x | ToUpper}}`, r=y | line_format `{{.q}}`"#,
        r#"sum by (x, y) (rate({a="b"} | logfmt | drop __error__, __error_details__ [1h]))"#,
        r#"max_over_time({a="b"} | logfmt | unwrap duration(x) | __error__=`` [1h]) without (y)"#,
        r#"quantile_over_time(0.9, {a="b"} | logfmt | unwrap bytes(x) | __error__=`` [1h]) by (y)"#,
    ])
});

fuzz_target!(|data: &[u8]| QUERIES.check(data));
