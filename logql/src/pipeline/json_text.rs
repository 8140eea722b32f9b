//! The small pieces of JSON that all readers of it share: strings, white space, blocks, escapes. They follow what Loki's
//! scanner accepts, which is more than JSON.

use memchr::memchr3;

/// The end of a string and what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StringEnd {
    /// Where the closing quote is.
    pub(super) quote: usize,
    pub(super) escaped: bool,
    /// Whether it holds a byte above 0x7f.
    pub(super) wide: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Finds the quote that closes the string whose text begins at `start`.
#[inline]
pub(super) fn string_end(text: &[u8], start: usize) -> Option<StringEnd> {
    let mut at = start;
    let mut wide = 0;
    let mut escaped = false;
    // Most strings are short, so eight bytes at a time beat the set-up of a vector search.
    while let Some(word) = text.get(at..at + 8).and_then(|w| w.try_into().ok()).map(u64::from_le_bytes) {
        let quotes = word ^ (ONES * 0x22);
        let slashes = word ^ (ONES * 0x5c);
        let hit = ((quotes.wrapping_sub(ONES) & !quotes) | (slashes.wrapping_sub(ONES) & !slashes)) & HIGHS;
        if hit == 0 {
            wide |= word & HIGHS;
            at += 8;
            continue;
        }
        // The lowest marked byte is exact; bytes above it may be marked wrongly.
        let skip = hit.trailing_zeros() as usize / 8;
        wide |= word & HIGHS & ((1_u64 << (skip * 8)) - 1);
        at += skip;
        if text[at] == b'"' {
            return Some(StringEnd { quote: at, escaped, wide: wide != 0 });
        }
        escaped = true;
        at += 1;
        wide |= u64::from(*text.get(at)?) & 0x80;
        at += 1;
    }
    loop {
        let byte = *text.get(at)?;
        match byte {
            b'"' => return Some(StringEnd { quote: at, escaped, wide: wide != 0 }),
            b'\\' => {
                escaped = true;
                at += 1;
                wide |= u64::from(*text.get(at)?) & 0x80;
            }
            _ => wide |= u64::from(byte) & 0x80,
        }
        at += 1;
    }
}

/// Skips spaces, tabs and line breaks.
#[inline]
pub(super) fn skip_space(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// Where the block that opens at `start` ends: the place behind the matching closing byte. Only this pair of bytes and
/// strings count. `depth` blocks are open already before `start`.
pub(super) fn block_end(text: &[u8], start: usize, open: u8, close: u8, mut depth: usize) -> Option<usize> {
    let mut at = start;
    loop {
        let rest = text.get(at..)?;
        at += memchr3(b'"', open, close, rest)?;
        match text[at] {
            b'"' => at = string_end(text, at + 1)?.quote,
            byte if byte == open => depth += 1,
            _ => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
        }
        at += 1;
    }
}

/// Where a number, word or anything else that is no string or block ends.
#[inline]
pub(super) fn token_end(text: &[u8], start: usize) -> usize {
    let rest = text.get(start..).unwrap_or(&[]);
    let len = rest.iter().position(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t' | b',' | b'}' | b']'));
    start + len.unwrap_or(rest.len())
}

/// An escape that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadEscape;

/// Appends the text of a JSON string with its escapes replaced.
///
/// # Errors
/// An unknown escape or half a pair of surrogates; what was appended must be dropped.
pub(super) fn unescape(raw: &[u8], out: &mut Vec<u8>) -> Result<(), BadEscape> {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let code = *rest.get(at + 1).ok_or(BadEscape)?;
        let mut used = 2;
        match code {
            b'"' | b'\\' | b'/' => out.push(code),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'u' => {
                let first = hex4(rest, at + 2).ok_or(BadEscape)?;
                used = 6;
                let c = if (0xd800..0xe000).contains(&first) {
                    // Loki's scanner takes the next escape for the low half whatever stands before its digits.
                    let second = hex4(rest, at + 8).filter(|s| *s >= 0xdc00).ok_or(BadEscape)?;
                    used = 12;
                    (first.wrapping_sub(0xd800) << 10).wrapping_add(second - 0xdc00).wrapping_add(0x1_0000)
                } else {
                    first
                };
                let c = char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            _ => return Err(BadEscape),
        }
        rest = rest.get(at + used..).unwrap_or(&[]);
    }
    out.extend_from_slice(rest);
    Ok(())
}

