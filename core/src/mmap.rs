//! Maps committed index tables of the local store: the one place of this crate with unsafe code.

use std::{fs::File, io, path::Path};

use bytes::Bytes;
use memmap2::Mmap;

/// Maps a whole file read-only. The mapping lives as long as the bytes and their clones.
///
/// # Errors
/// The file cannot be opened or mapped.
pub(crate) fn map_committed(path: &Path) -> io::Result<Bytes> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(Bytes::new());
    }
    // SAFETY: the bytes behind a mapping must not change while they are borrowed, and must not be cut off. Only files that
    // `LocalStore` has put under their final name are passed here, and it never opens such a file for writing: a file is
    // written and synced under a temporary name, renamed, and from then on only read or unlinked. Unlinking, and renaming
    // another file over the name, leave the mapped inode as it is. The lock on the data directory keeps other
    // Narvi processes out. What remains is a foreign program that writes into or truncates files of a data directory in use;
    // the same would corrupt the store for any reader, and the manual says not to do it. The index reads mapped bytes
    // as untrusted, so that changed bytes give errors; packs, which are larger and come from more sources, are not mapped.
    #[expect(unsafe_code, reason = "mapping a file is unsafe; the proof is above")]
    let map = unsafe { Mmap::map(&file)? };
    Ok(Bytes::from_owner(map))
}

#[cfg(test)]
mod tests {
    use super::map_committed;

    #[test]
    fn bytes_outlive_the_file_and_empty_files_map_to_nothing() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("table");
        std::fs::write(&path, b"abcdef").expect("written");
        let bytes = map_committed(&path).expect("mapped").slice(2..4);
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(&bytes[..], b"cd");
        std::fs::write(&path, b"").expect("written");
        assert!(map_committed(&path).expect("mapped").is_empty());
        assert!(map_committed(&folder.path().join("none")).is_err());
    }
}
