//! The tree above the leaves: from partials to the answer.

use std::collections::HashMap;

use narvi_types::{Labels, Timestamp};

use super::{
    answer::{Answer, Data, ResultEntry, Sample, Series, StreamResult},
    binary::binary,
    cells::series_bytes,
    params::Params,
    partial::{Body, Partial, Statistics, add_warnings},
    plan::{LeafPlan, Node, Plan, Root},
    rows::Rows,
    vector::{aggregate, label_replace},
    windows::PointList,
};
use crate::{Budget, Charge, Error};

/// A series while it is computed with.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeriesPoints {
    pub(crate) labels: Labels,
    /// Never empty.
    pub(crate) points: PointList,
}

/// What a node of the tree gives.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// A number, the same at all instants.
    Scalar(f64),
    /// Series, sorted by labels where nothing has sorted them otherwise.
    Series(Vec<SeriesPoints>),
}

/// A value and the memory reserved for it.
struct Held {
    value: Value,
    /// Given back when the value is gone.
    _charge: Charge,
}

/// Bytes held by series.
pub(crate) fn held_bytes(series: &[SeriesPoints]) -> u64 {
    series.iter().map(|one| series_bytes(&one.labels) + points_bytes(&one.points)).sum()
}

fn points_bytes(points: &PointList) -> u64 {
    (points.capacity() * size_of::<(u32, f64)>()) as u64
}

impl Plan {
    /// Puts partials together, in the order given: all those of its leaves, or of leaves that share out their rows. What
    /// a leaf without any partial would have given is nothing.
    ///
    /// # Errors
    /// A sample with `__error__`, series that match more than once, too many series, a partial of another plan, or the
    /// budget is used up.
    pub fn merge(&self, partials: Vec<Partial>, budget: &Budget) -> Result<Answer, Error> {
        let mut leaves: HashMap<u32, Partial> = HashMap::new();
        for partial in partials {
            let leaf = self.leaf_plan(partial.leaf).ok_or_else(|| unknown_leaf(partial.leaf))?;
            match leaves.remove(&partial.leaf) {
                None => {
                    leaves.insert(partial.leaf, partial);
                }
                Some(mut own) => {
                    own.merge(partial, leaf.shape())?;
                    leaves.insert(own.leaf, own);
                }
            }
        }
        self.answer(leaves, budget)
    }

    /// The answer of the leaves.
    pub(crate) fn answer(&self, mut leaves: HashMap<u32, Partial>, budget: &Budget) -> Result<Answer, Error> {
        let mut statistics = Statistics::default();
        let mut warnings = Vec::new();
        let mut numbers: Vec<_> = leaves.keys().copied().collect();
        numbers.sort_unstable();
        for partial in numbers.iter().filter_map(|number| leaves.get(number)) {
            statistics.add(&partial.statistics);
            add_warnings(&mut warnings, partial.warnings.clone());
        }
        if let Some(error) = leaves.values().filter_map(|partial| partial.error.as_ref()).min() {
            return Err(Error::Pipeline(error.text.clone()));
        }
        let data = match &self.root {
            Root::Logs => {
                let rows = leaves.remove(&0).map(|partial| match partial.body {
                    Body::Rows(rows) => rows,
                    _ => Rows::default(),
                });
                Data::Streams(streams(rows.unwrap_or_default(), &self.params))
            }
            Root::Metric { node, scalar, sorted } => {
                let mut tree = Tree { plan: self, leaves: &leaves, budget, warnings: Vec::new() };
                let held = tree.held(node)?;
                add_warnings(&mut warnings, tree.warnings);
                self.data(held.value, *scalar, *sorted)
            }
        };
        Ok(Answer { data, warnings, statistics })
    }

