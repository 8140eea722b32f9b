//! What strings a pattern needs: complete lists of what it matches, strings no match can do without, and prefixes.
//!
//! Everything here may give up (nothing found) but must not lie. U+FFFD is never taken for text, because Go matches
//! it with invalid bytes too.

use std::cell::Cell;

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// The most values [`Regex::exact_set`](super::Regex::exact_set) lists.
pub const MAX_EXACT_VALUES: usize = 4096;
/// The most strings made by combining sets, such as the digits of `v[0-9]`.
const MAX_PRODUCT: usize = 64;
/// The most bytes written while combining sets, all together.
const MAX_WORK_BYTES: usize = 4 << 20;
/// The most characters of a class that count as alternatives.
const MAX_CLASS: usize = 64;
/// The most bytes of all strings of a set together.
const MAX_SET_BYTES: usize = 1 << 20;
/// A repeated string is written out to about this many bytes.
const MAX_REPEATED_BYTES: usize = 64;
/// Deeper parts of an expression are not looked at, which also bounds the recursion.
const MAX_DEPTH: u32 = 100;

/// Strings to look for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiteralSet {
    literals: Vec<Box<[u8]>>,
    ascii_case_insensitive: bool,
}

impl LiteralSet {
    /// The strings, sorted and distinct; in lower case (as far as ASCII goes) if case does not matter.
    pub fn literals(&self) -> &[Box<[u8]>] {
        &self.literals
    }

    /// Whether ASCII letters match in both cases. Other letters always stand in the set in every case they match in.
    pub fn ascii_case_insensitive(&self) -> bool {
        self.ascii_case_insensitive
    }
}

/// All that is known about a pattern's strings.
#[derive(Debug, Default)]
pub(super) struct Analysis {
    /// Unanchored: the pattern matches what contains one of these.
    pub(super) contained: Option<LiteralSet>,
    /// Every match contains one of these.
    pub(super) required: Option<LiteralSet>,
    /// Anchored: the pattern matches these.
    pub(super) values: Option<Vec<String>>,
    /// Anchored: every match begins with this.
    pub(super) prefix: String,
}

impl Analysis {
    /// Looks at a pattern, without the anchors that `anchored` will put around it.
    pub(super) fn new(hir: &Hir, anchored: bool) -> Self {
        let subs = without_anchors(hir, anchored);
        let work = Work(Cell::new(MAX_WORK_BYTES));
        let found = work.concat(subs.iter().map(|sub| work.analyse(sub, 0)));
        let complete = found.exact.clone().filter(|set| !(found.looks || (set.folded && set.cased)));
        let required = better(found.required, found.exact.unwrap_or_else(Strings::nothing));
        let mut analysis = Self { required: required.map(Strings::finish), ..Self::default() };
        if !anchored {
            analysis.contained = complete.map(Strings::finish);
            return analysis;
        }
        analysis.values = complete.filter(|set| !set.folded).and_then(Strings::into_values);
        let (prefix, _) = concat_prefix(subs, 0);
        let valid = prefix.utf8_chunks().next().map_or("", |chunk| chunk.valid());
        analysis.prefix = valid.to_owned();
        analysis
    }
}

