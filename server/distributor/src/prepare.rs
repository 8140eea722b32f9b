//! From decoded streams to what is stored, with Loki's checks in Loki's order.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use narvi_config::Limits;
use narvi_types::{Entry, Labels, Timestamp};

use crate::{
    discard::{Discard, DiscardReason, Refusal, Refusals},
    ingest,
    labels::print,
    level::{self, Level},
    metadata, service_name,
    shares::{Alone, Shares},
    streams::{Streams, TenantStreams},
    times::{rfc3339, rfc3339_secs},
};

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
    /// What the client has to be told about the rest.
    pub error: Option<String>,
    /// The status to tell it with; a push without any stream is 422 instead.
    pub status: u16,
    /// Whether the request held no stream at all.
    pub empty: bool,
    /// Lines to be stored.
    pub lines: u64,
    /// Their bytes.
    pub line_bytes: u64,
    /// Bytes of their structured metadata.
    pub metadata_bytes: u64,
    /// The same by policy.
    pub by_policy: Vec<Taken>,
    /// What was refused, by reason and policy.
    pub discarded: Vec<Discard>,
    /// Lines that were cut.
    pub truncated_lines: u64,
    /// Bytes that were cut off.
    pub truncated_bytes: u64,
}

/// What is to be stored of the streams of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain figures")]
pub struct Taken {
    /// The policy; empty for streams without one.
    pub policy: String,
    /// Lines.
    pub lines: u64,
    /// Their bytes.
    pub line_bytes: u64,
    /// Bytes of their structured metadata.
    pub metadata_bytes: u64,
}

impl Prepared {
    /// Counts a stream that is to be stored.
    fn take(&mut self, stream: &ingest::Checked) {
        let at = self.by_policy.iter().position(|taken| taken.policy == stream.policy).unwrap_or_else(|| {
            self.by_policy.push(Taken { policy: stream.policy.clone(), ..Taken::default() });
            self.by_policy.len() - 1
        });
        let lines = stream.entries.len() as u64;
        let line_bytes = stream.entries.iter().map(|entry| entry.line.len() as u64).sum::<u64>();
        let metadata_bytes = stream.entries.iter().map(|entry| entry.metadata.text_bytes() as u64).sum::<u64>();
        self.lines += lines;
        self.line_bytes += line_bytes;
        self.metadata_bytes += metadata_bytes;
        let taken = &mut self.by_policy[at];
        taken.lines += lines;
        taken.line_bytes += line_bytes;
        taken.metadata_bytes += metadata_bytes;
    }
}

/// Prepares pushes; remembers what it saw of each stream and tenant.
#[derive(Debug)]
pub struct Distributor {
    streams: Streams,
    shares: Arc<dyn Shares>,
}

impl Default for Distributor {
    fn default() -> Self {
        Self { streams: Streams::default(), shares: Arc::new(Alone) }
    }
}

impl Distributor {
    /// Starts without a memory of streams; those that get nothing for half an hour are no longer active.
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`Distributor::new`], with another time after which a stream is no longer active.
    pub fn with_idle(idle: Duration) -> Self {
        Self { streams: Streams::new(idle), ..Self::default() }
    }

    /// Says with whom this process shares the limits of tenants. Without, it has all of them.
    #[must_use]
    pub fn sharing(self, shares: Arc<dyn Shares>) -> Self {
        Self { shares, ..self }
    }

    /// The active streams of each tenant whose limits ask for counting them.
    pub fn active_streams(&self) -> Vec<TenantStreams> {
        self.streams.by_tenant()
    }

    /// Checks and completes the streams of one push. What fails is left out and told in [`Prepared::error`]; the rest is to be
    /// stored all the same.
    pub fn prepare(&self, tenant: &str, streams: Vec<RawStream>, limits: &Limits, now: Timestamp) -> Prepared {
        let mut prepared = Prepared { empty: streams.is_empty(), status: 400, ..Prepared::default() };
        let mut refusals = Refusals::default();
        if let Some(until) = limits.block_ingestion_until.filter(|until| *until > now) {
            return blocked(tenant, streams, until, limits.block_ingestion_status_code);
        }
        let mut checked = Vec::with_capacity(streams.len());
        for stream in streams.into_iter().filter(|s| !s.entries.is_empty()) {
            let (labels, text) = match complete_labels(stream.labels, limits) {
                Ok(complete) => complete,
                Err(refusal) => {
                    refusals.add(refusal, "", &stream.entries);
                    continue;
                }
            };
            let of = Stream { policy: limits.policies.of(&labels), text: &text, tenant, limits, now };
            if of.refused(&labels, &stream.entries, &mut refusals) {
                continue;
            }
            let mut entries = of.check_entries(stream.entries, &mut refusals, &mut prepared);
            of.finish_entries(&labels, &mut entries, &mut refusals);
            let policy = of.policy.to_owned();
            checked.push(ingest::Checked { labels, text, policy, entries });
        }
        prepared.error = refusals.text();
        if refusals.are_all(DiscardReason::BlockedIngestionPolicy) {
            prepared.status = limits.block_ingestion_status_code;
        }
        if let Some(refused) = ingest::rate_limit((&self.streams, &*self.shares), tenant, &checked, limits, now) {
            for stream in &checked {
                refusals.count(DiscardReason::RateLimited, &stream.policy, &stream.entries);
            }
            (prepared.error, prepared.status) = (Some(refused), 429);
            checked.clear();
        }
        let of_streams = ingest::Ingest { streams: &self.streams, shares: &*self.shares, tenant, limits, now };
        for mut stream in checked {
            if let Some(failed) = of_streams.admit(&mut stream, &mut refusals) {
                // What the store says is stronger than what the checks before it said.
                (prepared.error, prepared.status) = (Some(failed.message), failed.status);
            }
            if stream.entries.is_empty() {
                continue;
            }
            prepared.take(&stream);
            prepared.streams.push(StreamPart { labels: stream.labels, entries: stream.entries });
        }
        prepared.discarded = refusals.discarded;
        prepared
    }
}

