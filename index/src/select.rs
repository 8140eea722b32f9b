//! From matchers to series: cheapest matcher first, regular expressions over sorted values and not over series.

use std::ops::Range;

use narvi_types::{MatchOp, Matcher};
use roaring::RoaringBitmap;

use crate::{Part, Result, part::value_of, postings::Posting};

/// Reading one series' labels to ask the matchers costs about this many units of some 10 ns.
const SERIES_COST: u64 = 25;
/// Asking a matcher about one value.
const VALUE_COST: u64 = 6;
/// Ids taken together before they become a bitmap.
const IDS_AT_ONCE: usize = 1 << 20;

impl Part {
    /// The series that pass every matcher; all series if there is none. A missing label has the value "".
    ///
    /// An equality matcher costs a binary search over the label's values and decoding its posting; a regular expression
    /// is asked about each value of its label once, or, where other matchers left few series, about theirs only.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn select(&self, matchers: &[Matcher]) -> Result<RoaringBitmap> {
        let mut steps = Vec::with_capacity(matchers.len());
        for matcher in matchers {
            match self.plan(matcher)? {
                Plan::All => {}
                Plan::Nothing => return Ok(RoaringBitmap::new()),
                Plan::Step(step) => steps.push(step),
            }
        }
        steps.sort_by_key(|step| (step.order, step.cost));
        let mut found = None;
        let mut left: u64 = steps.iter().map(|step| step.cost).sum();
        for (at, step) in steps.iter().enumerate() {
            if let Some(found) = &found
                && RoaringBitmap::len(found).saturating_mul(SERIES_COST) <= left
            {
                return self.filter(found, steps.get(at..).unwrap_or_default());
            }
            left -= step.cost;
            found = Some(self.apply(step, found)?);
        }
        Ok(found.unwrap_or_else(|| self.all()))
    }

    fn all(&self) -> RoaringBitmap {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.series_count());
        all
    }

    /// Finds out what a matcher needs, and what that costs, without decoding anything.
    fn plan<'a>(&'a self, matcher: &'a Matcher) -> Result<Plan<'a>> {
        let passes_missing = matcher.matches_empty();
        let Some(name) = self.name_id(matcher.name()) else {
            return Ok(if passes_missing { Plan::All } else { Plan::Nothing });
        };
        let step = |order, cost, action| Plan::Step(Step { matcher, name, order, cost, action });
        let has = |action: fn(Posting<'a>) -> Action<'a>| {
            let posting = self.posting(name, None)?;
            Ok(step(1, posting_cost(&posting), action(posting)))
        };
        match (matcher.op(), matcher.value()) {
            (MatchOp::Equal, "") | (MatchOp::NotRegex, ".+") => has(Action::Without),
            (MatchOp::NotEqual, "") | (MatchOp::Regex, ".+") => has(Action::With),
            (MatchOp::Regex, ".*") => Ok(Plan::All),
            (MatchOp::Equal | MatchOp::NotEqual, value) => {
                let found = self.values_of(name)?.find(value.as_bytes())?;
                let equal = matcher.op() == MatchOp::Equal;
                let Ok(value) = found else { return Ok(if equal { Plan::Nothing } else { Plan::All }) };
                let posting = self.posting(name, Some(value))?;
                let cost = posting_cost(&posting);
                Ok(if equal { step(0, cost, Action::With(posting)) } else { step(2, cost, Action::Without(posting)) })
            }
            (MatchOp::Regex | MatchOp::NotRegex, _) => {
                let candidates = self.candidates(name, matcher)?;
                let cost = candidates.iter().map(|range| range.len() as u64).sum::<u64>() * VALUE_COST;
                Ok(step(3, cost, Action::Scan { candidates, passes_missing }))
            }
        }
    }

    /// The values of a label that a regular expression can match: those it lists, those with its literal prefix, or
    /// all.
    fn candidates(&self, name: usize, matcher: &Matcher) -> Result<Vec<Range<usize>>> {
        let values = self.values_of(name)?;
        let Some(regex) = matcher.regex() else { return Ok(Vec::new()) };
        if let Some(listed) = regex.exact_set() {
            // Sorted, as the values are: so are their places.
            let mut places = Vec::new();
            for value in listed {
                places.extend(values.find(value.as_bytes())?.ok().map(|at| at..at + 1));
            }
            return Ok(places);
        }
        let prefix = regex.literal_prefix().as_bytes();
        let start = values.partition_point(0, |value| value < prefix)?;
        let end = values.partition_point(start, |value| value.starts_with(prefix))?;
        Ok(std::iter::once(start..end).collect())
    }

    /// Narrows what was found so far by one step.
    fn apply(&self, step: &Step<'_>, found: Option<RoaringBitmap>) -> Result<RoaringBitmap> {
        let series = self.series_count();
        match &step.action {
            Action::With(posting) => {
                let with = posting.bitmap(series)?;
                Ok(match found {
                    Some(found) => found & with,
                    None => with,
                })
            }
            Action::Without(posting) => Ok(found.unwrap_or_else(|| self.all()) - posting.bitmap(series)?),
            Action::Scan { candidates, passes_missing } => self.scan(step, candidates, *passes_missing, found),
        }
    }

    /// Asks the regular expression about its candidates, then unites the postings of the smaller side: of the values it
    /// matches or of the others. The values' postings share no series and make up those of the label, so either side
    /// tells the other.
    fn scan(
        &self,
        step: &Step<'_>,
        candidates: &[Range<usize>],
        passes_missing: bool,
        found: Option<RoaringBitmap>,
    ) -> Result<RoaringBitmap> {
        let values = self.values_of(step.name)?;
        let mut side = Vec::new();
        for range in candidates {
            for (value, bytes) in range.clone().zip(values.iter(range.clone())) {
                let bytes = bytes?;
                if step.matcher.regex().is_some_and(|regex| regex.is_match(bytes)) {
                    side.push(value);
                }
            }
        }
        // Whether the matcher lets the values of that side pass, or the others.
        let mut passes = step.matcher.op() == MatchOp::Regex;
        if side.len() > values.len() / 2 {
            let mut matched = side.into_iter().peekable();
            side = (0..values.len()).filter(|value| matched.next_if_eq(value).is_none()).collect();
            passes = !passes;
        }
        let union = self.union(step.name, &side, found.as_ref())?;
        let label = || self.posting(step.name, None)?.bitmap(self.series_count());
        match (passes, passes_missing, found) {
            (true, false, _) => Ok(union),
            (true, true, found) => Ok((found.unwrap_or_else(|| self.all()) - label()?) | union),
            (false, true, found) => Ok(found.unwrap_or_else(|| self.all()) - union),
            (false, false, Some(found)) => Ok((found & label()?) - union),
            (false, false, None) => Ok(label()? - union),
        }
    }

    /// The series that have one of these values, of those in `within`.
    fn union(&self, name: usize, values: &[usize], within: Option<&RoaringBitmap>) -> Result<RoaringBitmap> {
        let series = self.series_count();
        let mut union = RoaringBitmap::new();
        let mut ids = Vec::new();
        for value in values {
            if let Some(bitmap) = self.posting(name, Some(*value))?.decode(series, &mut ids)? {
                match within {
                    Some(within) => union |= bitmap & within,
                    None => union |= bitmap,
                }
            }
            if ids.len() >= IDS_AT_ONCE {
                add_ids(&mut union, &mut ids, series);
            }
        }
        add_ids(&mut union, &mut ids, series);
        if let Some(within) = within {
            union &= within;
        }
        Ok(union)
    }

    /// Asks all matchers left about the labels of each series.
    fn filter(&self, found: &RoaringBitmap, steps: &[Step<'_>]) -> Result<RoaringBitmap> {
        let mut cursor = self.series_cursor();
        let mut ids = Vec::new();
        'series: for id in found {
            let pairs = cursor.seek(id)?;
            for step in steps {
                let value = match value_of(pairs, step.name) {
                    Some(value) => self.values_of(step.name)?.get(value as usize)?,
                    None => "",
                };
                if !step.matcher.matches(value) {
                    continue 'series;
                }
            }
            ids.push(id);
        }
        Ok(ids.into_iter().collect())
    }
}

