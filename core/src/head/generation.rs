//! A generation: the heads of all tenants since one WAL segment began.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

use narvi_types::{Entry, Labels, Matcher, Tenant, TimeRange};
use parking_lot::RwLock;

use super::{StreamHead, TenantHead};

/// The heads of all tenants whose rows lie in one WAL segment. Pushes go to the newest generation only; older ones are
/// frozen and wait to be flushed.
#[derive(Debug)]
pub(crate) struct Generation {
    id: u64,
    tenants: RwLock<HashMap<Tenant, Arc<TenantHead>>>,
    next_stream: AtomicU32,
    row_bytes: AtomicU64,
    stream_bytes: AtomicU64,
    line_bytes: AtomicU64,
    rows: AtomicU64,
    /// When the first and the last row came, in milliseconds of the database's clock; 0 without rows.
    first_push_ms: AtomicU64,
    last_push_ms: AtomicU64,
}

/// What a generation holds, counted. Figures of a generation that is pushed to may be of slightly different moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GenerationStats {
    /// Memory of the rows: lines, metadata, and what stands beside them.
    pub(crate) row_bytes: u64,
    /// An estimate of all memory it takes: rows and streams.
    pub(crate) memory_bytes: u64,
    /// Bytes of all lines.
    pub(crate) line_bytes: u64,
    /// Rows, duplicates included.
    pub(crate) rows: u64,
    /// Streams of all tenants.
    pub(crate) streams: u32,
    /// When the first row came.
    pub(crate) first_push_ms: u64,
    /// When the last row came.
    pub(crate) last_push_ms: u64,
}

/// What a stream costs beyond its rows and the text of its labels: head, index entries, allocator.
const STREAM_BYTES: u64 = 700;
/// What a row costs beyond its line: time, start, length.
const ROW_BYTES: u64 = 16;
/// What a set of metadata costs beyond its text.
const METADATA_BYTES: u64 = 80;

impl Generation {
    pub(crate) fn new(id: u64) -> Self {
        Self {
            id,
            tenants: RwLock::default(),
            next_stream: AtomicU32::new(0),
            row_bytes: AtomicU64::new(0),
            stream_bytes: AtomicU64::new(0),
            line_bytes: AtomicU64::new(0),
            rows: AtomicU64::new(0),
            first_push_ms: AtomicU64::new(0),
            last_push_ms: AtomicU64::new(0),
        }
    }

    /// The number of its WAL segment.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.load(Ordering::Relaxed) == 0
    }

    pub(crate) fn stats(&self) -> GenerationStats {
        let row_bytes = self.row_bytes.load(Ordering::Relaxed);
        GenerationStats {
            row_bytes,
            memory_bytes: row_bytes + self.stream_bytes.load(Ordering::Relaxed),
            line_bytes: self.line_bytes.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            streams: self.next_stream.load(Ordering::Relaxed),
            first_push_ms: self.first_push_ms.load(Ordering::Relaxed),
            last_push_ms: self.last_push_ms.load(Ordering::Relaxed),
        }
    }

    /// The heads of a tenant, if it pushed anything.
    pub(crate) fn tenant(&self, tenant: &Tenant) -> Option<Arc<TenantHead>> {
        self.tenants.read().get(tenant).cloned()
    }

    /// The heads of all tenants, sorted by tenant.
    pub(crate) fn tenants(&self) -> Vec<Arc<TenantHead>> {
        let mut tenants: Vec<_> = self.tenants.read().values().cloned().collect();
        tenants.sort_by(|a, b| a.tenant().cmp(b.tenant()));
        tenants
    }

    /// The heads of a tenant, made if there are none.
    pub(crate) fn tenant_or_new(&self, tenant: &Tenant) -> Arc<TenantHead> {
        if let Some(found) = self.tenant(tenant) {
            return found;
        }
        let mut tenants = self.tenants.write();
        tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(TenantHead::new(tenant.clone()))).clone()
    }

    /// The head of a stream, made if there is none.
    pub(crate) fn stream(&self, tenant: &TenantHead, labels: &Labels) -> Arc<StreamHead> {
        let (head, new) = tenant.stream(labels, || self.next_stream.fetch_add(1, Ordering::Relaxed));
        if new {
            let bytes = STREAM_BYTES + 3 * labels.packed().len() as u64;
            self.stream_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        head
    }

    /// Appends rows to a stream of this generation.
    pub(crate) fn append(&self, stream: &StreamHead, entries: &[Entry], now_ms: u64) {
        let (mut lines, mut metadata) = (0, 0);
        for entry in entries {
            lines += entry.line.len() as u64;
            if !entry.metadata.is_empty() {
                metadata += METADATA_BYTES + entry.metadata.packed().len() as u64;
            }
        }
        stream.append(entries);
        let rows = entries.len() as u64;
        self.line_bytes.fetch_add(lines, Ordering::Relaxed);
        self.row_bytes.fetch_add(lines + metadata + ROW_BYTES * rows, Ordering::Relaxed);
        self.rows.fetch_add(rows, Ordering::Relaxed);
        self.last_push_ms.fetch_max(now_ms, Ordering::Relaxed);
        let _ = self.first_push_ms.compare_exchange(0, now_ms.max(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    /// A tenant's streams that pass all matchers and may have rows in the time range.
    pub(crate) fn select(&self, tenant: &Tenant, matchers: &[Matcher], range: &TimeRange) -> Vec<Arc<StreamHead>> {
        self.tenant(tenant).map(|heads| heads.select(matchers, range)).unwrap_or_default()
    }
}
