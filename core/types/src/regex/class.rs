//! Character classes: `[...]`, `\d`, `\pL`, `[[:alpha:]]`, and the single characters that escapes stand for.

use std::sync::OnceLock;

use regex_syntax::hir::{ClassUnicode, ClassUnicodeRange};

use super::{
    error::{Fault, RegexError},
    unicode::{everything, lookup, named_class},
};

/// The greatest code point.
const MAX: u32 = char::MAX as u32;

/// Collects the members of a class. Ranges may include surrogates; they are dropped, since no text contains any.
#[derive(Debug, Default)]
pub(super) struct ClassBuilder {
    ranges: Vec<ClassUnicodeRange>,
    /// Ranges that still have to be closed under simple case folding.
    to_fold: Vec<ClassUnicodeRange>,
}

impl ClassBuilder {
    pub(super) fn add_range(&mut self, low: u32, high: u32, fold: bool) {
        for (start, end) in [(low, high.min(0xD7FF)), (low.max(0xE000), high)] {
            if let (true, Some(start), Some(end)) = (start <= end, char::from_u32(start), char::from_u32(end)) {
                self.ranges.push(ClassUnicodeRange::new(start, end));
                if fold {
                    self.to_fold.push(ClassUnicodeRange::new(start, end));
                }
            }
        }
    }

    /// Adds a ready class or, if `negate`, everything else. Folding comes before negation: `(?i)\P{Lu}` is what is no
    /// case variant of an upper case letter.
    pub(super) fn add_class(&mut self, class: &ClassUnicode, negate: bool, fold: bool) {
        if !(negate || fold) {
            self.ranges.extend_from_slice(class.ranges());
            return;
        }
        let mut member = Self::default();
        for range in class.ranges() {
            member.add_range(range.start().into(), range.end().into(), fold);
        }
        self.ranges.extend_from_slice(member.build(negate).ranges());
    }

    pub(super) fn build(self, negate: bool) -> ClassUnicode {
        let mut class = ClassUnicode::new(self.ranges);
        if !self.to_fold.is_empty() {
            let mut folded = ClassUnicode::new(self.to_fold);
            if folded.ranges().iter().map(|range| range.len()).sum::<usize>() > MANY {
                folded.intersect(cased());
            }
            folded.case_fold_simple();
            class.union(&folded);
        }
        if negate {
            class.negate();
        }
        class
    }
}

/// More code points than this are narrowed to those with case variants before they are folded one by one.
const MANY: usize = 256;

/// All code points with case variants, and some more.
fn cased() -> &'static ClassUnicode {
    static CASED: OnceLock<ClassUnicode> = OnceLock::new();
    CASED.get_or_init(|| lookup("Changes_When_Casemapped").unwrap_or_else(everything))
}

/// A character that stands for itself, with its case variants if `fold`.
pub(super) fn char_class(c: u32, fold: bool) -> ClassUnicode {
    let mut class = ClassBuilder::default();
    class.add_range(c, c, fold);
    class.build(false)
}

/// Everything but a line break, or everything.
pub(super) fn dot_class(all: bool) -> ClassUnicode {
    let mut class = ClassBuilder::default();
    if all {
        class.add_range(0, MAX, false);
    } else {
        class.add_range(0, 9, false);
        class.add_range(11, MAX, false);
    }
    class.build(false)
}

