//! The `ruler` part of the file: where rules lie, when they are evaluated, and where alerts and samples go.
//!
//! What names a feature that Narvi's ruler does not have, and without which alerts or samples would go astray, is refused.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::{
    AlertmanagerConfig, ConfigError, RemoteWrite, RulerLimits, StoreConfig,
    apply::{Reader, wrong},
    part::Part,
    ruler_client, storage,
    tree::Node,
};

/// How the ruler works. [`RulerConfig::default`] has Loki's defaults.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RulerConfig {
    /// Whether the paths of the rules API answer.
    pub enable_api: bool,
    /// Where rules lie.
    pub storage: RuleStorage,
    /// How often a group without an interval of its own is evaluated.
    pub evaluation_interval: Duration,
    /// How often rules are read anew.
    pub poll_interval: Duration,
    /// Where alerts go.
    pub alertmanager: AlertmanagerConfig,
    /// How long to wait before a firing alert is sent again.
    pub resend_delay: Duration,
    /// How long the server may have been down for alerts to go on where they were.
    pub for_outage_tolerance: Duration,
    /// How long a restored pending alert waits at least before it fires.
    pub for_grace_period: Duration,
    /// Base of the links in alerts.
    pub external_url: String,
    /// The data source that links to Grafana name.
    pub datasource_uid: String,
    /// Labels added to every alert.
    pub external_labels: BTreeMap<String, String>,
    /// Where samples of recording rules go.
    pub remote_write: Vec<RemoteWrite>,
    /// Whether remote writes name the tenant in `X-Scope-OrgID`.
    pub add_org_id_header: bool,
    /// Where samples that are not sent yet lie; `None` leaves it to the server.
    pub wal_dir: Option<PathBuf>,
    /// Only these tenants' rules are evaluated, if any are named.
    pub enabled_tenants: Vec<String>,
    /// These tenants' rules are not evaluated.
    pub disabled_tenants: Vec<String>,
}

/// Where rules lie.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum RuleStorage {
    /// In the data directory; the API writes there.
    #[default]
    Data,
    /// In files of the operator, `FOLDER/TENANT/FILE`; the API only reads.
    Local(PathBuf),
    /// In an object store; the API writes there.
    Objects(StoreConfig),
}

impl Default for RulerConfig {
    fn default() -> Self {
        Self {
            enable_api: true,
            storage: RuleStorage::Data,
            evaluation_interval: Duration::from_secs(60),
            poll_interval: Duration::from_secs(60),
            alertmanager: AlertmanagerConfig::default(),
            resend_delay: Duration::from_secs(60),
            for_outage_tolerance: Duration::from_secs(3600),
            for_grace_period: Duration::from_secs(600),
            external_url: String::new(),
            datasource_uid: String::new(),
            external_labels: BTreeMap::new(),
            remote_write: Vec::new(),
            add_org_id_header: true,
            wal_dir: None,
            enabled_tenants: Vec::new(),
            disabled_tenants: Vec::new(),
        }
    }
}

impl RulerConfig {
    /// The receivers of a tenant's samples.
    pub fn receivers(&self, limits: &RulerLimits) -> Vec<RemoteWrite> {
        if limits.remote_write_disabled || self.remote_write.is_empty() {
            return Vec::new();
        }
        let mut receivers = self.remote_write.clone();
        for name in limits.receivers.keys() {
            if receivers.iter().all(|receiver| receiver.name != *name) {
                receivers.push(RemoteWrite::named(name));
            }
        }
        let own = |receiver: RemoteWrite| match limits.receivers.get(&receiver.name) {
            Some(changes) => receiver.with(&limits.remote_write).with(changes),
            None => receiver.with(&limits.remote_write),
        };
        receivers.into_iter().map(own).filter(|receiver| !receiver.url.is_empty()).collect()
    }
}

/// Lays the `ruler` part of a file over the configuration.
pub(crate) fn apply(reader: &Reader<'_>, ruler: &mut RulerConfig) -> Result<(), ConfigError> {
    storage(reader, ruler)?;
    reader.bool("ruler.enable_api", &mut ruler.enable_api)?;
    // A scratch folder that Narvi has no use for.
    reader.optional_text("ruler.rule_path")?;
    reader.duration("ruler.evaluation_interval", &mut ruler.evaluation_interval)?;
    reader.duration("ruler.poll_interval", &mut ruler.poll_interval)?;
    reader.duration("ruler.resend_delay", &mut ruler.resend_delay)?;
    reader.duration("ruler.for_outage_tolerance", &mut ruler.for_outage_tolerance)?;
    reader.duration("ruler.for_grace_period", &mut ruler.for_grace_period)?;
    reader.text("ruler.external_url", &mut ruler.external_url)?;
    reader.text("ruler.datasource_uid", &mut ruler.datasource_uid)?;
    reader.words("ruler.enabled_tenants", &mut ruler.enabled_tenants)?;
    reader.words("ruler.disabled_tenants", &mut ruler.disabled_tenants)?;
    if let Some(part) = Part::of(reader, "ruler.external_labels")? {
        ruler.external_labels = part.texts()?;
    }
    for (key, duration) in
        [("ruler.evaluation_interval", ruler.evaluation_interval), ("ruler.poll_interval", ruler.poll_interval)]
    {
        if duration.is_zero() {
            return Err(refuse(reader, key, "must be longer than 0s"));
        }
    }
    alertmanager(reader, ruler)?;
    remote_write(reader, ruler)
}

