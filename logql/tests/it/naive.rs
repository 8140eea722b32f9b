//! A naive evaluator, straight from the description of the language: every sample of every window, one instant after the
//! other. It knows plain line filters, string label filters, keep, drop and unwrapped floats only.

use std::collections::BTreeMap;

use narvi_logql::{
    Params,
    ast::{
        Binary, BinaryOp, Grouping, LabelFilter, LineMatch, LogRange, MetricExpr, NameOrMatcher, RangeAggregation,
        RangeOp, Stage, VectorAggregation, VectorOp,
    },
};
use narvi_types::{Entry, Labels};

pub(crate) type LabelMap = BTreeMap<String, String>;
pub(crate) type Vector = Vec<(LabelMap, f64)>;

/// A row as the evaluator sees it.
struct Sample {
    ts: i64,
    labels: LabelMap,
    value: f64,
    line: Vec<u8>,
}

/// What an expression gives at one instant; `Err` where a query fails.
pub(crate) enum Value {
    Scalar(f64),
    Vector(Vector),
}

pub(crate) fn instants(params: &Params) -> Vec<i64> {
    if params.instant {
        return vec![params.end_ns];
    }
    let mut out = Vec::new();
    let mut t = params.start_ns;
    while t <= params.end_ns {
        out.push(t);
        t += params.step_ns;
    }
    out
}

/// Each pushed entry once, as Narvi answers duplicates.
pub(crate) fn distinct(logs: &[(Labels, Entry)]) -> Vec<&(Labels, Entry)> {
    let mut out: Vec<&(Labels, Entry)> = Vec::new();
    for row in logs {
        if !out.contains(&row) {
            out.push(row);
        }
    }
    out
}

pub(crate) fn eval(expr: &MetricExpr, logs: &[(Labels, Entry)], t: i64) -> Result<Value, String> {
    Ok(match expr {
        MetricExpr::Literal(v) => Value::Scalar(*v),
        MetricExpr::VectorFn(v) => Value::Vector(vec![(LabelMap::new(), *v)]),
        MetricExpr::Range(range) => Value::Vector(range_aggregation(range, logs, t)),
        MetricExpr::Vector(vector) => {
            let inner = vector_of(eval(&vector.expr, logs, t)?);
            Value::Vector(vector_aggregation(vector, inner))
        }
        MetricExpr::Binary(b) => binary(b, eval(&b.left, logs, t)?, eval(&b.right, logs, t)?)?,
        MetricExpr::LabelReplace(_) | MetricExpr::Variants(_) => unreachable!("not generated"),
    })
}

fn vector_of(value: Value) -> Vector {
    match value {
        Value::Scalar(v) => vec![(LabelMap::new(), v)],
        Value::Vector(v) => v,
    }
}

/// The rows that a pipeline leaves, by time.
pub(crate) fn lines(range: &LogRange, logs: &[(Labels, Entry)]) -> Vec<(i64, LabelMap, Vec<u8>)> {
    samples(range, logs).into_iter().map(|s| (s.ts, s.labels, s.line)).collect()
}

fn samples(range: &LogRange, logs: &[(Labels, Entry)]) -> Vec<Sample> {
    let mut out = Vec::new();
    'rows: for (stream, entry) in distinct(logs) {
        if !range.log.selector.matches(stream) {
            continue;
        }
        let mut labels: LabelMap = stream.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        for (name, value) in entry.metadata.iter() {
            let name = if stream.get(name).is_some() { format!("{name}_extracted") } else { name.to_owned() };
            labels.insert(name, value.to_owned());
        }
        for stage in &range.log.stages {
            match stage {
                Stage::LineFilter(filter) => {
                    let line = String::from_utf8_lossy(&entry.line);
                    let any = filter.operands.iter().any(|o| line.contains(&*String::from_utf8_lossy(&o.value)));
                    if any != (filter.op == LineMatch::Contains) {
                        continue 'rows;
                    }
                }
                Stage::LabelFilter(LabelFilter::String(m)) => {
                    if !m.matches(labels.get(m.name()).map_or("", |v| v)) {
                        continue 'rows;
                    }
                }
                Stage::Keep(names) => labels.retain(|n, _| names.contains(&NameOrMatcher::Name(n.clone()))),
                Stage::Drop(names) => labels.retain(|n, _| !names.contains(&NameOrMatcher::Name(n.clone()))),
                _ => unreachable!("not generated"),
            }
        }
        let mut value = 1.0;
        if let Some(unwrap) = &range.unwrap {
            let Some(text) = labels.remove(&unwrap.label) else { continue };
            value = text.parse().expect("only numbers are generated");
        }
        let ts = entry.timestamp.as_ns();
        out.push(Sample { ts, labels, value, line: entry.line.to_vec() });
    }
    out.sort_by_key(|s| s.ts);
    out
}

