//! What every membership must do, asked of one in memory and of one that gossips.

use std::{sync::Arc, time::Duration};

use narvi_ring::{
    Clock, Farewell, LifecycleSettings, Lifecycler, Membership, MembershipError, RingName, RingSettings, RingView,
    State, StaticList, StaticMember, SystemClock,
};

use crate::cluster::{Cluster, Loopback, Memory, RING, active, life, record, start, until};

macro_rules! of_each {
    ($($name:ident),+ $(,)?) => {
        mod memory {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Memory::new()).await;
            })+
        }
        mod gossip {
            $(#[tokio::test]
            async fn $name() {
                super::$name(super::Loopback::default()).await;
            })+
        }
    };
}

of_each!(
    records_are_seen_by_all_and_only_in_their_ring,
    instances_come_go_and_return,
    tokens_survive_a_crash_in_their_file,
    the_dead_are_forgotten_by_hand_and_by_age,
    a_copied_tokens_file_is_sorted_out,
    broken_records_are_refused,
);

async fn records_are_seen_by_all_and_only_in_their_ring(mut cluster: impl Cluster) {
    let (a, b, c) = (cluster.join().await, cluster.join().await, cluster.join().await);
    let (one, two) = (record("one", State::Active), record("two", State::Pending));
    a.publish(RING, one.clone()).expect("it is right");
    b.publish(RING, two.clone()).expect("it is right");
    c.publish(RingName::Compactor, record("three", State::Active)).expect("it is right");
    for each in [&a, &b, &c] {
        let seen = until(&**each, "both", |members| members.len() == 2).await;
        assert_eq!(seen.by_id("one").map(|held| (**held).clone()), Some(one.clone()));
        assert_eq!(seen.by_id("two").map(|held| (**held).clone()), Some(two.clone()));
    }
    // An older heartbeat is no news.
    let mut old = one.clone();
    old.heartbeat_ms -= 1;
    old.address = "old:1".to_owned();
    a.publish(RING, old).expect("it is right");
    let mut new = one;
    new.heartbeat_ms += 1;
    new.state = State::Leaving;
    a.publish(RING, new).expect("it is right");
    for each in [&a, &b, &c] {
        let leaves =
            |members: &narvi_ring::Members| members.by_id("one").is_some_and(|one| one.state == State::Leaving);
        let seen = until(&**each, "the newer one", leaves).await;
        assert_eq!(seen.by_id("one").map(|one| one.address.as_str()), Some("one.example:9095"));
        assert!(each.healthy());
    }
}

async fn instances_come_go_and_return(mut cluster: impl Cluster) {
    let (a, b, c) = (cluster.join().await, cluster.join().await, cluster.join().await);
    let one = start(life("one"), &a).await;
    let two = start(life("two"), &b).await;
    let three = start(life("three"), &c).await;
    for each in [&a, &b, &c] {
        until(&**each, "all three", active(&["one", "three", "two"])).await;
    }
    let mut state = one.state();
    tokio::time::timeout(Duration::from_secs(60), state.wait_for(|state| *state == State::Active))
        .await
        .expect("soon")
        .expect("it lives");
    assert!(one.is_healthy() && !one.is_ready(), "it must be ACTIVE for 15 seconds");

    let view = RingView::new(&*c, RING, RingSettings::default());
    let shares: f64 = view.current().page(SystemClock.now_ms()).instances.iter().map(|row| row.ownership_percent).sum();
    assert!((shares - 100.0).abs() < 1e-6);

    one.start_leaving().await;
    until(&*b, "that it leaves", |members| members.by_id("one").is_some_and(|it| it.state == State::Leaving)).await;
    one.shutdown(Farewell::default()).await;
    let left = |members: &narvi_ring::Members| {
        members.by_id("one").is_some_and(|it| it.state == State::Left && it.tokens.is_empty())
    };
    until(&*b, "that it left", left).await;
    until(&*c, "that it left", left).await;
    assert_eq!(view.current().instances().len(), 2, "one that left is not in the ring");

    // Without leaving the ring it keeps its tokens, and comes back to them.
    let tokens = two.instance().tokens;
    two.shutdown(Farewell { unregister: Some(false), ..Farewell::default() }).await;
    until(&*c, "that it leaves", |members| members.by_id("two").is_some_and(|it| it.state == State::Leaving)).await;
    let two = start(life("two"), &b).await;
    let back = |members: &narvi_ring::Members| {
        members.by_id("two").is_some_and(|it| it.state == State::Active && it.tokens == tokens)
    };
    until(&*c, "that it is back", back).await;
    drop((two, three));
}

