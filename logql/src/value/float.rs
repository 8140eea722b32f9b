//! Numbers as Go's strconv reads them: `ParseFloat` and `ParseInt` with base 0.

use crate::value::quote::quote;

/// What is wrong with a number.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum NumberErrorKind {
    /// Not a number.
    Syntax,
    /// Too large; holds what Go returns beside the error, an infinity for floats.
    Range(f64),
}

/// Why a number was refused; shows Go's text.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct NumberError {
    /// Go's function.
    pub function: &'static str,
    /// The text, quoted.
    pub input: String,
    /// What is wrong.
    pub kind: NumberErrorKind,
}

impl Eq for NumberError {}

impl std::error::Error for NumberError {}

impl std::fmt::Display for NumberError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = match self.kind {
            NumberErrorKind::Syntax => "invalid syntax",
            NumberErrorKind::Range(_) => "value out of range",
        };
        write!(f, "strconv.{}: parsing {}: {what}", self.function, self.input)
    }
}

fn refused(function: &'static str, text: &[u8], kind: NumberErrorKind) -> NumberError {
    NumberError { function, input: quote(text), kind }
}

/// Reads a float as `strconv.ParseFloat(s, 64)`: decimal, hexadecimal with `p` exponent, `Inf`, `Infinity`, `NaN`;
/// underscores as in Go's literals with a base prefix.
///
/// # Errors
/// Syntax, or range where the value is beyond the largest float.
pub fn parse_float(text: &[u8]) -> Result<f64, NumberError> {
    let syntax = || refused("ParseFloat", text, NumberErrorKind::Syntax);
    let (negative, body) = split_sign(text);
    let signed = body.len() != text.len();
    if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
        return Ok(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if !signed && body.eq_ignore_ascii_case(b"nan") {
        return Ok(f64::NAN);
    }
    let hex = matches!(body, [b'0', b'x' | b'X', ..]);
    let magnitude =
        if hex { parse_hex_float(body).ok_or_else(syntax)? } else { parse_decimal_float(body).ok_or_else(syntax)? };
    let value = if negative { -magnitude } else { magnitude };
    if magnitude.is_infinite() {
        return Err(refused("ParseFloat", text, NumberErrorKind::Range(value)));
    }
    Ok(value)
}

fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    }
}

