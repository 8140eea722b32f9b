//! Where objects lie: `schema_config` names the store, `storage_config` and `common.storage` describe it.

use std::{fmt, time::Duration};

use crate::{
    ConfigError,
    apply::{Reader, wrong},
    tree::{Node, Value},
};

/// A text that is not to be shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "********" })
    }
}

/// Where packs, tables and manifests lie; the write-ahead log is always local.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum StoreConfig {
    /// The data directory.
    #[default]
    Files,
    /// S3, or what speaks like it.
    S3(Box<S3Config>),
    /// Google's store.
    Gcs(Box<GcsConfig>),
    /// Microsoft's store.
    Azure(Box<AzureConfig>),
}

/// How often and how long a request to a store is tried again.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings")]
pub struct Retries {
    /// How often at most.
    pub most: usize,
    /// The first pause.
    pub min_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self { most: 5, min_backoff: Duration::from_millis(100), max_backoff: Duration::from_secs(3) }
    }
}

/// An S3 store.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct S3Config {
    /// Host and port, perhaps with a scheme; empty for Amazon's own of the region.
    pub endpoint: String,
    /// The region; empty for the environment's, or `us-east-1`.
    pub region: String,
    /// Its buckets; objects are spread over them by their names.
    pub buckets: Vec<String>,
    /// Empty for the environment's.
    pub access_key_id: String,
    /// Empty for the environment's.
    pub secret_access_key: Hidden,
    /// For temporary credentials.
    pub session_token: Hidden,
    /// `http://host/bucket` instead of `http://bucket.host`.
    pub path_style: bool,
    /// Plain HTTP.
    pub insecure: bool,
    /// Accept any certificate.
    pub skip_verify: bool,
    /// A file with further certificates to trust.
    pub ca_file: String,
    /// Encryption at rest: ``, `SSE-S3` or `SSE-KMS`.
    pub sse_type: String,
    /// The key of `SSE-KMS`.
    pub sse_kms_key_id: String,
    /// See [`Retries`].
    pub retries: Retries,
    /// A prefix of all names, before Narvi's own.
    pub prefix: String,
}

/// A store of Google's cloud.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct GcsConfig {
    /// Its bucket.
    pub bucket: String,
    /// A service account key as JSON; empty for the environment's.
    pub service_account: Hidden,
    /// See [`Retries`].
    pub retries: Retries,
    /// A prefix of all names, before Narvi's own.
    pub prefix: String,
}

/// A store of Microsoft's cloud.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct AzureConfig {
    /// The account.
    pub account_name: String,
    /// Its key; empty for an identity or the environment's.
    pub account_key: Hidden,
    /// The container.
    pub container: String,
    /// Host suffix or whole URL; empty for the public cloud.
    pub endpoint: String,
    /// An application's identity.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Hidden,
    /// Its tenant.
    pub tenant_id: String,
    /// Ask the machine for its identity.
    pub managed_identity: bool,
    /// See [`Retries`].
    pub retries: Retries,
    /// A prefix of all names, before Narvi's own.
    pub prefix: String,
}

/// Finds the store of a file.
pub(crate) fn read(reader: &Reader<'_>, warnings: &mut Vec<String>) -> Result<StoreConfig, ConfigError> {
    let mut thanos = false;
    reader.bool("storage_config.use_thanos_objstore", &mut thanos)?;
    let mut prefix = String::new();
    reader.text("storage_config.object_prefix", &mut prefix)?;
    if thanos && prefix.is_empty() {
        reader.text("storage_config.object_store.storage_prefix", &mut prefix)?;
    }
    let Some(named) = named(reader, warnings)? else {
        let common = ["s3", "gcs", "azure"].into_iter().find(|name| reader.has(&format!("common.storage.{name}")));
        let of_common = |name| read_kind(reader, name, &format!("storage_config.{}", legacy_section(name)), &prefix);
        return common.map_or(Ok(StoreConfig::Files), of_common);
    };
    let Named { name, node, path } = named;
    let kind = match name.as_str() {
        "s3" | "aws" | "s3-dynamo" => "s3",
        "gcs" | "gcp" => "gcs",
        "azure" => "azure",
        "filesystem" => "filesystem",
        _ => return named_store(reader, &name, node, &path, thanos, &prefix),
    };
    match (kind, thanos) {
        ("filesystem", _) => Ok(StoreConfig::Files),
        (kind, true) => read_thanos(reader, kind, &format!("storage_config.object_store.{kind}"), &prefix),
        (kind, false) => read_kind(reader, kind, &format!("storage_config.{}", legacy_section(kind)), &prefix),
    }
}

