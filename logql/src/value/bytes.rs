//! Byte sizes as go-humanize reads and prints them: `1.5 MiB`, `12KB`, `1,024`.

use crate::value::float::{NumberError, parse_float};

/// Why a byte size was refused; shows go-humanize's text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BytesError {
    /// The number before the unit is not one.
    #[error(transparent)]
    Number(#[from] NumberError),
    /// The unit is not known.
    #[error("unhandled size name: {0}")]
    UnknownUnit(String),
    /// The size does not fit 64 bits.
    #[error("too large: {0}")]
    TooLarge(String),
}

/// Reads a byte size: digits, dots and commas, then a unit in any case. `k`, `kB` are 1000 based, `ki`, `KiB` 1024 based.
///
/// # Errors
/// A [`BytesError`] in go-humanize's words.
pub fn parse_bytes(text: &[u8]) -> Result<u64, BytesError> {
    let end = number_end(text);
    let (number, unit) = text.split_at(end);
    let size = if number.contains(&b',') {
        parse_float(&number.iter().copied().filter(|b| *b != b',').collect::<Vec<_>>())?
    } else {
        parse_float(number)?
    };
    let unit = unit.trim_ascii();
    let factor = unit_bytes(unit).ok_or_else(|| {
        let shown = String::from_utf8_lossy(unit).trim().to_lowercase();
        BytesError::UnknownUnit(shown)
    })?;
    let size = size * factor;
    if size >= 18_446_744_073_709_551_615.0 {
        return Err(BytesError::TooLarge(String::from_utf8_lossy(text).into_owned()));
    }
    Ok(size as u64)
}

fn number_end(text: &[u8]) -> usize {
    text.iter().position(|b| !(b.is_ascii_digit() || matches!(b, b'.' | b','))).unwrap_or(text.len())
}

fn unit_bytes(unit: &[u8]) -> Option<f64> {
    let unit = match unit {
        [head @ .., b'b' | b'B'] => head,
        all => all,
    };
    let (&letter, tail) = match unit.split_first() {
        Some(split) => split,
        None => return Some(1.0),
    };
    let power = match letter.to_ascii_lowercase() {
        b'k' => 1,
        b'm' => 2,
        b'g' => 3,
        b't' => 4,
        b'p' => 5,
        b'e' => 6,
        _ => return None,
    };
    match tail {
        b"" => Some(1000f64.powi(power)),
        b"i" | b"I" => Some(1024f64.powi(power)),
        _ => None,
    }
}

/// Writes a size in powers of 1000 as `humanize.Bytes` does: `83 MB`, `1.5 kB`, `9 B`.
pub fn write_bytes_si(out: &mut String, bytes: u64) {
    write_bytes(out, bytes, 1000.0, ["B", "kB", "MB", "GB", "TB", "PB", "EB"]);
}

/// Writes a size in powers of 1024 as `humanize.IBytes` does: `79 MiB`, `1.5 KiB`, `9 B`.
pub fn write_bytes_iec(out: &mut String, bytes: u64) {
    write_bytes(out, bytes, 1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]);
}

fn write_bytes(out: &mut String, bytes: u64, base: f64, names: [&str; 7]) {
    if bytes < 10 {
        out.push_str(&format!("{bytes} B"));
        return;
    }
    let size = bytes as f64;
    // The same logarithms as the original, so that rounding at the borders of units agrees.
    let power = (size.ln() / base.ln()).floor();
    let value = (size / base.powf(power) * 10.0 + 0.5).floor() / 10.0;
    let name = names.get(power as usize).copied().unwrap_or("EB");
    let decimals = usize::from(value < 10.0);
    out.push_str(&format!("{value:.decimals$} {name}"));
}
