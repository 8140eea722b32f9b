//! Cuts ranges of time at multiples of an interval.

use std::time::Duration;

use narvi::TimeRange;

/// A query is cut into so many pieces at most; a shorter interval is doubled until they suffice.
const MOST_PIECES: i128 = 20_000;

/// A piece of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) rows: TimeRange,
    /// Whether it reaches from one multiple of the interval to the next, so that other queries have the same.
    pub(crate) is_whole: bool,
}

/// Cuts a range, oldest first. An interval of zero leaves it whole.
pub(crate) fn cut(range: TimeRange, interval: Duration) -> Vec<Cut> {
    if range.is_empty() {
        return Vec::new();
    }
    let (min, max) = (i128::from(range.min), i128::from(range.max));
    let mut step = i128::try_from(interval.as_nanos()).unwrap_or(i128::MAX);
    if step == 0 || step > max - min + i128::from(i64::MAX) {
        return vec![Cut { rows: range, is_whole: false }];
    }
    while (max - min) / step >= MOST_PIECES {
        step *= 2;
    }
    let mut cuts = Vec::new();
    let mut first = min.div_euclid(step) * step;
    while first <= max {
        let last = first + step - 1;
        let rows = TimeRange::new(clamp(first.max(min)), clamp(last.min(max)));
        cuts.push(Cut { rows, is_whole: first >= min && last <= max });
        first += step;
    }
    cuts
}

fn clamp(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts_are_multiples() {
        let cuts = cut(TimeRange::new(-15, 21), Duration::from_nanos(10));
        let found: Vec<_> = cuts.iter().map(|cut| (cut.rows.min, cut.rows.max, cut.is_whole)).collect();
        assert_eq!(found, [(-15, -11, false), (-10, -1, true), (0, 9, true), (10, 19, true), (20, 21, false)]);
        assert!(cut(TimeRange::EMPTY, Duration::from_nanos(10)).is_empty());
        assert_eq!(cut(TimeRange::new(1, 9), Duration::ZERO), [Cut { rows: TimeRange::new(1, 9), is_whole: false }]);
    }

    proptest! {
        #[test]
        fn pieces_share_out_the_range(a: i64, b: i64, near in 0i64..1000, interval: u64) {
            for range in [TimeRange::new(a.min(b), a.max(b)), TimeRange::new(a, a.saturating_add(near))] {
                let cuts = cut(range, Duration::from_nanos(interval));
                prop_assert!(cuts.len() as i128 <= MOST_PIECES + 1);
                prop_assert_eq!(cuts.first().map(|cut| cut.rows.min), Some(range.min));
                prop_assert_eq!(cuts.last().map(|cut| cut.rows.max), Some(range.max));
                for pair in cuts.windows(2) {
                    prop_assert_eq!(pair[0].rows.max + 1, pair[1].rows.min);
                }
            }
        }
    }
}
