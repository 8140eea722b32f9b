//! Files of clusters that people run, read for each of their processes.

use std::{fs, path::Path, time::Duration};

use narvi_config::{ClusterConfig, Config, Flags, KvStore, PageMode, TARGETS};

use crate::deployed::{Holds, holds};

fn read(name: &str, text: &str, target: &str) -> Config {
    let Holds::Configuration(text) = holds(name, text) else { panic!("{name} holds no configuration") };
    let flags = Flags::parse(&[format!("-target={target}")]).unwrap_or_else(|error| panic!("{error}"));
    Config::from_yaml(&text, &flags).unwrap_or_else(|error| panic!("{name}, {target}: {error}"))
}

/// What a file says that is not Loki's default.
struct Expected {
    join: &'static str,
    factor: usize,
    /// Frontends that queriers take their work from; schedulers by their ring if there are none.
    frontend: &'static str,
    tail: &'static str,
    scheduler_ring: bool,
    more: fn(&ClusterConfig) -> bool,
}

/// Reads a file for all targets.
fn check(name: &str, text: &str, expected: &Expected) {
    for target in TARGETS {
        let config = read(name, text, target);
        let cluster = &config.cluster;
        let gossip = cluster.gossip.as_ref().unwrap_or_else(|| panic!("{name}, {target}: no gossip"));
        assert_eq!(gossip.join_members.join(","), expected.join, "{name}");
        assert_eq!(cluster.rings.ingester.settings.replication_factor, expected.factor, "{name}");
        assert!(cluster.rings.iter().all(|ring| ring.store == KvStore::Memberlist), "{name}");
        assert_eq!(cluster.worker.frontend_address, expected.frontend, "{name}");
        assert_eq!(cluster.frontend.tail_proxy_url, expected.tail, "{name}");
        assert_eq!(cluster.uses_scheduler_ring(), expected.scheduler_ring, "{name}");
        assert!(cluster.ruler.enable_sharding && (expected.more)(cluster), "{name}: {cluster:#?}");
        assert!(cluster.is_clustered());
        // The page of what is not by default says the same, with all that was derived.
        let again = Config::from_yaml(&config.page(PageMode::Difference), &Flags::default());
        let again = again.unwrap_or_else(|error| panic!("{name}, {target}: {error}"));
        assert_eq!(again.cluster, *cluster, "{name}, {target}");
        // What is said of the cluster is used.
        for part in ["memberlist.", "lifecycler", ".ring.", "frontend", "query_range.max", "query_range.align", "grpc"]
        {
            let warned = config.warnings.iter().find(|warning| warning.contains(part) && warning.contains("no effect"));
            assert_eq!(warned, None, "{name}");
        }
    }
}

const SECS: fn(u64) -> Duration = Duration::from_secs;

/// The files of others, by name.
const DEPLOYED: [(&str, Expected); 5] = [
    (
        "cluster-2021.yaml",
        Expected {
            join: "loki-1,loki-2,loki-3",
            factor: 2,
            frontend: "",
            tail: "",
            scheduler_ring: true,
            more: |cluster| {
                let ingester = &cluster.rings.ingester;
                let gossip = cluster.gossip.as_ref();
                ingester.join_after == SECS(60)
                    && ingester.observe_period == SECS(5)
                    && ingester.final_sleep.is_zero()
                    && cluster.query_range.cache_results
                    && gossip.is_some_and(|gossip| {
                        gossip.bind_addr == ["0.0.0.0"]
                            && gossip.bind_port == 7946
                            && gossip.dead_node_reclaim_time == SECS(30)
                            && gossip.gossip_to_dead_nodes_time == SECS(15)
                            && gossip.left_ingesters_timeout == SECS(30)
                    })
            },
        },
    ),
    (
        "distributed-0.78.yaml",
        Expected {
            join: "loki-distributed-memberlist",
            factor: 1,
            frontend: "loki-distributed-query-frontend-headless:9095",
            tail: "http://loki-distributed-querier:3100",
            scheduler_ring: false,
            more: |cluster| {
                cluster.compactor_address == "http://loki-distributed-compactor:3100"
                    && cluster.ingester_client.compression == narvi_rpc::Compression::Gzip
                    && cluster.grpc.limits.max_recv_bytes == 1_048_576_000
                    && cluster.grpc.limits.max_send_bytes == 1_048_576_000
                    && cluster.query_range.align_queries_with_step
                    && cluster.query_range.cache_results
                    && cluster.frontend.log_queries_longer_than == Some(SECS(5))
            },
        },
    ),
    (
        "microservices.yaml",
        Expected {
            join: "loki-loki-distributed-memberlist",
            factor: 1,
            frontend: "loki-loki-distributed-query-frontend:9095",
            tail: "http://loki-loki-distributed-querier:3100",
            scheduler_ring: false,
            more: |cluster| cluster.query_range.max_retries == 5 && cluster.query_range.align_queries_with_step,
        },
    ),
    (
        "microservices-redis.values.yaml",
        Expected {
            join: "name-memberlist",
            factor: 1,
            frontend: "name:9095",
            tail: "",
            scheduler_ring: false,
            more: |cluster| cluster.query_range.cache_results,
        },
    ),
    (
        "simple-scalable.yaml",
        Expected {
            join: "loki-memberlist",
            factor: 2,
            frontend: "",
            tail: "",
            scheduler_ring: true,
            more: |cluster| cluster.grpc.listen() == "0.0.0.0:9095",
        },
    ),
];

