//! From cells to points: the value of every window of a series.

use super::{
    accumulator::{Accumulator, Bytes, Count, First, Last, Max, Min, Moments, Points, Sum, Values},
    cells::Cells,
    grid::Grid,
};
use crate::ast::RangeOp;

/// The points of one series: instant number and value, by instant; instants without a sample are left out.
pub(crate) type PointList = Vec<(u32, f64)>;

/// What the value of a window is computed with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Formula {
    pub(crate) op: RangeOp,
    /// The q of a quantile.
    pub(crate) parameter: f64,
    pub(crate) grid: Grid,
}

/// Accumulators whose windows have values.
pub(crate) trait Windows: Accumulator {
    /// The points of a series.
    fn points(cells: &Cells<Self>, formula: &Formula) -> PointList;
}

macro_rules! sliding {
    ($name:ident, |$held:ident, $formula:ident| $value:expr) => {
        impl Windows for $name {
            fn points(cells: &Cells<Self>, $formula: &Formula) -> PointList {
                slide(cells, &$formula.grid, |$held: &$name| $value)
            }
        }
    };
}

sliding!(Count, |held, formula| match formula.op {
    RangeOp::Rate => held.0 as f64 / formula.grid.range_seconds(),
    _ => held.0 as f64,
});
sliding!(Bytes, |held, formula| match formula.op {
    RangeOp::BytesRate => held.bytes as f64 / formula.grid.range_seconds(),
    _ => held.bytes as f64,
});
sliding!(Sum, |held, formula| match formula.op {
    RangeOp::Rate => held.sum / formula.grid.range_seconds(),
    RangeOp::AvgOverTime => held.sum / held.count as f64,
    _ => held.sum,
});
sliding!(Min, |held, _formula| held.0.unwrap_or(f64::NAN));
sliding!(Max, |held, _formula| held.0.unwrap_or(f64::NAN));
sliding!(Moments, |held, formula| match formula.op {
    RangeOp::StddevOverTime => held.variance().sqrt(),
    _ => held.variance(),
});
sliding!(First, |held, _formula| held.0.map_or(f64::NAN, |(_, value)| value));
sliding!(Last, |held, _formula| held.0.map_or(f64::NAN, |(_, value)| value));

impl Windows for Values {
    fn points(cells: &Cells<Self>, formula: &Formula) -> PointList {
        let mut scratch = Vec::new();
        gather(cells, &formula.grid, |window: &[&Values]| {
            scratch.clear();
            window.iter().for_each(|held| scratch.extend_from_slice(&held.0));
            quantile(formula.parameter, &mut scratch)
        })
    }
}

impl Windows for Points {
    fn points(cells: &Cells<Self>, formula: &Formula) -> PointList {
        let mut scratch = Vec::new();
        gather(cells, &formula.grid, |window: &[&Points]| {
            scratch.clear();
            window.iter().for_each(|held| scratch.extend_from_slice(&held.0));
            scratch.sort_by_key(|(ts, _)| *ts);
            counter_rate(&scratch, formula.grid.range_seconds())
        })
    }
}

/// Calls `value` with the used cells of every window that has some.
fn gather<A: Accumulator>(cells: &Cells<A>, grid: &Grid, mut value: impl FnMut(&[&A]) -> f64) -> PointList {
    let (numbers, held): (Vec<_>, Vec<_>) = cells.used().unzip();
    let (mut from, mut to) = (0, 0);
    let mut points = PointList::new();
    for instant in 0..grid.steps() {
        let (first, last) = grid.window(instant);
        from += numbers[from..].partition_point(|&n| n < first);
        to = to.max(from);
        to += numbers[to..].partition_point(|&n| n <= last);
        if from < to {
            points.push((instant as u32, value(&held[from..to])));
        }
    }
    points
}

/// As [`gather`], with the cells of each window merged. Each cell is merged a fixed number of times, however wide the
/// windows are: `stack` holds the merged ends of the older cells of the window, `newer` the rest.
fn slide<A: Accumulator>(cells: &Cells<A>, grid: &Grid, value: impl Fn(&A) -> f64) -> PointList {
    let used: Vec<_> = cells.used().collect();
    let (mut from, mut to) = (0, 0);
    let mut stack: Vec<A> = Vec::new();
    let mut newer = A::default();
    let mut points = PointList::new();
    for instant in 0..grid.steps() {
        let (first, last) = grid.window(instant);
        while let Some((_, held)) = used.get(to).filter(|(n, _)| *n <= last) {
            newer.merge(held);
            to += 1;
        }
        while from < to && used[from].0 < first {
            if stack.is_empty() {
                let mut tail = A::default();
                for (_, held) in used[from..to].iter().rev() {
                    let mut merged = (*held).clone();
                    merged.merge(&tail);
                    tail = merged;
                    stack.push(tail.clone());
                }
                newer = A::default();
            }
            stack.pop();
            from += 1;
        }
        if from < to {
            let value = match stack.last() {
                None => value(&newer),
                Some(older) => {
                    let mut merged = older.clone();
                    merged.merge(&newer);
                    value(&merged)
                }
            };
            points.push((instant as u32, value));
        }
    }
    points
}

