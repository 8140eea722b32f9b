//! Pages of rings and gossip in one process of several.

use std::{sync::Arc, time::Duration};

use narvi_config::{Config, Flags, Role};
use narvi_http::Rings;
use narvi_logs::Logs;
use narvi_ring::{InMemory, Instance, ManualClock, Membership, RingName, RingSettings, RingView, State};

use crate::Server;

const JSON: &str = "Accept: application/json\r\n";

fn record(id: &str, state: State, heartbeat_ms: u64) -> Instance {
    Instance {
        id: id.to_owned(),
        address: format!("{id}:9095"),
        zone: "z<1>".to_owned(),
        state,
        tokens: vec![7, 4_000_000_000],
        registered_ms: 1_700_000_000_000,
        heartbeat_ms,
    }
}

/// A server with the roles of a target.
fn server(target: &str, hub: &InMemory, clock: &Arc<ManualClock>) -> Server {
    let config = format!("target: {target}\nmemberlist: {{join_members: [other]}}\n");
    let roles = Config::from_yaml(&config, &Flags::default()).expect("right").cluster.roles;
    assert!(Role::ALL.into_iter().any(|role| roles.contains(role)));
    let view = |name| Arc::new(RingView::new(hub, name, RingSettings::default()));
    let views = RingName::ALL.into_iter().map(view).collect();
    let rings = Rings::new(roles, Arc::new(hub.clone()), views, clock.clone());
    Server::over(Logs::default(), |settings| {
        settings.auth_enabled = false;
        settings.cluster = Some(Arc::new(rings));
    })
}

#[test]
fn rings_show_who_is_there_and_forget_who_is_asked() {
    let clock = Arc::new(ManualClock::at(1_700_000_100_000));
    let hub = InMemory::new(clock.clone(), Duration::from_secs(300));
    let server = server("distributor", &hub, &clock);
    hub.publish(RingName::Ingester, record("one", State::Active, 1_700_000_100_000)).expect("it is right");
    hub.publish(RingName::Ingester, record("a&b", State::Active, 1_700_000_000_000)).expect("it is right");
    let json = server.ask("GET", "/ring", JSON, b"").json();
    let shards = json["shards"].as_array().expect("a list");
    assert_eq!(shards.len(), 2);
    assert_eq!((&shards[0]["id"], &shards[0]["state"]), (&"a&b".into(), &"UNHEALTHY".into()));
    assert_eq!((&shards[1]["id"], &shards[1]["state"]), (&"one".into(), &"ACTIVE".into()));
    assert_eq!(shards[1]["address"], "one:9095");
    assert_eq!(shards[1]["timestamp"], "2023-11-14T22:15:00Z");
    assert_eq!(shards[1]["tokens"], serde_json::json!([7, 4_000_000_000_u32]));
    let page = server.get("", "/ring").text();
    assert!(page.contains("value=\"a&amp;b\"") && page.contains("z&lt;1&gt;"), "{page}");
    assert!(!page.contains("4000000000") && server.get("", "/ring?tokens=true").text().contains("7 4000000000"));
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(server.ask("POST", "/ring", form, b"forget=a%26b").status, 302);
    assert_eq!(server.ask("GET", "/ring", JSON, b"").json()["shards"].as_array().map(Vec::len), Some(1));
    assert_eq!(server.ask("POST", "/ring", form, b"forget=nobody").status, 302);
    let page = server.ask("GET", "/memberlist", JSON, b"").json();
    assert_eq!(page["enabled"], false, "a hub in memory is no gossip");
}

#[test]
fn a_process_shows_what_its_roles_are_in() {
    let clock = Arc::new(ManualClock::at(1_000));
    let hub = InMemory::new(clock.clone(), Duration::from_secs(300));
    let paths =
        ["/ring", "/distributor/ring", "/ruler/ring", "/compactor/ring", "/scheduler/ring", "/indexgateway/ring"];
    for (target, shown) in [
        ("distributor", &["/ring", "/distributor/ring"][..]),
        ("ingester", &["/ring"]),
        ("compactor", &["/compactor/ring"]),
        ("query-scheduler", &["/scheduler/ring"]),
        ("index-gateway", &["/indexgateway/ring"]),
        ("ruler", &["/ring", "/ruler/ring"]),
    ] {
        let server = server(target, &hub, &clock);
        for path in paths {
            let status = if shown.contains(&path) { 200 } else { 404 };
            assert_eq!(server.ask("GET", path, JSON, b"").status, status, "{path} of {target}");
        }
        assert_eq!(server.get("", "/ui/ring").status, 404);
        let services = server.get("", "/services").text();
        assert!(services.lines().any(|line| line.starts_with(&format!("{target} => "))), "{services}");
        assert!(!services.contains("query-frontend"), "{services}");
    }
}
