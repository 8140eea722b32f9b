//! Go's `fmt.Sprint`, `Sprintln` and `Sprintf` over template values: the format string; `printf_verbs` has the verbs.

use crate::template::fields::Fields;
use crate::template::limits::too_large;
use crate::template::printf_verbs::{Flags, Printer};
use crate::template::value::Value;
use crate::value::decode_char;

/// Largest width or precision; Go calls more than this a bad one.
const MAX_NUMBER: usize = 1_000_000;

/// Writes a value as `%v`.
pub(crate) fn print_value(out: &mut Vec<u8>, fields: &dyn Fields, value: &Value<'_>) {
    Printer::new(out, fields).value(value, 'v', Flags::default());
}

/// A value under a verb, for error texts.
pub(crate) fn show(fields: &dyn Fields, value: &Value<'_>, verb: char) -> String {
    let mut out = Vec::new();
    Printer::new(&mut out, fields).value(value, verb, Flags::default());
    String::from_utf8_lossy(&out).into_owned()
}

/// `fmt.Sprint`: spaces between operands of which neither is a string.
pub(crate) fn sprint(out: &mut Vec<u8>, fields: &dyn Fields, args: &[Value<'_>]) {
    let mut previous_is_string = true;
    for (n, arg) in args.iter().enumerate() {
        let is_string = arg.as_str().is_some();
        if n > 0 && !is_string && !previous_is_string {
            out.push(b' ');
        }
        print_value(out, fields, arg);
        previous_is_string = is_string;
    }
}

/// `fmt.Sprintln`: spaces between all operands and a line break at the end.
pub(crate) fn sprintln(out: &mut Vec<u8>, fields: &dyn Fields, args: &[Value<'_>]) {
    for (n, arg) in args.iter().enumerate() {
        if n > 0 {
            out.push(b' ');
        }
        print_value(out, fields, arg);
    }
    out.push(b'\n');
}

/// `fmt.Sprintf`, with Go's notes on mistakes in the output.
///
/// # Errors
/// When the output passes `limit` bytes.
pub(crate) fn sprintf(
    out: &mut Vec<u8>,
    fields: &dyn Fields,
    format: &[u8],
    args: &[Value<'_>],
    limit: usize,
) -> Result<(), String> {
    let mut state = Format { format, at: 0, args, next: 0, reordered: false, good_index: true };
    while let Some(rest) = format.get(state.at..).filter(|r| !r.is_empty()) {
        let plain = memchr::memchr(b'%', rest).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        state.at += plain + 1;
        if plain < rest.len() {
            state.verb(out, fields);
        }
        if out.len() > limit {
            return Err(too_large());
        }
    }
    if !state.reordered && state.next < args.len() {
        out.extend_from_slice(b"%!(EXTRA ");
        for (n, arg) in args[state.next..].iter().enumerate() {
            if n > 0 {
                out.extend_from_slice(b", ");
            }
            if !arg.is_nil() {
                out.extend_from_slice(arg.type_name().as_bytes());
                out.push(b'=');
            }
            print_value(out, fields, arg);
        }
        out.push(b')');
    }
    Ok(())
}

/// Where `sprintf` stands in its format and arguments.
struct Format<'f, 'v, 'a> {
    format: &'f [u8],
    at: usize,
    args: &'v [Value<'a>],
    next: usize,
    /// An explicit index such as `%[2]d` was used.
    reordered: bool,
    /// The explicit index of the current verb makes sense.
    good_index: bool,
}

impl Format<'_, '_, '_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    /// One verb, from behind its percent sign.
    fn verb(&mut self, out: &mut Vec<u8>, fields: &dyn Fields) {
        let mut flags = Flags::default();
        self.good_index = true;
        while let Some(b) = self.peek() {
            match b {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = true,
                b'+' => flags.plus = true,
                b'-' => flags.minus = true,
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut after_index = self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.int_arg() {
                Some(width) => {
                    flags.width = Some(width.unsigned_abs() as usize);
                    flags.minus |= width < 0;
                }
                None => out.extend_from_slice(b"%!(BADWIDTH)"),
            }
            after_index = false;
        } else {
            flags.width = self.number();
            if after_index && flags.width.is_some() {
                self.good_index = false;
            }
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            after_index = self.precision(out, &mut flags, after_index);
        }
        if !after_index {
            self.index();
        }
        let Some(rest) = self.format.get(self.at..).filter(|r| !r.is_empty()) else {
            out.extend_from_slice(b"%!(NOVERB)");
            return;
        };
        let (verb, length) = decode_char(rest);
        let shown = rest.get(..length).unwrap_or_default();
        self.at += length;
        self.print(out, fields, verb, shown, flags);
    }

    fn precision(&mut self, out: &mut Vec<u8>, flags: &mut Flags, after_index: bool) -> bool {
        if after_index {
            // An index belongs before the width or the star, not here.
            self.good_index = false;
        }
        let after_index = self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.int_arg() {
                Some(precision @ 0..) => flags.precision = usize::try_from(precision).ok(),
                _ => out.extend_from_slice(b"%!(BADPREC)"),
            }
            return false;
        }
        flags.precision = Some(self.number().unwrap_or(0));
        after_index
    }

    fn print(&mut self, out: &mut Vec<u8>, fields: &dyn Fields, verb: char, shown: &[u8], flags: Flags) {
        if verb == '%' {
            out.push(b'%');
            return;
        }
        let problem: &[u8] = match self.args.get(self.next) {
            _ if !self.good_index => b"(BADINDEX)",
            None => b"(MISSING)",
            Some(arg) => {
                self.next += 1;
                let mut flags = flags;
                if matches!(verb, 'v') {
                    // Go syntax and field names are meant, not the flags of numbers.
                    flags.sharp_v = std::mem::take(&mut flags.sharp);
                    flags.plus_v = std::mem::take(&mut flags.plus);
                }
                Printer::new(out, fields).value(arg, verb, flags);
                return;
            }
        };
        out.extend_from_slice(b"%!");
        out.extend_from_slice(shown);
        out.extend_from_slice(problem);
    }

    /// Digits; too large a number ends the format, as in Go.
    fn number(&mut self) -> Option<usize> {
        let mut value = None;
        while let Some(b @ b'0'..=b'9') = self.peek() {
            let n = value.unwrap_or(0) * 10 + usize::from(b - b'0');
            if n > MAX_NUMBER {
                self.at = self.format.len();
                return None;
            }
            value = Some(n);
            self.at += 1;
        }
        value
    }

    /// The next argument as a width or precision.
    fn int_arg(&mut self) -> Option<i64> {
        let arg = self.args.get(self.next)?;
        self.next += 1;
        arg.as_int().filter(|n| n.unsigned_abs() <= MAX_NUMBER as u64)
    }

    /// An explicit argument index such as `[2]`; says whether there was one that could be read.
    fn index(&mut self) -> bool {
        let Some(rest) = self.format.get(self.at..).filter(|r| r.starts_with(b"[")) else { return false };
        self.reordered = true;
        let Some(close) = rest.iter().position(|b| *b == b']') else {
            self.good_index = false;
            self.at += 1;
            return false;
        };
        self.at += close + 1;
        let digits = rest.get(1..close).unwrap_or_default();
        let number = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let index = number.and_then(|d| d.parse::<usize>().ok()).filter(|n| *n <= MAX_NUMBER);
        match index {
            Some(n) if n >= 1 && n <= self.args.len() => {
                self.next = n - 1;
                true
            }
            other => {
                self.good_index = false;
                other.is_some()
            }
        }
    }
}