    fn data(&self, value: Value, scalar: bool, sorted: bool) -> Data {
        let time_ms = |instant: u32| {
            let step = i128::from(self.params.step_ns) * i128::from(instant);
            i64::try_from((i128::from(self.start_ns) + step) / 1_000_000).unwrap_or(i64::MAX)
        };
        if let (Value::Scalar(value), true, true) = (&value, scalar, self.params.instant) {
            return Data::Scalar { time_ms: time_ms(0), value: *value };
        }
        let mut series = self.series(value);
        if !(self.params.instant && sorted) {
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
        }
        if self.params.instant {
            let sample = |one: SeriesPoints| {
                let SeriesPoints { labels, points } = one;
                points.into_iter().map(move |(at, value)| Sample {
                    labels: labels.clone(),
                    time_ms: time_ms(at),
                    value,
                })
            };
            return Data::Vector(series.into_iter().flat_map(sample).collect());
        }
        let mut out: Vec<SeriesPoints> = Vec::with_capacity(series.len());
        for one in series {
            match out.last_mut().filter(|last| last.labels == one.labels) {
                // `or` and `label_replace` may give the same labels from several series.
                Some(last) => {
                    last.points.extend(one.points);
                    last.points.sort_by_key(|(at, _)| *at);
                }
                None => out.push(one),
            }
        }
        let finish = |one: SeriesPoints| Series {
            labels: one.labels,
            points: one.points.into_iter().map(|(at, value)| (time_ms(at), value)).collect(),
        };
        Data::Matrix(out.into_iter().map(finish).collect())
    }

    /// A bare number becomes one series without labels.
    fn series(&self, value: Value) -> Vec<SeriesPoints> {
        match value {
            Value::Series(series) => series,
            Value::Scalar(value) => self.constant(value),
        }
    }

    fn constant(&self, value: f64) -> Vec<SeriesPoints> {
        let points = (0..self.steps as u32).map(|at| (at, value)).collect();
        vec![SeriesPoints { labels: Labels::default(), points }]
    }
}

pub(crate) fn unknown_leaf(number: u32) -> Error {
    Error::Evaluation(format!("a partial result of leaf {number}, which the plan does not have"))
}

struct Tree<'a> {
    plan: &'a Plan,
    leaves: &'a HashMap<u32, Partial>,
    budget: &'a Budget,
    warnings: Vec<String>,
}

