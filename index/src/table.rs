//! A table opened for reading.

use std::sync::Arc;

use bytes::Bytes;
use narvi_types::{TimeRange, wire::Reader};

use crate::{
    IndexError, Part, Result,
    format::{
        Directory, FOOTER_BYTES, FORMAT_VERSION, HEADER_BYTES, Kind, MAGIC, OLDEST_READABLE_VERSION, Section, corrupt,
    },
    output::{PART_ENTRY_BYTES, PartEntry, directory_crc},
    strings::Strings,
};

/// A table opened for reading. Cheap to clone; clones share the bytes.
#[derive(Clone, Debug)]
pub struct Table {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bytes: Bytes,
    version: u32,
    directory: Directory,
    packs: Vec<String>,
    tenants: Section,
    tenant_count: usize,
}

impl Table {
    /// Opens a table. Reads header, footer, directory, and the lists of packs and tenants; nothing that grows with
    /// series.
    ///
    /// # Errors
    /// Not a table, a version or required section this build does not know, damage in what was read.
    pub fn open(bytes: Bytes) -> Result<Self> {
        let (version, directory) = open_directory(&bytes)?;
        let packs = read_packs(&directory.section(&bytes, Kind::Packs)?.checked()?)?;
        let tenants = directory.section(&bytes, Kind::Tenants)?.checked()?;
        let tenant_count = tenants.u32_at(0, 0, "tenant count")? as usize;
        let table = Self { inner: Arc::new(Inner { bytes, version, directory, packs, tenants, tenant_count }) };
        table.names()?;
        Ok(table)
    }

    /// The names of the packs that block references point into, by [`crate::BlockRef::pack`].
    pub fn packs(&self) -> &[String] {
        &self.inner.packs
    }

    /// The number of tenants, which is the number of parts.
    pub fn tenant_count(&self) -> usize {
        self.inner.tenant_count
    }

    /// The tenants, sorted, with the time range that their blocks cover. Opens no part.
    ///
    /// # Errors
    /// Per item: damage in the list of tenants.
    pub fn tenants(&self) -> impl Iterator<Item = Result<(&str, TimeRange)>> {
        (0..self.inner.tenant_count).map(|index| Ok((self.names()?.get(index)?, self.entry(index)?.range)))
    }

