//! Where files of rules lie: a folder of the server, one of the operator, or an object store.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use narvi::{Store, StoreErrorKind, Tenant};

use crate::{RulerError, files};

/// What files of the store end with; files of an operator may have any name.
const ENDING: &str = ".yaml";

/// The first word of the keys of all objects.
const OBJECTS: &str = "rules";

/// Nobody writes so many rules by hand.
const LARGEST_BYTES: u64 = 64 << 20;

/// A text for each tenant and namespace.
#[derive(Clone, Debug)]
pub(crate) enum Place {
    /// A folder of ours: `FOLDER/TENANT/NAMESPACE.yaml`, with escaped names.
    Own(PathBuf),
    /// Files of an operator: `FOLDER/TENANT/NAMESPACE`. Only read.
    Operator(PathBuf),
    /// An object store: `rules/TENANT/NAMESPACE.yaml`, with the namespace in base64.
    Objects(Arc<dyn Store>),
}

impl Place {
    /// Whether it may be written.
    ///
    /// # Errors
    /// It may not.
    pub(crate) fn writable(&self) -> Result<(), RulerError> {
        match self {
            Self::Operator(folder) => Err(RulerError::ReadOnly(folder.clone())),
            Self::Own(_) | Self::Objects(_) => Ok(()),
        }
    }

    /// The names of tenants that have something.
    pub(crate) fn tenants(&self) -> Result<Vec<String>, RulerError> {
        match self {
            Self::Own(folder) | Self::Operator(folder) => {
                let mut names = files::list(folder)?;
                names.retain(|name| !name.starts_with('.') && folder.join(name).is_dir());
                Ok(names)
            }
            Self::Objects(store) => {
                let listed = store.list(OBJECTS)?;
                let mut names: Vec<String> =
                    listed.iter().filter_map(|info| Some(split(&info.key)?.0.to_owned())).collect();
                names.dedup();
                Ok(names)
            }
        }
    }

    /// A file of an operator that lies beside the folders of tenants, where nothing is read.
    pub(crate) fn stray(&self) -> Result<Option<PathBuf>, RulerError> {
        let Self::Operator(folder) = self else { return Ok(None) };
        let names = files::list(folder)?;
        Ok(names.iter().filter(|name| !name.starts_with('.')).map(|name| folder.join(name)).find(|path| path.is_file()))
    }

    /// The namespaces of a tenant.
    pub(crate) fn namespaces(&self, tenant: &Tenant) -> Result<Vec<String>, RulerError> {
        let own = |name: &String| files::unescape(name.strip_suffix(ENDING)?);
        match self {
            Self::Own(folder) => Ok(files::list(&folder.join(tenant.as_str()))?.iter().filter_map(own).collect()),
            Self::Operator(folder) => {
                let folder = folder.join(tenant.as_str());
                let mut names = files::list(&folder)?;
                // Mounted maps of Kubernetes have folders and links of their own beside the files.
                names.retain(|name| !name.starts_with('.') && folder.join(name).is_file());
                Ok(names)
            }
            Self::Objects(store) => {
                let prefix = format!("{OBJECTS}/{}", tenant.as_str());
                let listed = store.list(&prefix)?;
                Ok(listed.iter().filter_map(|info| decode(split(&info.key)?.1)).collect())
            }
        }
    }