impl Tree<'_> {
    /// The value of a node, and room for it. While it is computed, the values it is computed from keep theirs.
    fn held(&mut self, node: &Node) -> Result<Held, Error> {
        self.budget.check()?;
        let mut inputs = Vec::new();
        let value = self.value(node, &mut inputs)?;
        let bytes = match &value {
            Value::Scalar(_) => 0,
            Value::Series(series) => held_bytes(series),
        };
        // What it was computed from is gone by now.
        drop(inputs);
        Ok(Held { value, _charge: self.budget.charge(bytes)? })
    }

    /// The value of an operand. Room for it, and as much again for what is made of it, stays reserved in `inputs`.
    fn input(&mut self, node: &Node, inputs: &mut Vec<Charge>) -> Result<Value, Error> {
        let Held { value, _charge: own } = self.held(node)?;
        let more = self.budget.charge(own.bytes())?;
        inputs.extend([own, more]);
        Ok(value)
    }

    fn value(&mut self, node: &Node, inputs: &mut Vec<Charge>) -> Result<Value, Error> {
        match node {
            Node::Scalar(value) => Ok(Value::Scalar(*value)),
            Node::Constant(value) => Ok(Value::Series(self.plan.constant(*value))),
            Node::Leaf(number) => self.leaf(*number).map(Value::Series),
            Node::Absent(number, labels) => {
                let there = self.leaf(*number)?;
                let there = there.first().map(|one| one.points.as_slice()).unwrap_or_default();
                let absent = |at: &u32| there.binary_search_by_key(at, |(at, _)| *at).is_err();
                let points: PointList = (0..self.plan.steps as u32).filter(absent).map(|at| (at, 1.0)).collect();
                let series = SeriesPoints { labels: labels.clone(), points };
                Ok(Value::Series(if series.points.is_empty() { Vec::new() } else { vec![series] }))
            }
            Node::Vector { op, parameter, grouping, inner } => {
                let inner = self.input(inner, inputs)?;
                let series = self.plan.series(inner);
                let instant = self.plan.params.instant;
                aggregate(*op, *parameter, grouping, series, self.plan.steps, instant).map(Value::Series)
            }
            Node::Binary { op, modifier, left, right } => {
                let (left, right) = (self.input(left, inputs)?, self.input(right, inputs)?);
                binary(*op, modifier, left, right, self.budget)
            }
            Node::LabelReplace { inner, destination, replacement, source, regex } => {
                let inner = self.input(inner, inputs)?;
                let mut series = self.plan.series(inner);
                inputs.push(label_replace(&mut series, destination, replacement, source, regex, self.budget)?);
                Ok(Value::Series(series))
            }
            Node::Variants(nodes) => {
                let mut all = Vec::new();
                for (number, node) in nodes.iter().enumerate() {
                    let value = self.input(node, inputs)?;
                    for one in self.plan.series(value) {
                        let number = number.to_string();
                        let own = one.labels.iter().filter(|(name, _)| *name != "__variant__");
                        let labels = Labels::from_result_pairs(own.chain([("__variant__", number.as_str())]))
                            .map_err(|e| Error::Evaluation(e.to_string()))?;
                        all.push(SeriesPoints { labels, points: one.points });
                    }
                }
                Ok(Value::Series(all))
            }
            Node::Checked(inner) => {
                let value = self.input(inner, inputs)?;
                self.checked(value)
            }
        }
    }

    /// The series of a leaf, sorted by labels.
    fn leaf(&self, number: u32) -> Result<Vec<SeriesPoints>, Error> {
        let (Some(partial), Some(LeafPlan::Metric(plan))) = (self.leaves.get(&number), self.plan.leaf_plan(number))
        else {
            return Ok(Vec::new());
        };
        let mut charge = self.budget.charge(0)?;
        let mut series = Vec::new();
        partial.body.points(plan, &mut |labels, points| {
            if !points.is_empty() {
                charge.grow(series_bytes(labels) + points_bytes(&points))?;
                series.push(SeriesPoints { labels: labels.clone(), points });
            }
            Ok(())
        })?;
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    }

    fn checked(&mut self, value: Value) -> Result<Value, Error> {
        let limit = self.plan.params.max_series.unwrap_or(usize::MAX);
        let Value::Series(mut series) = value else { return Ok(value) };
        if series.len() > limit {
            if !self.plan.params.partial_series {
                return Err(Error::SeriesLimit(limit));
            }
            series.truncate(limit);
            let text =
                format!("maximum number of series ({limit}) reached for a single query; returning partial results");
            add_warnings(&mut self.warnings, vec![text]);
        }
        Ok(Value::Series(series))
    }
}

/// Rows by the labels of their streams, after thinning out.
fn streams(rows: Rows, params: &Params) -> Vec<StreamResult> {
    let mut by_labels: HashMap<&Labels, usize> = HashMap::new();
    let mut streams: Vec<StreamResult> = Vec::new();
    let mut thin = Thin::new(params.interval_ns);
    for row in rows.rows {
        let Some(shared) = rows.labels.get(row.labels as usize) else { continue };
        if !thin.keeps(row.ts) {
            continue;
        }
        let at = *by_labels.entry(&shared.labels).or_insert_with(|| {
            streams.push(StreamResult { labels: shared.labels.clone(), entries: Vec::new() });
            streams.len() - 1
        });
        let (structured, parsed) = (shared.structured.clone(), shared.parsed.clone());
        streams[at].entries.push(ResultEntry { ts: row.ts, line: row.line, structured, parsed });
    }
    streams.sort_by_cached_key(|stream| stream.labels.to_string());
    streams
}

/// Leaves out rows that follow the last one kept too soon.
pub(crate) struct Thin {
    interval_ns: i64,
    last: Option<Timestamp>,
}

impl Thin {
    pub(crate) fn new(interval_ns: i64) -> Self {
        Self { interval_ns, last: None }
    }

    pub(crate) fn keeps(&mut self, ts: i64) -> bool {
        let far = |last: Timestamp| last.as_ns().abs_diff(ts) >= self.interval_ns.unsigned_abs();
        let keeps = self.interval_ns <= 0 || self.last.is_none_or(far);
        if keeps {
            self.last = Some(Timestamp::from_ns(ts));
        }
        keeps
    }
}
