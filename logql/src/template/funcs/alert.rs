//! Prometheus' functions for templates of alerts.

use std::rc::Rc;

use narvi_types::regex::{Regex, RegexOptions};

use crate::template::alert::map;
use crate::template::funcs::{Env, Outcome, part, string};
use crate::template::time::{GoTime, Zone};
use crate::template::value::Value;
use crate::value::{FloatFormat, parse_float, parse_prometheus_duration, write_float};

/// Digits that Prometheus shows of a number.
const DIGITS: usize = 4;

fn number(args: &[Value<'_>]) -> Result<f64, String> {
    match args.first().unwrap_or(&Value::Invalid) {
        Value::Float(value) => Ok(*value),
        value if value.as_str().is_some() => {
            parse_float(value.as_str().unwrap_or_default()).map_err(|error| error.to_string())
        }
        value => value
            .as_int()
            .map(|value| value as f64)
            .ok_or_else(|| format!("can't convert {} to float", value.type_name())),
    }
}

/// `%.4g` and what follows it.
fn shown<'a>(value: f64, after: &str) -> Outcome<'a> {
    let mut out = Vec::new();
    write_float(&mut out, value, FloatFormat::General, Some(DIGITS));
    out.extend_from_slice(after.as_bytes());
    Ok(Value::text(out))
}

/// A number under 1,000 and its prefix, or one over 1 with a prefix for small ones.
fn scaled(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    if value.abs() >= 1.0 {
        for next in ["k", "M", "G", "T", "P", "E", "Z", "Y"] {
            if value.abs() < 1000.0 {
                break;
            }
            (value, prefix) = (value / 1000.0, next);
        }
    } else {
        for next in ["m", "u", "n", "p", "f", "a", "z", "y"] {
            if value.abs() >= 1.0 {
                break;
            }
            (value, prefix) = (value * 1000.0, next);
        }
    }
    (value, prefix)
}

pub(super) fn humanize<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let value = number(args)?;
    if value == 0.0 || !value.is_finite() {
        return shown(value, "");
    }
    let (value, prefix) = scaled(value);
    shown(value, prefix)
}

pub(super) fn humanize_1024<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let mut value = number(args)?;
    let mut prefix = "";
    if value.is_finite() {
        for next in ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"] {
            if value.abs() < 1024.0 {
                break;
            }
            (value, prefix) = (value / 1024.0, next);
        }
    }
    shown(value, prefix)
}

pub(super) fn humanize_duration<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let value = number(args)?;
    if value == 0.0 {
        return shown(value, "s");
    }
    if !value.is_finite() {
        return shown(value, "");
    }
    if value.abs() < 1.0 {
        let (value, prefix) = scaled(value);
        return shown(value, &format!("{prefix}s"));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let value = value.abs();
    // A cast ends at the largest number that fits.
    let whole = value as i64;
    let (seconds, minutes, hours, days) = (whole % 60, whole / 60 % 60, whole / 3600 % 24, whole / 86_400);
    let text = match (days, hours, minutes) {
        (0, 0, 0) => return shown(if sign.is_empty() { value } else { -value }, "s"),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    };
    Ok(Value::text(text.into_bytes()))
}

pub(super) fn humanize_percentage<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    shown(number(args)? * 100.0, "%")
}

/// Seconds since 1970 as a time.
fn time(seconds: f64) -> GoTime {
    let ms = (seconds * 1000.0).round() as i64;
    GoTime { unix_s: ms.div_euclid(1000), nanos: ms.rem_euclid(1000) as u32 * 1_000_000, zone: Zone::Utc }
}

pub(super) fn humanize_timestamp<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let seconds = number(args)?;
    if !seconds.is_finite() {
        return shown(seconds, "");
    }
    let mut out = Vec::new();
    crate::template::printf::print_value(&mut out, env.fields, &Value::Time(time(seconds).into()));
    Ok(Value::text(out))
}

pub(super) fn to_time<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Time(time(number(args)?).into()))
}

pub(super) fn parse_duration<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let ns = parse_prometheus_duration(string(args, 0)).map_err(|error| error.to_string())?;
    Ok(Value::Float(ns as f64 / 1e9))
}

pub(super) fn re_replace_all<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    super::replace::regex_replace_all(env, &[arg(args, 0), arg(args, 2), arg(args, 1)])
}

fn arg<'a>(args: &[Value<'a>], n: usize) -> Value<'a> {
    args.get(n).cloned().unwrap_or(Value::Invalid)
}

pub(super) fn matches<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let pattern = String::from_utf8_lossy(string(args, 0)).into_owned();
    let regex = Regex::new(&pattern, RegexOptions::LINE).map_err(|error| error.to_string())?;
    Ok(Value::Bool(regex.is_match(string(args, 1))))
}