/// Parses `[...]` at the start of `text`. Gives the class and what follows it.
pub(super) fn bracket(text: &str, fold: bool) -> Result<(ClassUnicode, &str), RegexError> {
    let mut rest = text.strip_prefix('[').unwrap_or(text);
    let negate = rest.starts_with('^');
    rest = rest.strip_prefix('^').unwrap_or(rest);
    let mut class = ClassBuilder::default();
    let mut first = true;
    loop {
        // A bracket that comes first is a member.
        if !first && let Some(after) = rest.strip_prefix(']') {
            return Ok((class.build(negate), after));
        }
        first = false;
        if let Some(after) = posix_member(rest, &mut class, fold)? {
            rest = after;
            continue;
        }
        if let Some(after) = escaped_class(rest, &mut class, fold)? {
            rest = after;
            continue;
        }
        let start = rest;
        let (low, after) = class_char(rest, text)?;
        let mut high = low;
        rest = after;
        // A hyphen before the closing bracket is a member.
        if let Some(after) = rest.strip_prefix('-').filter(|after| !after.is_empty() && !after.starts_with(']')) {
            (high, rest) = class_char(after, text)?;
            if high < low {
                return Err(RegexError::new(Fault::CharRange, consumed(start, rest)));
            }
        }
        class.add_range(low, high, fold);
    }
}

/// Parses `[:name:]` or `[:^name:]`.
fn posix_member<'t>(text: &'t str, class: &mut ClassBuilder, fold: bool) -> Result<Option<&'t str>, RegexError> {
    let Some(inner) = text.strip_prefix("[:") else { return Ok(None) };
    let Some((name, rest)) = inner.split_once(":]") else { return Ok(None) };
    let negate = name.starts_with('^');
    let ranges: &[(u8, u8)] = match name.strip_prefix('^').unwrap_or(name) {
        "alnum" => &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')],
        "alpha" => &[(b'A', b'Z'), (b'a', b'z')],
        "ascii" => &[(0, 0x7F)],
        "blank" => &[(b'\t', b'\t'), (b' ', b' ')],
        "cntrl" => &[(0, 0x1F), (0x7F, 0x7F)],
        "digit" => DIGIT,
        "graph" => &[(b'!', b'~')],
        "lower" => &[(b'a', b'z')],
        "print" => &[(b' ', b'~')],
        "punct" => &[(b'!', b'/'), (b':', b'@'), (b'[', b'`'), (b'{', b'~')],
        "space" => &[(b'\t', b'\r'), (b' ', b' ')],
        "upper" => &[(b'A', b'Z')],
        "word" => WORD,
        "xdigit" => &[(b'0', b'9'), (b'A', b'F'), (b'a', b'f')],
        _ => return Err(RegexError::new(Fault::CharRange, consumed(text, rest))),
    };
    class.add_class(&ascii_class(ranges), negate, fold);
    Ok(Some(rest))
}

/// Parses `\d`, `\pL` and their like at the start of `text`; nothing if there is none.
pub(super) fn escaped_class<'t>(
    text: &'t str,
    class: &mut ClassBuilder,
    fold: bool,
) -> Result<Option<&'t str>, RegexError> {
    let Some(rest) = text.strip_prefix('\\') else { return Ok(None) };
    let Some(kind) = rest.chars().next() else { return Ok(None) };
    let ranges = match kind.to_ascii_lowercase() {
        'd' => DIGIT,
        's' => SPACE,
        'w' => WORD,
        'p' => return property(text, class, fold).map(Some),
        _ => return Ok(None),
    };
    class.add_class(&ascii_class(ranges), kind.is_ascii_uppercase(), fold);
    Ok(Some(&rest[1..]))
}

/// Parses `\pN`, `\p{Name}`, `\p{^Name}` and the same with `\P`.
fn property<'t>(text: &'t str, class: &mut ClassBuilder, fold: bool) -> Result<&'t str, RegexError> {
    let mut negate = text.starts_with("\\P");
    let body = &text[2..];
    let (mut name, rest) = if let Some(braced) = body.strip_prefix('{') {
        braced.split_once('}').ok_or_else(|| RegexError::new(Fault::CharRange, text))?
    } else {
        body.split_at(body.chars().next().map_or(0, char::len_utf8))
    };
    if let Some(positive) = name.strip_prefix('^') {
        negate = !negate;
        name = positive;
    }
    let members = named_class(name).ok_or_else(|| RegexError::new(Fault::CharRange, consumed(text, rest)))?;
    class.add_class(&members, negate, fold);
    Ok(rest)
}

