//! The pieces of Go's `text/scanner` that LogQL is lexed with: blanks, comments, identifiers, numbers and strings.
//!
//! Each function looks at the start of a text and says how many bytes belong to the piece; errors are Go's texts. Go
//! reports them at the start of the piece, so none needs a position.

use std::borrow::Cow;

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::{tag, take_until, take_while, take_while1},
    character::complete::{none_of, satisfy},
    combinator::{recognize, value},
    multi::many0_count,
    sequence::pair,
};

/// Length of the blanks and comments the text begins with.
///
/// # Errors
/// A `/*` without `*/`; how many bytes stand before it.
pub(super) fn blanks(text: &str) -> Result<usize, usize> {
    let space = value((), take_while1(|c| matches!(c, ' ' | '\t' | '\r' | '\n')));
    let line = value((), pair(alt((tag("#"), tag("//"))), take_while(|c| c != '\n')));
    let block = value((), (tag("/*"), take_until("*/"), tag("*/")));
    let (rest, _) = count(many0_count(alt((space, line, block))), text);
    let length = text.len() - rest.len();
    if rest.starts_with("/*") { Err(length) } else { Ok(length) }
}

/// The identifier the text begins with: letters, digits and `_`, not a digit first.
pub(super) fn identifier(text: &str) -> Option<&str> {
    let parser =
        pair(satisfy(|c| c == '_' || c.is_alphabetic()), take_while(|c: char| c == '_' || c.is_alphanumeric()));
    let parsed: IResult<&str, &str> = recognize(parser).parse(text);
    parsed.ok().map(|(_, name)| name)
}

/// The operator or punctuation mark the text begins with; the longest one counts.
pub(super) fn operator(text: &str) -> Option<&'static str> {
    const OPERATORS: [&str; 27] = [
        "|=", "|~", "|>", "!=", "!~", "!>", "==", "=~", ">=", "<=", "|", "=", ">", "<", "{", "}", "(", ")", ",", ".",
        "+", "-", "*", "/", "%", "^", "[",
    ];
    OPERATORS.into_iter().find(|operator| text.starts_with(operator))
}

/// Length of the `"..."` literal the text begins with.
///
/// # Errors
/// No end on this line, or an escape Go does not know.
pub(super) fn quoted(text: &str) -> Result<usize, &'static str> {
    escaped_until('"', text)
}

/// Length of the `'.'` literal the text begins with: no string of LogQL, but Go scans it as one piece.
///
/// # Errors
/// As [`quoted`], and for more or less than one character.
pub(super) fn character(text: &str) -> Result<usize, &'static str> {
    let length = escaped_until('\'', text)?;
    let body = text.get(1..length - 1).unwrap_or_default();
    let one = alt((recognize(pair(tag("\\"), take_while1(|_| true))), recognize(none_of("\\"))));
    let parsed: IResult<&str, &str> = { one }.parse(body);
    if matches!(parsed, Ok(("", _))) { Ok(length) } else { Err("invalid char literal") }
}

/// Length of the raw literal in backquotes the text begins with.
///
/// # Errors
/// No end.
pub(super) fn raw(text: &str) -> Result<usize, &'static str> {
    let parsed: IResult<&str, _> = (tag("`"), take_until("`"), tag("`")).parse(text);
    parsed.map(|(rest, _)| text.len() - rest.len()).map_err(|_| NOT_TERMINATED)
}

const NOT_TERMINATED: &str = "literal not terminated";

fn escaped_until(quote: char, text: &str) -> Result<usize, &'static str> {
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => return Err(NOT_TERMINATED),
            '\\' => {
                let escape = text.get(at + 1..).unwrap_or_default();
                let used = escape_length(quote, escape).ok_or("invalid char escape")?;
                // All but the first character of an escape is ASCII.
                for _ in 0..used {
                    chars.next();
                }
            }
            c if c == quote => return Ok(at + quote.len_utf8()),
            _ => {}
        }
    }
    Err(NOT_TERMINATED)
}

/// How many characters follow the backslash of an escape.
fn escape_length(quote: char, escape: &str) -> Option<usize> {
    let digits = |from: usize, count: usize, radix: u32| {
        let hit = escape.chars().skip(from).take(count).filter(|c| c.is_digit(radix)).count();
        (hit == count).then_some(from + count)
    };
    match escape.chars().next()? {
        'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => Some(1),
        c if c == quote => Some(1),
        '0'..='7' => digits(0, 3, 8),
        'x' => digits(1, 2, 16),
        'u' => digits(1, 4, 16),
        'U' => digits(1, 8, 16),
        _ => None,
    }
}

