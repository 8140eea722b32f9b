//! The ways a pattern is refused, in the words of Go's regexp package, which users of LogQL know.

use std::fmt;

/// Why a pattern was refused, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {message}")]
#[non_exhaustive]
pub struct RegexError {
    /// Go's text without its prefix, such as ``missing closing ): `(` ``.
    pub message: String,
}

impl RegexError {
    /// Names the fault and quotes the part of the pattern that has it.
    pub(super) fn new(fault: Fault, excerpt: &str) -> Self {
        Self { message: format!("{fault}: `{excerpt}`") }
    }
}

/// A fault of a pattern; Display gives Go's wording. `invalid UTF-8` is missing because a pattern is a `&str`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    CharRange,
    Escape,
    NamedCapture,
    PerlOperator,
    NestedRepeat,
    RepeatCount,
    MissingBracket,
    MissingParen,
    MissingRepeatArgument,
    TrailingBackslash,
    UnexpectedParen,
    NestingDepth,
    TooLarge,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CharRange => "invalid character class range",
            Self::Escape => "invalid escape sequence",
            Self::NamedCapture => "invalid named capture",
            Self::PerlOperator => "invalid or unsupported Perl syntax",
            Self::NestedRepeat => "invalid nested repetition operator",
            Self::RepeatCount => "invalid repeat count",
            Self::MissingBracket => "missing closing ]",
            Self::MissingParen => "missing closing )",
            Self::MissingRepeatArgument => "missing argument to repetition operator",
            Self::TrailingBackslash => "trailing backslash at end of expression",
            Self::UnexpectedParen => "unexpected )",
            Self::NestingDepth => "expression nests too deeply",
            Self::TooLarge => "expression too large",
        })
    }
}
