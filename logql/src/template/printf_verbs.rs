//! The verbs of Go's fmt package: how each type prints under each verb, with flags, width and precision.

use crate::template::fields::Fields;
use crate::template::value::{Value, sorted_labels};
use crate::value::{FloatFormat, quote, write_float};

/// The flags of one verb.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) plus: bool,
    pub(crate) minus: bool,
    pub(crate) sharp: bool,
    pub(crate) space: bool,
    pub(crate) zero: bool,
    pub(crate) plus_v: bool,
    pub(crate) sharp_v: bool,
    pub(crate) width: Option<usize>,
    pub(crate) precision: Option<usize>,
}

pub(crate) struct Printer<'o, 'f> {
    out: &'o mut Vec<u8>,
    fields: &'f dyn Fields,
}

impl<'o, 'f> Printer<'o, 'f> {
    pub(crate) fn new(out: &'o mut Vec<u8>, fields: &'f dyn Fields) -> Self {
        Self { out, fields }
    }

    /// Prints one operand.
    pub(crate) fn value(&mut self, value: &Value<'_>, verb: char, flags: Flags) {
        match (verb, value) {
            ('T' | 'v', Value::Invalid | Value::Nil) => self.pad(b"<nil>", flags),
            ('T', _) => self.pad(value.type_name().as_bytes(), flags),
            _ => self.element(value, verb, flags),
        }
    }

