//! The states of alerts: a file for each group that has some, so that a restart changes nothing. In a folder, or, where
//! rulers share groups, in the store of the rules, so that whoever gets a group goes on with it.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::PathBuf,
    sync::Arc,
};

use narvi::{Labels, Store, StoreErrorKind, Tenant};
use serde::{Deserialize, Serialize};

use crate::{
    RulerError,
    alert::{Alert, Alerts, State},
    files,
    times::Nanos,
};

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub(crate) namespace: String,
    pub(crate) group: String,
    /// When the group was evaluated last.
    pub(crate) evaluated_at_ns: Nanos,
    pub(crate) rules: Vec<SavedRule>,
}

/// The alerts of one rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedRule {
    pub(crate) name: String,
    /// The rule's own labels, which tell rules of one name apart.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) alerts: Vec<SavedAlert>,
}

/// An alert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedAlert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    state: State,
    /// As text, since JSON has neither infinities nor NaN.
    value: String,
    active_at_ns: Nanos,
    fired_at_ns: Option<Nanos>,
    resolved_at_ns: Option<Nanos>,
    kept_since_ns: Option<Nanos>,
}

impl SavedRule {
    pub(crate) fn new(name: &str, labels: &BTreeMap<String, String>, alerts: &Alerts) -> Self {
        let mut all: Vec<_> = alerts.0.iter().collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.packed().cmp(b.packed()));
        let saved = all.into_iter().map(|(labels, alert)| SavedAlert {
            labels: labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            annotations: alert.annotations.clone(),
            state: alert.state,
            value: alert.value.to_string(),
            active_at_ns: alert.active_at,
            fired_at_ns: alert.fired_at,
            resolved_at_ns: alert.resolved_at,
            kept_since_ns: alert.kept_since,
        });
        Self { name: name.to_owned(), labels: labels.clone(), alerts: saved.collect() }
    }

    pub(crate) fn alerts(self) -> Alerts {
        let alerts = self.alerts.into_iter().filter_map(|saved| {
            let pairs = saved.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let labels = Labels::from_pairs(pairs).ok()?;
            let alert = Alert {
                state: saved.state,
                annotations: saved.annotations,
                value: saved.value.parse().unwrap_or(f64::NAN),
                active_at: saved.active_at_ns,
                fired_at: saved.fired_at_ns,
                resolved_at: saved.resolved_at_ns,
                kept_since: saved.kept_since_ns,
                last_sent: None,
            };
            Some((labels, alert))
        });
        Alerts(alerts.collect())
    }
}

/// The first word of the keys of all objects.
const OBJECTS: &str = "rule-states";

/// Where the files lie.
#[derive(Clone, Debug)]
pub(crate) enum StateStore {
    /// In a folder of this process.
    Folder(PathBuf),
    /// Where all rulers find them.
    Objects(Arc<dyn Store>),
}

impl StateStore {
    /// Whether other rulers see what is written.
    pub(crate) fn is_shared(&self) -> bool {
        matches!(self, Self::Objects(_))
    }

    /// The name of the file of a group. Names of groups may be longer than file systems allow.
    pub(crate) fn key(tenant: &Tenant, namespace: &str, group: &str) -> String {
        format!("{}/{:016x}.json", tenant.as_str(), hash(&[namespace, group]))
    }

    /// Where it lies, for people.
    fn path(&self, key: &str) -> PathBuf {
        match self {
            Self::Folder(folder) => folder.join(key),
            Self::Objects(_) => format!("{OBJECTS}/{key}").into(),
        }
    }

