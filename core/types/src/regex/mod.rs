//! Regular expressions with Go's syntax and meaning, and what can be known about a pattern without running it.
//!
//! `parse` turns a pattern into an `Hir` (with `class`, `unicode` and `node`), regex-automata runs it, `text` reads
//! invalid UTF-8 as Go does, `literals` finds the strings a pattern needs, `search` and `expand` are the longer half of
//! the interface.

mod class;
mod error;
mod expand;
mod literals;
mod node;
mod parse;
mod search;
mod text;
mod unicode;

#[cfg(test)]
mod tests;

use std::{sync::Arc, thread};

use regex_automata::meta;
use regex_syntax::hir::{Hir, Look};

use self::error::Fault;
pub use self::{
    error::RegexError,
    literals::{LiteralSet, MAX_EXACT_VALUES},
    search::{FindIter, Groups},
};

/// How a pattern is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegexOptions {
    /// The match must cover the whole input.
    pub anchored: bool,
    /// The dot matches line breaks.
    pub dot_all: bool,
    /// Largest compiled size in bytes; a pattern that needs more is refused.
    pub size_limit_bytes: usize,
}

impl RegexOptions {
    /// As Loki compiles line filters and parsers: unanchored, the dot stops at line breaks.
    pub const LINE: Self = Self { anchored: false, dot_all: false, size_limit_bytes: 10 << 20 };
    /// As Prometheus compiles label matchers: anchored, the dot matches line breaks.
    pub const LABEL_MATCHER: Self = Self { anchored: true, dot_all: true, size_limit_bytes: 10 << 20 };
}

/// A compiled regular expression over bytes. Cheap to clone.
///
/// A clone shares the compiled program but has scratch space of its own: give each thread a clone.
#[derive(Clone, Debug)]
pub struct Regex {
    engine: meta::Regex,
    facts: Arc<Facts>,
}

/// What was learned while parsing.
#[derive(Debug)]
struct Facts {
    group_names: Vec<Option<Box<str>>>,
    literals: literals::Analysis,
    /// Whether the answer for a haystack with invalid UTF-8 depends on reading invalid bytes as U+FFFD.
    minds_invalid: bool,
    /// Whether a look-around alone may match inside a character.
    splits_chars: bool,
    spans_newline: bool,
    text_anchors: bool,
}

impl Regex {
    /// Compiles a pattern.
    ///
    /// Costs microseconds for usual patterns and tens of milliseconds near the size limit.
    ///
    /// # Errors
    /// A pattern that Go would refuse, or one that is too large when compiled.
    pub fn new(pattern: &str, options: RegexOptions) -> Result<Self, RegexError> {
        let too_large = || RegexError::new(Fault::TooLarge, pattern);
        // A range of a class takes eight bytes; compiled, it takes more.
        let parsed = parse::parse(pattern, options.dot_all, options.size_limit_bytes / 8)?;
        let literals = literals::Analysis::new(&parsed.hir, options.anchored);
        let hir = if options.anchored {
            Hir::concat(vec![Hir::look(Look::Start), parsed.hir, Hir::look(Look::End)])
        } else {
            parsed.hir
        };
        let properties = hir.properties();
        let may_be_empty = properties.minimum_len().unwrap_or(0) == 0;
        let facts = Facts {
            group_names: parsed.group_names,
            literals,
            // A match that consumes nothing may lie between any two characters, so it must be known where they are.
            minds_invalid: parsed.knows_replacement || may_be_empty,
            splits_chars: may_be_empty && properties.look_set().contains(Look::WordAsciiNegate),
            spans_newline: parsed.knows_newline,
            text_anchors: properties.look_set().contains_anchor_haystack(),
        };
        let engine = if parsed.height > MAX_RECURSION {
            compile_deep(&hir, options).ok_or_else(|| RegexError::new(Fault::NestingDepth, pattern))?
        } else {
            compile(&hir, options)
        };
        Ok(Self { engine: engine.map_err(|_| too_large())?, facts: Arc::new(facts) })
    }

    /// Names of the groups by number; the first is the whole match, which has none. Go allows a name more than once.
    pub fn capture_names(&self) -> &[Option<Box<str>>] {
        &self.facts.group_names
    }

    /// The engine, for callers that bring valid UTF-8.
    ///
    /// It takes invalid bytes for nothing, where Go takes each for U+FFFD: when [`Self::minds_invalid_utf8`] and the
    /// haystack has some, use [`Self::is_match`], [`Self::find_iter`] or [`Self::captures`] instead. Its own `is_match`
    /// may also miss a match of a pattern that can be a bare `\B`; its searches for spans do not.
    pub fn engine(&self) -> &meta::Regex {
        &self.engine
    }

    /// Whether reading invalid bytes as U+FFFD can change what this pattern matches; false means that
    /// [`Self::engine`] is right for all bytes.
    pub fn minds_invalid_utf8(&self) -> bool {
        self.facts.minds_invalid
    }

    /// Whether a match may contain a line break. Errs towards true.
    pub fn spans_newline(&self) -> bool {
        self.facts.spans_newline
    }

    /// Whether lines joined by `\n` may be searched at once: no match contains a line break and none depends on where
    /// the haystack begins or ends, so that a match in the buffer is a match in its line, and the reverse.
    pub fn searches_joined_lines(&self) -> bool {
        !(self.facts.spans_newline || self.facts.text_anchors || self.engine.is_match(""))
    }

    /// The strings this unanchored pattern is an alternation of: it matches what contains one of them, and nothing
    /// else. Nothing if the pattern is of another kind, or anchored.
    pub fn exact_literals(&self) -> Option<&LiteralSet> {
        self.facts.literals.contained.as_ref()
    }

    /// Strings of which every match contains at least one; none is empty. Nothing if no such set was found.
    ///
    /// It is a necessary condition, also for haystacks with invalid UTF-8.
    pub fn required_literals(&self) -> Option<&LiteralSet> {
        self.facts.literals.required.as_ref()
    }

    /// The values this anchored pattern matches, sorted, if they are few enough to list (see [`MAX_EXACT_VALUES`]).
    pub fn exact_set(&self) -> Option<&[String]> {
        self.facts.literals.values.as_deref()
    }

    /// The text every match of this anchored pattern begins with; empty if none is known.
    pub fn literal_prefix(&self) -> &str {
        &self.facts.literals.prefix
    }
}

/// The most levels of operators that are compiled on the caller's stack: the compiler recurses.
const MAX_RECURSION: u32 = 150;
/// The stack for the deepest pattern there can be, with much to spare; without optimisation, it needs several MiB.
const DEEP_STACK_BYTES: usize = 64 << 20;

fn compile(hir: &Hir, options: RegexOptions) -> Result<meta::Regex, Box<meta::BuildError>> {
    let config = meta::Config::new().utf8_empty(true).nfa_size_limit(Some(options.size_limit_bytes));
    meta::Builder::new().configure(config).build_from_hir(hir).map_err(Box::new)
}

/// Compiles a deep pattern on a thread of its own, since an overflow of the caller's stack would end the process.
/// Nothing if no such thread can be had.
fn compile_deep(hir: &Hir, options: RegexOptions) -> Option<Result<meta::Regex, Box<meta::BuildError>>> {
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("narvi-regex".into()).stack_size(DEEP_STACK_BYTES);
        builder.spawn_scoped(scope, || compile(hir, options)).ok()?.join().ok()
    })
}