enum Plan<'a> {
    /// Every series passes.
    All,
    /// No series passes.
    Nothing,
    Step(Step<'a>),
}

struct Step<'a> {
    matcher: &'a Matcher,
    name: usize,
    /// Equalities, then presence, then exclusions, then scans.
    order: u8,
    /// In units of some 10 ns.
    cost: u64,
    action: Action<'a>,
}

enum Action<'a> {
    /// Series in the posting pass.
    With(Posting<'a>),
    /// Series not in the posting pass.
    Without(Posting<'a>),
    /// The regular expression must be asked about these values; it matches no other.
    Scan { candidates: Vec<Range<usize>>, passes_missing: bool },
}

fn posting_cost(posting: &Posting<'_>) -> u64 {
    50 + posting.count() / 16
}

/// Moves ids into a bitmap: by way of a bit set where they are dense, else sorted.
fn add_ids(union: &mut RoaringBitmap, ids: &mut Vec<u32>, series: u32) {
    if ids.len() > series as usize / 256 {
        let mut bits = vec![0u8; series as usize / 8 + 1];
        for id in ids.iter() {
            if let Some(byte) = bits.get_mut((id / 8) as usize) {
                *byte |= 1 << (id % 8);
            }
        }
        *union |= RoaringBitmap::from_lsb0_bytes(0, &bits);
    } else {
        ids.sort_unstable();
        ids.dedup();
        // Sorted and each once, so that appending cannot fail.
        *union |= RoaringBitmap::from_sorted_iter(ids.iter().copied()).unwrap_or_default();
    }
    ids.clear();
}
