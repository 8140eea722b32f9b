//! Repairs the checksums of an index table, from the inside out: sections of parts, directories of parts, the list of
//! tenants, the directory of the file.

use narvi_types::wire::Reader;

use crate::{put_crc, u32_at, u64_at};

const HEADER: usize = 16;
const FOOTER: usize = 24;
const TENANT_ENTRY: usize = 40;
const TENANTS: u16 = 2;
/// More entries than any input of a fuzzer has.
const MAX_ENTRIES: u64 = 10_000;

/// Makes all checksums of a table right, as far as its directories can be read.
pub fn repair_table(bytes: &mut [u8]) {
    let _ = repair(bytes);
}

fn repair(bytes: &mut [u8]) -> Option<()> {
    let footer = bytes.len().checked_sub(FOOTER)?;
    let directory = u64_at(bytes, footer)?;
    let sections = sections(bytes.get(directory..footer)?)?;
    let tenants = sections.iter().find(|section| section.kind == TENANTS);
    if let Some(tenants) = tenants {
        let count = u32_at(bytes, tenants.offset)? as usize;
        for n in 0..count.min(MAX_ENTRIES as usize) {
            let entry = tenants.offset.checked_add(4 + n * TENANT_ENTRY)?;
            if part(bytes, entry).is_none() && u64_at(bytes, entry).is_none() {
                break;
            }
        }
    }
    repair_sections(bytes, 0, directory, &sections);
    let mut crc = crc32fast::Hasher::new();
    crc.update(bytes.get(..HEADER)?);
    crc.update(bytes.get(directory..footer + 12)?);
    let crc = crc.finalize();
    put_crc(bytes, footer + 12, crc)
}

fn part(bytes: &mut [u8], entry: usize) -> Option<()> {
    let (base, length) = (u64_at(bytes, entry)?, u64_at(bytes, entry + 8)?);
    let end = base.checked_add(length)?;
    let directory = end.checked_sub(u32_at(bytes, entry + 16)? as usize)?;
    let sections = sections(bytes.get(directory..end)?)?;
    repair_sections(bytes, base, directory, &sections);
    let crc = crc32fast::hash(bytes.get(directory..end)?);
    put_crc(bytes, entry + 20, crc)
}

struct Section {
    kind: u16,
    offset: usize,
    length: usize,
    /// Where the checksum stands, from the start of the directory.
    crc_at: usize,
}

fn sections(directory: &[u8]) -> Option<Vec<Section>> {
    let mut reader = Reader::new(directory);
    let count = reader.varint("count").ok()?.min(MAX_ENTRIES);
    let mut sections = Vec::new();
    for _ in 0..count {
        let kind = reader.u16("kind").ok()?;
        reader.u16("flags and codec").ok()?;
        let (offset, length) = (reader.varint("offset").ok()?, reader.varint("length").ok()?);
        let crc_at = reader.offset();
        reader.u32("checksum").ok()?;
        sections.push(Section { kind, offset: offset.try_into().ok()?, length: length.try_into().ok()?, crc_at });
    }
    Some(sections)
}

fn repair_sections(bytes: &mut [u8], base: usize, directory: usize, sections: &[Section]) {
    for section in sections {
        let Some(start) = base.checked_add(section.offset) else { continue };
        let Some(end) = start.checked_add(section.length) else { continue };
        if let Some(body) = bytes.get(start..end) {
            let crc = crc32fast::hash(body);
            put_crc(bytes, directory + section.crc_at, crc);
        }
    }
}
