//! OTLP's JSON mapping: camelCase names, 64-bit integers as strings or numbers, ids in hexadecimal, bytes in base64.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Deserializer, de};

use super::model;

/// Decodes a request.
pub(super) fn decode(body: &[u8]) -> Result<model::ExportLogsServiceRequest, serde_json::Error> {
    let request: Option<Request> = serde_json::from_slice(body)?;
    let resource_logs = request.unwrap_or_default().resource_logs.unwrap_or_default();
    Ok(model::ExportLogsServiceRequest { resource_logs: resource_logs.into_iter().map(Into::into).collect() })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    resource_logs: Option<Vec<ResourceLogs>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ResourceLogs {
    resource: Option<Resource>,
    scope_logs: Option<Vec<ScopeLogs>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Resource {
    attributes: Option<Vec<KeyValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ScopeLogs {
    scope: Option<Scope>,
    log_records: Option<Vec<LogRecord>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Scope {
    name: String,
    version: String,
    attributes: Option<Vec<KeyValue>>,
    dropped_attributes_count: u32,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LogRecord {
    #[serde(deserialize_with = "number")]
    time_unix_nano: u64,
    #[serde(deserialize_with = "number")]
    observed_time_unix_nano: u64,
    #[serde(deserialize_with = "severity")]
    severity_number: i32,
    severity_text: String,
    body: Option<AnyValue>,
    attributes: Option<Vec<KeyValue>>,
    dropped_attributes_count: u32,
    flags: u32,
    #[serde(deserialize_with = "hex")]
    trace_id: Vec<u8>,
    #[serde(deserialize_with = "hex")]
    span_id: Vec<u8>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyValue {
    key: String,
    value: Option<AnyValue>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AnyValue {
    string_value: Option<String>,
    bool_value: Option<bool>,
    #[serde(deserialize_with = "maybe_number")]
    int_value: Option<i64>,
    double_value: Option<f64>,
    array_value: Option<ArrayValue>,
    kvlist_value: Option<KeyValueList>,
    bytes_value: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ArrayValue {
    values: Vec<AnyValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyValueList {
    values: Vec<KeyValue>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Int(i64),
    Uint(u64),
    Text(String),
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match Option::<Number>::deserialize(deserializer)? {
        None => Ok(0),
        Some(Number::Int(n)) => u64::try_from(n).map_err(de::Error::custom),
        Some(Number::Uint(n)) => Ok(n),
        Some(Number::Text(text)) if text.is_empty() => Ok(0),
        Some(Number::Text(text)) => text.parse().map_err(de::Error::custom),
    }
}

fn maybe_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    match Option::<Number>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Number::Int(n)) => Ok(Some(n)),
        Some(Number::Uint(n)) => i64::try_from(n).map(Some).map_err(de::Error::custom),
        Some(Number::Text(text)) => text.parse().map(Some).map_err(de::Error::custom),
    }
}

/// The number, or its name in the schema.
fn severity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i32, D::Error> {
    const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    match Option::<Number>::deserialize(deserializer)? {
        None => Ok(0),
        Some(Number::Int(n)) => i32::try_from(n).map_err(de::Error::custom),
        Some(Number::Uint(n)) => i32::try_from(n).map_err(de::Error::custom),
        Some(Number::Text(text)) => {
            let name = text.strip_prefix("SEVERITY_NUMBER_").unwrap_or(&text);
            let (word, step) = match name.as_bytes().last() {
                Some(digit @ b'2'..=b'4') => (&name[..name.len() - 1], i32::from(digit - b'1')),
                _ => (name, 0),
            };
            let at = NAMES.iter().position(|n| *n == word).and_then(|at| i32::try_from(at).ok());
            Ok(at.map_or(0, |at| 4 * at + 1 + step))
        }
    }
}

fn hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    let digits = text.bytes().map(|b| char::from(b).to_digit(16).map(|d| d as u8)).collect::<Option<Vec<u8>>>();
    let digits = digits.filter(|d| d.len() % 2 == 0);
    let digits = digits.ok_or_else(|| de::Error::custom(format!("\"{text}\" is not a hexadecimal id")))?;
    Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

impl From<ResourceLogs> for model::ResourceLogs {
    fn from(logs: ResourceLogs) -> Self {
        Self {
            resource: logs.resource.map(|r| model::Resource { attributes: pairs(r.attributes) }),
            scope_logs: logs.scope_logs.unwrap_or_default().into_iter().map(Into::into).collect(),
        }
    }
}

impl From<ScopeLogs> for model::ScopeLogs {
    fn from(logs: ScopeLogs) -> Self {
        let scope = logs.scope.map(|scope| model::Scope {
            name: scope.name,
            version: scope.version,
            attributes: pairs(scope.attributes),
            dropped_attributes_count: scope.dropped_attributes_count,
        });
        Self { scope, log_records: logs.log_records.unwrap_or_default().into_iter().map(Into::into).collect() }
    }
}

impl From<LogRecord> for model::LogRecord {
    fn from(record: LogRecord) -> Self {
        Self {
            time_unix_nano: record.time_unix_nano,
            severity_number: record.severity_number,
            severity_text: record.severity_text,
            body: record.body.map(Into::into),
            attributes: pairs(record.attributes),
            dropped_attributes_count: record.dropped_attributes_count,
            flags: record.flags,
            trace_id: record.trace_id,
            span_id: record.span_id,
            observed_time_unix_nano: record.observed_time_unix_nano,
        }
    }
}

fn pairs(pairs: Option<Vec<KeyValue>>) -> Vec<model::KeyValue> {
    let pairs = pairs.unwrap_or_default().into_iter();
    pairs.map(|pair| model::KeyValue { key: pair.key, value: pair.value.map(Into::into) }).collect()
}

impl From<AnyValue> for model::AnyValue {
    fn from(value: AnyValue) -> Self {
        use model::Value;
        let values = |list: ArrayValue| model::ArrayValue { values: list.values.into_iter().map(Into::into).collect() };
        let value = value
            .string_value
            .map(Value::String)
            .or(value.bool_value.map(Value::Bool))
            .or(value.int_value.map(Value::Int))
            .or(value.double_value.map(Value::Double))
            .or(value.array_value.map(|list| Value::Array(values(list))))
            .or(value.kvlist_value.map(|map| Value::KeyValues(model::KeyValueList { values: pairs(Some(map.values)) })))
            .or(value.bytes_value.map(|text| Value::Bytes(STANDARD.decode(text.as_bytes()).unwrap_or_default())));
        Self { value }
    }
}