fn parse_decimal_float(body: &[u8]) -> Option<f64> {
    let shape = body.iter().all(|b| matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-' | b'_'));
    // The standard library's grammar is Go's for these bytes, but for a second sign at the front.
    if !shape || !matches!(body.first(), Some(b'0'..=b'9' | b'.')) {
        return None;
    }
    let stripped;
    let digits = if body.contains(&b'_') {
        if !underscores_ok(body) {
            return None;
        }
        stripped = body.iter().copied().filter(|b| *b != b'_').collect::<Vec<_>>();
        &stripped
    } else {
        body
    };
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether underscores only separate digits, one more being allowed after a base prefix; Go's rule for literals.
fn underscores_ok(body: &[u8]) -> bool {
    let (mut previous, hex, digits) = match body {
        [b'0', b'x' | b'X', rest @ ..] => (b'0', true, rest),
        [b'0', b'b' | b'B' | b'o' | b'O', rest @ ..] => (b'0', false, rest),
        all => (b'^', false, all),
    };
    for &b in digits {
        if b.is_ascii_digit() || (hex && b.is_ascii_hexdigit()) {
            previous = b'0';
        } else if b == b'_' {
            if previous != b'0' {
                return false;
            }
            previous = b'_';
        } else {
            if previous == b'_' {
                return false;
            }
            previous = b'!';
        }
    }
    previous != b'_'
}

fn parse_hex_float(body: &[u8]) -> Option<f64> {
    if body.contains(&b'_') && !underscores_ok(body) {
        return None;
    }
    let at = body.iter().position(|b| matches!(b, b'p' | b'P'))?;
    let (mantissa_text, exponent_text) = (body.get(2..at)?, body.get(at + 1..)?);
    let (mut mantissa, mut exponent, mut sticky) = (0u64, 0i64, false);
    let (mut digits, mut point) = (false, false);
    for &b in mantissa_text {
        match b {
            b'_' => continue,
            b'.' if !point => point = true,
            _ => {
                let digit = u64::from(char::from(b).to_digit(16)?);
                digits = true;
                if mantissa >> 60 == 0 {
                    mantissa = mantissa << 4 | digit;
                    exponent -= if point { 4 } else { 0 };
                } else {
                    sticky |= digit != 0;
                    exponent += if point { 0 } else { 4 };
                }
            }
        }
    }
    let (negative, number) = split_sign(exponent_text);
    if !digits || !number.first().is_some_and(u8::is_ascii_digit) {
        return None;
    }
    let mut power = 0i64;
    for &b in number.iter().filter(|b| **b != b'_') {
        let digit = i64::from(char::from(b).to_digit(10)?);
        power = (power * 10 + digit).min(1_000_000_000);
    }
    exponent += if negative { -power } else { power };
    Some(scale(mantissa, exponent, sticky))
}

/// `mantissa * 2^exponent` to the nearest float, ties to even; `sticky` says that nonzero bits follow the mantissa.
fn scale(mantissa: u64, exponent: i64, sticky: bool) -> f64 {
    if mantissa == 0 {
        return 0.0;
    }
    let shift = mantissa.leading_zeros();
    let mantissa = mantissa << shift;
    // The value is m * 2^low with m in [2^63, 2^64).
    let low = exponent - i64::from(shift);
    let top = low + 63;
    if top > 1023 {
        return f64::INFINITY;
    }
    let drop = if top >= -1022 { 11 } else { 11 + (-1022 - top) };
    if drop > 64 {
        return 0.0;
    }
    let wide = u128::from(mantissa) << 1 | u128::from(sticky);
    let drop_wide = drop as u32 + 1;
    let (kept, cut) = (wide >> drop_wide, wide & ((1 << drop_wide) - 1));
    let half = 1u128 << (drop_wide - 1);
    let kept = (kept + u128::from(cut > half || (cut == half && kept & 1 == 1))) as u64;
    // kept has at most 53 bits, or is 2^53: the products are exact.
    let power = low + drop;
    kept as f64 * if power < -1022 { f64::from_bits(1u64 << (power + 1074)) } else { 2f64.powi(power as i32) }
}

/// Reads an integer as `strconv.ParseInt(s, 0, 64)`: decimal, `0x`, `0o` or a leading 0, `0b`, underscores between digits.
///
/// # Errors
/// Syntax, or range beyond 64 bits.
pub fn parse_int(text: &[u8]) -> Result<i64, NumberError> {
    let syntax = || refused("ParseInt", text, NumberErrorKind::Syntax);
    let (negative, body) = split_sign(text);
    let (radix, digits) = match body {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', b'b' | b'B', rest @ ..] => (2, rest),
        [b'0', b'o' | b'O', rest @ ..] => (8, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        all => (10, all),
    };
    if digits.is_empty() || (body.contains(&b'_') && !underscores_ok(body)) {
        return Err(syntax());
    }
    let mut value = Some(0u64);
    for &b in digits.iter().filter(|b| **b != b'_') {
        let digit = u64::from(char::from(b).to_digit(radix).ok_or_else(syntax)?);
        value = value.and_then(|v| v.checked_mul(u64::from(radix))?.checked_add(digit));
    }
    let limit = if negative { 1 << 63 } else { i64::MAX as u64 };
    match value.filter(|v| *v <= limit) {
        Some(v) if negative => Ok(0i64.wrapping_sub_unsigned(v)),
        Some(v) => Ok(v as i64),
        None => {
            let bound = if negative { i64::MIN } else { i64::MAX };
            Err(refused("ParseInt", text, NumberErrorKind::Range(bound as f64)))
        }
    }
}