#[test]
fn clusters_that_others_run_come_together() {
    let Some(folder) = std::env::var_os("NARVI_DEPLOYMENTS") else { return };
    for (name, expected) in DEPLOYED {
        let text = fs::read_to_string(Path::new(&folder).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        check(name, &text, &expected);
    }
    // Values that are laid over those of a chart: their chart names the members.
    for (name, factor) in [("microservices-minio.values.yaml", 3), ("simple-scalable.values.yaml", 2)] {
        let text = fs::read_to_string(Path::new(&folder).join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let cluster = read(name, &text, "all").cluster;
        assert_eq!((cluster.gossip, cluster.rings.ingester.settings.replication_factor), (None, factor), "{name}");
    }
}

#[test]
fn our_own_clusters_come_together() {
    let expected = Expected {
        join: "node-a,node-b:7946",
        factor: 3,
        frontend: "",
        tail: "",
        scheduler_ring: true,
        more: |cluster| cluster.rings.ingester.join_after == SECS(30),
    };
    check("memberlist-s3.yaml", include_str!("../data/memberlist-s3.yaml"), &expected);
    let expected = Expected {
        join: "loki-memberlist",
        factor: 1,
        frontend: "loki-query-frontend:9095",
        tail: "http://loki-querier:3100",
        scheduler_ring: false,
        more: |cluster| cluster.frontend.log_queries_longer_than == Some(SECS(5)),
    };
    check("distributed-old.yaml", include_str!("../data/distributed-old.yaml"), &expected);
}

#[test]
fn the_files_that_come_with_narvi_have_no_key_without_effect() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    for (name, targets) in [
        ("docker/local-config.yaml", &["all"][..]),
        ("compose/config/single.yaml", &["all"]),
        ("compose/config/simple-scalable.yaml", &["read", "write", "backend"]),
        ("compose/config/microservices.yaml", &TARGETS),
    ] {
        let text = fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        for target in targets {
            let config = read("config.yaml", &text, target);
            assert_eq!(config.cluster.is_clustered(), targets.len() > 1, "{name}, {target}");
            let without: Vec<_> = config.warnings.iter().filter(|warning| warning.contains("no effect")).collect();
            assert!(without.is_empty(), "{name}, {target}: {without:#?}");
        }
    }
}

#[test]
fn a_command_line_says_who_a_process_is() {
    let args = "-target=ingester -memberlist.join=10.0.0.1:7946 -memberlist.join=10.0.0.2:7946 -memberlist.bind-addr=10.0.0.1 \
                -memberlist.advertise-addr=10.0.0.1 -memberlist.nodename=ingester-1 -common.instance-addr=10.0.0.1 \
                -common.path-prefix=/var/loki -server.grpc-listen-address=10.0.0.1 -ring.heartbeat-timeout=10s \
                -ingester.availability-zone=a -distributor.replication-factor=2 -ingester.lifecycler.ID=one \
                -compactor.ring.instance-port=9999 -query-scheduler.ring.heartbeat-period=3s \
                -ingester.client.grpc-max-send-msg-size=8388608 -querier.dns-lookup-period=7s -memberlist.pullpush-interval=9s \
                -legacy-read-mode=false";
    let args: Vec<_> = args.split_whitespace().map(str::to_owned).collect();
    let flags = Flags::parse(&args).unwrap_or_else(|error| panic!("{error}"));
    let config = Config::from_yaml("ingester: {lifecycler: {heartbeat_period: 1s}}", &flags);
    let config = config.unwrap_or_else(|error| panic!("{error}"));
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let ClusterConfig { gossip, rings, grpc, ingester_client, worker, .. } = config.cluster;
    let gossip = gossip.unwrap_or_default();
    assert_eq!(gossip.join_members, ["10.0.0.1:7946", "10.0.0.2:7946"]);
    assert_eq!(gossip.pull_push_interval, SECS(9));
    assert_eq!((gossip.bind_addr, gossip.node_name.as_str()), (vec!["10.0.0.1".to_owned()], "ingester-1"));
    let ingester = rings.ingester;
    assert_eq!((ingester.address.as_str(), ingester.id.as_str(), ingester.zone.as_str()), ("10.0.0.1", "one", "a"));
    assert_eq!((ingester.settings.replication_factor, ingester.settings.heartbeat_timeout), (2, SECS(10)));
    assert_eq!((rings.compactor.port, rings.compactor.address.as_str()), (9999, "10.0.0.1"));
    assert_eq!((rings.scheduler.heartbeat_period, grpc.listen().as_str()), (SECS(3), "10.0.0.1:9095"));
    assert_eq!((ingester_client.max_send_bytes, worker.dns_lookup_duration), (8 << 20, SECS(7)));
}
