//! Servers that the ruler speaks to: Alertmanagers and receivers of samples, and what a tenant changes about them.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::{
    ConfigError,
    apply::wrong,
    part::Part,
    tree::{Node, Value},
};

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
    /// The proxy to go through.
    pub proxy_url: Option<String>,
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
    /// The number that a hash is divided by.
    pub modulus: u64,
    /// The label that is set.
    pub target_label: String,
    /// What it is set to, with `$1` for groups.
    pub replacement: String,
    /// What is done, in lower case.
    pub action: String,
}

/// The Alertmanagers of the ruler, or of one tenant.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings")]
pub struct AlertmanagerConfig {
    /// Base addresses; each gets every alert.
    pub urls: Vec<String>,
    /// Use version 2 of the API, not 1.
    pub v2: bool,
    /// How they are spoken to.
    pub client: ClientConfig,
    /// How many alerts may wait for one.
    pub queue_capacity: usize,
    /// How long one request may take.
    pub timeout: Duration,
    /// Rules that change the labels of alerts before they are sent.
    pub relabel: Vec<Relabel>,
}

impl Default for AlertmanagerConfig {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            v2: true,
            client: ClientConfig::default(),
            queue_capacity: 10_000,
            timeout: Duration::from_secs(10),
            relabel: Vec::new(),
        }
    }
}

/// What a tenant's limits say of its Alertmanagers; what is `None` stays as the ruler has it.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings")]
pub struct AlertmanagerChanges {
    /// See [`AlertmanagerConfig::urls`].
    pub urls: Option<Vec<String>>,
    /// See [`AlertmanagerConfig::v2`].
    pub v2: Option<bool>,
    /// See [`AlertmanagerConfig::client`].
    pub client: Option<ClientConfig>,
    /// See [`AlertmanagerConfig::queue_capacity`].
    pub queue_capacity: Option<usize>,
    /// See [`AlertmanagerConfig::timeout`].
    pub timeout: Option<Duration>,
    /// See [`AlertmanagerConfig::relabel`].
    pub relabel: Option<Vec<Relabel>>,
}

impl AlertmanagerConfig {
    /// The settings with changes.
    #[must_use]
    pub fn with(&self, changes: &AlertmanagerChanges) -> Self {
        let changes = changes.clone();
        Self {
            urls: changes.urls.unwrap_or_else(|| self.urls.clone()),
            v2: changes.v2.unwrap_or(self.v2),
            client: changes.client.unwrap_or_else(|| self.client.clone()),
            queue_capacity: changes.queue_capacity.unwrap_or(self.queue_capacity),
            timeout: changes.timeout.unwrap_or(self.timeout),
            relabel: changes.relabel.unwrap_or_else(|| self.relabel.clone()),
        }
    }
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

/// What a file or a tenant's limits say of a receiver; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings")]
pub struct RemoteWriteChanges {
    /// See [`RemoteWrite::url`].
    pub url: Option<String>,
    /// See [`RemoteWrite::timeout`].
    pub timeout: Option<Duration>,
    /// See [`RemoteWrite::headers`].
    pub headers: Option<BTreeMap<String, String>>,
    /// See [`RemoteWrite::relabel`].
    pub relabel: Option<Vec<Relabel>>,
    /// See [`RemoteWrite::client`].
    pub client: Option<ClientConfig>,
    /// See [`RemoteWrite::max_samples_per_send`].
    pub max_samples_per_send: Option<usize>,
    /// See [`RemoteWrite::min_backoff`].
    pub min_backoff: Option<Duration>,
    /// See [`RemoteWrite::max_backoff`].
    pub max_backoff: Option<Duration>,
    /// See [`RemoteWrite::retry_on_429`].
    pub retry_on_429: Option<bool>,
}

impl RemoteWrite {
    /// A receiver with Prometheus' defaults and no address.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            url: String::new(),
            timeout: Duration::from_secs(30),
            headers: BTreeMap::new(),
            relabel: Vec::new(),
            client: ClientConfig::default(),
            max_samples_per_send: 500,
            min_backoff: Duration::from_millis(30),
            max_backoff: Duration::from_secs(5),
            retry_on_429: true,
        }
    }

    /// The receiver with changes.
    #[must_use]
    pub fn with(&self, changes: &RemoteWriteChanges) -> Self {
        let changes = changes.clone();
        let min_backoff = changes.min_backoff.unwrap_or(self.min_backoff).max(Duration::from_millis(1));
        Self {
            name: self.name.clone(),
            url: changes.url.unwrap_or_else(|| self.url.clone()),
            timeout: changes.timeout.unwrap_or(self.timeout),
            headers: changes.headers.unwrap_or_else(|| self.headers.clone()),
            relabel: changes.relabel.unwrap_or_else(|| self.relabel.clone()),
            client: changes.client.unwrap_or_else(|| self.client.clone()),
            max_samples_per_send: changes.max_samples_per_send.unwrap_or(self.max_samples_per_send).max(1),
            min_backoff,
            max_backoff: changes.max_backoff.unwrap_or(self.max_backoff).max(min_backoff),
            retry_on_429: changes.retry_on_429.unwrap_or(self.retry_on_429),
        }
    }
}

