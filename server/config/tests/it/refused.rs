//! Configurations that are wrong, each with the whole message.

use narvi_config::{Config, Flags};

/// A file and what is said of it.
const REFUSED: &[(&str, &str)] = &[
    ("foo: 1", "failed parsing config: line 1: field foo not found in type loki.ConfigWrapper"),
    (
        "server:\n  http_listen_prot: 1",
        "failed parsing config: line 2: field http_listen_prot not found in type server.Config, did you mean \
         http_listen_port?",
    ),
    (
        "limits:\n  max_query_length: 1h",
        "failed parsing config: line 1: field limits not found in type loki.ConfigWrapper",
    ),
    (
        "server:\n  reject_old_samples: false",
        "failed parsing config: line 2: field reject_old_samples not found in type server.Config, did you mean \
         limits_config.reject_old_samples?",
    ),
    (
        "a_b: 1\nlimits_config:\n  ingestion_rate_md: 1",
        "failed parsing config: line 1: field a_b not found in type loki.ConfigWrapper; line 3: field ingestion_rate_md not \
         found in type validation.plain, did you mean ingestion_rate_mb?",
    ),
    (
        "storage_config:\n  aws:\n    bucket_names: b",
        "failed parsing config: line 3: field bucket_names not found in type aws.S3Config, did you mean bucketnames?",
    ),
    (
        "schema_config:\n  configs:\n    - form: 2024-01-01",
        "failed parsing config: line 3: field form not found in type config.PeriodConfig, did you mean from?",
    ),
    ("server: 7", "failed parsing config: line 1: cannot unmarshal \"7\" into server.Config"),
    ("auth_enabled: maybe", "failed parsing config: line 1: auth_enabled: \"maybe\" is neither true nor false"),
    (
        "server:\n  http_listen_port: many",
        "failed parsing config: line 2: server.http_listen_port: \"many\" is not a whole number",
    ),
    ("server:\n  http_listen_port: 99999", "invalid config: line 2: server.http_listen_port: \"99999\" is not a port"),
    (
        "server: {log_level: loud}",
        "invalid config: line 1: server.log_level: unrecognized log level \"loud\"; use debug, info, warn or error",
    ),
    (
        "server: {log_format: xml}",
        "invalid config: line 1: server.log_format: unrecognized log format \"xml\"; use logfmt or json",
    ),
    (
        "server: {http_path_prefix: loki}",
        "invalid config: line 1: server.http_path_prefix: \"loki\" is not a path; write for example /loki",
    ),
    (
        "server: {http_tls_config: {cert_file: a.crt}}",
        "invalid config: server.http_tls_config.key_file: a file with the key of the server's certificate is needed",
    ),
    (
        "server: {http_tls_config: {cert_file: a, key_file: b, client_auth_type: RequestClientCert}}",
        "invalid config: server.http_tls_config.client_auth_type: \"RequestClientCert\" is not supported; use NoClientCert, \
         VerifyClientCertIfGiven or RequireAndVerifyClientCert",
    ),
    (
        "server: {http_tls_config: {cert: PEM}}",
        "invalid config: line 1: server.http_tls_config.cert: certificates inside the configuration are not supported; use \
         cert_file",
    ),
    (
        "limits_config:\n  query_timeout: 5 minutes",
        "failed parsing config: line 2: limits_config.query_timeout: \"5 minutes\" is not a duration; write for example 30s, \
         5m, 1h30m or 7d",
    ),
    (
        "limits_config:\n  max_line_size: big",
        "failed parsing config: line 2: limits_config.max_line_size: \"big\" is not a size; write for example 1048576, 256KB \
         or 4MB",
    ),
    (
        "limits_config:\n  max_line_size: [1]",
        "failed parsing config: line 2: limits_config.max_line_size: must be a single value",
    ),
    (
        "limits_config: {ingestion_rate_mb: -1}",
        "invalid config: line 1: limits_config.ingestion_rate_mb: \"-1\" is not a number of megabytes",
    ),
    (
        "limits_config: {ingestion_rate_strategy: fair}",
        "invalid config: line 1: limits_config.ingestion_rate_strategy: invalid ingestion rate strategy \"fair\"; use local \
         or global",
    ),
    (
        "limits_config: {block_ingestion_until: tomorrow}",
        "invalid config: line 1: limits_config.block_ingestion_until: \"tomorrow\" is not a time; write it as \
         2026-01-31T12:00:00Z",
    ),
    (
        "limits_config: {block_ingestion_status_code: 99}",
        "invalid config: line 1: limits_config.block_ingestion_status_code: \"99\" is not an HTTP status from 200 to 999",
    ),
    (
        "limits_config:\n  blocked_queries:\n    - types: [slow]",
        "invalid config: line 3: limits_config.blocked_queries: unknown query type \"slow\"; use metric, filter or limited",
    ),
    (
        "limits_config:\n  otlp_config:\n    log_attributes:\n      - action: keep\n        attributes: [a]",
        "invalid config: line 4: limits_config.otlp_config.log_attributes: unsupported action \"keep\"; use index_label, \
         structured_metadata or drop",
    ),
    (
        "limits_config: {otlp_config: {scope_attributes: [{action: drop}]}}",
        "invalid config: line 1: limits_config.otlp_config.scope_attributes: an entry needs either attributes or regex, not \
         both",
    ),
    (
        "ingester: {chunk_encoding: brotli}",
        "invalid config: line 1: ingester.chunk_encoding: invalid encoding: brotli, supported: none, gzip, lz4-64k, snappy, \
         lz4-256k, lz4-1M, lz4, flate, zstd",
    ),
    (
        "common:\n  storage:\n    s3: {bucketnames: b}\n    gcs: {bucket_name: c}",
        "invalid config: line 4: common.storage: too many storage configs provided in the common config, please only define \
         one storage backend of s3, gcs",
    ),
    (
        "common: {storage: {s3: {endpoint: h}}}",
        "invalid config: common.storage.s3.bucketnames: the object store is used and needs the name of a bucket here",
    ),
    (
        "common: {storage: {s3: {s3: 'http://h/b'}}}",
        "invalid config: common.storage.s3.s3: must begin with s3://, as in s3://KEY:SECRET@HOST/BUCKET",
    ),
    (
        "common: {storage: {s3: {bucketnames: b, sse: {type: AES}}}}",
        "invalid config: line 1: common.storage.s3.sse.type: unsupported encryption \"AES\"; use SSE-S3 or SSE-KMS",
    ),
    (
        "schema_config: {configs: [{from: 2024-01-01, object_store: swift}]}",
        "invalid config: line 1: schema_config.configs[0]: object_store: swift is not supported; use s3, gcs, azure or \
         filesystem",
    ),
    (
        "schema_config: {configs: [{from: 2024-01-01, object_store: attic}]}",
        "invalid config: line 1: schema_config.configs[0]: object_store: there is no store \"attic\"; use s3, gcs, azure or \
         filesystem, or name it in storage_config.named_stores",
    ),
    (
        "schema_config: {configs: [{from: 24.12.2024}]}",
        "invalid config: line 1: schema_config.configs[0]: from: \"24.12.2024\" is not a day; write it as 2024-01-31",
    ),
    (
        "schema_config:\n  configs:\n    - from: 2024-01-02\n    - from: 2024-01-01",
        "invalid config: line 4: schema_config.configs[1]: from: each period must begin later than the one before it",
    ),
    (
        "schema_config: {configs: [{from: 2024-01-01, schema: v14}]}",
        "invalid config: line 1: schema_config.configs[0]: schema: unknown schema \"v14\"; use one of v9, v10, v11, v12, v13",
    ),
    (
        "schema_config: {configs: [{from: 2024-01-01, store: tsdb, index: {period: 168h}}]}",
        "invalid config: line 1: schema_config.configs[0]: index.period: tsdb needs periods of 24h",
    ),
];

#[test]
fn wrong_files_are_refused_with_one_clear_sentence() {
    for (text, expected) in REFUSED {
        let error = Config::from_yaml(text, &Flags::default()).expect_err(text).to_string();
        assert_eq!(error, *expected, "{text}");
    }
}

#[test]
fn what_is_no_yaml_is_refused() {
    for text in ["a: [", "a: 1\na: 2", "\t- x", "a: b: c"] {
        let error = Config::from_yaml(text, &Flags::default()).expect_err(text).to_string();
        assert!(error.starts_with("failed parsing config: "), "{text}: {error}");
    }
}
