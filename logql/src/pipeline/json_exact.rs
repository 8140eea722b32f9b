//! The slow and exact reader behind `| json`, for lines that are not plain JSON: it finds what Loki's scanner finds before
//! it gives up, and gives up with the same words.

use super::{
    json::Reader,
    json_text::{block_end, skip_space, string_end, token_end, unescape},
    keys::ROOT,
    parser::Flow,
};

pub(super) const OBJECT: &str = "Value looks like object, but can't find closing '}' symbol";
pub(super) const ARRAY: &str = "Value is array, but can't find closing ']' symbol";
pub(super) const STRING: &str = "Value is string, but can't find closing '\"' symbol";
pub(super) const MALFORMED: &str = "Malformed JSON error";
pub(super) const ESCAPE: &str = "Encountered an invalid escape sequence in a string";
pub(super) const UNKNOWN: &str = "Unknown value type";

/// An object being read: only the text up to its end is looked at.
struct Frame {
    parent: u32,
    previous: u32,
    at: usize,
    end: usize,
    /// Nothing of it was read yet.
    fresh: bool,
}

/// Reads the line.
///
/// # Errors
/// What Loki's scanner says. The labels found before stay.
pub(super) fn read(reader: &mut Reader<'_, '_, '_>) -> Result<Flow, &'static str> {
    let mut frames = vec![Frame { parent: ROOT, previous: ROOT, at: 0, end: reader.line.len(), fresh: true }];
    while let Some(frame) = frames.last_mut() {
        let text = reader.line.get(..frame.end).unwrap_or(&[]);
        let Some(key) = next_key(text, frame)? else {
            frames.pop();
            continue;
        };
        let end = string_end(text, key).ok_or(MALFORMED)?;
        let raw = text.get(key..end.quote).unwrap_or(&[]);
        if end.escaped && unescape(raw, &mut Vec::new()).is_err() {
            return Err(ESCAPE);
        }
        let node = reader.find_key(frame.parent, frame.previous, raw, end.escaped);
        frame.previous = node;
        let colon = skip_space(text, end.quote + 1);
        if text.get(colon) != Some(&b':') {
            return Err(MALFORMED);
        }
        let at = skip_space(text, colon + 1);
        let value = value_at(text, at)?;
        frame.at = value.end;
        let flow = match value.kind {
            Kind::Object => {
                if reader.tools.action(node, reader.row).below {
                    frames.push(Frame { parent: node, previous: node, at, end: value.end, fresh: true });
                }
                Flow::Continue
            }
            Kind::String => match string_end(text, at + 1) {
                Some(end) => reader.string(node, at + 1, end),
                None => Flow::Continue,
            },
            Kind::Number | Kind::Boolean => reader.plain(node, at, value.end),
            Kind::Array | Kind::Null => Flow::Continue,
        };
        if flow != Flow::Continue {
            return Ok(flow);
        }
    }
    Ok(Flow::Continue)
}

/// Where the text of the next key of the object begins; `None` at its end.
fn next_key(text: &[u8], frame: &mut Frame) -> Result<Option<usize>, &'static str> {
    let mut at = skip_space(text, frame.at);
    if frame.fresh {
        frame.fresh = false;
        if text.get(at) != Some(&b'{') {
            return Err(OBJECT);
        }
        at = skip_space(text, at + 1);
    } else {
        match text.get(at) {
            None => return Err(ARRAY),
            Some(b'}') => return Ok(None),
            Some(b',') => at = skip_space(text, at + 1),
            Some(_) => return Err(OBJECT),
        }
    }
    match text.get(at) {
        Some(b'"') => Ok(Some(at + 1)),
        Some(b'}') => Ok(None),
        _ => Err(OBJECT),
    }
}

/// Types of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Boolean,
    Null,
}

/// A value and the place behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) kind: Kind,
    pub(super) end: usize,
}

/// Reads the value at a place.
///
/// # Errors
/// There is none, or it does not end.
pub(super) fn value_at(text: &[u8], at: usize) -> Result<Value, &'static str> {
    let first = *text.get(at).ok_or(MALFORMED)?;
    let (kind, end) = match first {
        b'"' => (Kind::String, string_end(text, at + 1).ok_or(STRING)?.quote + 1),
        b'[' => (Kind::Array, block_end(text, at, b'[', b']', 0).ok_or(ARRAY)?),
        b'{' => (Kind::Object, block_end(text, at, b'{', b'}', 0).ok_or(OBJECT)?),
        _ => {
            let end = token_end(text, at);
            let kind = match (first, text.get(at..end).unwrap_or(&[])) {
                (b't', b"true") | (b'f', b"false") => Kind::Boolean,
                (b'n', b"null") => Kind::Null,
                (b'0'..=b'9' | b'-', _) => Kind::Number,
                _ => return Err(UNKNOWN),
            };
            (kind, end)
        }
    };
    Ok(Value { kind, end })
}
