//! Measurements counted by size: what a histogram tells.

/// Measurements counted by ranges. Plain data: those who tell metrics turn it into a histogram.
#[derive(Clone, Debug, PartialEq)]
pub struct Distribution {
    bounds: &'static [f64],
    /// One more than there are bounds.
    counts: Vec<u64>,
    sum: f64,
}

impl Distribution {
    /// Nothing measured yet. The bounds ascend; each is in the range that it ends.
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    pub(crate) fn add(&mut self, value: f64) {
        let at = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
        self.sum += value;
    }

    /// Adds what another one with the same bounds counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum += other.sum;
    }

    /// The upper end of each range, and how many measurements lie in it alone; the last end is infinite.
    pub fn ranges(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        bounds.zip(self.counts.iter().copied())
    }

    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::Distribution;

    #[test]
    fn a_bound_belongs_to_the_range_that_it_ends() {
        let mut low = Distribution::new(&[1.0, 2.0]);
        [0.0, 1.0, 1.5].into_iter().for_each(|value| low.add(value));
        let mut all = Distribution::new(&[1.0, 2.0]);
        [2.5, f64::NAN].into_iter().for_each(|value| all.add(value));
        assert!(all.sum().is_nan());
        let mut all = Distribution::new(&[1.0, 2.0]);
        all.add(2.5);
        all.merge(&low);
        assert_eq!(all.ranges().collect::<Vec<_>>(), [(1.0, 2), (2.0, 1), (f64::INFINITY, 1)]);
        assert_eq!((all.count(), all.sum()), (4, 5.0));
    }
}