pub(super) fn as_it_is<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(part(args, 0, 0, string(args, 0).len()))
}

/// Host and port as Go's `net.SplitHostPort` finds them.
fn host_port(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return Some((host, port.strip_prefix(':')?));
    }
    text.split_once(':').filter(|(_, port)| !port.contains(':'))
}

pub(super) fn strip_port<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = String::from_utf8_lossy(string(args, 0));
    let host = host_port(&text).map_or(text.as_ref(), |(host, _)| host);
    Ok(Value::text(host.as_bytes()))
}

pub(super) fn strip_domain<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = String::from_utf8_lossy(string(args, 0));
    let (host, port) = host_port(&text).unwrap_or((&text, ""));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(Value::text(text.as_bytes()));
    }
    let name = host.split('.').next().unwrap_or_default();
    let text = if port.is_empty() { name.to_owned() } else { format!("{name}:{port}") };
    Ok(Value::text(text.into_bytes()))
}

fn link<'a>(env: &mut Env<'a>, args: &[Value<'a>], tab: u8) -> Outcome<'a> {
    let query = super::encode::urlquery(env, args)?;
    let query = String::from_utf8_lossy(query.as_str().unwrap_or_default()).into_owned();
    Ok(Value::text(format!("/graph?g0.expr={query}&g0.tab={tab}").into_bytes()))
}

pub(super) fn graph_link<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    link(env, args, 0)
}

pub(super) fn table_link<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    link(env, args, 1)
}

pub(super) fn external_url<'a>(env: &mut Env<'a>, _: &[Value<'a>]) -> Outcome<'a> {
    Ok(Value::Str(env.alert.map_or(b"", |data| data.external_url.as_bytes())))
}

pub(super) fn path_prefix<'a>(env: &mut Env<'a>, _: &[Value<'a>]) -> Outcome<'a> {
    let url = env.alert.map_or("", |data| data.external_url);
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("", |at| &after_scheme[at..]);
    Ok(Value::Str(path.split(['?', '#']).next().unwrap_or_default().as_bytes()))
}

/// Arguments as a map, for handing several to a template.
pub(super) fn args<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let names: Vec<String> = (0..args.len()).map(|n| format!("arg{n}")).collect();
    Ok(map(names.iter().map(String::as_str).zip(args.iter().cloned())))
}

pub(super) fn query<'a>(env: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let text = String::from_utf8_lossy(string(args, 0)).into_owned();
    let Some(data) = env.alert else { return Err("there is nothing to query".to_owned()) };
    let samples = (data.query)(&text)?;
    env.account.work(samples.len().saturating_mul(256))?;
    let sample = |(labels, value): &(Vec<(String, String)>, f64)| {
        let labels = labels.iter().map(|(name, value)| (name.as_str(), Value::text(value.as_bytes())));
        map([("Labels", map(labels)), ("Value", Value::Float(*value))])
    };
    Ok(Value::List(samples.iter().map(sample).collect()))
}

fn list<'v, 'a>(value: Option<&'v Value<'a>>) -> Result<&'v [Value<'a>], String> {
    match value {
        Some(Value::List(list)) => Ok(list),
        Some(other) => Err(format!("wrong type for value; expected a query result; got {}", other.type_name())),
        None => Err("a query result is missing".to_owned()),
    }
}

fn member<'a>(sample: Option<&Value<'a>>, name: &str) -> Option<Value<'a>> {
    match sample {
        Some(Value::Map(map)) => map.get(name.as_bytes()).cloned(),
        _ => None,
    }
}

fn label_of<'a>(sample: Option<&Value<'a>>, name: &[u8]) -> Value<'a> {
    match member(sample, "Labels") {
        Some(Value::Map(labels)) => labels.get(name).cloned().unwrap_or(Value::Str(b"")),
        _ => Value::Str(b""),
    }
}

pub(super) fn first<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    list(args.first())?.first().cloned().ok_or_else(|| "first() called on vector with no elements".to_owned())
}

pub(super) fn label<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(label_of(args.get(1), string(args, 0)))
}

pub(super) fn value<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    member(args.first(), "Value").ok_or_else(|| "value() needs a sample of a query".to_owned())
}

pub(super) fn str_value<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    Ok(label_of(args.first(), b"__value__"))
}

pub(super) fn sort_by_label<'a>(_: &mut Env<'a>, args: &[Value<'a>]) -> Outcome<'a> {
    let name = string(args, 0);
    let mut sorted = list(args.get(1))?.to_vec();
    sorted.sort_by_cached_key(|sample| label_of(Some(sample), name).as_str().unwrap_or_default().to_vec());
    Ok(Value::List(Rc::from(sorted)))
}
