//! Filters: on lines (`|= "x" or "y"`) and on labels (`level="error" and size > 1KB`).

use narvi_types::MatchOp;

use super::Parser;
use crate::{
    Error,
    ast::{CompareOp, Comparison, Conjunction, LabelFilter, LineFilter, LineMatch, LineOperand},
    syntax::lexer::{Function, Token},
    value::{NumberErrorKind, parse_float},
};

/// How tightly the words bind; after a comma or space everything counts.
const ALL: u8 = 0;
const OR: u8 = 1;
const AND: u8 = 2;

impl Parser<'_> {
    /// The operands of a line filter whose operator has been taken.
    pub(super) fn line_filter(&mut self, op: LineMatch) -> Result<LineFilter, Error> {
        let mut operands = vec![self.line_operand()?];
        while self.eat("or")? {
            operands.push(self.line_operand()?);
        }
        Ok(LineFilter { op, operands })
    }

    fn line_operand(&mut self) -> Result<LineOperand, Error> {
        if *self.peek()? == Token::Function(Function::Ip) {
            let pattern = self.ip()?;
            return Ok(LineOperand { value: pattern.into_bytes(), ip: true });
        }
        Ok(LineOperand { value: self.expect_bytes("STRING or ip")?, ip: false })
    }

    /// `ip("...")`.
    fn ip(&mut self) -> Result<String, Error> {
        self.take();
        self.expect("(", "(")?;
        let pattern = self.expect_text("STRING")?;
        self.expect(")", ")")?;
        Ok(pattern)
    }

    /// A condition on labels, and the height of its tree.
    ///
    /// `and` binds tighter than `or`; a comma and mere juxtaposition have no precedence in Loki's grammar, where the
    /// parser then prefers to read on: all that follows them belongs together.
    pub(super) fn label_filter(&mut self) -> Result<(LabelFilter, u32), Error> {
        self.label_filter_above(ALL)
    }

    fn label_filter_above(&mut self, least: u8) -> Result<(LabelFilter, u32), Error> {
        let (mut left, mut height) = self.nested(Self::one_label_filter)?;
        loop {
            let (how, above) = match self.peek()? {
                Token::Key("or") if least <= OR => (None, AND),
                Token::Key("and") if least <= AND => (Some(Conjunction::And), AND + 1),
                Token::Key(",") => (Some(Conjunction::Comma), ALL),
                Token::Key("(") | Token::Name(_) => (Some(Conjunction::Space), ALL),
                _ => return Ok((left, height)),
            };
            if how != Some(Conjunction::Space) {
                self.take();
            }
            let (right, right_height) = self.nested(|p| p.label_filter_above(above))?;
            height = self.above(&[height, right_height])?;
            left = match how {
                None => LabelFilter::Or(Box::new(left), Box::new(right)),
                Some(how) => LabelFilter::And(Box::new(left), Box::new(right), how),
            };
        }
    }

    fn one_label_filter(&mut self) -> Result<(LabelFilter, u32), Error> {
        if self.eat("(")? {
            let parsed = self.nested(Self::label_filter)?;
            self.expect(")", "")?;
            return Ok(parsed);
        }
        let name = self.expect_name("")?.to_owned();
        Ok((self.comparison(name)?, 1))
    }

    /// What follows a label's name.
    #[inline(never)]
    fn comparison(&mut self, name: String) -> Result<LabelFilter, Error> {
        let key = self.peek_key()?;
        let matched = match key {
            Some("=") => Some(MatchOp::Equal),
            Some("!=") => Some(MatchOp::NotEqual),
            Some("=~") => Some(MatchOp::Regex),
            Some("!~") => Some(MatchOp::NotRegex),
            _ => None,
        };
        let compared = key.and_then(CompareOp::of);
        if matched.is_none() && compared.is_none() {
            return self.unexpected("");
        }
        self.take();
        let Some(op) = compared else {
            return Ok(LabelFilter::String(self.matcher(&name, matched.unwrap_or(MatchOp::Regex))?));
        };
        match (self.peek()?, matched) {
            (Token::Text(_), Some(matched)) => Ok(LabelFilter::String(self.matcher(&name, matched)?)),
            (Token::Function(Function::Ip), Some(matched)) => {
                Ok(LabelFilter::Ip { name, negated: matched == MatchOp::NotEqual, pattern: self.ip()? })
            }
            (&Token::Duration(value), _) => {
                self.take();
                Ok(LabelFilter::Duration(Comparison { name, op, value }))
            }
            (&Token::Bytes(value), _) => {
                self.take();
                Ok(LabelFilter::Bytes(Comparison { name, op, value }))
            }
            (Token::Number(_) | Token::Key("+" | "-"), _) => {
                let (negative, text) = self.signed_number()?;
                // Loki drops the error of a number it cannot read and goes on with what Go returned beside it.
                let value = match parse_float(text.as_bytes()).map_err(|e| e.kind) {
                    Ok(value) | Err(NumberErrorKind::Range(value)) => value,
                    Err(_) => 0.0,
                };
                Ok(LabelFilter::Number(Comparison { name, op, value: if negative { -value } else { value } }))
            }
            _ => self.unexpected(""),
        }
    }
}
