//! Tests of the templates against tables made by Go (`tests/data/golden.go`), Loki's functions, and the limits.

use proptest::prelude::*;

use super::time::{GoTime, Zone};
use super::*;
use crate::value::{quote, unquote};

/// The rows of a table of Go-quoted cells.
fn table(text: &str) -> Vec<Vec<Vec<u8>>> {
    let cell = |cell: &str| unquote(cell.as_bytes()).expect("the table is quoted by Go").into_owned();
    text.lines().map(|line| line.split('\t').map(cell).collect()).collect()
}

const LABELS: FieldList<'_> = FieldList(&[
    ("app", "web"),
    ("d", "1m30s"),
    ("b", "1.5 MiB"),
    ("n", "2048"),
    ("z", "046"),
    ("s", "hello world"),
    ("u", "h\u{e9}llo"),
    ("empty", ""),
    ("j", r#"{"a":{"b":[1,2.5,"x",null,true]},"k":"v","e":{},"l":[]}"#),
    ("bad", "{"),
]);
const LINE: &[u8] = br#"level=info msg="hi <there>" n=5"#;
const TIMESTAMP_NS: i64 = 1_789_863_300_123_456_789;

fn run(text: &str) -> (&'static str, Vec<u8>) {
    let mut out = Vec::new();
    let result = Template::parse("line", text).and_then(|t| t.run(&mut out, &LABELS, LINE, TIMESTAMP_NS));
    match result {
        Ok(()) => ("ok", out),
        Err(error) => ("error", error.to_string().into_bytes()),
    }
}

/// Whether the zone of this process shows times as the tables do.
fn in_utc() -> bool {
    Zone::local().at(0) == (0, "UTC".to_owned()) && Zone::local().at(TIMESTAMP_NS / 1_000_000_000).0 == 0
}

