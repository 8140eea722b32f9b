//! `| logfmt`: every `key=value` pair becomes a label, or only the keys that are asked for.

use super::{
    json_text::{needs_replacing, replace_invalid},
    keys::{NO_NAME, Name, ROOT, sanitise},
    parser::{Flow, Tools},
    row::{LOGFMT_ERROR, Row, Source, Span, Text, Verdict},
};

/// The compiled stage.
#[derive(Debug)]
pub(super) struct Logfmt {
    pub(super) strict: bool,
    pub(super) keep_empty: bool,
    /// Labels and the keys they are read from; all keys if empty.
    pub(super) wanted: Vec<(Name, Box<[u8]>)>,
}

impl Logfmt {
    /// Runs the stage on a row.
    pub(super) fn run(&self, row: &mut Row<'_>, tools: &mut Tools<'_>) -> Verdict {
        if tools.nothing_left(row) {
            return Verdict::Keep;
        }
        row.with_line(|row, line, direct| {
            if self.wanted.is_empty() {
                self.all(row, line, direct, tools)
            } else {
                self.some(row, line, direct, tools)
            }
        })
    }

    fn all(&self, row: &mut Row<'_>, line: &[u8], direct: bool, tools: &mut Tools<'_>) -> Verdict {
        let mut at = 0;
        let mut previous = ROOT;
        loop {
            at = skip_blank(line, at);
            let Some(rest) = line.get(at..).filter(|r| !r.is_empty()) else { return Verdict::Keep };
            let predicted = tools.keys.predicted(ROOT, previous, rest, b'=');
            let (key_end, node) = match predicted {
                Some((node, len)) => (at + len, Some(node)),
                None => (plain_end(line, at).0, None),
            };
            let pair = if node.is_some() { value_after(line, key_end) } else { pair_at(line, at, key_end) };
            let value = match pair {
                Ok(value) => value,
                Err(fault) => {
                    if self.strict {
                        fail(row, tools, &fault);
                        return Verdict::Keep;
                    }
                    at = fault.resume;
                    continue;
                }
            };
            let node = match node {
                Some(node) => node,
                None => {
                    let key = line.get(at..key_end).unwrap_or(&[]);
                    tools.keys.find(tools.names, ROOT, previous, key, sanitise)
                }
            };
            previous = node;
            at = value.next;
            if value.is_empty() && !self.keep_empty {
                continue;
            }
            let action = tools.action(node, row);
            if !tools.wants(action, row) {
                continue;
            }
            let Some(span) = text_of(row, line, direct, &value, Some(b' ')) else {
                if self.strict {
                    let fault = Fault { at: value.start - 1, resume: at, what: What::InvalidQuote };
                    fail(row, tools, &fault);
                    return Verdict::Keep;
                }
                continue;
            };
            let flow = tools.set(action, span, row);
            if flow != Flow::Continue {
                return flow.verdict();
            }
        }
    }

    fn some(&self, row: &mut Row<'_>, line: &[u8], direct: bool, tools: &mut Tools<'_>) -> Verdict {
        let mut at = 0;
        let earlier = row.s.entries.len();
        loop {
            at = skip_blank(line, at);
            if at >= line.len() {
                break;
            }
            let key_end = plain_end(line, at).0;
            let value = match pair_at(line, at, key_end) {
                Ok(value) => value,
                Err(fault) if self.strict => {
                    fail(row, tools, &fault);
                    return Verdict::Keep;
                }
                Err(fault) => {
                    at = fault.resume;
                    continue;
                }
            };
            let key = line.get(at..key_end).unwrap_or(&[]);
            at = value.next;
            let mut span = None;
            for (name, wanted) in &self.wanted {
                if **wanted != *key {
                    continue;
                }
                let action = tools.action_of_name(*name, row);
                // The last value of a key counts, but what an earlier stage has found stays.
                let found = row.parsed_place(action.target).is_some_and(|place| place < earlier);
                if action.target == NO_NAME || found {
                    continue;
                }
                if span.is_none() {
                    span = text_of(row, line, direct, &value, None);
                }
                let Some(span) = span else {
                    if self.strict {
                        let fault = Fault { at: value.start - 1, resume: at, what: What::InvalidQuote };
                        fail(row, tools, &fault);
                        return Verdict::Keep;
                    }
                    break;
                };
                row.set(action.target, span);
            }
        }
        for (name, _) in &self.wanted {
            if row.get(*name).is_none() && tools.hints.wants(tools.names.bytes_of(*name)) {
                row.set(*name, Span::EMPTY);
            }
        }
        Verdict::Keep
    }
}

