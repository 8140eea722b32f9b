//! What Loki's ingester refuses, and the rate of a tenant: limits that depend on what was pushed before.

use std::fmt::Write;

use narvi_config::{Limits, RateStrategy};
use narvi_types::{Entry, Labels, Timestamp};

use crate::{
    discard::{DiscardReason, Refusals, bytes_of},
    shares::Shares,
    streams::{Bucket, Stream, Streams},
    times::{go_time, rfc3339},
};

/// Lines of a message about the entries of a stream.
const STREAM_ERRORS: usize = 10;

/// A stream whose entries have passed their own checks.
pub(crate) struct Checked {
    pub(crate) labels: Labels,
    /// The labels as text.
    pub(crate) text: String,
    /// Its policy, if it has one.
    pub(crate) policy: String,
    pub(crate) entries: Vec<Entry>,
}

/// Why a stream, or entries of it, were refused.
pub(crate) struct Failed {
    pub(crate) status: u16,
    pub(crate) message: String,
}

/// Takes the bytes of a push from the tenant's rate; the message when there are not enough.
pub(crate) fn rate_limit(
    (streams, shares): (&Streams, &dyn Shares),
    tenant: &str,
    checked: &[Checked],
    limits: &Limits,
    now: Timestamp,
) -> Option<String> {
    let (mut rate, burst) = (limits.ingestion_rate_bytes, limits.ingestion_burst_bytes);
    if rate.is_infinite() {
        return None;
    }
    if limits.ingestion_rate_strategy == RateStrategy::Global {
        // As in Loki, a burst may come to one distributor as a whole.
        rate /= shares.distributors().max(1) as f64;
    }
    let entries = || checked.iter().flat_map(|stream| &stream.entries);
    let (lines, bytes) = (entries().count(), entries().map(bytes_of).sum::<u64>());
    if lines == 0 {
        return None;
    }
    let of = streams.tenant(tenant);
    let mut bucket = of.bucket.lock();
    let bucket = bucket.get_or_insert_with(|| Bucket::full(burst, now));
    if bucket.take(bytes as f64, rate, burst, now) {
        return None;
    }
    Some(format!(
        "ingestion rate limit exceeded for user {tenant} (limit: {} bytes/sec) while attempting to ingest '{lines}' lines \
         totaling '{bytes}' bytes, send less or have ingestion_rate_mb and ingestion_burst_size_mb raised",
        rate as u64
    ))
}

/// The limits of streams.
pub(crate) struct Ingest<'a> {
    pub(crate) streams: &'a Streams,
    pub(crate) shares: &'a dyn Shares,
    pub(crate) tenant: &'a str,
    pub(crate) limits: &'a Limits,
    pub(crate) now: Timestamp,
}

/// An entry that was refused.
struct Refused {
    entry: Entry,
    reason: DiscardReason,
    why: String,
}