/// One character inside brackets. `whole` is the text from the opening bracket on, for the error.
fn class_char<'t>(text: &'t str, whole: &str) -> Result<(u32, &'t str), RegexError> {
    match text.chars().next() {
        None => Err(RegexError::new(Fault::MissingBracket, whole)),
        Some('\\') => escaped_char(text),
        Some(c) => Ok((c.into(), &text[c.len_utf8()..])),
    }
}

/// Parses an escape that stands for one code point (maybe a surrogate) at the start of `text`.
pub(super) fn escaped_char(text: &str) -> Result<(u32, &str), RegexError> {
    let mut chars = text.chars();
    chars.next();
    let Some(c) = chars.next() else { return Err(RegexError::new(Fault::TrailingBackslash, "")) };
    let rest = chars.as_str();
    let code = match c {
        'a' => 7,
        'f' => 12,
        'n' => 10,
        'r' => 13,
        't' => 9,
        'v' => 11,
        'x' => return hex(text, rest),
        '0' => return Ok(octal(0, rest)),
        // A single digit other than zero would be a back reference.
        '1'..='7' if rest.starts_with(|next: char| next.is_digit(8)) => return Ok(octal(c as u32 - '0' as u32, rest)),
        _ if c.is_ascii() && !c.is_ascii_alphanumeric() => c as u32,
        _ => return Err(RegexError::new(Fault::Escape, consumed(text, rest))),
    };
    Ok((code, rest))
}

/// Up to two more octal digits after the first.
fn octal(first: u32, mut rest: &str) -> (u32, &str) {
    let mut code = first;
    for _ in 0..2 {
        let Some(digit) = rest.chars().next().and_then(|c| c.to_digit(8)) else { break };
        code = code * 8 + digit;
        rest = &rest[1..];
    }
    (code, rest)
}

/// `\x7F` or `\x{10FFFF}`; `rest` is what follows the `x`.
fn hex<'t>(text: &'t str, rest: &'t str) -> Result<(u32, &'t str), RegexError> {
    let fault = |after: &str| RegexError::new(Fault::Escape, consumed(text, after));
    let mut chars = rest.chars();
    let Some(first) = chars.next() else { return Err(fault("")) };
    if first != '{' {
        let second = chars.next();
        let digit = |c: Option<char>| c.and_then(|c| c.to_digit(16));
        let (Some(high), Some(low)) = (digit(Some(first)), digit(second)) else { return Err(fault(chars.as_str())) };
        return Ok((high * 16 + low, chars.as_str()));
    }
    let (mut code, mut digits) = (0, 0);
    loop {
        match chars.next() {
            Some('}') if digits > 0 => return Ok((code, chars.as_str())),
            Some(c) if c.is_ascii_hexdigit() => code = code * 16 + c.to_digit(16).unwrap_or(0),
            _ => return Err(fault(chars.as_str())),
        }
        digits += 1;
        if code > MAX {
            return Err(fault(chars.as_str()));
        }
    }
}

fn ascii_class(ranges: &[(u8, u8)]) -> ClassUnicode {
    ClassUnicode::new(ranges.iter().map(|&(low, high)| ClassUnicodeRange::new(low.into(), high.into())))
}

/// The part of `text` before its suffix `rest`.
pub(super) fn consumed<'t>(text: &'t str, rest: &str) -> &'t str {
    &text[..text.len() - rest.len()]
}

const DIGIT: &[(u8, u8)] = &[(b'0', b'9')];
const SPACE: &[(u8, u8)] = &[(b'\t', b'\n'), (b'\x0C', b'\r'), (b' ', b' ')];
const WORD: &[(u8, u8)] = &[(b'0', b'9'), (b'A', b'Z'), (b'_', b'_'), (b'a', b'z')];
