//! The `pattern` stage and pattern filters over lines. However the lines are cut
//! into parts, the answer is the same. The first byte of an input chooses a query, the rest are its lines.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use narvi_fuzz::Queries;

static QUERIES: LazyLock<Queries> = LazyLock::new(|| {
    Queries::new(&[
        r#"{a="b"} | pattern `<x> - <_> [<y>] "<z>" <_>`"#,
        r#"{a="b"} | pattern `<x>`"#,
        r#"{a="b"} | pattern `<_>a<x>b<y>`"#,
        r#"{a="b"} | pattern `x=<x>,<_>;<y> ` | x = `1`"#,
        r#"{a="b"} |> `<_> x <_>` !> `a<_>`"#,
        r#"{a="b"} |> `<_>a<_>` or `b<_>`"#,
        r#"{a="b"} !> `<_>` or `a`"#,
        r#"bytes_over_time({a="b"} | pattern `<x> <_>` | line_format `{{.x}}` [1h])"#,
        r#"sum by (x) (count_over_time({a="b"} | pattern `<_> <x> <y>` | y != `` [1h]))"#,
    ])
});

fuzz_target!(|data: &[u8]| QUERIES.check(data));
