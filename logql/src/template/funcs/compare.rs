//! Comparisons, with Go's rules for which types may be compared.

use crate::template::funcs::{Env, Outcome};
use crate::template::printf::show;
use crate::template::value::{Basic, Value};

/// The body of `and`, `or` and `call`, which the executor handles itself.
pub(super) fn never<'a>(_: &mut Env<'a>, _: &[Value<'a>]) -> Outcome<'a> {
    Err("not callable".to_owned())
}

pub(super) fn not<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Bool(!args.first().is_some_and(|v| v.truth(env.fields))))
}

fn incompatible(a: &Value<'_>, b: &Value<'_>) -> String {
    format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())
}

/// Whether two values of the same basic kind are equal.
fn equal_values(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Complex(a, x), Value::Complex(b, y)) => a == b && x == y,
        (Value::Time(a), Value::Time(b)) => a == b,
        _ => match (a.as_str(), b.as_str()) {
            (Some(a), Some(b)) => a == b,
            _ => a.as_int().is_some() && a.as_int() == b.as_int(),
        },
    }
}

fn same(env: &Env<'_>, a: &Value<'_>, b: &Value<'_>) -> Result<bool, String> {
    let (kind_a, kind_b) = (a.basic(), b.basic());
    let integers = matches!((kind_a, kind_b), (Basic::Int, Basic::Uint) | (Basic::Uint, Basic::Int));
    if integers || (kind_a == kind_b && kind_a != Basic::Other) {
        return Ok(equal_values(a, b));
    }
    if kind_a != kind_b {
        return if a.is_nil() || b.is_nil() { Ok(false) } else { Err(incompatible(a, b)) };
    }
    if a.is_nil() || b.is_nil() {
        return Ok(a.is_nil() == b.is_nil());
    }
    let (type_a, type_b) = (a.type_name(), b.type_name());
    if type_a != type_b {
        let (a, b) = (show(env.fields, a, 's'), show(env.fields, b, 'v'));
        return Err(format!("non-comparable types {a}: {type_a}, {type_b}: {b}"));
    }
    match a {
        Value::Time(_) => Ok(equal_values(a, b)),
        _ => Err(format!("non-comparable type {}: {type_a}", show(env.fields, a, 's'))),
    }
}

pub(super) fn eq<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let Some((first, others)) = args.split_first() else { return Ok(Value::Bool(false)) };
    if others.is_empty() {
        return Err("missing argument for comparison".to_owned());
    }
    for other in others {
        if same(env, first, other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

pub(super) fn ne<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    match eq(env, args)? {
        Value::Bool(b) => Ok(Value::Bool(!b)),
        other => Ok(other),
    }
}

fn less(args: &[Value<'_>]) -> Result<bool, String> {
    let [a, b] = args else { return Ok(false) };
    let invalid = || Err("invalid type for comparison".to_owned());
    let (kind_a, kind_b) = (a.basic(), b.basic());
    if kind_a == Basic::Other || kind_b == Basic::Other {
        return invalid();
    }
    match (a, b) {
        (Value::Float(a), Value::Float(b)) => Ok(a < b),
        _ => match (a.as_int(), b.as_int(), a.as_str(), b.as_str()) {
            (Some(a), Some(b), ..) => Ok(a < b),
            (.., Some(a), Some(b)) => Ok(a < b),
            _ if kind_a != kind_b => Err(incompatible(a, b)),
            _ => invalid(),
        },
    }
}

fn less_or_equal<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Result<bool, String> {
    Ok(less(args)? || matches!(eq(env, args)?, Value::Bool(true)))
}

pub(super) fn lt<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    less(args).map(Value::Bool)
}

pub(super) fn le<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    less_or_equal(env, args).map(Value::Bool)
}

pub(super) fn gt<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    less_or_equal(env, args).map(|b| Value::Bool(!b))
}

pub(super) fn ge<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    less(args).map(|b| Value::Bool(!b))
}
