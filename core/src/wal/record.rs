//! The bytes of a WAL record: the rows of one push, or of a part of a large one.

use bytes::Bytes;
use narvi_types::{
    Entry, Labels, Metadata, PairError, Tenant, TenantError, Timestamp,
    wire::{Reader, WireError, Writer as _},
};

/// Bytes in front of a record's payload.
pub(crate) const RECORD_HEAD_BYTES: usize = 20;
/// The most bytes a record's payload may have. A push is cut into records far below; one line with its metadata fits.
pub(crate) const MAX_RECORD_BYTES: usize = 256 << 20;
/// First bytes of a record, by which the next one is found behind a damaged one.
pub(super) const RECORD_MAGIC: [u8; 4] = *b"\xf7nWR";

const DEFINES: u8 = 1;
const HAS_METADATA: u8 = 2;

/// The fixed part of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHead {
    pub(super) len: u32,
    pub(super) sequence: u32,
    pub(super) payload_crc: u32,
}

impl RecordHead {
    /// `salt` is known to the database only, so that no pushed line can be taken for a record.
    pub(super) fn encode(&self, salt: u64) -> [u8; RECORD_HEAD_BYTES] {
        let mut out = Vec::with_capacity(RECORD_HEAD_BYTES);
        out.put(&RECORD_MAGIC);
        out.put_u32(self.len);
        out.put_u32(self.sequence);
        out.put_u32(self.payload_crc);
        let crc = salted_crc(salt, &out);
        out.put_u32(crc);
        let mut head = [0; RECORD_HEAD_BYTES];
        head.copy_from_slice(&out);
        head
    }

    pub(super) fn decode(bytes: &[u8], salt: u64) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let covered = bytes.get(..RECORD_HEAD_BYTES - 4)?;
        if reader.bytes(RECORD_MAGIC.len(), "magic").ok()? != RECORD_MAGIC {
            return None;
        }
        let (len, sequence) = (reader.u32("length").ok()?, reader.u32("sequence").ok()?);
        let payload_crc = reader.u32("payload checksum").ok()?;
        let good = reader.u32("header checksum").ok()? == salted_crc(salt, covered);
        (good && len as usize <= MAX_RECORD_BYTES).then_some(Self { len, sequence, payload_crc })
    }
}

fn salted_crc(salt: u64, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt.to_le_bytes());
    crc.update(bytes);
    crc.finalize()
}

/// Builds a record in a buffer that begins with room for its head.
#[derive(Debug, Default)]
pub(crate) struct RecordBuilder {
    buffer: Vec<u8>,
}

impl RecordBuilder {
    /// Starts over with the rows of a tenant.
    pub(crate) fn start(&mut self, tenant: &Tenant) {
        self.buffer.clear();
        self.buffer.resize(RECORD_HEAD_BYTES, 0);
        self.buffer.put_str(tenant.as_str());
    }

    /// Room that is kept for the next record.
    pub(crate) fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Appends rows of a stream. `labels` are given when no earlier record defines the stream.
    pub(crate) fn stream(&mut self, id: u32, labels: Option<&Labels>, entries: &[Entry]) {
        let out = &mut self.buffer;
        let lines: usize = entries.iter().map(|e| e.line.len()).sum();
        let has_metadata = entries.iter().any(|e| !e.metadata.is_empty());
        out.reserve(lines + 12 * entries.len() + 64);
        out.put_varint(u64::from(id));
        out.put_u8(if labels.is_some() { DEFINES } else { 0 } | if has_metadata { HAS_METADATA } else { 0 });
        if let Some(labels) = labels {
            put_pairs(labels.len(), labels.iter(), out);
        }
        out.put_varint(entries.len() as u64);
        let mut last = 0i64;
        for entry in entries {
            let ts = entry.timestamp.as_ns();
            out.put_zigzag(ts.wrapping_sub(last));
            last = ts;
        }
        entries.iter().for_each(|entry| out.put_varint(entry.line.len() as u64));
        if has_metadata {
            put_metadata(entries, out);
        }
        entries.iter().for_each(|entry| out.put(&entry.line));
    }

