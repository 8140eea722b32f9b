//! Escapes and encodings: HTML, JavaScript, URL queries, base64.

use crate::template::funcs::{Env, Outcome, letters, part, string};
use crate::template::printf;
use crate::template::value::Value;
use crate::value::{decode_char, quote};

/// The arguments as one string: a lone string as it is, else printed.
fn joined<'a>(env: &Env<'a>, args: &[Value<'a>]) -> Vec<u8> {
    if let [only] = args
        && let Some(text) = only.as_str()
    {
        return text.to_vec();
    }
    let mut out = Vec::new();
    let printable = args.iter().map(|a| if a.is_nil() { Value::Str(b"<no value>") } else { a.clone() });
    printf::sprint(&mut out, env.fields, &printable.collect::<Vec<_>>());
    out
}

fn made<'a>(env: &mut Env<'a>, text: Vec<u8>) -> Outcome<'a> {
    env.account.make(text.len())?;
    Ok(Value::text(text))
}

pub(super) fn html<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = joined(env, args);
    let mut out = Vec::with_capacity(text.len());
    for b in text {
        match b {
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b => out.push(b),
        }
    }
    made(env, out)
}

pub(super) fn js<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = joined(env, args);
    let mut out = Vec::with_capacity(text.len());
    for c in letters::chars(&text) {
        let (value, _) = decode_char(c);
        match value {
            '\\' => out.extend_from_slice(b"\\\\"),
            '\'' => out.extend_from_slice(b"\\'"),
            '"' => out.extend_from_slice(b"\\\""),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => {
                out.extend_from_slice(format!("\\u{:04X}", value as u32).as_bytes());
            }
            ' '..='\x7f' => out.extend_from_slice(c),
            _ if quote(c).contains('\\') => out.extend_from_slice(format!("\\u{:04X}", value as u32).as_bytes()),
            _ => out.extend_from_slice(c),
        }
    }
    made(env, out)
}

fn query_escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &b in text {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(b),
            b' ' => out.push(b'+'),
            b => out.extend_from_slice(format!("%{b:02X}").as_bytes()),
        }
    }
    out
}

pub(super) fn urlquery<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = joined(env, args);
    made(env, query_escaped(&text))
}

pub(super) fn urlencode<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    made(env, query_escaped(string(args, 0)))
}

fn hex(b: Option<&u8>) -> Option<u8> {
    b.and_then(|b| char::from(*b).to_digit(16)).map(|d| d as u8)
}

pub(super) fn urldecode<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = string(args, 0);
    if !text.iter().any(|b| matches!(b, b'%' | b'+')) {
        return Ok(part(args, 0, 0, text.len()));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&b) = text.get(at) {
        at += 1;
        match b {
            b'+' => out.push(b' '),
            b'%' => match (hex(text.get(at)), hex(text.get(at + 1))) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    at += 2;
                }
                _ => {
                    let bad = text.get(at - 1..text.len().min(at + 2)).unwrap_or_default();
                    return Err(format!("invalid URL escape {}", quote(bad)));
                }
            },
            b => out.push(b),
        }
    }
    made(env, out)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn b64enc<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = string(args, 0);
    let mut out = Vec::with_capacity(text.len().div_ceil(3) * 4);
    for group in text.chunks(3) {
        let byte = |n: usize| u32::from(group.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for n in 0..4 {
            let sextet = (bits >> (18 - 6 * n) & 63) as usize;
            out.push(if n <= group.len() { ALPHABET[sextet] } else { b'=' });
        }
    }
    made(env, out)
}

/// Decodes base64; a mistake gives its text as the result, as sprig has it.
pub(super) fn b64dec<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let decoded = match decode_base64(string(args, 0)) {
        Ok(bytes) => bytes,
        Err(at) => format!("illegal base64 data at input byte {at}").into_bytes(),
    };
    made(env, decoded)
}

/// Standard base64 with padding; line breaks are skipped. The error is the offset Go reports.
fn decode_base64(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let mut input = text.iter().copied().enumerate().filter(|(_, b)| !matches!(b, b'\r' | b'\n'));
    loop {
        let mut bits = 0u32;
        let mut count = 0;
        while count < 4 {
            let Some((at, b)) = input.next() else {
                // The end within a group is an error at its first byte.
                return if count == 0 { Ok(out) } else { Err(text.len() - count) };
            };
            if b == b'=' {
                if count < 2 {
                    return Err(at);
                }
                if count == 2 {
                    match input.next() {
                        Some((_, b'=')) => {}
                        Some((at, _)) => return Err(at),
                        None => return Err(text.len()),
                    }
                }
                match count {
                    2 => out.push((bits >> 4) as u8),
                    _ => out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
                }
                return match input.next() {
                    Some((at, _)) => Err(at),
                    None => Ok(out),
                };
            }
            let sextet = ALPHABET.iter().position(|c| *c == b).ok_or(at)?;
            bits = bits << 6 | sextet as u32;
            count += 1;
        }
        out.extend_from_slice(&[(bits >> 16) as u8, (bits >> 8) as u8, bits as u8]);
    }
}