    /// Prints an operand or something inside one.
    fn element(&mut self, value: &Value<'_>, verb: char, flags: Flags) {
        match value {
            Value::Bool(b) if matches!(verb, 't' | 'v') => self.pad(if *b { b"true" } else { b"false" }, flags),
            Value::Int(n) | Value::Int64(n) => self.integer(value, n.unsigned_abs(), *n < 0, verb, flags),
            Value::Uint8(n) if verb == 'v' && flags.sharp_v => {
                self.integer(value, u64::from(*n), false, 'x', Flags { sharp: true, ..flags });
            }
            Value::Uint8(n) => self.integer(value, u64::from(*n), false, verb, flags),
            Value::Float(f) => self.float(value, *f, verb, flags),
            Value::Complex(re, im) if matches!(verb, 'v' | 'e' | 'E' | 'f' | 'F' | 'g' | 'G') => {
                self.out.push(b'(');
                self.float(value, *re, verb, flags);
                self.float(value, *im, verb, Flags { plus: true, ..flags });
                self.out.extend_from_slice(b"i)");
            }
            Value::Str(s) => self.string(value, s, verb, flags),
            Value::Text(s) => self.string(value, s, verb, flags),
            Value::Time(time) if matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') => {
                self.string(value, time.to_string().as_bytes(), verb, Flags { sharp_v: false, ..flags });
            }
            Value::List(list) => self.list(list, verb, flags),
            Value::Map(map) => {
                let pairs = map.iter().map(|(k, v)| (&**k, v.clone()));
                self.map(value, pairs, verb, flags);
            }
            Value::Labels => {
                let pairs = sorted_labels(self.fields).into_iter().map(|(k, v)| (k.as_bytes(), Value::Str(v)));
                self.map(value, pairs, verb, flags);
            }
            _ => self.bad_verb(value, verb, flags),
        }
    }

    fn inner(&mut self, value: &Value<'_>, verb: char, flags: Flags) {
        match value {
            Value::Invalid | Value::Nil if flags.sharp_v => self.out.extend_from_slice(b"interface {}(nil)"),
            Value::Invalid | Value::Nil => self.out.extend_from_slice(b"<nil>"),
            value => self.element(value, verb, flags),
        }
    }

    fn list(&mut self, list: &[Value<'_>], verb: char, flags: Flags) {
        self.out.extend_from_slice(if flags.sharp_v { b"[]interface {}{" } else { b"[" });
        for (n, value) in list.iter().enumerate() {
            if n > 0 {
                self.out.extend_from_slice(if flags.sharp_v { b", " } else { b" " });
            }
            self.inner(value, verb, flags);
        }
        self.out.push(if flags.sharp_v { b'}' } else { b']' });
    }

    fn map<'k, 'x>(
        &mut self,
        value: &Value<'_>,
        pairs: impl Iterator<Item = (&'k [u8], Value<'x>)>,
        verb: char,
        flags: Flags,
    ) {
        if flags.sharp_v {
            self.out.extend_from_slice(value.type_name().as_bytes());
            self.out.push(b'{');
        } else {
            self.out.extend_from_slice(b"map[");
        }
        for (n, (key, element)) in pairs.enumerate() {
            if n > 0 {
                self.out.extend_from_slice(if flags.sharp_v { b", " } else { b" " });
            }
            self.inner(&Value::Str(key), verb, flags);
            self.out.push(b':');
            self.inner(&element, verb, flags);
        }
        self.out.push(if flags.sharp_v { b'}' } else { b']' });
    }

    /// Go's note that a verb does not suit a value: `%!d(string=x)`.
    fn bad_verb(&mut self, value: &Value<'_>, verb: char, flags: Flags) {
        self.out.extend_from_slice(format!("%!{verb}(").as_bytes());
        if value.is_nil() {
            self.out.extend_from_slice(b"<nil>");
        } else {
            self.out.extend_from_slice(value.type_name().as_bytes());
            self.out.push(b'=');
            self.element(value, 'v', flags);
        }
        self.out.push(b')');
    }

    fn padding(&mut self, count: usize, zero: bool) {
        self.out.resize(self.out.len() + count, if zero { b'0' } else { b' ' });
    }

    /// Writes a text padded to the width, counted in characters.
    fn pad(&mut self, text: &[u8], flags: Flags) {
        let length = String::from_utf8_lossy(text).chars().count();
        let missing = flags.width.unwrap_or(0).saturating_sub(length);
        if !flags.minus {
            self.padding(missing, flags.zero);
        }
        self.out.extend_from_slice(text);
        if flags.minus {
            self.padding(missing, false);
        }
    }

    fn string(&mut self, value: &Value<'_>, text: &[u8], verb: char, flags: Flags) {
        match verb {
            'v' if flags.sharp_v => self.quoted(text, flags),
            'v' | 's' => self.pad(truncated(text, flags.precision), flags),
            'x' | 'X' => self.hex_string(text, verb == 'X', flags),
            'q' => self.quoted(text, flags),
            _ => self.bad_verb(value, verb, flags),
        }
    }

    fn quoted(&mut self, text: &[u8], flags: Flags) {
        let text = truncated(text, flags.precision);
        if flags.sharp && can_backquote(text) {
            let raw = [b"`", text, b"`"].concat();
            return self.pad(&raw, flags);
        }
        let mut quoted = quote(text);
        if flags.plus {
            quoted = quoted.chars().map(ascii_escaped).collect();
        }
        self.pad(quoted.as_bytes(), flags);
    }

    fn hex_string(&mut self, text: &[u8], upper: bool, flags: Flags) {
        let text = text.get(..flags.precision.unwrap_or(text.len()).min(text.len())).unwrap_or_default();
        let mut out = String::new();
        for (n, b) in text.iter().enumerate() {
            if flags.space && n > 0 {
                out.push(' ');
            }
            if flags.sharp && (n == 0 || flags.space) {
                out.push_str(if upper { "0X" } else { "0x" });
            }
            out.push_str(&if upper { format!("{b:02X}") } else { format!("{b:02x}") });
        }
        self.pad(out.as_bytes(), flags);
    }

    fn integer(&mut self, value: &Value<'_>, magnitude: u64, negative: bool, verb: char, flags: Flags) {
        let digits = match verb {
            'v' | 'd' => magnitude.to_string(),
            'b' => format!("{magnitude:b}"),
            'o' | 'O' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            'c' | 'q' | 'U' => return self.character(magnitude, negative, verb, flags),
            _ => return self.bad_verb(value, verb, flags),
        };
        let mut digits = digits;
        let mut width_as_zeros = 0;
        match flags.precision {
            Some(0) if magnitude == 0 => {
                self.padding(flags.width.unwrap_or(0), false);
                return;
            }
            Some(precision) => width_as_zeros = precision,
            None if flags.zero && !flags.minus => {
                let sign = usize::from(negative || flags.plus || flags.space);
                width_as_zeros = flags.width.unwrap_or(0).saturating_sub(sign);
            }
            None => {}
        }
        if digits.len() < width_as_zeros {
            digits.insert_str(0, &"0".repeat(width_as_zeros - digits.len()));
        }
        let prefix = match verb {
            'O' => "0o",
            'b' if flags.sharp => "0b",
            'o' if flags.sharp && !digits.starts_with('0') => "0",
            'x' if flags.sharp => "0x",
            'X' if flags.sharp => "0X",
            _ => "",
        };
        let sign = match (negative, flags.plus, flags.space) {
            (true, ..) => "-",
            (_, true, _) => "+",
            (.., true) => " ",
            _ => "",
        };
        self.pad(format!("{sign}{prefix}{digits}").as_bytes(), Flags { zero: false, ..flags });
    }

    /// An integer as a character, a quoted one, or a code point.
    fn character(&mut self, magnitude: u64, negative: bool, verb: char, flags: Flags) {
        let code = if negative { None } else { u32::try_from(magnitude).ok() };
        let c = code.and_then(char::from_u32).unwrap_or('\u{fffd}');
        let text = match verb {
            'c' => c.to_string(),
            'q' => {
                let quoted = quote(c.to_string().as_bytes());
                let body = quoted.get(1..quoted.len() - 1).unwrap_or_default();
                match c {
                    '\'' => "'\\''".to_owned(),
                    '"' => "'\"'".to_owned(),
                    _ if flags.plus => format!("'{}'", body.chars().map(ascii_escaped).collect::<String>()),
                    _ => format!("'{body}'"),
                }
            }
            _ => {
                let value = if negative { magnitude.wrapping_neg() } else { magnitude };
                let digits = flags.precision.unwrap_or(4).max(4);
                let shown = if flags.sharp && !quote(c.to_string().as_bytes()).starts_with("\"\\") && code.is_some() {
                    format!(" '{c}'")
                } else {
                    String::new()
                };
                format!("U+{value:0digits$X}{shown}")
            }
        };
        self.pad(text.as_bytes(), Flags { zero: false, ..flags });
    }

    fn float(&mut self, value: &Value<'_>, f: f64, verb: char, flags: Flags) {
        let (format, precision) = match verb {
            'v' | 'g' | 'G' => (FloatFormat::General, flags.precision),
            'e' | 'E' => (FloatFormat::Exponent, Some(flags.precision.unwrap_or(6))),
            'f' | 'F' => (FloatFormat::Fixed, Some(flags.precision.unwrap_or(6))),
            'b' => (FloatFormat::Binary, None),
            'x' | 'X' => (FloatFormat::Hex, flags.precision),
            _ => return self.bad_verb(value, verb, flags),
        };
        let mut text = Vec::new();
        write_float(&mut text, f, format, precision);
        if matches!(verb, 'E' | 'G' | 'X') && f.is_finite() {
            text.make_ascii_uppercase();
        }
        let mut sign = b'+';
        if matches!(text.first(), Some(b'-' | b'+')) {
            sign = text.remove(0);
        }
        if flags.sharp && verb != 'b' && f.is_finite() {
            text = with_point(&text, verb, flags.precision);
        }
        if flags.space && sign == b'+' && !flags.plus {
            sign = b' ';
        }
        let nan = f.is_nan() && !flags.space && !flags.plus;
        let shows_sign = (sign != b'+' || flags.plus || f == f64::INFINITY) && !nan;
        let zero = flags.zero && f.is_finite();
        if shows_sign && zero && !flags.minus {
            // The sign goes before the zeros.
            self.out.push(sign);
            let rest = flags.width.map(|w| w.saturating_sub(1));
            return self.pad(&text, Flags { width: rest, zero, ..flags });
        }
        if shows_sign {
            text.insert(0, sign);
        }
        self.pad(&text, Flags { zero, ..flags });
    }
}

