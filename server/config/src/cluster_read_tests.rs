//! Tests of what a file says of the read path.

use std::time::Duration;

use super::{ClientTls, IndexGatewayMode};
use crate::{ClusterConfig, Config, Flags};

fn read(text: &str) -> Config {
    Config::from_yaml(text, &Flags::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn queriers_and_workers_are_set_up_by_a_file() {
    let config = read(
        "querier: {max_concurrent: 9, query_ingesters_within: 0, query_store_only: true}\nfrontend_worker:\n  \
         scheduler_address: 'scheduler:9095'\n  dns_lookup_duration: 1s\n  match_max_concurrent: true\n  id: q1\n  \
         query_scheduler_grpc_client: {connect_timeout: 1s}\n",
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let ClusterConfig { querier, worker, .. } = config.cluster;
    assert_eq!((querier.max_concurrent, querier.query_ingesters_within), (9, Duration::ZERO));
    assert!(querier.query_store_only && !querier.query_ingester_only);
    assert_eq!((worker.scheduler_address.as_str(), worker.frontend_address.as_str()), ("scheduler:9095", ""));
    assert_eq!(
        (worker.id.as_str(), worker.dns_lookup_duration, worker.client.connect_timeout),
        ("q1", secs(1), secs(1))
    );
    let worker = read("frontend_worker: {parallelism: 12, frontend_address: 'dns+f:9095, g'}").cluster;
    assert_eq!((worker.querier.max_concurrent, worker.worker.frontend_address.as_str()), (12, "dns+f:9095,g"));
}

#[test]
fn frontends_and_schedulers_are_set_up_by_a_file() {
    let config = read(
        "frontend:\n  scheduler_address: 'scheduler:9095'\n  scheduler_dns_lookup_period: 2s\n  max_outstanding_per_tenant: 100\n  querier_forget_delay: 3s\n  log_queries_longer_than: 5s\n  \
         tail_proxy_url: 'https://querier:3100/'\n  tail_tls_config: {tls_ca_path: /ca, tls_insecure_skip_verify: true}\n  \
         compress_responses: true\n  graceful_shutdown_timeout: 1m\n  encoding: json\n\
         query_scheduler:\n  max_outstanding_requests_per_tenant: 50\n  \
         querier_forget_delay: 4s\n  use_scheduler_ring: false\n",
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let ClusterConfig { frontend, scheduler, .. } = &config.cluster;
    assert_eq!(
        (frontend.scheduler_address.as_str(), frontend.scheduler_dns_lookup_period),
        ("scheduler:9095", secs(2))
    );
    assert_eq!((frontend.max_outstanding_per_tenant, frontend.querier_forget_delay), (100, secs(3)));
    assert_eq!(
        (frontend.tail_proxy_url.as_str(), frontend.log_queries_longer_than),
        ("https://querier:3100", Some(secs(5)))
    );
    let tls = ClientTls { ca_path: "/ca".to_owned(), insecure_skip_verify: true, ..ClientTls::default() };
    assert_eq!((&frontend.tail_tls, frontend.graceful_shutdown_timeout), (&tls, secs(60)));
    assert_eq!(scheduler.max_outstanding_requests_per_tenant, 50);
    assert_eq!((scheduler.querier_forget_delay, scheduler.use_ring), (secs(4), false));
    for (text, expected) in [("0s", None), ("-1s", Some(Duration::ZERO)), ("-1", Some(Duration::ZERO))] {
        let config = read(&format!("frontend: {{log_queries_longer_than: {text}}}"));
        assert_eq!(config.cluster.frontend.log_queries_longer_than, expected, "{text}");
    }
}

#[test]
fn schedulers_are_found_by_their_ring_where_no_address_is_named() {
    let joins = "memberlist: {join_members: [a]}\n";
    let ring = |text: &str| read(&format!("{joins}{text}")).cluster.uses_scheduler_ring();
    assert!(ring(""));
    assert!(ring("frontend: {scheduler_address: 's:1'}\nquery_scheduler: {use_scheduler_ring: true}\n"));
    assert!(!ring("frontend: {scheduler_address: 's:1'}\n") && !ring("frontend_worker: {frontend_address: 'f:1'}\n"));
    assert!(
        !ring("frontend: {downstream_url: 'http://q'}\n") && !ring("query_scheduler: {use_scheduler_ring: false}\n")
    );
    assert!(!read("").cluster.uses_scheduler_ring());
    assert!(!read("query_scheduler: {use_scheduler_ring: true}").cluster.uses_scheduler_ring());
}

#[test]
fn what_is_made_of_queries_is_set_up_by_a_file() {
    assert_eq!(read("").cluster.query_range.max_retries, 5);
    let config = read(
        "query_range:\n  align_queries_with_step: true\n  max_retries: 2\n  parallelise_shardable_queries: false\n  \
         cache_results: true\n  cache_instant_metric_results: true\n  cache_index_stats_results: false\n  \
         cache_volume_results: false\n  cache_series_results: false\n  cache_label_results: false\n\
         limits_config:\n  max_query_parallelism: 5\n  tsdb_max_query_parallelism: 6\n  \
         split_instant_metric_queries_by_interval: 2h\n  max_cache_freshness_per_query: 1m\n  max_queriers_per_tenant: 3\n  \
         max_query_capacity: 0.5\n  ingestion_rate_strategy: local\n  max_global_streams_per_user: 8\n",
    );
    let not_kept = "query_range.cache_instant_metric_results: only results of range queries are kept, these are not";
    assert_eq!(config.warnings, [not_kept]);
    let query_range = &config.cluster.query_range;
    assert!(query_range.align_queries_with_step && query_range.cache_results);
    assert!(!query_range.parallelise_shardable_queries);
    assert_eq!(query_range.max_retries, 2);
    let limits = &config.limits;
    assert_eq!((limits.max_query_parallelism, limits.tsdb_max_query_parallelism), (5, 6));
    assert_eq!(
        (limits.split_instant_metric_queries_by_interval, limits.max_cache_freshness_per_query),
        (secs(7200), secs(60))
    );
    assert_eq!((limits.max_queriers_per_tenant, limits.max_query_capacity), (3, 0.5));
    assert_eq!((limits.ingestion_rate_strategy, limits.max_global_streams_per_user), (crate::RateStrategy::Local, 8));
    let config = read("limits_config: {max_queriers_per_user: 4}");
    assert_eq!(config.limits.max_queriers_per_tenant, 4);
    let expected = "line 1: limits_config.max_queriers_per_user no longer exists; use max_queriers_per_tenant";
    assert_eq!(config.warnings, [expected]);
}

#[test]
fn the_index_gateway_is_reached_by_the_client_of_a_shipper() {
    let gateway = read("").cluster.index_gateway;
    assert_eq!((gateway.mode, gateway.server_address.as_str()), (IndexGatewayMode::Simple, ""));
    let config = read(
        "index_gateway: {mode: ring}\nstorage_config:\n  boltdb_shipper:\n    index_gateway_client:\n      \
         server_address: 'dns+old:9095'\n      grpc_client_config: {connect_timeout: 1s}\n",
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let gateway = config.cluster.index_gateway;
    assert_eq!((gateway.mode, gateway.server_address.as_str()), (IndexGatewayMode::Ring, "dns+old:9095"));
    assert_eq!(gateway.client.connect_timeout, secs(1));
    let gateway = read(
        "storage_config: {boltdb_shipper: {index_gateway_client: {server_address: 'old:1'}}, tsdb_shipper: \
         {index_gateway_client: {server_address: 'new:1'}}}",
    );
    assert_eq!(gateway.cluster.index_gateway.server_address, "new:1");
}

#[test]
fn rules_are_spread_over_rulers_that_know_each_other() {
    let joins = "memberlist: {join_members: [a]}\n";
    assert!(!read("").cluster.ruler.enable_sharding);
    assert!(read(joins).cluster.ruler.enable_sharding);
    assert!(!read(&format!("{joins}ruler: {{enable_sharding: false}}")).cluster.ruler.enable_sharding);
    let config = read(
        "ruler: {enable_sharding: true, sharding_strategy: shuffle-sharding}\nlimits_config: {ruler_tenant_shard_size: 2}\n",
    );
    assert!(config.cluster.ruler.shuffle_sharding && config.warnings.is_empty(), "{:?}", config.warnings);
    assert_eq!(config.limits.ruler.tenant_shard_size, 2);
    let config = read("ruler: {evaluation: {mode: remote, query_frontend: {address: 'f:9095'}}}\n");
    assert_eq!(config.warnings, ["ruler.evaluation.mode: rules are evaluated in this process, not remotely"]);
}
