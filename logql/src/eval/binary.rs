//! Binary operators between numbers and vectors over all instants.

use std::collections::HashMap;

use narvi_types::Labels;

use super::{
    cells::series_bytes,
    grouping::group_labels,
    merge::{SeriesPoints, Value},
};
use crate::{
    Budget, Charge, Error, LabelNeeds,
    ast::{BinaryModifier, BinaryOp, GroupSide, VectorMatching},
};

/// Applies an operator.
///
/// # Errors
/// Series that match more than once, in Loki's words; no room for the result.
pub(crate) fn binary(
    op: BinaryOp,
    modifier: &BinaryModifier,
    left: Value,
    right: Value,
    budget: &Budget,
) -> Result<Value, Error> {
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => Ok(Value::Scalar(scalars(op, left, right))),
        (Value::Series(_), Value::Scalar(_)) | (Value::Scalar(_), Value::Series(_)) if is_set(op) => {
            Err(Error::Invalid("unexpected literal for a leg of a logical/set binary operation".into()))
        }
        (Value::Series(series), Value::Scalar(number)) => {
            Ok(Value::Series(with_number(series, |v| sample(op, modifier.return_bool, v, number, v))))
        }
        (Value::Scalar(number), Value::Series(series)) => {
            Ok(Value::Series(with_number(series, |v| sample(op, modifier.return_bool, number, v, v))))
        }
        (Value::Series(left), Value::Series(right)) if is_set(op) => set(op, modifier, left, right).map(Value::Series),
        (Value::Series(left), Value::Series(right)) => vectors(op, modifier, left, right, budget).map(Value::Series),
    }
}

/// An operator between two numbers: comparisons give 0 or 1.
pub(crate) fn scalars(op: BinaryOp, left: f64, right: f64) -> f64 {
    sample(op, true, left, right, left).unwrap_or(f64::NAN)
}

/// The value of a sample, or `None` if a comparison filters it away; `kept` is what a comparison that filters gives.
fn sample(op: BinaryOp, return_bool: bool, left: f64, right: f64, kept: f64) -> Option<f64> {
    let holds = match op {
        BinaryOp::Add => return Some(left + right),
        BinaryOp::Sub => return Some(left - right),
        BinaryOp::Mul => return Some(left * right),
        // Unlike Prometheus, Loki has no infinity here.
        BinaryOp::Div if right == 0.0 => return Some(f64::NAN),
        BinaryOp::Div => return Some(left / right),
        BinaryOp::Mod => return Some(left % right),
        BinaryOp::Pow => return Some(left.powf(right)),
        BinaryOp::Or | BinaryOp::And | BinaryOp::Unless => return None,
        BinaryOp::Equal => left == right,
        BinaryOp::NotEqual => left != right,
        BinaryOp::Greater => left > right,
        BinaryOp::GreaterOrEqual => left >= right,
        BinaryOp::Less => left < right,
        BinaryOp::LessOrEqual => left <= right,
    };
    match (return_bool, holds) {
        (true, holds) => Some(f64::from(u8::from(holds))),
        (false, true) => Some(kept),
        (false, false) => None,
    }
}

fn is_set(op: BinaryOp) -> bool {
    matches!(op, BinaryOp::Or | BinaryOp::And | BinaryOp::Unless)
}

fn with_number(series: Vec<SeriesPoints>, value: impl Fn(f64) -> Option<f64>) -> Vec<SeriesPoints> {
    let keep = |mut series: SeriesPoints| {
        series.points = series.points.into_iter().filter_map(|(at, v)| Some((at, value(v)?))).collect();
        (!series.points.is_empty()).then_some(series)
    };
    series.into_iter().filter_map(keep).collect()
}

/// The labels by which series are matched.
fn matching_needs(matching: Option<&VectorMatching>) -> LabelNeeds {
    match matching {
        None => LabelNeeds::All,
        Some(VectorMatching { on: true, labels, .. }) => LabelNeeds::By(labels.clone()),
        Some(VectorMatching { on: false, labels, .. }) => LabelNeeds::Without(labels.clone()),
    }
}

/// Series numbers by the labels they are matched by.
fn by_signature(series: &[SeriesPoints], needs: &LabelNeeds) -> Result<HashMap<Labels, Vec<usize>>, Error> {
    let mut groups: HashMap<Labels, Vec<usize>> = HashMap::new();
    for (at, one) in series.iter().enumerate() {
        groups.entry(group_labels(&one.labels, needs)?).or_default().push(at);
    }
    Ok(groups)
}

/// The instants at which any of the series has a sample.
fn instants(series: &[SeriesPoints], group: Option<&Vec<usize>>) -> Vec<u32> {
    let points = group.into_iter().flatten().filter_map(|&at| series.get(at)).flat_map(|one| &one.points);
    let mut instants: Vec<_> = points.map(|(at, _)| *at).collect();
    instants.sort_unstable();
    instants.dedup();
    instants
}

fn set(
    op: BinaryOp,
    modifier: &BinaryModifier,
    left: Vec<SeriesPoints>,
    right: Vec<SeriesPoints>,
) -> Result<Vec<SeriesPoints>, Error> {
    let needs = matching_needs(modifier.matching.as_ref());
    let (kept, mut out, mask, wanted) = match op {
        BinaryOp::Or => {
            let mask = left.clone();
            (right, left, mask, false)
        }
        BinaryOp::And => (left, Vec::new(), right, true),
        _ => (left, Vec::new(), right, false),
    };
    let groups = by_signature(&mask, &needs)?;
    let mut present: HashMap<Labels, Vec<u32>> = HashMap::new();
    for mut one in kept {
        let signature = group_labels(&one.labels, &needs)?;
        let there = present.entry(signature).or_insert_with_key(|key| instants(&mask, groups.get(key)));
        one.points.retain(|(at, _)| there.binary_search(at).is_ok() == wanted);
        if !one.points.is_empty() {
            out.push(one);
        }
    }
    Ok(out)
}

