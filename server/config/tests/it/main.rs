//! Files that people run Loki with, read as a whole.

mod cluster;
mod deployed;
mod refused;

use std::{path::Path, time::Duration};

use narvi::Compression;
use narvi_config::{Config, Flags, Limits};

fn read(text: &str) -> Config {
    Config::from_yaml(text, &Flags::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str) -> String {
    Config::from_yaml(text, &Flags::default()).expect_err("the file is wrong").to_string()
}

#[test]
fn an_empty_file_has_the_limits_of_loki() {
    let config = read("");
    assert!(config.auth_enabled);
    assert_eq!(config.limits, Limits::loki());
    assert_eq!(config.http_listen(), "0.0.0.0:3100");
    assert!(!Config::default().auth_enabled);
}

#[test]
fn a_single_binary_on_a_file_system() {
    let config = read(include_str!("../data/single.yaml"));
    assert!(config.auth_enabled);
    assert_eq!(config.http_listen(), "127.0.0.1:3101");
    assert_eq!(config.log_level, "warn");
    assert_eq!(config.data_dir, Path::new("/var/lib/loki/narvi"));
    let expected = {
        let mut limits = Limits::loki();
        limits.reject_old_samples = false;
        limits
    };
    assert_eq!(config.limits, expected);
    assert!(config.warnings.is_empty(), "{:#?}", config.warnings);
}

#[test]
fn an_old_file_of_many_processes_is_accepted_with_warnings() {
    let config = read(include_str!("../data/distributed-old.yaml"));
    assert!(!config.auth_enabled);
    assert_eq!(config.limits.reject_old_samples_max_age, Duration::from_secs(168 * 3600));
    assert_eq!(config.limits.split_queries_by_interval, Duration::from_secs(900));
    assert_eq!(config.limits.out_of_order_window, Some(Duration::from_secs(1800)));
    assert_eq!(config.store.flush.pack.compression, Compression::Snappy);
    assert_eq!(config.store.flush.idle_secs, 3600);
    let has = |text: &str| config.warnings.iter().any(|warning| warning.contains(text));
    assert!(has("limits_config.enforce_metric_name no longer exists; leave it out"), "{:#?}", config.warnings);
    assert!(has("compactor.shared_store no longer exists; use object_store"));
    assert!(has("query_range.results_cache.cache.enable_fifocache no longer exists; use embedded_cache.enabled"));
    assert!(!has("memberlist.") && !has("frontend") && !has("lifecycler"), "{:#?}", config.warnings);
    assert_eq!(config.warnings.iter().filter(|warning| warning.contains("chunk_block_size")).count(), 1);
}

#[test]
fn values_are_read_with_their_units() {
    let text = "limits_config: {max_line_size: 1MB, per_stream_rate_limit: 10GB, ingestion_rate_mb: 1.5, \
                query_timeout: 10m, max_query_length: 30d1h, discover_service_name: [], creation_grace_period: 0s, max_query_series: -1}";
    let limits = read(text).limits;
    assert_eq!(limits.max_line_size_bytes, 1 << 20);
    assert_eq!(limits.ingestion_rate_bytes, 1_572_864.0);
    assert_eq!(limits.query_timeout, Duration::from_secs(600));
    assert_eq!(limits.max_query_length, Duration::from_secs(721 * 3600));
    assert!(limits.discover_service_name.is_empty());
    assert_eq!(limits.creation_grace_period, Some(Duration::ZERO));
    assert_eq!(limits.max_query_series, 0);
}

#[test]
fn wrong_files_are_refused_with_the_line() {
    let cases = [
        ("foo: 1", "failed parsing config: line 1: field foo not found in type loki.ConfigWrapper"),
        ("limits_config:\n  a_b: 1", "failed parsing config: line 2: field a_b not found in type validation.plain"),
        ("a: [", "failed parsing config: "),
        ("auth_enabled: maybe", "failed parsing config: line 1: auth_enabled: \"maybe\" is neither true nor false"),
        ("server:\n  http_listen_port: 99999", "line 2: server.http_listen_port: \"99999\" is not a port"),
        ("limits_config:\n  query_timeout: 5 minutes", "is not a duration; write for example 30s"),
        ("limits_config:\n  max_line_size: [1]", "must be a single value"),
        ("ingester: {chunk_encoding: brotli}", "invalid encoding: brotli"),
        ("server: 7", "cannot unmarshal \"7\" into server.Config"),
    ];
    for (text, expected) in cases {
        let error = refused(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn flags_are_stronger_than_the_file() {
    let args = ["-server.http-listen-port=9000", "-auth.enabled=false", "-target=read,write"].map(str::to_owned);
    let flags = Flags::parse(&args).unwrap_or_else(|error| panic!("{error}"));
    let config = Config::from_yaml("auth_enabled: true\nserver: {http_listen_port: 1}", &flags);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert!(!config.auth_enabled);
    assert_eq!((config.http_listen_port, config.targets), (9000, vec!["read".to_owned(), "write".to_owned()]));
}