#[test]
fn templates_run_as_in_go() {
    let mut wrong = Vec::new();
    for row in table(include_str!("../../tests/data/templates.tsv")) {
        let text = String::from_utf8(row[0].clone()).expect("templates are UTF-8");
        if text.contains("__timestamp__") && !in_utc() {
            continue;
        }
        let (kind, got) = run(&text);
        if kind.as_bytes() != row[1] || got != row[2] {
            let go = String::from_utf8_lossy(&row[1]).into_owned();
            wrong.push(format!("{text}\n    Go   {go} {}\n    here {kind} {}", quote(&row[2]), quote(&got)));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn times_are_read_and_printed_as_in_go() {
    let mut wrong = Vec::new();
    for row in table(include_str!("../../tests/data/times.tsv")) {
        let text = |n: usize| String::from_utf8_lossy(&row[n]).into_owned();
        let got = match text(0).as_str() {
            "format" => {
                let zone = Zone::load(&text(2)).expect("the zone is known");
                let time = GoTime::from_unix_ns(text(1).parse().expect("nanoseconds"), zone);
                time_layout::format(&time, &row[3])
            }
            _ => {
                let zone = Zone::load(&text(3)).expect("the zone is known");
                time_parse::parse(&row[1], &row[2], &zone).unwrap_or_else(GoTime::zero).to_string().into_bytes()
            }
        };
        let expected = row.last().expect("a row has cells");
        if got != *expected {
            let input: Vec<String> = row[..row.len() - 1].iter().map(|c| quote(c)).collect();
            wrong.push(format!("{}: Go {}, here {}", input.join(" "), quote(expected), quote(&got)));
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

fn check(text: &str, expected: &str) {
    let (kind, got) = run(text);
    assert_eq!((kind, String::from_utf8_lossy(&got).as_ref()), ("ok", expected), "{text}");
}

fn check_error(text: &str, expected: &str) {
    let (kind, got) = run(text);
    let got = String::from_utf8_lossy(&got).into_owned();
    assert!(kind == "error" && got.ends_with(expected), "{text}: {kind} {got}");
}

#[test]
fn sprig_strings() {
    for (text, expected) in [
        (
            r#"{{trunc 3 "abcdef"}} {{trunc -3 "abcdef"}} {{trunc 99 "abc"}} {{trunc -99 "abc"}} {{trunc 0 "abc"}}|"#,
            "abc def abc abc |",
        ),
        (
            r#"{{substr 1 3 "abcdef"}} {{substr 2 -1 "abcdef"}} {{substr -1 2 "abcdef"}} {{substr 3 99 "abcdef"}}"#,
            "bc cdef ab def",
        ),
        (
            r#"{{contains "b" "abc"}} {{contains "z" "abc"}} {{hasPrefix "a" "abc"}} {{hasSuffix "bc" "abc"}}"#,
            "true false true true",
        ),
        ("{{indent 2 \"a\\nb\"}}|{{nindent 1 \"a\\nb\"}}", "  a\n  b|\n a\n b"),
        (
            r#"{{replace "a" "b" "aXa"}} {{"aXa" | replace "a" "-"}} {{trim " x "}}| {{trimAll "$" "$5$"}} {{trimPrefix "-" "-5"}} {{trimSuffix "-" "5-"}}"#,
            "bXb -X- x| 5 5 5",
        ),
        (
            r#"{{alignLeft 5 "abc"}}|{{alignLeft 2 "abc"}}|{{alignRight 5 "abc"}}|{{alignRight 2 "abc"}}|{{alignLeft -1 "abc"}}|"#,
            "abc  |ab|  abc|bc|abc|",
        ),
        (r#"{{alignLeft 4 .u}}|{{alignRight 4 .u}}|{{alignLeft 7 .u}}|"#, "h\u{e9}ll|\u{e9}llo|h\u{e9}llo  |"),
        (
            r#"{{b64enc "hi"}} {{b64enc "abc"}} {{b64enc ""}} {{b64dec "aGk="}} {{b64dec "YQ=="}} {{b64dec "YWJj"}} {{b64dec "aGkgw6k="}}"#,
            "aGk= YWJj  hi a abc hi \u{e9}",
        ),
        (r#"{{b64dec "!!"}}"#, "illegal base64 data at input byte 0"),
        (
            r#"{{b64dec "YWJ"}} {{b64dec "YWJjZ"}}"#,
            "illegal base64 data at input byte 0 illegal base64 data at input byte 4",
        ),
        (r#"{{urlencode "a b/&"}} {{urldecode "a+b%26c%2Fd%20e"}}"#, "a+b%2F%26 a b&c/d e"),
        (
            r#"{{regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W"}} {{regexReplaceAll "a(x*)b" "-ab-axxb-" "$1W"}}|{{regexReplaceAllLiteral "a(x*)b" "-ab-axxb-" "${1}"}}"#,
            "-W-xxW- ---|-${1}-${1}-",
        ),
        (
            r#"{{regexReplaceAll "x*" "abc" "-"}} {{regexReplaceAll "(?P<k>\\w+)=" "a=1 b=2" "$k:"}} {{regexReplaceAll "a" "a" "$$ $ ${ ${9}"}}"#,
            "-a-b-c- a:1 b:2 $ $ ${ ",
        ),
        (r#"{{count "a+" "aab ab a"}} {{count "z" "aab"}} {{count "x*" "axb"}} {{count "" "abc"}}"#, "3 0 3 4"),
        (r#"{{$re := "b+"}}{{regexReplaceAll $re "abbc" "-"}}"#, "a-c"),
    ] {
        check(text, expected);
    }
    check_error(r#"{{substr 2 1 "abc"}}"#, "error calling substr: runtime error: slice bounds out of range [2:1]");
    check_error(r#"{{substr -1 -1 "abc"}}"#, "error calling substr: runtime error: slice bounds out of range [:-1]");
    check_error(r#"{{urldecode "%zz"}}"#, r#"error calling urldecode: invalid URL escape "%zz""#);
    check_error(r#"{{repeat -1 "x"}}"#, "error calling repeat: strings: negative Repeat count");
    assert_eq!(run(r#"{{regexReplaceAll "(" "a" ""}}"#).0, "error");
}

#[test]
fn sprig_numbers() {
    for (text, expected) in [
        (
            r#"{{int "x"}} {{int "0x10"}} {{int "046"}} {{int "08"}} {{int "12.00"}} {{int "12.5"}} {{int 3.9}} {{int true}} {{int nil}}"#,
            "0 16 38 0 12 0 3 1 0",
        ),
        (r#"{{float64 "1.50"}} {{float64 "x"}} {{float64 3}}"#, "1.5 0 3"),
        (
            "{{sub 5 3}} {{mul 2 3 4}} {{div 7 2}} {{mod 7 3}} {{mod -7 3}} {{max 1 5 3}} {{min 1 5 3}} {{min \"3\" 4}}",
            "2 24 3 1 -1 5 1 3",
        ),
        (
            "{{addf 0.1 0.2}} {{subf 0.3 0.1}} {{mulf 1.5 2 2}} {{divf 1 3}} {{divf 2 3}} {{divf 10 4 5}} {{addf}} {{subf 5}}",
            "0.3 0.2 6 0.3333333333333333 0.6666666666666667 0.5 0 5",
        ),
        (
            "{{divf -1 3}} {{divf 1 1e20}} {{mulf 1e200 1e200}} {{addf 1e300 1e-300}} {{mulf -0.5 4}}",
            "-0.3333333333333333 0 +Inf 1e+300 -2",
        ),
        (
            "{{maxf 1.5 2.5}} {{minf 1.5 2.5}} {{ceil 1.2}} {{floor -1.2}} {{round 2.5 0}} {{round -2.5 0}} {{round 1.25 1}} {{round 123.555 2}} {{round 1.4 0 0.3}}",
            "2.5 1.5 2 -2 3 -3 1.3 123.56 2",
        ),
        (r#"{{bytes "2KB"}} {{bytes "2 KiB"}} {{bytes "1.5MB"}} {{bytes .b}}"#, "2000 2048 1.5e+06 1.572864e+06"),
        (r#"{{duration .d}} {{duration_seconds "250ms"}}"#, "90 0.25"),
        (r#"{{mulf (duration .d) 2 | printf "%.1f"}}"#, "180.0"),
    ] {
        check(text, expected);
    }
    check_error("{{divf 1 0}}", "error calling divf: decimal division by 0");
    check_error("{{div 1 0}}", "error calling div: runtime error: integer divide by zero");
    check_error("{{mod 1 0}}", "error calling mod: runtime error: integer divide by zero");
    check_error(r#"{{bytes "x"}}"#, r#"error calling bytes: strconv.ParseFloat: parsing "": invalid syntax"#);
}

#[test]
fn times_and_epochs() {
    for (text, expected) in [
        (r#"{{unixEpochMillis (toDate "2006-01-02T15:04:05Z07:00" "2026-09-20T00:00:01+02:00")}}"#, "1789855201000"),
        (r#"{{toDateInZone "2006-01-02 15:04" "No/Zone" "2026-07-01 12:00" | unixEpoch}}"#, "1782907200"),
        (r#"{{toDateInZone "2006-01-02 15:04" "Europe/Berlin" "2026-07-01 12:00" | unixEpoch}}"#, "1782900000"),
        (
            r#"{{__timestamp__ | unixEpochNanos}} {{__timestamp__ | unixEpochMillis}} {{unixEpoch __timestamp__}}"#,
            "1789863300123456789 1789863300123 1789863300",
        ),
        (
            r#"{{unixToTime "1789862400123456" | unixEpochNanos}} {{unixToTime "1789862400123" | unixEpochNanos}}"#,
            "1789862400123456000 1789862400123000000",
        ),
        (
            r#"{{unixToTime "1789862400" | unixEpoch}} {{unixToTime "20716" | unixEpoch}} {{unixToTime "1789862400123456789" | unixEpochNanos}}"#,
            "1789862400 1789862400 1789862400123456789",
        ),
        (r#"{{toDate "2006" "x" | unixEpoch}}"#, "-62135596800"),
        (r#"{{(toDateInZone "2006-01-02" "UTC" "2026-09-20").Format "Jan 2"}}"#, "Sep 20"),
        (r#"{{if gt (now | unixEpoch | float64) 1.7e9}}now{{end}}"#, "now"),
    ] {
        check(text, expected);
    }
    check_error(r#"{{unixToTime "123"}}"#, "error calling unixToTime: unable to parse time '123': %!w(<nil>)");
}

#[test]
fn what_a_template_reads() {
    let reads = |text: &str| {
        let template = Template::parse("line", text).expect(text);
        let fields = template.fields().map(|f| f.iter().cloned().collect::<Vec<_>>().join(","));
        (fields, template.reads_line(), template.reads_timestamp())
    };
    let some = |names: &str| Some(names.to_owned());
    for (text, expected) in [
        ("x", (some(""), false, false)),
        ("{{.a}}{{.b | lower}}{{$.c}}", (some("a,b,c"), false, false)),
        ("{{if eq .a \"x\"}}{{(fromJson .b).x}}{{end}}{{__line__}}", (some("a,b"), true, false)),
        ("{{range fromJson .a}}{{.}}{{.k}}{{end}}{{__timestamp__ | unixEpoch}}", (some("a"), false, true)),
        ("{{define \"t\"}}{{.z}}{{end}}{{template \"t\" .}}", (some("z"), false, false)),
        ("{{.}}", (None, false, false)),
        ("{{$x := .}}{{$x.a}}", (None, false, false)),
        ("{{printf \"%v\" $}}", (None, false, false)),
        ("{{with .a}}{{.}}{{end}}", (None, false, false)),
    ] {
        assert_eq!(reads(text), expected, "{text}");
    }
    assert_eq!(Template::parse("line", "{{ .a }}").expect("a template").single_field(), Some("a"));
    assert_eq!(Template::parse("line", "{{.a}} ").expect("a template").single_field(), None);
}

#[test]
fn runs_are_bounded() {
    for text in [
        r#"{{define "t"}}{{template "t" .}}{{end}}{{template "t" .}}"#,
        r#"{{repeat 999999999 "x"}}"#,
        r#"{{range 999999999}}{{end}}"#,
        r#"{{range 999999999}}aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa{{end}}"#,
        r#"{{range 200000}}{{repeat 8000000 "x" | len}}{{end}}"#,
        r#"{{indent 999999999 "x"}}"#,
        r#"{{alignLeft 999999999 "x"}}"#,
        r#"{{$x := "aaaaaaaa"}}{{range 64}}{{$x = print $x $x}}{{end}}"#,
        r#"{{$x := repeat 4000 "a"}}{{replace "" $x $x}}"#,
        r#"{{range $i, $e := 5}}{{end}}"#,
    ] {
        assert_eq!(run(text).0, "error", "{text}");
    }
    let deep = "(".repeat(100_000);
    assert_eq!(run(&format!("{{{{{deep}")).0, "error");
    assert_eq!(run(&"{{if .app}}".repeat(100_000)).0, "error");
    assert_eq!(run(&format!(r#"{{{{fromJson "{}"}}}}"#, "[".repeat(100_000))).0, "ok");
}

#[test]
fn a_failed_run_leaves_the_output_alone() {
    let template = Template::parse("label", "abc{{div 1 0}}").expect("a template");
    let mut out = b"before".to_vec();
    let error = template.run(&mut out, &LABELS, LINE, 0).expect_err("a division by zero");
    assert_eq!(out, b"before");
    assert_eq!(
        error.to_string(),
        r#"template: label:1:5: executing "label" at <div 1 0>: error calling div: runtime error: integer divide by zero"#
    );
}

proptest! {
    #[test]
    fn no_template_panics(text in r#"(\{\{|\}\}|[ .|$()\-"',:=a-e0-3]|if |range |end|else|with |define |template |print |printf |index |slice |len |fromJson |"x"|\.app|\.j|\$x|:=){0,24}"#) {
        let _ = run(&text);
        let _ = run(&format!("{{{{{text}}}}}"));
    }

    #[test]
    fn no_format_panics(format in "[%a-z0-9.*#+ \\[\\]-]{0,12}") {
        let _ = run(&format!("{{{{printf {} 1 \"x\" 1.5 nil .}}}}", quote(format.as_bytes())));
    }

    #[test]
    fn layouts_do_not_panic(layout in "[0-9JanMoTZ_.,:+ -]{0,20}", text in "[0-9A-Za-z.,:+ -]{0,20}", ns in any::<i64>()) {
        let time = GoTime::from_unix_ns(ns, Zone::Utc);
        let _ = time_layout::format(&time, layout.as_bytes());
        let _ = time_parse::parse(layout.as_bytes(), text.as_bytes(), &Zone::Utc);
    }
}
