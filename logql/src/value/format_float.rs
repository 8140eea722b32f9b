//! Floats as Go's `strconv.FormatFloat` prints them: `e`, `f`, `g`, `b` and `x`, with a precision or shortest.

/// The shapes of `strconv.FormatFloat`, named after its format bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FloatFormat {
    /// `-d.dddde+dd`.
    Exponent,
    /// `-ddd.ddd`, never an exponent.
    Fixed,
    /// The exponent form for large or small exponents, else fixed.
    General,
    /// `-ddddp+ddd`, a decimal mantissa and a binary exponent.
    Binary,
    /// `-0x1.yyyyp+ddd`.
    Hex,
}

/// Appends a float as `strconv.FormatFloat(value, format, precision, 64)`; no precision means the fewest digits that
/// read back as the same float. Letters are lower case; `+Inf`, `-Inf` and `NaN` are spelled so.
pub fn write_float(out: &mut Vec<u8>, value: f64, format: FloatFormat, precision: Option<usize>) {
    use std::io::Write;
    if value.is_nan() {
        out.extend_from_slice(b"NaN");
        return;
    }
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
        return;
    }
    // Writing to a vector cannot fail.
    match (format, precision) {
        (FloatFormat::Fixed, None) => drop(write!(out, "{value}")),
        (FloatFormat::Fixed, Some(p)) => drop(write!(out, "{value:.p$}")),
        (FloatFormat::Exponent, _) => {
            let digits = Digits::of(value, precision.map(|p| p + 1));
            digits.write_exponent(out, precision.unwrap_or(digits.count().saturating_sub(1)));
        }
        (FloatFormat::General, _) => write_general(out, value, precision),
        (FloatFormat::Binary, _) => write_binary(out, value),
        (FloatFormat::Hex, _) => write_hex(out, value, precision),
    }
}

fn write_general(out: &mut Vec<u8>, value: f64, precision: Option<usize>) {
    let asked = precision.map(|p| p.max(1));
    let digits = Digits::of(value, asked);
    let count = digits.count();
    let (mut limit, mut shown) = (asked.unwrap_or(6), asked.unwrap_or(6));
    if limit > count && count as i32 >= digits.point {
        limit = count;
    }
    if precision.is_none() {
        (limit, shown) = (6, 6);
    }
    let exponent = digits.point - 1;
    if exponent < -4 || exponent >= limit as i32 {
        let shown = if shown > count || precision.is_none() { count } else { shown };
        digits.write_exponent(out, shown.saturating_sub(1));
    } else {
        digits.write_fixed(out);
    }
}

/// The decimal digits of a float without leading or trailing zeros, and where the point stands among them.
struct Digits {
    negative: bool,
    text: Vec<u8>,
    point: i32,
}

impl Digits {
    /// All digits needed to read the float back, or the given number of significant ones, correctly rounded.
    fn of(value: f64, significant: Option<usize>) -> Self {
        let text = match significant {
            None => format!("{value:e}"),
            Some(n) => format!("{value:.*e}", n.saturating_sub(1)),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).collect();
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        let point = if digits.is_empty() { 0 } else { exponent.parse::<i32>().unwrap_or(0) + 1 };
        Self { negative: value.is_sign_negative(), text: digits, point }
    }

    fn count(&self) -> usize {
        self.text.len()
    }

    /// Digit `n`, counted from the first significant one; zeros around.
    fn digit(&self, n: i32) -> u8 {
        usize::try_from(n).ok().and_then(|n| self.text.get(n)).copied().unwrap_or(b'0')
    }

    fn write_exponent(&self, out: &mut Vec<u8>, decimals: usize) {
        if self.negative {
            out.push(b'-');
        }
        out.push(self.digit(0));
        if decimals > 0 {
            out.push(b'.');
            out.extend((1..=decimals).map(|n| self.digit(n as i32)));
        }
        let exponent = if self.text.is_empty() { 0 } else { self.point - 1 };
        let sign = if exponent < 0 { '-' } else { '+' };
        out.extend_from_slice(format!("e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
    }

    /// All digits, without an exponent.
    fn write_fixed(&self, out: &mut Vec<u8>) {
        if self.negative {
            out.push(b'-');
        }
        if self.point > 0 {
            out.extend((0..self.point).map(|n| self.digit(n)));
        } else {
            out.push(b'0');
        }
        let decimals = self.count() as i32 - self.point;
        if decimals > 0 {
            out.push(b'.');
            out.extend((self.point..self.count() as i32).map(|n| self.digit(n)));
        }
    }
}

fn write_binary(out: &mut Vec<u8>, value: f64) {
    let (mantissa, exponent) = parts(value);
    if value.is_sign_negative() {
        out.push(b'-');
    }
    out.extend_from_slice(format!("{mantissa}p{exponent:+}").as_bytes());
}

/// Mantissa and exponent with `|value| = mantissa * 2^exponent`.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let (mantissa, exponent) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
    if exponent == 0 { (mantissa, -1074) } else { (mantissa | 1 << 52, exponent - 1075) }
}

fn write_hex(out: &mut Vec<u8>, value: f64, precision: Option<usize>) {
    let (mut mantissa, mut exponent) = parts(value);
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if mantissa == 0 {
        exponent = 0;
    } else {
        // One bit before the point, 60 after it.
        let shift = mantissa.leading_zeros() as i32 - 3;
        mantissa <<= shift;
        exponent += 60 - shift;
        if let Some(p) = precision.filter(|p| *p < 15) {
            let cut = 4 * (15 - p) as u32;
            let (kept, lost) = (mantissa >> cut, mantissa & ((1 << cut) - 1));
            let half = 1u64 << (cut - 1);
            mantissa = (kept + u64::from(lost > half || (lost == half && kept & 1 == 1))) << cut;
            if mantissa >> 61 != 0 {
                mantissa >>= 1;
                exponent += 1;
            }
        }
    }
    let fraction = format!("{:015x}", mantissa & ((1 << 60) - 1));
    let shown = match precision {
        None => fraction.trim_end_matches('0').to_owned(),
        Some(p) if p <= 15 => fraction[..p].to_owned(),
        Some(p) => format!("{fraction:0<p$}"),
    };
    let point = if shown.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    out.extend_from_slice(
        format!("0x{}{point}{shown}p{sign}{:02}", mantissa >> 60, exponent.unsigned_abs()).as_bytes(),
    );
}
