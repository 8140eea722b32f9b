//! From decoded streams to what is stored, with Loki's checks in Loki's order.

use std::{fmt::Write, time::Duration};

use narvi_config::Limits;
use narvi_types::{Entry, Labels, Timestamp};

use crate::{
    labels::print,
    level::{self, Level},
    metadata, service_name,
    window::Highest,
};

const STREAM_ERRORS: usize = 10;

/// A stream as a protocol decoder found it.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "made by every decoder")]
pub struct RawStream {
    /// Labels in the order sent, duplicates included.
    pub labels: Vec<(String, String)>,
    /// Entries in the order sent, metadata as sent.
    pub entries: Vec<Entry>,
}

/// A stream as it is to be stored.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct StreamPart {
    /// Its labels.
    pub labels: Labels,
    /// Its entries, in the order sent.
    pub entries: Vec<Entry>,
}

/// What came of a push.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Prepared {
    /// To be stored.
    pub streams: Vec<StreamPart>,
    /// What the client has to be told about the rest; status 400 unless the push was without any stream (422).
    pub error: Option<String>,
    /// Whether the request held no stream at all.
    pub empty: bool,
    /// Lines to be stored.
    pub lines: u64,
    /// Their bytes.
    pub line_bytes: u64,
    /// Bytes of their structured metadata.
    pub metadata_bytes: u64,
    /// What was refused, by reason.
    pub discarded: Vec<Discard>,
}

/// Refused lines of one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Discard {
    /// Why.
    pub reason: DiscardReason,
    /// How many lines.
    pub lines: u64,
    /// How many bytes.
    pub bytes: u64,
}

/// Why lines were refused; `as_str` is the value of the metric's `reason` label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are Loki's")]
#[non_exhaustive]
pub enum DiscardReason {
    LineTooLong,
    TooFarBehind,
    GreaterThanMaxSampleAge,
    TooFarInFuture,
    MaxLabelNamesPerSeries,
    LabelNameTooLong,
    LabelValueTooLong,
    DuplicateLabelNames,
    DisallowedStructuredMetadata,
    StructuredMetadataTooLarge,
    StructuredMetadataTooMany,
}

impl DiscardReason {
    /// Loki's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LineTooLong => "line_too_long",
            Self::TooFarBehind => "too_far_behind",
            Self::GreaterThanMaxSampleAge => "greater_than_max_sample_age",
            Self::TooFarInFuture => "too_far_in_future",
            Self::MaxLabelNamesPerSeries => "max_label_names_per_series",
            Self::LabelNameTooLong => "label_name_too_long",
            Self::LabelValueTooLong => "label_value_too_long",
            Self::DuplicateLabelNames => "duplicate_label_names",
            Self::DisallowedStructuredMetadata => "disallowed_structured_metadata",
            Self::StructuredMetadataTooLarge => "structured_metadata_too_large",
            Self::StructuredMetadataTooMany => "structured_metadata_too_many",
        }
    }
}

/// Prepares pushes; remembers the newest time of each stream.
#[derive(Debug, Default)]
pub struct Distributor {
    highest: Highest,
}

struct Refusal {
    reason: DiscardReason,
    message: String,
}

#[derive(Default)]
struct Refusals {
    /// Messages in the order they first came, with how often.
    messages: Vec<(String, usize)>,
    discarded: Vec<Discard>,
}

impl Refusals {
    fn count(&mut self, reason: DiscardReason, entries: &[Entry]) {
        let bytes = entries.iter().map(|e| e.line.len() as u64).sum();
        let lines = entries.len() as u64;
        match self.discarded.iter_mut().find(|d| d.reason == reason) {
            Some(discard) => {
                discard.lines += lines;
                discard.bytes += bytes;
            }
            None => self.discarded.push(Discard { reason, lines, bytes }),
        }
    }

    fn add(&mut self, refusal: Refusal, entries: &[Entry]) {
        self.count(refusal.reason, entries);
        match self.messages.iter_mut().find(|(message, _)| *message == refusal.message) {
            Some((_, times)) => *times += 1,
            None => self.messages.push((refusal.message, 1)),
        }
    }

