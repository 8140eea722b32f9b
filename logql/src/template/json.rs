//! JSON as Go's `encoding/json` reads it into `interface {}`: objects, lists, strings, floats, booleans, nil.

use std::collections::BTreeMap;
use std::rc::Rc;

use crate::template::value::Value;
use crate::value::parse_float;

/// How deep JSON may nest. Go allows 10,000; deeper text is refused here as broken text is.
const MAX_DEPTH: usize = 256;

/// Reads one JSON text; `None` if it is not one.
pub(crate) fn parse(text: &[u8]) -> Option<Value<'static>> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let value = parser.value()?;
    parser.space();
    (parser.at == text.len()).then_some(value)
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        self.space();
        (self.peek()? == expected).then(|| self.at += 1)
    }

    fn word(&mut self, word: &[u8], value: Value<'static>) -> Option<Value<'static>> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn value(&mut self) -> Option<Value<'static>> {
        self.space();
        match self.peek()? {
            b'{' => self.nested(Self::object),
            b'[' => self.nested(Self::list),
            b'"' => Some(Value::text(self.string()?)),
            b't' => self.word(b"true", Value::Bool(true)),
            b'f' => self.word(b"false", Value::Bool(false)),
            b'n' => self.word(b"null", Value::Nil),
            _ => self.number(),
        }
    }

    fn nested(&mut self, read: impl Fn(&mut Self) -> Option<Value<'static>>) -> Option<Value<'static>> {
        self.at += 1;
        self.depth += 1;
        let value = if self.depth <= MAX_DEPTH { read(self) } else { None };
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Option<Value<'static>> {
        let mut map = BTreeMap::new();
        if self.take(b'}').is_some() {
            return Some(Value::Map(Rc::new(map)));
        }
        loop {
            self.space();
            let key = self.string()?;
            self.take(b':')?;
            let value = self.value()?;
            map.insert(key.into_boxed_slice(), value);
            if self.take(b'}').is_some() {
                return Some(Value::Map(Rc::new(map)));
            }
            self.take(b',')?;
        }
    }

    fn list(&mut self) -> Option<Value<'static>> {
        let mut list = Vec::new();
        if self.take(b']').is_some() {
            return Some(Value::List(list.into()));
        }
        loop {
            list.push(self.value()?);
            if self.take(b']').is_some() {
                return Some(Value::List(list.into()));
            }
            self.take(b',')?;
        }
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn number(&mut self) -> Option<Value<'static>> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        // Go leaves nil for a number that is too large.
        Some(parse_float(self.text.get(start..self.at)?).map_or(Value::Nil, Value::Float))
    }

    fn string(&mut self) -> Option<Vec<u8>> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let plain = rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..=0x1f))?;
            for chunk in rest[..plain].utf8_chunks() {
                out.extend_from_slice(chunk.valid().as_bytes());
                // Go puts one replacement character for every byte that is not UTF-8.
                chunk.invalid().iter().for_each(|_| out.extend_from_slice("\u{fffd}".as_bytes()));
            }
            self.at += plain + 1;
            match rest.get(plain)? {
                b'"' => return Some(out),
                b'\\' => self.escape(&mut out)?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Option<()> {
        let kind = self.peek()?;
        self.at += 1;
        out.push(match kind {
            b'"' | b'\\' | b'/' => kind,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let c = self.unicode_escape()?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                return Some(());
            }
            _ => return None,
        });
        Some(())
    }

    fn hex4(&self, at: usize) -> Option<u32> {
        let digits = self.text.get(at..at + 4)?;
        digits.iter().try_fold(0, |n, b| Some(n << 4 | char::from(*b).to_digit(16)?))
    }

    /// The character of `\uXXXX` or a surrogate pair of them; a lone surrogate is a replacement character.
    fn unicode_escape(&mut self) -> Option<char> {
        let unit = self.hex4(self.at)?;
        self.at += 4;
        if let Some(c) = char::from_u32(unit) {
            return Some(c);
        }
        if unit < 0xdc00
            && self.text.get(self.at..self.at + 2) == Some(b"\\u")
            && let Some(low @ 0xdc00..=0xdfff) = self.hex4(self.at + 2)
        {
            self.at += 6;
            return char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
        }
        Some('\u{fffd}')
    }
}
