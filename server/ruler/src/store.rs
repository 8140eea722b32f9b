//! Where rules lie: a folder per tenant, a file per namespace.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_URL_SAFE};
use narvi::Tenant;
use parking_lot::Mutex;

use crate::{Group, RulerError, decode_groups, files, yaml};

/// Groups by namespace.
pub type Namespaces = BTreeMap<String, Vec<Group>>;

/// What files of the store end with; files of an operator may have any name.
const ENDING: &str = ".yaml";

/// The rules of all tenants on disk. What is asked is read from there, so that files may change beside it.
#[derive(Debug)]
pub struct RuleStore {
    folder: PathBuf,
    /// Whether the files are the store's own, with names of its own.
    own: bool,
    max_rules: usize,
    max_groups: usize,
    /// Held while something is changed.
    changing: Mutex<()>,
}

impl RuleStore {
    /// A store that the API may write.
    pub fn writable(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), own: true, max_rules: 0, max_groups: 0, changing: Mutex::default() }
    }

    /// Files of an operator: `FOLDER/TENANT/NAMESPACE`.
    pub fn read_only(folder: impl Into<PathBuf>) -> Self {
        Self { own: false, ..Self::writable(folder) }
    }

    /// Limits the rules of a group and the groups of a tenant; 0 is no limit.
    #[must_use]
    pub fn limits(mut self, max_rules: usize, max_groups: usize) -> Self {
        (self.max_rules, self.max_groups) = (max_rules, max_groups);
        self
    }

    /// The tenants that have rules.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn tenants(&self) -> Result<Vec<Tenant>, RulerError> {
        let mut tenants = Vec::new();
        for name in files::list(&self.folder)? {
            if name.starts_with('.') || !self.folder.join(&name).is_dir() {
                continue;
            }
            match Tenant::new(&name) {
                Ok(tenant) => tenants.push(tenant),
                Err(error) => tracing::warn!(folder = name, %error, "no tenant can have this name"),
            }
        }
        Ok(tenants)
    }

    /// The valid rules of a tenant, and what is wrong with other files.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn load(&self, tenant: &Tenant) -> Result<(Namespaces, BTreeMap<String, RulerError>), RulerError> {
        let folder = self.folder.join(tenant.as_str());
        let (mut namespaces, mut wrong) = (Namespaces::new(), BTreeMap::new());
        for name in files::list(&folder)? {
            let path = folder.join(&name);
            // Mounted maps of Kubernetes have folders and links of their own beside the files.
            if name.starts_with('.') || !path.is_file() {
                continue;
            }
            let namespace = match (self.own, name.strip_suffix(ENDING)) {
                (false, _) => name.clone(),
                (true, Some(stem)) => files::unescape(stem).unwrap_or_else(|| name.clone()),
                (true, None) => continue,
            };
            match read(&path) {
                Ok(groups) if groups.is_empty() => {}
                Ok(groups) => drop(namespaces.insert(namespace, groups)),
                Err(error) => drop(wrong.insert(namespace, error)),
            }
        }
        Ok((namespaces, wrong))
    }

    /// All groups of a tenant, sorted as Loki lists them.
    ///
    /// # Errors
    /// A file cannot be used.
    pub fn namespaces(&self, tenant: &Tenant) -> Result<Namespaces, RulerError> {
        let (mut namespaces, wrong) = self.load(tenant)?;
        if let Some((_, error)) = wrong.into_iter().next() {
            return Err(error);
        }
        // Loki lists the objects of its bucket, which are named so.
        for groups in namespaces.values_mut() {
            groups.sort_by_cached_key(|group| BASE64_URL_SAFE.encode(&group.name));
        }
        Ok(namespaces)
    }

    /// One group.
    ///
    /// # Errors
    /// It does not exist, or its file cannot be used.
    pub fn group(&self, tenant: &Tenant, namespace: &str, name: &str) -> Result<Group, RulerError> {
        let groups = self.namespaces(tenant)?.remove(namespace).unwrap_or_default();
        groups.into_iter().find(|group| group.name == name).ok_or(RulerError::NoGroup)
    }

    /// Adds a group, or replaces the one of its name.
    ///
    /// # Errors
    /// The store is read-only, a limit is passed, or the file cannot be written.
    pub fn set_group(&self, tenant: &Tenant, namespace: &str, group: Group) -> Result<(), RulerError> {
        let path = self.path(tenant, namespace)?;
        let _changing = self.changing.lock();
        if self.max_rules > 0 && group.rules.len() > self.max_rules {
            let (limit, actual) = (self.max_rules, group.rules.len());
            return Err(RulerError::Invalid(format!(
                "per-user rules per rule group limit (limit: {limit} actual: {actual}) exceeded"
            )));
        }
        if self.max_groups > 0 {
            let all = self.load(tenant)?.0;
            let known = all.get(namespace).is_some_and(|groups| groups.iter().any(|old| old.name == group.name));
            let (limit, actual) = (self.max_groups, all.values().map(Vec::len).sum::<usize>() + usize::from(!known));
            if actual > limit {
                return Err(RulerError::Invalid(format!(
                    "per-user rule groups limit (limit: {limit} actual: {actual}) exceeded"
                )));
            }
        }
        let mut groups = read(&path)?;
        match groups.iter_mut().find(|old| old.name == group.name) {
            Some(old) => *old = group,
            None => groups.push(group),
        }
        files::replace(&path, yaml::file(&groups).as_bytes())
    }

    /// Removes a group; one that does not exist is no error, as in Loki.
    ///
    /// # Errors
    /// The store is read-only, or the file cannot be read or written.
    pub fn delete_group(&self, tenant: &Tenant, namespace: &str, name: &str) -> Result<(), RulerError> {
        let path = self.path(tenant, namespace)?;
        let _changing = self.changing.lock();
        let mut groups = read(&path)?;
        let before = groups.len();
        groups.retain(|group| group.name != name);
        if groups.is_empty() {
            return files::remove(&path).map(drop);
        }
        if groups.len() == before {
            return Ok(());
        }
        files::replace(&path, yaml::file(&groups).as_bytes())
    }

    /// Removes a namespace.
    ///
    /// # Errors
    /// The store is read-only, there is no such namespace, or its file cannot be removed.
    pub fn delete_namespace(&self, tenant: &Tenant, namespace: &str) -> Result<(), RulerError> {
        let path = self.path(tenant, namespace)?;
        let _changing = self.changing.lock();
        if files::remove(&path)? { Ok(()) } else { Err(RulerError::NoNamespace) }
    }

    /// The file of a namespace that is to be changed.
    fn path(&self, tenant: &Tenant, namespace: &str) -> Result<PathBuf, RulerError> {
        /// What file systems take as one name, with room for the ending.
        const LONGEST: usize = 240;
        if !self.own {
            return Err(RulerError::ReadOnly(self.folder.clone()));
        }
        let name = files::escape(namespace);
        if name.is_empty() || name.len() > LONGEST {
            let long =
                format!("the name of a namespace must have 1 to {LONGEST} bytes, counting other than letters thrice");
            return Err(RulerError::Invalid(long));
        }
        Ok(self.folder.join(tenant.as_str()).join(name + ENDING))
    }
}

