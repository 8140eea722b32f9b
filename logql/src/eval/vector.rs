//! Vector aggregations and label_replace: from series to series, instant by instant.

use std::{cmp::Ordering, collections::HashMap};

use narvi_types::{Labels, regex::Regex};

use super::{
    accumulator::{Accumulator, Max, Min, Moments, Sum},
    cells::{Cells, series_bytes},
    grouping::group_labels,
    merge::SeriesPoints,
};
use crate::{Budget, Charge, Error, LabelNeeds, ast::VectorOp};

/// Aggregates. The series come sorted by labels, which decides ties of topk.
pub(crate) fn aggregate(
    op: VectorOp,
    parameter: i64,
    grouping: &LabelNeeds,
    series: Vec<SeriesPoints>,
    steps: usize,
    instant: bool,
) -> Result<Vec<SeriesPoints>, Error> {
    match op {
        VectorOp::Sum => fold(series, grouping, steps, |held: &Sum| held.sum),
        VectorOp::Avg => fold(series, grouping, steps, |held: &Sum| held.sum / held.count as f64),
        VectorOp::Count => fold(series, grouping, steps, |held: &Sum| held.count as f64),
        VectorOp::Min => fold(series, grouping, steps, |held: &Min| held.0.unwrap_or(f64::NAN)),
        VectorOp::Max => fold(series, grouping, steps, |held: &Max| held.0.unwrap_or(f64::NAN)),
        VectorOp::Stddev => fold(series, grouping, steps, |held: &Moments| held.variance().sqrt()),
        VectorOp::Stdvar => fold(series, grouping, steps, Moments::variance),
        VectorOp::Topk | VectorOp::ApproxTopk => extremes(series, grouping, parameter, descending),
        VectorOp::Bottomk => extremes(series, grouping, parameter, ascending),
        VectorOp::Sort | VectorOp::SortDesc if !instant => Ok(series),
        VectorOp::Sort => Ok(sorted(series, ascending)),
        VectorOp::SortDesc => Ok(sorted(series, descending)),
    }
}

fn fold<A: Accumulator>(
    series: Vec<SeriesPoints>,
    grouping: &LabelNeeds,
    steps: usize,
    value: impl Fn(&A) -> f64,
) -> Result<Vec<SeriesPoints>, Error> {
    let mut groups: HashMap<Labels, Cells<A>> = HashMap::new();
    for one in series {
        let cells = groups.entry(group_labels(&one.labels, grouping)?).or_default();
        for (at, value) in one.points {
            cells.at(at, steps).add(0, value);
        }
    }
    let finish = |(labels, cells): (Labels, Cells<A>)| SeriesPoints {
        labels,
        points: cells.used().map(|(at, held)| (at, value(held))).collect(),
    };
    let mut out: Vec<_> = groups.into_iter().map(finish).collect();
    out.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
    Ok(out)
}

/// The greatest first, NaN last.
fn descending(a: f64, b: f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then(b.partial_cmp(&a).unwrap_or(Ordering::Equal))
}

/// The least first, NaN last.
fn ascending(a: f64, b: f64) -> Ordering {
    a.is_nan().cmp(&b.is_nan()).then(a.partial_cmp(&b).unwrap_or(Ordering::Equal))
}

fn sorted(mut series: Vec<SeriesPoints>, order: fn(f64, f64) -> Ordering) -> Vec<SeriesPoints> {
    let value = |one: &SeriesPoints| one.points.first().map_or(f64::NAN, |(_, value)| *value);
    series.sort_by(|a, b| order(value(a), value(b)));
    series
}

