//! Numbers: conversions, integer arithmetic, decimal arithmetic and rounding, as sprig has them.

use crate::template::decimal::Decimal;
use crate::template::funcs::{Env, Outcome, integer, string};
use crate::template::value::Value;
use crate::value::{parse_bytes, parse_float, parse_go_duration, parse_int};

pub(super) fn bytes<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let size = parse_bytes(string(args, 0)).map_err(|e| e.to_string())?;
    Ok(Value::Float(size as f64))
}

pub(super) fn duration<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let ns = parse_go_duration(string(args, 0)).map_err(|e| e.to_string())?;
    // Whole seconds and the rest apart, as Go's Duration.Seconds.
    Ok(Value::Float((ns / 1_000_000_000) as f64 + (ns % 1_000_000_000) as f64 / 1e9))
}

/// Any value as an integer; what is none counts as 0.
fn to_int(value: &Value<'_>) -> i64 {
    match value {
        Value::Bool(b) => i64::from(*b),
        Value::Float(f) => float_to_int(*f),
        Value::Str(_) | Value::Text(_) => parse_int(trim_zero_decimal(value.as_str().unwrap_or_default())).unwrap_or(0),
        other => other.as_int().unwrap_or(0),
    }
}

/// Truncates as Go does on amd64, where what does not fit becomes the least integer.
fn float_to_int(f: f64) -> i64 {
    let fits = f > -9.3e18 && f < 9_223_372_036_854_775_808.0;
    if fits { f as i64 } else { i64::MIN }
}

/// `12.00` without its decimals; other texts as they are.
fn trim_zero_decimal(text: &[u8]) -> &[u8] {
    match text.iter().position(|b| *b == b'.') {
        Some(at) if at + 1 < text.len() && text[at + 1..].iter().all(|b| *b == b'0') => &text[..at],
        _ => text,
    }
}

/// Any value as a float; what is none counts as 0.
fn to_float(value: &Value<'_>) -> f64 {
    match value {
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::Float(f) => *f,
        Value::Str(_) | Value::Text(_) => parse_float(value.as_str().unwrap_or_default()).unwrap_or(0.0),
        other => other.as_int().map_or(0.0, |n| n as f64),
    }
}

fn int_at(args: &[Value<'_>], n: usize) -> i64 {
    args.get(n).map_or(0, to_int)
}

fn float_at(args: &[Value<'_>], n: usize) -> f64 {
    args.get(n).map_or(0.0, to_float)
}

pub(super) fn int<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int(int_at(args, 0)))
}

pub(super) fn float64<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Float(float_at(args, 0)))
}

pub(super) fn add<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int64(args.iter().map(to_int).fold(0, i64::wrapping_add)))
}

pub(super) fn sub<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int64(int_at(args, 0).wrapping_sub(int_at(args, 1))))
}

pub(super) fn mul<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int64(args.iter().map(to_int).fold(1, i64::wrapping_mul)))
}

fn divisor(args: &[Value<'_>]) -> Result<i64, String> {
    match int_at(args, 1) {
        0 => Err("runtime error: integer divide by zero".to_owned()),
        n => Ok(n),
    }
}

pub(super) fn div<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int64(int_at(args, 0).wrapping_div(divisor(args)?)))
}

pub(super) fn modulo<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int64(int_at(args, 0).wrapping_rem(divisor(args)?)))
}

/// Folds the arguments as decimals, exactly but for division, and rounds the result to a float.
fn fold<'a>(
    args: &[Value<'a>],
    start: Option<f64>,
    step: impl Fn(Decimal, &Decimal) -> Result<Decimal, String>,
) -> Outcome<'a> {
    let mut values = start.into_iter().chain(args.iter().map(to_float));
    let mut total = Decimal::from_float(values.next().unwrap_or(0.0))?;
    for value in values {
        total = step(total, &Decimal::from_float(value)?)?;
    }
    Ok(Value::Float(total.to_float()))
}

pub(super) fn addf<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    fold(args, Some(0.0), |a, b| Ok(a.add(b)))
}

pub(super) fn subf<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    fold(args, None, |a, b| Ok(a.sub(b)))
}

pub(super) fn mulf<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    fold(args, None, |a, b| a.mul(b))
}

pub(super) fn divf<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    fold(args, None, |a, b| a.div(b))
}

pub(super) fn max<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int64(args.iter().map(to_int).max().unwrap_or(0)))
}

pub(super) fn min<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Int64(args.iter().map(to_int).min().unwrap_or(0)))
}

/// Go's `math.Max`: not-a-number wins, and 0 is above -0.
fn larger(a: f64, b: f64) -> f64 {
    if a.is_infinite() && a > 0.0 || b.is_infinite() && b > 0.0 {
        return f64::INFINITY;
    }
    if a.is_nan() || b.is_nan() {
        return f64::NAN;
    }
    if a.total_cmp(&b).is_ge() { a } else { b }
}

pub(super) fn maxf<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Float(args.iter().map(to_float).reduce(larger).unwrap_or(0.0)))
}

pub(super) fn minf<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Float(args.iter().map(to_float).reduce(|a, b| -larger(-a, -b)).unwrap_or(0.0)))
}

pub(super) fn ceil<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Float(float_at(args, 0).ceil()))
}

pub(super) fn floor<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Float(float_at(args, 0).floor()))
}

/// Rounds up from a fraction of one half (or the third argument) on. So negative values go down: -2.5 becomes -3.
pub(super) fn round<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let up_from = match args.get(2) {
        Some(Value::Float(f)) => *f,
        _ => 0.5,
    };
    let power = 10f64.powf(integer(args, 1) as f64);
    let digits = power * float_at(args, 0);
    let rounded = if digits.fract() >= up_from { digits.ceil() } else { digits.floor() };
    Ok(Value::Float(rounded / power))
}