/// The store that a section describes, in the shape of Loki's older or other clients.
pub(crate) fn section(
    reader: &Reader<'_>,
    kind: &str,
    path: &str,
    thanos: bool,
    prefix: &str,
) -> Result<StoreConfig, ConfigError> {
    match thanos {
        true => read_thanos(reader, kind, path, prefix),
        false => read_kind(reader, kind, path, prefix),
    }
}

/// The store that `schema_config` names, and where it does.
struct Named<'a> {
    name: String,
    node: &'a Node,
    path: String,
}

fn legacy_section(kind: &str) -> &str {
    if kind == "s3" { "aws" } else { kind }
}

/// Index and object stores that Loki knows and Narvi does not write to.
const FOREIGN: [&str; 12] = [
    "swift",
    "cos",
    "ibmcos",
    "bos",
    "alibabacloud",
    "oss",
    "cassandra",
    "bigtable",
    "bigtable-hashed",
    "grpc-store",
    "inmemory",
    "storage",
];

fn named<'a>(reader: &Reader<'a>, warnings: &mut Vec<String>) -> Result<Option<Named<'a>>, ConfigError> {
    let Some(periods) = reader.list("schema_config.configs")? else { return Ok(None) };
    let (mut last, mut previous, mut names) = (None, None, Vec::new());
    for (at, node) in periods.iter().enumerate() {
        let path = format!("schema_config.configs[{at}]");
        let period = Reader::new(node);
        let from = period.optional_text("from")?.unwrap_or_default();
        let from: jiff::civil::Date = from
            .parse()
            .map_err(|_| wrong(node, &path, format!("from: {from:?} is not a day; write it as 2024-01-31")))?;
        if previous.is_some_and(|previous| from <= previous) {
            let message = "from: each period must begin later than the one before it".to_owned();
            return Err(wrong(node, &path, message));
        }
        previous = Some(from);
        check_period(&period, node, &path)?;
        if let Some(name) = period.optional_text("object_store")? {
            names.push(name.clone());
            last = Some(Named { name, node, path });
        }
    }
    names.dedup();
    if names.len() > 1 {
        warnings.push(format!(
            "schema_config.configs name several object stores ({}): Narvi keeps all its objects in the last one",
            names.join(", ")
        ));
    }
    Ok(last)
}

fn check_period(period: &Reader<'_>, node: &Node, path: &str) -> Result<(), ConfigError> {
    let known = ["v9", "v10", "v11", "v12", "v13"];
    if let Some(schema) = period.optional_text("schema")?
        && !known.contains(&schema.as_str())
    {
        return Err(wrong(node, path, format!("schema: unknown schema {schema:?}; use one of {}", known.join(", "))));
    }
    let store = period.optional_text("store")?.unwrap_or_default();
    let mut length = Duration::from_secs(24 * 3600);
    period.duration("index.period", &mut length)?;
    if matches!(store.as_str(), "tsdb" | "boltdb-shipper") && length != Duration::from_secs(24 * 3600) {
        return Err(wrong(node, path, format!("index.period: {store} needs periods of 24h")));
    }
    Ok(())
}

fn named_store(
    reader: &Reader<'_>,
    name: &str,
    node: &Node,
    path: &str,
    thanos: bool,
    prefix: &str,
) -> Result<StoreConfig, ConfigError> {
    let base = if thanos { "storage_config.object_store.named_stores" } else { "storage_config.named_stores" };
    for kind in ["s3", "gcs", "azure", "filesystem"] {
        let section = if thanos { kind } else { legacy_section(kind) };
        let found = format!("{base}.{section}.{name}");
        if !reader.has(&found) {
            continue;
        }
        return match (kind, thanos) {
            ("filesystem", _) => Ok(StoreConfig::Files),
            (kind, true) => read_thanos(reader, kind, &found, prefix),
            (kind, false) => read_kind(reader, kind, &found, prefix),
        };
    }
    let message = match FOREIGN.contains(&name) {
        true => format!("object_store: {name} is not supported; use s3, gcs, azure or filesystem"),
        false => {
            format!("object_store: there is no store {name:?}; use s3, gcs, azure or filesystem, or name it in {base}")
        }
    };
    Err(wrong(node, path, message))
}

