//! What each stage makes of a line, through the parser and the evaluator.

use narvi_logql::{Budget, Data, Inline, Params, Query, evaluate, memory::MemorySource, parse};
use narvi_types::{Entry, Labels, Metadata, Timestamp};

/// Runs the stages over one line of `{app="a", s="stream"}` with the metadata `m="meta"`; gives labels and line, or nothing.
fn run(stages: &str, line: &str) -> Option<String> {
    let mut source = MemorySource::new();
    let mut entry = Entry::new(Timestamp::from_secs(1), line.as_bytes().to_vec());
    entry.metadata = Metadata::from_pairs([("m", "meta")]).expect("valid");
    source.push(&Labels::from_pairs([("app", "a"), ("s", "stream")]).expect("valid"), entry);
    let expr = parse(&format!("{{app=\"a\"}} {stages}")).unwrap_or_else(|e| panic!("{stages}: {e}"));
    let query = Query::new(expr, Params::range(0, 2_000_000_000, 1_000_000_000));
    let answer = evaluate(&query, &source, &Inline, &Budget::unlimited()).expect("runs");
    let Data::Streams(streams) = answer.data else { panic!("{stages} is no log query") };
    let stream = streams.first()?;
    let shown = |name: &str| !matches!(name, "app" | "s" | "m" | "__error_details__");
    let labels: Vec<String> = stream.labels.iter().filter(|(n, _)| shown(n)).map(|(n, v)| format!("{n}={v}")).collect();
    Some(format!("{} | {}", labels.join(" "), String::from_utf8_lossy(&stream.entries[0].line)))
}

fn check(cases: &[(&str, &str, &str)]) {
    for (stages, line, expected) in cases {
        assert_eq!(run(stages, line).as_deref().unwrap_or("-"), *expected, "{stages} over {line}");
    }
}

