//! Pipelines against a model: one line at a time, labels in a list, every stage written straight from its description.

use std::collections::BTreeMap;

use narvi_logql::{
    Batch, Budget, LabelNeeds, Lines, MetadataColumn, Needs, Pipeline, Segment, SourceError, ValueNeeds,
    ast::{CompareOp, Comparison, LabelFilter, LabelFormat, LineFilter, LineMatch, LineOperand, NameOrMatcher, Stage},
};
use narvi_types::{
    Labels, MatchOp, Matcher, Metadata, TimeRange,
    regex::{Regex, RegexOptions},
};
use proptest::{collection::vec, prelude::*, sample::select};

struct Rows {
    times: Vec<i64>,
    buffer: Vec<u8>,
    starts: Vec<u32>,
    lengths: Vec<u32>,
    metadata: MetadataColumn,
}

impl Batch for Rows {
    fn timestamps(&self) -> Result<&[i64], SourceError> {
        Ok(&self.times)
    }
    fn lengths(&self) -> Result<&[u32], SourceError> {
        Ok(&self.lengths)
    }
    fn lines(&self) -> Result<Lines<'_>, SourceError> {
        Ok(Lines { buffer: &self.buffer, starts: &self.starts, lengths: &self.lengths, contiguous: true })
    }
    fn metadata(&self) -> Result<Option<&MetadataColumn>, SourceError> {
        Ok(Some(&self.metadata))
    }
    fn dead_rows(&self) -> Result<&[u32], SourceError> {
        Ok(&[])
    }
}

fn stream() -> Labels {
    Labels::from_pairs([("app", "a"), ("s", "stream")]).expect("valid")
}

fn metadata_sets() -> Vec<Metadata> {
    let sets = [&[][..], &[("m", "meta")], &[("app", "meta-app"), ("t", "1")]];
    sets.iter().map(|s| Metadata::from_pairs(s.iter().copied()).expect("valid")).collect()
}

type Row = (u32, Vec<u8>, Vec<(String, String)>);

/// What the pipeline makes of the lines; line `n` has the structured metadata `n % 3`.
fn real(stages: &[Stage], lines: &[Vec<u8>]) -> Vec<Row> {
    let mut rows = Rows {
        times: (0..lines.len() as i64).collect(),
        buffer: Vec::new(),
        starts: Vec::new(),
        lengths: Vec::new(),
        metadata: MetadataColumn { sets: metadata_sets(), ids: (0..lines.len() as u32).map(|n| n % 3).collect() },
    };
    for line in lines {
        rows.starts.push(rows.buffer.len() as u32);
        rows.lengths.push(line.len() as u32);
        rows.buffer.extend_from_slice(line);
    }
    let mut segment = Segment::new(stream(), 0..lines.len() as u32, TimeRange::ALL, rows.buffer.len() as u64);
    segment.metadata_keys = ["app", "m", "t"].map(Into::into).to_vec().into();
    let pipeline = Pipeline::compile(stages, None, &Needs::log(false)).expect("compiles");
    let mut runner = pipeline.runner(&Budget::unlimited()).expect("no limit");
    let mut out = Vec::new();
    runner
        .run(&rows, &segment, TimeRange::ALL, &mut |row| {
            out.push((row.row, row.line.to_vec(), row.series));
            Ok(())
        })
        .expect("runs");
    let labels = |id| runner.series(id).labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    out.into_iter().map(|(row, line, id)| (row, line, labels(id))).collect()
}

#[derive(Clone, Default)]
struct State {
    stream: BTreeMap<String, Vec<u8>>,
    structured: BTreeMap<String, Vec<u8>>,
    parsed: BTreeMap<String, Vec<u8>>,
    /// The names of the stream, also those that are gone.
    base: Vec<String>,
    error: Option<&'static str>,
    line: Vec<u8>,
}

impl State {
    fn get(&self, name: &str) -> Option<&Vec<u8>> {
        if name == "__error__" {
            return None;
        }
        self.parsed.get(name).or_else(|| self.structured.get(name)).or_else(|| self.stream.get(name))
    }
    fn set(&mut self, name: &str, value: Vec<u8>) {
        self.stream.remove(name);
        self.structured.remove(name);
        self.parsed.insert(name.to_owned(), value);
    }
    fn delete(&mut self, name: &str) {
        self.stream.remove(name);
        self.structured.remove(name);
        self.parsed.remove(name);
    }
    fn target(&self, name: &str) -> String {
        let taken = self.base.iter().any(|b| b == name) || self.structured.contains_key(name);
        if taken { format!("{name}_extracted") } else { name.to_owned() }
    }
}