/// A number with the decimal point and zeros that the `#` flag asks for.
fn with_point(text: &[u8], verb: char, precision: Option<usize>) -> Vec<u8> {
    let mut wanted = match verb {
        'v' | 'g' | 'G' | 'x' | 'X' => precision.unwrap_or(6) as i64,
        _ => 0,
    };
    let at = text.iter().position(|b| matches!(b, b'e' | b'E' | b'p' | b'P')).unwrap_or(text.len());
    let (number, tail) = text.split_at(at);
    let mut has_point = false;
    let mut seen = false;
    for b in number {
        if *b == b'.' {
            has_point = true;
        } else {
            seen |= *b != b'0';
            wanted -= i64::from(seen);
        }
    }
    let mut out = number.to_vec();
    if !has_point {
        // A lone zero counts as a digit.
        if number == b"0" {
            wanted -= 1;
        }
        out.push(b'.');
    }
    out.resize(out.len() + usize::try_from(wanted).unwrap_or(0), b'0');
    out.extend_from_slice(tail);
    out
}

/// The first characters of a text.
fn truncated(text: &[u8], precision: Option<usize>) -> &[u8] {
    let Some(count) = precision else { return text };
    let mut at = 0;
    for _ in 0..count {
        match text.get(at..).filter(|r| !r.is_empty()) {
            Some(rest) => at += crate::value::decode_char(rest).1,
            None => break,
        }
    }
    text.get(..at).unwrap_or(text)
}

fn can_backquote(text: &[u8]) -> bool {
    std::str::from_utf8(text)
        .is_ok_and(|t| t.chars().all(|c| c != '\u{feff}' && c != '`' && c != '\x7f' && (c >= ' ' || c == '\t')))
}

fn ascii_escaped(c: char) -> String {
    match c as u32 {
        0..0x80 => c.to_string(),
        code @ 0x80..0x1_0000 => format!("\\u{code:04x}"),
        code => format!("\\U{code:08x}"),
    }
}
