//! How often something was seen, by time.

use std::collections::BTreeMap;

/// Width of a sample.
pub(crate) const WIDTH_SECS: i64 = 10;
const WIDTH_NS: i64 = WIDTH_SECS * 1_000_000_000;

/// Counts by time, the newest so many.
#[derive(Debug, Default)]
pub(crate) struct Samples(BTreeMap<i64, u64>);

impl Samples {
    /// Counts one at a time in nanoseconds.
    pub(crate) fn add(&mut self, ts: i64, most: usize) {
        *self.0.entry(ts.div_euclid(WIDTH_NS)).or_default() += 1;
        if self.0.len() > most {
            self.0.pop_first();
        }
    }

    /// Adds the counts of a range to others, whose times are whole steps, in seconds. Both ends of the range are inside.
    pub(crate) fn collect(&self, start_ns: i64, end_ns: i64, step_secs: i64, into: &mut BTreeMap<i64, u64>) {
        let (first, last) = (start_ns.div_euclid(WIDTH_NS), end_ns.div_euclid(WIDTH_NS));
        if first > last {
            return;
        }
        let step = step_secs.max(WIDTH_SECS);
        for (at, count) in self.0.range(first..=last) {
            let secs = at * WIDTH_SECS;
            *into.entry(secs.div_euclid(step) * step).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Samples;

    #[test]
    fn counts_are_added_up_by_step() {
        const S: i64 = 1_000_000_000;
        let mut samples = Samples::default();
        for secs in [100, 105, 112, 160, 161, 40] {
            samples.add(secs * S, 4);
        }
        let found = |start: i64, end: i64, step: i64| {
            let mut found = BTreeMap::new();
            samples.collect(start * S, end * S, step, &mut found);
            found.into_iter().collect::<Vec<_>>()
        };
        assert_eq!(found(0, 200, 10), [(40, 1), (100, 2), (110, 1), (160, 2)]);
        assert_eq!(found(100, 200, 60), [(60, 3), (120, 2)]);
        assert_eq!(found(200, 100, 60), []);
        // The oldest makes room.
        samples.add(300 * S, 4);
        let mut all = BTreeMap::new();
        samples.collect(0, 400 * S, 10, &mut all);
        assert_eq!(all.keys().copied().collect::<Vec<_>>(), [100, 110, 160, 300]);
    }
}