/// A push to a tenant that may not push.
fn blocked(tenant: &str, streams: Vec<RawStream>, until: Timestamp, status: u16) -> Prepared {
    let mut refusals = Refusals::default();
    let empty = streams.is_empty();
    streams.iter().for_each(|stream| refusals.count(DiscardReason::BlockedIngestion, "", &stream.entries));
    let until = rfc3339(until);
    let message = format!("ingestion blocked for user '{tenant}' until '{until}' with status code '{status}'");
    let error = (status != 200 && !empty).then_some(message);
    Prepared { empty, status, error, discarded: refusals.discarded, ..Prepared::default() }
}

/// A stream that is looked at.
struct Stream<'a> {
    policy: &'a str,
    /// Its labels as text.
    text: &'a str,
    tenant: &'a str,
    limits: &'a Limits,
    now: Timestamp,
}

impl Stream<'_> {
    /// Whether the stream is refused as a whole: it lacks a label that it must have, or its policy is blocked.
    fn refused(&self, labels: &Labels, entries: &[Entry], refusals: &mut Refusals) -> bool {
        let Self { policy, tenant, limits, .. } = *self;
        let mut missing: Vec<&str> = Vec::new();
        let enforced = limits.enforced_labels.iter().map(String::as_str).chain(limits.policies.enforced(policy));
        for name in enforced.filter(|name| labels.get(name).is_none()) {
            if !missing.contains(&name) {
                missing.push(name);
            }
        }
        if !missing.is_empty() {
            let message = format!(
                "missing required labels '{}' for user '{tenant}' for stream '{}' (policy: '{policy}')",
                missing.join(","),
                self.text,
            );
            refusals.add(Refusal { reason: DiscardReason::MissingEnforcedLabels, message }, policy, entries);
            return true;
        }
        let Some(until) = limits.policies.blocked_until(policy, self.now) else { return false };
        let (reason, status) = (DiscardReason::BlockedIngestionPolicy, limits.block_ingestion_status_code);
        if status == 200 {
            // Dropped silently.
            refusals.count(reason, policy, entries);
            return true;
        }
        let until = rfc3339(until);
        let message = format!(
            "ingestion blocked for user '{tenant}' (policy: '{policy}') until '{until}' with status code '{status}'"
        );
        refusals.add(Refusal { reason, message }, policy, entries);
        true
    }

    fn check_entries(&self, entries: Vec<Entry>, refusals: &mut Refusals, prepared: &mut Prepared) -> Vec<Entry> {
        let Self { policy, text: stream, limits, now, .. } = *self;
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
                prepared.truncated_lines += 1;
                prepared.truncated_bytes += (entry.line.len() - max_line) as u64;
                entry.line = cut(&entry.line, max_line, &limits.max_line_size_truncate_identifier);
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
                Some((reason, message)) => {
                    refusals.add(Refusal { reason, message }, policy, std::slice::from_ref(&entry));
                }
            }
        }
        kept
    }

    /// Normalises metadata, detects levels, and moves repeated times apart if asked.
    fn finish_entries(&self, labels: &Labels, entries: &mut Vec<Entry>, refusals: &mut Refusals) {
        let Self { policy, text: stream, limits, .. } = *self;
        let detect = limits.discover_log_levels && limits.allow_structured_metadata;
        let of_stream = if detect { level::of_labels(labels.iter()) } else { None };
        let mut previous: Option<(Timestamp, Bytes)> = None;
        let failed = entries.extract_if(.., |entry| {
            let given =
                entry.metadata.get(level::LABEL).map(|v| Level::from_value(v.as_bytes()).unwrap_or(Level::Unknown));
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
            refusals.add(Refusal { reason: DiscardReason::StructuredMetadataTooLarge, message }, policy, &failed);
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

/// The beginning of a line, and what says that it is one.
fn cut(line: &Bytes, most: usize, identifier: &str) -> Bytes {
    if identifier.is_empty() || identifier.len() > most {
        return line.slice(..most);
    }
    [&line[..most - identifier.len()], identifier.as_bytes()].concat().into()
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
