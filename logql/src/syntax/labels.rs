//! The labels of a pushed stream: `{app="a", env="b"}`.

use narvi_types::Labels;
use nom::{IResult, Parser, character::complete::multispace0};

use crate::{Error, syntax::scan, value::unquote};

/// Parses the labels of a stream as a push writes them. A comma may follow the last one; empty values are left out.
///
/// # Errors
/// [`Error::Invalid`] with a line, a column and what is wrong, such as
/// `1:14: parse error: unexpected character inside braces: '-'`; repeated names.
pub fn parse_labels(text: &str) -> Result<Labels, Error> {
    let mut reader = Reader { text, rest: text };
    let mut pairs: Vec<(&str, String)> = Vec::new();
    reader.expect('{')?;
    loop {
        if reader.eat('}') {
            break;
        }
        let name = reader.name()?;
        reader.expect('=')?;
        pairs.push((name, reader.value()?));
        if !reader.eat(',') {
            reader.expect('}')?;
            break;
        }
    }
    reader.skip_space();
    if !reader.rest.is_empty() {
        return Err(reader.unexpected());
    }
    Labels::from_pairs(pairs.iter().map(|(name, value)| (*name, value.as_str())))
        .map_err(|error| Error::Invalid(format!("1:1: parse error: {error}")))
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn skip_space(&mut self) {
        let skipped: IResult<&str, &str> = multispace0.parse(self.rest);
        self.rest = skipped.map_or(self.rest, |(rest, _)| rest);
    }

    fn eat(&mut self, mark: char) -> bool {
        self.skip_space();
        let after = self.rest.strip_prefix(mark);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn expect(&mut self, mark: char) -> Result<(), Error> {
        if self.eat(mark) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn name(&mut self) -> Result<&'a str, Error> {
        self.skip_space();
        let name = scan::identifier(self.rest).filter(|name| name.is_ascii()).ok_or_else(|| self.unexpected())?;
        self.rest = self.rest.get(name.len()..).unwrap_or_default();
        Ok(name)
    }

    fn value(&mut self) -> Result<String, Error> {
        self.skip_space();
        let length = match self.rest.chars().next() {
            Some('"') => scan::quoted(self.rest),
            Some('\'') => scan::single_quoted(self.rest),
            Some('`') => scan::raw(self.rest),
            _ => return Err(self.unexpected()),
        };
        let length = length.map_err(|message| self.error(message))?;
        let (literal, rest) = self.rest.split_at_checked(length).unwrap_or((self.rest, ""));
        let value = unquote_any(literal).ok_or_else(|| self.error("invalid quoted string"))?;
        self.rest = rest;
        Ok(value)
    }

    fn unexpected(&self) -> Error {
        match self.rest.chars().next() {
            Some(c) => self.error(&format!("unexpected character inside braces: {c:?}")),
            None => self.error("unexpected end of input inside braces"),
        }
    }

    fn error(&self, message: &str) -> Error {
        let read = self.text.len() - self.rest.len();
        let before = self.text.get(..read).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Error::Invalid(format!("{line}:{column}: parse error: {message}"))
    }
}

/// A Go string, or a whole string in single quotes; bytes that are not UTF-8 become U+FFFD.
fn unquote_any(literal: &str) -> Option<String> {
    let swapped;
    let literal = match literal.strip_prefix('\'').and_then(|l| l.strip_suffix('\'')) {
        Some(body) => {
            swapped = format!("\"{}\"", body.replace("\\'", "'").replace('"', "\\\""));
            swapped.as_str()
        }
        None => literal,
    };
    let bytes = unquote(literal.as_bytes()).ok()?.into_owned();
    Some(String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse_labels;

    #[test]
    fn reads_what_pushes_write() {
        for (text, expected) in [
            (r#"{app="a"}"#, r#"{app="a"}"#),
            (r#" { b = "1" , a='x"y', c=`z`, } "#, r#"{a="x\"y", b="1", c="z"}"#),
            ("{}", "{}"),
            (r#"{a="", b="\u00e9"}"#, "{b=\"\u{e9}\"}"),
            (r#"{app="a",bad-name="x"}"#, "1:13: parse error: unexpected character inside braces: '-'"),
            ("", "1:1: parse error: unexpected end of input inside braces"),
            (r#"{app="a"} x"#, "1:11: parse error: unexpected character inside braces: 'x'"),
            (r#"{app="a"#, "1:6: parse error: literal not terminated"),
            (r#"{a="1",a="2"}"#, "1:1: parse error: duplicate label name a"),
        ] {
            let shown = parse_labels(text).map_or_else(|e| e.to_string(), |l| l.to_string());
            assert_eq!(shown, expected, "{text:?}");
        }
    }
}
