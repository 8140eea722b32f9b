//! Line filters: `|= "x" or "y"`, `!~ "z"`, `|> "<_> x"`, `|= ip("10.0.0.0/8")`; on one line, and on a whole buffer of lines at
//! once, where lines that fail are never looked at.

use narvi_types::regex::{Regex, RegexOptions};

use super::{
    pattern::PatternFilter,
    seam::{self, IpPattern, PatternExpr},
    search::Finder,
};
use crate::{
    Error, Lines, NeedleGroup,
    ast::{LineFilter, LineMatch},
};

/// A compiled line filter. A line passes if a test finds something, or, negated, if it does not.
#[derive(Debug)]
pub(super) struct LineTest {
    /// What every line that the test finds something in holds, and whether that is all there is to it.
    finder: Option<Finder>,
    exact: bool,
    /// Any of them finds something.
    checks: Vec<Check>,
    negated: bool,
    needles: Option<NeedleGroup>,
}

/// A test of a line that is not the search for a text.
#[derive(Clone, Debug)]
pub(super) enum Check {
    Regex(Regex),
    Pattern(std::sync::Arc<PatternFilter>),
    Ip(IpPattern),
    Text(std::sync::Arc<[u8]>),
}

impl Check {
    fn is_match(&self, line: &[u8]) -> bool {
        match self {
            Self::Regex(regex) => regex.is_match(line),
            Self::Pattern(pattern) => pattern.is_match(line),
            Self::Ip(pattern) => pattern.is_match(line),
            Self::Text(text) => memchr::memmem::find(line, text).is_some(),
        }
    }
}

/// What a filter comes down to.
#[derive(Debug)]
pub(super) enum Compiled {
    /// Every line passes.
    All,
    /// No line passes.
    None,
    Test(Box<LineTest>),
}

/// Compiles a filter.
///
/// # Errors
/// An operand that Loki refuses.
pub(super) fn compile(filter: &LineFilter) -> Result<Compiled, Error> {
    let (negated, kind) = match filter.op {
        LineMatch::Contains => (false, LineMatch::Contains),
        LineMatch::NotContains => (true, LineMatch::Contains),
        LineMatch::Regex => (false, LineMatch::Regex),
        LineMatch::NotRegex => (true, LineMatch::Regex),
        LineMatch::Pattern => (false, LineMatch::Pattern),
        LineMatch::NotPattern => (true, LineMatch::Pattern),
    };
    // In a chain of alternatives Loki forgets that an operand was written as ip("..."), except where they are negated.
    let forget_ip = !negated && filter.operands.len() > 1;
    let mut parts = Vec::new();
    let mut passes_all = false;
    for operand in &filter.operands {
        let part = if operand.ip {
            let text = std::str::from_utf8(&operand.value).map_err(|e| seam::refused(e.to_string()))?;
            let pattern = IpPattern::parse(text).map_err(|e| seam::refused(e.to_string()))?;
            if forget_ip { Part::text(operand.value.clone()) } else { Part::check(Check::Ip(pattern)) }
        } else {
            part(kind, &operand.value)?
        };
        match part {
            Part::All => passes_all = true,
            Part::Some(found) => parts.push(found),
        }
    }
    // An alternative that every line has is forgotten if there are others; negated, it refuses every line.
    if passes_all && (negated || parts.is_empty()) {
        return Ok(if negated { Compiled::None } else { Compiled::All });
    }
    Ok(Compiled::Test(Box::new(LineTest::new(parts, negated))))
}

/// An operand: texts of which a line must hold one, and a check if that is not enough.
#[derive(Debug)]
struct Found {
    texts: Option<(Vec<Vec<u8>>, bool)>,
    check: Option<Check>,
}

enum Part {
    All,
    Some(Found),
}

impl Part {
    fn text(text: Vec<u8>) -> Self {
        if text.is_empty() { Self::All } else { Self::Some(Found { texts: Some((vec![text], false)), check: None }) }
    }

