//! A push: checked, logged, applied, acknowledged.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use narvi_types::{Entry, Labels, Tenant};

use super::{Active, Writer};
use crate::{
    Error, ErrorKind, Result, WalSync,
    head::{Generation, StreamHead},
    wal::{RecordBuilder, Segment, Wal},
};

/// Lines for one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct PushStream {
    /// The stream; at least one label.
    pub labels: Labels,
    /// Its lines, in any order.
    pub entries: Vec<Entry>,
}

impl PushStream {
    /// Puts the two together.
    pub fn new(labels: Labels, entries: Vec<Entry>) -> Self {
        Self { labels, entries }
    }
}

/// A push that was taken: its lines survive the death of the process and are in the answers of queries.
#[derive(Debug)]
pub struct Ack {
    sync: Option<(Arc<Wal>, Arc<Segment>, u64)>,
}

impl Ack {
    /// Waits until the lines are as safe as [`WalSync`] promises: with [`WalSync::Always`] until the disk has them, otherwise
    /// not at all. Pushes that wait at the same time share one sync. An acknowledgement that nobody waits for is synced
    /// within the interval.
    ///
    /// # Errors
    /// [`ErrorKind::Poisoned`]: a sync failed, and it is not known what the disk has.
    pub fn wait(self) -> Result<()> {
        self.sync.map_or(Ok(()), |(wal, segment, position)| segment.sync_to(position, &wal.poison))
    }
}

/// Bytes of lines after which a push goes on in another record.
const RECORD_BYTES: usize = 8 << 20;
/// Rows after which a push goes on in another record.
const RECORD_ROWS: usize = 1 << 18;
/// What a record buffer may keep until the next push.
const KEPT_BUFFER_BYTES: usize = 4 << 20;
const KEPT_BUFFERS: usize = 4;

impl Writer {
    pub(crate) fn push(&self, tenant: &Tenant, streams: Vec<PushStream>) -> Result<Ack> {
        self.check_open()?;
        self.validate(&streams)?;
        self.wait_for_room()?;
        let ack = {
            let active = self.active.read();
            // Once more under the lock, so that closing can wait for pushes under way.
            self.check_open()?;
            self.push_to(&active, tenant, &streams)?
        };
        self.subscribers.publish(tenant, &streams);
        self.after_push();
        Ok(ack)
    }

    fn validate(&self, streams: &[PushStream]) -> Result<()> {
        let invalid = |text: String| Err(Error::new(ErrorKind::Invalid, text));
        let max = self.settings.max_line_bytes.min(narvi_chunk::MAX_LINE_BYTES);
        for stream in streams {
            if stream.labels.is_empty() {
                return invalid("a stream needs at least one label".to_owned());
            }
            for entry in &stream.entries {
                if entry.line.len() > max {
                    let bytes = entry.line.len();
                    return invalid(format!(
                        "line of {bytes} bytes in stream {} is longer than the {max} allowed",
                        stream.labels
                    ));
                }
                if !entry.metadata.is_empty() && entry.metadata.packed().len() > max {
                    let bytes = entry.metadata.packed().len();
                    return invalid(format!(
                        "structured metadata of {bytes} bytes in stream {} is longer than the {max} allowed",
                        stream.labels
                    ));
                }
            }
        }
        Ok(())
    }

    /// Waits until flushes have made room in memory.
    fn wait_for_room(&self) -> Result<()> {
        let flush = &self.settings.flush;
        if !self.load().is_too_much(flush) {
            return Ok(());
        }
        let deadline = Instant::now() + Duration::from_millis(flush.push_timeout_ms);
        self.want_flush();
        let mut pressure = self.pressure.lock();
        while self.load().is_too_much(flush) {
            let over = self.relieved.wait_until(&mut pressure, deadline).timed_out();
            if over && self.load().is_too_much(flush) {
                let cause = self.last_flush_error().map(|e| format!(": {e}")).unwrap_or_default();
                let bytes = self.load().memory_bytes;
                let text = format!(
                    "{bytes} bytes of lines and streams wait to be flushed, more than may; flushing does not keep up \
                     or fails{cause}"
                );
                return Err(Error::new(ErrorKind::Busy, text));
            }
            self.check_open()?;
        }
        Ok(())
    }

