//! The bytes of a manifest. `FORMAT.md` describes them.

use std::{collections::BTreeMap, sync::Arc};

use narvi_types::{
    Tenant, TimeRange,
    wire::{Reader, WireError, Writer as _},
};

use super::{FileEntry, Manifest, Retired, WriterId};

/// The version that is written.
pub(crate) const FORMAT_VERSION: u16 = 0;
/// The oldest version that is read.
pub(crate) const OLDEST_READABLE_VERSION: u16 = 0;

const MAGIC: [u8; 8] = *b"\x97NARMAN\n";
const HEAD_BYTES: usize = 8 + 2 + 2 + 8;
const HAS_TENANT: u8 = 1;
const HAS_PERIOD: u8 = 2;
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
    #[error("bad tenant in a file entry: {0}")]
    Tenant(#[from] narvi_types::TenantError),
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
    let crc = crc32fast::hash(&out);
    out.put_u32(crc);
    out
}

fn encode_file(file: &FileEntry, out: &mut Vec<u8>) {
    out.put_str(&file.key);
    out.put_varint(file.bytes);
    out.put_u8(file.level);
    out.put_u8(if file.tenant.is_some() { HAS_TENANT } else { 0 } | if file.period.is_some() { HAS_PERIOD } else { 0 });
    if let Some(tenant) = &file.tenant {
        out.put_str(tenant.as_str());
    }
    if let Some(period) = file.period {
        out.put_zigzag(period);
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
    if !reader.is_empty() {
        return Err(reader.error("end of the manifest").into());
    }
    Ok(Manifest { sequence, packs, tables, covered, retired })
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
    let range = TimeRange::new(reader.i64("first time")?, reader.i64("last time")?);
    Ok(FileEntry { key, bytes, level, tenant, period, range, rows: reader.varint("rows")? })
}
