//! What the pipeline takes from the rest of the crate, in the shape it needs, and the wording of its refusals.

use crate::{
    Error,
    value::{NumberErrorKind, parse_float as parse_go_float},
};

pub(super) use crate::{
    syntax::{JsonPath, JsonSegment, PatternExpr, PatternPart},
    template::{Fields, Template},
    value::{IpPattern, parse_bytes, parse_go_duration, write_bytes_si},
};

/// An error of the query's text that has no position.
pub(super) fn refused(message: String) -> Error {
    Error::Parse { position: None, message }
}

/// Reads a number; the error is Go's text.
pub(super) fn parse_float(text: &[u8]) -> Result<f64, String> {
    // Plain decimal numbers are most of what comes; Go and Rust agree on them.
    if text.len() < 16
        && text.iter().all(|b| b.is_ascii_digit() || *b == b'.')
        && let Some(value) = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok())
    {
        return Ok(value);
    }
    parse_float_or_limit(text).map_err(|(_, details)| details)
}

/// Reads a number; the error has what Go returns beside it: 0, or the infinity that a value overflows to. Unlike Go's,
/// hexadecimal numbers are refused, as Loki refuses them.
pub(super) fn parse_float_or_limit(text: &[u8]) -> Result<f64, (f64, String)> {
    parse_go_float(text).map_err(|e| {
        let value = match e.kind {
            NumberErrorKind::Range(limit) => limit,
            _ => 0.0,
        };
        (value, e.to_string())
    })
}