fn vectors(
    op: BinaryOp,
    modifier: &BinaryModifier,
    left: Vec<SeriesPoints>,
    right: Vec<SeriesPoints>,
    budget: &Budget,
) -> Result<Vec<SeriesPoints>, Error> {
    let matching = modifier.matching.as_ref();
    let group = matching.and_then(|m| m.group.as_ref());
    let swapped = group.is_some_and(|g| !g.left);
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let needs = matching_needs(matching);
    let ones = single_side(&one, &needs, if swapped { "left" } else { "right" })?;
    let mut matched: HashMap<Labels, Vec<u32>> = HashMap::new();
    let mut out = Results { index: HashMap::new(), series: Vec::new(), last: None, charge: budget.charge(0)? };
    for series in &many {
        let signature = group_labels(&series.labels, &needs)?;
        let Some(partners) = ones.get(&signature) else { continue };
        let mut at = 0;
        for &(instant, value) in &series.points {
            at += partners[at..].partition_point(|p| p.instant < instant);
            let Some(partner) = partners.get(at).filter(|p| p.instant == instant) else { continue };
            let (l, r) = if swapped { (partner.value, value) } else { (value, partner.value) };
            let Some(value) = sample(op, modifier.return_bool, l, r, l) else { continue };
            if group.is_none() {
                let seen = matched.entry(signature.clone()).or_default();
                if let Err(place) = seen.binary_search(&instant) {
                    seen.insert(place, instant);
                } else {
                    return Err(Error::Evaluation(
                        "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                            .into(),
                    ));
                }
            }
            let labels = result_labels(&series.labels, &one[partner.series].labels, matching)?;
            out.push(labels, instant, value)?;
        }
    }
    out.finish(group.is_some())
}

/// A sample of the side that has one series for each match.
struct Partner {
    instant: u32,
    value: f64,
    series: usize,
}

fn single_side(
    series: &[SeriesPoints],
    needs: &LabelNeeds,
    side: &str,
) -> Result<HashMap<Labels, Vec<Partner>>, Error> {
    let mut ones: HashMap<Labels, Vec<Partner>> = HashMap::new();
    for (labels, group) in by_signature(series, needs)? {
        let partner =
            |at: usize| series[at].points.iter().map(move |&(instant, value)| Partner { instant, value, series: at });
        let mut partners: Vec<_> = group.into_iter().flat_map(partner).collect();
        partners.sort_by_key(|p| p.instant);
        if partners.windows(2).any(|pair| pair[0].instant == pair[1].instant) {
            return Err(Error::Evaluation(format!(
                "found duplicate series on the {side} hand-side;many-to-many matching not allowed: matching labels must \
                 be unique on one side"
            )));
        }
        ones.insert(labels, partners);
    }
    Ok(ones)
}

/// One to one: the labels that were matched by. Many to one: those of the many side, and what is taken from the other.
fn result_labels(many: &Labels, one: &Labels, matching: Option<&VectorMatching>) -> Result<Labels, Error> {
    let Some(matching) = matching else { return Ok(many.clone()) };
    let Some(GroupSide { include, .. }) = &matching.group else {
        return group_labels(many, &matching_needs(Some(matching)));
    };
    if include.is_empty() {
        return Ok(many.clone());
    }
    let own = many.iter().filter(|(name, _)| !include.iter().any(|taken| taken == name));
    let mut names: Vec<_> = include.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let taken = names.into_iter().filter_map(|name| Some((name, one.get(name).filter(|value| !value.is_empty())?)));
    Labels::from_result_pairs(own.chain(taken)).map_err(|e| Error::Evaluation(e.to_string()))
}

/// Result series in the order of their first sample.
struct Results {
    index: HashMap<Labels, usize>,
    series: Vec<SeriesPoints>,
    last: Option<usize>,
    /// For the labels: the points are no more than those of the operands.
    charge: Charge,
}

impl Results {
    fn push(&mut self, labels: Labels, instant: u32, value: f64) -> Result<(), Error> {
        let at = match self.last.filter(|&at| self.series[at].labels == labels) {
            Some(at) => at,
            None => match self.index.get(&labels) {
                Some(&at) => at,
                None => {
                    self.charge.grow(2 * series_bytes(&labels))?;
                    self.index.insert(labels.clone(), self.series.len());
                    self.series.push(SeriesPoints { labels, points: Vec::new() });
                    self.series.len() - 1
                }
            },
        };
        self.last = Some(at);
        self.series[at].points.push((instant, value));
        Ok(())
    }

    fn finish(mut self, unique: bool) -> Result<Vec<SeriesPoints>, Error> {
        for series in &mut self.series {
            series.points.sort_by_key(|(at, _)| *at);
            if unique && series.points.windows(2).any(|pair| pair[0].0 == pair[1].0) {
                return Err(Error::Evaluation(
                    "multiple matches for labels: grouping labels must ensure unique matches".into(),
                ));
            }
        }
        Ok(self.series)
    }
}