/// The labels of parsers, with the filter that refuses a line early.
struct Extract<'f> {
    early: Vec<(String, &'f LabelFilter)>,
}

struct Refused;

impl Extract<'_> {
    fn found(&self, state: &mut State, name: &str, value: Vec<u8>, overwrite: bool) -> Result<(), Refused> {
        if name.is_empty() {
            return Ok(());
        }
        let target = state.target(name);
        if state.parsed.contains_key(&target) && !overwrite {
            return Ok(());
        }
        state.set(&target, value);
        match self.early.iter().find(|(n, _)| *n == target) {
            Some((_, filter)) if !label_filter(filter, state) => Err(Refused),
            _ => Ok(()),
        }
    }
}

fn model(stages: &[Stage], lines: &[Vec<u8>]) -> Vec<Row> {
    let sets = metadata_sets();
    let mut out = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let mut state = State { line: line.clone(), ..State::default() };
        for (name, value) in stream().iter() {
            state.stream.insert(name.to_owned(), value.into());
            state.base.push(name.to_owned());
        }
        for (name, value) in sets[number % 3].iter() {
            let name = state.target(name);
            state.structured.insert(name, value.into());
        }
        if !run(stages, &mut state) {
            continue;
        }
        let mut labels: BTreeMap<String, String> = BTreeMap::new();
        let text = |v: &Vec<u8>| -> String {
            let parts = v.utf8_chunks().map(|c| c.valid().to_owned() + &"\u{fffd}".repeat(c.invalid().len()));
            parts.collect()
        };
        for part in [&state.stream, &state.structured, &state.parsed] {
            labels.extend(part.iter().map(|(n, v)| (n.clone(), text(v))));
        }
        if let Some(error) = state.error {
            labels.insert("__error__".into(), error.into());
        }
        out.push((number as u32, state.line, labels.into_iter().collect()));
    }
    out
}

fn run(stages: &[Stage], state: &mut State) -> bool {
    let mut ordered: Vec<&Stage> = Vec::new();
    let (mut filters, mut others): (Vec<&Stage>, Vec<&Stage>) = Default::default();
    for stage in stages {
        match stage {
            Stage::LineFilter(_) => filters.push(stage),
            Stage::LabelFilter(_) | Stage::LineFormat(_) | Stage::Unpack => {
                ordered.append(&mut filters);
                ordered.append(&mut others);
                ordered.push(stage);
            }
            _ => others.push(stage),
        }
    }
    ordered.append(&mut filters);
    ordered.append(&mut others);
    let mut early: Vec<(String, &LabelFilter)> = Vec::new();
    let mut parsed = false;
    for stage in &ordered {
        parsed |= matches!(stage, Stage::Json(_) | Stage::Logfmt { .. } | Stage::Regexp(_) | Stage::Pattern(_));
        if let (Stage::LabelFilter(filter), true) = (stage, parsed) {
            let name = match filter {
                LabelFilter::String(m) => m.name().to_owned(),
                LabelFilter::Number(c) => c.name.clone(),
                _ => continue,
            };
            if early.iter().all(|(n, _)| *n != name) {
                early.push((name, filter));
            }
        }
    }
    let extract = Extract { early };
    for stage in ordered {
        let kept = match stage {
            Stage::LineFilter(filter) => line_filter(filter, &state.line),
            Stage::Json(_) => json(state, &extract).is_ok(),
            Stage::Logfmt { strict, keep_empty, .. } => logfmt(state, &extract, *strict, *keep_empty).is_ok(),
            Stage::Regexp(pattern) => regexp(state, &extract, pattern).is_ok(),
            Stage::LabelFilter(filter) => label_filter(filter, state),
            Stage::LineFormat(text) => {
                let name = text.trim_matches(|c| "{}.".contains(c));
                state.line = state.get(name).cloned().unwrap_or_default();
                true
            }
            Stage::LabelFormat(list) => {
                for format in list {
                    if let LabelFormat::Rename { to, from } = format
                        && let Some(value) = state.get(from).cloned()
                    {
                        state.set(to, value);
                        state.delete(from);
                    }
                }
                true
            }
            Stage::Drop(items) => {
                for item in items {
                    drop_item(item, state);
                }
                true
            }
            Stage::Keep(items) => {
                let names: Vec<&str> = items
                    .iter()
                    .filter_map(|i| match i {
                        NameOrMatcher::Name(n) => Some(n.as_str()),
                        NameOrMatcher::Matcher(_) => None,
                    })
                    .collect();
                for part in [&mut state.stream, &mut state.structured, &mut state.parsed] {
                    part.retain(|n, _| names.contains(&n.as_str()));
                }
                true
            }
            _ => unreachable!("not generated"),
        };
        if !kept {
            return false;
        }
    }
    true
}

