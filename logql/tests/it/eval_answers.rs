//! What single queries answer over a few lines, where a model would only repeat the rule: replaced labels, variants, labels by
//! category, samples with errors, parts that cannot be read.

use narvi_logql::{
    Answer, Batch, Budget, Data, Error, Inline, Params, Part, Query, ScanRequest, Segment, Source, SourceError,
    evaluate, memory::MemorySource, parse,
};
use narvi_types::{Entry, Labels, Metadata, TimeRange, Timestamp};

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::from_pairs(pairs.iter().copied()).expect("valid")
}

/// Lines one second apart, from second 1 on.
/// The labels of a stream, and its lines.
type Lines<'l> = (&'l [(&'l str, &'l str)], &'l [&'l str]);

fn source(streams: &[Lines<'_>]) -> MemorySource {
    let mut source = MemorySource::new();
    for (pairs, lines) in streams {
        for (n, line) in lines.iter().enumerate() {
            source.push(&labels(pairs), Entry::new(Timestamp::from_secs(n as i64 + 1), (*line).to_owned()));
        }
    }
    source
}

fn ask(source: &dyn Source, text: &str, change: impl FnOnce(&mut Params)) -> Result<Answer, Error> {
    let expr = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let metric = !matches!(expr, narvi_logql::ast::Expr::Log(_));
    let end = 60_000_000_000;
    let mut params = if metric { Params::instant(end) } else { Params::range(0, end, 0) };
    change(&mut params);
    evaluate(&Query::new(expr, params), source, &Inline, &Budget::unlimited())
}

/// The samples of an instant query, as text.
fn vector(source: &dyn Source, text: &str) -> Vec<String> {
    let answer = ask(source, text, |params| params.variants = true).unwrap_or_else(|error| panic!("{text}: {error}"));
    let Data::Vector(samples) = answer.data else { panic!("{text}: not a vector") };
    samples.iter().map(|sample| format!("{} {}", sample.labels, sample.value)).collect()
}

fn failure(source: &dyn Source, text: &str) -> String {
    ask(source, text, |_| ()).expect_err(text).to_string()
}

#[test]
fn labels_are_replaced() {
    let logs = source(&[(&[("app", "a"), ("host", "web-1.example")], &["x"]), (&[("app", "b")], &["x", "y"])]);
    let of = |call: &str| vector(&logs, &format!("label_replace(count_over_time({{app=~`.+`}}[1m]), {call})"));
    let rest = r#"{app="b"} 2"#;
    assert_eq!(
        of(r#""short", "$1", "host", "(.*?)\\..*""#),
        [r#"{app="a", host="web-1.example", short="web-1"} 1"#, rest]
    );
    assert_eq!(
        of(r#""short", "${n}!", "host", "(?P<n>web)-.*""#)[0],
        r#"{app="a", host="web-1.example", short="web!"} 1"#
    );
    // The expression is anchored: no match, no change.
    assert_eq!(of(r#""short", "$1", "host", "(web)""#), [r#"{app="a", host="web-1.example"} 1"#, rest]);
    // An empty value takes the label away; a missing source is empty.
    assert_eq!(of(r#""host", "", "host", ".*""#), [r#"{app="a"} 1"#, rest]);
    assert_eq!(
        of(r#""all", "yes", "none", "")"#.trim_end_matches(')')),
        [r#"{all="yes", app="a", host="web-1.example"} 1"#, r#"{all="yes", app="b"} 2"#]
    );
}

#[test]
fn variants_are_told_apart_by_their_number() {
    let logs = source(&[(&[("app", "a")], &["one", "three"]), (&[("app", "b")], &["four"])]);
    let text = "variants(count_over_time({app=~`.+`}[1m]), bytes_over_time({app=~`.+`}[1m])) of ({app=~`.+`}[1m])";
    assert_eq!(
        vector(&logs, text),
        [
            r#"{__variant__="0", app="a"} 2"#,
            r#"{__variant__="0", app="b"} 1"#,
            r#"{__variant__="1", app="a"} 8"#,
            r#"{__variant__="1", app="b"} 4"#,
        ]
    );
    let off = ask(&logs, text, |params| params.variants = false).expect_err("switched off").to_string();
    assert!(off.contains("multi variant queries are disabled"), "{off}");
}

#[test]
fn labels_stay_in_their_categories_if_asked() {
    let mut logs = MemorySource::new();
    let metadata = Metadata::from_pairs([("trace", "t1"), ("app", "clash")]).expect("valid");
    let entry =
        |line: &str| Entry { metadata: metadata.clone(), ..Entry::new(Timestamp::from_secs(1), line.to_owned()) };
    logs.push(&labels(&[("app", "a")]), entry("level=info n=1"));
    logs.push(&labels(&[("app", "a")]), entry("level=warn n=2"));
    let rows = |categorize: bool| {
        let answer = ask(&logs, "{app=`a`} | logfmt", |params| params.categorize = categorize).expect("answers");
        let Data::Streams(streams) = answer.data else { panic!("not lines") };
        let mut out = Vec::new();
        for stream in &streams {
            for entry in &stream.entries {
                let pairs = |pairs: &narvi_types::Pairs| {
                    pairs.iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(" ")
                };
                out.push(format!("{} | {} | {}", stream.labels, pairs(&entry.structured), pairs(&entry.parsed)));
            }
        }
        out.sort();
        (streams.len(), out)
    };
    assert_eq!(
        rows(false),
        (
            2,
            vec![
                r#"{app="a", app_extracted="clash", level="info", n="1", trace="t1"} |  | "#.to_owned(),
                r#"{app="a", app_extracted="clash", level="warn", n="2", trace="t1"} |  | "#.to_owned(),
            ]
        )
    );
    assert_eq!(
        rows(true),
        (
            1,
            vec![
                r#"{app="a"} | app_extracted=clash trace=t1 | level=info n=1"#.to_owned(),
                r#"{app="a"} | app_extracted=clash trace=t1 | level=warn n=2"#.to_owned(),
            ]
        )
    );
}

#[test]
fn a_sample_with_an_error_fails_the_query_unless_it_is_dealt_with() {
    let logs = source(&[(&[("app", "a")], &[r#"{"n":1}"#, "no json", r#"{"n":"many"}"#])]);
    let failed = |text: &str| {
        let text = failure(&logs, text);
        assert!(text.starts_with("pipeline error: '"), "{text}");
        text.split('\'').nth(1).expect("the error").to_owned()
    };
    assert_eq!(failed("count_over_time({app=`a`} | json [1m])"), "JSONParserErr");
    assert_eq!(failed("sum_over_time({app=`a`} |= `n\"` | json | unwrap n [1m])"), "SampleExtractionErr");
    // The line that is no JSON has no n, and is dropped by the filter.
    assert_eq!(failed("sum by (n) (count_over_time({app=`a`} | json | n > 5 [1m]))"), "LabelFilterErr");
    let counts = |text: &str| vector(&logs, text);
    assert_eq!(
        counts("sum by (n) (count_over_time({app=`a`} | json | __error__=`` [1m]))"),
        [r#"{n="1"} 1"#, r#"{n="many"} 1"#]
    );
    assert_eq!(counts("sum(count_over_time({app=`a`} | json | drop __error__, __error_details__ [1m]))"), ["{} 3"]);
    assert_eq!(
        counts("sum by (__error__) (count_over_time({app=`a`} | json [1m]))"),
        ["{} 2", r#"{__error__="JSONParserErr"} 1"#]
    );
    // No label is wanted, so nothing is parsed.
    assert_eq!(counts("sum(count_over_time({app=`a`} | json [1m]))"), ["{} 3"]);
    // Lines are given with what was wrong with them.
    let answer = ask(&logs, "{app=`a`} |= `no json` | json", |_| ()).expect("answers");
    let Data::Streams(streams) = answer.data else { panic!("not lines") };
    assert_eq!(streams[0].labels.get("__error__"), Some("JSONParserErr"));
    assert!(streams[0].labels.get("__error_details__").is_some());
}

/// Of two parts one cannot be opened.
struct HalfBroken(MemorySource);

struct BrokenPart(Vec<Segment>, TimeRange);

impl Part for BrokenPart {
    fn range(&self) -> TimeRange {
        self.1
    }

    fn segments(&self) -> &[Segment] {
        &self.0
    }

    fn open(&self, _: &Budget) -> Result<Box<dyn Batch + '_>, SourceError> {
        Err(SourceError::Corrupt("pack 7: the checksum of frame 3 does not fit".into()))
    }
}

impl Source for HalfBroken {
    fn parts(&self, request: &ScanRequest, budget: &Budget) -> Result<Vec<Box<dyn Part>>, SourceError> {
        let mut parts = self.0.parts(request, budget)?;
        let broken = parts.iter().map(|part| {
            let mut segments = part.segments().to_vec();
            // Its rows have to be looked at.
            segments.iter_mut().for_each(|segment| segment.exact = false);
            Box::new(BrokenPart(segments, part.range())) as Box<dyn Part>
        });
        let broken: Vec<_> = broken.collect();
        parts.extend(broken);
        Ok(parts)
    }
}

#[test]
fn what_cannot_be_read_is_left_out_and_said() {
    let logs = HalfBroken(source(&[(&[("app", "a")], &["one", "two"])]));
    let warning = ["some data could not be read and is left out: pack 7: the checksum of frame 3 does not fit"];
    let lines = ask(&logs, "{app=`a`}", |_| ()).expect("answers");
    let Data::Streams(streams) = &lines.data else { panic!("not lines") };
    assert_eq!((streams[0].entries.len(), &lines.warnings[..]), (2, &warning.map(str::to_owned)[..]));
    let count = ask(&logs, "sum(count_over_time({app=`a`} |= `o` [1m]))", |_| ()).expect("answers");
    let Data::Vector(samples) = &count.data else { panic!("not a vector") };
    assert_eq!((samples[0].value, &count.warnings[..]), (2.0, &warning.map(str::to_owned)[..]));
}
