//! Arguments of functions: literals that take the type of their parameter, type checks, and room for a call's values.

use crate::template::ast::{Expr, ExprKind, Number};
use crate::template::constant::{Ideal, ideal};
use crate::template::funcs::Param;
use crate::template::value::Value;

/// The value of a constant where any type is allowed.
pub(crate) fn constant(number: &Number) -> Result<Value<'static>, String> {
    Ok(match ideal(number)? {
        Ideal::Int(n) => Value::Int(n),
        Ideal::Float(f) => Value::Float(f),
        Ideal::Complex(re, im) => Value::Complex(re, im),
    })
}

/// A literal argument, which takes the type of its parameter.
pub(crate) fn literal<'a>(arg: &'a Expr, param: Param) -> Result<Value<'a>, String> {
    match (&arg.kind, param) {
        (ExprKind::Bool(b), Param::Any) => Ok(Value::Bool(*b)),
        (ExprKind::Number(n), Param::Any) => constant(n),
        (ExprKind::Number(n), Param::Int) => {
            n.int.map(Value::Int).ok_or_else(|| format!("expected integer; found {arg}"))
        }
        (ExprKind::Number(n), Param::Float) => {
            n.float.map(Value::Float).ok_or_else(|| format!("expected float; found {arg}"))
        }
        (ExprKind::Str(bytes, _), Param::Any | Param::Str) => Ok(Value::Str(bytes)),
        (_, Param::Str) => Err(format!("expected string; found {arg}")),
        (_, Param::Int) => Err(format!("expected integer; found {arg}")),
        (_, Param::Float) => Err(format!("expected float; found {arg}")),
        _ => Err(format!("can't handle {arg} for arg of type {}", param.type_name())),
    }
}

/// A value as an argument for a parameter, if its type fits.
pub(crate) fn check_type<'a>(value: Value<'a>, param: Param) -> Result<Value<'a>, String> {
    let fits = match (param, &value) {
        (Param::Any, _)
        | (Param::Str, Value::Str(_) | Value::Text(_))
        | (Param::Int, Value::Int(_))
        | (Param::Float, Value::Float(_))
        | (Param::Time, Value::Time(_)) => true,
        (_, Value::Invalid) => return Err(format!("invalid value; expected {}", param.type_name())),
        _ => false,
    };
    if fits {
        return Ok(value);
    }
    let got = if let Value::Nil = value { "interface {}" } else { value.type_name() };
    Err(format!("wrong type for value; expected {}; got {got}", param.type_name()))
}

/// Evaluated arguments; up to four of them without an allocation.
pub(crate) enum Args<'a> {
    Few([Value<'a>; 4], usize),
    Many(Vec<Value<'a>>),
}

impl<'a> Args<'a> {
    pub(crate) fn new(count: usize) -> Self {
        if count <= 4 { Args::Few([const { Value::Invalid }; 4], 0) } else { Args::Many(Vec::with_capacity(count)) }
    }

    pub(crate) fn push(&mut self, value: Value<'a>) {
        match self {
            Args::Few(values, count) => {
                if let Some(slot) = values.get_mut(*count) {
                    *slot = value;
                    *count += 1;
                }
            }
            Args::Many(values) => values.push(value),
        }
    }

    pub(crate) fn as_slice(&self) -> &[Value<'a>] {
        match self {
            Args::Few(values, count) => values.get(..*count).unwrap_or_default(),
            Args::Many(values) => values,
        }
    }
}
