//! The `ruler` part of the file: where rules lie, when they are evaluated, and where alerts and samples go.
//!
//! What names a feature that Narvi's ruler does not have, and without which alerts or samples would go astray, is refused.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::{
    ConfigError,
    apply::{Reader, wrong},
    part::Part,
    tree::{Node, Value},
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
    /// Base addresses of Alertmanagers; each gets every alert.
    pub alertmanager_urls: Vec<String>,
    /// Use version 2 of Alertmanager's API, not 1.
    pub alertmanager_v2: bool,
    /// How Alertmanagers are spoken to.
    pub alertmanager_client: ClientConfig,
    /// How many alerts may wait for an Alertmanager.
    pub notification_queue_capacity: usize,
    /// How long one request to an Alertmanager may take.
    pub notification_timeout: Duration,
    /// Rules that change the labels of alerts before they are sent.
    pub alert_relabel: Vec<Relabel>,
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
    /// Most rules in a group; 0 is no limit.
    pub max_rules_per_group: usize,
    /// Most groups of a tenant; 0 is no limit.
    pub max_groups_per_tenant: usize,
}

/// Where rules lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a folder of the server or one of the operator")]
pub enum RuleStorage {
    /// In the data directory; the API writes there.
    #[default]
    Data,
    /// In files of the operator, `FOLDER/TENANT/FILE`; the API only reads.
    Local(PathBuf),
}

/// How a server is spoken to over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings")]
pub struct ClientConfig {
    /// User and password of basic authentication.
    pub basic_auth: Option<(String, Secret)>,
    /// The whole `Authorization` header: its type and what follows.
    pub authorization: Option<(String, Secret)>,
    /// A file of certificates to trust, PEM.
    pub tls_ca_file: Option<PathBuf>,
    /// Files of the certificate to show and its key, PEM.
    pub tls_identity: Option<(PathBuf, PathBuf)>,
    /// Trust any certificate.
    pub tls_insecure_skip_verify: bool,
}

/// A password or token, or the file that holds it and is read when it is needed.
#[derive(Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum Secret {
    /// The secret itself.
    Text(String),
    /// The file that holds it.
    File(PathBuf),
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(_) => f.write_str("<secret>"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A rule that changes labels or drops what has them, as Prometheus has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "Prometheus' keys")]
pub struct Relabel {
    /// Labels whose values are joined.
    pub source_labels: Vec<String>,
    /// What stands between the values.
    pub separator: String,
    /// What the joined values, or names of labels, are compared with; anchored.
    pub regex: String,
    /// The label that is set.
    pub target_label: String,
    /// What it is set to, with `$1` for groups.
    pub replacement: String,
    /// What is done, in lower case.
    pub action: String,
}

/// One receiver of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings")]
pub struct RemoteWrite {
    /// The name in the file; names the folder of unsent samples.
    pub name: String,
    /// Where to post.
    pub url: String,
    /// How long a request may take.
    pub timeout: Duration,
    /// Headers of every request.
    pub headers: BTreeMap<String, String>,
    /// Rules that change or drop series.
    pub relabel: Vec<Relabel>,
    /// How the receiver is spoken to.
    pub client: ClientConfig,
    /// Most samples in one request.
    pub max_samples_per_send: usize,
    /// First wait after a failure.
    pub min_backoff: Duration,
    /// Longest wait after failures.
    pub max_backoff: Duration,
    /// Whether 429 is answered by trying again.
    pub retry_on_429: bool,
}