    fn text(&self) -> Option<String> {
        let mut out = String::new();
        for (message, times) in &self.messages {
            if !out.is_empty() {
                out.push_str("; ");
            }
            if *times > 1 {
                // Writing to a string cannot fail.
                let _ = write!(out, "{times} errors like: ");
            }
            out.push_str(message);
        }
        (!out.is_empty()).then_some(out)
    }
}

impl Distributor {
    /// Starts without a memory of streams.
    pub fn new() -> Self {
        Self::default()
    }

    /// Checks and completes the streams of one push. What fails is left out and told in [`Prepared::error`]; the rest is to be
    /// stored all the same.
    pub fn prepare(&self, tenant: &str, streams: Vec<RawStream>, limits: &Limits, now: Timestamp) -> Prepared {
        let mut prepared = Prepared { empty: streams.is_empty(), ..Prepared::default() };
        let mut refusals = Refusals::default();
        let mut behind = None;
        for stream in streams.into_iter().filter(|s| !s.entries.is_empty()) {
            let (labels, text) = match complete_labels(stream.labels, limits) {
                Ok(done) => done,
                Err(refusal) => {
                    refusals.add(refusal, &stream.entries);
                    continue;
                }
            };
            let mut entries = check_entries(stream.entries, &text, limits, now, &mut refusals);
            finish_entries(&labels, &text, &mut entries, limits, &mut refusals);
            if let Some(window) = limits.out_of_order_window {
                let late = self.drop_late(tenant, &labels, &mut entries, window, &mut refusals);
                behind = late.map(|lines| behind_text(&lines, tenant, &text)).or(behind);
            }
            if entries.is_empty() {
                continue;
            }
            prepared.lines += entries.len() as u64;
            for entry in &entries {
                prepared.line_bytes += entry.line.len() as u64;
                prepared.metadata_bytes += entry.metadata.text_bytes() as u64;
            }
            prepared.streams.push(StreamPart { labels, entries });
        }
        prepared.error = refusals.text().or(behind);
        prepared.discarded = refusals.discarded;
        prepared
    }

    /// Takes out the entries that lie too far behind; gives their message lines and how many of how many there were.
    fn drop_late(
        &self,
        tenant: &str,
        labels: &Labels,
        entries: &mut Vec<Entry>,
        window: Duration,
        refusals: &mut Refusals,
    ) -> Option<Late> {
        let window = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
        let stream = labels.hash64().rotate_left(1) ^ hash(tenant);
        let all = entries.len();
        let late = self.highest.with(stream, |highest| {
            entries
                .extract_if(.., |entry| {
                    let oldest = highest.saturating_sub(window);
                    *highest = (*highest).max(entry.timestamp.as_ns());
                    entry.timestamp.as_ns() < oldest
                })
                .collect::<Vec<_>>()
        });
        if late.is_empty() {
            return None;
        }
        refusals.count(DiscardReason::TooFarBehind, &late);
        let highest = self.highest.with(stream, |highest| *highest);
        let oldest = Timestamp::from_ns(highest.saturating_sub(window));
        Some(Late { times: late.iter().map(|e| e.timestamp).collect(), oldest, all })
    }
}

struct Late {
    times: Vec<Timestamp>,
    oldest: Timestamp,
    all: usize,
}

fn hash(text: &str) -> u64 {
    // FNV-1a: stable and short; only spreads streams over shards.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

fn behind_text(late: &Late, tenant: &str, stream: &str) -> String {
    let oldest = rfc3339(late.oldest);
    let mut out = String::new();
    for time in late.times.iter().take(STREAM_ERRORS) {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "entry with timestamp {} ignored, reason: 'entry too far behind, entry timestamp is: {}, oldest acceptable \
             timestamp is: {oldest}',",
            go_time(*time),
            rfc3339(*time),
        );
    }
    let (late, all) = (late.times.len(), late.all);
    let _ = write!(out, "user '{tenant}', total ignored: {late} out of {all} for stream: {stream}");
    out
}