    fn read(&self, key: &str) -> Result<Option<Vec<u8>>, RulerError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(key);
                match fs::read(&path) {
                    Ok(content) => Ok(Some(content)),
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                    Err(error) => Err(RulerError::io("read", &path, error)),
                }
            }
            Self::Objects(store) => match store.get(&format!("{OBJECTS}/{key}")) {
                Ok(content) => Ok(Some(content.into())),
                Err(error) if error.kind() == StoreErrorKind::NotFound => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }

    fn remove(&self, key: &str) -> Result<(), RulerError> {
        match self {
            Self::Folder(folder) => files::remove(&folder.join(key)).map(drop),
            Self::Objects(store) => Ok(store.delete(&format!("{OBJECTS}/{key}"))?),
        }
    }

    pub(crate) fn save(&self, tenant: &Tenant, saved: &Saved) -> Result<(), RulerError> {
        let key = Self::key(tenant, &saved.namespace, &saved.group);
        if saved.rules.iter().all(|rule| rule.alerts.is_empty()) {
            return self.remove(&key);
        }
        let content = serde_json::to_vec(saved)
            .map_err(|error| RulerError::File { path: self.path(&key), message: error.to_string() })?;
        match self {
            Self::Folder(folder) => files::replace(&folder.join(key), &content),
            Self::Objects(store) => Ok(store.put(&format!("{OBJECTS}/{key}"), &[content.into()])?),
        }
    }

    /// What was saved of a group; nothing if there is none or it cannot be read, which the log says.
    pub(crate) fn load(&self, tenant: &Tenant, namespace: &str, group: &str) -> Option<Saved> {
        let key = Self::key(tenant, namespace, group);
        let path = self.path(&key);
        let content = match self.read(&key) {
            Ok(content) => content?,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the states of alerts cannot be read");
                return None;
            }
        };
        match serde_json::from_slice::<Saved>(&content) {
            Ok(saved) => Some(saved).filter(|saved| saved.namespace == namespace && saved.group == group),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "the states of alerts are damaged and begin anew");
                None
            }
        }
    }

    pub(crate) fn forget(&self, tenant: &Tenant, namespace: &str, group: &str) -> Result<(), RulerError> {
        self.remove(&Self::key(tenant, namespace, group))
    }

    /// Removes the files of groups that are no more.
    pub(crate) fn sweep(&self, known: &HashSet<String>) -> Result<(), RulerError> {
        for key in self.keys()? {
            if key.ends_with(".json") && !known.contains(&key) {
                self.remove(&key)?;
            }
        }
        Ok(())
    }

    fn keys(&self) -> Result<Vec<String>, RulerError> {
        let root = match self {
            Self::Folder(folder) => folder,
            Self::Objects(store) => {
                let listed = store.list(OBJECTS)?;
                let key = |key: &str| Some(key.strip_prefix(OBJECTS)?.strip_prefix('/')?.to_owned());
                return Ok(listed.iter().filter_map(|object| key(&object.key)).collect());
            }
        };
        let mut keys = Vec::new();
        for tenant in files::list(root)?.into_iter().filter(|tenant| root.join(tenant).is_dir()) {
            let names = files::list(&root.join(&tenant))?;
            keys.extend(names.into_iter().map(|name| format!("{tenant}/{name}")));
        }
        Ok(keys)
    }
}

/// A hash that is the same in every run.
pub(crate) fn hash(parts: &[&str]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(parts.join("\0").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeMap, HashSet},
        sync::Arc,
    };

    use narvi::{Labels, MemoryStore, Store, Tenant};

    use super::{Saved, SavedRule, StateStore};
    use crate::alert::{Alert, Alerts, State};

    #[test]
    fn states_are_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let objects: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let damage = |store: &StateStore, key: &str| match store {
            StateStore::Folder(folder) => std::fs::write(folder.join(key), b"{").expect("it is written"),
            StateStore::Objects(store) => {
                store.put(&format!("rule-states/{key}"), &[b"{"[..].into()]).expect("it is written");
            }
        };
        for store in [StateStore::Folder(folder.path().join("state")), StateStore::Objects(objects)] {
            let tenant = Tenant::default();
            let labels = Labels::from_pairs([("app", "api")]).expect("labels");
            let fires = Alert { state: State::Firing, value: f64::INFINITY, active_at: 7, ..Alert::default() };
            let alerts = Alerts([(labels, Alert { fired_at: Some(9), ..fires })].into());
            let rules = vec![SavedRule::new("A", &BTreeMap::new(), &alerts)];
            let saved = Saved { namespace: "n".into(), group: "g".into(), evaluated_at_ns: 5, rules };
            store.save(&tenant, &saved).expect("it is written");
            let loaded = store.load(&tenant, "n", "g").expect("it is there");
            assert_eq!(loaded, saved);
            assert_eq!(loaded.rules[0].clone().alerts(), alerts);
            assert_eq!(store.load(&tenant, "n", "other"), None);
            let key = StateStore::key(&tenant, "n", "g");
            store.sweep(&HashSet::from([key.clone()])).expect("nothing goes");
            assert!(store.load(&tenant, "n", "g").is_some());
            damage(&store, &key);
            assert_eq!(store.load(&tenant, "n", "g"), None);
            assert_eq!(store.keys().expect("listed"), [key]);
            store.sweep(&HashSet::new()).expect("it goes");
            assert!(store.keys().expect("listed").is_empty());
            store.forget(&tenant, "n", "g").expect("it is gone already");
        }
    }
}
