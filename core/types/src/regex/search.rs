//! Searching: matches, spans and groups in bytes that may be invalid UTF-8, with Go's rules for empty matches.

use std::{ops::Range, str};

use regex_automata::{Input, util::primitives::NonMaxUsize};

use super::{Regex, text::Text};

impl Regex {
    /// Whether the pattern matches (for an unanchored one: anywhere). Allocates only for invalid UTF-8.
    pub fn is_match(&self, haystack: &[u8]) -> bool {
        // Whatever the engine finds in valid parts, Go finds too; only a miss needs a second look.
        self.engine_matches(haystack)
            || (self.facts.minds_invalid
                && str::from_utf8(haystack).is_err()
                && self.engine_matches(Text::decode(haystack).bytes()))
    }

    /// As [`Self::is_match`], for valid UTF-8. Never allocates.
    pub fn is_match_str(&self, haystack: &str) -> bool {
        self.engine_matches(haystack.as_bytes())
    }

    fn engine_matches(&self, haystack: &[u8]) -> bool {
        if self.facts.splits_chars {
            // Asked for any match at all, the engine finds `\B` inside a character, steps over the character, and misses
            // what begins at it.
            return self.engine.search(&Input::new(haystack)).is_some();
        }
        self.engine.is_match(haystack)
    }

    /// The first match's span in bytes.
    pub fn find(&self, haystack: &[u8]) -> Option<Range<usize>> {
        self.find_iter(haystack).next()
    }

    /// The spans of all matches that do not overlap, as Go's FindAll gives them: an empty match right after another
    /// match does not count.
    pub fn find_iter<'r, 'h>(&'r self, haystack: &'h [u8]) -> FindIter<'r, 'h> {
        FindIter { regex: self, text: self.text(haystack), at: 0, last_end: None }
    }

    /// Scratch space for [`Self::captures`]; keep it across lines.
    pub fn groups(&self) -> Groups {
        Groups { slots: vec![None; self.engine.group_info().slot_len()] }
    }

    /// Finds the first match and its groups. On a miss, `groups` is cleared.
    pub fn captures(&self, haystack: &[u8], groups: &mut Groups) -> bool {
        self.captures_at(&self.text(haystack), 0, groups)
    }

    pub(super) fn text<'h>(&self, haystack: &'h [u8]) -> Text<'h> {
        if self.facts.minds_invalid { Text::decode(haystack) } else { Text::verbatim(haystack) }
    }

    /// Finds the first match from an offset of `text` on; the spans are in offsets of the original.
    pub(super) fn captures_at(&self, text: &Text<'_>, at: usize, groups: &mut Groups) -> bool {
        groups.slots.resize(self.engine.group_info().slot_len(), None);
        let input = Input::new(text.bytes()).range(at..);
        if self.engine.search_slots(&input, &mut groups.slots).is_none() {
            groups.slots.fill(None);
            return false;
        }
        for slot in &mut groups.slots {
            *slot = slot.and_then(|offset| NonMaxUsize::new(text.original(offset.get())));
        }
        true
    }
}

/// The groups of a match.
#[derive(Clone, Debug)]
pub struct Groups {
    slots: Vec<Option<NonMaxUsize>>,
}

impl Groups {
    /// The span of a group in bytes, 0 being the whole match. Nothing if it took no part or does not exist.
    pub fn get(&self, index: usize) -> Option<Range<usize>> {
        let slot = |at: usize| self.slots.get(at).copied().flatten().map(NonMaxUsize::get);
        let start = index.checked_mul(2)?;
        Some(slot(start)?..slot(start + 1)?)
    }

    /// How many groups the pattern has, the whole match included.
    pub fn len(&self) -> usize {
        self.slots.len() / 2
    }

    /// Whether there was no match.
    pub fn is_empty(&self) -> bool {
        self.get(0).is_none()
    }
}

/// The spans of all matches; see [`Regex::find_iter`].
#[derive(Clone, Debug)]
pub struct FindIter<'r, 'h> {
    regex: &'r Regex,
    pub(super) text: Text<'h>,
    at: usize,
    last_end: Option<usize>,
}

impl FindIter<'_, '_> {
    /// The next match in offsets of the text.
    pub(super) fn next_in_text(&mut self) -> Option<Range<usize>> {
        let end = self.text.bytes().len();
        while self.at <= end {
            let input = Input::new(self.text.bytes()).range(self.at..);
            let Some(found) = self.regex.engine.search(&input) else {
                self.at = end + 1;
                return None;
            };
            // An empty match where the search began: step over a character, or it would be found for ever.
            let stuck = found.end() == self.at;
            let repeated = stuck && self.last_end == Some(found.start());
            self.at = if stuck { self.at + self.text.char_len(self.at) } else { found.end() };
            self.last_end = Some(found.end());
            if !repeated {
                return Some(found.range());
            }
        }
        None
    }
}

impl Iterator for FindIter<'_, '_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let found = self.next_in_text()?;
        Some(self.text.original(found.start)..self.text.original(found.end))
    }
}