/// The value of a pair, and where the next pair may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Value {
    start: usize,
    end: usize,
    /// Quoted with escapes inside.
    escaped: bool,
    wide: bool,
    next: usize,
}

impl Value {
    fn none(next: usize) -> Self {
        Self { start: next, end: next, escaped: false, wide: false, next }
    }

    fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// What is wrong with a pair, and where reading goes on without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    at: usize,
    resume: usize,
    what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Unexpected(u8),
    InvalidKey,
    InvalidQuote,
    Unterminated,
}

/// Skips what is not above a space.
#[inline]
fn skip_blank(line: &[u8], mut at: usize) -> usize {
    while line.get(at).is_some_and(|b| *b <= b' ') {
        at += 1;
    }
    at
}

/// Reads the pair whose key lies between the places.
#[inline]
fn pair_at(line: &[u8], start: usize, key_end: usize) -> Result<Value, Fault> {
    let key = line.get(start..key_end).unwrap_or(&[]);
    if key.is_empty() || !key.is_ascii() || line.get(key_end) == Some(&b'"') {
        return rare_pair_at(line, key, key_end);
    }
    if line.get(key_end) == Some(&b'=') { value_after(line, key_end) } else { Ok(Value::none(key_end)) }
}

/// As [`pair_at`], for what is hardly ever in a line: keys that are not ASCII, and keys that are none.
#[cold]
fn rare_pair_at(line: &[u8], key: &[u8], key_end: usize) -> Result<Value, Fault> {
    let fault = |what| Err(Fault { at: key_end, resume: word_end(line, key_end), what });
    match line.get(key_end) {
        Some(b'"') => return fault(What::Unexpected(b'"')),
        Some(b'=') if key.is_empty() => return fault(What::Unexpected(b'=')),
        _ if needs_replacing(key) => return fault(What::InvalidKey),
        _ => {}
    }
    if line.get(key_end) == Some(&b'=') { value_after(line, key_end) } else { Ok(Value::none(key_end)) }
}

/// Reads the value behind the `=` at `equals`.
#[inline]
fn value_after(line: &[u8], equals: usize) -> Result<Value, Fault> {
    let start = equals + 1;
    match line.get(start) {
        None => return Ok(Value::none(start)),
        Some(b) if *b <= b' ' => return Ok(Value::none(start)),
        Some(b'"') => return quoted(line, start),
        Some(_) => {}
    }
    let (end, wide) = plain_end(line, start);
    match line.get(end) {
        Some(&byte) if byte > b' ' => Err(Fault { at: end, resume: word_end(line, end), what: What::Unexpected(byte) }),
        _ => Ok(Value { start, end, escaped: false, wide, next: end }),
    }
}

/// Where a key, or a value without quotes, ends: at the first byte that is not above a space, or is `=` or `"`; and whether a byte
/// above 0x7f comes before.
#[inline]
fn plain_end(line: &[u8], start: usize) -> (usize, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let mut at = start;
    let mut wide = 0;
    while let Some(word) = line.get(at..at + 8).and_then(|w| w.try_into().ok()).map(u64::from_le_bytes) {
        let zeros = |w: u64| w.wrapping_sub(ONES) & !w;
        let blanks = word.wrapping_sub(ONES * 0x21) & !word;
        let hit = (blanks | zeros(word ^ (ONES * 0x3d)) | zeros(word ^ (ONES * 0x22))) & HIGHS;
        if hit != 0 {
            // The lowest marked byte is exact; bytes above it may be marked wrongly.
            let skip = hit.trailing_zeros() as usize / 8;
            wide |= word & HIGHS & ((1_u64 << (skip * 8)) - 1);
            return (at + skip, wide != 0);
        }
        wide |= word & HIGHS;
        at += 8;
    }
    while let Some(&byte) = line.get(at) {
        if byte <= b' ' || byte == b'=' || byte == b'"' {
            break;
        }
        wide |= u64::from(byte) & 0x80;
        at += 1;
    }
    (at, wide != 0)
}

fn quoted(line: &[u8], open: usize) -> Result<Value, Fault> {
    let Some(end) = super::json_text::string_end(line, open + 1) else {
        return Err(Fault { at: line.len(), resume: line.len(), what: What::Unterminated });
    };
    let value = Value { start: open + 1, end: end.quote, escaped: end.escaped, wide: end.wide, next: end.quote + 1 };
    Ok(value)
}

