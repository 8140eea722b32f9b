//! Several rulers over one store of rules: each group is evaluated by one of them, also when they come and go.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use narvi::{MemoryStore, Store, Tenant};
use narvi_config::{Config, Flags, RulerConfig};
use narvi_ring::{Clock as _, InMemory, Instance, Membership, RingName, RingSettings, RingView, State, SystemClock};
use narvi_ruler::{Filter, GroupView, RingShare, Ruler, RulerPlaces, decode_group};

use crate::support::{Answers, wait_for};

const GROUPS: usize = 12;

/// Rules in an object store, which the test gives.
fn config() -> RulerConfig {
    let text = "ruler: {storage: {type: s3, s3: {bucketnames: rules, endpoint: 'localhost:9'}}}\n";
    let mut config = Config::from_yaml(text, &Flags::default()).expect("right").ruler;
    config.poll_interval = Duration::from_millis(100);
    config
}

struct Cluster {
    hub: InMemory,
    objects: Arc<dyn Store>,
    answers: Answers,
}

impl Cluster {
    fn publish(&self, n: u32, state: State) {
        let instance = Instance {
            id: format!("ruler-{n}"),
            address: format!("ruler-{n}:9095"),
            zone: String::new(),
            state,
            tokens: (0..64).map(|i| (i * 2 + n) << 25 | 0x0012_3456).collect(),
            registered_ms: 0,
            heartbeat_ms: SystemClock.now_ms(),
        };
        self.hub.publish(RingName::Ruler, instance).expect("it is right");
    }

    fn ruler(&self, n: u32, folder: &std::path::Path) -> Arc<Ruler> {
        let config = config();
        let mut places = RulerPlaces::in_data(folder, &config);
        places.objects = Some(self.objects.clone());
        let settings = RingSettings { replication_factor: 1, ..RingSettings::default() };
        let ring = Arc::new(RingView::new(&self.hub, RingName::Ruler, settings));
        let share = RingShare::new(ring, Arc::new(SystemClock), format!("ruler-{n}"));
        let ruler = Ruler::sharing(&config, places, Arc::new(self.answers.clone()), Arc::new(share));
        let ruler = ruler.expect("the settings are right");
        ruler.start();
        ruler
    }
}

/// The groups that a ruler has and has evaluated, with what they are pending since.
fn evaluated(ruler: &Ruler) -> BTreeMap<String, String> {
    let since = |group: &GroupView| Some(group.rules[0].alerting.as_ref()?.alerts.first()?.active_at.clone());
    let groups = ruler.groups(&Tenant::default(), &Filter::default());
    groups.iter().filter_map(|group| Some((group.name.clone(), since(group)?))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_group_is_evaluated_by_one_ruler_and_moves_with_its_alerts() {
    let hub = InMemory::new(Arc::new(SystemClock), Duration::from_secs(300));
    let cluster = Cluster { hub, objects: Arc::new(MemoryStore::new()), answers: Answers::default() };
    cluster.answers.set("vector(1)", Ok(vec![(vec![("app", "api")], 1.0)]));
    let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
    (0..2).for_each(|n| cluster.publish(n, State::Active));
    let rulers = [cluster.ruler(0, folders[0].path()), cluster.ruler(1, folders[1].path())];
    for group in 0..GROUPS {
        let text = format!("name: g{group}\ninterval: 100ms\nrules:\n- {{alert: A, expr: vector(1)}}\n");
        let group = decode_group(&text).unwrap_or_else(|error| panic!("{error}"));
        rulers[0].set_group(&Tenant::default(), "n", group).expect("it is written");
    }
    let names = |ruler: &Ruler| -> BTreeSet<String> {
        let groups = ruler.groups(&Tenant::default(), &Filter::default());
        groups.into_iter().map(|group| group.name).collect()
    };
    let before = wait_for("all are evaluated", || {
        let all: BTreeMap<_, _> = rulers.iter().flat_map(|ruler| evaluated(ruler)).collect();
        (all.len() == GROUPS).then_some(all)
    })
    .await;
    let [first, second] = rulers.each_ref().map(|ruler| names(ruler));
    assert!(first.is_disjoint(&second), "{first:?} {second:?}");
    assert!(!first.is_empty() && !second.is_empty(), "{first:?} {second:?}");
    // Each tells of all.
    for ruler in &rulers {
        wait_for("it shows the alerts of both", || {
            let all = ruler.all_groups(&Tenant::default(), &Filter::default());
            let since = |group: &GroupView| Some(group.rules[0].alerting.as_ref()?.alerts.first()?.active_at.clone());
            let shown = all.iter().filter_map(|group| Some((group.name.clone(), since(group)?)));
            (shown.collect::<BTreeMap<_, _>>() == before).then_some(())
        })
        .await;
    }
    // One leaves: what it had goes on elsewhere as if nothing had happened.
    cluster.publish(0, State::Leaving);
    wait_for("it gave all away", || names(&rulers[0]).is_empty().then_some(())).await;
    let after = wait_for("the other has all", || {
        let all = evaluated(&rulers[1]);
        (all.len() == GROUPS).then_some(all)
    })
    .await;
    rulers[0].stop().await;
    assert_eq!(after, before, "alerts are pending since the same time");
    // And comes back.
    cluster.publish(0, State::Active);
    let again = cluster.ruler(0, folders[0].path());
    wait_for("it has its own again", || (names(&again) == first && names(&rulers[1]) == second).then_some(())).await;
    let after = wait_for("all are evaluated", || {
        let all: BTreeMap<_, _> = [&again, &rulers[1]].into_iter().flat_map(|ruler| evaluated(ruler)).collect();
        (all.len() == GROUPS).then_some(all)
    })
    .await;
    assert_eq!(after, before);
    rulers[1].store().delete_namespace(&Tenant::default(), "n").expect("it goes");
    wait_for("the rules are gone, and the states with them", || {
        let states = cluster.objects.list("rule-states").expect("listed");
        (states.is_empty() && names(&again).is_empty() && names(&rulers[1]).is_empty()).then_some(())
    })
    .await;
    again.stop().await;
    rulers[1].stop().await;
}
