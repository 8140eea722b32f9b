//! Replacing: plain strings and regular expressions, with Go's rules for empty matches and `$` in replacements.

use std::borrow::Cow;

use narvi_types::regex::{Regex, RegexOptions};
use regex_automata::Input;
use regex_automata::util::captures::Captures;

use crate::template::funcs::{Env, Outcome, integer, letters, part, string};
use crate::template::limits::{MAX_OUTPUT_BYTES, too_large};
use crate::template::value::Value;
use crate::value::decode_char;

pub(super) fn replace_go<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    replaced(env, args, 0, string(args, 1), string(args, 2), integer(args, 3))
}

pub(super) fn replace<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    replaced(env, args, 2, string(args, 0), string(args, 1), -1)
}

/// Replaces the first `limit` places (all if negative); an empty `old` stands before every character and at the end.
fn replaced<'a>(
    env: &mut Env<'a>,
    args: &[Value<'a>],
    text_at: usize,
    old: &[u8],
    new: &[u8],
    limit: i64,
) -> Outcome<'a> {
    let text = string(args, text_at);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut places: Vec<usize> = if old.is_empty() {
        let mut at = 0;
        let starts = letters::chars(text).map(|c| {
            at += c.len();
            at
        });
        std::iter::once(0).chain(starts).take(limit).collect()
    } else {
        memchr::memmem::find_iter(text, old).take(limit).collect()
    };
    if places.is_empty() || old == new {
        return Ok(part(args, text_at, 0, text.len()));
    }
    env.account.make(text.len().saturating_add(places.len().saturating_mul(new.len())))?;
    let mut out = Vec::with_capacity(text.len());
    let mut from = 0;
    for at in places.drain(..) {
        out.extend_from_slice(text.get(from..at).unwrap_or_default());
        out.extend_from_slice(new);
        from = at + old.len();
    }
    out.extend_from_slice(text.get(from..).unwrap_or_default());
    Ok(Value::text(out))
}

/// The pattern of the call: compiled at parse time if it is a constant, else now.
fn pattern<'a>(env: &Env<'a>, args: &[Value<'a>]) -> Result<Cow<'a, Regex>, String> {
    match env.regex {
        Some(Ok(regex)) => Ok(Cow::Borrowed(regex)),
        Some(Err(error)) => Err(error.to_string()),
        None => {
            let text = String::from_utf8_lossy(string(args, 0)).into_owned();
            Regex::new(&text, RegexOptions::LINE).map(Cow::Owned).map_err(|e| e.to_string())
        }
    }
}

pub(super) fn regex_replace_all<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let new = string(args, 2);
    regex_replaced(env, args, |out, text, captures| expand(out, new, text, captures))
}

pub(super) fn regex_replace_all_literal<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let new = string(args, 2);
    regex_replaced(env, args, |out, _, _| out.extend_from_slice(new))
}

fn regex_replaced<'a>(
    env: &mut Env<'a>,
    args: &[Value<'a>],
    mut write: impl FnMut(&mut Vec<u8>, &[u8], &Captures),
) -> Outcome<'a> {
    let regex = pattern(env, args)?;
    let engine = regex.engine();
    let text = string(args, 1);
    let mut captures = engine.create_captures();
    let (mut out, mut copied, mut search) = (Vec::new(), 0, 0);
    let mut found = false;
    while search <= text.len() {
        engine.search_captures(&Input::new(text).span(search..text.len()), &mut captures);
        let Some(hit) = captures.get_match() else { break };
        found = true;
        out.extend_from_slice(text.get(copied..hit.start()).unwrap_or_default());
        // An empty match right behind the last one does not count.
        if hit.end() > copied || hit.start() == 0 {
            write(&mut out, text, &captures);
            if out.len() > MAX_OUTPUT_BYTES {
                return Err(too_large());
            }
        }
        copied = hit.end();
        search = next_search(text, search, hit.end());
    }
    if !found {
        return Ok(part(args, 1, 0, text.len()));
    }
    out.extend_from_slice(text.get(copied..).unwrap_or_default());
    env.account.make(out.len())?;
    Ok(Value::text(out))
}

/// Where to search on: behind the match, but at least one character further.
fn next_search(text: &[u8], search: usize, end: usize) -> usize {
    let rest = text.get(search..).unwrap_or_default();
    let width = if rest.is_empty() { 1 } else { decode_char(rest).1 };
    end.max(search + width)
}

/// Writes a replacement, with `$1`, `$name` and `${name}` standing for groups and `$$` for a dollar.
fn expand(out: &mut Vec<u8>, template: &[u8], text: &[u8], captures: &Captures) {
    let mut rest = template;
    while let Some(at) = memchr::memchr(b'$', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(tail) = rest.strip_prefix(b"$") {
            out.push(b'$');
            rest = tail;
            continue;
        }
        let Some((name, tail)) = group_name(rest) else {
            // Malformed: the dollar stands for itself.
            out.push(b'$');
            continue;
        };
        rest = tail;
        let span = match name.parse::<usize>() {
            Ok(index) => captures.get_group(index),
            Err(_) => captures.get_group_by_name(name),
        };
        if let Some(span) = span {
            out.extend_from_slice(text.get(span.start..span.end).unwrap_or_default());
        }
    }
    out.extend_from_slice(rest);
}

/// The group name behind a dollar, with or without braces, and what follows it.
fn group_name(text: &[u8]) -> Option<(&str, &[u8])> {
    let braced = text.first() == Some(&b'{');
    let body = text.get(usize::from(braced)..)?;
    let mut end = 0;
    for c in letters::chars(body) {
        let (c, length) = decode_char(c);
        if !(c == '_' || c.is_alphanumeric()) {
            break;
        }
        end += length;
    }
    let name = std::str::from_utf8(body.get(..end)?).ok().filter(|n| !n.is_empty())?;
    let tail = body.get(end..)?;
    if braced { Some((name, tail.strip_prefix(b"}")?)) } else { Some((name, tail)) }
}

pub(super) fn count<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let regex = pattern(env, args)?;
    let text = string(args, 1);
    let (mut count, mut search, mut last_end) = (0, 0, None);
    while search <= text.len() {
        let Some(hit) = regex.engine().search(&Input::new(text).span(search..text.len())) else { break };
        if !hit.is_empty() {
            search = hit.end();
            count += 1;
        } else {
            // An empty match right behind the last one does not count.
            count += i64::from(last_end != Some(hit.start()));
            search = next_search(text, hit.end(), hit.end());
        }
        last_end = Some(hit.end());
    }
    Ok(Value::Int(count))
}
