//! The rules of all tenants: groups by namespace, kept as YAML in a `Place`.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use base64::{Engine, prelude::BASE64_URL_SAFE};
use narvi::{Store, Tenant};
use narvi_config::RulerLimits;
use parking_lot::Mutex;

use crate::{Group, RulerError, decode_groups, place::Place, yaml};

/// Groups by namespace.
pub type Namespaces = BTreeMap<String, Vec<Group>>;

/// The rules of all tenants. What is asked is read from where they lie, so that files may change beside it.
#[derive(Debug)]
pub struct RuleStore {
    place: Place,
    /// Held while something is changed.
    changing: Mutex<()>,
    /// Whether it was said that files lie where no tenant's folder is.
    warned: AtomicBool,
}

impl RuleStore {
    /// A store that the API may write.
    pub fn writable(folder: impl Into<PathBuf>) -> Self {
        Self::at(Place::Own(folder.into()))
    }

    /// Files of an operator: `FOLDER/TENANT/NAMESPACE`.
    pub fn read_only(folder: impl Into<PathBuf>) -> Self {
        Self::at(Place::Operator(folder.into()))
    }

    /// Rules in an object store, which the API may write.
    pub fn objects(store: Arc<dyn Store>) -> Self {
        Self::at(Place::Objects(store))
    }

    fn at(place: Place) -> Self {
        Self { place, changing: Mutex::default(), warned: AtomicBool::new(false) }
    }

