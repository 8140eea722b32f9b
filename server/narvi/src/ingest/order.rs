//! Gives the lines of one file times of their own, so that the store keeps all of them, in order.

/// Times of the lines of one file. Lines of the same time are set a nanosecond apart: without it equal ones would be
/// taken for one line sent twice, and others would lose their order.
///
/// Where times go backwards, a new run of lines begins. Its times are moved by more nanoseconds than any before, so
/// that a line of it never gets the time that an equal line of an earlier run has.
#[derive(Clone, Debug)]
pub(super) struct Order {
    keep: bool,
    read: i64,
    given: Option<i64>,
    /// By how much times of this run are moved, and the most that one was moved so far.
    shift: i64,
    most: i64,
    /// Lines whose time was before that of the line before them.
    pub(super) backwards: u64,
}

impl Order {
    /// With `keep` a time that goes backwards is taken for that of the line before it.
    pub(super) fn new(first: i64, keep: bool) -> Self {
        Self { keep, read: first, given: None, shift: 0, most: 0, backwards: 0 }
    }

    /// The time of the next line; `None` has the time of the line before it.
    pub(super) fn next(&mut self, read: Option<i64>) -> i64 {
        let mut read = read.unwrap_or(self.read);
        if read < self.read {
            self.backwards += 1;
            if self.keep {
                read = self.read;
            } else {
                self.shift = self.most.saturating_add(1);
                self.given = None;
            }
        }
        self.read = read;
        let wanted = read.saturating_add(self.shift);
        let given = self.given.map_or(wanted, |given| wanted.max(given.saturating_add(1)));
        self.given = Some(given);
        self.most = self.most.max(given.saturating_sub(read));
        given
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::Order;

    #[test]
    fn lines_of_the_same_time_keep_their_order() {
        let mut order = Order::new(5, false);
        let given: Vec<i64> = [None, Some(10), Some(10), None, Some(11), Some(20)].map(|t| order.next(t)).to_vec();
        assert_eq!(given, [5, 10, 11, 12, 13, 20]);
        assert_eq!(order.backwards, 0);
    }

    #[test]
    fn the_order_of_the_file_can_be_kept() {
        let mut order = Order::new(0, true);
        assert_eq!([Some(10), Some(8), Some(10), Some(11)].map(|t| order.next(t)), [10, 11, 12, 13]);
    }

    #[test]
    fn equal_lines_never_get_the_same_time() {
        // Times in seconds that jump about, as in a file that was put together from others.
        let mut order = Order::new(0, false);
        let mut seen = HashSet::new();
        let mut state = 1u64;
        for _ in 0..10_000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let read = i64::try_from((state >> 33) % 7).expect("it is right") * 1_000_000_000;
            assert!(seen.insert(order.next(Some(read))));
        }
        assert!(order.backwards > 1000);
    }
}
