//! Volume: about how many bytes the selected streams have, by series or by label.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{extract::State, http::StatusCode, response::Response};
use narvi::{
    Labels, LabelsBuilder, Selector, TimeRange,
    logql::{self, Budget, Columns, Executor, Part, ScanRequest, Segment, Source, SourceError},
};

use super::{Asked, json, labels::bounds};
use crate::{App, encode, error::ApiError};

pub(crate) async fn volume(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let range = bounds(&app, &asked)?;
    run(app, asked, range, None).await
}

pub(crate) async fn volume_range(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let range = bounds(&app, &asked)?;
    let step = asked.form.step(range.min, range.max)?;
    logql::check_resolution(range.min, range.max, step)?;
    run(app, asked, range, Some(step)).await
}

async fn run(app: Arc<App>, asked: Asked, range: TimeRange, step: Option<i64>) -> Result<Response, ApiError> {
    if !asked.limits.volume_enabled {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "not found"));
    }
    let selector = logql::parse_selector(asked.form.get("query"))?;
    let grouping = Grouping::new(&asked, &selector)?;
    let limit = asked.form.count("limit", 100)?;
    let (limits, tenants) = (asked.limits.clone(), asked.tenants);
    let most = limits.volume_max_series;
    let budget = app.budget(&limits);
    let work = move |app: &App, budget: &Budget| {
        // The end is outside, as for queries of lines.
        let rows = TimeRange::new(range.min, range.max.saturating_sub(1));
        let buckets = Buckets { end: range.max, step };
        let streams = measure(&app.view(&tenants)?, &*app.read()?.executor(), &selector, rows, &buckets, budget)?;
        let groups = grouping.group(streams);
        if most > 0 && groups.len() > most {
            return Err(ApiError::bad(format!("the query hit the max number of series limit (limit: {most} series)")));
        }
        Ok(answer(groups, limit, step.is_some(), range))
    };
    let (body, _) = app.ask(budget, work).await?;
    Ok(json(body))
}

/// Which step a time lies in, by the end of the step.
struct Buckets {
    end: i64,
    /// Without, there is one.
    step: Option<i64>,
}

impl Buckets {
    fn of(&self, ts: i64) -> i64 {
        match self.step {
            // Steps are whole multiples of themselves, as Loki splits them.
            Some(step) => (ts.div_euclid(step).saturating_add(1)).saturating_mul(step).min(self.end),
            None => self.end,
        }
    }
}

/// Bytes by the end of the step.
type Bytes = BTreeMap<i64, u64>;

/// Adds up the lengths of lines per stream and step. What lies inside a step as a whole is not opened.
fn measure(
    source: &dyn Source,
    executor: &dyn Executor,
    selector: &Selector,
    rows: TimeRange,
    buckets: &Buckets,
    budget: &Budget,
) -> Result<HashMap<Labels, Bytes>, ApiError> {
    let mut request = ScanRequest::new(selector.clone(), rows);
    request.columns = Columns { timestamps: true, lengths: true, ..Columns::default() };
    if rows.is_empty() {
        return Ok(HashMap::new());
    }
    let parts = source.parts(&request, budget).map_err(logql::Error::from)?;
    let sums: Mutex<Result<HashMap<Labels, Bytes>, SourceError>> = Mutex::new(Ok(HashMap::new()));
    executor.run(parts.len(), &|at| {
        let Some(part) = parts.get(at) else { return };
        let measured = measure_part(part.as_ref(), rows, buckets, budget);
        let mut sums = sums.lock().unwrap_or_else(PoisonError::into_inner);
        match (measured, sums.as_mut()) {
            (Ok(found), Ok(sums)) => {
                for (labels, bucket, bytes) in found {
                    *sums.entry(labels).or_default().entry(bucket).or_default() += bytes;
                }
            }
            (Err(SourceError::Corrupt(what)), _) => tracing::warn!(detail = what, "left out of a volume"),
            (Err(error), _) => *sums = Err(error),
            (Ok(_), Err(_)) => {}
        }
    });
    Ok(sums.into_inner().unwrap_or_else(PoisonError::into_inner).map_err(logql::Error::from)?)
}

fn measure_part(
    part: &dyn Part,
    rows: TimeRange,
    buckets: &Buckets,
    budget: &Budget,
) -> Result<Vec<(Labels, i64, u64)>, SourceError> {
    budget.check()?;
    let mut found = Vec::new();
    let labels = |segment: &Segment| match part.added() {
        Some(added) => added.to(&segment.labels),
        None => segment.labels.clone(),
    };
    let whole = |segment: &Segment| {
        let range = segment.range;
        let inside = rows.min <= range.min && range.max <= rows.max;
        segment.exact && inside && buckets.of(range.min) == buckets.of(range.max)
    };
    let (summed, opened): (Vec<&Segment>, Vec<&Segment>) = part.segments().iter().partition(|s| whole(s));
    for segment in summed {
        let rows = u64::from(segment.rows.end.saturating_sub(segment.rows.start));
        let bytes = segment.line_bytes + rows * pair_bytes(segment) + name_bytes(segment);
        found.push((labels(segment), buckets.of(segment.range.min), bytes));
    }
    if opened.is_empty() {
        return Ok(found);
    }
    let batch = part.open(budget)?;
    let (times, lengths, dead) = (batch.timestamps()?, batch.lengths()?, batch.dead_rows()?);
    for segment in opened {
        let mut bytes = Bytes::new();
        for row in segment.rows.clone() {
            let (Some(&ts), Some(&length)) = (times.get(row as usize), lengths.get(row as usize)) else { break };
            let wanted = rows.min <= ts && ts <= rows.max && dead.binary_search(&row).is_err();
            if wanted {
                *bytes.entry(buckets.of(ts)).or_default() += u64::from(length) + pair_bytes(segment);
            }
        }
        if let Some(first) = bytes.values_mut().next() {
            *first += name_bytes(segment);
        }
        found.extend(bytes.into_iter().map(|(bucket, bytes)| (labels(segment), bucket, bytes)));
    }
    Ok(found)
}

