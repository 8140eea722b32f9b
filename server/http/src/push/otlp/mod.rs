//! OTLP logs, as protobuf and as JSON: resources become streams, everything else structured metadata.

mod json;
mod model;
mod value;

use std::collections::BTreeMap;

use bytes::Bytes;
use narvi_config::{OtlpAction, OtlpRules};
use narvi_distributor::RawStream;
use narvi_types::{Entry, Metadata, Timestamp};
use prost::Message;

use self::model::{ExportLogsServiceRequest, LogRecord, Scope};
use super::{Encoding, PushError, unpack};

/// Decodes the body of a push. Records without any time get `now`; without rules, Loki's defaults say which attributes are
/// labels.
///
/// # Errors
/// The body cannot be decoded or is too large.
pub fn decode(
    content_type: Option<&str>,
    content_encoding: Option<&str>,
    body: Bytes,
    limit_bytes: usize,
    rules: Option<&OtlpRules>,
    now: Timestamp,
) -> Result<Vec<RawStream>, PushError> {
    let kind = content_type.unwrap_or("");
    let json = match kind.split(';').next().unwrap_or("").trim().to_ascii_lowercase().as_str() {
        "application/json" => true,
        "application/x-protobuf" => false,
        _ => return Err(PushError::bad(format!("content type: {kind} is not supported"))),
    };
    let body = unpack(Encoding::of_otlp(content_encoding)?, body, limit_bytes)?;
    let request = if json { decode_json(&body)? } else { decode_proto(&body)? };
    let defaults = OtlpRules::default();
    streams(request, rules.unwrap_or(&defaults), now)
}

pub(crate) fn decode_proto(body: &[u8]) -> Result<ExportLogsServiceRequest, PushError> {
    ExportLogsServiceRequest::decode(body)
        .map_err(|error| PushError::bad(format!("unexpected EOF or bad field: {error}")))
}

pub(crate) fn decode_json(body: &[u8]) -> Result<ExportLogsServiceRequest, PushError> {
    json::decode(body).map_err(|error| PushError::bad(error.to_string()))
}

/// The error body of OTLP: a protobuf `google.rpc.Status` with the message as its second field.
pub fn status_body(message: &str) -> Vec<u8> {
    model::Status { code: 0, message: message.to_owned() }.encode_to_vec()
}

fn streams(request: ExportLogsServiceRequest, rules: &OtlpRules, now: Timestamp) -> Result<Vec<RawStream>, PushError> {
    // Several resources with the same labels are one stream.
    let mut streams: BTreeMap<Vec<(String, String)>, Vec<Entry>> = BTreeMap::new();
    for resource_logs in request.resource_logs {
        let resource = resource_logs.resource.unwrap_or_default();
        let (mut labels, mut shared) = (Vec::new(), Vec::new());
        for attribute in &resource.attributes {
            let target = match rules.of_resource(&attribute.key) {
                OtlpAction::IndexLabel => &mut labels,
                OtlpAction::StructuredMetadata => &mut shared,
                OtlpAction::Drop => continue,
            };
            value::flatten(&attribute.key, attribute.value.as_ref(), target);
        }
        tidy(&mut labels);
        for scope_logs in resource_logs.scope_logs {
            let mut pairs = shared.clone();
            scope_pairs(&scope_logs.scope.unwrap_or_default(), rules, &mut pairs);
            for record in scope_logs.log_records {
                let mut labels = labels.clone();
                let own = labels.len();
                let entry = entry(record, rules, &mut labels, pairs.clone(), now)?;
                if labels.len() > own {
                    tidy(&mut labels);
                }
                streams.entry(labels).or_default().push(entry);
            }
        }
    }
    Ok(streams.into_iter().map(|(labels, entries)| RawStream { labels, entries }).collect())
}

/// Makes names those of labels; of equal ones the first stays.
fn tidy(labels: &mut Vec<(String, String)>) {
    for (name, _) in labels.iter_mut() {
        *name = name.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "_");
    }
    labels.sort();
    labels.dedup_by(|a, b| a.0 == b.0);
}

fn scope_pairs(scope: &Scope, rules: &OtlpRules, pairs: &mut Vec<(String, String)>) {
    for attribute in scope.attributes.iter().filter(|attribute| rules.of_scope(&attribute.key) != OtlpAction::Drop) {
        value::flatten(&attribute.key, attribute.value.as_ref(), pairs);
    }
    push_text(pairs, "scope_name", &scope.name);
    push_text(pairs, "scope_version", &scope.version);
    push_number(pairs, "scope_dropped_attributes_count", u64::from(scope.dropped_attributes_count));
}

fn entry(
    record: LogRecord,
    rules: &OtlpRules,
    labels: &mut Vec<(String, String)>,
    mut pairs: Vec<(String, String)>,
    now: Timestamp,
) -> Result<Entry, PushError> {
    for attribute in &record.attributes {
        let target = match rules.of_log(&attribute.key) {
            OtlpAction::IndexLabel => &mut *labels,
            OtlpAction::StructuredMetadata => &mut pairs,
            OtlpAction::Drop => continue,
        };
        value::flatten(&attribute.key, attribute.value.as_ref(), target);
    }
    if rules.severity_text_as_label {
        push_text(labels, "severity_text", &record.severity_text);
    }
    // Where the observed time is the entry's own it is not told again.
    if record.time_unix_nano != 0 {
        push_number(&mut pairs, "observed_timestamp", record.observed_time_unix_nano);
    }
    push_number(&mut pairs, "severity_number", u64::try_from(record.severity_number).unwrap_or(0));
    push_text(&mut pairs, "severity_text", &record.severity_text);
    push_number(&mut pairs, "dropped_attributes_count", u64::from(record.dropped_attributes_count));
    push_number(&mut pairs, "flags", u64::from(record.flags));
    push_text(&mut pairs, "trace_id", &value::hex(&record.trace_id));
    push_text(&mut pairs, "span_id", &value::hex(&record.span_id));
    let time = match (record.time_unix_nano, record.observed_time_unix_nano) {
        (0, 0) => now,
        (0, observed) => Timestamp::from_ns(observed as i64),
        (time, _) => Timestamp::from_ns(time as i64),
    };
    let line = record.body.as_ref().map(value::text).unwrap_or_default();
    let mut entry = Entry::new(time, line);
    entry.metadata = Metadata::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))
        .map_err(|error| PushError::bad(error.to_string()))?;
    Ok(entry)
}

fn push_text(pairs: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !value.is_empty() {
        pairs.push((name.to_owned(), value.to_owned()));
    }
}

fn push_number(pairs: &mut Vec<(String, String)>, name: &str, value: u64) {
    if value != 0 {
        pairs.push((name.to_owned(), value.to_string()));
    }
}