    /// What a namespace holds, if it is there.
    pub(crate) fn read(&self, tenant: &Tenant, namespace: &str) -> Result<Option<String>, RulerError> {
        let key = self.key(tenant, namespace)?;
        let text = match self {
            Self::Own(folder) | Self::Operator(folder) => return read_file(&folder.join(key)),
            Self::Objects(store) => match store.get(&key) {
                Ok(bytes) => String::from_utf8(bytes.into()).ok(),
                Err(error) if error.kind() == StoreErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error.into()),
            },
        };
        text.map(Some).ok_or_else(|| RulerError::File { path: key.into(), message: "it is not UTF-8".to_owned() })
    }

    /// Puts a text in the place of what a namespace held. Whatever happens, either the old or the new one is there.
    pub(crate) fn write(&self, tenant: &Tenant, namespace: &str, text: &str) -> Result<(), RulerError> {
        let key = self.key(tenant, namespace)?;
        match self {
            Self::Own(folder) | Self::Operator(folder) => files::replace(&folder.join(key), text.as_bytes()),
            Self::Objects(store) => {
                let bytes = Bytes::copy_from_slice(text.as_bytes());
                Ok(store.put(&key, &[bytes])?)
            }
        }
    }

    /// Removes a namespace; says whether it was there.
    pub(crate) fn remove(&self, tenant: &Tenant, namespace: &str) -> Result<bool, RulerError> {
        let key = self.key(tenant, namespace)?;
        match self {
            Self::Own(folder) | Self::Operator(folder) => files::remove(&folder.join(key)),
            Self::Objects(store) => {
                match store.size(&key) {
                    Ok(_) => {}
                    Err(error) if error.kind() == StoreErrorKind::NotFound => return Ok(false),
                    Err(error) => return Err(error.into()),
                }
                store.delete(&key)?;
                Ok(true)
            }
        }
    }

    /// Where a namespace lies, for people.
    pub(crate) fn path(&self, tenant: &Tenant, namespace: &str) -> Result<PathBuf, RulerError> {
        let key = self.key(tenant, namespace)?;
        Ok(match self {
            Self::Own(folder) | Self::Operator(folder) => folder.join(key),
            Self::Objects(_) => key.into(),
        })
    }

    /// Where a namespace lies, below the folder or in the store.
    fn key(&self, tenant: &Tenant, namespace: &str) -> Result<String, RulerError> {
        /// What file systems and stores take as one name, with room for the ending.
        const LONGEST: usize = 240;
        let name = match self {
            Self::Operator(_) => return Ok(format!("{}/{namespace}", tenant.as_str())),
            Self::Own(_) => files::escape(namespace),
            Self::Objects(_) => BASE64_URL_SAFE_NO_PAD.encode(namespace),
        };
        if name.is_empty() || name.len() > LONGEST {
            let text = format!("the name of a namespace must not be empty or longer than {LONGEST} bytes when encoded");
            return Err(RulerError::Invalid(text));
        }
        let folder = if matches!(self, Self::Objects(_)) { format!("{OBJECTS}/") } else { String::new() };
        Ok(format!("{folder}{}/{name}{ENDING}", tenant.as_str()))
    }
}

/// Tenant and file of an object's key.
fn split(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix(OBJECTS)?.strip_prefix('/')?.split_once('/')
}

/// The namespace of a file's name in an object store.
fn decode(name: &str) -> Option<String> {
    String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(name.strip_suffix(ENDING)?).ok()?).ok()
}

fn read_file(path: &Path) -> Result<Option<String>, RulerError> {
    let read = || match fs::metadata(path)? {
        meta if meta.len() > LARGEST_BYTES => Err(std::io::ErrorKind::FileTooLarge.into()),
        _ => fs::read_to_string(path),
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RulerError::io("read", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use narvi::{MemoryStore, Tenant};

    use super::Place;

    #[test]
    fn texts_are_kept_under_any_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let tenants = [Tenant::new("a").expect("a tenant"), Tenant::new("b.c").expect("a tenant")];
        let names = ["n", "..", "a/b c", "\u{e4}", ".new", "a.yaml"];
        for place in [Place::Own(folder.path().join("r")), Place::Objects(Arc::new(MemoryStore::new()))] {
            assert!(place.tenants().expect("none").is_empty());
            for tenant in &tenants {
                for name in names {
                    assert_eq!(place.read(tenant, name).expect("nothing"), None);
                    place.write(tenant, name, "old").expect("it is written");
                    place.write(tenant, name, name).expect("it is replaced");
                }
            }
            assert_eq!(place.tenants().expect("two"), ["a", "b.c"]);
            let mut listed = place.namespaces(&tenants[0]).expect("they are there");
            listed.sort_unstable();
            let mut sorted = names;
            sorted.sort_unstable();
            assert_eq!(listed, sorted);
            for name in names {
                assert_eq!(place.read(&tenants[1], name).expect("it is there").as_deref(), Some(name));
                assert!(place.remove(&tenants[1], name).expect("it goes"));
                assert!(!place.remove(&tenants[1], name).expect("it is gone"));
            }
            assert!(place.namespaces(&tenants[1]).expect("none").is_empty());
            assert!(place.write(&tenants[0], "", "x").is_err());
            assert!(place.write(&tenants[0], &"x".repeat(300), "x").is_err());
        }
    }
}
