//! Characters of byte strings and their case, as Go's unicode package maps them: one character to one character.

use crate::value::decode_char;

/// Goes through the characters of a string as byte slices; a byte that is not UTF-8 stands alone.
pub(super) fn chars(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = *rest.first()?;
        let length = if first < 0x80 { 1 } else { decode_char(rest).1 };
        let (head, tail) = rest.split_at(length);
        rest = tail;
        Some(head)
    })
}

/// The last character of a string.
pub(super) fn last_char(text: &[u8]) -> Option<&[u8]> {
    for length in 1..=text.len().min(4) {
        let tail = text.get(text.len() - length..)?;
        if std::str::from_utf8(tail).is_ok() {
            return Some(tail);
        }
    }
    text.get(text.len().checked_sub(1)?..)
}

/// Maps every character; bytes that are not UTF-8 become U+FFFD.
pub(super) fn map(text: &[u8], mut mapping: impl FnMut(char) -> char) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in chars(text) {
        let c = mapping(decode_char(c).0);
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out
}

fn single(mut chars: impl Iterator<Item = char>, otherwise: char) -> char {
    match (chars.next(), chars.next()) {
        (Some(c), None) => c,
        _ => otherwise,
    }
}

pub(super) fn lower(c: char) -> char {
    if c == '\u{130}' { 'i' } else { single(c.to_lowercase(), c) }
}

pub(super) fn upper(c: char) -> char {
    let simple = match c {
        // Greek letters with iota below, whose full mapping has two characters.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => c as u32 + 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => c as u32 + 9,
        _ => return single(c.to_uppercase(), c),
    };
    char::from_u32(simple).unwrap_or(c)
}

/// Title case: upper case but for the digraphs that have a form of their own and Georgian, which has none.
pub(super) fn title(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => c,
        c => upper(c),
    }
}

/// Whether a word may begin after the character, for Go's `strings.Title`.
pub(super) fn separates(c: char) -> bool {
    if c.is_ascii() { !(c.is_ascii_alphanumeric() || c == '_') } else { c.is_whitespace() }
}
