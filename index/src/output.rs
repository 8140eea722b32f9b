//! The writing side of a file: a position, a checksum per section, and the table's beginning and end.

use std::{collections::HashMap, io};

use narvi_types::{TimeRange, wire::Writer};

use crate::{
    Result,
    format::{Directory, Entry, FOOTER_CHECKED_BYTES, FORMAT_VERSION, HEADER_BYTES, Kind, MAGIC, Span},
};

const FLUSH_BYTES: usize = 1 << 16;

/// Counts and checksums what it writes.
#[derive(Debug)]
pub(crate) struct Output<'w, W> {
    inner: &'w mut W,
    buffer: Vec<u8>,
    /// Bytes handed to `inner`.
    flushed: u64,
    /// Where in the buffer the current section's bytes begin that are not in `crc` yet.
    unhashed: usize,
    crc: crc32fast::Hasher,
    section_start: u64,
}

impl<'w, W: io::Write> Output<'w, W> {
    fn new(inner: &'w mut W) -> Self {
        let buffer = Vec::with_capacity(2 * FLUSH_BYTES);
        Self { inner, buffer, flushed: 0, unhashed: 0, crc: crc32fast::Hasher::new(), section_start: 0 }
    }

    pub(crate) fn position(&self) -> u64 {
        self.flushed + self.buffer.len() as u64
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= FLUSH_BYTES { self.flush() } else { Ok(()) }
    }

    pub(crate) fn put_u32s(&mut self, values: &[u32]) -> Result<()> {
        values.iter().try_for_each(|value| self.put(&value.to_le_bytes()))
    }

    /// Ends the section that began where the one before ended.
    pub(crate) fn end_section(&mut self) -> Span {
        self.hash();
        let end = self.position();
        let offset = std::mem::replace(&mut self.section_start, end);
        let crc = std::mem::take(&mut self.crc).finalize();
        Span { offset, length: end - offset, crc }
    }

    fn hash(&mut self) {
        self.crc.update(self.buffer.get(self.unhashed..).unwrap_or_default());
        self.unhashed = self.buffer.len();
    }

    fn flush(&mut self) -> Result<()> {
        self.hash();
        self.inner.write_all(&self.buffer)?;
        self.flushed += self.buffer.len() as u64;
        self.buffer.clear();
        self.unhashed = 0;
        Ok(())
    }
}

/// A part as the list of tenants holds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartEntry {
    /// Offset in the file.
    pub(crate) offset: u64,
    /// Bytes, directory included.
    pub(crate) length: u64,
    /// Bytes of the directory, which ends the part.
    pub(crate) directory_length: u32,
    pub(crate) directory_crc: u32,
    pub(crate) range: TimeRange,
}

/// Bytes of an encoded [`PartEntry`].
pub(crate) const PART_ENTRY_BYTES: usize = 40;

/// Writes header, parts, list of tenants, list of packs, directory and footer.
#[derive(Debug)]
pub(crate) struct TableWriter<'w, W> {
    pub(crate) out: Output<'w, W>,
    tenants: Vec<(String, PartEntry)>,
}

impl<'w, W: io::Write> TableWriter<'w, W> {
    pub(crate) fn new(inner: &'w mut W) -> Result<Self> {
        let mut out = Output::new(inner);
        out.put(&header())?;
        out.end_section();
        Ok(Self { out, tenants: Vec::new() })
    }

    /// Notes a part; tenants come sorted.
    pub(crate) fn add_part(&mut self, tenant: &str, part: PartEntry) {
        self.tenants.push((tenant.to_owned(), part));
    }

    /// Writes the end of the file; gives its length.
    pub(crate) fn finish(mut self, packs: &[String]) -> Result<u64> {
        let tenants = encode_tenants(&self.tenants);
        self.out.put(&tenants)?;
        let tenants = self.out.end_section();
        let mut list = Vec::new();
        list.put_varint(packs.len() as u64);
        packs.iter().for_each(|name| list.put_str(name));
        self.out.put(&list)?;
        let packs = self.out.end_section();

        let directory =
            Directory::encode(&[Entry::required(Kind::Packs, packs), Entry::required(Kind::Tenants, tenants)]);
        let mut footer = Vec::new();
        footer.put_u64(self.out.position());
        footer.put_u32(directory.len() as u32);
        footer.put_u32(directory_crc(&header(), &directory, &footer));
        footer.put(&MAGIC);
        self.out.put(&directory)?;
        self.out.put(&footer)?;
        self.out.flush()?;
        self.out.inner.flush()?;
        Ok(self.out.flushed)
    }
}

/// The checksum of header, directory and the beginning of the footer.
pub(crate) fn directory_crc(header: &[u8], directory: &[u8], footer: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(header);
    crc.update(directory);
    crc.update(footer.get(..FOOTER_CHECKED_BYTES).unwrap_or_default());
    crc.finalize()
}

fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let (magic, rest) = header.split_at_mut(MAGIC.len());
    magic.copy_from_slice(&MAGIC);
    rest.iter_mut().zip(FORMAT_VERSION.to_le_bytes()).for_each(|(to, from)| *to = from);
    header
}

/// ```text
/// count u32 | count x part entry | text of all names | end of each in the text, u32
/// entry: offset u64 | length u64 | directory length u32 | directory crc u32 | min i64 | max i64
/// ```
fn encode_tenants(tenants: &[(String, PartEntry)]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_u32(tenants.len() as u32);
    for (_, part) in tenants {
        out.put_u64(part.offset);
        out.put_u64(part.length);
        out.put_u32(part.directory_length);
        out.put_u32(part.directory_crc);
        out.put_i64(part.range.min);
        out.put_i64(part.range.max);
    }
    for (tenant, _) in tenants {
        out.put(tenant.as_bytes());
    }
    let mut end = 0;
    for (tenant, _) in tenants {
        end += tenant.len() as u32;
        out.put_u32(end);
    }
    out
}

/// The packs of a table, each once.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    pub(crate) names: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Packs {
    pub(crate) fn intern(&mut self, name: &str) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let id = self.names.len() as u32;
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        id
    }
}