/// The groups of a file; none if it does not exist.
fn read(path: &Path) -> Result<Vec<Group>, RulerError> {
    /// Nobody writes so many rules by hand.
    const LARGEST_BYTES: u64 = 64 << 20;
    let text = match fs::metadata(path).and_then(|meta| {
        if meta.len() > LARGEST_BYTES { Err(std::io::ErrorKind::FileTooLarge.into()) } else { fs::read_to_string(path) }
    }) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(RulerError::io("read", path, error)),
    };
    decode_groups(&text).map_err(|error| RulerError::File { path: path.to_owned(), message: error.to_string() })
}

#[cfg(test)]
mod tests {
    use narvi::Tenant;

    use super::RuleStore;
    use crate::{Group, RulerError, decode_group};

    fn group(name: &str) -> Group {
        decode_group(&format!("name: {name}\nrules:\n- {{alert: A, expr: '1'}}")).expect("it is right")
    }

    #[test]
    fn groups_are_kept_replaced_and_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = RuleStore::writable(folder.path().join("rules"));
        let tenant = Tenant::default();
        assert!(store.namespaces(&tenant).expect("nothing").is_empty());
        for (namespace, name) in [("a/b c", "two"), ("a/b c", "one"), ("..", "x"), ("a/b c", "two")] {
            store.set_group(&tenant, namespace, group(name)).expect("it is written");
        }
        let again = RuleStore::writable(folder.path().join("rules"));
        let all = again.namespaces(&tenant).expect("they are there");
        assert_eq!(all.keys().collect::<Vec<_>>(), ["..", "a/b c"]);
        assert_eq!(all["a/b c"].iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(again.tenants().expect("one"), std::slice::from_ref(&tenant));
        again.delete_group(&tenant, "a/b c", "one").expect("it goes");
        again.delete_group(&tenant, "a/b c", "one").expect("it is gone");
        assert!(matches!(again.group(&tenant, "a/b c", "one"), Err(RulerError::NoGroup)));
        assert_eq!(again.group(&tenant, "a/b c", "two").expect("it is there"), group("two"));
        again.delete_namespace(&tenant, "a/b c").expect("it goes");
        assert!(matches!(again.delete_namespace(&tenant, "a/b c"), Err(RulerError::NoNamespace)));
        again.delete_group(&tenant, "..", "x").expect("it goes");
        assert!(again.namespaces(&tenant).expect("nothing").is_empty());
    }