fn drop_item(item: &NameOrMatcher, state: &mut State) {
    match item {
        NameOrMatcher::Name(name) if name == "__error__" => state.error = None,
        NameOrMatcher::Name(name) => state.delete(name),
        NameOrMatcher::Matcher(m) => {
            let value = state.get(m.name()).map(|v| String::from_utf8_lossy(v).into_owned());
            if value.is_some_and(|v| m.matches(&v)) {
                state.delete(m.name());
            }
        }
    }
}

fn line_filter(filter: &LineFilter, line: &[u8]) -> bool {
    let contains = |v: &[u8]| v.is_empty() || line.windows(v.len()).any(|w| w == v);
    let regex =
        |v: &[u8]| Regex::new(&String::from_utf8_lossy(v), RegexOptions::LINE).expect("compiles").is_match(line);
    let mut values = filter.operands.iter().map(|o| o.value.as_slice());
    match filter.op {
        LineMatch::Contains => values.any(contains),
        LineMatch::NotContains => !values.any(contains),
        LineMatch::Regex => values.any(regex),
        LineMatch::NotRegex => !values.any(regex),
        LineMatch::Pattern | LineMatch::NotPattern => unreachable!("not generated"),
    }
}

fn label_filter(filter: &LabelFilter, state: &mut State) -> bool {
    match filter {
        LabelFilter::String(m) if m.name() == "__error__" => m.matches(state.error.unwrap_or("")),
        LabelFilter::String(m) => {
            let value = state.get(m.name()).map_or_else(String::new, |v| String::from_utf8_lossy(v).into_owned());
            m.matches(&value)
        }
        LabelFilter::Number(c) => {
            let Some(value) = state.get(&c.name) else { return false };
            match std::str::from_utf8(value).ok().and_then(|v| v.parse::<f64>().ok()) {
                Some(value) => value > c.value,
                None => {
                    state.error.get_or_insert("LabelFilterErr");
                    true
                }
            }
        }
        _ => unreachable!("not generated"),
    }
}

fn regexp(state: &mut State, extract: &Extract<'_>, pattern: &str) -> Result<(), Refused> {
    let regex = Regex::new(pattern, RegexOptions::LINE).expect("compiles");
    let mut groups = regex.groups();
    if !regex.captures(&state.line.clone(), &mut groups) {
        return Ok(());
    }
    for (index, name) in regex.capture_names().iter().enumerate() {
        if let Some(name) = name {
            let value = groups.get(index).map_or_else(Vec::new, |r| state.line[r].to_vec());
            extract.found(state, name, value, false)?;
        }
    }
    Ok(())
}

/// Spaces for what is not UTF-8.
fn clean(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in value.utf8_chunks() {
        out.extend(chunk.valid().replace('\u{fffd}', " ").bytes());
        out.extend(chunk.invalid().iter().map(|_| b' '));
    }
    out
}

fn sanitise(prefix: &str, key: &[u8]) -> String {
    let key: String = key
        .utf8_chunks()
        .flat_map(|c| {
            let valid: Vec<char> = c.valid().chars().collect();
            valid.into_iter().chain(c.invalid().iter().map(|_| '\u{fffd}'))
        })
        .collect();
    let key = key.trim();
    let word: String = key.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect();
    match (prefix, word.as_str()) {
        (prefix, "") => prefix.to_owned(),
        ("", word) if word.starts_with(|c: char| c.is_ascii_digit()) => format!("_{word}"),
        ("", word) => word.to_owned(),
        (prefix, word) => format!("{prefix}_{word}"),
    }
}

enum Stop {
    Refused,
    Malformed,
}

fn json(state: &mut State, extract: &Extract<'_>) -> Result<(), Refused> {
    let line = state.line.clone();
    match object(&line, "", state, extract) {
        Ok(()) => Ok(()),
        Err(Stop::Refused) => Err(Refused),
        Err(Stop::Malformed) => {
            state.error = Some("JSONParserErr");
            Ok(())
        }
    }
}

