//! The bytes of a manifest. `FORMAT.md` describes them.

use std::{collections::BTreeMap, sync::Arc};

use narvi_types::{
    Tenant, TimeRange,
    wire::{Reader, WireError, Writer as _},
};

use super::{FileEntry, Manifest, MarkFile, Retired, WriterId};
use crate::deletes::{DeleteId, DeleteRequest, DeleteStatus};

/// The version that is written.
pub(crate) const FORMAT_VERSION: u16 = 0;
/// The oldest version that is read.
pub(crate) const OLDEST_READABLE_VERSION: u16 = 0;

const MAGIC: [u8; 8] = *b"\x97NARMAN\n";
const HEAD_BYTES: usize = 8 + 2 + 2 + 8;
const HAS_TENANT: u8 = 1;
const HAS_PERIOD: u8 = 2;
const HAS_CLASS: u8 = 4;
const RECEIVED: u8 = 0;
const PROCESSED: u8 = 1;
/// The fewest bytes that a file's entry takes.
const MIN_ENTRY_BYTES: usize = 1 + 1 + 1 + 1 + 16 + 1;

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DecodeError {
    #[error("not a manifest: it does not begin with the magic bytes")]
    Magic,
    #[error(
        "manifest format version {0} is not among those this build reads, {OLDEST_READABLE_VERSION} to \
         {FORMAT_VERSION}; open the store with the release that wrote it or a newer one"
    )]
    Version(u16),
    #[error("checksum mismatch: the bytes were changed or cut after they were written")]
    Checksum,
    #[error("{0}")]
    Wire(#[from] WireError),
    #[error("bad tenant: {0}")]
    Tenant(#[from] narvi_types::TenantError),
    #[error("a delete request has status {0}, which this build does not know")]
    Status(u8),
}

pub(super) fn encode(manifest: &Manifest) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + 160 * (manifest.packs.len() + manifest.tables.len()));
    out.put(&MAGIC);
    out.put_u16(FORMAT_VERSION);
    out.put_u16(0);
    out.put_u64(manifest.sequence);
    for files in [&manifest.packs, &manifest.tables] {
        out.put_varint(files.len() as u64);
        files.iter().for_each(|file| encode_file(file, &mut out));
    }
    out.put_varint(manifest.covered.len() as u64);
    for (writer, generation) in &manifest.covered {
        out.put_u64(writer.0);
        out.put_varint(*generation);
    }
    out.put_varint(manifest.retired.len() as u64);
    for file in &manifest.retired {
        out.put_str(&file.key);
        out.put_varint(file.at_ms);
    }
    // Left out where there is nothing to tell, so that such manifests are as they were before there were requests.
    if !manifest.deletes.is_empty() || !manifest.marks.is_empty() {
        encode_deletes(manifest, &mut out);
    }
    let crc = crc32fast::hash(&out);
    out.put_u32(crc);
    out
}

fn encode_deletes(manifest: &Manifest, out: &mut Vec<u8>) {
    out.put_varint(manifest.deletes.len() as u64);
    for request in &manifest.deletes {
        out.put_u32(request.id.0);
        out.put_str(request.tenant.as_str());
        out.put_str(&request.query);
        out.put_i64(request.range.min);
        out.put_i64(request.range.max);
        out.put_varint(request.created_ms);
        match request.status {
            DeleteStatus::Received => out.put_u8(RECEIVED),
            DeleteStatus::Processed { at_ms } => {
                out.put_u8(PROCESSED);
                out.put_varint(at_ms);
            }
        }
    }
    out.put_varint(manifest.marks.len() as u64);
    for file in &manifest.marks {
        out.put_str(&file.key);
        out.put_varint(file.bytes);
        out.put_u32(file.request.0);
    }
}

fn decode_deletes(reader: &mut Reader<'_>) -> Result<Vec<Arc<DeleteRequest>>, DecodeError> {
    let mut deletes = Vec::new();
    for _ in 0..reader.count(4 + 1 + 1 + 16 + 1 + 1, "number of delete requests")? {
        let request = DeleteRequest {
            id: DeleteId(reader.u32("request")?),
            tenant: Tenant::new(reader.str("tenant")?)?,
            query: reader.str("query")?.to_owned(),
            range: TimeRange::new(reader.i64("first time")?, reader.i64("last time")?),
            created_ms: reader.varint("creation time")?,
            status: match reader.u8("status")? {
                RECEIVED => DeleteStatus::Received,
                PROCESSED => DeleteStatus::Processed { at_ms: reader.varint("processing time")? },
                status => return Err(DecodeError::Status(status)),
            },
        };
        deletes.push(Arc::new(request));
    }
    Ok(deletes)
}

