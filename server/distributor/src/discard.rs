//! What was refused of a push, and what is said of it.

use std::fmt::Write;

use narvi_types::Entry;

/// Refused lines of one reason and policy.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Discard {
    /// Why.
    pub reason: DiscardReason,
    /// The policy of their streams, if they have one.
    pub policy: String,
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
    OutOfOrder,
    RateLimited,
    PerStreamRateLimit,
    StreamLimit,
    BlockedIngestion,
    BlockedIngestionPolicy,
    MissingEnforcedLabels,
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
            Self::OutOfOrder => "out_of_order",
            Self::RateLimited => "rate_limited",
            Self::PerStreamRateLimit => "per_stream_rate_limit",
            Self::StreamLimit => "stream_limit",
            Self::BlockedIngestion => "blocked_ingestion",
            Self::BlockedIngestionPolicy => "blocked_ingestion_policy",
            Self::MissingEnforcedLabels => "missing_enforced_labels",
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

pub(crate) struct Refusal {
    pub(crate) reason: DiscardReason,
    pub(crate) message: String,
}

#[derive(Default)]
pub(crate) struct Refusals {
    /// Reasons and messages in the order they first came, with how often.
    messages: Vec<(DiscardReason, String, usize)>,
    pub(crate) discarded: Vec<Discard>,
}

impl Refusals {
    pub(crate) fn count(&mut self, reason: DiscardReason, policy: &str, entries: &[Entry]) {
        let bytes = entries.iter().map(bytes_of).sum();
        let lines = entries.len() as u64;
        match self.discarded.iter_mut().find(|d| d.reason == reason && d.policy == policy) {
            Some(discard) => {
                discard.lines += lines;
                discard.bytes += bytes;
            }
            None => self.discarded.push(Discard { reason, policy: policy.to_owned(), lines, bytes }),
        }
    }

    pub(crate) fn add(&mut self, refusal: Refusal, policy: &str, entries: &[Entry]) {
        self.count(refusal.reason, policy, entries);
        match self.messages.iter_mut().find(|(_, message, _)| *message == refusal.message) {
            Some((_, _, times)) => *times += 1,
            None => self.messages.push((refusal.reason, refusal.message, 1)),
        }
    }

    /// Whether there are messages, all of one reason.
    pub(crate) fn are_all(&self, reason: DiscardReason) -> bool {
        !self.messages.is_empty() && self.messages.iter().all(|(of, _, _)| *of == reason)
    }

    pub(crate) fn text(&self) -> Option<String> {
        let mut out = String::new();
        for (_, message, times) in &self.messages {
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

/// Bytes that an entry counts for: its line and its metadata.
pub(crate) fn bytes_of(entry: &Entry) -> u64 {
    (entry.line.len() + entry.metadata.text_bytes()) as u64
}
