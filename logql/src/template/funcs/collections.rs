//! Lengths, indexes and slices of strings, lists and maps; JSON; default values.

use std::rc::Rc;

use crate::template::funcs::{Env, Outcome, part, string};
use crate::template::json;
use crate::template::value::Value;

pub(super) fn from_json<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = string(args, 0);
    // A tree of small values takes many times the room of its text.
    env.account.work(text.len().saturating_mul(8))?;
    Ok(json::parse(text).unwrap_or(Value::Nil))
}

/// The second argument unless it is missing, nil, zero or empty; then the first.
pub(super) fn default<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let fallback = args.first().cloned().unwrap_or(Value::Invalid);
    match args.get(1) {
        Some(given) if given.truth(env.fields) => Ok(given.clone()),
        _ => Ok(fallback),
    }
}

pub(super) fn len<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let item = args.first().unwrap_or(&Value::Invalid);
    if item.is_nil() {
        return Err("reflect: call of reflect.Value.Type on zero Value".to_owned());
    }
    match item.len(env.fields) {
        Some(length) => Ok(Value::Int(length as i64)),
        None => Err(format!("len of type {}", item.type_name())),
    }
}

/// An index or bound as a position up to and including `limit`.
fn position(index: &Value<'_>, limit: usize) -> Result<usize, String> {
    let Some(n) = index.as_int() else {
        return Err(match index.is_nil() {
            true => "cannot index slice/array with nil".to_owned(),
            false => format!("cannot index slice/array with type {}", index.type_name()),
        });
    };
    usize::try_from(n).ok().filter(|n| *n <= limit).ok_or_else(|| format!("index out of range: {n}"))
}

fn map_key<'v>(index: &'v Value<'_>) -> Result<&'v [u8], String> {
    match index.as_str() {
        Some(key) => Ok(key),
        None if index.is_nil() => Err("value is nil; should be of type string".to_owned()),
        None => Err(format!("value has type {}; should be string", index.type_name())),
    }
}

fn element<'a>(env: &Env<'a>, item: &Value<'a>, index: &Value<'a>) -> Outcome<'a> {
    match item {
        Value::Invalid | Value::Nil => Err("index of nil pointer".to_owned()),
        Value::Str(_) | Value::Text(_) => {
            let text = item.as_str().unwrap_or_default();
            let at = position(index, text.len())?;
            text.get(at).map(|b| Value::Uint8(*b)).ok_or_else(|| "reflect: string index out of range".to_owned())
        }
        Value::List(list) => {
            let at = position(index, list.len())?;
            list.get(at).cloned().ok_or_else(|| "reflect: slice index out of range".to_owned())
        }
        Value::Map(map) => Ok(map.get(map_key(index)?).cloned().unwrap_or(Value::Nil)),
        Value::Labels => {
            let key = map_key(index)?;
            let name = std::str::from_utf8(key).ok();
            Ok(Value::Str(name.and_then(|n| env.fields.get(n)).unwrap_or_default()))
        }
        other => Err(format!("can't index item of type {}", other.type_name())),
    }
}

pub(super) fn index<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let Some((item, indexes)) = args.split_first() else { return Ok(Value::Invalid) };
    if item.is_nil() {
        return Err("index of untyped nil".to_owned());
    }
    let mut item = item.clone();
    for at in indexes {
        item = element(env, &item, at)?;
    }
    Ok(item)
}

pub(super) fn slice<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let Some((item, indexes)) = args.split_first() else { return Ok(Value::Invalid) };
    if item.is_nil() {
        return Err("slice of untyped nil".to_owned());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let limit = match item {
        Value::Str(_) | Value::Text(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".to_owned()),
        Value::Str(_) | Value::Text(_) => item.as_str().map_or(0, <[u8]>::len),
        Value::List(list) => list.len(),
        other => return Err(format!("can't slice item of type {}", other.type_name())),
    };
    let mut bounds = [0, limit, limit];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, limit)?;
    }
    let [from, to, cap] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}"));
    }
    if indexes.len() == 3 && to > cap {
        return Err(format!("invalid slice index: {to} > {cap}"));
    }
    match item {
        Value::List(list) => Ok(Value::List(Rc::from(list.get(from..to).unwrap_or_default()))),
        _ => Ok(part(args, 0, from, to)),
    }
}
