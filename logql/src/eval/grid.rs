//! The windows of a range query, cut into cells: between two window boundaries nothing changes, so that a sample is put
//! into exactly one cell, however many windows hold it, and a window is a run of cells.

use std::collections::HashMap;

use narvi_types::TimeRange;

/// The instants of a query and the window of one range aggregation.
///
/// The window of instant `i` is `(open(i), close(i)]` with `close(i) = start + i * step - offset` and
/// `open(i) = close(i) - range`. A time lies behind some of the openings and some of the closings; the number of both
/// together, less one, is its cell. It lies in a window at all if more have opened than closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grid {
    first_close: i64,
    step: i64,
    range: i64,
    steps: usize,
}

/// A cell and the times it holds, both ends inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// Its number, if it lies in a window.
    pub(crate) index: Option<u32>,
    /// Its times.
    pub(crate) times: TimeRange,
}

impl Grid {
    /// A grid of `steps` instants from `start` on. `step` is not read if there is only one.
    pub(crate) fn new(start: i64, step: i64, steps: usize, range: i64, offset: i64) -> Self {
        Self { first_close: start.saturating_sub(offset), step: step.max(1), range: range.max(1), steps }
    }

    /// How many instants there are.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    /// All cell numbers are below this.
    pub(crate) fn cells(&self) -> usize {
        self.steps.saturating_mul(2).saturating_sub(1)
    }

    /// Holds all windows.
    pub(crate) fn span(&self) -> TimeRange {
        if self.steps == 0 {
            return TimeRange::EMPTY;
        }
        let open = clamp(self.open(0));
        TimeRange::new(open.saturating_add(1), clamp(self.close(self.steps - 1)))
    }

    /// The cell of a time.
    pub(crate) fn cell(&self, ts: i64) -> Cell {
        let opened = self.boundaries_before(i128::from(ts), i128::from(self.first_close) - i128::from(self.range));
        let closed = self.boundaries_before(i128::from(ts), i128::from(self.first_close));
        let mut times = TimeRange::ALL;
        for (at, boundary) in [(opened, Self::open as fn(&Self, usize) -> i128), (closed, Self::close)] {
            if at > 0 {
                times.min = times.min.max(clamp(boundary(self, at - 1)).saturating_add(1));
            }
            if at < self.steps {
                times.max = times.max.min(clamp(boundary(self, at)));
            }
        }
        Cell { index: (opened > closed).then(|| (opened + closed - 1) as u32), times }
    }

    /// The grid of all instants, in the same steps, whose windows can hold one of the times, however many there are before
    /// and after: how many instants it begins after this one (or before, if negative), and itself. `None` if there are
    /// none, or more than `most`.
    pub(crate) fn around(&self, times: TimeRange, most: usize) -> Option<(i128, Self)> {
        if times.is_empty() {
            return None;
        }
        let (step, first_close) = (i128::from(self.step), i128::from(self.first_close));
        let (min, max) = (i128::from(times.min), i128::from(times.max));
        // The first that closes at the first time or later, and the last that opens before the last one.
        let first = (min - first_close + step - 1).div_euclid(step);
        let last = (max - first_close + i128::from(self.range) - 1).div_euclid(step);
        let steps = usize::try_from(last - first + 1).ok().filter(|steps| (1..=most).contains(steps))?;
        let first_close = i64::try_from(first_close + first * step).ok()?;
        Some((first, Self { first_close, steps, ..*self }))
    }

    /// Where each cell that holds some of the times lies in another grid, of which every boundary inside the times is one of
    /// this grid too.
    pub(crate) fn cells_in(&self, other: &Self, times: TimeRange) -> HashMap<u32, Option<u32>> {
        let mut cells = HashMap::new();
        let mut add = |ts: i64| {
            if let Some(cell) = self.cell(ts).index {
                cells.entry(cell).or_insert_with(|| other.cell(ts).index);
            }
        };
        if !times.is_empty() {
            add(times.min);
        }
        for boundary in (0..self.steps).flat_map(|at| [self.open(at), self.close(at)]) {
            let after = clamp(boundary + 1);
            if times.contains(after) {
                add(after);
            }
        }
        cells
    }

