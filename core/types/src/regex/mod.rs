//! Regular expressions with Go's syntax and meaning.

use regex_automata::{meta, util::syntax};

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

/// Why a pattern was refused, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {message}")]
#[non_exhaustive]
pub struct RegexError {
    /// Go's text without its prefix, such as ``missing closing ): `(` ``.
    pub message: String,
}

/// A compiled regular expression over bytes. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Regex {
    inner: meta::Regex,
}

impl Regex {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// A pattern that Go would refuse, or one that is too large when compiled.
    pub fn new(pattern: &str, options: RegexOptions) -> Result<Self, RegexError> {
        let pattern = if options.anchored { format!("^(?:{pattern})$") } else { pattern.to_owned() };
        let inner = meta::Builder::new()
            .syntax(syntax::Config::new().utf8(false).unicode(true).dot_matches_new_line(options.dot_all))
            .configure(meta::Config::new().utf8_empty(false).nfa_size_limit(Some(options.size_limit_bytes)))
            .build(&pattern)
            .map_err(|e| RegexError { message: e.to_string() })?;
        Ok(Self { inner })
    }

    /// Whether the pattern matches (for an unanchored one: anywhere).
    pub fn is_match(&self, haystack: &[u8]) -> bool {
        self.inner.is_match(haystack)
    }

    /// The engine, for callers that need spans and captures.
    pub fn engine(&self) -> &meta::Regex {
        &self.inner
    }
}
