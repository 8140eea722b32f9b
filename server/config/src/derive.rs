//! What a file says of other keys than those it names: keys that Loki moved, and the values that `common` gives the rest.

use crate::{
    ConfigError,
    apply::wrong,
    cluster_rings::is_given,
    schema::parse_bool,
    tree::{Entry, Node, Value},
};

/// Keys that Loki moved; what they say is taken over unless the new key is there too.
const MOVED: &[(&str, &str)] = &[
    ("chunk_store_config.max_look_back_period", "limits_config.max_query_lookback"),
    ("query_range.split_queries_by_interval", "limits_config.split_queries_by_interval"),
    ("querier.query_timeout", "limits_config.query_timeout"),
    ("querier.engine.timeout", "limits_config.query_timeout"),
    ("compactor.deletion_mode", "limits_config.deletion_mode"),
    ("frontend_worker.parallelism", "querier.max_concurrent"),
    ("ingester.unordered_writes", "limits_config.unordered_writes"),
    ("limits_config.required_number_label", "limits_config.minimum_labels_number"),
];

/// Where folders lie below `common.path_prefix`.
const BELOW_PREFIX: &[(&str, &str)] = &[
    ("ruler.rule_path", "rules-temp"),
    ("ingester.wal.dir", "wal"),
    ("compactor.working_directory", "compactor"),
    ("storage_config.tsdb_shipper.active_index_directory", "tsdb-shipper-active"),
    ("storage_config.tsdb_shipper.cache_location", "tsdb-shipper-cache"),
    ("storage_config.boltdb_shipper.active_index_directory", "boltdb-shipper-active"),
    ("storage_config.boltdb_shipper.cache_location", "boltdb-shipper-cache"),
];

/// The backends of `common.storage`, and where they are copied. The part of the ruler finds them itself.
const BACKENDS: &[(&str, &str)] = &[
    ("s3", "storage_config.aws"),
    ("gcs", "storage_config.gcs"),
    ("azure", "storage_config.azure"),
    ("swift", ""),
    ("alibabacloud", ""),
    ("bos", ""),
    ("cos", ""),
    ("filesystem", ""),
];

/// The rings beside the ingester's, whose sections are alike.
const RINGS: &[&str] = &[
    "distributor.ring",
    "ruler.ring",
    "query_scheduler.scheduler_ring",
    "compactor.compactor_ring",
    "index_gateway.ring",
];

/// What an ingester is in its ring: the names in `ingester.lifecycler`, and in the sections of other rings.
const INSTANCE: &[(&str, &str)] = &[
    ("address", "instance_addr"),
    ("port", "instance_port"),
    ("id", "instance_id"),
    ("interface_names", "instance_interface_names"),
    ("availability_zone", "instance_availability_zone"),
    ("enable_inet6", "instance_enable_ipv6"),
    ("heartbeat_period", "heartbeat_period"),
];

/// Keys that only the ingester's ring takes from `common.ring`: the tokens of several rings cannot lie in one file.
const TOKENS: &[&str] = &["num_tokens", "tokens_file_path"];

/// The files of `common.persist_tokens`.
const TOKEN_FILES: &[(&str, &str)] = &[
    ("ingester.lifecycler.tokens_file_path", "ingester.tokens"),
    ("query_scheduler.scheduler_ring.tokens_file_path", "scheduler.tokens"),
    ("compactor.compactor_ring.tokens_file_path", "compactor.tokens"),
    ("index_gateway.ring.tokens_file_path", "indexgateway.tokens"),
];

/// Completes a file; keys that it has itself stay as they are. Gives the new place of each key that was moved.
///
/// # Errors
/// `common.storage` with more than one store.
pub(crate) fn complete(root: &mut Node) -> Result<(), ConfigError> {
    for (old, new) in MOVED {
        if let Some(text) = root.at(old).and_then(Node::text).map(str::to_owned) {
            give(root, new, &text);
        }
    }
    storage(root)?;
    if let Some(prefix) = root.at("common.path_prefix").and_then(Node::text).filter(|p| !p.is_empty()) {
        let prefix = prefix.trim_end_matches('/').to_owned();
        for (key, folder) in BELOW_PREFIX {
            give(root, key, &format!("{prefix}/{folder}"));
        }
    }
    rings(root)?;
    for (old, new) in [("file", "per_tenant_override_config"), ("period", "per_tenant_override_period")] {
        if let Some(text) = root.at(&format!("limits_config.{new}")).and_then(Node::text).map(str::to_owned) {
            give(root, &format!("runtime_config.{old}"), &text);
        }
    }
    Ok(())
}

/// Where a moved key is now.
pub(crate) fn new_place(path: &str) -> Option<&'static str> {
    MOVED.iter().find(|(old, _)| *old == path).map(|(_, new)| *new)
}

