//! `logproto.PushRequest`, read field by field from the decompressed body: lines are slices of it.
//!
//! ```text
//! PushRequest   { 1: repeated StreamAdapter }
//! StreamAdapter { 1: labels string, 2: repeated EntryAdapter, 3: hash }
//! EntryAdapter  { 1: Timestamp { 1: seconds, 2: nanos }, 2: line, 3: repeated LabelPair { 1: name, 2: value } }
//! ```
//! Lines need not be UTF-8. Unknown fields are skipped.

use std::borrow::Cow;

use bytes::Bytes;
use narvi_distributor::RawStream;
use narvi_types::{Entry, Metadata, Timestamp, wire::Reader};

use super::{PushError, parse_labels};

enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed,
}

fn eof() -> PushError {
    PushError::bad("unexpected EOF")
}

/// The next field: its number and value; `None` at the end.
fn field<'a>(reader: &mut Reader<'a>) -> Result<Option<(u64, Value<'a>)>, PushError> {
    if reader.is_empty() {
        return Ok(None);
    }
    let key = reader.varint("field key").map_err(|_| eof())?;
    let value = match key & 7 {
        0 => Value::Varint(reader.varint("varint").map_err(|_| eof())?),
        1 => reader.bytes(8, "fixed64").map(|_| Value::Fixed).map_err(|_| eof())?,
        2 => Value::Bytes(reader.blob("bytes").map_err(|_| eof())?),
        5 => reader.bytes(4, "fixed32").map(|_| Value::Fixed).map_err(|_| eof())?,
        other => return Err(PushError::bad(format!("proto: illegal wireType {other}"))),
    };
    match key >> 3 {
        0 => Err(PushError::bad("proto: illegal tag 0 (wire type 0)")),
        number => Ok(Some((number, value))),
    }
}

fn wrong(name: &str) -> PushError {
    PushError::bad(format!("proto: wrong wireType for field {name}"))
}

/// Decodes a decompressed push.
pub(crate) fn decode(body: &Bytes) -> Result<Vec<RawStream>, PushError> {
    let mut reader = Reader::new(body);
    let mut streams = Vec::new();
    while let Some((number, value)) = field(&mut reader)? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => streams.push(stream(body, bytes)?),
            (1, _) => return Err(wrong("Streams")),
            _ => {}
        }
    }
    Ok(streams)
}

fn stream(body: &Bytes, bytes: &[u8]) -> Result<RawStream, PushError> {
    let mut reader = Reader::new(bytes);
    let mut stream = RawStream::default();
    let mut labels: Cow<'_, str> = Cow::Borrowed("");
    while let Some((number, value)) = field(&mut reader)? {
        match (number, value) {
            (1, Value::Bytes(text)) => labels = String::from_utf8_lossy(text),
            (1, _) => return Err(wrong("Labels")),
            (2, Value::Bytes(bytes)) => stream.entries.push(entry(body, bytes)?),
            (2, _) => return Err(wrong("Entries")),
            _ => {}
        }
    }
    if !stream.entries.is_empty() {
        stream.labels = parse_labels(&labels).map_err(PushError::bad)?;
    }
    Ok(stream)
}

fn entry(body: &Bytes, bytes: &[u8]) -> Result<Entry, PushError> {
    let mut reader = Reader::new(bytes);
    let mut entry = Entry::new(Timestamp::from_ns(0), Bytes::new());
    let mut pairs = Vec::new();
    while let Some((number, value)) = field(&mut reader)? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => entry.timestamp = timestamp(bytes)?,
            (1, _) => return Err(wrong("Timestamp")),
            (2, Value::Bytes(line)) => entry.line = body.slice_ref(line),
            (2, _) => return Err(wrong("Line")),
            (3, Value::Bytes(bytes)) => pairs.push(pair(bytes)?),
            (3, _) => return Err(wrong("StructuredMetadata")),
            _ => {}
        }
    }
    if !pairs.is_empty() {
        entry.metadata = Metadata::from_pairs(pairs.iter().map(|(n, v)| (n.as_ref(), v.as_ref())))
            .map_err(|error| PushError::bad(error.to_string()))?;
    }
    Ok(entry)
}

fn timestamp(bytes: &[u8]) -> Result<Timestamp, PushError> {
    let mut reader = Reader::new(bytes);
    let (mut seconds, mut nanos) = (0i64, 0i64);
    while let Some((number, value)) = field(&mut reader)? {
        match (number, value) {
            (1, Value::Varint(value)) => seconds = value as i64,
            (2, Value::Varint(value)) => nanos = i64::from(value as i32),
            (1 | 2, _) => return Err(wrong("Timestamp")),
            _ => {}
        }
    }
    let ns = seconds.checked_mul(1_000_000_000).and_then(|ns| ns.checked_add(nanos));
    let ns = ns.ok_or_else(|| PushError::bad(format!("timestamp of {seconds} seconds is out of range")))?;
    Ok(Timestamp::from_ns(ns))
}

fn pair(bytes: &[u8]) -> Result<(Cow<'_, str>, Cow<'_, str>), PushError> {
    let mut reader = Reader::new(bytes);
    let (mut name, mut text) = (Cow::Borrowed(""), Cow::Borrowed(""));
    while let Some((number, value)) = field(&mut reader)? {
        match (number, value) {
            (1, Value::Bytes(bytes)) => name = String::from_utf8_lossy(bytes),
            (2, Value::Bytes(bytes)) => text = String::from_utf8_lossy(bytes),
            (1 | 2, _) => return Err(wrong("StructuredMetadata")),
            _ => {}
        }
    }
    if name.is_empty() && !text.is_empty() {
        return Err(PushError { status: 500, message: "structured metadata with an empty name".into() });
    }
    Ok((name, text))
}