    /// The tenants that have rules.
    ///
    /// # Errors
    /// The place cannot be read.
    pub fn tenants(&self) -> Result<Vec<Tenant>, RulerError> {
        if let Some(file) = self.place.stray()?
            && !self.warned.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(file = %file.display(), "rules are read from a folder for each tenant: move this file into one");
        }
        let mut tenants = Vec::new();
        for name in self.place.tenants()? {
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
    /// The place cannot be read.
    pub fn load(&self, tenant: &Tenant) -> Result<(Namespaces, BTreeMap<String, RulerError>), RulerError> {
        let (mut namespaces, mut wrong) = (Namespaces::new(), BTreeMap::new());
        for name in self.place.namespaces(tenant)? {
            match self.read(tenant, &name) {
                Ok(groups) if groups.is_empty() => {}
                Ok(groups) => drop(namespaces.insert(name, groups)),
                Err(error) => drop(wrong.insert(name, error)),
            }
        }
        Ok((namespaces, wrong))
    }

    /// The groups of a namespace; none if there is no such namespace.
    fn read(&self, tenant: &Tenant, namespace: &str) -> Result<Vec<Group>, RulerError> {
        let text = self.place.read(tenant, namespace)?.unwrap_or_default();
        decode_groups(&text).map_err(|error| match self.place.path(tenant, namespace) {
            Ok(path) => RulerError::File { path, message: error.to_string() },
            Err(error) => error,
        })
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

    /// Adds a group, or replaces the one of its name, within the limits of the tenant.
    ///
    /// # Errors
    /// The store is read-only, a limit is passed, or the place cannot be read or written.
    pub fn set_group(
        &self,
        tenant: &Tenant,
        namespace: &str,
        group: Group,
        limits: &RulerLimits,
    ) -> Result<(), RulerError> {
        self.place.writable()?;
        let _changing = self.changing.lock();
        let (limit, actual) = (limits.max_rules_per_group, group.rules.len());
        if limit > 0 && actual > limit {
            return Err(RulerError::Invalid(format!(
                "per-user rules per rule group limit (limit: {limit} actual: {actual}) exceeded"
            )));
        }
        if limits.max_groups > 0 {
            let all = self.load(tenant)?.0;
            let known = all.get(namespace).is_some_and(|groups| groups.iter().any(|old| old.name == group.name));
            let actual = all.values().map(Vec::len).sum::<usize>() + usize::from(!known);
            if actual > limits.max_groups {
                let limit = limits.max_groups;
                return Err(RulerError::Invalid(format!(
                    "per-user rule groups limit (limit: {limit} actual: {actual}) exceeded"
                )));
            }
        }
        let mut groups = self.read(tenant, namespace)?;
        match groups.iter_mut().find(|old| old.name == group.name) {
            Some(old) => *old = group,
            None => groups.push(group),
        }
        self.place.write(tenant, namespace, &yaml::file(&groups))
    }

    /// Removes a group; one that does not exist is no error, as in Loki.
    ///
    /// # Errors
    /// The store is read-only, or the place cannot be read or written.
    pub fn delete_group(&self, tenant: &Tenant, namespace: &str, name: &str) -> Result<(), RulerError> {
        self.place.writable()?;
        let _changing = self.changing.lock();
        let mut groups = self.read(tenant, namespace)?;
        let before = groups.len();
        groups.retain(|group| group.name != name);
        if groups.is_empty() {
            return self.place.remove(tenant, namespace).map(drop);
        }
        if groups.len() == before {
            return Ok(());
        }
        self.place.write(tenant, namespace, &yaml::file(&groups))
    }

    /// Removes a namespace.
    ///
    /// # Errors
    /// The store is read-only, there is no such namespace, or it cannot be removed.
    pub fn delete_namespace(&self, tenant: &Tenant, namespace: &str) -> Result<(), RulerError> {
        self.place.writable()?;
        let _changing = self.changing.lock();
        if self.place.remove(tenant, namespace)? { Ok(()) } else { Err(RulerError::NoNamespace) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use narvi::{Fault, FaultStore, MemoryStore, StoreErrorKind, Tenant};
    use narvi_config::RulerLimits;

    use super::RuleStore;
    use crate::{Group, RulerError, decode_group};

    /// Sets a group without limits.
    fn set(store: &RuleStore, tenant: &Tenant, namespace: &str, group: Group) -> Result<(), RulerError> {
        store.set_group(tenant, namespace, group, &RulerLimits::default())
    }

    fn group(name: &str) -> Group {
        decode_group(&format!("name: {name}\nrules:\n- {{alert: A, expr: '1'}}")).expect("it is right")
    }

    #[test]
    fn groups_are_kept_replaced_and_removed() {
        let (folder, objects) = (tempfile::tempdir().expect("a folder"), Arc::new(MemoryStore::new()));
        kept_replaced_and_removed(|| RuleStore::writable(folder.path().join("rules")));
        kept_replaced_and_removed(|| RuleStore::objects(objects.clone()));
    }

    fn kept_replaced_and_removed(open: impl Fn() -> RuleStore) {
        let store = open();
        let tenant = Tenant::default();
        assert!(store.namespaces(&tenant).expect("nothing").is_empty());
        for (namespace, name) in [("a/b c", "two"), ("a/b c", "one"), ("..", "x"), ("a/b c", "two")] {
            set(&store, &tenant, namespace, group(name)).expect("it is written");
        }
        let again = open();
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
        assert!(matches!(set(&store, &Tenant::default(), "n", group("g")), Err(RulerError::ReadOnly(_))));
        assert!(matches!(store.delete_namespace(&Tenant::default(), "n"), Err(RulerError::ReadOnly(_))));
    }

    #[test]
    fn limits_hold() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = RuleStore::writable(folder.path());
        let tenant = Tenant::default();
        let mut limits = RulerLimits::default();
        (limits.max_rules_per_group, limits.max_groups) = (1, 1);
        let set = |namespace: &str, group: Group| store.set_group(&tenant, namespace, group, &limits);
        set("n", group("a")).expect("it is written");
        set("n", group("a")).expect("it is replaced");
        let error = set("m", group("b")).expect_err("one too many").to_string();
        assert_eq!(error, "per-user rule groups limit (limit: 1 actual: 2) exceeded");
        let mut large = group("a");
        large.rules.push(large.rules[0].clone());
        let error = set("n", large).expect_err("one too many").to_string();
        assert_eq!(error, "per-user rules per rule group limit (limit: 1 actual: 2) exceeded");
    }

    #[test]
    fn an_object_store_that_fails_is_an_error_and_loses_nothing() {
        let fails = Arc::new(AtomicBool::new(false));
        let of_plan = fails.clone();
        let plan = move |_, _: &str, _: &str| {
            of_plan.load(Ordering::Relaxed).then_some(Fault::Before(StoreErrorKind::Unavailable))
        };
        let store = RuleStore::objects(Arc::new(FaultStore::new(Arc::new(MemoryStore::new()), plan)));
        let tenant = Tenant::default();
        set(&store, &tenant, "n", group("a")).expect("it is written");
        fails.store(true, Ordering::Relaxed);
        assert!(matches!(store.tenants(), Err(RulerError::Store(_))));
        assert!(matches!(store.load(&tenant), Err(RulerError::Store(_))));
        assert!(matches!(store.group(&tenant, "n", "a"), Err(RulerError::Store(_))));
        assert!(matches!(set(&store, &tenant, "n", group("b")), Err(RulerError::Store(_))));
        assert!(matches!(store.delete_group(&tenant, "n", "a"), Err(RulerError::Store(_))));
        assert!(matches!(store.delete_namespace(&tenant, "n"), Err(RulerError::Store(_))));
        fails.store(false, Ordering::Relaxed);
        assert_eq!(store.group(&tenant, "n", "a").expect("it is there"), group("a"));
    }
}