fn decode_marks(reader: &mut Reader<'_>) -> Result<Vec<Arc<MarkFile>>, DecodeError> {
    let mut marks = Vec::new();
    for _ in 0..reader.count(1 + 1 + 4, "number of mark files")? {
        let (key, bytes) = (reader.str("key")?.to_owned(), reader.varint("size")?);
        marks.push(Arc::new(MarkFile { key, bytes, request: DeleteId(reader.u32("request")?) }));
    }
    Ok(marks)
}

fn encode_file(file: &FileEntry, out: &mut Vec<u8>) {
    out.put_str(&file.key);
    out.put_varint(file.bytes);
    out.put_u8(file.level);
    let flag = |has: bool, flag: u8| if has { flag } else { 0 };
    out.put_u8(
        flag(file.tenant.is_some(), HAS_TENANT)
            | flag(file.period.is_some(), HAS_PERIOD)
            | flag(file.class.is_some(), HAS_CLASS),
    );
    if let Some(tenant) = &file.tenant {
        out.put_str(tenant.as_str());
    }
    if let Some(period) = file.period {
        out.put_zigzag(period);
    }
    if let Some(class) = file.class {
        out.put_varint(class);
    }
    out.put_i64(file.range.min);
    out.put_i64(file.range.max);
    out.put_varint(file.rows);
}

pub(super) fn decode(bytes: &[u8]) -> Result<Manifest, DecodeError> {
    let mut head = Reader::new(bytes);
    if head.bytes(MAGIC.len(), "magic").map_or(true, |magic| magic != MAGIC) {
        return Err(DecodeError::Magic);
    }
    let version = head.u16("version")?;
    if !(OLDEST_READABLE_VERSION..=FORMAT_VERSION).contains(&version) {
        return Err(DecodeError::Version(version));
    }
    let (body, crc) = bytes.split_last_chunk::<4>().ok_or(DecodeError::Checksum)?;
    if body.len() < HEAD_BYTES || crc32fast::hash(body) != u32::from_le_bytes(*crc) {
        return Err(DecodeError::Checksum);
    }
    let mut reader = Reader::new(body);
    reader.bytes(MAGIC.len() + 4, "header")?;
    let sequence = reader.u64("sequence")?;
    let packs = decode_files(&mut reader)?;
    let tables = decode_files(&mut reader)?;
    let mut covered = BTreeMap::new();
    for _ in 0..reader.count(9, "number of writers")? {
        covered.insert(WriterId(reader.u64("writer")?), reader.varint("generation")?);
    }
    let mut retired = Vec::new();
    for _ in 0..reader.count(2, "number of retired files")? {
        retired.push(Retired { key: reader.str("key")?.to_owned(), at_ms: reader.varint("retirement time")? });
    }
    let (mut deletes, mut marks) = (Vec::new(), Vec::new());
    if !reader.is_empty() {
        deletes = decode_deletes(&mut reader)?;
        marks = decode_marks(&mut reader)?;
    }
    if !reader.is_empty() {
        return Err(reader.error("end of the manifest").into());
    }
    Ok(Manifest { sequence, packs, tables, covered, retired, deletes, marks })
}

fn decode_files(reader: &mut Reader<'_>) -> Result<Vec<Arc<FileEntry>>, DecodeError> {
    let count = reader.count(MIN_ENTRY_BYTES, "number of files")?;
    let mut files = Vec::with_capacity(count);
    for _ in 0..count {
        files.push(Arc::new(decode_file(reader)?));
    }
    Ok(files)
}

fn decode_file(reader: &mut Reader<'_>) -> Result<FileEntry, DecodeError> {
    let key = reader.str("key")?.to_owned();
    let bytes = reader.varint("size")?;
    let level = reader.u8("level")?;
    let flags = reader.u8("flags")?;
    let tenant = if flags & HAS_TENANT == 0 { None } else { Some(Tenant::new(reader.str("tenant")?)?) };
    let period = if flags & HAS_PERIOD == 0 { None } else { Some(reader.zigzag("period")?) };
    let class = if flags & HAS_CLASS == 0 { None } else { Some(reader.varint("retention class")?) };
    let range = TimeRange::new(reader.i64("first time")?, reader.i64("last time")?);
    Ok(FileEntry { key, bytes, level, tenant, period, range, rows: reader.varint("rows")?, class })
}
