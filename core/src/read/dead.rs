//! Duplicates: the same time, line and metadata stored more than once count once.
//!
//! Rows of one stream that overlap in time are compared at equal times only. Of two equal rows that which lies in the
//! earlier place lives; places are numbered in the order in which they were written, heads last.

use std::collections::HashSet;

use narvi_logql::SourceError;
use narvi_types::{Metadata, TimeRange};

use super::{
    packs::Packs,
    rows::{Content, OpenRows, StreamRows},
};

/// For each of several places of one stream, the earlier places that share times with it. Empty for all when they follow one
/// another in time, which is the usual case and costs one sort.
pub(crate) fn overlaps(ranges: &[TimeRange]) -> Vec<Vec<usize>> {
    let mut earlier = vec![Vec::new(); ranges.len()];
    let mut by_time: Vec<usize> = (0..ranges.len()).collect();
    by_time.sort_unstable_by_key(|at| ranges[*at].min);
    // Those of which the end is not passed yet.
    let mut open: Vec<usize> = Vec::new();
    for at in by_time {
        open.retain(|other| ranges[*other].max >= ranges[at].min);
        for other in &open {
            earlier[at.max(*other)].push(at.min(*other));
        }
        open.push(at);
    }
    earlier
}

/// Of the rows of `own` (given by time, with their row numbers), those that equal a row of one of `others`; ascending.
pub(crate) fn repeated(
    own: &[(i64, u32)],
    own_content: &dyn Fn() -> Result<Content, SourceError>,
    others: &[StreamRows],
    packs: &Packs,
) -> Result<Vec<u32>, SourceError> {
    let (Some(first), Some(last)) = (own.first(), own.last()) else { return Ok(Vec::new()) };
    let range = TimeRange::new(first.0, last.0);
    let mut dead = Vec::new();
    let mut content: Option<Content> = None;
    for other in others {
        let shared = other.range().intersect(&range);
        let open = match other.open(packs) {
            Ok(open) => open,
            // What cannot be read is not answered, so nothing here repeats it.
            Err(SourceError::Corrupt(_)) => continue,
            Err(error) => return Err(error),
        };
        let theirs = open.times_in(shared)?;
        let pairs = equal_times(own, &theirs);
        if pairs.is_empty() {
            continue;
        }
        let content = match &content {
            Some(content) => content,
            None => content.insert(own_content()?),
        };
        mark(&pairs, content, &open, &mut dead)?;
    }
    dead.sort_unstable();
    dead.dedup();
    Ok(dead)
}

fn mark(pairs: &[(u32, u32)], own: &Content, other: &OpenRows, dead: &mut Vec<u32>) -> Result<(), SourceError> {
    let other = match other.content() {
        Ok(content) => content,
        Err(SourceError::Corrupt(_)) => return Ok(()),
        Err(error) => return Err(error),
    };
    let equal = pairs.iter().filter(|(mine, theirs)| own.row(*mine) == other.row(*theirs));
    dead.extend(equal.map(|(mine, _)| *mine));
    Ok(())
}

/// All pairs of rows with equal times, of two lists that are sorted by time.
fn equal_times(own: &[(i64, u32)], theirs: &[(i64, u32)]) -> Vec<(u32, u32)> {
    let mut pairs = Vec::new();
    let mut from = 0;
    for (time, row) in own {
        while theirs.get(from).is_some_and(|(t, _)| t < time) {
            from += 1;
        }
        let equal = theirs[from..].iter().take_while(|(t, _)| t == time);
        pairs.extend(equal.map(|(_, other)| (*row, *other)));
    }
    pairs
}

/// Of rows sorted by time and, at equal times, by arrival, those that repeat an earlier one; positions in `rows`, ascending.
pub(crate) fn repeated_within<'a>(
    rows: &[(i64, u32)],
    content: impl Fn(u32) -> (&'a [u8], Option<&'a Metadata>),
) -> Vec<u32> {
    let mut dead = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        let run = rows[start..].iter().take_while(|(t, _)| *t == rows[start].0).count();
        if run > 1 {
            let mut seen = HashSet::with_capacity(run);
            for (at, (_, row)) in rows[start..start + run].iter().enumerate() {
                if !seen.insert(content(*row)) {
                    dead.push((start + at) as u32);
                }
            }
        }
        start += run;
    }
    dead
}

#[cfg(test)]
mod tests {
    use narvi_types::TimeRange;
    use proptest::prelude::*;

    use super::{equal_times, overlaps};

    proptest! {
        #[test]
        fn overlaps_are_all_found(ranges in proptest::collection::vec((0i64..30, 0i64..8), 0..12)) {
            let ranges: Vec<_> = ranges.iter().map(|(min, len)| TimeRange::new(*min, min + len)).collect();
            let found = overlaps(&ranges);
            for (at, earlier) in found.iter().enumerate() {
                let mut earlier = earlier.clone();
                earlier.sort_unstable();
                let expected: Vec<_> = (0..at).filter(|o| ranges[*o].overlaps(&ranges[at])).collect();
                prop_assert_eq!(earlier, expected);
            }
        }

        #[test]
        fn pairs_are_all_found(mut a in proptest::collection::vec(0i64..6, 0..12), mut b in proptest::collection::vec(0i64..6, 0..12)) {
            a.sort_unstable();
            b.sort_unstable();
            let rows = |times: &[i64]| (0u32..).zip(times).map(|(row, t)| (*t, row)).collect::<Vec<_>>();
            let mut expected = Vec::new();
            for (i, x) in a.iter().enumerate() {
                expected.extend(b.iter().enumerate().filter(|(_, y)| x == *y).map(|(j, _)| (i as u32, j as u32)));
            }
            prop_assert_eq!(equal_times(&rows(&a), &rows(&b)), expected);
        }
    }
}
