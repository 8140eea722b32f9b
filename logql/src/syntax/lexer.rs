//! From text to tokens, with the positions and the texts of errors that Loki gives.

use std::borrow::Cow;

use crate::{
    Error, Position,
    ast::{Conversion, RangeOp, VectorOp},
    syntax::scan,
    value::{parse_bytes, parse_go_duration, parse_prometheus_duration, unquote},
};

/// A piece of the query.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token<'q> {
    /// The end of the text.
    End,
    /// A name; also any character that means nothing, as in Loki.
    Name(&'q str),
    /// A string, unquoted; bytes, since `"\xff"` is one.
    Text(Cow<'q, [u8]>),
    Number(&'q str),
    /// Nanoseconds.
    Duration(i64),
    Bytes(u64),
    /// `[5m]`, in nanoseconds.
    Range(i64),
    /// `--strict`, `--keep-empty`.
    Flag(&'static str),
    /// A word that stands before a parenthesis.
    Function(Function),
    /// A reserved word, operator or punctuation mark.
    Key(&'static str),
}

/// Words that mean something only before `(`, `by (` or `without (`; elsewhere they are names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Range(RangeOp),
    Vector(VectorOp),
    LabelReplace,
    VectorFn,
    Convert(Conversion),
    Ip,
}

impl Token<'_> {
    /// How the grammar calls it in error texts.
    pub(super) fn name(&self) -> Cow<'static, str> {
        let name = match self {
            Self::End => "$end",
            Self::Name(_) => "IDENTIFIER",
            Self::Text(_) => "STRING",
            Self::Number(_) => "NUMBER",
            Self::Duration(_) => "DURATION",
            Self::Bytes(_) => "BYTES",
            Self::Range(_) => "RANGE",
            Self::Flag(_) => "FUNCTION_FLAG",
            Self::Key(text) => text,
            Self::Function(function) => return function.name(),
        };
        name.into()
    }
}

impl Function {
    fn of(word: &str) -> Option<Self> {
        if let Some(op) = RangeOp::ALL.into_iter().find(|op| op.as_str() == word) {
            return Some(Self::Range(op));
        }
        if let Some(op) = VectorOp::ALL.into_iter().find(|op| op.as_str() == word) {
            return Some(Self::Vector(op));
        }
        Some(match word {
            "label_replace" => Self::LabelReplace,
            "vector" => Self::VectorFn,
            "bytes" => Self::Convert(Conversion::Bytes),
            "duration" => Self::Convert(Conversion::Duration),
            "duration_seconds" => Self::Convert(Conversion::DurationSeconds),
            "ip" => Self::Ip,
            _ => return None,
        })
    }

    fn name(self) -> Cow<'static, str> {
        match self {
            Self::Range(op) => op.as_str().to_uppercase().into(),
            Self::Vector(op) => op.as_str().to_uppercase().into(),
            Self::LabelReplace => "LABEL_REPLACE".into(),
            Self::VectorFn => "VECTOR".into(),
            Self::Convert(conversion) => format!("{}_CONV", conversion.as_str().to_uppercase()).into(),
            Self::Ip => "ip".into(),
        }
    }
}

/// Words that can be nothing else.
const RESERVED: [&str; 24] = [
    "json",
    "logfmt",
    "regexp",
    "pattern",
    "unpack",
    "by",
    "without",
    "bool",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "unwrap",
    "drop",
    "keep",
    "line_format",
    "label_format",
    "decolorize",
    "and",
    "or",
    "unless",
    "variants",
    "of",
];

/// A token and where it begins.
pub(super) struct Lexed<'q> {
    pub(super) token: Token<'q>,
    /// None for the end of an empty text.
    pub(super) position: Option<Position>,
    /// In bytes.
    pub(super) start: usize,
}

/// Reads tokens one by one.
pub(super) struct Lexer<'q> {
    text: &'q str,
    /// Where the next token or the blanks before it begin.
    at: usize,
    /// A place not behind `at`, and its position.
    known: (usize, Position),
}

impl<'q> Lexer<'q> {
    pub(super) fn new(text: &'q str) -> Self {
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Self { text, at, known: (at, Position { line: 1, column: 1 }) }
    }