/// Linear interpolation between the closest ranks, as Prometheus does: NaN sorts first.
fn quantile(q: f64, values: &mut [f64]) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    let order =
        |a: &f64, b: &f64| b.is_nan().cmp(&a.is_nan()).then(a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    let last = values.len() - 1;
    let rank = q * last as f64;
    let lower = (rank.floor() as usize).min(last);
    let upper = (lower + 1).min(last);
    let weight = rank - rank.floor();
    let (_, &mut low, above) = values.select_nth_unstable_by(lower, order);
    let high = if upper == lower { low } else { above.iter().copied().min_by(order).unwrap_or(low) };
    low * (1.0 - weight) + high * weight
}

/// The per-second increase of a counter that may restart at zero, extrapolated as Loki does: Prometheus' formula, but the
/// window begins a range before the first sample and ends at the last one, and samples lie microseconds apart where the
/// formula wants seconds. Fewer than two samples give 0.
fn counter_rate(samples: &[(i64, f64)], range_seconds: f64) -> f64 {
    let (Some(&(first_ts, first)), Some(&(last_ts, last))) = (samples.first(), samples.last()) else { return 0.0 };
    if samples.len() < 2 {
        return 0.0;
    }
    let mut increase = last - first;
    for pair in samples.windows(2) {
        if pair[1].1 < pair[0].1 {
            increase += pair[0].1;
        }
    }
    let sampled = last_ts.saturating_sub(first_ts) as f64 / 1000.0;
    let between = sampled / (samples.len() - 1) as f64;
    // Whole milliseconds, as the range is kept in Loki's copy of the formula.
    let mut to_start = (range_seconds * 1000.0).trunc() / 1000.0;
    if increase > 0.0 && first >= 0.0 {
        to_start = to_start.min(sampled * (first / increase));
    }
    let threshold = between * 1.1;
    let extrapolated = sampled + if to_start < threshold { to_start } else { between / 2.0 }
        // The end of the window is the last sample, no distance at all.
        + if 0.0 < threshold { 0.0 } else { between / 2.0 };
    increase * (extrapolated / sampled) / range_seconds
}

#[cfg(test)]
mod tests {
    use super::{counter_rate, quantile};

    #[test]
    fn quantiles_interpolate_and_put_nan_first() {
        for (q, values, expected) in [
            (0.5, vec![3.0, 1.0, 2.0], 2.0),
            (0.9, vec![1.0, 2.0], 1.9),
            (0.0, vec![2.0, 1.0], 1.0),
            (1.0, vec![2.0, 1.0], 2.0),
            (-0.1, vec![1.0], f64::NEG_INFINITY),
            (1.1, vec![1.0], f64::INFINITY),
            (1.0, vec![1.0, f64::NAN], 1.0),
            (0.5, vec![5.0, f64::NAN, 4.0], 4.0),
        ] {
            let got = quantile(q, &mut values.clone());
            assert!((got - expected).abs() < 1e-12 || got == expected, "{q} of {values:?}: {got}");
        }
        assert!(quantile(0.0, &mut [1.0, f64::NAN]).is_nan());
    }

    #[test]
    fn counters_are_extrapolated_as_loki_does() {
        let s = 1_000_000_000;
        let rate = counter_rate(&[(0, 100.0), (15 * s, 110.0), (30 * s, 130.0), (45 * s, 153.0)], 60.0);
        assert!((rate - 0.883_334_511_111_111).abs() < 1e-12, "{rate}");
        assert_eq!(counter_rate(&[(0, 1.0)], 60.0).to_bits(), 0f64.to_bits());
        let restarted = counter_rate(&[(0, 100.0), (10 * s, 5.0)], 60.0);
        assert!((restarted - 5.0 / 60.0).abs() < 1e-6, "{restarted}");
    }
}