fn grouped(labels: &LabelMap, grouping: Option<&Grouping>, default_all: bool) -> LabelMap {
    let mut labels = labels.clone();
    match grouping {
        None if default_all => {}
        None => labels.clear(),
        Some(g) => labels.retain(|name, _| g.labels.contains(name) != g.without),
    }
    labels
}

fn range_aggregation(agg: &RangeAggregation, logs: &[(Labels, Entry)], t: i64) -> Vector {
    let end = t - agg.range.offset_ns;
    let start = end - agg.range.range_ns;
    let seconds = agg.range.range_ns as f64 / 1e9;
    let mut series: BTreeMap<LabelMap, Vec<Sample>> = BTreeMap::new();
    for sample in samples(&agg.range, logs) {
        if start < sample.ts && sample.ts <= end {
            series.entry(grouped(&sample.labels, agg.grouping.as_ref(), true)).or_default().push(sample);
        }
    }
    if agg.op == RangeOp::AbsentOverTime {
        if !series.is_empty() {
            return Vec::new();
        }
        let matchers = agg.range.log.selector.matchers();
        let fixed = matchers.iter().filter(|m| m.op() == narvi_types::MatchOp::Equal);
        return vec![(fixed.map(|m| (m.name().to_owned(), m.value().to_owned())).collect(), 1.0)];
    }
    if let Some(counts) = lines_by_group(agg, logs, t) {
        let sum = |samples: Vec<Sample>| samples.iter().map(|s| s.value).sum::<f64>();
        let of = |labels: &LabelMap| counts.iter().find(|(other, _)| other == labels).expect("has lines").1;
        return series.into_iter().map(|(labels, samples)| (labels.clone(), sum(samples) / of(&labels))).collect();
    }
    let unwrapped = agg.range.unwrap.is_some();
    let value = |samples: Vec<Sample>| -> f64 {
        let n = samples.len() as f64;
        let values: Vec<f64> = samples.iter().map(|s| s.value).collect();
        let sum: f64 = values.iter().sum();
        let variance = values.iter().map(|v| (v - sum / n).powi(2)).sum::<f64>() / n;
        match agg.op {
            RangeOp::CountOverTime => n,
            RangeOp::Rate if unwrapped => sum / seconds,
            RangeOp::Rate => n / seconds,
            RangeOp::BytesOverTime => samples.iter().map(|s| s.line.len() as f64).sum(),
            RangeOp::BytesRate => samples.iter().map(|s| s.line.len() as f64).sum::<f64>() / seconds,
            RangeOp::SumOverTime => sum,
            RangeOp::AvgOverTime => sum / n,
            RangeOp::MaxOverTime => extreme(&values, |a, b| a > b),
            RangeOp::MinOverTime => extreme(&values, |a, b| a < b),
            RangeOp::FirstOverTime => values[0],
            RangeOp::LastOverTime => values[values.len() - 1],
            RangeOp::StdvarOverTime => variance,
            RangeOp::StddevOverTime => variance.sqrt(),
            RangeOp::QuantileOverTime => quantile(agg.parameter.expect("has one"), values),
            RangeOp::RateCounter => counter(&samples, seconds),
            RangeOp::AbsentOverTime => unreachable!("done above"),
        }
    };
    series.into_iter().map(|(labels, samples)| (labels, value(samples))).collect()
}

