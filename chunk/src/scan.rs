//! Line filters over a whole buffer: the predicate trait, sets of rows, and the mapping from hits to rows.

use std::ops::Range;

use memchr::memmem;

/// A filter of lines that works on the buffer of all lines at once. Implemented by whoever knows what lines to keep.
pub trait LinePredicate: Send + Sync {
    /// Keeps, of `rows`, those whose line passes. `rows` has one place per line of `lines`; rows that are not in it
    /// need not be looked at, and must not be added.
    fn retain(&self, lines: Lines<'_>, rows: &mut RowSet);
}

/// Lines that lie one after the other, without separators, in one buffer.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    buffer: &'a [u8],
    offsets: &'a [u32],
}

impl<'a> Lines<'a> {
    /// Makes a view. Line `i` is `buffer[offsets[i]..offsets[i + 1]]`: there is one offset more than there are lines.
    /// Offsets that do not ascend or lie outside of the buffer give `None`. Costs one pass over the offsets.
    pub fn new(buffer: &'a [u8], offsets: &'a [u32]) -> Option<Self> {
        let last = *offsets.last()? as usize;
        (last <= buffer.len() && offsets.is_sorted()).then_some(Self { buffer, offsets })
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there are no lines.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The line of that row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn line(&self, row: usize) -> &'a [u8] {
        &self.buffer[self.offsets[row] as usize..self.offsets[row + 1] as usize]
    }

    /// A view of some of the rows.
    ///
    /// # Panics
    /// If the range is not inside of the rows.
    #[must_use]
    pub fn slice(&self, rows: Range<usize>) -> Self {
        Self { buffer: self.buffer, offsets: &self.offsets[rows.start..=rows.end] }
    }

    /// The bytes of all lines of this view, without separators.
    pub fn bytes(&self) -> &'a [u8] {
        &self.buffer[self.offsets[0] as usize..self.offsets[self.len()] as usize]
    }
}

/// Keeps, of `rows`, those in whose line `find` finds something. `find(bytes, from)` gives the first match in `bytes`
/// that starts at or after `from`; it is run over the buffer of all lines, or over single lines when few rows are left.
///
/// A match that runs over the end of a line does not count: the line is then searched on its own. So `find` may be a
/// substring, many substrings or a regular expression, as long as it finds in the buffer, starting in a line, something
/// whenever it finds something in the line alone. Expressions that look around (`^`, `$`, `\b`) do not do that.
pub fn scan_lines(lines: Lines<'_>, rows: &mut RowSet, mut find: impl FnMut(&[u8], usize) -> Option<Range<usize>>) {
    // Below one row in eight, jumping from row to row reads less than it costs to begin a search anew.
    if rows.count() < lines.len() / 8 {
        rows.retain(|row| find(lines.line(row), 0).is_some());
        return;
    }
    let (bytes, base) = (lines.bytes(), lines.offsets[0] as usize);
    let mut found = RowSet::new(lines.len());
    let (mut row, mut from) = (0, 0);
    while row < lines.len()
        && let Some(hit) = find(bytes, from)
    {
        // The hit's row is usually near: gallop from the current row. Empty lines share their offset with the next
        // line, which owns the byte; an empty match belongs to the first of them and is handled line by line.
        let starts = &lines.offsets[row..lines.len()];
        row += gallop(starts, |start| (start as usize - base) <= hit.start) - 1;
        let end = lines.offsets[row + 1] as usize - base;
        if hit.is_empty() {
            rows.retain(|row| find(lines.line(row), 0).is_some());
            return;
        }
        if hit.end <= end || find(lines.line(row), 0).is_some() {
            found.insert(row);
        }
        row += 1;
        from = end;
    }
    rows.intersect(&found);
}

/// The number of leading values for which `before` holds; at least one does. Fast when the answer is small.
fn gallop(values: &[u32], before: impl Fn(u32) -> bool) -> usize {
    let mut step = 1;
    while step < values.len() && before(values[step]) {
        step *= 2;
    }
    let (low, high) = (step / 2, values.len().min(step));
    low + values[low..high].partition_point(|v| before(*v))
}

/// Passes lines that hold a substring, or those that do not.
#[derive(Clone, Debug)]
pub struct Contains {
    finder: memmem::Finder<'static>,
    negated: bool,
}

impl Contains {
    /// Passes lines that hold `needle`. Every line holds the empty needle.
    pub fn new(needle: &[u8]) -> Self {
        Self { finder: memmem::Finder::new(needle).into_owned(), negated: false }
    }

    /// Passes the lines that the predicate refused so far.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { negated: !self.negated, ..self }
    }
}

impl LinePredicate for Contains {
    fn retain(&self, lines: Lines<'_>, rows: &mut RowSet) {
        let before = self.negated.then(|| rows.clone());
        let len = self.finder.needle().len();
        if len > 0 {
            scan_lines(lines, rows, |bytes, from| {
                let at = from + self.finder.find(&bytes[from..])?;
                Some(at..at + len)
            });
        }
        if let Some(before) = before {
            let passed = std::mem::replace(rows, before);
            rows.subtract(&passed);
        }
    }
}

/// A set of rows, as a bitmap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSet {
    words: Vec<u64>,
    len: usize,
}

