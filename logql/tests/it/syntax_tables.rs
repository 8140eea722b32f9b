//! Queries, and how they are printed or what is wrong with them.

use narvi_logql::{Error, ast::Expr, caret, parse, parse_selector, pretty};

fn printed(query: &str) -> String {
    parse(query).map_or_else(|e| e.to_string(), |expr| expr.to_string())
}

fn formatted(query: &str) -> String {
    parse(query).map_or_else(|e| e.to_string(), |expr| pretty(&expr))
}

/// Each query prints as itself.
#[test]
fn queries_in_their_printed_form() {
    for query in [
        r#"{app="a"}"#,
        r#"{app="a", env=~"x|y", pod!="", host!~"h.*"}"#,
        r#"{app="a"} |= "x" != "y" |~ "z+" !~ "w" |> "<_> x" !> "y <_>""#,
        r#"{app="a"} |= "x" or "y" or ip("10.0.0.0/8")"#,
        r#"{app="a"} != "x" or "y""#,
        r#"{app="a"} |= "\xff\x00""#,
        r#"{app="a"} | json | json x="y.z",w="v[0]""#,
        r#"{app="a"} | logfmt --strict --keep-empty a="b",c="c""#,
        r#"{app="a"} | regexp "(?P<x>.*)" | pattern "<a> <b>" | unpack | decolorize"#,
        r#"{app="a"} | line_format "{{.x}}" | label_format x=y,z="{{.w}}""#,
        r#"{app="a"} | drop x,y="z",w=~"v" | keep a,b!="c""#,
        r#"{app="a"} | x==5 | y>=1.5 | d<1h0m0s | s!=1.5kB | s>1025B | ip=ip("::1") | n<-45 | d>-5ms"#,
        // What is no other token is a name.
        r#"{! ="a"} | ! >5 | ! !="x" | json ! ="y" | label_format ! =a,b=! | drop ! =~"z",! | keep @,~="a""#,
        r#"{app="a"} | x="1" and y="2""#,
        r#"{app="a"} | x="1", y="2" or z="3""#,
        r#"{app="a"} | (x="1" or y="2" z="3") or (w="4", v="5") and u="6""#,
        r#"{app="a"} | (x="1" and y="2") z="3""#,
        r#"{app="a"} | x="1" y="2""#,
        r#"{rate="a"} | sum="b" | bytes>1 | drop vector | label_format duration=ip"#,
        r#"count_over_time({app="a"} |= "x"[5m])"#,
        r#"rate({app="a"}[1m30s] offset 1h0m0s)"#,
        r#"rate({app="a"}[5m] offset -5m0s)"#,
        r#"quantile_over_time(0.99,{app="a"} | json | unwrap duration(x) | __error__=""[5m]) by (a,b)"#,
        r#"sum_over_time({app="a"} | unwrap bytes[5m])"#,
        r#"topk by (x)(5,sum without (x,y)(rate({app="a"}[5m])))"#,
        r#"sum by ()(rate({app="a"}[5m]))"#,
        r#"sort_desc(sum by (x)(rate({app="a"}[5m])))"#,
        r#"label_replace(rate({app="a"}[5m]),"x","$1","y","(.*)")"#,
        r#"rate({app="a"}[5m]) > bool on (x) vector(0.000000)"#,
        r#"rate({app="a"}[5m]) / ignoring (x) group_left (y,z) rate({app="b"}[5m])"#,
        r#"rate({app="a"}[5m]) / on (x) group_right () rate({app="b"}[5m])"#,
        "vector(1.500000)",
        "vector(1e-09)",
        "1e+06",
        "-1.5",
        r#"variants(rate({app="a"}[5m]), count_over_time({app="a"}[5m])) of ({app="a"}[5m])"#,
    ] {
        assert_eq!(printed(query), query);
    }
}