/// What Loki divides sums by for an average of groups: all lines, also those without a value.
fn lines_by_group(agg: &RangeAggregation, logs: &[(Labels, Entry)], t: i64) -> Option<Vector> {
    let (RangeOp::AvgOverTime, Some(grouping), Some(unwrap)) = (agg.op, &agg.grouping, &agg.range.unwrap) else {
        return None;
    };
    if grouping.labels.contains(&unwrap.label) != grouping.without {
        return None;
    }
    let mut lines = agg.clone();
    lines.op = RangeOp::CountOverTime;
    lines.range.unwrap = None;
    lines.range.log.stages.extend(unwrap.post_filters.iter().cloned().map(Stage::LabelFilter));
    Some(range_aggregation(&lines, logs, t))
}

fn extreme(values: &[f64], better: fn(f64, f64) -> bool) -> f64 {
    values.iter().copied().reduce(|held, v| if better(v, held) || held.is_nan() { v } else { held }).expect("not empty")
}

fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let rank = q * (values.len() - 1) as f64;
    let low = rank.floor() as usize;
    let high = (low + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[low] * (1.0 - weight) + values[high] * weight
}

fn counter(samples: &[Sample], seconds: f64) -> f64 {
    if samples.len() < 2 {
        return 0.0;
    }
    let (first, last) = (&samples[0], &samples[samples.len() - 1]);
    let resets: f64 = samples.windows(2).filter(|p| p[1].value < p[0].value).map(|p| p[0].value).sum();
    let increase = last.value - first.value + resets;
    let sampled = (last.ts - first.ts) as f64 / 1000.0;
    let mut start = (seconds * 1000.0).trunc() / 1000.0;
    if increase > 0.0 && first.value >= 0.0 {
        start = start.min(sampled * first.value / increase);
    }
    let between = sampled / (samples.len() - 1) as f64;
    let extra = if start < between * 1.1 { start } else { between / 2.0 };
    increase * (sampled + extra) / sampled / seconds
}

fn vector_aggregation(agg: &VectorAggregation, inner: Vector) -> Vector {
    let mut groups: BTreeMap<LabelMap, Vector> = BTreeMap::new();
    for (labels, value) in inner {
        groups.entry(grouped(&labels, agg.grouping.as_ref(), false)).or_default().push((labels, value));
    }
    let mut out = Vector::new();
    for (group, mut members) in groups {
        let values: Vec<f64> = members.iter().map(|(_, v)| *v).collect();
        let n = values.len() as f64;
        let sum: f64 = values.iter().sum();
        let variance = values.iter().map(|v| (v - sum / n).powi(2)).sum::<f64>() / n;
        let one = match agg.op {
            VectorOp::Sum => sum,
            VectorOp::Avg => sum / n,
            VectorOp::Count => n,
            VectorOp::Min => extreme(&values, |a, b| a < b),
            VectorOp::Max => extreme(&values, |a, b| a > b),
            VectorOp::Stddev => variance.sqrt(),
            VectorOp::Stdvar => variance,
            VectorOp::Topk | VectorOp::ApproxTopk | VectorOp::Bottomk | VectorOp::Sort | VectorOp::SortDesc => {
                let least = agg.op == VectorOp::Bottomk;
                members.sort_by(|a, b| {
                    let order = if least { a.1.total_cmp(&b.1) } else { b.1.total_cmp(&a.1) };
                    order.then_with(|| a.0.cmp(&b.0))
                });
                if !matches!(agg.op, VectorOp::Sort | VectorOp::SortDesc) {
                    members.truncate(agg.parameter.unwrap_or(0) as usize);
                }
                out.extend(members);
                continue;
            }
        };
        out.push((group, one));
    }
    out
}