impl RowSet {
    /// The empty set over `len` rows.
    pub fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(64)], len }
    }

    /// The set of all of `len` rows.
    pub fn full(len: usize) -> Self {
        let mut words = vec![u64::MAX; len.div_ceil(64)];
        if let Some(last) = words.last_mut()
            && !len.is_multiple_of(64)
        {
            *last = (1 << (len % 64)) - 1;
        }
        Self { words, len }
    }

    /// How many rows there are, in the set or not.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|w| *w == 0)
    }

    /// How many rows are in the set.
    pub fn count(&self) -> usize {
        self.words.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether the row is in the set.
    pub fn contains(&self, row: usize) -> bool {
        row < self.len && self.words[row / 64] >> (row % 64) & 1 == 1
    }

    /// Adds a row; rows past the end are ignored.
    pub fn insert(&mut self, row: usize) {
        if row < self.len {
            self.words[row / 64] |= 1 << (row % 64);
        }
    }

    /// Removes a row.
    pub fn remove(&mut self, row: usize) {
        if row < self.len {
            self.words[row / 64] &= !(1 << (row % 64));
        }
    }

    /// Keeps the rows that are also in `other`.
    pub fn intersect(&mut self, other: &Self) {
        for (at, word) in self.words.iter_mut().enumerate() {
            *word &= other.words.get(at).copied().unwrap_or(0);
        }
    }

    /// Removes the rows that are in `other`.
    pub fn subtract(&mut self, other: &Self) {
        for (word, other) in self.words.iter_mut().zip(&other.words) {
            *word &= !other;
        }
    }

    /// Keeps the rows for which `keep` holds.
    pub fn retain(&mut self, mut keep: impl FnMut(usize) -> bool) {
        for (at, word) in self.words.iter_mut().enumerate() {
            let mut left = *word;
            while left != 0 {
                let bit = left.trailing_zeros() as usize;
                left &= left - 1;
                if !keep(at * 64 + bit) {
                    *word &= !(1 << bit);
                }
            }
        }
    }

    /// The rows in the set, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.words.iter().enumerate().flat_map(|(at, word)| BitIter(*word).map(move |bit| at * 64 + bit))
    }
}

/// The bits that are set in a word.
struct BitIter(u64);

impl Iterator for BitIter {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let bit = (self.0 != 0).then(|| self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(bit)
    }
}

impl DoubleEndedIterator for BitIter {
    fn next_back(&mut self) -> Option<usize> {
        let bit = (self.0 != 0).then(|| 63 - self.0.leading_zeros() as usize)?;
        self.0 &= !(1 << bit);
        Some(bit)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Contains, LinePredicate, Lines, RowSet, scan_lines};

    fn pack(lines: &[Vec<u8>]) -> (Vec<u8>, Vec<u32>) {
        let mut offsets = vec![0];
        let mut buffer = Vec::new();
        for line in lines {
            buffer.extend_from_slice(line);
            offsets.push(buffer.len() as u32);
        }
        (buffer, offsets)
    }

    fn naive(line: &[u8], needle: &[u8]) -> bool {
        needle.is_empty() || line.windows(needle.len()).any(|w| w == needle)
    }

    fn lines() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(b'a'..=b'c', 0..8), 0..200)
    }

    proptest! {
        #[test]
        fn contains_is_what_a_search_per_line_finds(
            lines in lines(), needle in proptest::collection::vec(b'a'..=b'c', 0..5),
            mask in proptest::collection::vec(any::<bool>(), 200), cut in 0..50_usize, thin: bool, negated: bool,
        ) {
            let (buffer, offsets) = pack(&lines);
            let cut = cut.min(lines.len());
            let view = Lines::new(&buffer, &offsets).expect("valid").slice(cut..lines.len());
            let mut rows = RowSet::full(view.len());
            rows.retain(|row| mask[row] && (!thin || row % 10 == 0));
            let expected: Vec<usize> =
                rows.iter().filter(|row| naive(&lines[cut + row], &needle) != negated).collect();
            let predicate = Contains::new(&needle);
            if negated { predicate.negated() } else { predicate }.retain(view, &mut rows);
            prop_assert_eq!(rows.iter().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn greedy_matches_over_line_ends_hide_nothing(lines in lines()) {
            // As the regular expression `a[ab]*b?` would: leftmost, longest, blind to line ends.
            let find = |bytes: &[u8], from: usize| {
                let start = from + bytes[from..].iter().position(|b| *b == b'a')?;
                let len = bytes[start..].iter().take_while(|b| **b != b'c').count();
                Some(start..start + len)
            };
            let (buffer, offsets) = pack(&lines);
            let mut rows = RowSet::full(lines.len());
            scan_lines(Lines::new(&buffer, &offsets).expect("valid"), &mut rows, find);
            let expected: Vec<usize> = (0..lines.len()).filter(|row| lines[*row].contains(&b'a')).collect();
            prop_assert_eq!(rows.iter().collect::<Vec<_>>(), expected);
        }

        #[test]
        fn row_sets_are_sets(
            len in 0..300_usize, ops in proptest::collection::vec((0..320_usize, any::<bool>()), 0..100),
        ) {
            let mut set = RowSet::new(len);
            let mut model = std::collections::BTreeSet::new();
            for (row, insert) in ops {
                if !insert {
                    set.remove(row);
                    model.remove(&row);
                } else {
                    set.insert(row);
                    model.extend((row < len).then_some(row));
                }
            }
            prop_assert_eq!(set.count(), model.len());
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert!(set.iter().rev().eq(model.iter().rev().copied()));
            prop_assert_eq!(RowSet::full(len).count(), len);
        }
    }

    #[test]
    fn bad_offsets_make_no_view() {
        assert!(Lines::new(b"abc", &[]).is_none());
        assert!(Lines::new(b"abc", &[0, 4]).is_none());
        assert!(Lines::new(b"abc", &[2, 1, 3]).is_none());
        assert_eq!(Lines::new(b"abc", &[0]).map(|l| l.len()), Some(0));
    }
}
