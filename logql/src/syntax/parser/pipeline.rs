//! Pipelines: the stages after a selector.

use super::{Parser, refused};
use crate::{
    Error,
    ast::{Conversion, Extraction, LabelFormat, LineMatch, LogExpr, NameOrMatcher, Stage, Unwrap},
    syntax::{
        check,
        lexer::{Function, Token},
    },
};

/// What was read of a pipeline.
#[derive(Default)]
pub(super) struct Pipeline {
    pub(super) stages: Vec<Stage>,
    pub(super) unwrap: Option<Unwrap>,
    /// Height of the highest label filter.
    pub(super) height: u32,
}

impl Parser<'_> {
    /// A selector with its pipeline, and the height of the tree; the next token is `{`.
    #[inline(never)]
    pub(super) fn log(&mut self) -> Result<(LogExpr, u32), Error> {
        let selector = self.selector()?;
        let mut pipeline = Pipeline::default();
        self.pipeline(&mut pipeline, false)?;
        Ok((LogExpr { selector, stages: pipeline.stages }, pipeline.height + 1))
    }

    /// The stages that come next, perhaps none; with `may_unwrap` also an `unwrap` as the last one.
    pub(super) fn pipeline(&mut self, into: &mut Pipeline, may_unwrap: bool) -> Result<(), Error> {
        loop {
            let Some(key) = self.peek_key()? else { return Ok(()) };
            if let Some(op) = LineMatch::of(key) {
                self.take();
                into.stages.push(Stage::LineFilter(self.line_filter(op)?));
            } else if key == "|" {
                self.take();
                if may_unwrap && self.eat("unwrap")? {
                    into.unwrap = Some(self.unwrap(&mut into.height)?);
                    return Ok(());
                }
                let stage = self.stage(&mut into.height)?;
                into.stages.push(stage);
            } else {
                return Ok(());
            }
        }
    }

    /// What follows a `|`.
    fn stage(&mut self, height: &mut u32) -> Result<Stage, Error> {
        let key = match self.peek()? {
            Token::Key("(") | Token::Name(_) => {
                let (filter, filter_height) = self.label_filter()?;
                *height = filter_height.max(*height);
                return Ok(Stage::LabelFilter(filter));
            }
            Token::Key(key) => *key,
            _ => return self.unexpected(""),
        };
        if !matches!(
            key,
            "json"
                | "logfmt"
                | "regexp"
                | "pattern"
                | "unpack"
                | "line_format"
                | "label_format"
                | "decolorize"
                | "drop"
                | "keep"
        ) {
            return self.unexpected("");
        }
        self.take();
        Ok(match key {
            "json" => Stage::Json(self.extractions()?),
            "logfmt" => self.logfmt()?,
            "regexp" => {
                let expression = self.expect_text("STRING")?;
                check::regexp(&expression).map_err(|e| refused(format!("invalid regexp parser: {e}")))?;
                Stage::Regexp(expression)
            }
            "pattern" => {
                let expression = self.expect_text("STRING")?;
                check::pattern(&expression).map_err(|e| refused(format!("invalid pattern parser: {e}")))?;
                Stage::Pattern(expression)
            }
            "unpack" => Stage::Unpack,
            "line_format" => Stage::LineFormat(self.expect_text("STRING")?),
            "label_format" => Stage::LabelFormat(self.label_formats()?),
            "decolorize" => Stage::Decolorize,
            "drop" => Stage::Drop(self.names_or_matchers()?),
            _ => Stage::Keep(self.names_or_matchers()?),
        })
    }

    fn logfmt(&mut self) -> Result<Stage, Error> {
        let (mut strict, mut keep_empty) = (false, false);
        while let Token::Flag(flag) = *self.peek()? {
            self.take();
            strict |= flag == "--strict";
            keep_empty |= flag == "--keep-empty";
        }
        Ok(Stage::Logfmt { strict, keep_empty, extractions: self.extractions()? })
    }

    /// `a="x", b`, or nothing.
    fn extractions(&mut self) -> Result<Vec<Extraction>, Error> {
        let mut extractions = Vec::new();
        if !matches!(self.peek()?, Token::Name(_)) {
            return Ok(extractions);
        }
        loop {
            let label = self.expect_name("IDENTIFIER")?.to_owned();
            let expression = if self.eat("=")? { self.expect_text("STRING")? } else { label.clone() };
            extractions.push(Extraction { label, expression });
            if !self.eat(",")? {
                return Ok(extractions);
            }
        }
    }

    fn label_formats(&mut self) -> Result<Vec<LabelFormat>, Error> {
        let mut formats = Vec::new();
        loop {
            let to = self.expect_name("IDENTIFIER")?.to_owned();
            self.expect("=", "=")?;
            formats.push(match *self.peek()? {
                Token::Name(from) => {
                    self.take();
                    LabelFormat::Rename { to, from: from.to_owned() }
                }
                _ => LabelFormat::Template { to, template: self.expect_text("IDENTIFIER or STRING")? },
            });
            if !self.eat(",")? {
                return Ok(formats);
            }
        }
    }

    fn names_or_matchers(&mut self) -> Result<Vec<NameOrMatcher>, Error> {
        let mut items = Vec::new();
        loop {
            let name = self.expect_name("IDENTIFIER")?;
            items.push(match self.match_op()? {
                Some(op) => NameOrMatcher::Matcher(self.matcher(name, op)?),
                None => NameOrMatcher::Name(name.to_owned()),
            });
            if !self.eat(",")? {
                return Ok(items);
            }
        }
    }

    /// What follows `| unwrap`.
    fn unwrap(&mut self, height: &mut u32) -> Result<Unwrap, Error> {
        let (label, conversion) = match *self.peek()? {
            Token::Function(Function::Convert(conversion)) => {
                self.take();
                self.expect("(", "(")?;
                let label = self.expect_name("IDENTIFIER")?.to_owned();
                self.expect(")", ")")?;
                (label, conversion)
            }
            _ => (self.expect_name("")?.to_owned(), Conversion::None),
        };
        let mut post_filters = Vec::new();
        while self.eat("|")? {
            if !matches!(self.peek()?, Token::Name(_) | Token::Key("(")) {
                return self.unexpected("IDENTIFIER or (");
            }
            let (filter, filter_height) = self.label_filter()?;
            *height = filter_height.max(*height);
            post_filters.push(filter);
        }
        Ok(Unwrap { label, conversion, post_filters })
    }
}
