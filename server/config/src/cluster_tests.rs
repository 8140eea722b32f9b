//! Tests of what processes need to find each other.

use crate::{ClusterConfig, Config, Flags};

fn with(target: &str, text: &str) -> Result<Config, String> {
    let flags = Flags::parse(&[format!("-target={target}")]).expect("it is right");
    Config::from_yaml(text, &flags).map_err(|error| error.to_string())
}

#[test]
fn without_a_file_there_is_one_process() {
    let cluster = Config::default().cluster;
    assert_eq!(cluster, ClusterConfig::default());
    assert!(cluster.roles.is_whole() && !cluster.is_clustered());
    assert_eq!(Config::from_yaml("", &Flags::default()).expect("it is right").cluster, cluster);
}

#[test]
fn every_target_runs_with_gossip() {
    for target in crate::TARGETS {
        let config = with(target, "memberlist: {join_members: [a]}").unwrap_or_else(|error| panic!("{error}"));
        assert!(config.cluster.is_clustered() && config.cluster.gossip.is_some(), "{target}");
    }
}

#[test]
fn roles_that_can_work_alone_need_no_gossip() {
    for target in
        ["all", "read,write", "query-frontend", "query-scheduler", "index-gateway", "compactor", "write,querier"]
    {
        let config = with(target, "").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(config.cluster.gossip, None, "{target}");
        assert!(config.warnings.is_empty(), "{target}: {:?}", config.warnings);
    }
    let config = with("write", "").expect("it is right");
    assert!(config.warnings[0].starts_with("target: no querier finds the ingester"), "{:?}", config.warnings);
    for target in ["querier", "read", "backend", "ruler"] {
        assert!(with(target, "querier: {query_store_only: true}").is_ok(), "{target}");
    }
    for (target, lacks) in [
        ("distributor", "distributor has no ingester"),
        ("ingester", "ingester has no distributor"),
        ("querier", "querier has no ingester"),
        ("read", "querier has no ingester"),
        ("backend", "ruler has no ingester"),
        ("ingester,querier", "ingester has no distributor"),
    ] {
        let error = with(target, "").expect_err(target);
        let expected = format!(
            "invalid config: target: {lacks} in this process, and no ring to find one by: set memberlist.join_members in the \
             configuration of all processes, or run them as one with -target=all"
        );
        assert_eq!(error, expected, "{target}");
        let consul = with(target, "common:\n  ring:\n    kvstore:\n      store: consul\n").expect_err(target);
        let expected = "invalid config: line 4: common.ring.kvstore.store: consul is not supported: processes of Narvi find \
                        each other by gossip; set memberlist.join_members, and leave store out or write memberlist";
        assert_eq!(consul, expected, "{target}");
    }
}