    /// The cells of the window of an instant: the first and the last.
    pub(crate) fn window(&self, instant: usize) -> (u32, u32) {
        let width = usize::try_from((i128::from(self.range) + i128::from(self.step) - 1) / i128::from(self.step))
            .unwrap_or(usize::MAX);
        let closed = (instant + 1).saturating_sub(width);
        let opened = instant.saturating_add(width).min(self.steps);
        ((instant + closed) as u32, (instant + opened - 1) as u32)
    }

    /// The length of a window in seconds.
    pub(crate) fn range_seconds(&self) -> f64 {
        self.range as f64 / 1e9
    }

    fn close(&self, instant: usize) -> i128 {
        i128::from(self.first_close) + instant as i128 * i128::from(self.step)
    }

    fn open(&self, instant: usize) -> i128 {
        self.close(instant) - i128::from(self.range)
    }

    /// How many of the boundaries `first`, `first + step`, ... lie before `ts`.
    fn boundaries_before(&self, ts: i128, first: i128) -> usize {
        if ts <= first {
            return 0;
        }
        let before = (ts - first - 1) / i128::from(self.step) + 1;
        usize::try_from(before).unwrap_or(usize::MAX).min(self.steps)
    }
}

fn clamp(ns: i128) -> i64 {
    i64::try_from(ns).unwrap_or(if ns < 0 { i64::MIN } else { i64::MAX })
}

#[cfg(test)]
mod tests {
    use narvi_types::TimeRange;
    use proptest::prelude::*;

    use super::Grid;

    proptest! {
        #[test]
        fn a_cell_lies_in_exactly_the_windows_that_hold_its_times(
            start in -50i64..50, step in 1i64..12, steps in 1usize..9, range in 1i64..40, offset in -20i64..20,
            ts in -100i64..160,
        ) {
            let grid = Grid::new(start, step, steps, range, offset);
            let cell = grid.cell(ts);
            prop_assert!(cell.times.contains(ts));
            prop_assert_eq!(grid.cell(cell.times.min).index, cell.index);
            prop_assert_eq!(grid.cell(cell.times.max).index, cell.index);
            let mut any = false;
            for i in 0..steps {
                let t = start + i as i64 * step;
                let holds = t - offset - range < ts && ts <= t - offset;
                any |= holds;
                let (first, last) = grid.window(i);
                let listed = cell.index.is_some_and(|c| first <= c && c <= last);
                prop_assert_eq!(listed, holds, "window {} is {}..={}, cell {:?}", i, first, last, cell);
                prop_assert!((last as usize) < grid.cells());
            }
            prop_assert_eq!(any, cell.index.is_some());
            prop_assert!(!any || grid.span().contains(ts));
        }

        #[test]
        fn the_cells_of_a_grid_around_times_lie_in_those_of_the_grid(
            start in -50i64..50, step in 1i64..12, steps in 1usize..9, range in 1i64..40, offset in -20i64..20,
            from in 0i64..150, length in 1i64..40,
        ) {
            let grid = Grid::new(start, step, steps, range, offset);
            let span = grid.span();
            let times = TimeRange::new(span.min + from, (span.min + from + length).min(span.max));
            let Some((first, own)) = grid.around(times, 1000) else {
                prop_assert!(times.is_empty() || range < step);
                return Ok(());
            };
            let moved = i64::try_from(first).expect("small") * step;
            prop_assert_eq!(own, Grid::new(start + moved, step, own.steps(), range, offset));
            let places = own.cells_in(&grid, times);
            for ts in times.min..=times.max {
                match own.cell(ts).index {
                    Some(cell) => prop_assert_eq!(places.get(&cell), Some(&grid.cell(ts).index), "at {}", ts),
                    None => prop_assert_eq!(grid.cell(ts).index, None, "at {}", ts),
                }
            }
        }

        #[test]
        fn extreme_times_do_not_overflow(start: i64, step: i64, steps in 0usize..20, range: i64, offset: i64, ts: i64) {
            let grid = Grid::new(start, step, steps, range, offset);
            let cell = grid.cell(ts);
            prop_assert!(cell.index.is_none_or(|c| (c as usize) < grid.cells()));
            let _ = grid.span();
            if let Some((_, own)) = grid.around(TimeRange::new(ts, ts.saturating_add(range)), 50) {
                let _ = own.cells_in(&grid, TimeRange::ALL);
            }
        }
    }
}
