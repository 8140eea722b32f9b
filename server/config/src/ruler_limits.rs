//! What a tenant's limits say of its rules: the keys `ruler_*` of `limits_config`.

use std::collections::BTreeMap;

use crate::{AlertmanagerChanges, ConfigError, RemoteWriteChanges, apply::Reader, part::Part, ruler_client};

/// Limits of a tenant's rules, and what is different about where its alerts and samples go.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RulerLimits {
    /// Most rules in a group; 0 is no limit.
    pub max_rules_per_group: usize,
    /// Most groups of a tenant; 0 is no limit.
    pub max_groups: usize,
    /// How many rulers the groups of a tenant are spread over, with `ruler.sharding_strategy: shuffle-sharding`; 0 for all.
    pub tenant_shard_size: usize,
    /// What is different about the Alertmanagers.
    pub alertmanager: AlertmanagerChanges,
    /// Whether samples of this tenant go nowhere.
    pub remote_write_disabled: bool,
    /// What is different about all receivers of samples.
    pub remote_write: RemoteWriteChanges,
    /// What is different about single receivers, by their names; overrules `remote_write`.
    pub receivers: BTreeMap<String, RemoteWriteChanges>,
}

/// Lays the keys below a path, which ends with a dot unless it is empty, over limits.
pub(crate) fn apply(reader: &Reader<'_>, path: &str, limits: &mut RulerLimits) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{path}ruler_{name}");
    reader.count(&key("max_rules_per_rule_group"), &mut limits.max_rules_per_group)?;
    reader.count(&key("max_rule_groups_per_tenant"), &mut limits.max_groups)?;
    reader.count(&key("tenant_shard_size"), &mut limits.tenant_shard_size)?;
    if let Some(part) = Part::of(reader, &key("alertmanager_config"))? {
        limits.alertmanager = ruler_client::alertmanager(&part)?;
        part.finish()?;
    }
    reader.bool(&key("remote_write_disabled"), &mut limits.remote_write_disabled)?;
    if let Some(part) = Part::of(reader, &key("remote_write_config"))? {
        for (name, client) in part.children()? {
            limits.receivers.insert(name, ruler_client::receiver(&client)?);
        }
    }
    for name in ["url", "timeout", "headers", "relabel_configs", "sigv4_config"] {
        reader.node(&key(&format!("remote_write_{name}")));
    }
    // Samples wait on disk and are sent over one connection.
    for name in ["capacity", "min_shards", "max_shards", "batch_send_deadline"] {
        reader.node(&key(&format!("remote_write_queue_{name}")));
    }
    for name in ["max_samples_per_send", "min_backoff", "max_backoff", "retry_on_ratelimit"] {
        reader.node(&key(&format!("remote_write_queue_{name}")));
    }
    match path.strip_suffix('.') {
        Some(path) => match Part::of(reader, path)? {
            Some(part) => all_receivers(&part, &mut limits.remote_write),
            None => Ok(()),
        },
        None => all_receivers(&Part::new(reader.root(), String::new())?, &mut limits.remote_write),
    }
}

/// The keys that change all receivers. Zero and nothing leave them as they are.
fn all_receivers(part: &Part<'_>, changes: &mut RemoteWriteChanges) -> Result<(), ConfigError> {
    let key = |name: &str| format!("ruler_remote_write_{name}");
    let duration = |name: &str| -> Result<_, ConfigError> {
        let value = part.duration(&key(name), std::time::Duration::ZERO)?;
        Ok((!value.is_zero()).then_some(value))
    };
    if part.has(&key("sigv4_config")) {
        return Err(part.wrong(&key("sigv4_config"), "is not supported".to_owned()));
    }
    changes.url = ruler_client::url(part, &key("url"))?.or_else(|| changes.url.take());
    changes.timeout = duration("timeout")?.or(changes.timeout);
    if let Some(headers) = part.child(&key("headers")) {
        changes.headers = Some(headers.texts()?);
    }
    if let Some(rules) = part.child(&key("relabel_configs")) {
        changes.relabel = Some(ruler_client::relabel(rules.node, &rules.path)?);
    }
    let samples = part.count(&key("queue_max_samples_per_send"), 0)?;
    changes.max_samples_per_send = (samples > 0).then_some(samples).or(changes.max_samples_per_send);
    changes.min_backoff = duration("queue_min_backoff")?.or(changes.min_backoff);
    changes.max_backoff = duration("queue_max_backoff")?.or(changes.max_backoff);
    changes.retry_on_429 = part.bool(&key("queue_retry_on_ratelimit"), false)?.then_some(true).or(changes.retry_on_429);
    Ok(())
}
