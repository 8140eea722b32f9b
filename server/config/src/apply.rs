//! What each key of a file means for Narvi.

use std::{cell::RefCell, collections::BTreeSet, path::PathBuf, time::Duration};

use narvi::{Compression, WalSync};

use crate::{
    Config, ConfigError, TlsConfig, apply_limits, cache, cluster, derive, endpoints, parse_bytes, parse_duration,
    retention, ruler,
    schema::{self, place},
    storage,
    tree::{Entry, Node, Value},
};

/// Values that ask for what Narvi does anyway, and so need no warning.
const NO_EFFECT_NEEDED: &[(&str, &str)] = &[
    ("analytics.reporting_enabled", "false"),
    // Requests to delete are kept with the logs; Loki wants to be told where.
    ("compactor.delete_request_store", "*"),
    ("frontend.encoding", "json"),
    ("frontend_worker.match_max_concurrent", "true"),
    ("ingester_client.pool_config.health_check_ingesters", "true"),
    ("ingester.query_store_max_look_back_period", "-1"),
    ("limits_config.unordered_writes", "true"),
    ("memberlist.abort_if_cluster_join_fails", "false"),
    ("server.grpc_server_ping_without_stream_allowed", "true"),
    ("server.log_format", "logfmt"),
    ("storage_config.object_store.filesystem.dir", "*"),
];