#[test]
fn other_ways_to_write_the_same() {
    for (query, expected) in [
        (" { app = `a` }# comment", r#"{app="a"}"#),
        ("{app=\"a\"} // comment\n/* and */ |= `\"x\"`", r#"{app="a"} |= "\"x\"""#),
        (r#"{app="a"}|json|x=5,y==6"#, r#"{app="a"} | json | x==5, y==6"#),
        (r#"{app="a"} | a="1" or b="2" and c="3""#, r#"{app="a"} | a="1" or b="2" and c="3""#),
        (r#"{app="a"} | a="1" or b="2" , c="3""#, r#"{app="a"} | a="1" or b="2", c="3""#),
        (r#"{app="a"} | a="1" and b="2" c="3" or d="4""#, r#"{app="a"} | a="1" and b="2" c="3" or d="4""#),
        (r#"{app="a"} | a="1" or b="2" or c="3""#, r#"{app="a"} | a="1" or b="2" or c="3""#),
        (
            r#"{app="a"} | x > 1d | y > 1_000 | z = 0x5 | w > 1e400"#,
            r#"{app="a"} | x>24h0m0s | y>1000 | z==0 | w>1e999"#,
        ),
        (
            r#"{app="a"} | x > 100us | y > 1.5s | z > 1KiB | w > 8.7KiB"#,
            "{app=\"a\"} | x>100\u{b5}s | y>1.5s | z>1024B | w>8908B",
        ),
        (r#"(({app="a"} |= "x"))"#, r#"{app="a"} |= "x""#),
        (
            r#"SUM(Rate({app="a"}[5m] | json | UNWRAP x)) BY (y)"#,
            r#"sum by (y)(rate({app="a"} | json | unwrap x[5m]))"#,
        ),
        (r#"rate(({app="a"} | json)[5m])"#, r#"rate({app="a"} | json[5m])"#),
        (r#"rate((({app="a"} | json [5m] offset 1m)))"#, r#"rate({app="a"} | json[5m] offset 1m0s)"#),
        ("1 + 2 * 3 ^ 2 ^ 0", "7"),
        ("-2 ^ 2", "4"),
        ("7 - 2 - 1", "4"),
        ("1 > 2", "0"),
        ("1 == bool 1", "1"),
        ("5 % 3 - -1", "3"),
        ("1 / 0", "(0 / 0)"),
        (r#"rate({app="a"}[5m]) ++ 1"#, r#"rate({app="a"}[5m]) + 1"#),
        ("vector(1)+(vector(2)*vector(3))", "vector(1.000000) + vector(2.000000) * vector(3.000000)"),
        ("(vector(1)+vector(2))*vector(3)", "(vector(1.000000) + vector(2.000000)) * vector(3.000000)"),
        ("(vector(1)^vector(2))^(vector(3)^1)", "(vector(1.000000) ^ vector(2.000000)) ^ vector(3.000000) ^ 1"),
        (r#"rate({app="a"}[1w1d])"#, r#"rate({app="a"}[8d])"#),
    ] {
        assert_eq!(printed(query), expected, "{query}");
    }
}

#[test]
fn wrong_tokens_are_named_with_their_place() {
    for (query, expected) in [
        ("", "parse error : syntax error: unexpected $end"),
        ("   ", "parse error at line 1, col 4: syntax error: unexpected $end"),
        ("{", "parse error at line 1, col 2: syntax error: unexpected $end, expecting IDENTIFIER or }"),
        ("{app", "parse error at line 1, col 5: syntax error: unexpected $end, expecting = or =~ or !~ or !="),
        ("{app=5}", "parse error at line 1, col 6: syntax error: unexpected NUMBER, expecting STRING"),
        (r#"{app="a",}"#, "parse error at line 1, col 10: syntax error: unexpected }, expecting IDENTIFIER"),
        ("{json=\"a\"}", "parse error at line 1, col 2: syntax error: unexpected json, expecting IDENTIFIER or }"),
        ("{app=\"a\"}\n\n  |~ ", "parse error at line 3, col 6: syntax error: unexpected $end, expecting STRING or ip"),
        ("{app=\"a\"} |= \"\u{e9}\" | nosuch", "parse error at line 1, col 26: syntax error: unexpected $end"),
        (r#"{app="a"} | unwrap x"#, "parse error at line 1, col 13: syntax error: unexpected unwrap"),
        (r#"{app="a"} | | json"#, "parse error at line 1, col 13: syntax error: unexpected |"),
        (
            r#"{app="a"} | logfmt --nosuch"#,
            "parse error at line 1, col 22: syntax error: unexpected IDENTIFIER, expecting NUMBER",
        ),
        (
            r#"{app="a"} | x =~ ip("::1")"#,
            "parse error at line 1, col 18: syntax error: unexpected ip, expecting STRING",
        ),
        ("rate(", "parse error at line 1, col 6: syntax error: unexpected $end, expecting NUMBER or { or ("),
        (r#"rate({app="a"})"#, "parse error at line 1, col 15: syntax error: unexpected )"),
        (
            "rate(rate({app=\"a\"}[5m]))",
            "parse error at line 1, col 6: syntax error: unexpected RATE, expecting NUMBER or { or (",
        ),
        (r#"rate((({app="a"}))[5m])"#, "parse error at line 1, col 18: syntax error: unexpected ), expecting RANGE"),
        (r#"sum({app="a"})"#, "parse error at line 1, col 14: syntax error: unexpected )"),
        (r#"sum by x (rate({app="a"}[5m]))"#, "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
        (
            r#"sum by (x,) (rate({app="a"}[5m]))"#,
            "parse error at line 1, col 11: syntax error: unexpected ), expecting IDENTIFIER",
        ),
        (r#"{app="a"}[5m]"#, "parse error at line 1, col 10: syntax error: unexpected RANGE"),
        (r#"{app="a"} != 1"#, "parse error at line 1, col 14: syntax error: unexpected NUMBER, expecting STRING or ip"),
        (
            r#"rate({app="a"}[5m] offset -1d)"#,
            "parse error at line 1, col 27: syntax error: unexpected -, expecting DURATION",
        ),
        ("-rate({app=\"a\"}[5m])", "parse error at line 1, col 2: syntax error: unexpected RATE, expecting NUMBER"),
        ("1..2", "parse error at line 1, col 3: syntax error: unexpected NUMBER"),
        ("\\", "parse error at line 1, col 1: syntax error: unexpected IDENTIFIER"),
        ("topk(-1, vector(1))", "parse error at line 1, col 8: syntax error: unexpected ,"),
        (
            "vector(1) + on (x) group_left bool vector(1)",
            "parse error at line 1, col 31: syntax error: unexpected bool",
        ),
    ] {
        assert_eq!(printed(query), expected, "{query}");
    }
}

#[test]
fn text_that_is_no_token() {
    for (query, expected) in [
        (r#"{app="a"#, "parse error at line 1, col 6: literal not terminated"),
        ("{app=\"a\nb\"}", "parse error at line 1, col 6: literal not terminated"),
        ("{app=`a", "parse error at line 1, col 6: literal not terminated"),
        (r#"{app="\q"}"#, "parse error at line 1, col 6: invalid char escape"),
        (r#"{app="\400"}"#, "parse error at line 1, col 6: invalid syntax"),
        ("{app='abc'}", "parse error at line 1, col 6: invalid char literal"),
        ("0x", "parse error at line 1, col 1: hexadecimal literal has no digits"),
        ("1e", "parse error at line 1, col 1: exponent has no digits"),
        ("08", "parse error at line 1, col 1: invalid digit '8' in octal literal"),
        ("1__0", "parse error at line 1, col 1: '_' must separate successive digits"),
        ("0b1.5", "parse error at line 1, col 1: invalid radix point in binary literal"),
        ("1 /* x", "parse error at line 1, col 3: comment not terminated"),
        (r#"rate({app="a"}[])"#, "parse error at line 1, col 15: empty duration string"),
        (r#"rate({app="a"}[5x])"#, "parse error at line 1, col 15: unknown unit \"x\" in duration \"5x\""),
        (r#"rate({app="a"}[5m)"#, "parse error at line 1, col 15: missing closing ']' in duration"),
    ] {
        assert_eq!(printed(query), expected, "{query}");
    }
}

#[test]
fn queries_that_are_refused_for_what_they_ask() {
    let no_matcher = "parse error : queries require at least one regexp or equality matcher that does not have an \
                      empty-compatible value. For instance, app=~\".*\" does not meet this requirement, but \
                      app=~\".+\" will";
    for (query, expected) in [
        ("{}", no_matcher),
        (r#"{app=~"a|"}"#, no_matcher),
        (r#"sum(rate({app!="a"}[5m])) + 1"#, no_matcher),
        (r#"{app=~"["} | "#, "parse error : error parsing regexp: missing closing ]: `[`"),
        (
            r#"{app="a"} |~ "a(?!b)""#,
            "parse error : stage '|~ \"a(?!b)\"' : error parsing regexp: invalid or unsupported Perl syntax: `(?!`",
        ),
        (
            r#"{app="a"} | regexp "abc" |"#,
            "parse error : invalid regexp parser: at least one named capture must be supplied",
        ),
        (
            r#"{app="a"} | regexp "(?P<a>x)(?P<a>y)""#,
            "parse error : invalid regexp parser: duplicate extracted label name 'a'",
        ),
        (
            r#"{app="a"} | pattern "<a> <a>""#,
            "parse error : invalid pattern parser: duplicate capture name (a): invalid expression",
        ),
        (
            r#"{app="a"} | json x="a[""#,
            "parse error : stage '| json x=\"a[\"' : cannot parse expression [a[]: syntax error: unexpected $end, \
             expecting STRING or INDEX",
        ),
        (
            r#"{app="a"} | line_format "{{.x""#,
            "parse error : stage '| line_format \"{{.x\"' : invalid line template: template: line:1: unclosed action",
        ),
        (
            r#"rate({app="a"} | label_format x=y, x=z [5m])"#,
            "parse error : stage '| label_format x=y,x=z' : multiple label name 'x' not allowed in a \
             single format operation",
        ),
        (r#"{app="a"} |= ip("nope")"#, "parse error : stage '|= ip(\"nope\")' : ip: invalid pattern: \"nope\""),
        (r#"{app="a"} |~ ip("::1")"#, "parse error : stage '|~ ip(\"::1\")' : ip: invalid operation"),
        (r#"{app="a"} | x = ip("nope")"#, "parse error : stage '| x=ip(\"nope\")' : ip: invalid pattern: \"nope\""),
        (r#"sum_over_time({app="a"}[5m])"#, "parse error : invalid aggregation sum_over_time without unwrap"),
        (r#"bytes_rate({app="a"} | unwrap x [5m])"#, "parse error : invalid aggregation bytes_rate with unwrap"),
        (r#"rate({app="a"}[5m]) by (x)"#, "parse error : grouping not allowed for rate aggregation"),
        (r#"rate(1, {app="a"}[5m])"#, "parse error : parameter 1 not supported for operation rate"),
        (
            r#"quantile_over_time({app="a"} | unwrap x [5m])"#,
            "parse error : parameter required for operation quantile_over_time",
        ),
        ("topk(vector(1))", "parse error : parameter required for operation topk"),
        ("topk(0, vector(1))", "parse error : invalid parameter (must be greater than 0) topk(0"),
        ("sort(vector(1)) by (x)", "parse error : sort and sort_desc doesn't allow grouping by "),
        (
            r#"{app="a"} + 1"#,
            "parse error : unexpected type for left leg of binary operation (+): *syntax.MatchersExpr",
        ),
        (
            r#"1 > {app="a"} | json"#,
            "parse error : unexpected type for right leg of binary operation (>): *syntax.PipelineExpr",
        ),
        (
            "1 unless 2",
            "parse error : unexpected literal for left leg of logical/set binary operation (unless): 1.000000",
        ),
        (
            "0x1F + 1",
            "parse error : unable to parse literal as a float: strconv.ParseFloat: parsing \"0x1F\": invalid syntax",
        ),
        (
            r#"label_replace(vector(1), "a", "b", "c", "(")"#,
            "parse error : invalid regex in label_replace: error parsing regexp: missing closing ): `^(?:()$`",
        ),
        // Loki notices these after the whole text, and the outermost first.
        (r#"sum_over_time({app="a"}[5m]) +"#, "parse error at line 1, col 31: syntax error: unexpected $end"),
        (r#"topk(sum_over_time({app="a"}[5m]))"#, "parse error : parameter required for operation topk"),
    ] {
        assert_eq!(printed(query), expected, "{query}");
    }
    let long = format!("{{app=\"{}\"}}", "x".repeat(131_110));
    assert_eq!(printed(&long), "parse error : input size too long (131118 > 131072)");
}

#[test]
fn format_query_shows_how_operators_bind() {
    for (query, expected) in [
        (
            "vector(1) or vector(2) and vector(3) + 4 unless vector(5)",
            "(vector(1.000000) or ((vector(2.000000) and (vector(3.000000) + 4)) unless vector(5.000000)))",
        ),
        ("vector(1) == vector(2) * 3", "(vector(1.000000) == (vector(2.000000) * 3))"),
        (r#"{app="a"} | a="1" or b="2" , c="3""#, r#"{app="a"} | ( a="1" or ( b="2" , c="3" ) )"#),
        (r#"{app="a"} | a="1" and b="2" c="3" or d="4""#, r#"{app="a"} | ( a="1" , ( b="2" , ( c="3" or d="4" ) ) )"#),
        (r#"{app="a"} != "x" or "y""#, r#"{app="a"} != "x" != "y""#),
        (r#"{app="a"} | s > 1025B | n = 5"#, r#"{app="a"} | s>1.0kB | n==5"#),
        (r#"sum by (a, b) (rate({app="a"}[1d]))"#, r#"sum by (a,b)(rate({app="a"}[1d]))"#),
    ] {
        assert_eq!(formatted(query), expected, "{query}");
    }
}

#[test]
fn format_query_follows_loki() {
    let long = "averylongvalueaverylongvalueaverylongvalue";
    for (query, expected) in [
        ("1 + 2".to_owned(), "3".to_owned()),
        (
            r#"{app="a"} | (x="1" or y="2") and z!="3""#.to_owned(),
            r#"{app="a"} | ( ( x="1" or y="2" ) , z!="3" )"#.to_owned(),
        ),
        (
            "vector(1) and ignoring (y) vector(2)".to_owned(),
            "(vector(1.000000) and ignoring (y)  vector(2.000000))".to_owned(),
        ),
        (
            r#"variants(rate({app="a"}[5m])) of ({app="a"}[5m])"#.to_owned(),
            "variants(\n  rate({app=\"a\"}[5m])\n) of (\n  {app=\"a\"} [5m]\n)".to_owned(),
        ),
        (
            format!(r#"{{app="{long}", env="{long}"}} |= "{long}" != "x" | json"#),
            format!("{{app=\"{long}\", env=\"{long}\"}}\n  |= \"{long}\" != \"x\"\n  | json"),
        ),
        (
            format!(
                r#"sum by (a, b) (rate({{app="{long}"}} |= "{long}" | json [5m])) / on (a) group_left (b) vector(1)"#
            ),
            format!(
                "  sum by (a, b)(\n    rate(\n      {{app=\"{long}\"}}\n        |= \"{long}\"\n        \
                 | json [5m]\n    )\n  )\n/ on (a) group_left (b)\n  vector(1.000000)"
            ),
        ),
        (
            format!(r#"quantile_over_time(0.5, {{app="{long}{long}"}} | unwrap x | y="z" [5m]) by (a, b)"#),
            format!(
                "quantile_over_time(\n  0.5,\n  {{app=\"{long}{long}\"}}\n    | unwrap x\n    | y=\"z\" \
                 [5m]\n) by (a, b)"
            ),
        ),
        (
            format!(r#"label_replace(topk(3, rate({{app="{long}{long}"}}[5m])), "a", "$1", "b", "(.*)")"#),
            format!(
                "label_replace(\n  topk(\n    3,\n    rate(\n      {{app=\"{long}{long}\"}} [5m]\n    )\n  ),\n  \"a\",\
                 \n  \
                 \"$1\",\n  \"b\",\n  \"(.*)\"\n)"
            ),
        ),
    ] {
        let shown = formatted(&query);
        assert_eq!(shown, expected, "{query}");
        assert_eq!(formatted(&shown), shown, "formatting again changes it");
    }
}

#[test]
fn formatted_operators_keep_their_order() {
    let rate = |name: &str| format!(r#"rate({{app="{name}averylongvalueaverylongvalueaverylongvalue"}}[5m])"#);
    let (a, b, c) = (rate("a"), rate("b"), rate("c"));
    for query in [
        format!("({a} + {b}) * {c}"),
        format!("{a} - ({b} - {c})"),
        format!("{a} - {b} - {c}"),
        format!("({a} ^ {b}) ^ {c}"),
        format!("{a} ^ {b} ^ {c}"),
        format!("{a} * {b} + {c}"),
    ] {
        let parsed = parse(&query).expect("valid");
        assert_eq!(parse(&pretty(&parsed)), Ok(parsed), "{query}");
    }
}

#[test]
fn deep_queries_are_refused_and_high_ones_are_not() {
    let refused = |query: &str| {
        let error = parse(query).expect_err("too deep");
        assert!(error.to_string().contains("query is nested too deeply, more than "), "{error}");
        assert!(!caret(query, &error).is_empty());
    };
    let works = |query: &str| {
        let expr = parse(query).expect("not too deep");
        assert_eq!(parse(&expr.to_string()), Ok(expr.clone()));
        assert!(!pretty(&expr).is_empty());
    };
    refused(&"(".repeat(100_000));
    refused(&"sum(".repeat(20_000));
    refused(&format!("{}vector(1)", "vector(1) + ".repeat(9_000)));
    refused(&format!("{}vector(1)", "vector(1) ^ ".repeat(9_000)));
    refused(&format!("{{a=\"b\"}} | {}a=1", "a=1 or ".repeat(15_000)));
    refused(&format!("{{a=\"b\"}} | {}a=1", "a=1 ".repeat(30_000)));
    refused(&format!("{{a=\"b\"}} | {}a=1", "(".repeat(100_000)));
    refused(&format!("rate({}", "(".repeat(100_000)));
    works(&format!("{}1{}", "(".repeat(250), ")".repeat(250)));
    works(&format!("{}vector(1){}", "sum(".repeat(250), ")".repeat(250)));
    works(&format!("{}vector(1)", "vector(1) + ".repeat(900)));
    works(&format!("{{a=\"b\"}} | {}a=1", "a=1 or ".repeat(200)));
    works(&format!("{{a=\"b\"}} | {}a=1", "a=1 or ".repeat(900)));
    works(&format!("{}1", "1 + ".repeat(20_000)));
}

#[test]
fn selectors_alone() {
    assert_eq!(parse_selector("{}").map(|s| s.to_string()), Ok("{}".to_owned()));
    assert_eq!(parse_selector(r#"({app="a"})"#).map(|s| s.to_string()), Ok(r#"{app="a"}"#.to_owned()));
    let other = Err(Error::Invalid("only label matchers are supported".to_owned()));
    assert_eq!(parse_selector(r#"{app="a"} |= "x""#), other);
    assert_eq!(parse_selector(r#"rate({app="a"}[1m])"#), other);
}

#[test]
fn a_query_tells_its_parts() {
    let query =
        r#"sum(rate({a="1"}[5m])) / label_replace(count_over_time({a="2"} | json [1h] offset 1m), "x", "", "", "")"#;
    let expr = parse(query).expect("valid");
    assert!(expr.is_metric() && !expr.is_log());
    let selectors: Vec<_> = expr.selectors().into_iter().map(ToString::to_string).collect();
    assert_eq!(selectors, [r#"{a="1"}"#, r#"{a="2"}"#]);
    let ranges: Vec<_> = expr.ranges().into_iter().map(|r| (r.range_ns / 1_000_000_000, r.offset_ns)).collect();
    assert_eq!(ranges, [(300, 0), (3600, 60_000_000_000)]);
    let Expr::Metric(metric) = &expr else { panic!("it is a metric query") };
    let mut seen = 0;
    metric.for_each(&mut |_| seen += 1);
    assert_eq!(seen, 5);
}