/// The first k of each group at each instant. Series keep all their labels.
fn extremes(
    series: Vec<SeriesPoints>,
    grouping: &LabelNeeds,
    k: i64,
    order: fn(f64, f64) -> Ordering,
) -> Result<Vec<SeriesPoints>, Error> {
    let k = usize::try_from(k).unwrap_or(0);
    let mut groups: HashMap<Labels, Vec<(u32, usize, f64)>> = HashMap::new();
    for (number, one) in series.iter().enumerate() {
        let group = groups.entry(group_labels(&one.labels, grouping)?).or_default();
        group.extend(one.points.iter().map(|&(at, value)| (at, number, value)));
    }
    let mut kept: Vec<Vec<(u32, f64)>> = series.iter().map(|_| Vec::new()).collect();
    let mut ranks = vec![usize::MAX; series.len()];
    for mut group in groups.into_values() {
        group.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| order(a.2, b.2)).then(a.1.cmp(&b.1)));
        for instant in group.chunk_by(|a, b| a.0 == b.0) {
            for (rank, &(at, number, value)) in instant.iter().take(k).enumerate() {
                kept[number].push((at, value));
                ranks[number] = ranks[number].min(rank);
            }
        }
    }
    let mut out: Vec<_> = series
        .into_iter()
        .zip(kept)
        .zip(ranks)
        .filter(|((_, points), _)| !points.is_empty())
        .map(|((one, points), rank)| (rank, SeriesPoints { labels: one.labels, points }))
        .collect();
    // Where the order of an instant vector stays, the first is the best.
    out.sort_by_key(|(rank, _)| *rank);
    Ok(out.into_iter().map(|(_, one)| one).collect())
}

/// Sets a label to what a regular expression finds in another. Gives the memory reserved for the new labels.
pub(crate) fn label_replace(
    series: &mut [SeriesPoints],
    destination: &str,
    replacement: &str,
    source: &str,
    regex: &Regex,
    budget: &Budget,
) -> Result<Charge, Error> {
    let mut charge = budget.charge(0)?;
    let engine = regex.engine();
    let mut captures = engine.create_captures();
    for one in series {
        let value = one.labels.get(source).unwrap_or("");
        engine.captures(value, &mut captures);
        if !captures.is_match() {
            continue;
        }
        let mut new = String::new();
        expand(replacement, &mut new, |name| {
            let span = match name.parse::<usize>() {
                Ok(number) => captures.get_group(number),
                Err(_) => captures.get_group_by_name(name),
            };
            span.and_then(|span| value.get(span.range())).unwrap_or("").to_owned()
        });
        charge.grow(series_bytes(&one.labels) + 2 * new.len() as u64)?;
        let own = one.labels.iter().filter(|(name, _)| *name != destination);
        let set = (!new.is_empty()).then_some((destination, new.as_str()));
        one.labels = Labels::from_result_pairs(own.chain(set)).map_err(|e| Error::Evaluation(e.to_string()))?;
    }
    Ok(charge)
}

/// Replaces `$name` and `${name}`, as Go's `Regexp.Expand` does: a name is as long as it can be, `$$` is a dollar, and what
/// is neither stays as it is.
fn expand(template: &str, out: &mut String, value: impl Fn(&str) -> String) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (braced, body) = match after.strip_prefix('{') {
            Some(body) => (true, body),
            None => (false, after),
        };
        let end = body.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(body.len());
        let (name, tail) = body.split_at(end);
        let tail = if braced { tail.strip_prefix('}') } else { Some(tail) };
        match tail.filter(|_| !name.is_empty()) {
            Some(tail) => {
                out.push_str(&value(name));
                rest = tail;
            }
            None => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn expands_as_go_does() {
        for (template, expected) in [
            ("$1", "<1>"),
            ("$1x", "<1x>"),
            ("${1}x", "<1>x"),
            ("a$name-b", "a<name>-b"),
            ("$$1", "$1"),
            ("$", "$"),
            ("${a", "${a"),
            ("$-", "$-"),
            ("plain", "plain"),
        ] {
            let mut out = String::new();
            expand(template, &mut out, |name| format!("<{name}>"));
            assert_eq!(out, expected, "{template}");
        }
    }
}
