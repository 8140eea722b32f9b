//! The states of alerts on disk: a file for each group that has some, so that a restart changes nothing.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::PathBuf,
};

use narvi::{Labels, Tenant};
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

/// The folder of the files.
#[derive(Clone, Debug)]
pub(crate) struct StateStore {
    folder: PathBuf,
}

impl StateStore {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file of a group. Names may be longer than file systems allow.
    pub(crate) fn path(&self, tenant: &Tenant, namespace: &str, group: &str) -> PathBuf {
        self.folder.join(tenant.as_str()).join(format!("{:016x}.json", hash(&[namespace, group])))
    }

    pub(crate) fn save(&self, tenant: &Tenant, saved: &Saved) -> Result<(), RulerError> {
        let path = self.path(tenant, &saved.namespace, &saved.group);
        if saved.rules.iter().all(|rule| rule.alerts.is_empty()) {
            return files::remove(&path).map(drop);
        }
        let content = serde_json::to_vec(saved)
            .map_err(|error| RulerError::File { path: path.clone(), message: error.to_string() })?;
        files::replace(&path, &content)
    }

    /// What was saved of a group; nothing if there is none or it cannot be read, which the log says.
    pub(crate) fn load(&self, tenant: &Tenant, namespace: &str, group: &str) -> Option<Saved> {
        let path = self.path(tenant, namespace, group);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound {
                    tracing::warn!(path = %path.display(), %error, "the states of alerts cannot be read");
                }
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
        files::remove(&self.path(tenant, namespace, group)).map(drop)
    }

    /// Removes the files of groups that are no more.
    pub(crate) fn sweep(&self, known: &HashSet<PathBuf>) -> Result<(), RulerError> {
        for tenant in files::list(&self.folder)? {
            let folder = self.folder.join(tenant);
            if !folder.is_dir() {
                continue;
            }
            for name in files::list(&folder)? {
                let path = folder.join(&name);
                if name.ends_with(".json") && !known.contains(&path) {
                    files::remove(&path)?;
                }
            }
        }
        Ok(())
    }
}

/// A hash that is the same in every run.
pub(crate) fn hash(parts: &[&str]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(parts.join("\0").as_bytes())
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use narvi::{Labels, Tenant};

    use super::{Saved, SavedRule, StateStore};
    use crate::alert::{Alert, Alerts, State};

    #[test]
    fn states_are_read_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = StateStore::new(folder.path().join("state"));
        let tenant = Tenant::default();
        let labels = Labels::from_pairs([("app", "api")]).expect("labels");
        let alert =
            Alert { state: State::Firing, value: f64::INFINITY, active_at: 7, fired_at: Some(9), ..Alert::default() };
        let alerts = Alerts([(labels, alert)].into());
        let rules = vec![SavedRule::new("A", &BTreeMap::new(), &alerts)];
        let saved = Saved { namespace: "n".into(), group: "g".into(), evaluated_at_ns: 5, rules };
        store.save(&tenant, &saved).expect("it is written");
        let loaded = store.load(&tenant, "n", "g").expect("it is there");
        assert_eq!(loaded, saved);
        assert_eq!(loaded.rules[0].clone().alerts(), alerts);
        assert_eq!(store.load(&tenant, "n", "other"), None);
        store.sweep(&HashSet::from([store.path(&tenant, "n", "g")])).expect("nothing goes");
        assert!(store.load(&tenant, "n", "g").is_some());
        std::fs::write(store.path(&tenant, "n", "g"), b"{").expect("it is written");
        assert_eq!(store.load(&tenant, "n", "g"), None);
        store.sweep(&HashSet::new()).expect("it goes");
        assert!(!store.path(&tenant, "n", "g").exists());
    }
}
