//! `narvi labels`, `narvi series` and `narvi stats`.

use std::io::{self, Write};

use narvi::{Selector, TimeRange, logql};
use serde_json::Value;

use crate::{
    cli::{LabelsArgs, RangeArgs, SeriesArgs, StatsArgs},
    client::Client,
    failure::{Failure, Outcome},
    place::Place,
    query::parse_failure,
    times,
};

pub(crate) fn labels(args: &LabelsArgs) -> Outcome {
    let range = times::range(&args.range)?;
    let found = match (Place::to_read(&args.place)?, &args.name) {
        (Place::Directory(db, tenant), None) => db.label_names(&tenant, &[], inside(range))?,
        (Place::Directory(db, tenant), Some(name)) => db.label_values(&tenant, name, &[], inside(range))?,
        (Place::Server(client), name) => {
            let path = name
                .as_ref()
                .map_or("/loki/api/v1/labels".to_owned(), |name| format!("/loki/api/v1/label/{name}/values"));
            strings(&ask(&client, &path, &args.range, &[])?["data"])
        }
    };
    print(found)
}

pub(crate) fn series(args: &SeriesArgs) -> Outcome {
    let range = times::range(&args.range)?;
    let selectors: Vec<Selector> = args.selectors.iter().map(|text| selector(text)).collect::<Outcome<_>>()?;
    let found: Vec<String> = match Place::to_read(&args.place)? {
        Place::Directory(db, tenant) => {
            db.series(&tenant, &selectors, inside(range))?.iter().map(ToString::to_string).collect()
        }
        Place::Server(client) => {
            let matches: Vec<_> = args.selectors.iter().map(|text| ("match[]", text.clone())).collect();
            let answer = ask(&client, "/loki/api/v1/series", &args.range, &matches)?;
            let sets = answer["data"].as_array().cloned().unwrap_or_default();
            sets.iter().map(label_set).collect()
        }
    };
    print(found)
}

pub(crate) fn stats(args: &StatsArgs) -> Outcome {
    let range = times::range(&args.range)?;
    let selector = selector(&args.selector)?;
    let [streams, blocks, entries, bytes] = match Place::to_read(&args.place)? {
        Place::Directory(db, tenant) => {
            let stats = db.stream_stats(&tenant, &selector, inside(range))?;
            [stats.streams, stats.blocks, stats.entries, stats.line_bytes]
        }
        Place::Server(client) => {
            let query = [("query", args.selector.clone())];
            let answer = ask(&client, "/loki/api/v1/index/stats", &args.range, &query)?;
            ["streams", "chunks", "entries", "bytes"].map(|name| answer[name].as_u64().unwrap_or(0))
        }
    };
    print([
        format!("streams {streams}"),
        format!("blocks  {blocks}"),
        format!("lines   {entries}"),
        format!("bytes   {bytes}"),
    ])
}

fn selector(text: &str) -> Outcome<Selector> {
    logql::parse_selector(text).map_err(|error| parse_failure(text, &error))
}

fn inside(range: times::Range) -> TimeRange {
    TimeRange::new(range.start, range.end.saturating_sub(i64::from(range.has_end)))
}

/// Asks a server; what the range leaves open goes from the beginning of Unix time to the far future.
pub(crate) fn ask(client: &Client, path: &str, range: &RangeArgs, more: &[(&str, String)]) -> Outcome<Value> {
    let range = times::range(range)?;
    let mut params = vec![("start", range.start.max(0).to_string()), ("end", range.end.to_string())];
    params.extend(more.iter().map(|(name, value)| (*name, value.clone())));
    client.get(path, &params)
}

fn strings(list: &Value) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// A set of labels as text.
pub(crate) fn label_set(set: &Value) -> String {
    let pairs = set.as_object().map(|set| set.iter()).into_iter().flatten();
    let pairs: Vec<_> = pairs.map(|(name, value)| format!("{name}={value}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn print(lines: impl IntoIterator<Item = String>) -> Outcome {
    let mut out = io::stdout().lock();
    for line in lines {
        match writeln!(out, "{line}") {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.map_err(|error| Failure::of("cannot write the answer", error))?,
        }
    }
    Ok(())
}