fn read_kind(reader: &Reader<'_>, kind: &str, path: &str, prefix: &str) -> Result<StoreConfig, ConfigError> {
    match kind {
        "s3" => read_s3(reader, path, prefix),
        "gcs" => {
            let mut gcs = GcsConfig { prefix: prefix.to_owned(), ..GcsConfig::default() };
            reader.text(&format!("{path}.bucket_name"), &mut gcs.bucket)?;
            reader.text(&format!("{path}.service_account"), &mut gcs.service_account.0)?;
            need(&gcs.bucket, &format!("{path}.bucket_name"), "the name of a bucket")?;
            Ok(StoreConfig::Gcs(Box::new(gcs)))
        }
        _ => {
            let mut azure = AzureConfig { prefix: prefix.to_owned(), ..AzureConfig::default() };
            azure.container = "loki".to_owned();
            reader.text(&format!("{path}.container_name"), &mut azure.container)?;
            read_azure(reader, path, &mut azure)?;
            reader.bool(&format!("{path}.use_managed_identity"), &mut azure.managed_identity)?;
            reader.text(&format!("{path}.tenant_id"), &mut azure.tenant_id)?;
            reader.count(&format!("{path}.max_retries"), &mut azure.retries.most)?;
            reader.duration(&format!("{path}.min_retry_delay"), &mut azure.retries.min_backoff)?;
            reader.duration(&format!("{path}.max_retry_delay"), &mut azure.retries.max_backoff)?;
            Ok(StoreConfig::Azure(Box::new(azure)))
        }
    }
}

fn read_azure(reader: &Reader<'_>, path: &str, azure: &mut AzureConfig) -> Result<(), ConfigError> {
    reader.text(&format!("{path}.account_name"), &mut azure.account_name)?;
    reader.text(&format!("{path}.account_key"), &mut azure.account_key.0)?;
    reader.text(&format!("{path}.endpoint_suffix"), &mut azure.endpoint)?;
    reader.text(&format!("{path}.client_id"), &mut azure.client_id)?;
    reader.text(&format!("{path}.client_secret"), &mut azure.client_secret.0)?;
    if let Some(connection) = reader.optional_text(&format!("{path}.connection_string"))? {
        for part in connection.split(';') {
            match part.split_once('=') {
                Some(("AccountName", value)) => azure.account_name = value.to_owned(),
                Some(("AccountKey", value)) => azure.account_key = Hidden(value.to_owned()),
                Some(("BlobEndpoint", value)) => azure.endpoint = value.to_owned(),
                Some(("EndpointSuffix", value)) => azure.endpoint = format!("blob.{value}"),
                _ => {}
            }
        }
    }
    need(&azure.account_name, &format!("{path}.account_name"), "the name of the storage account")
}

fn need(value: &str, key: &str, what: &str) -> Result<(), ConfigError> {
    if !value.is_empty() {
        return Ok(());
    }
    let message = format!("the object store is used and needs {what} here");
    Err(ConfigError::Value { place: String::new(), key: key.to_owned(), message })
}

fn read_s3(reader: &Reader<'_>, path: &str, prefix: &str) -> Result<StoreConfig, ConfigError> {
    let mut s3 = S3Config { prefix: prefix.to_owned(), ..S3Config::default() };
    let key = |name: &str| format!("{path}.{name}");
    if let Some(url) = reader.optional_text(&key("s3"))? {
        let message =
            |message: &str| ConfigError::Value { place: String::new(), key: key("s3"), message: message.to_owned() };
        read_url(&url, &mut s3).map_err(message)?;
    }
    reader.text(&key("endpoint"), &mut s3.endpoint)?;
    reader.text(&key("region"), &mut s3.region)?;
    reader.words(&key("bucketnames"), &mut s3.buckets)?;
    reader.text(&key("access_key_id"), &mut s3.access_key_id)?;
    reader.text(&key("secret_access_key"), &mut s3.secret_access_key.0)?;
    reader.text(&key("session_token"), &mut s3.session_token.0)?;
    reader.bool(&key("s3forcepathstyle"), &mut s3.path_style)?;
    reader.bool(&key("insecure"), &mut s3.insecure)?;
    reader.bool(&key("http_config.insecure_skip_verify"), &mut s3.skip_verify)?;
    reader.text(&key("http_config.ca_file"), &mut s3.ca_file)?;
    read_sse(reader, &key("sse"), &mut s3)?;
    let mut old_sse = false;
    reader.bool(&key("sse_encryption"), &mut old_sse)?;
    if old_sse && s3.sse_type.is_empty() {
        s3.sse_type = "SSE-S3".to_owned();
    }
    reader.duration(&key("backoff_config.min_period"), &mut s3.retries.min_backoff)?;
    reader.duration(&key("backoff_config.max_period"), &mut s3.retries.max_backoff)?;
    reader.count(&key("backoff_config.max_retries"), &mut s3.retries.most)?;
    need(&s3.buckets.join(","), &key("bucketnames"), "the name of a bucket")?;
    Ok(StoreConfig::S3(Box::new(s3)))
}