fn apply(op: BinaryOp, l: f64, r: f64) -> Result<f64, bool> {
    Ok(match op {
        BinaryOp::Add => l + r,
        BinaryOp::Sub => l - r,
        BinaryOp::Mul => l * r,
        BinaryOp::Div if r == 0.0 => f64::NAN,
        BinaryOp::Div => l / r,
        BinaryOp::Mod => l % r,
        BinaryOp::Pow => l.powf(r),
        BinaryOp::Equal => return Err(l == r),
        BinaryOp::NotEqual => return Err(l != r),
        BinaryOp::Greater => return Err(l > r),
        BinaryOp::GreaterOrEqual => return Err(l >= r),
        BinaryOp::Less => return Err(l < r),
        BinaryOp::LessOrEqual => return Err(l <= r),
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => unreachable!("sets are done elsewhere"),
    })
}

fn sample(b: &Binary, l: f64, r: f64, kept: f64) -> Option<f64> {
    match apply(b.op, l, r) {
        Ok(value) => Some(value),
        Err(holds) if b.modifier.return_bool => Some(f64::from(u8::from(holds))),
        Err(holds) => holds.then_some(kept),
    }
}

fn binary(b: &Binary, left: Value, right: Value) -> Result<Value, String> {
    let (left, right) = match (left, right) {
        (Value::Scalar(l), Value::Scalar(r)) => {
            let value = apply(b.op, l, r).unwrap_or_else(|holds| f64::from(u8::from(holds)));
            return Ok(Value::Scalar(value));
        }
        (Value::Vector(v), Value::Scalar(r)) => {
            let keep = |(labels, l): (LabelMap, f64)| Some((labels, sample(b, l, r, l)?));
            return Ok(Value::Vector(v.into_iter().filter_map(keep).collect()));
        }
        (Value::Scalar(l), Value::Vector(v)) => {
            let keep = |(labels, r): (LabelMap, f64)| Some((labels, sample(b, l, r, r)?));
            return Ok(Value::Vector(v.into_iter().filter_map(keep).collect()));
        }
        (Value::Vector(l), Value::Vector(r)) => (l, r),
    };
    let matching = b.modifier.matching.as_ref();
    let signature = |labels: &LabelMap| {
        let mut labels = labels.clone();
        if let Some(m) = matching {
            labels.retain(|name, _| m.labels.contains(name) == m.on);
        }
        labels
    };
    let has = |side: &Vector, labels: &LabelMap| side.iter().any(|(other, _)| signature(other) == signature(labels));
    match b.op {
        BinaryOp::And => return Ok(Value::Vector(left.into_iter().filter(|(l, _)| has(&right, l)).collect())),
        BinaryOp::Unless => return Ok(Value::Vector(left.into_iter().filter(|(l, _)| !has(&right, l)).collect())),
        BinaryOp::Or => {
            let more: Vec<_> = right.into_iter().filter(|(l, _)| !has(&left, l)).collect();
            return Ok(Value::Vector(left.into_iter().chain(more).collect()));
        }
        _ => {}
    }
    let group = matching.and_then(|m| m.group.as_ref());
    let swapped = group.is_some_and(|g| !g.left);
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    for (at, (labels, _)) in one.iter().enumerate() {
        if one[..at].iter().any(|(other, _)| signature(other) == signature(labels)) {
            return Err("duplicate".into());
        }
    }
    let mut out = Vector::new();
    let mut seen = Vec::new();
    for (labels, value) in many {
        let Some((partner, other)) = one.iter().find(|(other, _)| signature(other) == signature(&labels)) else {
            continue;
        };
        let (l, r) = if swapped { (*other, value) } else { (value, *other) };
        let Some(value) = sample(b, l, r, l) else { continue };
        let result = match group {
            None => signature(&labels),
            Some(g) => {
                let mut labels = labels.clone();
                for name in &g.include {
                    match partner.get(name) {
                        Some(value) => labels.insert(name.clone(), value.clone()),
                        None => labels.remove(name),
                    };
                }
                labels
            }
        };
        let key = if group.is_none() { signature(&labels) } else { result.clone() };
        if seen.contains(&key) {
            return Err("multiple matches".into());
        }
        seen.push(key);
        out.push((result, value));
    }
    Ok(Value::Vector(out))
}