impl Ingest<'_> {
    /// Takes out of a stream what may not be stored; says why if there is any.
    pub(crate) fn admit(&self, stream: &mut Checked, refusals: &mut Refusals) -> Option<Failed> {
        let limits = self.limits;
        let most = [self.of_all_ingesters(limits.max_streams_per_user), limits.max_global_streams_per_user];
        let most = most.into_iter().filter(|most| *most > 0).min().unwrap_or(0);
        let unlimited = most == 0 && limits.per_stream_rate_bytes.is_infinite() && limits.out_of_order_window.is_none();
        if unlimited || stream.entries.is_empty() {
            return None;
        }
        let id = stream.labels.hash64().rotate_left(1) ^ hash(self.tenant);
        let full = || Bucket::full(limits.per_stream_burst_bytes, self.now);
        let tenant = self.streams.tenant(self.tenant);
        let all = stream.entries.len();
        let (text, entries) = (&stream.text, &mut stream.entries);
        let refused = self.streams.with(id, &tenant, most, self.now, full, |known| self.check(known, text, entries));
        let Some(refused) = refused else {
            refusals.count(DiscardReason::StreamLimit, &stream.policy, &stream.entries);
            stream.entries.clear();
            let message = format!(
                "maximum active stream limit exceeded when trying to create stream {}, use fewer label values or have \
                 max_global_streams_per_user raised, user: '{}'",
                stream.text, self.tenant
            );
            return Some(Failed { status: 429, message });
        };
        let last = refused.last()?;
        let status = if last.reason == DiscardReason::PerStreamRateLimit { 429 } else { 400 };
        for refused in &refused {
            refusals.count(refused.reason, &stream.policy, std::slice::from_ref(&refused.entry));
        }
        Some(Failed { status, message: self.text(&refused, all, &stream.text) })
    }

    /// A limit that is said of each ingester, for all of them.
    fn of_all_ingesters(&self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (limit as f64 * self.shares.ingesters()) as usize }
    }

    fn check(&self, known: &mut Stream, text: &str, entries: &mut Vec<Entry>) -> Vec<Refused> {
        let mut refused = Vec::new();
        if let Some(window) = self.limits.out_of_order_window {
            let window = i64::try_from(window.as_nanos()).unwrap_or(i64::MAX);
            late(known, window, entries, &mut refused);
        }
        let (rate, burst) = (self.limits.per_stream_rate_bytes, self.limits.per_stream_burst_bytes);
        if rate.is_infinite() {
            return refused;
        }
        let too_fast = |bytes: u64| {
            format!(
                "Per stream rate limit exceeded (limit: {}/sec) while attempting to ingest for stream '{text}' totaling {}, \
                 split the stream by a further label or have per_stream_rate_limit raised",
                byte_size(rate as u64),
                byte_size(bytes)
            )
        };
        let reason = DiscardReason::PerStreamRateLimit;
        if self.limits.shard_streams {
            let bytes = entries.iter().map(bytes_of).sum::<u64>();
            if !entries.is_empty() && !known.bucket.take(bytes as f64, rate, burst, self.now) {
                let why = too_fast(bytes);
                refused.extend(entries.drain(..).map(|entry| Refused { entry, reason, why: why.clone() }));
            }
        } else {
            let fast =
                entries.extract_if(.., |entry| !known.bucket.take(bytes_of(entry) as f64, rate, burst, self.now));
            refused.extend(fast.map(|entry| {
                let why = too_fast(bytes_of(&entry));
                Refused { entry, reason, why }
            }));
        }
        refused
    }

    fn text(&self, refused: &[Refused], all: usize, stream: &str) -> String {
        let mut out = String::new();
        for Refused { entry, why, .. } in refused.iter().take(STREAM_ERRORS) {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "entry with timestamp {} ignored, reason: '{why}',", go_time(entry.timestamp));
        }
        let _ =
            write!(out, "user '{}', total ignored: {} out of {all} for stream: {stream}", self.tenant, refused.len());
        out
    }
}

/// Takes out the entries that lie too far behind the newest one of their stream.
fn late(known: &mut Stream, window: i64, entries: &mut Vec<Entry>, refused: &mut Vec<Refused>) {
    let behind = entries.extract_if(.., |entry| {
        let oldest = known.highest.saturating_sub(window);
        known.highest = known.highest.max(entry.timestamp.as_ns());
        entry.timestamp.as_ns() < oldest
    });
    let behind: Vec<Entry> = behind.collect();
    let oldest = rfc3339(Timestamp::from_ns(known.highest.saturating_sub(window)));
    for entry in behind {
        let (reason, why) = match window {
            0 => (DiscardReason::OutOfOrder, "entry out of order".to_owned()),
            _ => (
                DiscardReason::TooFarBehind,
                format!(
                    "entry too far behind, entry timestamp is: {}, oldest acceptable timestamp is: {oldest}",
                    rfc3339(entry.timestamp)
                ),
            ),
        };
        refused.push(Refused { entry, reason, why });
    }
}

fn hash(text: &str) -> u64 {
    // FNV-1a: stable and short; only spreads streams over shards.
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

/// A size in the largest unit that leaves no fraction: `1536KB`.
fn byte_size(bytes: u64) -> String {
    let units = [("EB", 60), ("PB", 50), ("TB", 40), ("GB", 30), ("MB", 20), ("KB", 10)];
    let fits = |&&(_, shift): &&(&str, u32)| bytes > 0 && bytes.trailing_zeros() >= shift;
    units.iter().find(fits).map_or_else(|| format!("{bytes}B"), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
#[path = "ingest_tests.rs"]
mod tests;