impl Default for RulerConfig {
    fn default() -> Self {
        Self {
            enable_api: true,
            storage: RuleStorage::Data,
            evaluation_interval: Duration::from_secs(60),
            poll_interval: Duration::from_secs(60),
            alertmanager_urls: Vec::new(),
            alertmanager_v2: true,
            alertmanager_client: ClientConfig::default(),
            notification_queue_capacity: 10_000,
            notification_timeout: Duration::from_secs(10),
            alert_relabel: Vec::new(),
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
            max_rules_per_group: 0,
            max_groups_per_tenant: 0,
        }
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
    reader.count("limits_config.ruler_max_rules_per_rule_group", &mut ruler.max_rules_per_group)?;
    reader.count("limits_config.ruler_max_rule_groups_per_tenant", &mut ruler.max_groups_per_tenant)?;
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
    evaluation(reader)?;
    remote_write(reader, ruler)
}

fn refuse(reader: &Reader<'_>, path: &str, message: &str) -> ConfigError {
    match reader.node(path) {
        Some(node) => wrong(node, path, message.to_owned()),
        None => wrong(&Node::default(), path, message.to_owned()),
    }
}

fn storage(reader: &Reader<'_>, ruler: &mut RulerConfig) -> Result<(), ConfigError> {
    let directory = |path: &str| -> Result<Option<PathBuf>, ConfigError> {
        let Some(part) = Part::of(reader, path)? else { return Ok(None) };
        let directory = part.text("directory")?;
        part.finish()?;
        Ok(directory.map(PathBuf::from))
    };
    let (old, new) = (directory("ruler.storage.local")?, directory("ruler_storage.local")?);
    let common = reader.optional_text("common.storage.filesystem.rules_directory")?.map(PathBuf::from);
    let mut named = None;
    for (path, folder) in [("ruler_storage.backend", new), ("ruler.storage.type", old)] {
        let Some(kind) = reader.optional_text(path)? else { continue };
        if kind != "local" {
            named = named.or(Some(RuleStorage::Data));
            continue;
        }
        let Some(folder) = folder.or_else(|| common.clone()) else {
            return Err(refuse(reader, path, "needs a folder: set local.directory beside it"));
        };
        named = named.or(Some(RuleStorage::Local(folder)));
    }
    ruler.storage = named.unwrap_or_else(|| common.map_or(RuleStorage::Data, RuleStorage::Local));
    Ok(())
}

fn alertmanager(reader: &Reader<'_>, ruler: &mut RulerConfig) -> Result<(), ConfigError> {
    reader.words("ruler.alertmanager_url", &mut ruler.alertmanager_urls)?;
    reader.bool("ruler.enable_alertmanager_v2", &mut ruler.alertmanager_v2)?;
    reader.count("ruler.notification_queue_capacity", &mut ruler.notification_queue_capacity)?;
    reader.duration("ruler.notification_timeout", &mut ruler.notification_timeout)?;
    let mut discovery = false;
    reader.bool("ruler.enable_alertmanager_discovery", &mut discovery)?;
    if discovery {
        let path = "ruler.enable_alertmanager_discovery";
        return Err(refuse(reader, path, "is not supported; name every Alertmanager in ruler.alertmanager_url"));
    }
    if let Some(node) = reader.node("ruler.alert_relabel_configs") {
        ruler.alert_relabel = relabel(node, "ruler.alert_relabel_configs")?;
    }
    if let Some(part) = Part::of(reader, "ruler.alertmanager_client")? {
        let client = &mut ruler.alertmanager_client;
        client.basic_auth = user(&part, "basic_auth_username", "basic_auth_password", "basic_auth_password_file")?;
        client.authorization = header(&part, "type", "credentials", "credentials_file")?;
        tls(&part, client, ["tls_ca_path", "tls_cert_path", "tls_key_path", "tls_insecure_skip_verify"])?;
        part.finish()?;
    }
    Ok(())
}

/// Rules are evaluated in this process.
fn evaluation(reader: &Reader<'_>) -> Result<(), ConfigError> {
    let Some(part) = Part::of(reader, "ruler.evaluation")? else { return Ok(()) };
    let mode = part.text("mode")?.unwrap_or_default();
    // Groups are spread over their interval anyway.
    part.text("max_jitter")?;
    part.child("query_frontend");
    if !matches!(mode.as_str(), "" | "local") {
        return Err(refuse(reader, "ruler.evaluation", "only mode: local is supported"));
    }
    part.finish()
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
    let url = part.text("url")?.unwrap_or_default();
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err(part.wrong("url", format!("{url:?} is not an address with http:// or https://")));
    }
    let mut client = ClientConfig::default();
    if let Some(auth) = part.child("basic_auth") {
        client.basic_auth = user(&auth, "username", "password", "password_file")?;
        auth.finish()?;
    }
    if let Some(auth) = part.child("authorization") {
        client.authorization = header(&auth, "type", "credentials", "credentials_file")?;
        auth.finish()?;
    }
    if let Some(secret) = secret(part, "bearer_token", "bearer_token_file")? {
        client.authorization = Some(("Bearer".to_owned(), secret));
    }
    if let Some(part) = part.child("tls_config") {
        tls(&part, &mut client, ["ca_file", "cert_file", "key_file", "insecure_skip_verify"])?;
        part.finish()?;
    }
    let relabel = match part.child("write_relabel_configs") {
        Some(part) => relabel(part.node, &part.path)?,
        None => Vec::new(),
    };
    let mut write = RemoteWrite {
        name: name.to_owned(),
        url,
        timeout: part.duration("remote_timeout", Duration::from_secs(30))?,
        headers: part.child("headers").map(|headers| headers.texts()).transpose()?.unwrap_or_default(),
        relabel,
        client,
        max_samples_per_send: 500,
        min_backoff: Duration::from_millis(30),
        max_backoff: Duration::from_secs(5),
        retry_on_429: true,
    };
    if let Some(queue) = part.child("queue_config") {
        write.max_samples_per_send = queue.count("max_samples_per_send", write.max_samples_per_send)?.max(1);
        write.min_backoff = queue.duration("min_backoff", write.min_backoff)?.max(Duration::from_millis(1));
        write.max_backoff = queue.duration("max_backoff", write.max_backoff)?.max(write.min_backoff);
        write.retry_on_429 = queue.bool("retry_on_http_429", write.retry_on_429)?;
        // One connection sends each tenant's samples in order; what waits lies on disk.
        for key in ["capacity", "max_shards", "min_shards", "batch_send_deadline", "sample_age_limit"] {
            queue.text(key)?;
        }
        queue.finish()?;
    }
    // Descriptions of metrics and exemplars, which recording rules do not have.
    ["name", "send_exemplars", "send_native_histograms", "follow_redirects", "enable_http2"]
        .iter()
        .try_for_each(|key| part.text(key).map(drop))?;
    part.child("metadata_config");
    part.finish()?;
    Ok(write)
}

