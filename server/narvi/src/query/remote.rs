//! Queries on a server, lines page by page.

use serde_json::Value;

use super::{
    Asked, Stop,
    print::{Line, Points, Printer},
};
use crate::{client::Client, times};

/// Lines asked for at once; all Lokis allow this many.
const PAGE: usize = 1000;

/// A line with its labels as JSON.
struct Found<'a> {
    ts: i64,
    labels: &'a Value,
    line: &'a str,
}

/// Prints lines page by page. A page begins at the time at which the one before it ended, so that lines of the same
/// time are not lost; those that were printed already are left out.
pub(super) fn lines(client: &Client, asked: &Asked<'_>, printer: &mut Printer) -> Result<(), Stop> {
    let mut left = asked.limit.unwrap_or(usize::MAX);
    let (mut start, mut end) = (asked.range.start.max(0), asked.range.end);
    let mut page = PAGE;
    // What was printed of the last time: labels and lines.
    let mut printed: Vec<(Value, String)> = Vec::new();
    while left > 0 && start < end {
        let answer = client.get(
            "/loki/api/v1/query_range",
            &[
                ("query", asked.text.to_owned()),
                ("start", start.to_string()),
                ("end", end.to_string()),
                ("limit", page.to_string()),
                ("direction", if asked.forward { "forward" } else { "backward" }.to_owned()),
            ],
        )?;
        let found = sorted(&answer, asked.forward);
        let Some(last) = found.last().map(|found| found.ts) else { return Ok(()) };
        let mut again = std::mem::take(&mut printed);
        let mut news = 0;
        for line in &found {
            let is_printed = again.iter().position(|(labels, text)| labels == line.labels && text == line.line);
            if let Some(at) = is_printed {
                again.swap_remove(at);
            } else if left > 0 {
                print(line, printer)?;
                (left, news) = (left - 1, news + 1);
            }
            if line.ts == last {
                printed.push((line.labels.clone(), line.line.to_owned()));
            }
        }
        if found.len() < page {
            return Ok(());
        }
        if asked.forward {
            start = last;
        } else {
            end = last.saturating_add(1);
        }
        // A page of one time alone does not get on; a larger one does.
        page = if news == 0 { page.saturating_mul(2) } else { PAGE };
    }
    Ok(())
}

fn sorted(answer: &Value, forward: bool) -> Vec<Found<'_>> {
    let streams = answer["data"]["result"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut found: Vec<Found<'_>> = streams
        .iter()
        .flat_map(|stream| {
            let values = stream["values"].as_array().map(Vec::as_slice).unwrap_or_default();
            values.iter().filter_map(|value| {
                let ts = value[0].as_str()?.parse().ok()?;
                Some(Found { ts, labels: &stream["stream"], line: value[1].as_str()? })
            })
        })
        .collect();
    match forward {
        true => found.sort_by_key(|found| found.ts),
        false => found.sort_by_key(|found| std::cmp::Reverse(found.ts)),
    }
    found
}

fn print(found: &Found<'_>, printer: &mut Printer) -> Result<(), Stop> {
    let labels: Vec<(&str, &str)> = match found.labels.as_object() {
        Some(labels) => labels.iter().map(|(name, value)| (name.as_str(), value.as_str().unwrap_or(""))).collect(),
        None => Vec::new(),
    };
    printer.line(&Line { ts: found.ts, labels: &labels, line: found.line.as_bytes() })
}

/// Prints the series of a metric query: over a range if there is a step, else at one instant.
pub(super) fn metric(client: &Client, asked: &Asked<'_>, printer: &mut Printer) -> Result<(), Stop> {
    let end = if asked.range.has_end { asked.range.end } else { times::now() };
    let mut params = vec![("query", asked.text.to_owned())];
    let path = match asked.step {
        Some(step) => {
            params.push(("start", asked.range.start.to_string()));
            params.push(("end", end.to_string()));
            params.push(("step", step.as_secs_f64().to_string()));
            "/loki/api/v1/query_range"
        }
        None => {
            params.push(("time", end.to_string()));
            "/loki/api/v1/query"
        }
    };
    let answer = client.get(path, &params)?;
    let data = &answer["data"];
    if data["resultType"] == "scalar" {
        return printer.series(&Points { labels: Vec::new(), points: point(&data["result"]).into_iter().collect() });
    }
    let series = data["result"].as_array().map(Vec::as_slice).unwrap_or_default();
    series.iter().try_for_each(|series| {
        let labels = series["metric"].as_object().into_iter().flatten();
        let labels = labels.map(|(name, value)| (name.clone(), value.as_str().unwrap_or("").to_owned())).collect();
        let points = match series["values"].as_array() {
            Some(values) => values.iter().filter_map(point).collect(),
            None => point(&series["value"]).into_iter().collect(),
        };
        printer.series(&Points { labels, points })
    })
}

/// `[seconds, "value"]`.
fn point(value: &Value) -> Option<(i64, String)> {
    let ms = (value[0].as_f64()? * 1000.0).round();
    Some((ms as i64, value[1].as_str()?.to_owned()))
}