/// Reads values of a file and remembers which were read.
pub(crate) struct Reader<'a> {
    root: &'a Node,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    /// Reads a tree, or a part of one.
    pub(crate) fn new(root: &'a Node) -> Self {
        Self { root, used: RefCell::default() }
    }

    /// The whole tree.
    pub(crate) fn root(&self) -> &'a Node {
        self.root
    }

    /// The node at a path, without taking note that it was read.
    pub(crate) fn at(&self, path: &str) -> Option<&'a Node> {
        self.root.at(path)
    }

    /// What the file has there.
    pub(crate) fn node(&self, path: &str) -> Option<&'a Node> {
        let node = self.at(path)?;
        self.used.borrow_mut().insert(path.to_owned());
        (node.value != Value::Null).then_some(node)
    }

    /// What the file has there; all that is in it counts as read.
    pub(crate) fn whole(&self, path: &str) -> Option<&'a Node> {
        self.used.borrow_mut().insert(format!("{path}."));
        self.node(path)
    }

    /// The items of a list of sections; all that is in them counts as read.
    pub(crate) fn list(&self, path: &str) -> Result<Option<&'a [Node]>, ConfigError> {
        let Some(node) = self.node(path) else { return Ok(None) };
        self.used.borrow_mut().insert(format!("{path}."));
        match &node.value {
            Value::List(items) => Ok(Some(items)),
            _ => Err(wrong(node, path, "must be a list".to_owned())),
        }
    }

    /// The entries of a map of which any key may be; all that is in them counts as read. An empty list is an empty map.
    pub(crate) fn map(&self, path: &str) -> Result<Option<&'a [Entry]>, ConfigError> {
        let Some(node) = self.node(path) else { return Ok(None) };
        self.used.borrow_mut().insert(format!("{path}."));
        match &node.value {
            Value::Map(entries) => Ok(Some(entries)),
            Value::List(items) if items.is_empty() => Ok(Some(&[])),
            _ => Err(wrong(node, path, "must be a map".to_owned())),
        }
    }

    /// Whether a key was read.
    fn was_read(&self, path: &str) -> bool {
        let used = self.used.borrow();
        used.contains(path) || path.match_indices('.').any(|(at, _)| used.contains(&path[..=at]))
    }

    /// Reads a scalar into `target`, if the file has it.
    pub(crate) fn read<T>(
        &self,
        path: &str,
        target: &mut T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<(), ConfigError> {
        let Some(node) = self.node(path) else { return Ok(()) };
        let value = match &node.value {
            Value::Scalar(text) => parse(text),
            _ => Err("must be a single value".to_owned()),
        };
        *target = value.map_err(|message| wrong(node, path, message))?;
        Ok(())
    }

    pub(crate) fn bool(&self, path: &str, target: &mut bool) -> Result<(), ConfigError> {
        self.read(path, target, schema::parse_bool)
    }

    pub(crate) fn duration(&self, path: &str, target: &mut Duration) -> Result<(), ConfigError> {
        self.read(path, target, parse_duration)
    }

    /// A size in bytes; a negative one is none.
    pub(crate) fn bytes(&self, path: &str, target: &mut u64) -> Result<(), ConfigError> {
        self.read(path, target, |text| if text.starts_with('-') { Ok(0) } else { parse_bytes(text) })
    }

    /// A count; a negative one is zero, which is no limit.
    pub(crate) fn count(&self, path: &str, target: &mut usize) -> Result<(), ConfigError> {
        self.read(path, target, |text| Ok(usize::try_from(schema::parse_int(text)?).unwrap_or(0)))
    }

    pub(crate) fn text(&self, path: &str, target: &mut String) -> Result<(), ConfigError> {
        self.read(path, target, |text| Ok(text.to_owned()))
    }

    pub(crate) fn optional_text(&self, path: &str) -> Result<Option<String>, ConfigError> {
        let mut text = String::new();
        self.text(path, &mut text)?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// A list of words; a scalar is a list with commas.
    pub(crate) fn words(&self, path: &str, target: &mut Vec<String>) -> Result<(), ConfigError> {
        let Some(node) = self.node(path) else { return Ok(()) };
        *target = match &node.value {
            Value::Scalar(text) => {
                text.split(',').map(|word| word.trim().to_owned()).filter(|w| !w.is_empty()).collect()
            }
            Value::List(items) => {
                let word = |item: &Node| match &item.value {
                    Value::Scalar(text) => Ok(text.clone()),
                    _ => Err(wrong(item, path, "must be a list of words".to_owned())),
                };
                items.iter().map(word).collect::<Result<_, _>>()?
            }
            _ => return Err(wrong(node, path, "must be a list".to_owned())),
        };
        Ok(())
    }

    fn is_settled(&self, path: &str) -> bool {
        let scalar = |path: &str| self.at(path).and_then(Node::text);
        let matches = |&(key, value): &(&str, &str)| key == path && (value == "*" || scalar(key) == Some(value));
        NO_EFFECT_NEEDED.iter().any(matches)
            || ["schema_config.", "storage_config.object_store.filesystem", "ruler_storage."]
                .iter()
                .any(|prefix| path.starts_with(prefix))
            || (path == "pattern_ingester"
                && self.root.get(path).and_then(|node| node.get("enabled")).map(|node| &node.value)
                    == Some(&Value::Scalar("false".to_owned())))
    }
}

/// What is wrong with the value of a key.
pub(crate) fn wrong(node: &Node, path: &str, message: String) -> ConfigError {
    ConfigError::Value { place: place(node.line), key: path.to_owned(), message }
}

/// Checks a file against the keys that Loki has, completes it, and lays its values over a configuration. Leaves the tree
/// completed.
pub(crate) fn apply(root: &mut Node, mut config: Config) -> Result<Config, ConfigError> {
    let given = schema::check(root)?;
    derive::complete(root)?;
    let reader = Reader::new(root);
    server(&reader, &mut config)?;
    http(&reader, &mut config)?;
    queries(&reader, &mut config)?;
    ingester(&reader, &mut config)?;
    endpoints::apply(&reader, &mut config.endpoints)?;
    ruler::apply(&reader, &mut config.ruler)?;
    cluster::apply(&reader, &mut config.cluster, &mut config.warnings)?;
    apply_limits::apply(&reader, "limits_config", &mut config.limits)?;
    reader.words(
        "distributor.otlp_config.default_resource_attributes_as_index_labels",
        &mut config.limits.otlp.index_attributes,
    )?;
    retention::compactor(&reader, &mut config.compactor, &mut config.store)?;
    config.object_store = storage::read(&reader, &mut config.warnings)?;
    let mut files = Vec::new();
    reader.words("runtime_config.file", &mut files)?;
    config.runtime_files = files.into_iter().map(PathBuf::from).collect();
    reader.duration("runtime_config.period", &mut config.runtime_period)?;
    for key in ["per_tenant_override_config", "per_tenant_override_period"] {
        reader.optional_text(&format!("limits_config.{key}"))?;
    }
    config.data_dir = data_dir(&reader)?;
    cache::apply(&reader, &mut config.caches, &mut config.warnings)?;
    warn(&given, &reader, &mut config.warnings);
    Ok(config)
}

/// Tells of keys that were moved, were removed, or mean nothing here; each once.
fn warn(given: &[schema::Given], reader: &Reader<'_>, warnings: &mut Vec<String>) {
    let mut warned = BTreeSet::new();
    for key in given {
        let (place, path) = (place(key.line), &key.path);
        if let Some(new) = derive::new_place(path) {
            warnings.push(format!("{place}{path} is read as {new}; write that instead"));
        } else if let Some(hint) = key.removed {
            warnings.push(format!("{place}{path} no longer exists; {hint}"));
        } else if !reader.was_read(path)
            && !derive::copied_to(path).is_some_and(|copy| reader.was_read(&copy))
            && !reader.is_settled(path)
            && warned.insert(path.clone())
        {
            warnings.push(format!("{place}{path} has no effect on Narvi"));
        }
    }
}

fn server(reader: &Reader<'_>, config: &mut Config) -> Result<(), ConfigError> {
    let mut targets = Vec::new();
    reader.words("target", &mut targets)?;
    if !targets.is_empty() {
        config.targets = targets;
    }
    reader.bool("auth_enabled", &mut config.auth_enabled)?;
    reader.duration("shutdown_delay", &mut config.shutdown_delay)?;
    reader.duration("server.graceful_shutdown_timeout", &mut config.shutdown_timeout)?;
    reader.read("server.log_level", &mut config.log_level, |text| match text {
        "debug" | "info" | "warn" | "error" => Ok(text.to_owned()),
        _ => Err(format!("unrecognized log level {text:?}; use debug, info, warn or error")),
    })?;
    reader.read("server.log_format", &mut config.log_format, |text| match text {
        "logfmt" | "json" => Ok(text.to_owned()),
        _ => Err(format!("unrecognized log format {text:?}; use logfmt or json")),
    })
}

fn http(reader: &Reader<'_>, config: &mut Config) -> Result<(), ConfigError> {
    let http = &mut config.http;
    reader.text("server.http_listen_address", &mut config.http_listen_address)?;
    reader.read("server.http_listen_port", &mut config.http_listen_port, |text| {
        text.parse().map_err(|_| format!("{text:?} is not a port"))
    })?;
    reader.count("server.http_listen_conn_limit", &mut http.connection_limit)?;
    reader.duration("server.http_server_read_timeout", &mut http.read_timeout)?;
    reader.duration("server.http_server_read_header_timeout", &mut http.read_header_timeout)?;
    reader.duration("server.http_server_write_timeout", &mut http.write_timeout)?;
    reader.duration("server.http_server_idle_timeout", &mut http.idle_timeout)?;
    reader.read("server.http_path_prefix", &mut http.path_prefix, |text| {
        let path = text.trim_end_matches('/');
        let plain = path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/-_.~".contains(&b));
        match path.is_empty() || (path.starts_with('/') && plain && !path.contains("//")) {
            true => Ok(path.to_owned()),
            false => Err(format!("{text:?} is not a path; write for example /loki")),
        }
    })?;
    let path = "server.http_tls_config";
    let mut tls = TlsConfig::default();
    for (name, target) in [
        ("cert_file", &mut tls.cert_file),
        ("key_file", &mut tls.key_file),
        ("client_ca_file", &mut tls.client_ca_file),
        ("client_auth_type", &mut tls.client_auth),
    ] {
        reader.text(&format!("{path}.{name}"), target)?;
    }
    for name in ["cert", "key", "client_ca"] {
        if let Some(node) = reader.at(&format!("{path}.{name}")).filter(|n| n.text().is_some_and(|t| !t.is_empty())) {
            let message = format!("certificates inside the configuration are not supported; use {name}_file");
            return Err(wrong(node, &format!("{path}.{name}"), message));
        }
    }
    config.http.tls = tls.checked(path)?;
    Ok(())
}

fn queries(reader: &Reader<'_>, config: &mut Config) -> Result<(), ConfigError> {
    let (mut concurrent, mut waiting, mut push, mut unpacked, mut form) = (0, 0, 0, 0, 0);
    reader.count("querier.max_concurrent", &mut concurrent)?;
    reader.count("frontend.max_outstanding_per_tenant", &mut waiting)?;
    reader.count("query_scheduler.max_outstanding_requests_per_tenant", &mut waiting)?;
    reader.bytes("distributor.max_recv_msg_size", &mut push)?;
    reader.bytes("distributor.max_decompressed_size", &mut unpacked)?;
    reader.bytes("frontend.max_body_size", &mut form)?;
    let some = |bytes: u64| usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
    config.concurrent_queries = (concurrent > 0).then_some(concurrent);
    config.waiting_queries = (waiting > 0).then_some(waiting);
    config.max_push_bytes = some(push);
    config.max_decompressed_bytes = some(unpacked);
    config.max_form_bytes = some(form);
    Ok(())
}

fn ingester(reader: &Reader<'_>, config: &mut Config) -> Result<(), ConfigError> {
    let store = &mut config.store;
    reader.bool("ingester.wal.enabled", &mut store.wal.enabled)?;
    reader.bool("ingester.wal.flush_on_shutdown", &mut store.flush_on_close)?;
    let mut idle = Duration::from_secs(store.flush.idle_secs);
    reader.duration("ingester.chunk_idle_period", &mut idle)?;
    store.flush.idle_secs = idle.as_secs().max(1);
    let mut age = Duration::from_secs(2 * 3600);
    reader.duration("ingester.max_chunk_age", &mut age)?;
    store.flush.max_age_secs = store.flush.max_age_secs.min(age.as_secs().max(1));
    config.limits.out_of_order_window = Some(age / 2);
    store.wal.sync = WalSync::Interval;
    reader.read("ingester.chunk_encoding", &mut store.flush.pack.compression, |text| match text {
        "none" => Ok(Compression::None),
        "snappy" => Ok(Compression::Snappy),
        "lz4" | "lz4-64k" | "lz4-256k" | "lz4-1M" => Ok(Compression::Lz4),
        // Loki's strong and slow ones; packs have zstd in their place.
        "gzip" | "flate" | "zstd" => Ok(Compression::Zstd(1)),
        _ => Err(format!(
            "invalid encoding: {text}, supported: none, gzip, lz4-64k, snappy, lz4-256k, lz4-1M, lz4, flate, zstd"
        )),
    })
}

/// Narvi keeps its files in a folder of their own, below what the file names.
fn data_dir(reader: &Reader<'_>) -> Result<PathBuf, ConfigError> {
    let places = [
        "common.path_prefix",
        "common.storage.filesystem.chunks_directory",
        "storage_config.filesystem.directory",
        "ingester.wal.dir",
    ];
    let mut found = None;
    for path in places {
        let place = reader.optional_text(path)?;
        found = found.or(place);
    }
    Ok(found.map_or_else(|| PathBuf::from("narvi-data"), |folder| PathBuf::from(folder).join("narvi")))
}
