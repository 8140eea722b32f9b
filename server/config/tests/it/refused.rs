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
    (
        "target: nothing",
        "invalid config: line 1: target: unrecognised target \"nothing\"; one of all, backend, compactor, distributor, \
         index-gateway, ingester, querier, query-frontend, query-scheduler, read, ruler, table-manager, write",
    ),
    (
        "target: distributor\ncommon: {replication_factor: 1}",
        "invalid config: line 1: target: distributor has no ingester in this process, and no ring to find one by: set \
         memberlist.join_members in the configuration of all processes, or run them as one with -target=all",
    ),
    (
        "memberlist: {join_members: [a]}\ndistributor:\n  ring:\n    kvstore:\n      store: etcd",
        "invalid config: line 5: distributor.ring.kvstore.store: etcd is not supported: processes of Narvi find each other \
         by gossip; set memberlist.join_members, and leave store out or write memberlist",
    ),
    (
        "ruler: {ring: {kvstore: {store: zookeeper}}}",
        "invalid config: line 1: ruler.ring.kvstore.store: unsupported store \"zookeeper\"; use memberlist, or inmemory in \
         a single process",
    ),
    (
        "common: {replication_factor: 0}",
        "invalid config: line 1: common.replication_factor: must be 1 or more: it says how many ingesters hold each stream",
    ),
    (
        "ingester: {lifecycler: {num_tokens: 5000}}",
        "invalid config: line 1: ingester.lifecycler.num_tokens: \"5000\" is not a number of tokens from 1 to 4096",
    ),
    (
        "ingester: {lifecycler: {heartbeat_period: 0s}}",
        "invalid config: line 1: ingester.lifecycler.heartbeat_period: must be longer than 0s",
    ),
    (
        "common: {persist_tokens: true}",
        "invalid config: line 1: common.persist_tokens: is true, and common.path_prefix is missing: tokens are kept in files \
         there",
    ),
    (
        "memberlist: {join_members: [a], bind_port: 70000}",
        "invalid config: line 1: memberlist.bind_port: \"70000\" is not a port",
    ),
    (
        "memberlist:\n  join_members: [a]\n  bind_addr: [localhost]",
        "invalid config: line 3: memberlist.bind_addr: \"localhost\" is not an IP address",
    ),
    (
        "memberlist: {join_members: [a], advertise_addr: here}",
        "invalid config: line 1: memberlist.advertise_addr: \"here\" is not an IP address",
    ),
    (
        "memberlist: {join_members: [a], tls_enabled: true}",
        "invalid config: line 1: memberlist.tls_enabled: gossip is not encrypted; leave tls_enabled out, and keep the port \
         inside a network that you trust",
    ),
    (
        "memberlist: {join_members: [a]}\nserver: {grpc_tls_config: {cert_file: a.crt}}",
        "invalid config: line 2: server.grpc_tls_config: gRPC between processes of Narvi is not encrypted; leave \
         grpc_tls_config out, and keep the port inside a network that you trust",
    ),
    (
        "ingester_client: {grpc_client_config: {tls_enabled: true}}",
        "invalid config: line 1: ingester_client.grpc_client_config.tls_enabled: gRPC between processes of Narvi is not \
         encrypted; leave tls_enabled out, and keep them inside a network that you trust",
    ),
    (
        "ingester_client: {grpc_client_config: {grpc_compression: lzma}}",
        "invalid config: line 1: ingester_client.grpc_client_config.grpc_compression: unsupported compression type: lzma; \
         leave it empty, or use gzip",
    ),
    (
        "ingester_client: {remote_timeout: 0s}",
        "invalid config: line 1: ingester_client.remote_timeout: must be longer than 0s",
    ),
    (
        "server: {grpc_server_max_concurrent_streams: -1}",
        "invalid config: line 1: server.grpc_server_max_concurrent_streams: \"-1\" is not a number of streams; 0 is no limit",
    ),
    (
        "frontend_worker:\n  frontend_address: f:1\n  scheduler_address: s:1",
        "invalid config: line 3: frontend_worker.scheduler_address: frontend_address is set too: queriers take work from \
         frontends or from schedulers; leave one out",
    ),
    (
        "frontend_worker: {frontend_address: 'query-frontend:grpc'}",
        "invalid config: line 1: frontend_worker.frontend_address: \"query-frontend:grpc\" has no port between 1 and 65535 \
         behind its host",
    ),
    (
        "memberlist:\n  join_members:\n    - a\n    - dnz+b:7946",
        "invalid config: line 3: memberlist.join_members: \"dnz+b:7946\" begins with dnz+, which is not known: use dns+, \
         dnssrv+ or dnssrvnoa+",
    ),
    (
        "frontend: {tail_proxy_url: 'querier:3100'}",
        "invalid config: line 1: frontend.tail_proxy_url: \"querier:3100\" is not a URL; write for example \
         http://querier:3100",
    ),
    (
        "querier: {query_store_only: true, query_ingester_only: true}",
        "invalid config: line 1: querier.query_store_only: is true, and query_ingester_only too: there would be nothing to \
         query; leave one out",
    ),
    (
        "target: query-frontend\nquery_scheduler: {use_scheduler_ring: true}",
        "invalid config: line 2: query_scheduler.use_scheduler_ring: is true, and the ring is kept in memory: set \
         memberlist.join_members, or name schedulers by frontend.scheduler_address and frontend_worker.scheduler_address",
    ),
    (
        "target: index-gateway\nindex_gateway: {mode: ring}",
        "invalid config: line 2: index_gateway.mode: is ring, and the ring is kept in memory: set memberlist.join_members, \
         or write simple, and name the gateways by storage_config.tsdb_shipper.index_gateway_client.server_address",
    ),
    (
        "target: ingester\nmemberlist: {join_members: [a]}\ncommon: {ring: {kvstore: {store: inmemory}}}",
        "invalid config: line 1: target: ingester has no distributor in this process, and no ring to find one by: the ring \
         of ingesters is kept in memory; write memberlist as ingester.lifecycler.ring.kvstore.store",
    ),
    ("index_gateway: {mode: fast}", "invalid config: line 1: index_gateway.mode: \"fast\" is neither simple nor ring"),
    (
        "ruler: {sharding_strategy: even}",
        "invalid config: line 1: ruler.sharding_strategy: invalid sharding strategy \"even\"; use default or \
         shuffle-sharding",
    ),
    (
        "limits_config: {max_query_capacity: 2}",
        "invalid config: line 1: limits_config.max_query_capacity: \"2\" is not a number from 0 to 1",
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
