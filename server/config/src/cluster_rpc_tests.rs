//! Tests of what a file says of gRPC.

use std::time::Duration;

use narvi_rpc::{ClientSettings, Compression, ServerLimits};

use crate::{Config, Flags, GrpcConfig};

fn read(text: &str) -> Config {
    Config::from_yaml(text, &Flags::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn the_server_is_set_up_by_a_file() {
    assert_eq!(read("").cluster.grpc, GrpcConfig::default());
    assert_eq!(read("").cluster.grpc.listen(), "0.0.0.0:9095");
    let config = read(
        "server:\n  grpc_listen_address: 127.0.0.1\n  grpc_listen_port: 0\n  grpc_server_max_recv_msg_size: 1048576000\n  \
         grpc_server_max_send_msg_size: 8388608\n  grpc_server_max_concurrent_streams: 7\n  \
         grpc_server_keepalive_time: 1m\n  grpc_server_keepalive_timeout: 2s\n  grpc_server_max_connection_age: 1h\n  \
         grpc_server_max_connection_age_grace: 2562047h47m16.854775807s\n  graceful_shutdown_timeout: 9s\n  \
         grpc_server_ping_without_stream_allowed: true\n  grpc_server_num_workers: 4\n",
    );
    assert_eq!(config.warnings, ["line 13: server.grpc_server_num_workers has no effect on Narvi"]);
    let grpc = config.cluster.grpc;
    assert_eq!((grpc.listen().as_str(), grpc.advertised_host().as_str()), ("127.0.0.1:0", "127.0.0.1"));
    let expected = ServerLimits {
        max_recv_bytes: 1_048_576_000,
        max_send_bytes: 8 << 20,
        max_concurrent_streams: 7,
        keepalive_time: secs(60),
        keepalive_timeout: secs(2),
        max_connection_age: secs(3600),
        max_connection_age_grace: Duration::ZERO,
        grace: secs(9),
        ..ServerLimits::default()
    };
    assert_eq!(grpc.limits, expected);
}

#[test]
fn messages_of_narvi_always_fit() {
    let config = read(
        "server:\n  grpc_server_max_recv_msg_size: 1000\ningester_client:\n  grpc_client_config:\n    \
         max_send_msg_size: 1048576\n",
    );
    assert_eq!(config.cluster.grpc.limits.max_recv_bytes, 4 << 20);
    assert_eq!(config.cluster.ingester_client.max_send_bytes, 4 << 20);
    let told = |text: &str| format!("{text}: 4194304 is used, which messages between processes need");
    let expected = [
        told("line 2: server.grpc_server_max_recv_msg_size"),
        told("line 5: ingester_client.grpc_client_config.max_send_msg_size"),
    ];
    assert_eq!(config.warnings, expected);
    let client = ClientSettings::default();
    assert!(client.push_bytes < ServerLimits::default().max_recv_bytes);
}

#[test]
fn clients_of_ingesters_are_set_up_by_a_file() {
    let config = read(
        "ingester_client:\n  remote_timeout: 7s\n  pool_config: {remote_timeout: 3s, client_cleanup_period: 15s}\n  \
         grpc_client_config:\n    max_recv_msg_size: 52428800\n    grpc_compression: gzip\n    connect_timeout: 2s\n    \
         backoff_config: {min_period: 1s, max_period: 4s, max_retries: 3}\n    rate_limit: 5\n",
    );
    let expected = [
        "line 3: ingester_client.pool_config.client_cleanup_period has no effect on Narvi",
        "line 9: ingester_client.grpc_client_config.rate_limit has no effect on Narvi",
    ];
    assert_eq!(config.warnings, expected);
    let expected = ClientSettings {
        max_recv_bytes: 50 << 20,
        compression: Compression::Gzip,
        connect_timeout: secs(2),
        push_timeout: secs(7),
        check_timeout: secs(3),
        ..ClientSettings::default()
    };
    assert_eq!(config.cluster.ingester_client, expected);
    let replication = &config.cluster.replication;
    assert_eq!((replication.timeout, replication.attempts), (secs(7), 4));
    assert_eq!((replication.min_backoff, replication.max_backoff), (secs(1), secs(4)));
    let config = read("frontend_worker: {grpc_client_config: {grpc_compression: snappy}}");
    assert!(
        config.warnings[0].starts_with("line 1: frontend_worker.grpc_client_config.grpc_compression: snappy is not")
    );
}

#[test]
fn certificates_for_grpc_need_a_listener() {
    let config = read("server: {grpc_tls_config: {cert_file: a.crt}}");
    assert!(
        config
            .warnings
            .contains(&"server.grpc_tls_config has no effect: a single process has no gRPC listener".to_owned())
    );
}
