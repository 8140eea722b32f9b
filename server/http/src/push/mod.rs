//! Pushes: one module per protocol, all of which end in the same raw streams.

pub mod json;
pub mod otlp;
pub mod proto;
mod unpack;

use bytes::Bytes;
use narvi_distributor::RawStream;

pub(crate) use self::unpack::{Encoding, unpack};

/// Why a push body was refused as a whole.
#[derive(Debug, PartialEq, Eq)]
pub struct PushError {
    /// HTTP status.
    pub status: u16,
    /// Body of the answer.
    pub message: String,
}

impl PushError {
    pub(crate) fn bad(message: impl Into<String>) -> Self {
        Self { status: 400, message: message.into() }
    }

    pub(crate) fn too_large(limit_bytes: usize) -> Self {
        Self {
            status: 413,
            message: format!("request body too large: more than {limit_bytes} bytes when decompressed"),
        }
    }
}

/// The two shapes of a JSON push; the path tells which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonShape {
    /// `/loki/api/v1/push`: `{"streams":[{"stream":{},"values":[["ns","line"]]}]}`.
    V1,
    /// `/api/prom/push`: `{"streams":[{"labels":"{}","entries":[{"ts":"","line":""}]}]}`.
    Legacy,
}

/// Decodes the body of a push.
///
/// `content_type` and `content_encoding` are the headers' texts. `limit_bytes` bounds what the body may be when decompressed.
///
/// # Errors
/// The body cannot be decoded, a label set cannot be parsed, or the body is too large: nothing of it is to be stored.
pub fn decode(
    shape: JsonShape,
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: Bytes,
    limit_bytes: usize,
) -> Result<Vec<RawStream>, PushError> {
    match media_type(content_type.unwrap_or(""))?.as_str() {
        "application/json" => {
            let encoding = Encoding::of_push(content_encoding)?;
            let encoding = if encoding == Encoding::Snappy { Encoding::Identity } else { encoding };
            let body = unpack(encoding, body, limit_bytes)?;
            json::decode(shape, &body)
        }
        _ => {
            let encoding = Encoding::of_push(content_encoding)?;
            // Protobuf bodies are snappy whatever the header says; gzip around it is not looked into, as in Loki.
            let _ = encoding;
            let body = unpack(Encoding::Snappy, body, limit_bytes)?;
            proto::decode(&body)
        }
    }
}

/// The media type of a Content-Type header, in lower case, with Go's texts for what is wrong with one.
fn media_type(header: &str) -> Result<String, PushError> {
    let name = header.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let token = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
    };
    match name.split_once('/') {
        None if name.is_empty() => Err(PushError::bad("mime: no media type")),
        None if token(&name) => Ok(name),
        Some((kind, _)) if !token(kind) => Err(PushError::bad("mime: expected slash after first token")),
        Some((_, "")) => Err(PushError::bad("mime: expected token after slash")),
        Some((_, sub)) if token(sub) => Ok(name),
        _ => Err(PushError::bad("mime: unexpected content after media subtype")),
    }
}

/// The labels of a stream as text, with Loki's words about what is wrong with it.
fn parse_labels(text: &str) -> Result<Vec<(String, String)>, String> {
    narvi::logql::parse_label_pairs(text).map_err(|error| format!("couldn't parse labels: {error}"))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