/// Length of the number the text begins with: Go's integers and floats with prefixes, exponents and underscores.
///
/// # Errors
/// Go's texts for digits that are missing or do not fit the base.
pub(super) fn number(text: &str) -> Result<usize, Cow<'static, str>> {
    let mut number =
        Number { rest: text.as_bytes(), base: 10, prefix: 0, digits: false, separators: false, invalid: None };
    let mut float = false;
    if number.peek() == b'.' {
        float = true;
    } else {
        number.read_prefix();
        number.read_digits(number.base);
        float |= number.peek() == b'.';
    }
    if float {
        number.rest = number.rest.get(1..).unwrap_or_default();
        if matches!(number.prefix, b'o' | b'b') {
            return Err(format!("invalid radix point in {}", number.name()).into());
        }
        number.read_digits(number.base);
    }
    if !number.digits {
        return Err(format!("{} has no digits", number.name()).into());
    }
    if matches!(number.peek(), b'e' | b'E' | b'p' | b'P') {
        float = true;
        number.read_exponent()?;
    } else if number.prefix == b'x' && float {
        return Err("hexadecimal mantissa requires a 'p' exponent".into());
    }
    if let (false, Some(digit)) = (float, number.invalid) {
        return Err(format!("invalid digit '{}' in {}", char::from(digit), number.name()).into());
    }
    let length = text.len() - number.rest.len();
    if number.separators && !separators_are_fine(text.get(..length).unwrap_or_default()) {
        return Err("'_' must separate successive digits".into());
    }
    Ok(length)
}

struct Number<'a> {
    rest: &'a [u8],
    base: u8,
    /// `0` for old octal, else the letter, else 0.
    prefix: u8,
    digits: bool,
    separators: bool,
    invalid: Option<u8>,
}

impl Number<'_> {
    fn peek(&self) -> u8 {
        self.rest.first().copied().unwrap_or(0)
    }

    fn bump(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn read_prefix(&mut self) {
        if self.peek() != b'0' {
            return;
        }
        self.bump();
        let letter = self.peek().to_ascii_lowercase();
        (self.base, self.prefix) = match letter {
            b'x' => (16, b'x'),
            b'o' => (8, b'o'),
            b'b' => (2, b'b'),
            _ => (8, b'0'),
        };
        if self.prefix == b'0' {
            self.digits = true;
        } else {
            self.bump();
        }
    }

    fn read_digits(&mut self, base: u8) {
        loop {
            match self.peek() {
                b'_' => self.separators = true,
                digit if digit.is_ascii_digit() || base == 16 && digit.is_ascii_hexdigit() => {
                    self.digits = true;
                    if base < 10 && digit >= b'0' + base && self.invalid.is_none() {
                        self.invalid = Some(digit);
                    }
                }
                _ => return,
            }
            self.bump();
        }
    }

    fn read_exponent(&mut self) -> Result<(), Cow<'static, str>> {
        let letter = self.peek();
        let lower = letter.to_ascii_lowercase();
        if lower == b'e' && !matches!(self.prefix, 0 | b'0') {
            return Err(format!("'{}' exponent requires decimal mantissa", char::from(letter)).into());
        }
        if lower == b'p' && self.prefix != b'x' {
            return Err(format!("'{}' exponent requires hexadecimal mantissa", char::from(letter)).into());
        }
        self.bump();
        if matches!(self.peek(), b'+' | b'-') {
            self.bump();
        }
        self.digits = false;
        self.read_digits(10);
        if self.digits { Ok(()) } else { Err("exponent has no digits".into()) }
    }

    fn name(&self) -> &'static str {
        match self.prefix {
            b'x' => "hexadecimal literal",
            b'o' | b'0' => "octal literal",
            b'b' => "binary literal",
            _ => "decimal literal",
        }
    }
}

/// Whether every `_` has digits (or a base prefix) on both sides.
fn separators_are_fine(number: &str) -> bool {
    let bytes = number.as_bytes();
    let hex = matches!(bytes, [b'0', b'x' | b'X', ..]);
    let prefixed = matches!(bytes, [b'0', b'x' | b'X' | b'o' | b'O' | b'b' | b'B', ..]);
    let is_digit = |at: usize| {
        bytes.get(at).is_some_and(|b| b.is_ascii_digit() || hex && b.is_ascii_hexdigit()) || (at == 1 && prefixed)
    };
    let separators = bytes.iter().enumerate().filter(|(_, b)| **b == b'_');
    separators.fold(true, |fine, (at, _)| fine && at > 0 && is_digit(at - 1) && is_digit(at + 1))
}

/// Runs a parser that cannot fail.
fn count<'a, O: Default>(
    mut parser: impl Parser<&'a str, Output = O, Error = nom::error::Error<&'a str>>,
    text: &'a str,
) -> (&'a str, O) {
    parser.parse(text).unwrap_or((text, O::default()))
}