fn hex4(text: &[u8], at: usize) -> Option<u32> {
    text.get(at..at + 4)?.iter().try_fold(0, |n, b| Some(n << 4 | (*b as char).to_digit(16)?))
}

/// Whether a value must go through [`replace_invalid`]: it is not UTF-8, or holds the replacement character.
pub(super) fn needs_replacing(value: &[u8]) -> bool {
    match std::str::from_utf8(value) {
        Ok(_) => memchr::memmem::find(value, "\u{fffd}".as_bytes()).is_some(),
        Err(_) => true,
    }
}

/// Appends a value with a space for every byte that is not UTF-8, and for every replacement character.
pub(super) fn replace_invalid(value: &[u8], out: &mut Vec<u8>) {
    for chunk in value.utf8_chunks() {
        let mut parts = chunk.valid().split('\u{fffd}');
        out.extend_from_slice(parts.next().unwrap_or("").as_bytes());
        for part in parts {
            out.push(b' ');
            out.extend_from_slice(part.as_bytes());
        }
        out.extend(chunk.invalid().iter().map(|_| b' '));
    }
}

#[cfg(test)]
mod tests {
    use super::{BadEscape, StringEnd, block_end, replace_invalid, string_end, unescape};

    #[test]
    fn strings_end_at_an_unescaped_quote() {
        for lead in 0..20 {
            let text = format!("{}\\\"\\\\\" tail", "x".repeat(lead));
            let end = StringEnd { quote: lead + 4, escaped: true, wide: false };
            assert_eq!(string_end(text.as_bytes(), 0), Some(end), "{text}");
            let text = format!("{}\u{e9}{}\"", "x".repeat(lead), "y".repeat(20 - lead));
            assert_eq!(string_end(text.as_bytes(), 0), Some(StringEnd { quote: 22, escaped: false, wide: true }));
            let text = format!("{}\"\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}", "x".repeat(lead));
            assert_eq!(string_end(text.as_bytes(), 0).map(|e| (e.quote, e.wide)), Some((lead, false)));
            assert_eq!(string_end("x".repeat(lead).as_bytes(), 0), None);
        }
        assert_eq!(string_end(b"x\\", 0), None);
    }

    #[test]
    fn blocks_end_where_their_bytes_balance() {
        let text = br#"{"a":"}","b":{"c":[]}}rest"#;
        let end = text.len() - 4;
        assert_eq!(block_end(text, 0, b'{', b'}', 0), Some(end));
        assert_eq!(block_end(text, 9, b'{', b'}', 1), Some(end));
        assert_eq!(block_end(&text[..end - 1], 0, b'{', b'}', 0), None);
        assert_eq!(block_end(b"[[1],[2]]", 0, b'[', b']', 0), Some(9));
    }

    #[test]
    fn escapes_are_replaced_or_refused() {
        let run = |raw: &str| {
            let mut out = Vec::new();
            unescape(raw.as_bytes(), &mut out).map(|()| String::from_utf8_lossy(&out).into_owned())
        };
        assert_eq!(run(r#"a\"\\\/\b\f\n\r\tz"#), Ok("a\"\\/\u{8}\u{c}\n\r\tz".into()));
        assert_eq!(run(r"caf\u00e9 \ud83d\ude00"), Ok("caf\u{e9} \u{1f600}".into()));
        for bad in [r"\ud800x", r"\q", r"\u12", "\\", r"\ud800\u0041"] {
            assert_eq!(run(bad), Err(BadEscape), "{bad}");
        }
    }

    #[test]
    fn what_is_not_text_becomes_spaces() {
        let mut out = Vec::new();
        replace_invalid(b"caf\xe9 \xef\xbf\xbd \xe2\x82", &mut out);
        assert_eq!(out, b"caf      ");
    }
}