fn object(text: &[u8], prefix: &str, state: &mut State, extract: &Extract<'_>) -> Result<(), Stop> {
    let space = |mut at: usize| {
        while at < text.len() && b" \t\r\n".contains(&text[at]) {
            at += 1;
        }
        at
    };
    let mut at = space(0);
    if text.get(at) != Some(&b'{') {
        return Err(Stop::Malformed);
    }
    at = space(at + 1);
    loop {
        match text.get(at) {
            Some(b'}') => return Ok(()),
            Some(b'"') => {}
            _ => return Err(Stop::Malformed),
        }
        let end = quote_end(text, at + 1).ok_or(Stop::Malformed)?;
        let key = unescape(&text[at + 1..end]).ok_or(Stop::Malformed)?;
        at = space(end + 1);
        if text.get(at) != Some(&b':') {
            return Err(Stop::Malformed);
        }
        at = space(at + 1);
        let name = sanitise(prefix, &key);
        let found = |state: &mut State, v: Vec<u8>| extract.found(state, &name, v, false).map_err(|_| Stop::Refused);
        match text.get(at) {
            None => return Err(Stop::Malformed),
            Some(b'"') => {
                let end = quote_end(text, at + 1).ok_or(Stop::Malformed)?;
                found(state, clean(&unescape(&text[at + 1..end]).unwrap_or_default()))?;
                at = end + 1;
            }
            Some(b'{') => {
                let end = block(text, at, b'{', b'}').ok_or(Stop::Malformed)?;
                object(&text[at..end], &name, state, extract)?;
                at = end;
            }
            Some(b'[') => at = block(text, at, b'[', b']').ok_or(Stop::Malformed)?,
            Some(first) => {
                let end = text[at..].iter().position(|b| b" \t\r\n,}]".contains(b)).map_or(text.len(), |n| at + n);
                match (first, &text[at..end]) {
                    (b'n', b"null") => {}
                    (b't', b"true") | (b'f', b"false") | (b'0'..=b'9' | b'-', _) => {
                        found(state, clean(&text[at..end]))?;
                    }
                    _ => return Err(Stop::Malformed),
                }
                at = end;
            }
        }
        at = space(at);
        match text.get(at) {
            Some(b'}') => return Ok(()),
            Some(b',') => at = space(at + 1),
            _ => return Err(Stop::Malformed),
        }
    }
}

fn quote_end(text: &[u8], mut at: usize) -> Option<usize> {
    while *text.get(at)? != b'"' {
        at += if text[at] == b'\\' { 2 } else { 1 };
    }
    Some(at)
}

fn block(text: &[u8], mut at: usize, open: u8, close: u8) -> Option<usize> {
    let mut depth = 0;
    loop {
        let byte = *text.get(at)?;
        if byte == b'"' {
            at = quote_end(text, at + 1)?;
        } else if byte == open {
            depth += 1;
        } else if byte == close {
            depth -= 1;
            if depth == 0 {
                return Some(at + 1);
            }
        }
        at += 1;
    }
}

/// The escapes that generated lines may hold; `\q` is bad.
fn unescape(raw: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < raw.len() {
        if raw[at] != b'\\' {
            out.push(raw[at]);
            at += 1;
            continue;
        }
        match raw.get(at + 1)? {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'r' => out.push(b'\r'),
            c @ (b'"' | b'\\' | b'/') => out.push(*c),
            b'u' if raw.get(at + 2..at + 6) == Some(b"00e9") => {
                out.extend("\u{e9}".bytes());
                at += 4;
            }
            _ => return None,
        }
        at += 2;
    }
    Some(out)
}

fn logfmt(state: &mut State, extract: &Extract<'_>, strict: bool, keep_empty: bool) -> Result<(), Refused> {
    let line = state.line.clone();
    let mut at = 0;
    while at < line.len() {
        if line[at] <= b' ' {
            at += 1;
            continue;
        }
        let (pair, next) = pair(&line, at);
        at = next;
        match pair {
            Some((key, value)) if keep_empty || !value.is_empty() => {
                extract.found(state, &sanitise("", &key), clean(&value), false)?;
            }
            None if strict => {
                state.error = Some("LogfmtParserErr");
                return Ok(());
            }
            _ => {}
        }
    }
    Ok(())
}

type Pair = (Vec<u8>, Vec<u8>);