/// Where the value of a key of `common.storage` or `common.ring` is copied.
pub(crate) fn copied_to(path: &str) -> Option<String> {
    if let Some(key) = path.strip_prefix("common.ring.") {
        return Some(match INSTANCE.iter().find(|(_, of_rings)| *of_rings == key) {
            Some((of_ingester, _)) => format!("ingester.lifecycler.{of_ingester}"),
            None if TOKENS.contains(&key) => format!("ingester.lifecycler.{key}"),
            None => format!("ingester.lifecycler.ring.{key}"),
        });
    }
    let (name, rest) = path.strip_prefix("common.storage.")?.split_once('.')?;
    let (_, target) = BACKENDS.iter().find(|(backend, target)| *backend == name && !target.is_empty())?;
    Some(format!("{target}.{rest}"))
}

/// Sets a key that is not there.
fn give(root: &mut Node, path: &str, text: &str) {
    if root.at(path).is_none_or(|node| node.value == Value::Null) {
        root.set(path, text);
    }
}

fn storage(root: &mut Node) -> Result<(), ConfigError> {
    let Some(common) = root.at("common.storage").cloned() else { return Ok(()) };
    let given: Vec<_> = BACKENDS
        .iter()
        .filter_map(|(name, target)| Some((*name, *target, common.get(name)?)))
        .filter(|(_, _, node)| node.value != Value::Null)
        .collect();
    if given.len() > 1 {
        let names: Vec<_> = given.iter().map(|(name, ..)| *name).collect();
        return Err(ConfigError::Value {
            place: crate::schema::place(given[1].2.line()),
            key: "common.storage".to_owned(),
            message: format!(
                "too many storage configs provided in the common config, please only define one storage backend of {}",
                names.join(", ")
            ),
        });
    }
    for (name, target, node) in given {
        if !target.is_empty() {
            copy(root, target, node);
        }
        if name == "filesystem"
            && let Some(chunks) = node.get("chunks_directory").and_then(Node::text)
        {
            give(root, "storage_config.filesystem.directory", chunks);
        }
    }
    Ok(())
}

/// Every ring follows `common.ring`; without one, all are carried by gossip if that joins anyone, and else the other rings
/// follow the ingester's.
fn rings(root: &mut Node) -> Result<(), ConfigError> {
    let joins = root.at("memberlist.join_members").is_some_and(is_given);
    if let Some(common) = root.at("common.ring").filter(|ring| is_given(ring)).cloned() {
        follow_common(root, &common);
    } else if !joins && let Some(lifecycler) = root.at("ingester.lifecycler").cloned() {
        follow_ingester(root, &lifecycler);
    }
    instance(root);
    if joins {
        give(root, "ingester.lifecycler.ring.kvstore.store", "memberlist");
        RINGS.iter().for_each(|ring| give(root, &format!("{ring}.kvstore.store"), "memberlist"));
    }
    if let Some(factor) = root.at("common.replication_factor").and_then(Node::text).map(str::to_owned) {
        give(root, "ingester.lifecycler.ring.replication_factor", &factor);
        give(root, "index_gateway.ring.replication_factor", &factor);
    }
    token_files(root)
}

fn follow_common(root: &mut Node, common: &Node) {
    let mut of_ring = Node { value: Value::Map(Vec::new()), ..Node::default() };
    for entry in common.entries() {
        let of_ingester = INSTANCE.iter().find(|(_, of_rings)| *of_rings == entry.key).map(|(name, _)| *name);
        match of_ingester.or_else(|| TOKENS.iter().copied().find(|key| *key == entry.key)) {
            Some(name) => give_node(root, &format!("ingester.lifecycler.{name}"), &entry.node),
            None => of_ring.put(&entry.key, entry.node.clone()),
        }
    }
    copy(root, "ingester.lifecycler.ring", &of_ring);
    let mut of_others = common.clone();
    if let Value::Map(entries) = &mut of_others.value {
        entries.retain(|entry| !TOKENS.contains(&entry.key.as_str()) && entry.key != "replication_factor");
    }
    RINGS.iter().for_each(|ring| copy(root, ring, &of_others));
}

fn follow_ingester(root: &mut Node, lifecycler: &Node) {
    let mut ring = Node { value: Value::Map(Vec::new()), ..Node::default() };
    for key in ["kvstore", "heartbeat_timeout", "zone_awareness_enabled"] {
        if let Some(node) = lifecycler.get("ring").and_then(|ring| ring.get(key)) {
            ring.put(key, node.clone());
        }
    }
    for (of_ingester, of_rings) in INSTANCE {
        if let Some(node) = lifecycler.get(of_ingester) {
            ring.put(of_rings, node.clone());
        }
    }
    if !ring.entries().is_empty() {
        RINGS.iter().for_each(|name| copy(root, name, &ring));
    }
}

