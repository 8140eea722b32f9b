//! Functions of times: reading, formatting, epochs.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::template::funcs::{Env, Outcome, string};
use crate::template::time::{GoTime, Zone};
use crate::template::value::Value;
use crate::template::{time_layout, time_parse};

fn wrapped<'a>(time: GoTime) -> Outcome<'a> {
    Ok(Value::Time(time.into()))
}

fn time_at<'v>(args: &'v [Value<'_>]) -> Option<&'v GoTime> {
    match args.first() {
        Some(Value::Time(time)) => Some(time),
        _ => None,
    }
}

pub(super) fn timestamp<'a>(env: &mut Env<'a>, _: &[Value<'a>]) -> Outcome<'a> {
    wrapped(GoTime::from_unix_ns(env.timestamp_ns, Zone::local()))
}

fn current() -> GoTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    GoTime { unix_s: since.as_secs() as i64, nanos: since.subsec_nanos(), zone: Zone::local() }
}

pub(super) fn now<'a>(_: &mut Env<'a>, _: &[Value<'a>]) -> Outcome<'a> {
    wrapped(current())
}

fn decimal<'a>(number: i64) -> Outcome<'a> {
    Ok(Value::text(number.to_string().into_bytes()))
}

pub(super) fn unix_epoch<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    decimal(time_at(args).map_or(0, |t| t.unix_s))
}

pub(super) fn unix_epoch_millis<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    decimal(time_at(args).map_or(0, GoTime::unix_ms))
}

pub(super) fn unix_epoch_nanos<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    decimal(time_at(args).map_or(0, GoTime::unix_ns))
}

/// A text that does not fit its layout is the zero time.
fn read<'a>(layout: &[u8], text: &[u8], zone: &Zone) -> Outcome<'a> {
    wrapped(time_parse::parse(layout, text, zone).unwrap_or_else(GoTime::zero))
}

pub(super) fn to_date<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    read(string(args, 0), string(args, 1), &Zone::local())
}

pub(super) fn to_date_in_zone<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let zone = std::str::from_utf8(string(args, 1)).ok().and_then(Zone::load).unwrap_or(Zone::Utc);
    read(string(args, 0), string(args, 2), &zone)
}

/// Formats a time, or seconds since 1970, in the zone of the process; anything else is now.
pub(super) fn date<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let time = match args.get(1) {
        Some(Value::Time(time)) => GoTime { zone: Zone::local(), ..(**time).clone() },
        Some(Value::Int(s) | Value::Int64(s)) => GoTime { unix_s: *s, nanos: 0, zone: Zone::local() },
        _ => current(),
    };
    let layout = string(args, 0);
    env.account.make(layout.len().saturating_mul(10))?;
    Ok(Value::text(time_layout::format(&time, layout)))
}

/// Reads an epoch whose unit follows from its digits: days, seconds, milli-, micro- or nanoseconds.
pub(super) fn unix_to_time<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = string(args, 0);
    let shown = String::from_utf8_lossy(text);
    let plain = shown.strip_prefix('+').unwrap_or(&shown);
    let Some(number) = plain.parse::<i64>().ok().filter(|_| !plain.starts_with('+')) else {
        let quoted = crate::value::quote(text);
        return Err(format!("unable to parse time '{shown}': strconv.ParseInt: parsing {quoted}: invalid syntax"));
    };
    let per_second = match text.len() {
        5 => return wrapped(GoTime { unix_s: number * 86_400, nanos: 0, zone: Zone::local() }),
        10 => 1,
        13 => 1_000,
        16 => 1_000_000,
        19 => 1_000_000_000,
        // Go prints the error it does not have.
        _ => return Err(format!("unable to parse time '{shown}': %!w(<nil>)")),
    };
    let nanos = (number.rem_euclid(per_second) * (1_000_000_000 / per_second)) as u32;
    wrapped(GoTime { unix_s: number.div_euclid(per_second), nanos, zone: Zone::local() })
}
