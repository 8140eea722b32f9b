//! The labels of a pushed stream: `{app="a", env="b"}`, with the error texts of Prometheus' parser.

use narvi_types::Labels;

use crate::Error;

/// Parses the labels of a stream as a push writes them. A comma may follow the last one; empty values are left out; an
/// empty text is an empty set.
///
/// # Errors
/// As for [`parse_label_pairs`]; repeated names.
pub fn parse_labels(text: &str) -> Result<Labels, Error> {
    let pairs = parse_label_pairs(text)?;
    Labels::from_pairs(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
        .map_err(|error| Error::Invalid(format!("1:1: parse error: {error}")))
}

/// Parses a label set. Pairs come in the order written, duplicates and empty values included; an empty text is an empty set.
///
/// # Errors
/// [`Error::Invalid`] with a line, a column and what is wrong, such as
/// `1:14: parse error: unexpected character inside braces: '-'`.
pub fn parse_label_pairs(text: &str) -> Result<Vec<(String, String)>, Error> {
    let mut parser = Parser { text, at: 0 };
    parser.space();
    if parser.at == text.len() {
        return Ok(Vec::new());
    }
    parser.expect_open()?;
    let mut pairs = Vec::new();
    loop {
        parser.space();
        if parser.take('}') {
            break;
        }
        let name = parser.name()?;
        parser.space();
        parser.equals()?;
        parser.space();
        let value = parser.value()?;
        pairs.push((name, value));
        parser.space();
        if parser.take(',') {
            continue;
        }
        if parser.take('}') {
            break;
        }
        return Err(parser.unexpected("in label set, expected \",\" or \"}\""));
    }
    parser.space();
    match parser.rest().chars().next() {
        None => Ok(pairs),
        Some(_) => Err(parser.unexpected("after label set")),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r']).len();
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn error(&self, message: String) -> Error {
        Error::Invalid(format!("1:{}: parse error: {message}", self.at + 1))
    }

    /// Names the next token the way Prometheus' parser does.
    fn unexpected(&self, tail: &str) -> Error {
        let rest = self.rest();
        let word: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let what = match rest.chars().next() {
            None => return self.error("unexpected end of input inside braces".into()),
            Some('}') => "\"}\"".to_owned(),
            Some('{') => "\"{\"".to_owned(),
            Some(',') => "\",\"".to_owned(),
            Some('=') if rest.starts_with("=~") => "<op:=~>".to_owned(),
            Some('=') => "\"=\"".to_owned(),
            Some('!') if rest.starts_with("!~") => "<op:!~>".to_owned(),
            Some('!') if rest.starts_with("!=") => "<op:!=>".to_owned(),
            Some('"' | '\'' | '`') => {
                let (text, _) = quoted(rest).unwrap_or_else(|| (rest[1..].to_owned(), 0));
                format!("string {text:?}")
            }
            Some(_) if !word.is_empty() => format!("identifier {word:?}"),
            Some(c) => return self.error(format!("unexpected character inside braces: '{c}'")),
        };
        self.error(format!("unexpected {what} {tail}"))
    }

    fn expect_open(&mut self) -> Result<(), Error> {
        if self.take('{') { Ok(()) } else { Err(self.unexpected("at start of label set, expected \"{\"")) }
    }

    fn name(&mut self) -> Result<String, Error> {
        let rest = self.rest();
        let len = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        if len == 0 || rest.as_bytes().first().is_some_and(u8::is_ascii_digit) {
            return Err(self.unexpected("in label set, expected identifier or \"}\""));
        }
        let name = rest[..len].to_owned();
        self.at += len;
        Ok(name)
    }

    fn equals(&mut self) -> Result<(), Error> {
        let rest = self.rest();
        if rest.starts_with('=') && !rest.starts_with("=~") {
            self.at += 1;
            return Ok(());
        }
        Err(self.unexpected("in label set, expected \"=\""))
    }

    fn value(&mut self) -> Result<String, Error> {
        if !self.rest().starts_with(['"', '\'', '`']) {
            return Err(self.unexpected("in label set, expected string"));
        }
        match quoted(self.rest()) {
            Some((value, len)) => {
                self.at += len;
                Ok(value)
            }
            None => Err(self.error("unterminated quoted string".into())),
        }
    }
}

/// Reads a Go string literal at the start of the text; gives its value and its length. Bytes that are no UTF-8 become
/// U+FFFD.
fn quoted(text: &str) -> Option<(String, usize)> {
    let quote = text.chars().next()?;
    if quote == '`' {
        let end = text[1..].find('`')?;
        return Some((text[1..=end].to_owned(), end + 2));
    }
    let mut out = Vec::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' => return None,
            '\\' => escape(&mut chars, quote, &mut out)?,
            c if c == quote => return Some((String::from_utf8_lossy(&out).into_owned(), at + 1)),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    None
}

fn escape(chars: &mut impl Iterator<Item = (usize, char)>, quote: char, out: &mut Vec<u8>) -> Option<()> {
    let (_, c) = chars.next()?;
    let mut number = |first: u32, digits: usize, radix: u32| {
        (0..digits).try_fold(first, |n, _| Some(n * radix + chars.next()?.1.to_digit(radix)?))
    };
    match c {
        'a' => out.push(7),
        'b' => out.push(8),
        'f' => out.push(12),
        'n' => out.push(b'\n'),
        'r' => out.push(b'\r'),
        't' => out.push(b'\t'),
        'v' => out.push(11),
        '\\' => out.push(b'\\'),
        c if c == quote => out.push(quote as u8),
        'x' => out.push(u8::try_from(number(0, 2, 16)?).ok()?),
        'u' => out.extend_from_slice(char::from_u32(number(0, 4, 16)?)?.encode_utf8(&mut [0; 4]).as_bytes()),
        'U' => out.extend_from_slice(char::from_u32(number(0, 8, 16)?)?.encode_utf8(&mut [0; 4]).as_bytes()),
        '0'..='7' => out.push(u8::try_from(number(c.to_digit(8)?, 2, 8)?).ok()?),
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{parse_label_pairs, parse_labels};

    #[test]
    fn parses_what_clients_send() {
        for (text, expected) in [
            ("", vec![]),
            ("{}", vec![]),
            (r#"{app="x"}"#, vec![("app", "x")]),
            (r#"{ app = "spaced" , b="2" }"#, vec![("app", "spaced"), ("b", "2")]),
            (r#"{app="comma",}"#, vec![("app", "comma")]),
            (r#"{b="\"\\\n\x41\u00e9\101"}"#, vec![("b", "\"\\\nA\u{e9}A")]),
            ("{b=`raw\\n`}", vec![("b", "raw\\n")]),
        ] {
            let pairs = parse_label_pairs(text).expect(text);
            let pairs: Vec<_> = pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            assert_eq!(pairs, expected, "{text}");
        }
    }

    #[test]
    fn says_what_prometheus_says() {
        for (text, expected) in [
            ("{app=x}", "1:6: parse error: unexpected identifier \"x\" in label set, expected string"),
            ("{app=\"x\"", "1:9: parse error: unexpected end of input inside braces"),
            ("{app=~\"x\"}", "1:5: parse error: unexpected <op:=~> in label set, expected \"=\""),
            ("{app=}", "1:6: parse error: unexpected \"}\" in label set, expected string"),
            ("{app=\"a\", bad-name=\"x\"}", "1:14: parse error: unexpected character inside braces: '-'"),
        ] {
            let error = parse_label_pairs(text).expect_err(text).to_string();
            assert_eq!(error, expected);
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[{}a-z=~!\",`'\\\\ x0-9\u{e9}]{0,40}") {
            let _ = (parse_label_pairs(&text).is_ok(), parse_labels(&text).is_ok());
        }

        #[test]
        fn what_is_printed_is_parsed(pairs in proptest::collection::btree_map("[a-z_][a-z0-9_]{0,8}", ".{1,20}", 0..6)) {
            let labels = narvi_types::Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            let labels = labels.expect("valid");
            prop_assert_eq!(parse_labels(&labels.to_string()).expect("valid"), labels);
        }
    }

    #[test]
    fn repeated_names_are_no_label_set() {
        let error = parse_labels(r#"{a="1",a="2"}"#).expect_err("repeated").to_string();
        assert_eq!(error, "1:1: parse error: duplicate label name a");
        assert_eq!(parse_labels(r#"{b="1",a=""}"#).expect("valid").to_string(), r#"{b="1"}"#);
    }
}
