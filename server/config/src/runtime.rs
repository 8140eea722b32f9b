//! The limits of single tenants, from files that are read again while the server runs.

use std::{collections::HashMap, fs, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::RwLock;

use crate::{
    Config, ConfigError, Limits, PageMode,
    apply::Reader,
    apply_limits, page,
    schema::{self, check_section},
    tree::{Node, Value},
};

/// Limits by tenant. A tenant without limits of its own has those of the configuration.
#[derive(Debug)]
pub struct Runtime {
    defaults: Arc<Limits>,
    /// The limits of the configuration as a tree.
    base: Node,
    files: Vec<PathBuf>,
    period: Duration,
    current: RwLock<Arc<Current>>,
}

/// What the files last said.
#[derive(Debug, Default)]
struct Current {
    texts: Vec<String>,
    tenants: HashMap<String, Arc<Limits>>,
    tree: Node,
}

impl Runtime {
    /// The same limits for all tenants, for ever.
    pub fn fixed(limits: Limits) -> Self {
        Self {
            defaults: Arc::new(limits),
            base: Node::default(),
            files: Vec::new(),
            period: Duration::ZERO,
            current: RwLock::default(),
        }
    }

    /// Reads the files that a configuration names.
    ///
    /// # Errors
    /// A file cannot be read or is wrong.
    pub fn open(config: &Config) -> Result<Self, ConfigError> {
        let mut base = schema::defaults_of("limits");
        if let Some(given) = config.given.get("limits_config") {
            base.overlay(given);
        }
        let runtime = Self {
            defaults: Arc::new(config.limits.clone()),
            base,
            files: config.runtime_files.clone(),
            period: config.runtime_period,
            current: RwLock::default(),
        };
        runtime.reload()?;
        Ok(runtime)
    }

    /// How often [`Runtime::reload`] should be called; nothing if there is nothing to reload.
    pub fn period(&self) -> Option<Duration> {
        (!self.files.is_empty()).then(|| self.period.max(Duration::from_millis(100)))
    }

    /// The limits of a tenant.
    pub fn limits(&self, tenant: &str) -> Arc<Limits> {
        self.current.read().tenants.get(tenant).unwrap_or(&self.defaults).clone()
    }

    /// The limits of tenants that have none of their own.
    pub fn defaults(&self) -> &Arc<Limits> {
        &self.defaults
    }

    /// The tenants that have limits of their own, sorted.
    pub fn tenants(&self) -> Vec<String> {
        let mut names: Vec<_> = self.current.read().tenants.keys().cloned().collect();
        names.sort();
        names
    }

    /// Reads the files again. Says whether anything changed.
    ///
    /// # Errors
    /// A file cannot be read or is wrong; what they said before stays in force.
    pub fn reload(&self) -> Result<bool, ConfigError> {
        let read = |path: &PathBuf| {
            fs::read_to_string(path).map_err(|error| runtime_error(path, &format!("cannot read it: {error}")))
        };
        let texts: Vec<String> = self.files.iter().map(read).collect::<Result<_, _>>()?;
        if texts == self.current.read().texts {
            return Ok(false);
        }
        let mut tree = Node::default();
        for (path, text) in self.files.iter().zip(&texts) {
            let node = Node::parse(text)
                .and_then(|node| check(&node).map(|()| node))
                .map_err(|error| runtime_error(path, &error.to_string()))?;
            tree.overlay(&node);
        }
        let mut tenants = HashMap::new();
        for tenant in tree.get("overrides").map_or(&[][..], Node::entries) {
            let mut limits = (*self.defaults).clone();
            let reader = Reader::new(&tenant.node);
            apply_limits::apply(&reader, "", &mut limits).map_err(|error| match self.files.as_slice() {
                [path] => runtime_error(path, &format!("tenant {}: {error}", tenant.key)),
                _ => ConfigError::Runtime(format!("tenant {}: {error}", tenant.key)),
            })?;
            tenants.insert(tenant.key.clone(), Arc::new(limits));
        }
        *self.current.write() = Arc::new(Current { texts, tenants, tree });
        Ok(true)
    }

    /// What the files say, as YAML: as they do, or each tenant with all its limits.
    pub fn page(&self, mode: PageMode) -> String {
        let current = self.current.read().clone();
        let mut shown = current.tree.clone();
        if mode != PageMode::Difference
            && let Value::Map(entries) = &mut shown.value
            && let Some(overrides) = entries.iter_mut().find(|entry| entry.key == "overrides")
            && let Value::Map(tenants) = &mut overrides.node.value
        {
            for tenant in tenants {
                let mut whole = self.base.clone();
                whole.overlay(&tenant.node);
                tenant.node = whole;
            }
        }
        page::yaml(&shown)
    }

    /// The limits of a tenant as YAML.
    pub fn tenant_page(&self, tenant: &str) -> String {
        let mut whole = self.base.clone();
        if let Some(own) = self.current.read().tree.get("overrides").and_then(|overrides| overrides.get(tenant)) {
            whole.overlay(own);
        }
        page::yaml(&whole)
    }
}

fn runtime_error(path: &std::path::Path, message: &str) -> ConfigError {
    ConfigError::Runtime(format!("{}: {message}", path.display()))
}

/// Checks the keys of a file.
fn check(root: &Node) -> Result<(), ConfigError> {
    let entries = match &root.value {
        Value::Null => return Ok(()),
        Value::Map(entries) => entries,
        _ => return Err(ConfigError::Parse("the file must be a map with the key overrides".to_owned())),
    };
    for entry in entries {
        match entry.key.as_str() {
            "overrides" => {
                for tenant in entry.node.entries() {
                    check_section(&tenant.node, "limits", &format!("overrides.{}", tenant.key))?;
                }
            }
            "configs" => {
                for tenant in entry.node.entries() {
                    check_section(&tenant.node, "tenant_config", &format!("configs.{}", tenant.key))?;
                }
            }
            "multi_kv_config" => {}
            other => {
                let message =
                    format!("line {}: field {other} not found in type runtime.runtimeConfigValues", entry.line);
                return Err(ConfigError::Parse(message));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "runtime_tests.rs"]
mod tests;