    fn push_to(&self, active: &Active, tenant: &Tenant, streams: &[PushStream]) -> Result<Ack> {
        let generation = &*active.generation;
        let now_ms = self.clock.now_ms();
        let heads = generation.tenant_or_new(tenant);
        let mut batch = Vec::with_capacity(streams.len());
        let (mut bytes, mut rows) = (0, 0);
        let mut position = None;
        let mut record = self.buffers.lock().pop().unwrap_or_default();
        for stream in streams {
            let head = generation.stream(&heads, &stream.labels);
            let mut rest = stream.entries.as_slice();
            while !rest.is_empty() {
                let (now, later) = split(rest, RECORD_BYTES.saturating_sub(bytes), RECORD_ROWS.saturating_sub(rows));
                if !now.is_empty() {
                    bytes += now.iter().map(size).sum::<usize>();
                    rows += now.len();
                    batch.push((head.clone(), now));
                }
                rest = later;
                if !rest.is_empty() {
                    position = self.log_and_apply(active, tenant, &mut record, &mut batch, now_ms)?;
                    (bytes, rows) = (0, 0);
                }
            }
        }
        if !batch.is_empty() {
            position = self.log_and_apply(active, tenant, &mut record, &mut batch, now_ms)?;
        }
        self.give_back(record);
        let sync = match (position, &active.segment, &self.wal) {
            (Some(position), Some(segment), Some(wal)) if self.settings.wal.sync == WalSync::Always => {
                Some((wal.clone(), segment.clone(), position))
            }
            _ => None,
        };
        Ok(Ack { sync })
    }

    /// Writes a batch into the log, then into the heads. Gives the position in the log behind it.
    fn log_and_apply(
        &self,
        active: &Active,
        tenant: &Tenant,
        record: &mut RecordBuilder,
        batch: &mut Vec<(Arc<StreamHead>, &[Entry])>,
        now_ms: u64,
    ) -> Result<Option<u64>> {
        let generation: &Generation = &active.generation;
        let mut position = None;
        if let Some(segment) = &active.segment {
            record.start(tenant);
            for (head, entries) in batch.iter() {
                record.stream(head.id(), (!head.is_in_wal()).then(|| head.labels()), entries);
            }
            self.failpoints.hit("push.append")?;
            position = Some(self.count_record(segment.append(record))?);
            self.failpoints.hit("push.appended")?;
        }
        for (head, entries) in batch.drain(..) {
            head.set_in_wal();
            generation.append(&head, entries, now_ms);
        }
        Ok(position)
    }

    fn give_back(&self, record: RecordBuilder) {
        let mut buffers = self.buffers.lock();
        if record.capacity() <= KEPT_BUFFER_BYTES && buffers.len() < KEPT_BUFFERS {
            buffers.push(record);
        }
    }

    /// Freezes the generation when it is full, and wakes the flusher.
    fn after_push(&self) {
        if self.active_is_full() {
            // Should that fail, the background thread tries again.
            let _ = self.rotate(Self::active_is_full);
            self.want_flush();
        }
    }
}

fn size(entry: &Entry) -> usize {
    entry.line.len() + entry.metadata.packed().len()
}

/// Splits off as many entries as fit; at least one when there is room at all.
fn split(entries: &[Entry], bytes: usize, rows: usize) -> (&[Entry], &[Entry]) {
    if bytes == 0 || rows == 0 {
        return (&[], entries);
    }
    let mut taken = 0;
    let mut fits = |entry: &Entry| {
        let first = taken == 0;
        taken += size(entry);
        first || taken <= bytes
    };
    let count = entries.iter().take(rows).take_while(|entry| fits(entry)).count();
    entries.split_at(count)
}