fn read_sse(reader: &Reader<'_>, path: &str, s3: &mut S3Config) -> Result<(), ConfigError> {
    reader.read(&format!("{path}.type"), &mut s3.sse_type, |text| match text {
        "" | "SSE-S3" | "SSE-KMS" => Ok(text.to_owned()),
        _ => Err(format!("unsupported encryption {text:?}; use SSE-S3 or SSE-KMS")),
    })?;
    reader.text(&format!("{path}.kms_key_id"), &mut s3.sse_kms_key_id)?;
    if s3.sse_type == "SSE-KMS" {
        need(&s3.sse_kms_key_id, &format!("{path}.kms_key_id"), "the id of the key of SSE-KMS")?;
    }
    Ok(())
}

/// `s3://KEY:SECRET@HOST/BUCKET`: a host with a dot or a port is an endpoint, anything else a region.
fn read_url(url: &str, s3: &mut S3Config) -> Result<(), &'static str> {
    let rest = url.strip_prefix("s3://").ok_or("must begin with s3://, as in s3://KEY:SECRET@HOST/BUCKET")?;
    let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
    let (host, bucket) = place.split_once('/').ok_or("must end with /BUCKET, as in s3://KEY:SECRET@HOST/BUCKET")?;
    if !user.is_empty() {
        let (key, secret) = user.split_once(':').ok_or("needs KEY:SECRET before the @")?;
        s3.access_key_id = percent_decoded(key);
        s3.secret_access_key = Hidden(percent_decoded(secret));
    }
    match host.contains(['.', ':']) {
        true => s3.endpoint = host.to_owned(),
        false => s3.region = host.to_owned(),
    }
    s3.buckets = bucket.trim_matches('/').split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Ok(())
}

fn percent_decoded(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        match tail.get(..2).filter(|_| *first == b'%').and_then(hex) {
            Some(byte) => {
                out.push(byte);
                rest = &tail[2..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The sections of Loki 3's other clients.
fn read_thanos(reader: &Reader<'_>, kind: &str, path: &str, prefix: &str) -> Result<StoreConfig, ConfigError> {
    let key = |name: &str| format!("{path}.{name}");
    let prefix = prefix.to_owned();
    match kind {
        "s3" => {
            let mut s3 = S3Config { prefix, ..S3Config::default() };
            reader.text(&key("endpoint"), &mut s3.endpoint)?;
            reader.text(&key("region"), &mut s3.region)?;
            reader.words(&key("bucket_name"), &mut s3.buckets)?;
            reader.text(&key("access_key_id"), &mut s3.access_key_id)?;
            reader.text(&key("secret_access_key"), &mut s3.secret_access_key.0)?;
            reader.text(&key("session_token"), &mut s3.session_token.0)?;
            reader.bool(&key("insecure"), &mut s3.insecure)?;
            let mut lookup = "auto".to_owned();
            reader.read(&key("bucket_lookup_type"), &mut lookup, |text| match text {
                "auto" | "path" | "virtual-hosted" | "virtual" => Ok(text.to_owned()),
                _ => Err(format!("{text:?} is no way to find a bucket; use auto, path or virtual-hosted")),
            })?;
            // What is not Amazon is asked by path unless told otherwise, which works with all of them.
            s3.path_style = lookup == "path" || (lookup == "auto" && !s3.endpoint.contains("amazonaws.com"));
            reader.bool(&key("http.insecure_skip_verify"), &mut s3.skip_verify)?;
            reader.text(&key("http.tls_ca_path"), &mut s3.ca_file)?;
            read_sse(reader, &key("sse"), &mut s3)?;
            reader.count(&key("max_retries"), &mut s3.retries.most)?;
            need(&s3.buckets.join(","), &key("bucket_name"), "the name of a bucket")?;
            Ok(StoreConfig::S3(Box::new(s3)))
        }
        "gcs" => {
            let mut gcs = GcsConfig { prefix, ..GcsConfig::default() };
            reader.text(&key("bucket_name"), &mut gcs.bucket)?;
            reader.text(&key("service_account"), &mut gcs.service_account.0)?;
            reader.count(&key("max_retries"), &mut gcs.retries.most)?;
            need(&gcs.bucket, &key("bucket_name"), "the name of a bucket")?;
            Ok(StoreConfig::Gcs(Box::new(gcs)))
        }
        _ => {
            let mut azure = AzureConfig { prefix, ..AzureConfig::default() };
            reader.text(&key("container_name"), &mut azure.container)?;
            read_azure(reader, path, &mut azure)?;
            reader.text(&key("az_tenant_id"), &mut azure.tenant_id)?;
            reader.count(&key("max_retries"), &mut azure.retries.most)?;
            azure.managed_identity = reader.has(&key("user_assigned_id"));
            need(&azure.container, &key("container_name"), "the name of a container")?;
            Ok(StoreConfig::Azure(Box::new(azure)))
        }
    }
}

impl Reader<'_> {
    /// Whether a file has something at a path.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.at(path).is_some_and(|node| node.value != Value::Null)
    }
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