#[test]
fn json_flattens() {
    let l = r#"{"a":{"b":"x","c":1.50},"d":[1],"e":null,"f":true,"g":""}"#;
    check(&[
        ("| json", l, &format!("a_b=x a_c=1.50 f=true g= | {l}")),
        ("| json", r#"{"app":"x","m":"y"}"#, r#"app_extracted=x m_extracted=y | {"app":"x","m":"y"}"#),
        ("| json", "plain", "__error__=JSONParserErr | plain"),
        ("| json", "", "__error__=JSONParserErr | "),
        ("| json", r#"{"a":1,"b":{"c":2"#, r#"__error__=JSONParserErr a=1 | {"a":1,"b":{"c":2"#),
        ("| json", r#"{"a":1,} x"#, r#"a=1 | {"a":1,} x"#),
        ("| json", r#"{"a":"\ud800x"}"#, r#"a= | {"a":"\ud800x"}"#),
    ]);
}

#[test]
fn json_takes_paths() {
    let l = r#"{"a":{"b":["x",{"c":"\u00e9"}]},"n":null}"#;
    check(&[
        (r#"| json x="a.b[0]", y="a.b[1].c", z="a.b[2]""#, l, &format!("x=x y=\u{e9} z= | {l}")),
        (r#"| json o="a", n"#, l, &format!(r#"n= o={{"b":["x",{{"c":"\u00e9"}}]}} | {l}"#)),
        (r#"| json app="n""#, l, &format!("app_extracted= | {l}")),
        ("| json x", "null", "__error__=JSONParserErr | null"),
        ("| json x, y", r#"{"x":tru,"y":1}"#, r#"__error__=JSONParserErr x= y=1 | {"x":tru,"y":1}"#),
    ]);
}

#[test]
fn logfmt_reads_pairs() {
    check(&[
        ("| logfmt", r#"a=1 b="x y" c= d"#, r#"a=1 b=x y | a=1 b="x y" c= d"#),
        ("| logfmt --keep-empty", "a= b", "a= b= | a= b"),
        ("| logfmt", "a=b=c d=1", "d=1 | a=b=c d=1"),
        ("| logfmt --strict", "x=1 a=b=c d=1", "__error__=LogfmtParserErr x=1 | x=1 a=b=c d=1"),
        (r#"| logfmt x="k", y="none""#, "k=1 k=2", "x=2 y= | k=1 k=2"),
        (r#"| logfmt | logfmt a="b""#, "a=1 b=2", "a=1 b=2 | a=1 b=2"),
    ]);
}

#[test]
fn patterns_and_regular_expressions_capture() {
    check(&[
        ("| pattern `<a>: <b> (<_>)`", "x: y (z)", "a=x b=y | x: y (z)"),
        ("| pattern `k <a>: <b>`", "no match", " | no match"),
        ("| pattern `<a>|<b>|<c>`", "1||", "a=1 b= c= | 1||"),
        (r"| regexp `(?P<a>\d+)(?P<b>x)?`", "n 12", "a=12 b= | n 12"),
    ]);
}

#[test]
fn unpack_takes_the_entry() {
    check(&[
        ("| unpack", r#"{"_entry":"in\"ner","k":"v","n":5}"#, r#"k=v | in"ner"#),
        ("| unpack", r#"{"k":"v"}"#, r#" | {"k":"v"}"#),
        ("| unpack", r#"{"_entry":"x","k":"v""#, r#"__error__=JSONParserErr | {"_entry":"x","k":"v""#),
        ("| unpack", "", " | "),
    ]);
}

#[test]
fn label_filters_compare() {
    let l = "n=5 d=1.5s b=2KB t=x ip=10.1.2.3";
    for (filter, kept) in [
        ("n > 4", true),
        ("n == 4", false),
        ("none != 4", false),
        ("none != \"x\"", true),
        ("d >= 1500ms", true),
        ("b < 3KiB", true),
        // Sizes of the query are rounded to two digits: 2KiB is 2.0kB.
        ("b < 2KiB", false),
        ("t > 1", true),
        ("t > 1 | __error__=\"\"", false),
        ("ip = ip(\"10.0.0.0/8\")", true),
        ("ip != ip(\"10.0.0.0/8\")", false),
        ("n = 4 or t = \"x\"", true),
        ("n = 4, t = \"x\"", false),
        ("s = \"stream\" and m = \"meta\"", true),
        ("t =~ \".*\"", true),
    ] {
        assert_eq!(run(&format!("| logfmt | {filter}"), l).is_some(), kept, "{filter}");
    }
}

#[test]
fn filters_run_as_soon_as_their_label_is_found() {
    check(&[
        (r#"| logfmt | label_format a="X" | a="X""#, "a=1", "-"),
        (r#"| logfmt | label_format a="X" | a="1""#, "a=1", "-"),
        (r#"| logfmt | label_format c="X" | c="X""#, "a=1", "a=1 c=X | a=1"),
        (r#"| logfmt | drop a | a="""#, "a=1", "-"),
    ]);
}

#[test]
fn labels_and_lines_are_formatted() {
    check(&[
        (r#"| logfmt | line_format "{{.a}}-{{.none}}-{{.m}}""#, "a=1", "a=1 | 1--meta"),
        (r#"| label_format x=s, y="{{.x}}", x2="{{.y}}""#, "l", "x=stream x2= y=stream | l"),
        ("| label_format x=none", "l", " | l"),
        (r#"| line_format "{{ div 1 0 }}""#, "l", "__error__=TemplateFormatErr | l"),
        (r#"| decolorize |= "a b""#, "\u{1b}[31ma\u{1b}[0m b", "-"),
        ("| decolorize", "\u{1b}[31ma\u{1b}[0m b", " | a b"),
    ]);
}

#[test]
fn labels_are_dropped_and_kept() {
    let all = |stages: &str, line: &str| run(stages, line).expect("kept");
    assert_eq!(all("| logfmt | drop a, b=\"2\"", "a=1 b=2 c=3"), "c=3 | a=1 b=2 c=3");
    assert_eq!(all("| logfmt | keep a", "a=1 b=2"), "a=1 | a=1 b=2");
    assert_eq!(all("| json | drop __error__", "x"), " | x");
    assert_eq!(all("| json | keep a", "x"), "__error__=JSONParserErr | x");
}