    #[test]
    fn files_of_an_operator_are_read_only_and_one_wrong_file_leaves_others() {
        let folder = tempfile::tempdir().expect("a folder");
        let of_tenant = folder.path().join("fake");
        std::fs::create_dir_all(of_tenant.join("..data")).expect("a folder");
        std::fs::write(of_tenant.join("rules1.txt"), "groups:\n- name: g\n  rules: [{alert: A, expr: '1'}]")
            .expect("it is written");
        std::fs::write(of_tenant.join("wrong.yaml"), "groups: 7").expect("it is written");
        let store = RuleStore::read_only(folder.path());
        let (good, wrong) = store.load(&Tenant::default()).expect("it is read");
        assert_eq!(good.keys().collect::<Vec<_>>(), ["rules1.txt"]);
        assert_eq!(wrong.len(), 1);
        assert!(wrong["wrong.yaml"].to_string().contains("wrong.yaml: "));
        assert!(matches!(store.set_group(&Tenant::default(), "n", group("g")), Err(RulerError::ReadOnly(_))));
        assert!(matches!(store.delete_namespace(&Tenant::default(), "n"), Err(RulerError::ReadOnly(_))));
    }

    #[test]
    fn limits_hold() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = RuleStore::writable(folder.path()).limits(1, 1);
        let tenant = Tenant::default();
        store.set_group(&tenant, "n", group("a")).expect("it is written");
        store.set_group(&tenant, "n", group("a")).expect("it is replaced");
        let error = store.set_group(&tenant, "m", group("b")).expect_err("one too many").to_string();
        assert_eq!(error, "per-user rule groups limit (limit: 1 actual: 2) exceeded");
        let mut large = group("a");
        large.rules.push(large.rules[0].clone());
        let error = store.set_group(&tenant, "n", large).expect_err("one too many").to_string();
        assert_eq!(error, "per-user rules per rule group limit (limit: 1 actual: 2) exceeded");
        assert!(store.set_group(&tenant, &"x".repeat(300), group("a")).is_err());
    }
}