/// Sorts the labels, drops empty ones, names the service, and checks; gives the labels and their text.
fn complete_labels(mut pairs: Vec<(String, String)>, limits: &Limits) -> Result<(Labels, String), Refusal> {
    pairs.retain(|(_, value)| !value.is_empty());
    pairs.sort();
    let mut counted = pairs.len();
    let named = pairs.iter().position(|(name, _)| name == service_name::SERVICE_NAME);
    match named {
        Some(_) => counted -= 1,
        None if limits.discover_service_name.is_empty() => {}
        None => {
            let service = service_name::discover(&pairs, &limits.discover_service_name).to_owned();
            let at = pairs.partition_point(|(name, _)| name.as_str() < service_name::SERVICE_NAME);
            pairs.insert(at, (service_name::SERVICE_NAME.to_owned(), service));
        }
    }
    let text = print(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
    let refuse = |reason, message| Err(Refusal { reason, message });
    if exceeds(counted, limits.max_label_names_per_series) {
        return refuse(
            DiscardReason::MaxLabelNamesPerSeries,
            format!("entry for stream '{text}' has {counted} label names; limit {}", limits.max_label_names_per_series),
        );
    }
    for (at, (name, value)) in pairs.iter().enumerate() {
        if exceeds(name.len(), limits.max_label_name_length) {
            let message = format!("stream '{text}' has label name too long: '{name}'");
            return refuse(DiscardReason::LabelNameTooLong, message);
        }
        if exceeds(value.len(), limits.max_label_value_length) {
            let message = format!("stream '{text}' has label value too long: '{value}'");
            return refuse(DiscardReason::LabelValueTooLong, message);
        }
        if at > 0 && pairs[at - 1].0 == *name {
            let message = format!("stream '{text}' has duplicate label name: '{name}'");
            return refuse(DiscardReason::DuplicateLabelNames, message);
        }
    }
    match Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))) {
        Ok(labels) => Ok((labels, text)),
        Err(error) => refuse(DiscardReason::LabelValueTooLong, format!("stream '{text}' cannot be stored: {error}")),
    }
}

/// Whether a value is over a limit of which 0 means none.
fn exceeds(value: usize, limit: usize) -> bool {
    limit > 0 && value > limit
}

fn check_entries(
    entries: Vec<Entry>,
    stream: &str,
    limits: &Limits,
    now: Timestamp,
    refusals: &mut Refusals,
) -> Vec<Entry> {
    let ns = |d: Duration| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX);
    let latest = limits.creation_grace_period.map_or(i64::MAX, |grace| now.as_ns().saturating_add(ns(grace)));
    let oldest = match limits.reject_old_samples {
        true => now.as_ns().saturating_sub(ns(limits.reject_old_samples_max_age)),
        false => i64::MIN,
    };
    let mut kept = Vec::with_capacity(entries.len());
    for mut entry in entries {
        let max_line = limits.max_line_size_bytes;
        if exceeds(entry.line.len(), max_line) && limits.max_line_size_truncate {
            entry.line.truncate(max_line);
        }
        let time = entry.timestamp.as_ns();
        let refusal = if time < oldest {
            let (time, oldest) = (rfc3339(entry.timestamp), rfc3339(Timestamp::from_ns(oldest)));
            Some((
                DiscardReason::GreaterThanMaxSampleAge,
                format!(
                    "entry for stream '{stream}' has timestamp too old: {time}, oldest acceptable timestamp is: {oldest}"
                ),
            ))
        } else if time > latest {
            let time = rfc3339_secs(entry.timestamp);
            let message = format!("entry for stream '{stream}' has timestamp too new: {time}");
            Some((DiscardReason::TooFarInFuture, message))
        } else if exceeds(entry.line.len(), max_line) {
            let message = format!(
                "max entry size '{max_line}' bytes exceeded for stream '{stream}' while adding an entry with length \
                 '{}' bytes",
                entry.line.len()
            );
            Some((DiscardReason::LineTooLong, message))
        } else {
            check_metadata(&entry, stream, limits)
        };
        match refusal {
            None => kept.push(entry),
            Some((reason, message)) => refusals.add(Refusal { reason, message }, std::slice::from_ref(&entry)),
        }
    }
    kept
}

