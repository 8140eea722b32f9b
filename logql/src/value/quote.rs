//! Go's quoted strings: `strconv.Unquote`, `strconv.UnquoteChar` and `strconv.Quote` over bytes.

use std::borrow::Cow;

/// The text is not a well-formed quoted string; Go's `strconv.ErrSyntax`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid syntax")]
pub struct QuoteError;

/// Reads one Go string literal, quotes included: `"..."` with escapes, `` `...` `` raw (carriage returns vanish), or a
/// character in `'...'`. The result is bytes: `"\xff"` is one byte. Allocates only where there is an escape.
///
/// # Errors
/// [`QuoteError`] for whatever `strconv.Unquote` refuses.
pub fn unquote(text: &[u8]) -> Result<Cow<'_, [u8]>, QuoteError> {
    let (&open, rest) = text.split_first().ok_or(QuoteError)?;
    let (&close, body) = rest.split_last().ok_or(QuoteError)?;
    if open != close {
        return Err(QuoteError);
    }
    match open {
        b'`' if body.contains(&b'`') => Err(QuoteError),
        b'`' if body.contains(&b'\r') => Ok(Cow::Owned(body.iter().copied().filter(|b| *b != b'\r').collect())),
        b'`' => Ok(Cow::Borrowed(body)),
        b'"' | b'\'' => unquote_escaped(body, open),
        _ => Err(QuoteError),
    }
}

fn unquote_escaped(body: &[u8], quote: u8) -> Result<Cow<'_, [u8]>, QuoteError> {
    if body.contains(&b'\n') {
        return Err(QuoteError);
    }
    let plain = quote == b'"' && !body.iter().any(|b| matches!(b, b'\\' | b'"'));
    if plain && std::str::from_utf8(body).is_ok() {
        return Ok(Cow::Borrowed(body));
    }
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while !rest.is_empty() {
        let (value, is_byte, used) = unquote_char(rest, quote)?;
        rest = rest.get(used..).unwrap_or_default();
        if is_byte {
            out.push(value as u8);
        } else {
            let c = char::from_u32(value).unwrap_or('\u{fffd}');
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        if quote == b'\'' && !rest.is_empty() {
            return Err(QuoteError);
        }
    }
    Ok(Cow::Owned(out))
}

/// Reads one character or escape inside quotes of the given kind, as `strconv.UnquoteChar` does. Returns the value,
/// whether it stands for one byte instead of a character (`\xNN`, octal), and how many bytes of `text` it took.
///
/// # Errors
/// [`QuoteError`] for an unknown or cut escape, a bare quote, or no text at all.
pub fn unquote_char(text: &[u8], quote: u8) -> Result<(u32, bool, usize), QuoteError> {
    let &first = text.first().ok_or(QuoteError)?;
    if first == quote && (quote == b'\'' || quote == b'"') {
        return Err(QuoteError);
    }
    if first >= 0x80 {
        let (c, used) = decode_char(text);
        return Ok((c as u32, false, used));
    }
    if first != b'\\' {
        return Ok((u32::from(first), false, 1));
    }
    let &kind = text.get(1).ok_or(QuoteError)?;
    let simple = match kind {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' => b'\\',
        b'\'' | b'"' if kind == quote => kind,
        b'x' => return radix_escape(text, 2, 2, 16).map(|(v, n)| (v, true, n)),
        b'u' | b'U' => {
            let digits = if kind == b'u' { 4 } else { 8 };
            let (value, used) = radix_escape(text, 2, digits, 16)?;
            char::from_u32(value).ok_or(QuoteError)?;
            return Ok((value, false, used));
        }
        b'0'..=b'7' => {
            let (value, used) = radix_escape(text, 1, 3, 8)?;
            return if value > 255 { Err(QuoteError) } else { Ok((value, true, used)) };
        }
        _ => return Err(QuoteError),
    };
    Ok((u32::from(simple), false, 2))
}

fn radix_escape(text: &[u8], start: usize, digits: usize, radix: u32) -> Result<(u32, usize), QuoteError> {
    let end = start + digits;
    let mut value = 0u32;
    for &b in text.get(start..end).ok_or(QuoteError)? {
        let digit = char::from(b).to_digit(radix).ok_or(QuoteError)?;
        value = value.checked_mul(radix).and_then(|v| v.checked_add(digit)).ok_or(QuoteError)?;
    }
    Ok((value, end))
}

/// The first character of `text` and its length; U+FFFD and 1 where it is not UTF-8. `text` must not be empty.
pub(crate) fn decode_char(text: &[u8]) -> (char, usize) {
    let head = text.get(..text.len().min(4)).unwrap_or_default();
    let valid = match std::str::from_utf8(head) {
        Ok(s) => s,
        Err(e) => std::str::from_utf8(&head[..e.valid_up_to()]).unwrap_or_default(),
    };
    valid.chars().next().map_or(('\u{fffd}', 1), |c| (c, c.len_utf8()))
}

/// Writes bytes in double quotes as Go's `%q` does; bytes that are not UTF-8 become `\xNN`.
pub fn quote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for chunk in text.utf8_chunks() {
        let mut quoted = String::with_capacity(chunk.valid().len() + 2);
        // A String takes every write.
        let _ = narvi_types::go_quote(&mut quoted, chunk.valid());
        out.push_str(quoted.get(1..quoted.len() - 1).unwrap_or_default());
        for b in chunk.invalid() {
            out.push_str(&format!("\\x{b:02x}"));
        }
    }
    out.push('"');
    out
}
