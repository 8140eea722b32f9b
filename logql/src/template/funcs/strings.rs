//! String functions: case, trimming, cutting, aligning, printing.

use crate::template::funcs::letters;
use crate::template::funcs::{Env, Outcome, integer, part, string};
use crate::template::limits::MAX_OUTPUT_BYTES;
use crate::template::printf as format;
use crate::template::value::Value;

pub(super) fn line<'a>(env: &mut Env<'a>, _: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Str(env.line))
}

fn made<'a>(env: &mut Env<'a>, text: Vec<u8>) -> Outcome<'a> {
    env.account.make(text.len())?;
    Ok(Value::text(text))
}

pub(super) fn lower<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = string(args, 0);
    if text.iter().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        return Ok(part(args, 0, 0, text.len()));
    }
    made(env, letters::map(text, letters::lower))
}

pub(super) fn upper<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = string(args, 0);
    if text.iter().all(|b| b.is_ascii() && !b.is_ascii_lowercase()) {
        return Ok(part(args, 0, 0, text.len()));
    }
    made(env, letters::map(text, letters::upper))
}

pub(super) fn title<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let mut previous = ' ';
    let text = letters::map(string(args, 0), |c| {
        let mapped = if letters::separates(previous) { letters::title(c) } else { c };
        previous = c;
        mapped
    });
    made(env, text)
}

/// The range of `text` without the characters of `cutset` at either end.
fn trimmed(text: &[u8], cutset: &[u8], left: bool, right: bool) -> (usize, usize) {
    let in_set = |c: &[u8]| letters::chars(cutset).any(|other| other == c);
    let mut from = 0;
    if left {
        from = letters::chars(text).take_while(|c| in_set(c)).map(<[u8]>::len).sum();
    }
    let mut to = text.len();
    while let Some(c) = letters::last_char(text.get(from..to).unwrap_or_default()) {
        if !right || !in_set(c) {
            break;
        }
        to -= c.len();
    }
    (from, to)
}

pub(super) fn trim_go<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let (from, to) = trimmed(string(args, 0), string(args, 1), true, true);
    Ok(part(args, 0, from, to))
}

pub(super) fn trim_left_go<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let (from, to) = trimmed(string(args, 0), string(args, 1), true, false);
    Ok(part(args, 0, from, to))
}

pub(super) fn trim_right_go<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let (from, to) = trimmed(string(args, 0), string(args, 1), false, true);
    Ok(part(args, 0, from, to))
}

pub(super) fn trim_all<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let (from, to) = trimmed(string(args, 1), string(args, 0), true, true);
    Ok(part(args, 1, from, to))
}

fn without_prefix<'a>(args: &[Value<'a>], text: usize, prefix: usize) -> Value<'a> {
    let (all, prefix) = (string(args, text), string(args, prefix));
    let from = if all.starts_with(prefix) { prefix.len() } else { 0 };
    part(args, text, from, all.len())
}

fn without_suffix<'a>(args: &[Value<'a>], text: usize, suffix: usize) -> Value<'a> {
    let (all, suffix) = (string(args, text), string(args, suffix));
    let to = if all.ends_with(suffix) { all.len() - suffix.len() } else { all.len() };
    part(args, text, 0, to)
}

pub(super) fn trim_prefix_go<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(without_prefix(args, 0, 1))
}

pub(super) fn trim_suffix_go<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(without_suffix(args, 0, 1))
}

pub(super) fn trim_prefix<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(without_prefix(args, 1, 0))
}

pub(super) fn trim_suffix<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(without_suffix(args, 1, 0))
}

pub(super) fn trim_space<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = string(args, 0);
    let is_space = |c: &[u8]| std::str::from_utf8(c).is_ok_and(|c| c.chars().all(char::is_whitespace));
    let mut from = 0;
    while let Some(c) = letters::chars(text.get(from..).unwrap_or_default()).next() {
        if !is_space(c) {
            break;
        }
        from += c.len();
    }
    let mut to = text.len();
    while let Some(c) = letters::last_char(text.get(from..to).unwrap_or_default()) {
        if !is_space(c) {
            break;
        }
        to -= c.len();
    }
    Ok(part(args, 0, from, to))
}

pub(super) fn trunc<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let (count, length) = (integer(args, 0), string(args, 1).len());
    match usize::try_from(count) {
        Ok(count) => Ok(part(args, 1, 0, count.min(length))),
        Err(_) => {
            let tail = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            Ok(part(args, 1, length.saturating_sub(tail), length))
        }
    }
}