/// A pair, if it is well formed, and where to go on.
fn pair(line: &[u8], start: usize) -> (Option<Pair>, usize) {
    let word_end = |from: usize| line[from..].iter().position(|b| *b <= b' ').map_or(line.len(), |n| from + n);
    let ends_key = |b: &u8| *b <= b' ' || *b == b'=' || *b == b'"';
    let key_end = line[start..].iter().position(ends_key).map_or(line.len(), |n| start + n);
    let key = line[start..key_end].to_vec();
    let valid = std::str::from_utf8(&key).is_ok_and(|k| !k.contains('\u{fffd}'));
    match line.get(key_end) {
        Some(b'"') => return (None, word_end(key_end)),
        Some(b'=') if key.is_empty() => return (None, word_end(key_end)),
        _ if !valid => return (None, word_end(key_end)),
        Some(b'=') => {}
        _ => return (Some((key, Vec::new())), key_end),
    }
    let from = key_end + 1;
    match line.get(from) {
        Some(b'"') => {
            let Some(end) = quote_end(line, from + 1) else { return (None, line.len()) };
            let raw = &line[from + 1..end];
            let value = if raw.contains(&b'\\') {
                let control = raw.iter().any(|b| *b < b' ');
                unescape(raw).filter(|_| !control)
            } else {
                Some(raw.to_vec())
            };
            (value.map(|v| (key, v)), end + 1)
        }
        Some(b) if *b > b' ' => {
            let end = word_end(from);
            let bad = line[from..end].iter().any(|b| *b == b'=' || *b == b'"');
            (if bad { None } else { Some((key, line[from..end].to_vec())) }, end)
        }
        _ => (Some((key, Vec::new())), from),
    }
}

fn name() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "c", "a_b", "app", "s", "m", "t", "a_extracted", "app_extracted"]).prop_map(str::to_owned)
}

fn line_stage() -> impl Strategy<Value = Stage> {
    let op = select(vec![LineMatch::Contains, LineMatch::NotContains, LineMatch::Regex, LineMatch::NotRegex]);
    let value = select(vec!["a", "1", "\"b\":", "=x", "(?i)ERR", "a.b", "x|y"]);
    (op, vec(value, 1..3)).prop_map(|(op, values)| {
        let operands = values.into_iter().map(|v| LineOperand { value: v.into(), ip: false }).collect();
        Stage::LineFilter(LineFilter { op, operands })
    })
}

fn stage() -> impl Strategy<Value = Stage> {
    let string = || {
        let op = select(vec![MatchOp::Equal, MatchOp::NotEqual]);
        let value = select(vec!["", "1", "x", "meta", "stream"]);
        (name(), op, value).prop_map(|(n, op, v)| Matcher::new(n, op, v).expect("compiles"))
    };
    let number = name().prop_map(|name| Comparison { name, op: CompareOp::Greater, value: 0.5 });
    prop_oneof![
        2 => line_stage(),
        4 => Just(Stage::Json(Vec::new())),
        4 => (any::<bool>(), any::<bool>())
            .prop_map(|(strict, keep_empty)| Stage::Logfmt { strict, keep_empty, extractions: Vec::new() }),
        1 => Just(Stage::Regexp(r"(?P<a>\w+)[=:](?P<b>\S*)".into())),
        3 => string().prop_map(|m| Stage::LabelFilter(LabelFilter::String(m))),
        1 => number.prop_map(|c| Stage::LabelFilter(LabelFilter::Number(c))),
        1 => select(vec![MatchOp::Equal, MatchOp::NotEqual]).prop_map(|op| {
            Stage::LabelFilter(LabelFilter::String(Matcher::new("__error__", op, "").expect("compiles")))
        }),
        1 => name().prop_map(|n| Stage::LineFormat(format!("{{{{.{n}}}}}"))),
        1 => (name(), name()).prop_map(|(to, from)| Stage::LabelFormat(vec![LabelFormat::Rename { to, from }])),
        1 => vec(name(), 1..3).prop_map(|n| Stage::Drop(n.into_iter().map(NameOrMatcher::Name).collect())),
        1 => string().prop_map(|m| Stage::Drop(vec![NameOrMatcher::Matcher(m)])),
        1 => Just(Stage::Drop(vec![NameOrMatcher::Name("__error__".into())])),
        1 => vec(name(), 1..4).prop_map(|n| Stage::Keep(n.into_iter().map(NameOrMatcher::Name).collect())),
    ]
}