/// Reads `*_relabel_configs`.
fn relabel(node: &Node, path: &str) -> Result<Vec<Relabel>, ConfigError> {
    let Value::List(items) = &node.value else { return Err(wrong(node, path, "must be a list".to_owned())) };
    items.iter().map(|item| relabel_rule(&Part::new(item, path.to_owned())?)).collect()
}

fn relabel_rule(part: &Part<'_>) -> Result<Relabel, ConfigError> {
    let rule = Relabel {
        source_labels: part.words("source_labels")?,
        separator: part.text("separator")?.unwrap_or_else(|| ";".to_owned()),
        regex: part.text("regex")?.unwrap_or_else(|| "(.*)".to_owned()),
        target_label: part.text("target_label")?.unwrap_or_default(),
        replacement: part.text("replacement")?.unwrap_or_else(|| "$1".to_owned()),
        action: part.text("action")?.unwrap_or_else(|| "replace".to_owned()).to_ascii_lowercase(),
    };
    let needs_target =
        matches!(rule.action.as_str(), "replace" | "lowercase" | "uppercase" | "keepequal" | "dropequal");
    match rule.action.as_str() {
        "keep" | "drop" | "labeldrop" | "labelkeep" | "labelmap" => {}
        _ if needs_target && rule.target_label.is_empty() => {
            return Err(part.wrong("action", format!("{} needs a target_label", rule.action)));
        }
        _ if needs_target => {}
        "hashmod" => return Err(part.wrong("action", "hashmod is not supported".to_owned())),
        other => return Err(part.wrong("action", format!("unknown relabel action {other:?}"))),
    }
    part.finish()?;
    Ok(rule)
}

fn user(part: &Part<'_>, name: &str, password: &str, file: &str) -> Result<Option<(String, Secret)>, ConfigError> {
    let secret = secret(part, password, file)?;
    let user = part.text(name)?.filter(|user| !user.is_empty());
    Ok(user.map(|user| (user, secret.unwrap_or(Secret::Text(String::new())))))
}

fn header(part: &Part<'_>, kind: &str, text: &str, file: &str) -> Result<Option<(String, Secret)>, ConfigError> {
    let kind = part.text(kind)?.filter(|kind| !kind.is_empty()).unwrap_or_else(|| "Bearer".to_owned());
    Ok(secret(part, text, file)?.map(|secret| (kind, secret)))
}

fn secret(part: &Part<'_>, text: &str, file: &str) -> Result<Option<Secret>, ConfigError> {
    let (text_given, file_given) = (part.text(text)?, part.text(file)?);
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    Ok(given(text_given).map(Secret::Text).or(given(file_given).map(|path| Secret::File(path.into()))))
}

/// Reads the keys for the authority, the certificate, its key, and the switch that trusts anyone.
fn tls(part: &Part<'_>, client: &mut ClientConfig, keys: [&str; 4]) -> Result<(), ConfigError> {
    let path = |key: &str| -> Result<Option<PathBuf>, ConfigError> {
        Ok(part.text(key)?.filter(|path| !path.is_empty()).map(PathBuf::from))
    };
    client.tls_ca_file = path(keys[0])?;
    client.tls_identity = match (path(keys[1])?, path(keys[2])?) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some((certificate, key)),
        _ => return Err(part.wrong(keys[1], format!("{} and {} belong together", keys[1], keys[2]))),
    };
    client.tls_insecure_skip_verify = part.bool(keys[3], false)?;
    Ok(())
}

#[cfg(test)]
#[path = "ruler_tests.rs"]
mod tests;
