//! What each key of a file means for Narvi.

use std::{cell::RefCell, collections::BTreeSet, path::PathBuf, time::Duration};

use narvi::{Compression, WalSync};

use crate::{
    Config, ConfigError, apply_limits, parse_bytes, parse_duration, ruler, schema,
    tree::{Node, Value},
};

/// Values that ask for what Narvi does anyway, and so need no warning.
const NO_EFFECT_NEEDED: &[(&str, &str)] = &[
    ("analytics.reporting_enabled", "false"),
    ("common.replication_factor", "1"),
    ("common.ring.kvstore.store", "inmemory"),
    ("common.ring.instance_addr", "127.0.0.1"),
    ("common.instance_addr", "127.0.0.1"),
    ("compactor.delete_request_store", "filesystem"),
    ("ingester.lifecycler.ring.kvstore.store", "inmemory"),
    ("ingester.lifecycler.ring.replication_factor", "1"),
    ("ingester.query_store_max_look_back_period", "-1"),
    ("limits_config.ingestion_rate_strategy", "local"),
    ("limits_config.unordered_writes", "true"),
    ("querier.query_ingesters_within", "0"),
    ("query_range.cache_results", "false"),
    ("query_range.cache_index_stats_results", "false"),
    ("query_range.cache_volume_results", "false"),
    ("query_range.cache_instant_metric_results", "false"),
    ("query_range.cache_series_results", "false"),
    ("query_range.cache_label_results", "false"),
    ("server.grpc_listen_port", "0"),
    ("server.log_format", "logfmt"),
    ("storage_config.object_store.filesystem.dir", "*"),
];

/// Reads values of a file and remembers which were read.
pub(crate) struct Reader<'a> {
    root: &'a Node,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Reader<'a> {
    /// What the file has there.
    pub(crate) fn node(&self, path: &str) -> Option<&'a Node> {
        let node = path.split('.').try_fold(self.root, |node, part| node.get(part))?;
        self.used.borrow_mut().insert(path.to_owned());
        (node.value != Value::Null).then_some(node)
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
        self.read(path, target, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(true),
            "false" | "no" | "off" | "n" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        })
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
        self.read(path, target, |text| {
            let number: i64 = text.parse().map_err(|_| format!("{text:?} is not a whole number"))?;
            Ok(usize::try_from(number).unwrap_or(0))
        })
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
        let scalar = |path: &str| match path.split('.').try_fold(self.root, |node, part| node.get(part))?.value {
            Value::Scalar(ref text) => Some(text.as_str()),
            _ => None,
        };
        let matches = |&(key, value): &(&str, &str)| key == path && (value == "*" || scalar(key) == Some(value));
        NO_EFFECT_NEEDED.iter().any(matches)
            || ["schema_config.", "storage_config.object_store", "storage_config.use_thanos_objstore", "ruler_storage."]
                .iter()
                .any(|prefix| path.starts_with(prefix))
            || (path == "pattern_ingester"
                && self.root.get(path).and_then(|node| node.get("enabled")).map(|node| &node.value)
                    == Some(&Value::Scalar("false".to_owned())))
    }
}

/// An error about a value.
pub(crate) fn wrong(node: &Node, path: &str, message: String) -> ConfigError {
    let place = if node.line == 0 { String::new() } else { format!("line {}: ", node.line) };
    ConfigError::Value { place, key: path.to_owned(), message }
}

/// Checks a file against the keys that Loki has, and lays its values over a configuration.
pub(crate) fn apply(root: &Node, mut config: Config) -> Result<Config, ConfigError> {
    let given = schema::check(root)?;
    let reader = Reader { root, used: RefCell::default() };
    server(&reader, &mut config)?;
    ingester(&reader, &mut config)?;
    apply_limits::apply(&reader, &mut config.limits)?;
    ruler::apply(&reader, &mut config.ruler)?;
    config.data_dir = data_dir(&reader)?;
    let used = reader.used.borrow();
    let mut warned = BTreeSet::new();
    for key in given {
        let place = if key.line == 0 { String::new() } else { format!("line {}: ", key.line) };
        if let Some(hint) = key.removed {
            config.warnings.push(format!("{place}{} no longer exists; {hint}", key.path));
        } else if !used.contains(&key.path) && !reader.is_settled(&key.path) && warned.insert(key.path.clone()) {
            config.warnings.push(format!("{place}{} has no effect on Narvi", key.path));
        }
    }
    Ok(config)
}

fn server(reader: &Reader<'_>, config: &mut Config) -> Result<(), ConfigError> {
    let mut targets = Vec::new();
    reader.words("target", &mut targets)?;
    if !targets.is_empty() {
        config.targets = targets;
    }
    reader.bool("auth_enabled", &mut config.auth_enabled)?;
    reader.text("server.http_listen_address", &mut config.http_listen_address)?;
    reader.read("server.http_listen_port", &mut config.http_listen_port, |text| {
        text.parse().map_err(|_| format!("{text:?} is not a port"))
    })?;
    reader.read("server.log_level", &mut config.log_level, |text| match text {
        "debug" | "info" | "warn" | "error" => Ok(text.to_owned()),
        _ => Err(format!("unrecognized log level {text:?}; use debug, info, warn or error")),
    })?;
    reader.duration("server.graceful_shutdown_timeout", &mut config.shutdown_timeout)?;
    let (mut concurrent, mut waiting, mut push) = (0, 0, 0);
    reader.count("querier.max_concurrent", &mut concurrent)?;
    reader.count("frontend.max_outstanding_per_tenant", &mut waiting)?;
    reader.bytes("distributor.max_recv_msg_size", &mut push)?;
    config.concurrent_queries = (concurrent > 0).then_some(concurrent);
    config.waiting_queries = (waiting > 0).then_some(waiting);
    config.max_push_bytes = usize::try_from(push).ok().filter(|bytes| *bytes > 0);
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
