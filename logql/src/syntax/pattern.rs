//! Pattern expressions, `<ip> - <_> "<method> <_>"`: those of `| pattern` and those of the filters `|>` and `!>`.

use nom::{
    IResult, Parser,
    bytes::complete::take_while,
    character::complete::{char, satisfy},
    combinator::recognize,
    sequence::{delimited, pair},
};

/// A parsed pattern expression.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct PatternExpr {
    /// The parts from left to right. Two literals never stand side by side, nor do two captures.
    pub parts: Vec<PatternPart>,
}

/// A part of a pattern expression.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum PatternPart {
    /// Text that must stand there.
    Literal(String),
    /// `<name>`.
    Capture(String),
    /// `<_>`.
    Skip,
}

impl PatternExpr {
    /// Reads the expression of a `| pattern` stage: at least one named capture, names once each.
    ///
    /// # Errors
    /// Loki's text after `invalid pattern parser: `.
    pub fn parse_stage(text: &str) -> Result<Self, String> {
        let parts = parts(text);
        if parts.is_empty() {
            return Err("parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL"
                .to_owned());
        }
        let names: Vec<_> = parts.iter().filter_map(PatternPart::name).collect();
        if names.is_empty() {
            return Err("at least one capture is required".to_owned());
        }
        refuse_neighbours(&parts)?;
        if let Some((_, name)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(format!("duplicate capture name ({name}): invalid expression"));
        }
        Ok(Self { parts })
    }

    /// Reads the operand of `|>` and `!>`: only `<_>` may capture; no text at all is allowed.
    ///
    /// # Errors
    /// Loki's text after the stage.
    pub fn parse_filter(text: &str) -> Result<Self, String> {
        let parts = parts(text);
        refuse_neighbours(&parts)?;
        match parts.iter().find_map(PatternPart::name) {
            Some(name) => Err(format!("named captures are not allowed: found '<{name}>'")),
            None => Ok(Self { parts }),
        }
    }
}

impl PatternPart {
    fn name(&self) -> Option<&str> {
        match self {
            Self::Capture(name) => Some(name),
            Self::Literal(_) | Self::Skip => None,
        }
    }
}

impl std::fmt::Display for PatternPart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Literal(text) => f.write_str(text),
            Self::Capture(name) => write!(f, "<{name}>"),
            Self::Skip => f.write_str("<_>"),
        }
    }
}

impl std::fmt::Display for PatternExpr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.parts.iter().try_for_each(|part| std::fmt::Display::fmt(part, f))
    }
}

/// Between two captures there must be text, or it is unknown where the first one ends.
fn refuse_neighbours(parts: &[PatternPart]) -> Result<(), String> {
    for pair in parts.windows(2) {
        if let [a, b] = pair
            && !matches!(a, PatternPart::Literal(_))
            && !matches!(b, PatternPart::Literal(_))
        {
            return Err(format!("found consecutive capture '{a}{b}': invalid expression"));
        }
    }
    Ok(())
}

/// Splits at the captures; whatever is not exactly `<name>` is text.
fn parts(text: &str) -> Vec<PatternPart> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match capture(rest) {
            Ok((after, name)) => {
                if !literal.is_empty() {
                    parts.push(PatternPart::Literal(std::mem::take(&mut literal)));
                }
                parts.push(if name == "_" { PatternPart::Skip } else { PatternPart::Capture(name.to_owned()) });
                rest = after;
            }
            Err(_) => {
                literal.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    if !literal.is_empty() {
        parts.push(PatternPart::Literal(literal));
    }
    parts
}

fn capture(input: &str) -> IResult<&str, &str> {
    let name = pair(
        satisfy(|c| c.is_ascii_alphabetic() || c == '_'),
        take_while(|c: char| c.is_ascii_alphanumeric() || c == '_'),
    );
    delimited(char('<'), recognize(name), char('>')).parse(input)
}

#[cfg(test)]
mod tests {
    use super::{PatternExpr, PatternPart};

    #[test]
    fn splits_captures_from_text() {
        let expr = PatternExpr::parse_stage("<<name> a=<_>, <a b> <_9>").expect("valid");
        let literal = |t: &str| PatternPart::Literal(t.to_owned());
        let capture = |t: &str| PatternPart::Capture(t.to_owned());
        assert_eq!(
            expr.parts,
            [literal("<"), capture("name"), literal(" a="), PatternPart::Skip, literal(", <a b> "), capture("_9")]
        );
        assert_eq!(expr.to_string(), "<<name> a=<_>, <a b> <_9>");
    }

    #[test]
    fn refuses_in_lokis_words() {
        for (text, expected) in [
            ("", "parse error at line 1, col 1: syntax error: unexpected $end, expecting IDENTIFIER or LITERAL"),
            ("<a> <a>", "duplicate capture name (a): invalid expression"),
            ("<1a>", "at least one capture is required"),
            ("x", "at least one capture is required"),
            ("<_> x", "at least one capture is required"),
            ("<_>><text><_>", "found consecutive capture '<text><_>': invalid expression"),
        ] {
            assert_eq!(PatternExpr::parse_stage(text), Err(expected.to_owned()), "{text:?}");
        }
        assert!(PatternExpr::parse_filter("").is_ok_and(|e| e.parts.is_empty()));
        assert!(PatternExpr::parse_filter("<_> x").is_ok());
        assert!(PatternExpr::parse_filter("<a> x").is_err());
        assert!(PatternExpr::parse_filter("<_><_>").is_err());
    }
}
