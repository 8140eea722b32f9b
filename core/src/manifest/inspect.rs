//! What a manifest names, for people and for checks.

use narvi_types::TimeRange;

use super::codec;
use crate::{Error, ErrorKind, Result};

/// The contents of a manifest, as [`inspect_manifest`] found them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ManifestSummary {
    /// The number of the commit.
    pub sequence: u64,
    /// Keys of the packs.
    pub packs: Vec<String>,
    /// Keys of the index tables.
    pub tables: Vec<String>,
    /// Bytes of packs and tables.
    pub bytes: u64,
    /// Rows of the packs.
    pub rows: u64,
    /// First and last time of the packs' rows.
    pub range: TimeRange,
    /// How many writers' write-ahead logs are covered in part.
    pub writers: u64,
    /// Keys of files that commits took out and that are not deleted yet.
    pub retired: Vec<String>,
    /// Requests to delete, with those that were processed.
    pub delete_requests: u64,
    /// Keys of files of marks.
    pub marks: Vec<String>,
}

/// Reads the bytes of a manifest.
///
/// # Errors
/// [`ErrorKind::Corrupt`]: not a manifest, damaged, or of a version that this build does not read.
pub fn inspect_manifest(bytes: &[u8]) -> Result<ManifestSummary> {
    let failed = |error| Error::new(ErrorKind::Corrupt, "the manifest cannot be read").with_source(error);
    let manifest = codec::decode(bytes).map_err(failed)?;
    let keys = |files: &[std::sync::Arc<super::FileEntry>]| files.iter().map(|file| file.key.clone()).collect();
    let files = || manifest.packs.iter().chain(&manifest.tables);
    Ok(ManifestSummary {
        sequence: manifest.sequence,
        packs: keys(&manifest.packs),
        tables: keys(&manifest.tables),
        bytes: files().fold(0, |sum, file| sum.saturating_add(file.bytes)),
        rows: manifest.packs.iter().fold(0, |sum: u64, file| sum.saturating_add(file.rows)),
        range: manifest.packs.iter().fold(TimeRange::EMPTY, |range, file| range.cover(&file.range)),
        writers: manifest.covered.len() as u64,
        retired: manifest.retired.iter().map(|file| file.key.clone()).collect(),
        delete_requests: manifest.deletes.len() as u64,
        marks: manifest.marks.iter().map(|file| file.key.clone()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::inspect_manifest;

    #[test]
    fn a_manifest_is_summed_up() {
        let golden = include_bytes!("../../tests/golden/manifest-v0.bin");
        let found = inspect_manifest(golden).expect("readable");
        assert_eq!((found.sequence, found.rows, found.writers), (42, 20, 2));
        assert_eq!((found.packs.len(), found.tables.len(), found.retired.len()), (2, 1, 1));
        assert!(inspect_manifest(&golden[1..]).is_err());
    }
}