    fn check(check: Check) -> Self {
        Self::Some(Found { texts: None, check: Some(check) })
    }
}

fn part(kind: LineMatch, value: &[u8]) -> Result<Part, Error> {
    let text = || String::from_utf8_lossy(value);
    Ok(match kind {
        LineMatch::Pattern | LineMatch::NotPattern => {
            let expr = PatternExpr::parse_filter(&text()).map_err(seam::refused)?;
            let filter = PatternFilter::new(&expr.parts);
            let texts = filter.needle().map(|n| (vec![n.to_vec()], false));
            Part::Some(Found { texts, check: Some(Check::Pattern(filter.into())) })
        }
        LineMatch::Regex | LineMatch::NotRegex => {
            if value.is_empty() || value == b".*" {
                return Ok(Part::All);
            }
            let regex = Regex::new(&text(), RegexOptions::LINE).map_err(|e| seam::refused(e.to_string()))?;
            let set = |set: &narvi_types::regex::LiteralSet| {
                (set.literals().iter().map(|l| l.to_vec()).collect(), set.ascii_case_insensitive())
            };
            match regex.exact_literals() {
                Some(exact) if exact.literals().iter().any(|l| l.is_empty()) => Part::All,
                Some(exact) => Part::Some(Found { texts: Some(set(exact)), check: None }),
                None => {
                    Part::Some(Found { texts: regex.required_literals().map(set), check: Some(Check::Regex(regex)) })
                }
            }
        }
        LineMatch::Contains | LineMatch::NotContains => Part::text(value.to_vec()),
    })
}

impl LineTest {
    fn new(parts: Vec<Found>, negated: bool) -> Self {
        let mut texts: Vec<Vec<u8>> = Vec::new();
        let mut ignore_case = false;
        let mut folds = None;
        let mut all_have_texts = true;
        for part in &parts {
            let Some((part_texts, fold)) = &part.texts else {
                all_have_texts = false;
                continue;
            };
            // One search cannot mind the case of some texts only; so it minds none, and checks do.
            folds = match folds {
                None => Some((*fold, false)),
                Some((known, mixed)) => Some((known || *fold, mixed || known != *fold)),
            };
            texts.extend(part_texts.iter().cloned());
        }
        let mut mixed = false;
        if let Some((fold, differ)) = folds {
            ignore_case = fold;
            mixed = differ;
        }
        texts.sort();
        texts.dedup();
        let finder = if all_have_texts { Finder::new(&texts, ignore_case) } else { None };
        let exact = finder.is_some() && !mixed && parts.iter().all(|p| p.check.is_none());
        let needles = finder.as_ref().filter(|_| !negated).map(|_| NeedleGroup { any: texts, ignore_case });
        let mut checks = Vec::new();
        if !exact {
            for part in parts {
                match (part.check, part.texts) {
                    (Some(check), _) => checks.push(check),
                    (None, Some((texts, false))) => checks.extend(texts.into_iter().map(|t| Check::Text(t.into()))),
                    (None, Some((texts, true))) => checks.extend(folded_check(&texts).map(Check::Regex)),
                    (None, None) => {}
                }
            }
        }
        Self { finder, exact, checks, negated, needles }
    }

    /// What lines that pass hold.
    pub(super) fn needles(&self) -> Option<&NeedleGroup> {
        self.needles.as_ref()
    }

    /// The tests of one thread: regular expressions have scratch space.
    pub(super) fn checks(&self) -> Vec<Check> {
        self.checks.clone()
    }

    /// Whether a line passes. `checks` are the runner's own.
    pub(super) fn passes(&self, line: &[u8], checks: &[Check]) -> bool {
        let found = self.finder.as_ref().is_none_or(|f| f.is_in(line))
            && (self.exact || checks.iter().any(|c| c.is_match(line)));
        found != self.negated
    }

