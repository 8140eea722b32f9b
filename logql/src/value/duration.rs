//! Durations in nanoseconds: Go's `time.ParseDuration` and `Duration.String`, Prometheus's `model.ParseDuration` and its
//! `String`.

use crate::value::quote::quote;

const SECOND: u64 = 1_000_000_000;
const DAY: u64 = 24 * 3600 * SECOND;
/// Largest magnitude a 64-bit duration can have, reached by negative ones only.
const LIMIT: u64 = 1 << 63;

/// Why a duration was refused; shows the text Go or Prometheus would give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// Go: not a duration at all, or out of range.
    #[error("time: invalid duration {0}")]
    GoInvalid(String),
    /// Go: a number without a unit.
    #[error("time: missing unit in duration {0}")]
    GoMissingUnit(String),
    /// Go: a unit it does not know.
    #[error("time: unknown unit {0} in duration {1}")]
    GoUnknownUnit(String, String),
    /// Prometheus: no text.
    #[error("empty duration string")]
    Empty,
    /// Prometheus: not a duration, or units out of order.
    #[error("not a valid duration string: {0}")]
    Invalid(String),
    /// Prometheus: a unit it does not know.
    #[error("unknown unit {0} in duration {1}")]
    UnknownUnit(String, String),
    /// Prometheus: more than about 292 years.
    #[error("duration out of range")]
    OutOfRange,
}

/// Reads a duration as Go does: `1h30m`, `-1.5s`, `100us`; units ns, us, ms, s, m, h in any order.
///
/// # Errors
/// A [`DurationError`] in Go's words.
pub fn parse_go_duration(text: &[u8]) -> Result<i64, DurationError> {
    let invalid = || DurationError::GoInvalid(go_time_quote(text));
    let (negative, mut rest) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if rest == b"0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total = 0u64;
    while !rest.is_empty() {
        let (whole, after) = leading_int(rest).ok_or_else(invalid)?;
        let mut seen = after.len() != rest.len();
        let (mut fraction, mut scale, mut after) = (0, 1.0, after);
        if let Some((b'.', tail)) = after.split_first() {
            let (f, s, t) = leading_fraction(tail);
            seen |= t.len() != tail.len();
            (fraction, scale, after) = (f, s, t);
        }
        if !seen {
            return Err(invalid());
        }
        let unit_len = after.iter().position(|b| *b == b'.' || b.is_ascii_digit()).unwrap_or(after.len());
        if unit_len == 0 {
            return Err(DurationError::GoMissingUnit(go_time_quote(text)));
        }
        let (unit, tail) = after.split_at(unit_len);
        let unit_ns =
            go_unit_ns(unit).ok_or_else(|| DurationError::GoUnknownUnit(go_time_quote(unit), go_time_quote(text)))?;
        let mut value = whole.checked_mul(unit_ns).filter(|v| *v <= LIMIT).ok_or_else(invalid)?;
        if fraction > 0 {
            // Go computes the fraction in floating point; the order of operations is part of the result.
            value += (fraction as f64 * (unit_ns as f64 / scale)) as u64;
        }
        total = total.checked_add(value).filter(|t| *t <= LIMIT).ok_or_else(invalid)?;
        rest = tail;
    }
    match (negative, total) {
        (true, LIMIT) => Ok(i64::MIN),
        (true, t) => Ok(-(t as i64)),
        (false, LIMIT) => Err(invalid()),
        (false, t) => Ok(t as i64),
    }
}

fn go_unit_ns(unit: &[u8]) -> Option<u64> {
    Some(match unit {
        b"ns" => 1,
        // Micro sign (U+00B5) and Greek mu (U+03BC).
        b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => 1_000,
        b"ms" => 1_000_000,
        b"s" => SECOND,
        b"m" => 60 * SECOND,
        b"h" => 3600 * SECOND,
        _ => return None,
    })
}

/// Leading digits as a number up to 2^63 and the rest; `None` when larger.
fn leading_int(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let mut value = 0u64;
    for b in digits {
        value = value.checked_mul(10)?.checked_add(u64::from(b - b'0')).filter(|v| *v <= LIMIT)?;
    }
    Some((value, rest))
}

/// Leading digits as a numerator and the power of ten below it; digits that no longer fit are dropped.
fn leading_fraction(text: &[u8]) -> (u64, f64, &[u8]) {
    let end = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let (mut value, mut scale) = (0u64, 1.0);
    for b in digits {
        let next = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(b - b'0')));
        match next.filter(|v| *v <= LIMIT && value <= (LIMIT - 1) / 10) {
            Some(next) => (value, scale) = (next, scale * 10.0),
            None => break,
        }
    }
    (value, scale, rest)
}