async fn tokens_survive_a_crash_in_their_file(mut cluster: impl Cluster) {
    let folder = tempfile::tempdir().expect("a folder");
    let with_file = || LifecycleSettings { tokens_file_path: Some(folder.path().join("tokens")), ..life("one") };
    let (a, b) = (cluster.join().await, cluster.join().await);
    let one = start(with_file(), &a).await;
    let seen = until(&*b, "the instance", active(&["one"])).await;
    let tokens = seen.by_id("one").map(|it| it.tokens.clone()).unwrap_or_default();
    drop(one);
    // A heartbeat that is still under way would bring it back.
    let last = Arc::clone(&a.watch(RING).borrow());
    until(&*b, "its last heartbeat", |members| *members == *last).await;
    assert!(b.forget(RING, "one").expect("it can be forgotten"));
    for each in [&a, &b] {
        until(&**each, "that it is forgotten", |members| members.is_empty()).await;
    }
    let moved = LifecycleSettings { address: "elsewhere:1".to_owned(), ..with_file() };
    let one = start(moved, &a).await;
    let seen = until(&*b, "its return", active(&["one"])).await;
    let held = seen.by_id("one").expect("it is there");
    assert_eq!((held.tokens.clone(), held.address.as_str()), (tokens, "elsewhere:1"));
    one.shutdown(Farewell { delete_tokens: true, ..Farewell::default() }).await;
    assert!(!folder.path().join("tokens").exists());
    std::fs::write(folder.path().join("tokens"), "junk").expect("writable");
    let refused = Lifecycler::start(with_file(), a, Arc::new(SystemClock)).await;
    assert!(refused.err().expect("it is damaged").to_string().contains("delete it to take new tokens"));
}

async fn the_dead_are_forgotten_by_hand_and_by_age(mut cluster: impl Cluster) {
    let (a, b) = (cluster.join().await, cluster.join().await);
    let mut dead = record("dead", State::Active);
    dead.heartbeat_ms -= 3_600_000;
    a.publish(RING, dead.clone()).expect("it is right");
    until(&*b, "the dead one", |members| members.by_id("dead").is_some()).await;
    assert!(b.forget(RING, "dead").expect("it can be forgotten"));
    assert!(!b.forget(RING, "dead").expect("it is gone already"));
    until(&*a, "that it is forgotten", |members| members.is_empty()).await;
    // The same record does not come back, a newer one does.
    a.publish(RING, dead.clone()).expect("it is right");
    dead.heartbeat_ms += 1;
    a.publish(RING, dead.clone()).expect("it is right");
    let back =
        |members: &narvi_ring::Members| members.by_id("dead").is_some_and(|it| it.heartbeat_ms == dead.heartbeat_ms);
    until(&*b, "its return", back).await;
    let forgets = LifecycleSettings { forget_after: Some(Duration::from_secs(60)), ..life("one") };
    let one = start(forgets, &b).await;
    until(&*a, "that only the living are left", active(&["one"])).await;
    drop(one);
}

async fn a_copied_tokens_file_is_sorted_out(mut cluster: impl Cluster) {
    let folder = tempfile::tempdir().expect("a folder");
    let with_file = |id: &str| LifecycleSettings { tokens_file_path: Some(folder.path().join(id)), ..life(id) };
    let (a, b) = (cluster.join().await, cluster.join().await);
    let one = start(with_file("one"), &a).await;
    until(&*b, "the first", active(&["one"])).await;
    std::fs::copy(folder.path().join("one"), folder.path().join("two")).expect("it is there");
    let kept = one.instance().tokens;
    let two = start(with_file("two"), &b).await;
    let apart = |members: &narvi_ring::Members| {
        let tokens = members.iter().flat_map(|it| it.tokens.clone());
        active(&["one", "two"])(members) && tokens.collect::<std::collections::BTreeSet<_>>().len() == 32
    };
    let seen = until(&*a, "tokens of their own", apart).await;
    assert_eq!(seen.by_id("one").map(|it| it.tokens.clone()), Some(kept), "the smaller id keeps them");
    drop((one, two));
}

async fn broken_records_are_refused(mut cluster: impl Cluster) {
    let a = cluster.join().await;
    let mut broken = record("one", State::Active);
    broken.tokens = vec![2, 1];
    assert!(matches!(a.publish(RING, broken), Err(MembershipError::Record(_))));
    assert!(a.watch(RING).borrow().is_empty());
}

#[tokio::test]
async fn a_fixed_list_is_the_same_everywhere() {
    let member = |n: u32| StaticMember { id: format!("i{n}"), address: format!("h{n}:9095"), zone: String::new() };
    let list = |order: &[u32]| {
        let members = order.iter().map(|n| member(*n)).collect();
        StaticList::new(&[(RING, members)], 64).expect("it is right")
    };
    let (one, other) = (list(&[1, 2, 3]), list(&[3, 1, 2]));
    assert_eq!(**one.watch(RING).borrow(), **other.watch(RING).borrow());
    assert!(one.watch(RingName::Ruler).borrow().is_empty());
    let ring = RingView::new(&one, RING, RingSettings::default()).current();
    assert_eq!(ring.healthy(SystemClock.now_ms()), 3);
    assert!(ring.read_set(SystemClock.now_ms()).is_ok());
    let refused = one.forget(RING, "i1").expect_err("it is fixed").to_string();
    assert_eq!(refused, "members of ring ingester are a fixed list: change the configuration instead");
    one.leave().await;
    assert!(one.healthy());
}
