//! Files that are replaced as a whole, and names of files made from any text.

use std::{
    fs,
    io::{self, Write},
    path::Path,
};

use crate::RulerError;

/// Writes a file so that, whatever happens, either the old or the new content is there.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), RulerError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| RulerError::io("make folder", folder, error))?;
    let new = path.with_extension("new");
    let write = || -> io::Result<()> {
        let mut file = fs::File::create(&new)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|error| RulerError::io("write", &new, error))?;
    fs::rename(&new, path).map_err(|error| RulerError::io("write", path, error))?;
    sync_folder(folder)
}

/// Makes sure that names made or removed in a folder stay so.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), RulerError> {
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| RulerError::io("sync folder", folder, error))
}

/// Removes a file; says whether it was there.
pub(crate) fn remove(path: &Path) -> Result<bool, RulerError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(RulerError::io("remove", path, error)),
    }
}

/// The names of what lies in a folder, sorted; none if it does not exist. Other names than UTF-8 are left out.
pub(crate) fn list(folder: &Path) -> Result<Vec<String>, RulerError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(RulerError::io("read folder", folder, error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| RulerError::io("read folder", folder, error))?;
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort_unstable();
    Ok(names)
}

/// A name of a file for any text: other bytes than letters, digits, `-` and `_` as `%XX`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

/// The text of a name that [`escape`] made.
pub(crate) fn unescape(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (hex, tail) = rest.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{escape, list, remove, replace, unescape};

    #[test]
    fn files_are_replaced_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a").join("b.yaml");
        replace(&path, b"one").expect("it is written");
        replace(&path, b"two").expect("it is written");
        assert_eq!(std::fs::read(&path).expect("it is there"), b"two");
        assert_eq!(list(&folder.path().join("a")).expect("it is there"), ["b.yaml"]);
        assert_eq!((remove(&path).ok(), remove(&path).ok()), (Some(true), Some(false)));
        assert!(list(&folder.path().join("none")).expect("nothing is no error").is_empty());
    }

    proptest! {
        #[test]
        fn names_are_read_back(text in ".*") {
            let name = escape(&text);
            prop_assert!(!name.contains(['/', '.']));
            prop_assert_eq!(unescape(&name), Some(text));
        }

        #[test]
        fn any_name_is_read_or_refused(name in ".*") {
            let _ = unescape(&name);
        }
    }
}
