//! Go's `strconv.Quote`, which Loki prints label values with.

use std::fmt::{self, Write};

/// Writes `text` in double quotes with Go's escapes: `\a \b \f \n \r \t \v \\ \"`, `\x7f` for other control characters
/// below U+0080, `\u` and `\U` for characters that Go holds unprintable.
///
/// # Errors
/// Only those of the writer.
pub fn go_quote(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        if is_plain(c) {
            continue;
        }
        out.write_str(&text[plain..at])?;
        plain = at + c.len_utf8();
        match c {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\x07' => out.write_str("\\a")?,
            '\x08' => out.write_str("\\b")?,
            '\x0c' => out.write_str("\\f")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\x0b' => out.write_str("\\v")?,
            c if (c as u32) < 0x80 => write!(out, "\\x{:02x}", c as u32)?,
            c if (c as u32) < 0x1_0000 => write!(out, "\\u{:04x}", c as u32)?,
            c => write!(out, "\\U{:08x}", c as u32)?,
        }
    }
    out.write_str(&text[plain..])?;
    out.write_char('"')
}

/// Whether Go prints the character as itself. Go's table of printable characters is larger; this follows it for
/// controls, separators, surrogate and private-use areas and the usual invisible format characters.
fn is_plain(c: char) -> bool {
    match c {
        '"' | '\\' => false,
        ' '..='~' => true,
        '\u{00}'..='\u{9f}' | '\u{a0}' | '\u{ad}' => false,
        '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}' => false,
        '\u{1680}' | '\u{180e}' | '\u{3000}' | '\u{feff}' | '\u{e000}'..='\u{f8ff}' => false,
        '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}' => false,
        c => (c as u32) < 0xe_0000,
    }
}

#[cfg(test)]
mod tests {
    use super::go_quote;

    #[test]
    fn quotes_as_go_does() {
        for (input, expected) in [
            ("", r#""""#),
            ("plain", r#""plain""#),
            ("a\"b\\c", r#""a\"b\\c""#),
            ("\n\t\x07\x7f\x01", r#""\n\t\a\x7f\x01""#),
            ("h\u{e9}llo \u{4e16}", "\"h\u{e9}llo \u{4e16}\""),
            ("\u{a0}\u{200b}\u{feff}", r#""\u00a0\u200b\ufeff""#),
            ("\u{10ffff}", r#""\U0010ffff""#),
        ] {
            let mut out = String::new();
            go_quote(&mut out, input).expect("a string takes all");
            assert_eq!(out, expected);
        }
    }
}