/// Reads the keys of Alertmanagers, which the ruler's part and a tenant's limits share.
pub(crate) fn alertmanager(part: &Part<'_>) -> Result<AlertmanagerChanges, ConfigError> {
    let given = |key: &str| part.has(key);
    if part.bool("enable_alertmanager_discovery", false)? {
        let message = "is not supported; name every Alertmanager in alertmanager_url".to_owned();
        return Err(part.wrong("enable_alertmanager_discovery", message));
    }
    part.text("alertmanager_refresh_interval")?;
    let client = part.child("alertmanager_client").map(|part| alertmanager_client(&part)).transpose()?;
    let urls = part.words("alertmanager_url")?;
    let urls = urls.iter().flat_map(|text| text.split(',')).map(str::trim).filter(|url| !url.is_empty());
    let urls: Vec<String> = urls.map(str::to_owned).collect();
    for url in &urls {
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let text = format!("every Alertmanager needs an address such as http://host:9093, found {url:?}");
            return Err(part.wrong("alertmanager_url", text));
        }
    }
    Ok(AlertmanagerChanges {
        urls: (!urls.is_empty()).then_some(urls),
        v2: given("enable_alertmanager_v2").then(|| part.bool("enable_alertmanager_v2", true)).transpose()?,
        client,
        queue_capacity: optional(given("notification_queue_capacity"), || {
            part.count("notification_queue_capacity", 0)
        })?,
        timeout: optional(given("notification_timeout"), || part.duration("notification_timeout", Duration::ZERO))?,
        relabel: part.child("alert_relabel_configs").map(|part| relabel(part.node, &part.path)).transpose()?,
    })
}

fn alertmanager_client(part: &Part<'_>) -> Result<ClientConfig, ConfigError> {
    let mut client = ClientConfig {
        basic_auth: user(part, "basic_auth_username", "basic_auth_password", "basic_auth_password_file")?,
        authorization: header(part, "type", "credentials", "credentials_file")?,
        ..ClientConfig::default()
    };
    tls(part, &mut client, ["tls_ca_path", "tls_cert_path", "tls_key_path", "tls_insecure_skip_verify"])?;
    part.finish()?;
    Ok(client)
}

fn optional<T>(given: bool, read: impl FnOnce() -> Result<T, ConfigError>) -> Result<Option<T>, ConfigError> {
    given.then(read).transpose()
}

