//! Finding texts in a large buffer: one literal, several, or either without regard to the case of ASCII letters.

use aho_corasick::{AhoCorasick, MatchKind, packed};
use memchr::memmem;

/// Looks for one of several texts.
#[derive(Debug)]
pub(super) enum Finder {
    One(memmem::Finder<'static>),
    Many(AhoCorasick),
    Rare(RareBytes),
}

impl Finder {
    /// Compiles a search. `None` if there is nothing to look for, or a text is empty.
    pub(super) fn new(texts: &[Vec<u8>], ignore_case: bool) -> Option<Self> {
        if texts.is_empty() || texts.iter().any(Vec::is_empty) {
            return None;
        }
        let ignore_case = ignore_case && texts.iter().flatten().any(u8::is_ascii_alphabetic);
        if let ([text], false) = (texts, ignore_case) {
            return Some(Self::One(memmem::Finder::new(text).into_owned()));
        }
        if let Some(rare) = RareBytes::new(texts, ignore_case) {
            return Some(Self::Rare(rare));
        }
        let mut builder = AhoCorasick::builder();
        builder.match_kind(MatchKind::LeftmostFirst).ascii_case_insensitive(ignore_case);
        builder.build(texts).ok().map(Self::Many)
    }

    /// The first text at or after a place: where it begins and ends. A shorter one inside a longer one may go unnoticed.
    #[inline]
    pub(super) fn find(&self, buffer: &[u8], at: usize) -> Option<(usize, usize)> {
        let rest = buffer.get(at..)?;
        match self {
            Self::One(finder) => finder.find(rest).map(|start| (at + start, at + start + finder.needle().len())),
            Self::Many(searcher) => searcher.find(rest).map(|m| (at + m.start(), at + m.end())),
            Self::Rare(rare) => rare.find(buffer, at),
        }
    }

    /// Whether a line holds one of the texts.
    #[inline]
    pub(super) fn is_in(&self, line: &[u8]) -> bool {
        match self {
            Self::One(finder) => finder.find(line).is_some(),
            Self::Many(searcher) => searcher.is_match(line),
            Self::Rare(rare) => rare.find(line, 0).is_some(),
        }
    }
}

/// Looks for several texts, perhaps in either case: a vector search for all spellings of a few rare bytes of each, then a
/// comparison.
#[derive(Debug)]
pub(super) struct RareBytes {
    ignore_case: bool,
    searcher: packed::Searcher,
    texts: Vec<Vec<u8>>,
    /// For each spelling: which texts it may belong to, and where in them it stands.
    spellings: Vec<Vec<(usize, usize)>>,
}

/// The vector search takes this many patterns at most.
const MAX_SPELLINGS: usize = 64;

impl RareBytes {
    fn new(texts: &[Vec<u8>], ignore_case: bool) -> Option<Self> {
        let fold = |t: &Vec<u8>| if ignore_case { t.to_ascii_lowercase() } else { t.clone() };
        let texts: Vec<Vec<u8>> = texts.iter().map(fold).collect();
        let shortest = texts.iter().map(Vec::len).min()?;
        for len in (1..=shortest.min(4)).rev() {
            let mut patterns: Vec<Vec<u8>> = Vec::new();
            let mut spellings: Vec<Vec<(usize, usize)>> = Vec::new();
            for (index, text) in texts.iter().enumerate() {
                let offset = rarest_window(text, len);
                let window = &text[offset..offset + len];
                let all = if ignore_case { spellings_of(window) } else { vec![window.to_vec()] };
                for spelling in all {
                    match patterns.iter().position(|p| *p == spelling) {
                        Some(known) => spellings[known].push((index, offset)),
                        None => {
                            patterns.push(spelling);
                            spellings.push(vec![(index, offset)]);
                        }
                    }
                }
                if patterns.len() > MAX_SPELLINGS {
                    break;
                }
            }
            if patterns.len() > MAX_SPELLINGS {
                continue;
            }
            let searcher =
                packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder().extend(patterns).build();
            if let Some(searcher) = searcher {
                return Some(Self { ignore_case, searcher, texts, spellings });
            }
        }
        None
    }

    fn find(&self, buffer: &[u8], at: usize) -> Option<(usize, usize)> {
        let mut from = at;
        while from <= buffer.len() {
            let span = aho_corasick::Span { start: from, end: buffer.len() };
            let hit = self.searcher.find_in(buffer, span)?;
            for &(text, offset) in &self.spellings[hit.pattern().as_usize()] {
                let text = &self.texts[text];
                if let Some(start) = hit.start().checked_sub(offset).filter(|start| *start >= at)
                    && let Some(candidate) = buffer.get(start..start + text.len())
                    && (candidate == text || self.ignore_case && candidate.eq_ignore_ascii_case(text))
                {
                    return Some((start, start + text.len()));
                }
            }
            from = hit.start() + 1;
        }
        None
    }
}

/// All ways to write the letters in capitals or not.
fn spellings_of(text: &[u8]) -> Vec<Vec<u8>> {
    let mut all = vec![Vec::new()];
    for byte in text {
        let capital = byte.to_ascii_uppercase();
        let mut more = Vec::new();
        if capital != *byte {
            more.extend(all.iter().map(|s: &Vec<u8>| [s.as_slice(), &[capital]].concat()));
        }
        all.iter_mut().for_each(|s| s.push(*byte));
        all.append(&mut more);
    }
    all
}

/// Where the piece of that length with the rarest bytes begins.
fn rarest_window(text: &[u8], len: usize) -> usize {
    let cost = |window: &[u8]| window.iter().map(|b| commonness(*b)).sum::<u32>();
    (0..=text.len() - len).min_by_key(|at| cost(&text[*at..at + len])).unwrap_or(0)
}

/// How common a byte is in logs, roughly.
fn commonness(byte: u8) -> u32 {
    match byte {
        b' ' | b'"' | b'e' | b't' | b'0' => 12,
        b'a' | b'i' | b'o' | b'n' | b's' | b'r' | b'1' | b':' | b',' => 9,
        b'd' | b'l' | b'c' | b'u' | b'm' | b'p' | b'2'..=b'9' | b'-' | b'.' | b'/' | b'=' => 6,
        b'g' | b'h' | b'f' | b'b' | b'v' | b'w' | b'y' | b'k' | b'_' => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::Finder;
    use proptest::prelude::*;

    fn naive(texts: &[Vec<u8>], line: &[u8], ignore_case: bool) -> bool {
        texts.iter().any(|text| {
            line.windows(text.len()).any(|w| if ignore_case { w.eq_ignore_ascii_case(text) } else { w == text })
        })
    }

    proptest! {
        #[test]
        fn finds_what_is_there(
            texts in proptest::collection::vec("[abAB:]{1,5}", 1..6),
            line in "[abAB:]{0,80}",
            ignore_case: bool,
        ) {
            let texts: Vec<Vec<u8>> = texts.into_iter().map(String::into_bytes).collect();
            let finder = Finder::new(&texts, ignore_case).expect("something to find");
            prop_assert_eq!(finder.is_in(line.as_bytes()), naive(&texts, line.as_bytes(), ignore_case));
            if let Some((start, end)) = finder.find(line.as_bytes(), 0) {
                prop_assert!(naive(&texts, &line.as_bytes()[start..end], ignore_case));
            }
        }
    }
}