fn refuse(reader: &Reader<'_>, path: &str, message: &str) -> ConfigError {
    match reader.node(path) {
        Some(node) => wrong(node, path, message.to_owned()),
        None => wrong(&Node::default(), path, message.to_owned()),
    }
}

fn storage(reader: &Reader<'_>, ruler: &mut RulerConfig) -> Result<(), ConfigError> {
    let common = reader.optional_text("common.storage.filesystem.rules_directory")?.map(PathBuf::from);
    for (path, section) in [("ruler_storage.backend", "ruler_storage"), ("ruler.storage.type", "ruler.storage")] {
        if let Some(kind) = reader.optional_text(path)? {
            ruler.storage = named_storage(reader, &kind, path, section, common)?;
            return Ok(());
        }
    }
    let of_common = ["s3", "gcs", "azure"].into_iter().find(|kind| reader.has(&format!("common.storage.{kind}")));
    ruler.storage = match (common, of_common) {
        (Some(folder), _) => RuleStorage::Local(folder),
        (None, Some(kind)) => {
            RuleStorage::Objects(storage::section(reader, kind, &format!("common.storage.{kind}"), false, "")?)
        }
        (None, None) => RuleStorage::Data,
    };
    Ok(())
}

fn named_storage(
    reader: &Reader<'_>,
    kind: &str,
    path: &str,
    section: &str,
    common: Option<PathBuf>,
) -> Result<RuleStorage, ConfigError> {
    match kind {
        "filesystem" => Ok(RuleStorage::Data),
        "local" => {
            let mut folder = None;
            if let Some(part) = Part::of(reader, &format!("{section}.local"))? {
                folder = part.text("directory")?.filter(|folder| !folder.is_empty()).map(PathBuf::from);
                part.finish()?;
            }
            let missing = || refuse(reader, path, "needs a folder: set local.directory beside it");
            folder.or(common).map(RuleStorage::Local).ok_or_else(missing)
        }
        "s3" | "gcs" | "azure" => {
            let (mut place, mut thanos) = (format!("{section}.{kind}"), section == "ruler_storage");
            if !reader.has(&place) && reader.has(&format!("common.storage.{kind}")) {
                (place, thanos) = (format!("common.storage.{kind}"), false);
            }
            // What lies below is one value to the list of keys.
            reader.node(&place);
            let prefix = reader.optional_text("ruler_storage.storage_prefix")?.filter(|_| thanos).unwrap_or_default();
            Ok(RuleStorage::Objects(storage::section(reader, kind, &place, thanos, &prefix)?))
        }
        other => {
            let message = format!("{other:?} is not supported; use local, filesystem, s3, gcs or azure");
            Err(refuse(reader, path, &message))
        }
    }
}

fn alertmanager(reader: &Reader<'_>, ruler: &mut RulerConfig) -> Result<(), ConfigError> {
    for key in [
        "alertmanager_url",
        "alertmanager_client",
        "alertmanager_refresh_interval",
        "alert_relabel_configs",
        "enable_alertmanager_discovery",
        "enable_alertmanager_v2",
        "notification_queue_capacity",
        "notification_timeout",
    ] {
        reader.node(&format!("ruler.{key}"));
    }
    if let Some(part) = Part::of(reader, "ruler")? {
        ruler.alertmanager = ruler.alertmanager.with(&ruler_client::alertmanager(&part)?);
    }
    Ok(())
}

fn remote_write(reader: &Reader<'_>, ruler: &mut RulerConfig) -> Result<(), ConfigError> {
    if let Some(part) = Part::of(reader, "ruler.wal")? {
        ruler.wal_dir = part.text("dir")?.map(PathBuf::from);
        ["truncate_frequency", "min_age", "max_age"].iter().try_for_each(|key| part.text(key).map(drop))?;
        part.finish()?;
    }
    let Some(part) = Part::of(reader, "ruler.remote_write")? else { return Ok(()) };
    let enabled = part.bool("enabled", false)?;
    ruler.add_org_id_header = part.bool("add_org_id_header", true)?;
    part.text("config_refresh_period")?;
    let mut clients = Vec::new();
    if let Some(client) = part.child("client") {
        clients.push(receiver("default", &client)?);
    }
    if let Some(named) = part.child("clients") {
        for (name, client) in named.children()? {
            clients.push(receiver(&name, &client)?);
        }
    }
    part.finish()?;
    if enabled && clients.is_empty() {
        return Err(refuse(reader, "ruler.remote_write", "is enabled without a client: add clients with a url each"));
    }
    ruler.remote_write = if enabled { clients } else { Vec::new() };
    Ok(())
}

fn receiver(name: &str, part: &Part<'_>) -> Result<RemoteWrite, ConfigError> {
    let receiver = RemoteWrite::named(name).with(&ruler_client::receiver(part)?);
    match receiver.url.is_empty() {
        true => Err(part.wrong("url", "is missing: every client needs an address with http:// or https://".to_owned())),
        false => Ok(receiver),
    }
}

#[cfg(test)]
#[path = "ruler_tests.rs"]
mod tests;