/// Reads a receiver of samples.
pub(crate) fn receiver(part: &Part<'_>) -> Result<RemoteWriteChanges, ConfigError> {
    let mut write = RemoteWriteChanges {
        url: url(part, "url")?,
        timeout: optional(part.has("remote_timeout"), || part.duration("remote_timeout", Duration::ZERO))?,
        headers: part.child("headers").map(|headers| headers.texts()).transpose()?,
        relabel: part.child("write_relabel_configs").map(|part| relabel(part.node, &part.path)).transpose()?,
        ..RemoteWriteChanges::default()
    };
    write.client = client(part)?;
    if let Some(queue) = part.child("queue_config") {
        queue_config(&queue, &mut write)?;
    }
    // Descriptions of metrics and exemplars, which recording rules do not have.
    ["name", "send_exemplars", "send_native_histograms", "follow_redirects", "enable_http2", "round_robin_dns"]
        .iter()
        .try_for_each(|key| part.text(key).map(drop))?;
    part.child("metadata_config");
    part.finish()?;
    Ok(write)
}

/// An address, if one is given.
pub(crate) fn url(part: &Part<'_>, key: &str) -> Result<Option<String>, ConfigError> {
    let Some(url) = part.text(key)?.filter(|url| !url.is_empty()) else { return Ok(None) };
    match url.starts_with("http://") || url.starts_with("https://") {
        true => Ok(Some(url)),
        false => Err(part.wrong(key, format!("{url:?} is not an address with http:// or https://"))),
    }
}

fn queue_config(queue: &Part<'_>, write: &mut RemoteWriteChanges) -> Result<(), ConfigError> {
    let duration = |key: &str| optional(queue.has(key), || queue.duration(key, Duration::ZERO));
    write.max_samples_per_send =
        optional(queue.has("max_samples_per_send"), || queue.count("max_samples_per_send", 0))?;
    write.min_backoff = duration("min_backoff")?;
    write.max_backoff = duration("max_backoff")?;
    write.retry_on_429 = optional(queue.has("retry_on_http_429"), || queue.bool("retry_on_http_429", true))?;
    // One connection sends each tenant's samples in order; what waits lies on disk.
    for key in ["capacity", "max_shards", "min_shards", "batch_send_deadline", "sample_age_limit"] {
        queue.text(key)?;
    }
    queue.finish()
}

/// The keys of Prometheus' HTTP clients, if there is any of them.
fn client(part: &Part<'_>) -> Result<Option<ClientConfig>, ConfigError> {
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
    client.proxy_url = url(part, "proxy_url")?;
    if let Some(part) = part.child("tls_config") {
        tls(&part, &mut client, ["ca_file", "cert_file", "key_file", "insecure_skip_verify"])?;
        part.finish()?;
    }
    Ok((client != ClientConfig::default()).then_some(client))
}

/// Reads `*_relabel_configs`.
pub(crate) fn relabel(node: &Node, path: &str) -> Result<Vec<Relabel>, ConfigError> {
    let Value::List(items) = &node.value else { return Err(wrong(node, path, "must be a list".to_owned())) };
    items.iter().map(|item| relabel_rule(&Part::new(item, path.to_owned())?)).collect()
}

fn relabel_rule(part: &Part<'_>) -> Result<Relabel, ConfigError> {
    let rule = Relabel {
        source_labels: part.words("source_labels")?,
        separator: part.text("separator")?.unwrap_or_else(|| ";".to_owned()),
        regex: part.text("regex")?.unwrap_or_else(|| "(.*)".to_owned()),
        modulus: part.count("modulus", 0)? as u64,
        target_label: part.text("target_label")?.unwrap_or_default(),
        replacement: part.text("replacement")?.unwrap_or_else(|| "$1".to_owned()),
        action: part.text("action")?.unwrap_or_else(|| "replace".to_owned()).to_ascii_lowercase(),
    };
    let needs_target =
        matches!(rule.action.as_str(), "replace" | "lowercase" | "uppercase" | "keepequal" | "dropequal" | "hashmod");
    match rule.action.as_str() {
        "keep" | "drop" | "labeldrop" | "labelkeep" | "labelmap" => {}
        _ if needs_target && rule.target_label.is_empty() => {
            return Err(part.wrong("action", format!("{} needs a target_label", rule.action)));
        }
        "hashmod" if rule.modulus == 0 => return Err(part.wrong("action", "hashmod needs a modulus".to_owned())),
        _ if needs_target => {}
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
