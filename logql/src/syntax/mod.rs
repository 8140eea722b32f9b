//! The language: from text to the syntax tree and back.
//!
//! [`parse`] is a lexer like Go's scanner, a parser by hand that names the same wrong token as Loki's, and Loki's
//! checks of the arguments. Printing has two forms: `Display` writes every part of the tree so that it reads back
//! as the same tree; [`pretty`] is Loki's `format_query`, which for instance rounds sizes to two digits.

mod brackets;
mod caret;
mod check;
mod jsonpath;
mod labels;
mod lexer;
mod names;
mod parser;
mod pattern;
mod pretty;
mod print;
mod scan;
mod visit;

use narvi_types::Selector;

use crate::{
    Error,
    ast::{Expr, LogExpr},
};

pub use self::caret::caret;
pub use self::check::require_matcher;
pub use self::jsonpath::{JsonPath, JsonSegment};
pub use self::labels::{parse_label_pairs, parse_labels};
pub use self::pattern::{PatternExpr, PatternPart};
pub use self::pretty::pretty;

/// Parses and checks a query.
///
/// Takes time linear in the text, apart from compiling its regular expressions and templates. Recursion is bounded: a
/// query nested more than a few hundred levels deep is refused.
///
/// # Errors
/// [`Error::Parse`] in Loki's words, with Loki's position where it gives one.
pub fn parse(text: &str) -> Result<Expr, Error> {
    let expr = parser::query(text)?;
    check::query(&expr)?;
    Ok(expr)
}

/// Parses and checks a log query whose selector may match streams without any of its labels, even `{}`: what requests to
/// delete are made of.
///
/// # Errors
/// [`Error::Parse`], or [`Error::Invalid`] when it is a metric query.
pub fn parse_log(text: &str) -> Result<LogExpr, Error> {
    match parser::query(text)? {
        Expr::Log(log) => check::stages(&log).map(|()| log),
        Expr::Metric(_) => Err(Error::Invalid("a metric query selects no lines".to_owned())),
    }
}

/// Parses a selector alone, as `match[]` of the series endpoint; `{}` is allowed, see [`require_matcher`].
///
/// # Errors
/// [`Error::Parse`], or [`Error::Invalid`] when it is a query of another kind.
pub fn parse_selector(text: &str) -> Result<Selector, Error> {
    parser::selector(text)
}
