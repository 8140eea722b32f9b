//! OTLP values as text.

use std::fmt::Write;

use base64::{Engine, engine::general_purpose::STANDARD};

use super::model::{AnyValue, Value};

/// Values nested deeper than this are left out; protobuf itself stops at 100.
const MOST_NESTED: usize = 64;

/// Adds an attribute as pairs: a map becomes one pair per leaf, names joined with `_`.
pub(super) fn flatten(name: &str, value: Option<&AnyValue>, pairs: &mut Vec<(String, String)>) {
    flatten_at(name, value, pairs, 0);
}

fn flatten_at(name: &str, value: Option<&AnyValue>, pairs: &mut Vec<(String, String)>, depth: usize) {
    match value.and_then(|v| v.value.as_ref()) {
        None => {}
        Some(Value::KeyValues(map)) if depth < MOST_NESTED => {
            for pair in &map.values {
                flatten_at(&format!("{name}_{}", pair.key), pair.value.as_ref(), pairs, depth + 1);
            }
        }
        Some(Value::KeyValues(_)) => {}
        Some(_) => pairs.push((name.to_owned(), value.map(text).unwrap_or_default())),
    }
}

/// A value as a line or a metadata value: text as it is, bytes as base64, lists and maps as JSON.
pub(super) fn text(value: &AnyValue) -> String {
    match &value.value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Bytes(bytes)) => STANDARD.encode(bytes),
        Some(Value::Bool(b)) => b.to_string(),
        Some(Value::Int(n)) => n.to_string(),
        Some(Value::Double(n)) => float(*n),
        Some(Value::Array(_) | Value::KeyValues(_)) => json(value, 0).to_string(),
    }
}

/// Go's shortest form.
fn float(n: f64) -> String {
    if n.is_nan() {
        "NaN".into()
    } else if n.is_infinite() {
        if n > 0.0 { "+Inf" } else { "-Inf" }.into()
    } else {
        n.to_string()
    }
}

fn json(value: &AnyValue, depth: usize) -> serde_json::Value {
    use serde_json::Value as Json;
    match &value.value {
        _ if depth > MOST_NESTED => Json::Null,
        None => Json::Null,
        Some(Value::String(text)) => Json::String(text.clone()),
        Some(Value::Bool(b)) => Json::Bool(*b),
        Some(Value::Int(n)) => Json::from(*n),
        // Whole numbers are printed without a fraction, as Go does.
        Some(Value::Double(n)) if n.fract() == 0.0 && n.abs() < 1e15 => Json::from(*n as i64),
        Some(Value::Double(n)) => Json::from(*n),
        Some(Value::Bytes(bytes)) => Json::String(STANDARD.encode(bytes)),
        Some(Value::Array(list)) => list.values.iter().map(|v| json(v, depth + 1)).collect(),
        Some(Value::KeyValues(map)) => Json::Object(
            map.values
                .iter()
                .map(|kv| (kv.key.clone(), kv.value.as_ref().map_or(Json::Null, |v| json(v, depth + 1))))
                .collect(),
        ),
    }
}

/// Lower-case hexadecimal; empty for ids of zeros, which mean none.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    if bytes.iter().any(|b| *b != 0) {
        for byte in bytes {
            // Writing to a string cannot fail.
            let _ = write!(out, "{byte:02x}");
        }
    }
    out
}
