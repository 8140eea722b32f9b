//! `{name="value", ...}` and what can stand inside.

use narvi_types::{MatchOp, Matcher, Selector};

use super::{Parser, refused};
use crate::Error;

impl Parser<'_> {
    /// A selector; the next token is its `{`.
    pub(super) fn selector(&mut self) -> Result<Selector, Error> {
        self.expect("{", "")?;
        if self.eat("}")? {
            return Ok(Selector::default());
        }
        let mut matchers = Vec::new();
        let mut expecting = "IDENTIFIER or }";
        loop {
            let name = self.expect_name(expecting)?;
            let Some(op) = self.match_op()? else { return self.unexpected("= or =~ or !~ or !=") };
            matchers.push(self.matcher(name, op)?);
            if self.eat("}")? {
                return Ok(Selector::new(matchers));
            }
            self.expect(",", "} or ,")?;
            expecting = "IDENTIFIER";
        }
    }

    /// Takes `=`, `!=`, `=~` or `!~`.
    pub(super) fn match_op(&mut self) -> Result<Option<MatchOp>, Error> {
        let op = match self.peek_key()? {
            Some("=") => MatchOp::Equal,
            Some("!=") => MatchOp::NotEqual,
            Some("=~") => MatchOp::Regex,
            Some("!~") => MatchOp::NotRegex,
            _ => return Ok(None),
        };
        self.take();
        Ok(Some(op))
    }

    /// The value of a matcher, and the matcher.
    pub(super) fn matcher(&mut self, name: &str, op: MatchOp) -> Result<Matcher, Error> {
        let value = self.expect_text("STRING")?;
        Matcher::new(name, op, value).map_err(|e| refused(e.to_string()))
    }
}