/// JSON, logfmt, pieces of either, and bytes that are no text.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let piece = select(vec![
        "{",
        "}",
        "{\"a\":1",
        "\"a\":",
        "\"b\":",
        "\"c\":{",
        "\"app\":",
        "\"s\":\"line\"",
        "\"x\"",
        "1",
        "-2.50",
        "true",
        "null",
        "[1,{\"a\":2}]",
        "\"a\\n\\u00e9\"",
        "\"\\q\"",
        ",",
        ",",
        ":",
        " ",
        " ",
        "\"",
        "\"9 x\":",
        "\"\":",
        "\"a_b\":\"y\"",
        "tru",
        "a=1",
        "b=\"x y\"",
        "a=\"\\n\"",
        "app=line",
        "bare",
        "=",
        "c=",
        "m=line",
        "k=a=b",
        "t=\"",
        "error",
        "\\",
    ]);
    let bytes = vec(piece, 0..14).prop_map(|pieces| pieces.concat().into_bytes());
    let value = select(vec![
        "1",
        "\"x\"",
        "\"\"",
        "\"a\\\"b\"",
        "{\"b\":\"y\",\"c\":{\"a\":1}}",
        "[\"]\"]",
        "null",
        "\"caf\u{e9}\"",
    ]);
    let key = select(vec!["a", "b", "c", "app", "s", "m", "a-b", "a_b"]);
    let object = vec((key, value), 0..6).prop_map(|pairs| {
        let members: Vec<String> = pairs.iter().map(|(k, v)| format!("\"{k}\":{v}")).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    });
    let cut = (object.clone(), 0..60_usize).prop_map(|(mut o, n)| {
        o.truncate(n);
        o
    });
    let spoilt = (bytes.clone(), 0..60_usize, select(vec![0xff_u8, 0xc3, 0x80, 0x00])).prop_map(|(mut b, at, byte)| {
        let at = at.min(b.len());
        b.insert(at, byte);
        b
    });
    prop_oneof![3 => object, 1 => cut, 2 => bytes, 1 => spoilt]
}

fn without_details(rows: Vec<Row>) -> Vec<Row> {
    let keep = |labels: Vec<(String, String)>| labels.into_iter().filter(|(n, _)| n != "__error_details__").collect();
    rows.into_iter().map(|(row, line, labels)| (row, line, keep(labels))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn batches_give_what_single_lines_give(stages in vec(stage(), 0..6), lines in vec(line(), 0..12)) {
        prop_assert_eq!(without_details(real(&stages, &lines)), model(&stages, &lines));
    }

    /// Parsing less than everything gives the same groups where nothing is malformed.
    #[test]
    fn required_labels_are_enough(
        names in vec(name(), 0..3),
        lines in vec("(a=[01]|b=x|app=y|m=z)( (a=[01]|b=x|app=y|m=z)){0,3}", 1..12),
    ) {
        let stages = [Stage::Logfmt { strict: false, keep_empty: false, extractions: Vec::new() }];
        let lines: Vec<Vec<u8>> = lines.into_iter().map(String::into_bytes).collect();
        let needs = Needs::metric(LabelNeeds::By(names.clone()), ValueNeeds::One);
        let pipeline = Pipeline::compile(&stages, None, &needs).expect("compiles");
        let mut rows = Rows {
            times: (0..lines.len() as i64).collect(),
            buffer: lines.concat(),
            starts: Vec::new(),
            lengths: lines.iter().map(|l| l.len() as u32).collect(),
            metadata: MetadataColumn { sets: metadata_sets(), ids: (0..lines.len() as u32).map(|n| n % 3).collect() },
        };
        let mut at = 0;
        for line in &lines {
            rows.starts.push(at);
            at += line.len() as u32;
        }
        let mut segment = Segment::new(stream(), 0..lines.len() as u32, TimeRange::ALL, u64::from(at));
        segment.metadata_keys = ["app", "m", "t"].map(Into::into).to_vec().into();
        let mut runner = pipeline.runner(&Budget::unlimited()).expect("no limit");
        let mut ids = Vec::new();
        runner.run(&rows, &segment, TimeRange::ALL, &mut |row| { ids.push(row.series); Ok(()) }).expect("runs");
        let got: Vec<Vec<(String, String)>> = ids
            .iter()
            .map(|id| runner.series(*id).labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
            .collect();
        let expected: Vec<Vec<(String, String)>> = model(&stages, &lines)
            .into_iter()
            .map(|(_, _, labels)| labels.into_iter().filter(|(n, _)| names.contains(n)).collect())
            .collect();
        prop_assert_eq!(got, expected);
    }
}