fn word_end(line: &[u8], at: usize) -> usize {
    let rest = line.get(at..).unwrap_or(&[]);
    at + rest.iter().position(|b| *b <= b' ').unwrap_or(rest.len())
}

/// The text of a value; `None` if its escapes are bad. What is not UTF-8 becomes `filler`, or the value becomes empty.
fn text_of(row: &mut Row<'_>, line: &[u8], direct: bool, value: &Value, filler: Option<u8>) -> Option<Span> {
    let raw = line.get(value.start..value.end).unwrap_or(&[]);
    if value.escaped {
        let begin = row.s.values.len();
        if !unquote(raw, &mut row.s.values) {
            row.s.values.truncate(begin);
            return None;
        }
        let span = row.stored_since(begin);
        let bad = row.s.values.get(begin..).is_some_and(|v| !v.is_ascii() && needs_replacing(v));
        if !bad {
            return Some(span);
        }
        let text = row.s.values.get(begin..).unwrap_or(&[]).to_vec();
        row.s.values.truncate(begin);
        if filler.is_some() {
            replace_invalid(&text, &mut row.s.values);
        }
        return Some(row.stored_since(begin));
    }
    if value.wide && needs_replacing(raw) {
        let begin = row.s.values.len();
        if filler.is_some() {
            replace_invalid(raw, &mut row.s.values);
        }
        return Some(row.stored_since(begin));
    }
    Some(row.cut(line, direct, value.start, value.end))
}

/// Appends a quoted value with its escapes replaced, as Go's encoding/json reads strings (and `\'`): half pairs of
/// surrogates and bytes that are not UTF-8 become U+FFFD, control characters are refused.
fn unquote(raw: &[u8], out: &mut Vec<u8>) -> bool {
    let mut rest = raw;
    while let Some((&byte, tail)) = rest.split_first() {
        match byte {
            0..b' ' => return false,
            b'\\' => {
                let Some((&code, after)) = tail.split_first() else { return false };
                rest = after;
                match code {
                    b'"' | b'\\' | b'/' | b'\'' => out.push(code),
                    b'b' => out.push(8),
                    b'f' => out.push(12),
                    b'n' => out.push(b'\n'),
                    b'r' => out.push(b'\r'),
                    b't' => out.push(b'\t'),
                    b'u' => {
                        let Some(first) = hex4(rest) else { return false };
                        rest = rest.get(4..).unwrap_or(&[]);
                        let mut c = char::from_u32(first);
                        if (0xd800..0xdc00).contains(&first)
                            && let Some(second) = rest.strip_prefix(b"\\u").and_then(hex4)
                            && (0xdc00..0xe000).contains(&second)
                        {
                            c = char::from_u32(((first - 0xd800) << 10) + (second - 0xdc00) + 0x1_0000);
                            rest = rest.get(6..).unwrap_or(&[]);
                        }
                        let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
                        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                    _ => return false,
                }
            }
            _ => {
                let len = rest.iter().position(|b| *b < b' ' || *b == b'\\').unwrap_or(rest.len());
                for chunk in rest[..len].utf8_chunks() {
                    out.extend_from_slice(chunk.valid().as_bytes());
                    chunk.invalid().iter().for_each(|_| out.extend_from_slice("\u{fffd}".as_bytes()));
                }
                rest = &rest[len..];
            }
        }
    }
    true
}

fn hex4(text: &[u8]) -> Option<u32> {
    text.get(..4)?.iter().try_fold(0, |n, b| Some(n << 4 | (*b as char).to_digit(16)?))
}

/// Marks the row with the error that stops a strict reader.
fn fail(row: &mut Row<'_>, tools: &Tools<'_>, fault: &Fault) {
    let what = match fault.what {
        What::Unexpected(byte) => format!("unexpected '{}'", char::from(byte)),
        What::InvalidKey => "invalid key".to_owned(),
        What::InvalidQuote => "invalid quoted value".to_owned(),
        What::Unterminated => "unterminated quoted value".to_owned(),
    };
    let details = format!("logfmt syntax error at pos {} : {what}", fault.at + 1);
    let span = row.store(details.as_bytes());
    debug_assert_eq!(span.source, Source::Values);
    tools.fail(LOGFMT_ERROR, Some(Text::At(span)), row);
}