    /// Fills in the head and gives the bytes to write.
    pub(super) fn finish(&mut self, sequence: u32, salt: u64, payload_crc: u32) -> &[u8] {
        let len = (self.buffer.len() - RECORD_HEAD_BYTES) as u32;
        let head = RecordHead { len, sequence, payload_crc }.encode(salt);
        self.buffer[..RECORD_HEAD_BYTES].copy_from_slice(&head);
        &self.buffer
    }

    /// What was built, without its head.
    pub(crate) fn payload(&self) -> &[u8] {
        self.buffer.get(RECORD_HEAD_BYTES..).unwrap_or_default()
    }

    pub(super) fn payload_crc(&self) -> u32 {
        crc32fast::hash(&self.buffer[RECORD_HEAD_BYTES..])
    }
}

/// The sets of neighbouring rows are often the same: a row refers to the set of the row before, or brings its own.
fn put_metadata(entries: &[Entry], out: &mut Vec<u8>) {
    let mut last = &Metadata::default();
    for entry in entries {
        if entry.metadata == *last {
            out.put_u8(0);
        } else {
            out.put_u8(1);
            put_pairs(entry.metadata.len(), entry.metadata.iter(), out);
            last = &entry.metadata;
        }
    }
}

fn put_pairs<'a>(count: usize, pairs: impl Iterator<Item = (&'a str, &'a str)>, out: &mut Vec<u8>) {
    out.put_varint(count as u64);
    for (name, value) in pairs {
        out.put_str(name);
        out.put_str(value);
    }
}

/// Rows of a stream as a record holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamRows {
    pub(crate) id: u32,
    pub(crate) labels: Option<Labels>,
    /// Lines share the record's bytes.
    pub(crate) entries: Vec<Entry>,
}

/// Why a payload whose checksum is right cannot be read: another version, or an error of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum RecordError {
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("bad tenant: {0}")]
    Tenant(#[from] TenantError),
    #[error("bad labels or metadata: {0}")]
    Pairs(#[from] PairError),
}

/// Reads a payload.
pub(crate) fn decode(payload: &Bytes) -> Result<(Tenant, Vec<StreamRows>), RecordError> {
    let mut reader = Reader::new(payload);
    let tenant = Tenant::new(reader.str("tenant")?)?;
    let mut streams = Vec::new();
    while !reader.is_empty() {
        streams.push(decode_stream(&mut reader, payload)?);
    }
    Ok((tenant, streams))
}

fn decode_stream(reader: &mut Reader<'_>, payload: &Bytes) -> Result<StreamRows, RecordError> {
    let id = u32::try_from(reader.varint("stream id")?).map_err(|_| reader.error("stream id"))?;
    let flags = reader.u8("stream flags")?;
    if flags & !(DEFINES | HAS_METADATA) != 0 {
        return Err(reader.error("stream flags").into());
    }
    let labels = if flags & DEFINES == 0 { None } else { Some(Labels::from_pairs(read_pairs(reader)?)?) };
    let rows = reader.count(2, "number of rows")?;
    let mut entries = Vec::with_capacity(rows);
    let mut last = 0i64;
    for _ in 0..rows {
        last = last.wrapping_add(reader.zigzag("timestamp")?);
        entries.push(Entry { timestamp: Timestamp::from_ns(last), line: Bytes::new(), metadata: Metadata::default() });
    }
    let mut lengths = Vec::with_capacity(rows);
    for _ in 0..rows {
        lengths.push(usize::try_from(reader.varint("line length")?).map_err(|_| reader.error("line length"))?);
    }
    if flags & HAS_METADATA != 0 {
        let mut set = Metadata::default();
        for entry in &mut entries {
            if reader.u8("metadata flag")? != 0 {
                set = Metadata::from_pairs(read_pairs(reader)?)?;
            }
            entry.metadata = set.clone();
        }
    }
    for (entry, len) in entries.iter_mut().zip(lengths) {
        let start = reader.offset();
        reader.bytes(len, "line")?;
        entry.line = payload.slice(start..start + len);
    }
    Ok(StreamRows { id, labels, entries })
}

fn read_pairs<'a>(reader: &mut Reader<'a>) -> Result<Vec<(&'a str, &'a str)>, WireError> {
    let count = reader.count(2, "number of pairs")?;
    (0..count).map(|_| Ok((reader.str("name")?, reader.str("value")?))).collect()
}