    /// Narrows a selection to the rows whose lines pass.
    pub(super) fn narrow(&self, lines: &Lines<'_>, rows: &mut Selection, checks: &[Check]) {
        let (Some(finder), true, Selection::Range(first, end)) = (&self.finder, lines.contiguous, &*rows) else {
            return self.narrow_each(lines, rows, checks);
        };
        let (first, end) = (*first, *end);
        let mut hits = Vec::new();
        self.hits(finder, lines, first, end, checks, &mut hits);
        *rows = if self.negated { without(first, end, &hits) } else { Selection::List(hits) };
    }

    fn narrow_each(&self, lines: &Lines<'_>, rows: &mut Selection, checks: &[Check]) {
        match rows {
            Selection::Range(first, end) => {
                let list = (*first..*end).filter(|row| self.passes(lines.get(*row), checks)).collect();
                *rows = Selection::List(list);
            }
            Selection::List(list) => list.retain(|row| self.passes(lines.get(*row), checks)),
        }
    }

    /// Searches the buffer under the rows and lists those that the test finds something in.
    fn hits(&self, finder: &Finder, lines: &Lines<'_>, first: u32, end: u32, checks: &[Check], hits: &mut Vec<u32>) {
        if first >= end {
            return;
        }
        let starts = lines.starts.get(first as usize..end as usize).unwrap_or(&[]);
        let ends_at = |row: usize| {
            let len = lines.lengths.get(first as usize + row).copied().unwrap_or(0);
            starts.get(row).copied().unwrap_or(0) as usize + len as usize
        };
        let Some(&begin) = starts.first() else { return };
        let buffer = lines.buffer.get(..ends_at(starts.len() - 1)).unwrap_or(lines.buffer);
        let mut at = begin as usize;
        let mut row = 0;
        while let Some((start, stop)) = finder.find(buffer, at) {
            row += row_of(starts.get(row..).unwrap_or(&[]), start);
            let row_end = ends_at(row);
            if stop > row_end {
                // It lies across two lines; another may begin inside it.
                at = start + 1;
                continue;
            }
            let number = first + row as u32;
            if self.exact || checks.iter().any(|c| c.is_match(lines.get(number))) {
                hits.push(number);
            }
            at = row_end;
        }
    }
}

/// A regular expression for texts in either case.
fn folded_check(texts: &[Vec<u8>]) -> Option<Regex> {
    let quote = |c: char| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\x{{{:x}}}", c as u32) };
    let quoted: Vec<String> = texts.iter().map(|t| String::from_utf8_lossy(t).chars().map(quote).collect()).collect();
    Regex::new(&format!("(?i){}", quoted.join("|")), RegexOptions::LINE).ok()
}

/// The last of the ascending starts that is not behind a place: first by steps that double, then by halving.
fn row_of(starts: &[u32], place: usize) -> usize {
    let mut step = 1;
    while starts.get(step).is_some_and(|s| *s as usize <= place) {
        step *= 2;
    }
    let low = step / 2;
    let high = step.min(starts.len());
    low + starts.get(low..high).unwrap_or(&[]).partition_point(|s| *s as usize <= place).saturating_sub(1)
}

fn without(first: u32, end: u32, hits: &[u32]) -> Selection {
    if hits.is_empty() {
        return Selection::Range(first, end);
    }
    let mut rows = Vec::with_capacity((end - first) as usize - hits.len());
    let mut next = first;
    for hit in hits {
        rows.extend(next..*hit);
        next = hit + 1;
    }
    rows.extend(next..end);
    Selection::List(rows)
}

/// Rows that are still in question, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    Range(u32, u32),
    List(Vec<u32>),
}

impl Selection {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Range(first, end) => first >= end,
            Self::List(list) => list.is_empty(),
        }
    }

    /// The row at a place of the selection.
    pub(super) fn get(&self, index: usize) -> Option<u32> {
        match self {
            Self::Range(first, end) => {
                let row = first.checked_add(u32::try_from(index).ok()?)?;
                (row < *end).then_some(row)
            }
            Self::List(list) => list.get(index).copied(),
        }
    }
}

#[cfg(test)]
#[path = "line_filter_tests.rs"]
mod tests;