    /// The next token.
    ///
    /// # Errors
    /// What Go's scanner refuses, and bad durations between brackets.
    pub(super) fn next(&mut self) -> Result<Lexed<'q>, Error> {
        match scan::blanks(self.rest()) {
            Ok(blanks) => self.at += blanks,
            Err(blanks) => {
                self.at += blanks;
                return Err(self.error("comment not terminated"));
            }
        }
        if self.text.is_empty() {
            return Ok(Lexed { token: Token::End, position: None, start: 0 });
        }
        let (position, start) = (self.position(), self.at);
        let (token, length) = self.token()?;
        self.at += length;
        Ok(Lexed { token, position: Some(position), start })
    }

    fn rest(&self) -> &'q str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The position of `at`.
    fn position(&mut self) -> Position {
        let (from, mut position) = self.known;
        for c in self.text.get(from..self.at).unwrap_or_default().chars() {
            if c == '\n' {
                position = Position { line: position.line + 1, column: 1 };
            } else {
                position.column += 1;
            }
        }
        self.known = (self.at, position);
        position
    }

    fn error(&mut self, message: impl Into<String>) -> Error {
        Error::Parse { position: Some(self.position()), message: message.into() }
    }

    /// The token at `at` and its length in bytes.
    fn token(&mut self) -> Result<(Token<'q>, usize), Error> {
        let rest = self.rest();
        let mut chars = rest.chars();
        let Some(first) = chars.next() else { return Ok((Token::End, 0)) };
        let number_follows = chars.next().is_some_and(|c| c.is_ascii_digit());
        if let Some(word) = scan::identifier(rest) {
            return Ok((self.word(word), word.len()));
        }
        match first {
            '0'..='9' => self.number(),
            '.' if number_follows => self.number(),
            '"' => self.string(scan::quoted(rest)),
            '`' => self.string(scan::raw(rest)),
            '\'' => match scan::character(rest) {
                Ok(length) => Ok((Token::Name(rest.get(..length).unwrap_or_default()), length)),
                Err(message) => Err(self.error(message)),
            },
            '\0' => Err(self.error("invalid character NUL")),
            '-' => Ok(minus(rest)),
            '[' => self.range(),
            _ => Ok(match scan::operator(rest) {
                Some(operator) => (Token::Key(operator), operator.len()),
                None => (Token::Name(rest.get(..first.len_utf8()).unwrap_or_default()), first.len_utf8()),
            }),
        }
    }

    fn word(&self, word: &'q str) -> Token<'q> {
        let lower = word.to_lowercase();
        if let Some(reserved) = RESERVED.into_iter().find(|reserved| *reserved == lower) {
            return Token::Key(reserved);
        }
        match Function::of(&lower) {
            Some(function) if is_call(self.rest().get(word.len()..).unwrap_or_default()) => Token::Function(function),
            _ => Token::Name(word),
        }
    }

    fn string(&mut self, length: Result<usize, &'static str>) -> Result<(Token<'q>, usize), Error> {
        let length = length.map_err(|message| self.error(message))?;
        let literal = self.rest().get(..length).unwrap_or_default();
        let text = unquote(literal.as_bytes()).map_err(|e| self.error(e.to_string()))?;
        Ok((Token::Text(text), length))
    }

    /// A number, or a duration or size that begins with one. Letters that make neither are left for the next token.
    fn number(&mut self) -> Result<(Token<'q>, usize), Error> {
        let rest = self.rest();
        let length = scan::number(rest).map_err(|message| self.error(message))?;
        let longest = |fits: fn(char) -> bool| {
            let tail = rest.get(length..).unwrap_or_default();
            length + tail.find(|c: char| !(c.is_numeric() || c == '.' || fits(c))).unwrap_or(tail.len())
        };
        let as_duration = longest(is_duration_char);
        let as_bytes = longest(is_size_char);
        if as_duration > length
            && let Some(duration) = duration(rest.get(..as_duration).unwrap_or_default())
        {
            return Ok((Token::Duration(duration), as_duration));
        }
        if as_bytes > length
            && let Ok(bytes) = parse_bytes(rest.get(..as_bytes).unwrap_or_default().as_bytes())
        {
            return Ok((Token::Bytes(bytes), as_bytes));
        }
        Ok((Token::Number(rest.get(..length).unwrap_or_default()), length))
    }

    /// `[5m]`.
    fn range(&mut self) -> Result<(Token<'q>, usize), Error> {
        let body = self.rest().get(1..).unwrap_or_default();
        let Some(end) = body.find(']') else {
            return Err(self.error("missing closing ']' in duration"));
        };
        let body = body.get(..end).unwrap_or_default();
        match parse_prometheus_duration(body.as_bytes()) {
            Ok(range_ns) => Ok((Token::Range(range_ns), body.len() + 2)),
            Err(error) => Err(self.error(error.to_string())),
        }
    }
}

/// What begins with `-`: a flag, a negative duration in Go's units (`-5m` is one, `-1d` is not), or the operator.
fn minus(text: &str) -> (Token<'_>, usize) {
    if let Some(flag) = flag(text) {
        return (Token::Flag(flag), flag.len());
    }
    let tail = text.get(1..).unwrap_or_default();
    let length = 1 + tail.find(|c: char| !(c.is_numeric() || c == '.' || is_duration_char(c))).unwrap_or(tail.len());
    let number = text.get(..length).unwrap_or_default();
    match parse_go_duration(number.as_bytes()) {
        Ok(duration) if number.ends_with(is_duration_char) => (Token::Duration(duration), length),
        _ => (Token::Key("-"), 1),
    }
}

fn flag(text: &str) -> Option<&'static str> {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '_')).unwrap_or(text.len());
    ["--strict", "--keep-empty"].into_iter().find(|flag| text.get(..end) == Some(*flag))
}

/// Whether what follows a function's name makes it a call.
fn is_call(after: &str) -> bool {
    let opens = |text: &str| text.trim_start_matches(char::is_whitespace).starts_with('(');
    let after = after.trim_start_matches(char::is_whitespace);
    let lower = after.get(..7.min(after.len())).unwrap_or(after).to_ascii_lowercase();
    opens(after)
        || lower.starts_with("by") && after.get(2..).is_some_and(opens)
        || lower.starts_with("without") && after.get(7..).is_some_and(opens)
}

fn duration(text: &str) -> Option<i64> {
    let text = text.as_bytes();
    parse_prometheus_duration(text).or_else(|_| parse_go_duration(text)).ok()
}

fn is_duration_char(c: char) -> bool {
    matches!(c, 'n' | 's' | 'u' | 'm' | 'h' | '\u{b5}' | '\u{3bc}' | 'd' | 'w' | 'y')
}

fn is_size_char(c: char) -> bool {
    matches!(c, 'B' | 'i' | 'k' | 'K' | 'M' | 'G' | 'T' | 'P')
}