    /// Opens a tenant's part. Costs a binary search and reading the part's directory and label names.
    ///
    /// # Errors
    /// Damage in what was read.
    pub fn part(&self, tenant: &str) -> Result<Option<Part>> {
        match self.names()?.find(tenant.as_bytes())? {
            Ok(index) => self.part_at(index).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The bytes the table was opened over.
    pub fn bytes(&self) -> &Bytes {
        &self.inner.bytes
    }

    /// The format version of the file.
    pub fn version(&self) -> u32 {
        self.inner.version
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.inner.directory
    }

    /// The tenant at that place of the sorted list.
    pub(crate) fn tenant_at(&self, index: usize) -> Result<&str> {
        self.names()?.get(index)
    }

    pub(crate) fn part_at(&self, index: usize) -> Result<Part> {
        let entry = self.entry(index)?;
        let (bytes, directory) = self.part_directory(&entry)?;
        Part::open(self.tenant_at(index)?, &bytes, &directory, self.inner.packs.len())
    }

    /// The bytes of a part without its directory, and the directory.
    pub(crate) fn part_directory(&self, entry: &PartEntry) -> Result<(Bytes, Directory)> {
        let fail = || corrupt("tenants", entry.offset, 0, "part range");
        let start = usize::try_from(entry.offset).map_err(|_| fail())?;
        let end = usize::try_from(entry.length).ok().and_then(|len| start.checked_add(len)).ok_or_else(fail)?;
        let middle = end.checked_sub(entry.directory_length as usize).filter(|m| *m >= start).ok_or_else(fail)?;
        let directory = self.inner.bytes.get(middle..end).ok_or_else(fail)?;
        let at = middle as u64;
        if crc32fast::hash(directory) != entry.directory_crc {
            return Err(IndexError::Checksum { section: "part directory", offset: at });
        }
        let limit = (middle - start) as u64;
        let directory = Directory::decode(directory, at, entry.offset, limit, Kind::PART, self.inner.version)?;
        Ok((self.inner.bytes.slice(start..middle), directory))
    }

    pub(crate) fn entry(&self, index: usize) -> Result<PartEntry> {
        let start = 4 + index * PART_ENTRY_BYTES;
        let bytes = self.inner.tenants.slice(start, PART_ENTRY_BYTES, "part entry")?;
        let fail = self.inner.tenants.wire(start);
        let mut reader = Reader::new(bytes);
        Ok(PartEntry {
            offset: reader.u64("part offset").map_err(&fail)?,
            length: reader.u64("part length").map_err(&fail)?,
            directory_length: reader.u32("part directory length").map_err(&fail)?,
            directory_crc: reader.u32("part directory checksum").map_err(&fail)?,
            range: TimeRange::new(reader.i64("part time").map_err(&fail)?, reader.i64("part time").map_err(&fail)?),
        })
    }

    fn names(&self) -> Result<Strings<'_>> {
        let Inner { tenants, tenant_count, .. } = &*self.inner;
        let start = tenant_count.checked_mul(PART_ENTRY_BYTES).and_then(|bytes| bytes.checked_add(4));
        let start = start.filter(|start| *start <= tenants.len());
        let start = start.ok_or_else(|| tenants.corrupt(0, "tenant count"))?;
        Strings::new(tenants, start, tenants.len() - start, *tenant_count)
    }
}

/// Checks header and footer and reads the file's directory.
fn open_directory(bytes: &Bytes) -> Result<(u32, Directory)> {
    let Some(header) = bytes.get(..HEADER_BYTES).filter(|h| h.starts_with(&MAGIC)) else {
        return Err(IndexError::NotATable { place: "header" });
    };
    let version = header.get(MAGIC.len()..).and_then(|v| v.first_chunk::<4>()).map_or(0, |v| u32::from_le_bytes(*v));
    // The oldest readable version is compared although it is 0 today, so that raising it needs no second thought.
    if !(OLDEST_READABLE_VERSION..=FORMAT_VERSION).contains(&version) {
        return Err(IndexError::Version { found: version });
    }
    let end = bytes.len().checked_sub(FOOTER_BYTES).filter(|end| *end >= HEADER_BYTES);
    let footer = end.and_then(|end| Some((end, bytes.get(end..)?))).filter(|(_, footer)| footer.ends_with(&MAGIC));
    let Some((end, footer)) = footer else {
        return Err(IndexError::NotATable { place: "footer" });
    };
    let fail = |e: narvi_types::wire::WireError| corrupt("footer", end as u64, e.offset, e.what);
    let mut reader = Reader::new(footer);
    let offset = reader.u64("directory offset").map_err(fail)?;
    let length = reader.u32("directory length").map_err(fail)?;
    let crc = reader.u32("directory checksum").map_err(fail)?;
    if offset.checked_add(u64::from(length)) != Some(end as u64) || offset < HEADER_BYTES as u64 {
        return Err(corrupt("footer", end as u64, 0, "directory range"));
    }
    let directory = bytes.get(end - length as usize..end).unwrap_or_default();
    if directory_crc(header, directory, footer) != crc {
        return Err(IndexError::Checksum { section: "directory", offset });
    }
    Ok((version, Directory::decode(directory, offset, 0, offset, Kind::FILE, version)?))
}

fn read_packs(section: &Section) -> Result<Vec<String>> {
    let fail = section.wire(0);
    let mut reader = Reader::new(&section.bytes);
    let count = reader.count(1, "pack count").map_err(&fail)?;
    (0..count).map(|_| Ok(reader.str("pack name").map_err(&fail)?.to_owned())).collect()
}