/// What `common` says of this process as an instance, for all its rings.
fn instance(root: &mut Node) {
    for (key, of_ingester) in [("instance_addr", "address"), ("instance_interface_names", "interface_names")] {
        if let Some(node) = root.at(&format!("common.{key}")).filter(|node| is_given(node)).cloned() {
            give_node(root, &format!("ingester.lifecycler.{of_ingester}"), &node);
            RINGS.iter().for_each(|ring| give_node(root, &format!("{ring}.{key}"), &node));
        }
    }
}

fn token_files(root: &mut Node) -> Result<(), ConfigError> {
    let Some(persist) = root.at("common.persist_tokens").cloned() else { return Ok(()) };
    if persist.text().is_none_or(|text| parse_bool(text) != Ok(true)) {
        return Ok(());
    }
    let Some(prefix) = root.at("common.path_prefix").and_then(Node::text).filter(|prefix| !prefix.is_empty()) else {
        let message = "is true, and common.path_prefix is missing: tokens are kept in files there".to_owned();
        return Err(wrong(&persist, "common.persist_tokens", message));
    };
    let prefix = prefix.trim_end_matches('/').to_owned();
    TOKEN_FILES.iter().for_each(|(key, file)| give(root, key, &format!("{prefix}/{file}")));
    Ok(())
}

/// As [`give`], for what may be a list.
fn give_node(root: &mut Node, path: &str, node: &Node) {
    if root.at(path).is_none_or(|own| own.value == Value::Null) {
        let mut node = node.clone();
        node.forget_lines();
        root.put(path, node);
    }
}

/// Copies a section below another; what is there stays.
fn copy(root: &mut Node, target: &str, from: &Node) {
    let mut merged = from.clone();
    merged.forget_lines();
    if let Some(own) = root.at(target) {
        merged.overlay(own);
    }
    root.put(target, merged);
}

impl Node {
    pub(crate) fn line(&self) -> u64 {
        self.line
    }

    /// What is copied stands at no line of its own.
    fn forget_lines(&mut self) {
        self.line = 0;
        match &mut self.value {
            Value::List(items) => items.iter_mut().for_each(Self::forget_lines),
            Value::Map(entries) => entries.iter_mut().for_each(|Entry { line, node, .. }| {
                *line = 0;
                node.forget_lines();
            }),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::complete;
    use crate::{ConfigError, tree::Node};

    fn completed(text: &str) -> Result<Node, ConfigError> {
        let mut node = Node::parse(text)?;
        complete(&mut node)?;
        Ok(node)
    }

    #[test]
    fn common_values_fill_what_is_not_given() {
        let text = "common: {path_prefix: /loki/, replication_factor: 1, storage: {s3: {endpoint: 'h:1', bucketnames: b}, \
                    filesystem: }}\nstorage_config: {aws: {bucketnames: other}}\ningester: {wal: {dir: /wal}}\n\
                    memberlist: {join_members: [a]}\n";
        let node = completed(text).expect("it is right");
        for (path, expected) in [
            ("storage_config.aws.endpoint", "h:1"),
            ("storage_config.aws.bucketnames", "other"),
            ("ruler.rule_path", "/loki/rules-temp"),
            ("ingester.wal.dir", "/wal"),
            ("compactor.working_directory", "/loki/compactor"),
            ("ruler.ring.kvstore.store", "memberlist"),
            ("ingester.lifecycler.ring.replication_factor", "1"),
            ("index_gateway.ring.replication_factor", "1"),
        ] {
            assert_eq!(node.at(path).and_then(Node::text), Some(expected), "{path}");
        }
    }

    #[test]
    fn moved_keys_are_taken_over() {
        let text = "chunk_store_config: {max_look_back_period: 7d}\nquerier: {query_timeout: 3m}\n\
                    limits_config: {query_timeout: 5m}\n";
        let node = completed(text).expect("it is right");
        assert_eq!(node.at("limits_config.max_query_lookback").and_then(Node::text), Some("7d"));
        assert_eq!(node.at("limits_config.query_timeout").and_then(Node::text), Some("5m"));
    }

    #[test]
    fn two_stores_in_common_are_refused() {
        let error = completed("common:\n  storage:\n    s3: {bucketnames: b}\n    gcs: {bucket_name: c}\n");
        assert_eq!(
            error.expect_err("it is wrong").to_string(),
            "invalid config: line 4: common.storage: too many storage configs provided in the common config, please \
             only define one storage backend of s3, gcs"
        );
    }
}