pub(super) fn substr<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let (from, to, length) = (integer(args, 0), integer(args, 1), string(args, 2).len());
    let bounds = |text: String| format!("runtime error: slice bounds out of range [{text}]");
    let (from, to) = match (usize::try_from(from), usize::try_from(to)) {
        (Err(_), Err(_)) => return Err(bounds(format!(":{to}"))),
        (Err(_), Ok(to)) if to > length => return Err(bounds(format!(":{to}")) + &format!(" with length {length}")),
        (Err(_), Ok(to)) => (0, to),
        (Ok(from), Ok(to)) if to <= length && from > to => return Err(bounds(format!("{from}:{to}"))),
        (Ok(from), Ok(to)) if to <= length => (from, to),
        (Ok(from), _) if from > length => return Err(bounds(format!("{from}:{length}"))),
        (Ok(from), _) => (from, length),
    };
    Ok(part(args, 2, from, to))
}

pub(super) fn contains<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Bool(memchr::memmem::find(string(args, 1), string(args, 0)).is_some()))
}

pub(super) fn has_prefix<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Bool(string(args, 1).starts_with(string(args, 0))))
}

pub(super) fn has_suffix<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Bool(string(args, 1).ends_with(string(args, 0))))
}

/// How often to repeat, or Go's panic.
fn times(count: i64) -> Result<usize, String> {
    usize::try_from(count).map_err(|_| "strings: negative Repeat count".to_owned())
}

fn indented<'a>(env: &mut Env<'a>, args: &[Value<'a>], head: &[u8]) -> Outcome<'a> {
    let (spaces, text) = (times(integer(args, 0))?, string(args, 1));
    let lines = 1 + text.iter().filter(|b| **b == b'\n').count();
    env.account.make(spaces.saturating_mul(lines).saturating_add(text.len() + 1))?;
    let mut out = head.to_vec();
    for (n, line) in text.split(|b| *b == b'\n').enumerate() {
        if n > 0 {
            out.push(b'\n');
        }
        out.resize(out.len() + spaces, b' ');
        out.extend_from_slice(line);
    }
    Ok(Value::text(out))
}

pub(super) fn indent<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    indented(env, args, b"")
}

pub(super) fn nindent<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    indented(env, args, b"\n")
}

pub(super) fn repeat<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let (count, text) = (times(integer(args, 0))?, string(args, 1));
    env.account.make(text.len().saturating_mul(count))?;
    Ok(if text.is_empty() { Value::Str(b"") } else { Value::text(text.repeat(count)) })
}

/// Pads to a width in characters or cuts to it; a negative width changes nothing.
fn align<'a>(env: &mut Env<'a>, args: &[Value<'a>], left: bool) -> Outcome<'a> {
    let text = string(args, 1);
    let length = letters::chars(text).count();
    let Ok(width) = usize::try_from(integer(args, 0)) else { return Ok(part(args, 1, 0, text.len())) };
    if width > length {
        let padding = width - length;
        env.account.make(text.len().saturating_add(padding))?;
        let mut out = Vec::with_capacity(text.len() + padding);
        if !left {
            out.resize(padding, b' ');
        }
        out.extend_from_slice(text);
        if left {
            out.resize(text.len() + padding, b' ');
        }
        return Ok(Value::text(out));
    }
    if left {
        let end = letters::chars(text).take(width).map(<[u8]>::len).sum();
        return Ok(part(args, 1, 0, end));
    }
    let start = letters::chars(text).take(length - width).map(<[u8]>::len).sum();
    Ok(part(args, 1, start, text.len()))
}

pub(super) fn align_left<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    align(env, args, true)
}

pub(super) fn align_right<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    align(env, args, false)
}

pub(super) fn print<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let mut out = Vec::new();
    format::sprint(&mut out, env.fields, args);
    made(env, out)
}

pub(super) fn println<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let mut out = Vec::new();
    format::sprintln(&mut out, env.fields, args);
    made(env, out)
}

pub(super) fn printf<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let mut out = Vec::new();
    let rest = args.get(1..).unwrap_or_default();
    format::sprintf(&mut out, env.fields, string(args, 0), rest, MAX_OUTPUT_BYTES)?;
    made(env, out)
}