fn check_metadata(entry: &Entry, stream: &str, limits: &Limits) -> Option<(DiscardReason, String)> {
    if entry.metadata.is_empty() {
        return None;
    }
    if !limits.allow_structured_metadata {
        let message = format!(
            "stream '{stream}' includes structured metadata, but this feature is disallowed. Please see \
             `limits_config.allow_structured_metadata` or contact your Loki administrator to enable it"
        );
        return Some((DiscardReason::DisallowedStructuredMetadata, message));
    }
    let (pairs, bytes) = (entry.metadata.len(), entry.metadata.text_bytes());
    if exceeds(bytes, limits.max_structured_metadata_size_bytes) {
        let limit = limits.max_structured_metadata_size_bytes;
        let message = format!(
            "stream '{stream}' has structured metadata too large: '{bytes}' bytes, limit: '{limit}' bytes. Please see \
             `limits_config.max_structured_metadata_size` or contact your Loki administrator to increase it"
        );
        return Some((DiscardReason::StructuredMetadataTooLarge, message));
    }
    if exceeds(pairs, limits.max_structured_metadata_entries) {
        let limit = limits.max_structured_metadata_entries;
        let message = format!(
            "stream '{stream}' has too many structured metadata labels: '{pairs}', limit: '{limit}'. Please see \
             `limits_config.max_structured_metadata_entries_count` or contact your Loki administrator to increase it"
        );
        return Some((DiscardReason::StructuredMetadataTooMany, message));
    }
    None
}

/// Normalises metadata, detects levels, and moves repeated times apart if asked.
fn finish_entries(labels: &Labels, stream: &str, entries: &mut Vec<Entry>, limits: &Limits, refusals: &mut Refusals) {
    let detect = limits.discover_log_levels && limits.allow_structured_metadata;
    let of_stream = if detect { level::of_labels(labels.iter()) } else { None };
    let mut previous: Option<(Timestamp, bytes::Bytes)> = None;
    let failed = entries.extract_if(.., |entry| {
        let given = entry.metadata.get(level::LABEL).map(|v| Level::from_value(v.as_bytes()).unwrap_or(Level::Unknown));
        let level =
            detect.then(|| given.or(of_stream).unwrap_or_else(|| level::of_entry(&entry.metadata, &entry.line)));
        entry.metadata = match (entry.metadata.is_empty(), level) {
            (true, None) => return false,
            (true, Some(level)) => level.metadata(),
            (false, level) => match metadata::normalize(&entry.metadata, level.map(Level::as_str)) {
                Ok(metadata) => metadata,
                Err(_) => return true,
            },
        };
        false
    });
    let failed: Vec<_> = failed.collect();
    if !failed.is_empty() {
        let message = format!("stream '{stream}' has structured metadata that is too large to be stored");
        refusals.add(Refusal { reason: DiscardReason::StructuredMetadataTooLarge, message }, &failed);
    }
    if limits.increment_duplicate_timestamp {
        for entry in entries.iter_mut() {
            if let Some((time, line)) = &previous
                && *time == entry.timestamp
                && *line != entry.line
            {
                entry.timestamp = Timestamp::from_ns(entry.timestamp.as_ns().saturating_add(1));
            }
            previous = Some((entry.timestamp, entry.line.clone()));
        }
    }
}

fn rfc3339(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.as_ns())).map_or_else(|_| time.to_string(), |t| t.to_string())
}

/// Without the fraction, as Go's RFC3339 layout prints.
fn rfc3339_secs(time: Timestamp) -> String {
    rfc3339(Timestamp::from_secs(time.as_ns().div_euclid(1_000_000_000)))
}

/// As Go prints a time: `2026-09-19 23:49:59 +0000 UTC`.
fn go_time(time: Timestamp) -> String {
    rfc3339(time).replace('T', " ").replace('Z', " +0000 UTC")
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
