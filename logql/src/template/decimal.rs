//! Decimal arithmetic of any length, for the `addf` family: 0.1 + 0.2 is 0.3 there.

/// Digits behind the point that a quotient keeps.
const DIVISION_DECIMALS: i32 = 16;
/// Longest number in digits; products of many factors would grow without end.
const MAX_DIGITS: usize = 20_000;

/// A number `digits * 10^exponent`; digits from the least significant on, the last one not zero, none for zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i32,
}

impl Decimal {
    /// The shortest decimal that reads as the float.
    pub(crate) fn from_float(value: f64) -> Result<Self, String> {
        if !value.is_finite() {
            let name = if value.is_nan() {
                "NaN"
            } else if value > 0.0 {
                "+Inf"
            } else {
                "-Inf"
            };
            return Err(format!("Cannot create a Decimal from {name}"));
        }
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let mut digits: Vec<u8> = mantissa.bytes().filter(u8::is_ascii_digit).map(|b| b - b'0').collect();
        let decimals = digits.len() as i32 - 1;
        digits.reverse();
        let exponent = exponent.parse::<i32>().unwrap_or(0) - decimals;
        Ok(Self { negative: value < 0.0, digits: trim(digits), exponent })
    }

    /// The nearest float.
    pub(crate) fn to_float(&self) -> f64 {
        if self.digits.is_empty() {
            return 0.0;
        }
        let digits: String = self.digits.iter().rev().map(|d| char::from(b'0' + d)).collect();
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{digits}e{}", self.exponent).parse().unwrap_or(f64::NAN)
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        if self.digits.is_empty() {
            return other.clone();
        }
        if other.digits.is_empty() {
            return self.clone();
        }
        let exponent = self.exponent.min(other.exponent);
        let (a, b) = (self.shifted(exponent), other.shifted(exponent));
        let (negative, digits) = if self.negative == other.negative {
            (self.negative, plus(&a, &b))
        } else if compare(&a, &b).is_ge() {
            (self.negative, minus(&a, &b))
        } else {
            (other.negative, minus(&b, &a))
        };
        Self { negative, digits, exponent }
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        self.add(&Self { negative: !other.negative, ..other.clone() })
    }

    pub(crate) fn mul(&self, other: &Self) -> Result<Self, String> {
        if self.digits.len() + other.digits.len() > MAX_DIGITS {
            return Err(format!("decimal of more than {MAX_DIGITS} digits"));
        }
        let mut digits = vec![0u32; self.digits.len() + other.digits.len()];
        for (n, a) in self.digits.iter().enumerate() {
            let mut carry = 0;
            for (sum, b) in digits[n..].iter_mut().zip(other.digits.iter().chain(std::iter::repeat(&0))) {
                *sum += u32::from(*a) * u32::from(*b) + carry;
                carry = *sum / 10;
                *sum %= 10;
            }
        }
        Ok(Self {
            negative: self.negative != other.negative,
            digits: trim(digits.into_iter().map(|d| d as u8).collect()),
            exponent: self.exponent.saturating_add(other.exponent),
        })
    }

    /// The quotient to 16 decimals, rounded half away from zero.
    pub(crate) fn div(&self, other: &Self) -> Result<Self, String> {
        if other.digits.is_empty() {
            return Err("decimal division by 0".to_owned());
        }
        let shift = self.exponent.saturating_sub(other.exponent).saturating_add(DIVISION_DECIMALS);
        if self.digits.len() + other.digits.len() + shift.unsigned_abs() as usize > MAX_DIGITS {
            return Err(format!("decimal of more than {MAX_DIGITS} digits"));
        }
        let zeros = |n: i32, digits: &[u8]| {
            let mut out = vec![0; n.max(0) as usize];
            out.extend_from_slice(digits);
            trim(out)
        };
        let (numerator, denominator) = (zeros(shift, &self.digits), zeros(-shift, &other.digits));
        let (mut quotient, mut rest) = (Vec::with_capacity(numerator.len()), Vec::new());
        for digit in numerator.iter().rev() {
            rest.insert(0, *digit);
            rest = trim(rest);
            let mut times = 0;
            while compare(&rest, &denominator).is_ge() {
                rest = minus(&rest, &denominator);
                times += 1;
            }
            quotient.push(times);
        }
        quotient.reverse();
        let mut digits = trim(quotient);
        if compare(&plus(&rest, &rest), &denominator).is_ge() {
            digits = plus(&digits, &[1]);
        }
        Ok(Self { negative: self.negative != other.negative, digits, exponent: -DIVISION_DECIMALS })
    }

    /// The digits for a smaller exponent.
    fn shifted(&self, exponent: i32) -> Vec<u8> {
        let mut digits = vec![0; (self.exponent - exponent).max(0) as usize];
        digits.extend_from_slice(&self.digits);
        digits
    }
}

fn trim(mut digits: Vec<u8>) -> Vec<u8> {
    while digits.last() == Some(&0) {
        digits.pop();
    }
    digits
}

fn compare(a: &[u8], b: &[u8]) -> std::cmp::Ordering {
    a.len().cmp(&b.len()).then_with(|| a.iter().rev().cmp(b.iter().rev()))
}

fn plus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(a.len().max(b.len()) + 1);
    let mut carry = 0;
    for n in 0..a.len().max(b.len()) {
        let sum = a.get(n).unwrap_or(&0) + b.get(n).unwrap_or(&0) + carry;
        out.push(sum % 10);
        carry = sum / 10;
    }
    out.push(carry);
    trim(out)
}

/// `a - b` for `a` not below `b`.
fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(a.len());
    let mut borrow = 0;
    for (n, digit) in a.iter().enumerate() {
        let taken = b.get(n).unwrap_or(&0) + borrow;
        borrow = u8::from(*digit < taken);
        out.push(*digit + 10 * borrow - taken);
    }
    trim(out)
}
