//! Fields of lines, found by looking at a sample: their names, types, and how many values they have.

mod kind;

use std::collections::{BTreeMap, HashMap, HashSet};

use narvi::{
    Entry, Selector, Timestamp,
    logql::{
        self, Budget, Data, Inline, Params, Query, StreamResult,
        ast::{Expr, LogExpr, Stage},
        memory::MemorySource,
    },
};
use serde_json::Value;

pub(crate) use self::kind::Kind;

/// What is known of one field.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// Its values, in the order found.
    pub(crate) values: Vec<String>,
    /// The parsers that give it; none for structured metadata.
    pub(crate) parsers: Vec<&'static str>,
    /// Where it lies in a JSON line.
    pub(crate) json_path: Vec<String>,
    known: HashSet<String>,
}

/// The parsers that a query names.
pub(crate) fn parsers(log: &LogExpr) -> Vec<&'static str> {
    let mut names = Vec::new();
    for stage in &log.stages {
        let name = match stage {
            Stage::Json(_) => "json",
            Stage::Logfmt { .. } => "logfmt",
            Stage::Regexp(_) => "regexp",
            Stage::Pattern(_) => "pattern",
            Stage::Unpack => "unpack",
            _ => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Fields in the order in which they are found, at most so many.
#[derive(Debug)]
pub(crate) struct Fields {
    fields: Vec<Field>,
    by_name: HashMap<String, usize>,
    most: usize,
}

impl Fields {
    pub(crate) fn new(most: usize) -> Self {
        Self { fields: Vec::new(), by_name: HashMap::new(), most }
    }

    pub(crate) fn all(&self) -> &[Field] {
        &self.fields
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Field> {
        self.by_name.get(name).and_then(|at| self.fields.get(*at))
    }

    fn add(&mut self, name: &str, value: &str, parser: Option<&'static str>, path: impl FnOnce() -> Vec<String>) {
        if matches!(name, "__error__" | "__error_details__" | "__preserve_error__") {
            return;
        }
        let at = match self.by_name.get(name) {
            Some(at) => *at,
            None if self.fields.len() >= self.most => return,
            None => {
                self.by_name.insert(name.to_owned(), self.fields.len());
                self.fields.push(Field {
                    name: name.to_owned(),
                    kind: Kind::of(value),
                    values: Vec::new(),
                    parsers: Vec::new(),
                    json_path: Vec::new(),
                    known: HashSet::new(),
                });
                self.fields.len() - 1
            }
        };
        let field = &mut self.fields[at];
        if let Some(parser) = parser
            && !field.parsers.contains(&parser)
        {
            field.parsers.push(parser);
        }
        if parser == Some("json") && field.json_path.is_empty() {
            field.json_path = path();
        }
        if field.known.insert(value.to_owned()) {
            field.values.push(value.to_owned());
        }
    }

    /// Adds the fields of sampled lines: their structured metadata, what the query's own parsers gave and, without
    /// such, what JSON or else logfmt gives.
    pub(crate) fn add_lines(&mut self, streams: &[StreamResult], parsers: &[&'static str]) -> Result<(), logql::Error> {
        for stream in streams {
            for entry in &stream.entries {
                entry.structured.iter().for_each(|(name, value)| self.add(name, value, None, Vec::new));
                if parsers.is_empty() {
                    continue;
                }
                let paths = match parsers.contains(&"json") {
                    true => json_paths(&entry.line),
                    false => BTreeMap::new(),
                };
                for (name, value) in entry.parsed.iter() {
                    for parser in parsers {
                        self.add(name, value, Some(parser), || path_of(&paths, name));
                    }
                }
            }
        }
        if parsers.is_empty() { self.parse_lines(streams) } else { Ok(()) }
    }

    fn parse_lines(&mut self, streams: &[StreamResult]) -> Result<(), logql::Error> {
        let rest = self.parse_with("json", Stage::Json(Vec::new()), streams)?;
        let logfmt = Stage::Logfmt { strict: false, keep_empty: false, extractions: Vec::new() };
        self.parse_with("logfmt", logfmt, &rest)?;
        Ok(())
    }

    /// Adds what a parser finds; gives the lines that it failed on.
    fn parse_with(
        &mut self,
        parser: &'static str,
        stage: Stage,
        streams: &[StreamResult],
    ) -> Result<Vec<StreamResult>, logql::Error> {
        let mut source = MemorySource::new();
        let mut number = 0;
        for stream in streams {
            for entry in &stream.entries {
                // The time tells the lines apart: equal ones would be answered once.
                let mut row = Entry::new(Timestamp::from_ns(number), entry.line.clone());
                row.metadata = entry.structured.clone();
                source.push(&stream.labels, row);
                number += 1;
            }
        }
        let log = LogExpr { selector: Selector::new(Vec::new()), stages: vec![stage] };
        let mut params = Params::range(0, number, 0);
        params.limit = None;
        params.categorize = true;
        let answer = logql::evaluate(&Query::new(Expr::Log(log), params), &source, &Inline, &Budget::unlimited())?;
        let Data::Streams(found) = answer.data else { return Ok(Vec::new()) };
        let mut failed = Vec::new();
        for mut stream in found {
            let (bad, good): (Vec<_>, Vec<_>) =
                stream.entries.into_iter().partition(|entry| entry.parsed.get("__error__").is_some());
            for entry in &good {
                let paths = if parser == "json" { json_paths(&entry.line) } else { BTreeMap::new() };
                for (name, value) in entry.parsed.iter() {
                    self.add(name, value, Some(parser), || path_of(&paths, name));
                }
            }
            stream.entries = bad;
            failed.push(stream);
        }
        Ok(failed)
    }
}

fn path_of(paths: &BTreeMap<String, Vec<String>>, name: &str) -> Vec<String> {
    let found = paths.get(name).or_else(|| paths.get(name.strip_suffix("_extracted")?));
    found.cloned().unwrap_or_default()
}

/// For each label that the `json` stage makes of a line, the keys that lead to it.
fn json_paths(line: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut paths = BTreeMap::new();
    if let Ok(Value::Object(object)) = serde_json::from_slice(line) {
        walk(&object, &mut Vec::new(), &mut paths);
    }
    paths
}

fn walk(object: &serde_json::Map<String, Value>, above: &mut Vec<String>, paths: &mut BTreeMap<String, Vec<String>>) {
    for (key, value) in object {
        above.push(key.clone());
        match value {
            Value::Object(inner) => walk(inner, above, paths),
            Value::Array(_) | Value::Null => {}
            _ => {
                let parts: Vec<String> = above.iter().map(|key| sanitize(key)).filter(|key| !key.is_empty()).collect();
                let mut name = parts.join("_");
                if name.starts_with(|c: char| c.is_ascii_digit()) {
                    name.insert(0, '_');
                }
                paths.entry(name).or_insert_with(|| above.clone());
            }
        }
        above.pop();
    }
}

/// As the `json` stage makes a label's name of a key.
fn sanitize(key: &str) -> String {
    key.trim().chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use narvi::{
        Labels, Metadata,
        logql::{ResultEntry, StreamResult},
    };

    use super::{Fields, Kind, json_paths};

    fn stream(lines: &[&str]) -> Vec<StreamResult> {
        let entries = lines.iter().map(|line| ResultEntry {
            line: Bytes::copy_from_slice(line.as_bytes()),
            structured: Metadata::from_pairs([("trace", "t1")]).expect("valid"),
            ..ResultEntry::default()
        });
        let labels = Labels::from_pairs([("app", "x")]).expect("valid");
        vec![StreamResult { labels, entries: entries.collect() }]
    }

    #[test]
    fn json_comes_first_then_logfmt() {
        let mut fields = Fields::new(10);
        let lines = stream(&[r#"{"a":{"b-c":1},"app":"y"}"#, "dur=5ms a=2", "plain words", r#"{"a":{"b-c":7}}"#]);
        fields.add_lines(&lines, &[]).expect("parses");
        let shown: Vec<_> = fields
            .all()
            .iter()
            .map(|f| format!("{} {} {:?} {:?} {:?}", f.name, f.kind.name(), f.values, f.parsers, f.json_path))
            .collect();
        let mut sorted = shown.clone();
        sorted.sort();
        assert_eq!(
            sorted,
            [
                r#"a int ["2"] ["logfmt"] []"#,
                r#"a_b_c int ["7", "1"] ["json"] ["a", "b-c"]"#,
                r#"app_extracted string ["y"] ["json"] ["app"]"#,
                r#"dur duration ["5ms"] ["logfmt"] []"#,
                r#"trace string ["t1"] [] []"#,
            ]
        );
        assert_eq!(fields.get("dur").map(|f| f.kind), Some(Kind::Duration));
        assert!(fields.get("none").is_none());
    }

    #[test]
    fn there_are_at_most_so_many() {
        let mut fields = Fields::new(2);
        fields.add_lines(&stream(&["a=1 b=2 c=3"]), &[]).expect("parses");
        assert_eq!(fields.all().len(), 2);
    }

    #[test]
    fn paths_name_the_keys() {
        let paths = json_paths(br#"{"9bad":1,"x":{"y z":true,"":{"k":2}},"list":[1],"no":null}"#);
        let shown: Vec<_> = paths.iter().map(|(name, path)| format!("{name} {path:?}")).collect();
        assert_eq!(shown, [r#"_9bad ["9bad"]"#, r#"x_k ["x", "", "k"]"#, r#"x_y_z ["x", "y z"]"#]);
        assert!(json_paths(b"no json").is_empty());
    }
}
