//! The `unpack` stage over lines, alone and before other stages. However the lines are cut
//! into parts, the answer is the same. The first byte of an input chooses a query, the rest are its lines.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narvi_fuzz::Queries;

static QUERIES: LazyLock<Queries> = LazyLock::new(|| {
    Queries::new(&[
        r#"{a="b"} | unpack"#,
        r#"{a="b"} | unpack | json | line_format `{{.x}} {{.__line__}}`"#,
        r#"{a="b"} | unpack | x = `1` | unpack"#,
        r#"{a="b"} |= `a` | unpack |= `b`"#,
        r#"{a="b"} | unpack | logfmt | x > 1"#,
        r#"sum by (x) (count_over_time({a="b"} | unpack | __error__=`` [1h]))"#,
        r#"bytes_over_time({a="b"} | unpack | drop __error__, __error_details__ [1h])"#,
    ])
});

fuzz_target!(|data: &[u8]| QUERIES.check(data));