/// The parts of a pattern in order. Anchors at the ends of one that is anchored anyway are left out.
fn without_anchors(hir: &Hir, anchored: bool) -> &[Hir] {
    let mut subs = match hir.kind() {
        HirKind::Concat(subs) => subs.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    while let [first, rest @ ..] = subs
        && anchored
        && matches!(first.kind(), HirKind::Look(Look::Start))
    {
        subs = rest;
    }
    while let [rest @ .., last] = subs
        && anchored
        && matches!(last.kind(), HirKind::Look(Look::End))
    {
        subs = rest;
    }
    subs
}

/// A set of strings while it is put together.
#[derive(Clone, Debug)]
struct Strings {
    items: Vec<Vec<u8>>,
    /// Some ASCII letter stands for both its cases (and is in lower case).
    folded: bool,
    /// Some ASCII letter stands for itself alone.
    cased: bool,
}

impl Strings {
    fn of(item: &[u8]) -> Self {
        let cased = item.iter().any(u8::is_ascii_alphabetic);
        Self { items: vec![item.to_vec()], folded: false, cased }
    }

    /// The empty string.
    fn empty() -> Self {
        Self::of(b"")
    }

    /// The set that tells nothing when it is required.
    fn nothing() -> Self {
        Self::empty()
    }

    fn bytes(&self) -> usize {
        self.items.iter().map(Vec::len).sum()
    }

    /// Every string of this set followed by every one of the other.
    fn cross(&self, other: &Self, work: &Work) -> Option<Self> {
        let count = self.items.len().checked_mul(other.items.len())?;
        let bytes = self.bytes() * other.items.len() + other.bytes() * self.items.len();
        let grows = self.items.len() > 1 && other.items.len() > 1;
        if (grows && count > MAX_PRODUCT) || bytes > MAX_SET_BYTES {
            return None;
        }
        work.0.set(work.0.get().checked_sub(bytes)?);
        let items =
            self.items.iter().flat_map(|a| other.items.iter().map(move |b| [a.as_slice(), b].concat())).collect();
        Some(Self { items, folded: self.folded | other.folded, cased: self.cased | other.cased })
    }

    fn union(mut self, other: Self) -> Option<Self> {
        self.items.extend(other.items);
        self.folded |= other.folded;
        self.cased |= other.cased;
        (self.items.len() <= MAX_EXACT_VALUES && self.bytes() <= MAX_SET_BYTES).then_some(self)
    }

    fn finish(mut self) -> LiteralSet {
        if self.folded {
            self.items.iter_mut().for_each(|item| item.make_ascii_lowercase());
        }
        self.items.sort_unstable();
        self.items.dedup();
        let literals = self.items.into_iter().map(Vec::into_boxed_slice).collect();
        LiteralSet { literals, ascii_case_insensitive: self.folded }
    }

    fn into_values(mut self) -> Option<Vec<String>> {
        self.items.sort_unstable();
        self.items.dedup();
        self.items.into_iter().map(|item| String::from_utf8(item).ok()).collect()
    }

    /// How well a search for these strings skips; nothing if they are no help.
    fn score(&self) -> Option<u32> {
        let shortest = self.items.iter().map(Vec::len).min()?;
        let length = u32::try_from(shortest.min(32)).ok().filter(|length| *length > 0)?;
        let spread = usize::BITS - self.items.len().leading_zeros() - 1;
        Some(100 + 8 * length - (6 * spread).min(99))
    }
}

/// The better of two sets to require.
fn better(best: Option<Strings>, other: Strings) -> Option<Strings> {
    match (best.as_ref().and_then(Strings::score), other.score()) {
        (_, None) => best,
        (Some(best_score), Some(score)) if best_score >= score => best,
        (_, Some(_)) => Some(other),
    }
}

/// What is known about a part of an expression.
#[derive(Debug, Default)]
struct Found {
    /// All strings it can match, look-arounds aside.
    exact: Option<Strings>,
    /// Strings of which every match has one.
    required: Option<Strings>,
    /// Whether look-arounds narrow it down.
    looks: bool,
}

impl Found {
    fn exactly(strings: Strings) -> Self {
        Self { exact: Some(strings), ..Self::default() }
    }

    fn best(self) -> Option<Strings> {
        better(self.required, self.exact.unwrap_or_else(Strings::nothing))
    }
}

/// What may still be written while combining sets, in bytes: bounds the time that a long pattern takes.
struct Work(Cell<usize>);

impl Work {
    fn analyse(&self, hir: &Hir, depth: u32) -> Found {
        if depth > MAX_DEPTH {
            return Found { looks: true, ..Found::default() };
        }
        match hir.kind() {
            HirKind::Empty => Found::exactly(Strings::empty()),
            HirKind::Look(_) => Found { looks: true, ..Found::exactly(Strings::empty()) },
            HirKind::Literal(literal) => analyse_literal(&literal.0),
            HirKind::Class(class) => Found { exact: class_strings(class), ..Found::default() },
            HirKind::Capture(capture) => self.analyse(&capture.sub, depth + 1),
            HirKind::Repetition(repetition) => {
                let found = self.analyse(&repetition.sub, depth + 1);
                self.repeat(found, repetition.min, repetition.max)
            }
            HirKind::Concat(subs) => self.concat(subs.iter().map(|sub| self.analyse(sub, depth + 1))),
            HirKind::Alternation(subs) => alternation(subs.iter().map(|sub| self.analyse(sub, depth + 1))),
        }
    }

    fn repeat(&self, found: Found, min: u32, max: Option<u32>) -> Found {
        let looks = found.looks;
        if min == 0 {
            let optional = found.exact.filter(|_| max == Some(1)).and_then(|set| set.union(Strings::empty()));
            return Found { exact: optional, required: None, looks };
        }
        let Some(once) = found.exact else { return Found { exact: None, required: found.required, looks } };
        let (mut written, mut times) = (once.clone(), 1);
        while times < min && written.bytes() < MAX_REPEATED_BYTES {
            let Some(longer) = written.cross(&once, self) else { break };
            written = longer;
            times += 1;
        }
        if max == Some(times) {
            return Found { exact: Some(written), required: found.required, looks };
        }
        Found { exact: None, required: better(Some(once), written), looks }
    }

    fn concat(&self, parts: impl Iterator<Item = Found>) -> Found {
        let (mut best, mut run) = (None, Strings::empty());
        let (mut whole, mut looks) = (true, false);
        for part in parts {
            looks |= part.looks;
            if let Some(required) = part.required {
                best = better(best, required);
            }
            let Some(set) = part.exact else {
                best = better(best, std::mem::replace(&mut run, Strings::empty()));
                whole = false;
                continue;
            };
            match run.cross(&set, self) {
                Some(longer) => {
                    // More strings are not always the better thing to look for.
                    if longer.items.len() > run.items.len() {
                        best = better(best, run);
                    }
                    run = longer;
                }
                None => {
                    best = better(best, run);
                    whole = false;
                    run = set;
                }
            }
        }
        best = better(best, run.clone());
        Found { exact: whole.then_some(run), required: best, looks }
    }
}

fn analyse_literal(bytes: &[u8]) -> Found {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains(char::REPLACEMENT_CHARACTER) {
        return Found::exactly(Strings::of(bytes));
    }
    let pieces = text.split(char::REPLACEMENT_CHARACTER).map(|piece| Strings::of(piece.as_bytes()));
    Found { required: pieces.fold(None, better), ..Found::default() }
}

/// The members of a small class as strings.
fn class_strings(class: &Class) -> Option<Strings> {
    let Class::Unicode(class) = class else { return None };
    let size: usize = class.ranges().iter().map(|range| range.len()).sum();
    let chars = || class.ranges().iter().flat_map(|range| range.start()..=range.end());
    if size == 0 || size > MAX_CLASS || chars().any(|c| c == char::REPLACEMENT_CHARACTER) {
        return None;
    }
    let other_case = |c: char| if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
    let letters = || chars().filter(char::is_ascii_alphabetic);
    let folded = letters().next().is_some() && letters().all(|c| chars().any(|d| d == other_case(c)));
    let members = chars().filter(|c| !(folded && c.is_ascii_uppercase()));
    let items = members.map(|c| c.to_string().into_bytes()).collect();
    Some(Strings { items, folded, cased: !folded && letters().next().is_some() })
}

fn alternation(parts: impl Iterator<Item = Found>) -> Found {
    let mut exact: Option<Strings> = None;
    let mut required: Option<Strings> = None;
    let (mut all_exact, mut all_required, mut looks) = (true, true, false);
    let add = |sum: &mut Option<Strings>, set: Option<Strings>| -> bool {
        *sum = match (sum.take(), set) {
            (None, set) => set,
            (Some(sum), Some(set)) => sum.union(set),
            (Some(_), None) => None,
        };
        sum.is_some()
    };
    for part in parts {
        looks |= part.looks;
        all_exact = all_exact && add(&mut exact, part.exact.clone());
        all_required = all_required && add(&mut required, part.best());
    }
    Found { exact: exact.filter(|_| all_exact), required: required.filter(|_| all_required), looks }
}

/// The bytes every match begins with, and whether they are all it can match.
fn prefix(hir: &Hir, depth: u32) -> (Vec<u8>, bool) {
    if depth > MAX_DEPTH {
        return (Vec::new(), false);
    }
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => (Vec::new(), true),
        HirKind::Literal(literal) => {
            let text = String::from_utf8_lossy(&literal.0);
            let known = text.split(char::REPLACEMENT_CHARACTER).next().unwrap_or_default();
            (known.as_bytes().to_vec(), known.len() == literal.0.len())
        }
        HirKind::Class(class) => match class_strings(class).filter(|set| !set.folded) {
            Some(set) => (common(set.items).unwrap_or_default(), false),
            None => (Vec::new(), false),
        },
        HirKind::Capture(capture) => prefix(&capture.sub, depth + 1),
        HirKind::Repetition(repetition) if repetition.min > 0 => (prefix(&repetition.sub, depth + 1).0, false),
        HirKind::Repetition(_) => (Vec::new(), false),
        HirKind::Concat(subs) => concat_prefix(subs, depth + 1),
        HirKind::Alternation(subs) => {
            let parts: Vec<_> = subs.iter().map(|sub| prefix(sub, depth + 1)).collect();
            let same = parts.windows(2).all(|pair| pair.first() == pair.last()) && parts.iter().all(|part| part.1);
            (common(parts.into_iter().map(|part| part.0)).unwrap_or_default(), same)
        }
    }
}

fn concat_prefix(subs: &[Hir], depth: u32) -> (Vec<u8>, bool) {
    let mut known = Vec::new();
    for sub in subs {
        let (part, complete) = prefix(sub, depth);
        known.extend(part);
        if !complete {
            return (known, false);
        }
    }
    (known, true)
}

/// The longest common prefix.
fn common(items: impl IntoIterator<Item = Vec<u8>>) -> Option<Vec<u8>> {
    items.into_iter().reduce(|mut known, item| {
        let shared = known.iter().zip(&item).take_while(|(a, b)| a == b).count();
        known.truncate(shared);
        known
    })
}