/// Quotes as Go's time package does in its errors: bytes outside ASCII and control characters as `\xNN`.
fn go_time_quote(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for &b in text {
        match b {
            b'"' | b'\\' => out.extend(['\\', char::from(b)]),
            b' '..=0x7f => out.push(char::from(b)),
            _ => out.push_str(&format!("\\x{b:02x}")),
        }
    }
    out.push('"');
    out
}

/// Reads a duration as Prometheus does: `1d12h`, `90s`, units y w d h m s ms, each at most once and falling; `0` alone.
///
/// # Errors
/// A [`DurationError`] in Prometheus's words.
pub fn parse_prometheus_duration(text: &[u8]) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(quote(text));
    match text {
        b"0" => return Ok(0),
        b"" => return Err(DurationError::Empty),
        _ => {}
    }
    let (mut rest, mut total, mut last_rank) = (text, 0u64, 0);
    while !rest.is_empty() {
        let digits = rest.iter().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len());
        let value: u64 = std::str::from_utf8(&rest[..digits]).ok().and_then(|d| d.parse().ok()).ok_or_else(invalid)?;
        rest = &rest[digits..];
        let letters = rest.iter().position(u8::is_ascii_digit).unwrap_or(rest.len());
        if letters == 0 {
            return Err(invalid());
        }
        let (unit, tail) = rest.split_at(letters);
        rest = tail;
        let (rank, unit_ns) = match unit {
            b"y" => (1, 365 * DAY),
            b"w" => (2, 7 * DAY),
            b"d" => (3, DAY),
            b"h" => (4, 3600 * SECOND),
            b"m" => (5, 60 * SECOND),
            b"s" => (6, SECOND),
            b"ms" => (7, SECOND / 1000),
            _ => return Err(DurationError::UnknownUnit(quote(unit), quote(text))),
        };
        if rank <= last_rank {
            return Err(invalid());
        }
        last_rank = rank;
        let ns = value.checked_mul(unit_ns).ok_or(DurationError::OutOfRange)?;
        total = total.checked_add(ns).filter(|t| *t < LIMIT).ok_or(DurationError::OutOfRange)?;
    }
    Ok(total as i64)
}

/// Writes nanoseconds as Go's `Duration.String`: `1h0m0s`, `1.5s`, `100ms`, `0s`.
pub fn write_go_duration(out: &mut String, duration_ns: i64) {
    let magnitude = duration_ns.unsigned_abs();
    if duration_ns < 0 {
        out.push('-');
    }
    if magnitude < SECOND {
        let (unit, name) = match magnitude {
            0 => (1, "s"),
            1..1_000 => (1, "ns"),
            1_000..1_000_000 => (1_000, "\u{b5}s"),
            _ => (1_000_000, "ms"),
        };
        push_fraction(out, magnitude, unit);
        out.push_str(name);
        return;
    }
    let minutes = magnitude / (60 * SECOND);
    if minutes >= 60 {
        out.push_str(&format!("{}h", minutes / 60));
    }
    if minutes > 0 {
        out.push_str(&format!("{}m", minutes % 60));
    }
    push_fraction(out, magnitude % (60 * SECOND), SECOND);
    out.push('s');
}

/// Writes `value / unit` with all decimals of it and no trailing zero; `unit` is a power of ten.
fn push_fraction(out: &mut String, value: u64, unit: u64) {
    out.push_str(&(value / unit).to_string());
    let (mut fraction, mut unit) = (value % unit, unit);
    if fraction == 0 {
        return;
    }
    out.push('.');
    while fraction > 0 {
        unit /= 10;
        out.push(char::from(b'0' + (fraction / unit) as u8));
        fraction %= unit;
    }
}

/// Writes nanoseconds as Prometheus's `model.Duration.String`: whole milliseconds, years and weeks only when exact.
pub fn write_prometheus_duration(out: &mut String, duration_ns: i64) {
    let mut ms = duration_ns / 1_000_000;
    if ms == 0 {
        out.push_str("0s");
        return;
    }
    let day = 24 * 3_600_000;
    for (name, unit, exact) in [
        ("y", 365 * day, true),
        ("w", 7 * day, true),
        ("d", day, false),
        ("h", 3_600_000, false),
        ("m", 60_000, false),
        ("s", 1000, false),
        ("ms", 1, false),
    ] {
        if exact && ms % unit != 0 {
            continue;
        }
        let count = ms / unit;
        if count > 0 {
            out.push_str(&format!("{count}{name}"));
            ms -= count * unit;
        }
    }
}
