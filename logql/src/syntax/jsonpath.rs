//! Paths of `| json label="a.b[0][\"c d\"]"`: how they are written and what they mean.

use nom::{
    IResult, Parser,
    branch::alt,
    bytes::complete::take_while1,
    character::complete::{char, digit1, multispace0},
    combinator::{map, map_opt, recognize},
    sequence::{delimited, pair, preceded},
};

/// A parsed path; `Display` writes it in the shortest form that reads back as the same path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct JsonPath {
    /// The steps from the outermost value inwards; at least one.
    pub segments: Vec<JsonSegment>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum JsonSegment {
    /// `a`, `.a`, `["a"]`: the member of an object.
    Key(String),
    /// `[3]`: the element of an array.
    Index(usize),
}

impl JsonPath {
    /// Reads a path such as `a.b[0]["c d"]`. Spaces between the parts do not matter.
    ///
    /// # Errors
    /// Loki's text after the position: `syntax error: unexpected FIELD, expecting STRING or INDEX`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = Tokens(text);
        let mut segments = vec![match tokens.next() {
            Token::Field(name) => JsonSegment::Key(name),
            Token::Open => bracket(&mut tokens)?,
            other => return Err(unexpected(&other, ", expecting LSB or FIELD")),
        }];
        loop {
            segments.push(match tokens.next() {
                Token::End => return Ok(Self { segments }),
                Token::Open => bracket(&mut tokens)?,
                Token::Dot => match tokens.next() {
                    Token::Field(name) => JsonSegment::Key(name),
                    other => return Err(unexpected(&other, ", expecting FIELD")),
                },
                other => return Err(unexpected(&other, "")),
            });
        }
    }
}

impl std::fmt::Display for JsonPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, segment) in self.segments.iter().enumerate() {
            match segment {
                JsonSegment::Index(index) => write!(f, "[{index}]")?,
                JsonSegment::Key(key) if !is_field(key) => {
                    f.write_str("[")?;
                    narvi_types::go_quote(f, key)?;
                    f.write_str("]")?;
                }
                JsonSegment::Key(key) if at == 0 => f.write_str(key)?,
                JsonSegment::Key(key) => write!(f, ".{key}")?,
            }
        }
        Ok(())
    }
}

/// What stands between `[` and `]`.
fn bracket(tokens: &mut Tokens<'_>) -> Result<JsonSegment, String> {
    let segment = match tokens.next() {
        Token::Text(key) => JsonSegment::Key(key),
        Token::Index(index) => JsonSegment::Index(index),
        other => return Err(unexpected(&other, ", expecting STRING or INDEX")),
    };
    match tokens.next() {
        Token::Close => Ok(segment),
        other => Err(unexpected(&other, ", expecting RSB")),
    }
}

fn unexpected(token: &Token, expecting: &str) -> String {
    let name = match token {
        Token::Dot => "DOT",
        Token::Open => "LSB",
        Token::Close => "RSB",
        Token::Field(_) => "FIELD",
        Token::Text(_) => "STRING",
        Token::Index(_) => "INDEX",
        Token::End => "$end",
    };
    format!("syntax error: unexpected {name}{expecting}")
}

#[derive(Clone, Debug)]
enum Token {
    Dot,
    Open,
    Close,
    Field(String),
    Text(String),
    Index(usize),
    /// The end of the text, or a character that no path has: Loki takes both for the end and then misses the rest.
    End,
}

struct Tokens<'a>(&'a str);

impl Tokens<'_> {
    fn next(&mut self) -> Token {
        match preceded(multispace0, token).parse(self.0) {
            Ok((rest, token)) => {
                self.0 = rest;
                token
            }
            Err(_) => Token::End,
        }
    }
}

fn token(input: &str) -> IResult<&str, Token> {
    alt((
        map(char('.'), |_| Token::Dot),
        map(char('['), |_| Token::Open),
        map(char(']'), |_| Token::Close),
        map(field, |name: &str| Token::Field(name.to_owned())),
        map_opt(digit1, |digits: &str| digits.parse().ok().map(Token::Index)),
        map(quoted, Token::Text),
    ))
    .parse(input)
}

fn field(input: &str) -> IResult<&str, &str> {
    let start = |c: char| c.is_alphabetic() || c == '_';
    recognize(pair(nom::character::complete::satisfy(start), nom::bytes::complete::take_while(is_field_char)))
        .parse(input)
}

fn is_field_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

fn is_field(text: &str) -> bool {
    matches!(field(text), Ok(("", _)))
}

/// A string in double quotes with Go's escapes.
fn quoted(input: &str) -> IResult<&str, String> {
    let body = nom::multi::many0(alt((
        map(take_while1(|c| c != '"' && c != '\\' && c != '\n'), str::to_owned),
        map(preceded(char('\\'), escape), String::from),
    )));
    map(delimited(char('"'), body, char('"')), |parts| parts.concat()).parse(input)
}

fn escape(input: &str) -> IResult<&str, char> {
    use nom::{bytes::complete::take, combinator::value};
    let code = |digits: usize| {
        preceded(
            char(if digits == 4 { 'u' } else { 'U' }),
            map_opt(take(digits), |hex: &str| u32::from_str_radix(hex, 16).ok().and_then(char::from_u32)),
        )
    };
    alt((
        char('"'),
        char('\\'),
        value('\n', char('n')),
        value('\t', char('t')),
        value('\r', char('r')),
        value('\x07', char('a')),
        value('\x08', char('b')),
        value('\x0c', char('f')),
        value('\x0b', char('v')),
        preceded(char('x'), map_opt(take(2usize), |hex: &str| u8::from_str_radix(hex, 16).ok().map(char::from))),
        code(4),
        code(8),
    ))
    .parse(input)
}

#[cfg(test)]
mod tests {
    use super::{JsonPath, JsonSegment};

    fn shown(text: &str) -> String {
        match JsonPath::parse(text) {
            Ok(path) => path.to_string(),
            Err(error) => error,
        }
    }

    #[test]
    fn reads_paths_and_refuses_the_rest_in_lokis_words() {
        for (text, expected) in [
            ("a", "a"),
            ("a.b.c", "a.b.c"),
            ("a[0].b", "a[0].b"),
            ("[\"a\"]", "a"),
            ("a[\"x.y\"][\"z\"]", "a[\"x.y\"].z"),
            ("[\"\u{43a}\u{43b}\"]", "\u{43a}\u{43b}"),
            ("a [ 1 ]", "a[1]"),
            ("a[", "syntax error: unexpected $end, expecting STRING or INDEX"),
            ("", "syntax error: unexpected $end, expecting LSB or FIELD"),
            ("a b", "syntax error: unexpected FIELD"),
            ("[a]", "syntax error: unexpected FIELD, expecting STRING or INDEX"),
            ("a[-1]", "syntax error: unexpected $end, expecting STRING or INDEX"),
            ("a.", "syntax error: unexpected $end, expecting FIELD"),
            ("a..b", "syntax error: unexpected DOT, expecting FIELD"),
            ("a[0", "syntax error: unexpected $end, expecting RSB"),
            ("0", "syntax error: unexpected INDEX, expecting LSB or FIELD"),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn keys_and_indexes_are_told_apart() {
        let path = JsonPath::parse("a[10][\"10\"]").expect("valid");
        let key = |k: &str| JsonSegment::Key(k.to_owned());
        assert_eq!(path.segments, [key("a"), JsonSegment::Index(10), key("10")]);
    }
}