/// What the structured metadata of a row counts for. Loki's figure is that of its chunks, which hold eight bytes for each
/// pair; rows are taken to have all names of their segment, so that no column of metadata is read for an estimate.
fn pair_bytes(segment: &Segment) -> u64 {
    8 * segment.metadata_keys.len() as u64
}

/// The names themselves are held once.
fn name_bytes(segment: &Segment) -> u64 {
    segment.metadata_keys.iter().map(|name| name.len() as u64).sum()
}

/// What streams are added up by.
struct Grouping {
    /// One group per label rather than per set of labels.
    by_label: bool,
    /// Labels that a stream must have.
    required: Vec<String>,
    /// The labels that count; without, all.
    names: Option<Vec<String>>,
}

impl Grouping {
    fn new(asked: &Asked, selector: &Selector) -> Result<Self, ApiError> {
        let by_label = match asked.form.get("aggregateBy") {
            "" | "series" => false,
            "labels" => true,
            _ => return Err(ApiError::bad("invalid aggregation option")),
        };
        let targets = asked.form.get("targetLabels").split(',').filter(|name| !name.is_empty());
        let targets: Vec<String> = targets.map(str::to_owned).collect();
        let matched: Vec<String> = selector.matchers().iter().map(|matcher| matcher.name().to_owned()).collect();
        let names = match (targets.is_empty(), by_label || matched.is_empty()) {
            (false, _) => Some(targets.clone()),
            (true, true) => None,
            (true, false) => Some(matched),
        };
        Ok(Self { by_label, required: targets, names })
    }

    /// Adds streams up; the keys are Loki's labels of the series, and sort as their text does.
    fn group(&self, streams: HashMap<Labels, Bytes>) -> BTreeMap<Group, Bytes> {
        let mut groups: BTreeMap<Group, Bytes> = BTreeMap::new();
        let mut add = |group: Group, bytes: &Bytes| {
            let sums = groups.entry(group).or_default();
            bytes.iter().for_each(|(bucket, bytes)| *sums.entry(*bucket).or_default() += bytes);
        };
        for (labels, bytes) in &streams {
            if self.required.iter().any(|name| labels.get(name).is_none()) {
                continue;
            }
            let counts = |name: &str| self.names.as_ref().is_none_or(|names| names.iter().any(|n| n == name));
            let kept = labels.iter().filter(|(name, _)| counts(name));
            if self.by_label {
                kept.for_each(|(name, _)| add(Group::Label(name.to_owned()), bytes));
                continue;
            }
            let mut series = LabelsBuilder::new();
            kept.for_each(|(name, value)| {
                series.set(name, value);
            });
            add(Group::Series(series.build().unwrap_or_else(|_| labels.clone())), bytes);
        }
        groups
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Group {
    Label(String),
    Series(Labels),
}

/// The largest first; a range of one step is a vector, as in Loki.
fn answer(groups: BTreeMap<Group, Bytes>, limit: usize, is_range: bool, range: TimeRange) -> Vec<u8> {
    let mut rows: Vec<(Group, Bytes)> = groups.into_iter().collect();
    rows.sort_by_key(|(_, bytes)| std::cmp::Reverse(bytes.values().sum::<u64>()));
    rows.truncate(limit);
    let steps = |bytes: &Bytes| bytes.keys().all(|bucket| *bucket == range.max);
    let is_matrix = is_range && !rows.iter().all(|(_, bytes)| steps(bytes));
    let mut out = b"{\"status\":\"success\",\"data\":{\"resultType\":".to_vec();
    encode::string(&mut out, if is_matrix { b"matrix" } else { b"vector" }, false);
    out.extend_from_slice(b",\"result\":");
    encode::list(&mut out, &rows, |out, (group, bytes)| {
        out.extend_from_slice(b"{\"metric\":");
        match group {
            Group::Series(labels) => encode::labels(out, labels),
            Group::Label(name) => {
                out.push(b'{');
                encode::string(out, name.as_bytes(), false);
                out.extend_from_slice(b":\"\"}");
            }
        }
        let point = |out: &mut Vec<u8>, at: i64, bytes: u64| encode::point(out, at / 1_000_000, bytes as f64);
        if is_matrix {
            out.extend_from_slice(b",\"values\":");
            let points: Vec<(i64, u64)> = bytes.iter().map(|(at, bytes)| (*at, *bytes)).collect();
            encode::list(out, &points, |out, (at, bytes)| point(out, *at, *bytes));
        } else {
            out.extend_from_slice(b",\"value\":");
            point(out, range.max, bytes.values().sum());
        }
        out.push(b'}');
    });
    out.extend_from_slice(b",\"stats\":");
    encode::no_stats(&mut out);
    out.extend_from_slice(b"}}");
    out
}
