//! A reader that asks gateways against one with tables of its own, whatever was pushed, flushed, merged and deleted between.

use std::sync::Arc;

use narvi::{ReaderIndex, Tenant, TimeRange};
use narvi_index_gateway::{GatewaySettings, RingGateways};
use narvi_ring::{ManualClock, RingName, RingSettings, RingView, StaticList, StaticMember};
use proptest::prelude::*;

use crate::gateway::{Running, gateways, push, reader, runtime, says, store, writer};

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<(u8, i64, u8)>),
    Flush,
    Compact,
    Delete(u8, TimeRange, bool),
    Sweep,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let rows = prop::collection::vec((0u8..5, 0i64..50, 0u8..4), 1..10);
    let range = (0i64..50, 0i64..30).prop_map(|(min, len)| TimeRange::new(min, min + len));
    let step = prop_oneof![
        4 => rows.prop_map(Step::Push),
        4 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => (0u8..5, range, any::<bool>()).prop_map(|(stream, range, filter)| Step::Delete(stream, range, filter)),
        1 => Just(Step::Sweep),
    ];
    prop::collection::vec(step, 1..16)
}

fn run(step: &Step, db: &narvi::Db) {
    match step {
        Step::Push(rows) => push(db, rows),
        Step::Flush => db.flush().expect("it flushes"),
        Step::Compact => drop(db.compact().expect("it compacts")),
        Step::Delete(stream, range, filter) => {
            let query = format!("{{n=\"{stream}\"}}{}", if *filter { " |= \"line 1\"" } else { "" });
            db.create_delete(&Tenant::default(), &query, *range).expect("it is kept");
        }
        Step::Sweep => drop(db.apply_retention().expect("it sweeps")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_reader_without_tables_answers_as_one_with_them(
        before in steps(),
        between in steps(),
        from in -5i64..55,
        len in 0i64..60,
        tables in 1usize..4,
    ) {
        let (runtime, store) = (runtime(), store());
        let db = writer(&store);
        before.iter().for_each(|step| run(step, &db));
        // They know the manifest of this moment, and are asked about tables of later ones.
        let running = [Running::start(&runtime, &store), Running::start(&runtime, &store)];
        between.iter().for_each(|step| run(step, &db));
        let addresses: Vec<_> = running.iter().map(|one| one.address.clone()).collect();
        let others = gateways(&runtime, &addresses, GatewaySettings { tables, ..GatewaySettings::default() });
        let own = reader(&store, ReaderIndex::default());
        let asking = reader(&store, ReaderIndex { others: Some(others), ..ReaderIndex::default() });
        for range in [TimeRange::new(-100, 100), TimeRange::new(from, from + len)] {
            let (mine, theirs) = (own.snapshot(&Tenant::default()), asking.snapshot(&Tenant::default()));
            let mine = says(&mine.expect("a view"), &own, range).expect("an answer");
            let theirs = says(&theirs.expect("a view"), &asking, range).expect("an answer");
            prop_assert_eq!(mine, theirs);
        }
    }
}

#[test]
fn gateways_of_a_ring_are_those_of_the_tenants_place() {
    let member =
        |n: u32| StaticMember { id: format!("gateway-{n}"), address: format!("10.0.0.{n}:9095"), zone: String::new() };
    let clock = Arc::new(ManualClock::at(1000));
    let list = StaticList::new(&[(RingName::IndexGateway, (1..=5).map(member).collect())], 64).expect("valid");
    let settings = RingSettings { replication_factor: 2, ..RingSettings::default() };
    let view = Arc::new(RingView::new(&list, RingName::IndexGateway, settings));
    let of = |tenant: &str, by: &dyn narvi_index_gateway::GatewayAddresses| by.of(&Tenant::new(tenant).expect("valid"));
    let by_tenant = RingGateways::of_tenants(view.clone(), clock.clone());
    let any = RingGateways::any(view, clock);
    assert_eq!(of("a", &any).len(), 5);
    assert_eq!(of("a", &by_tenant).len(), 2);
    assert_eq!(of("a", &by_tenant), of("a", &by_tenant));
    let tenants: std::collections::BTreeSet<_> = (0..50).map(|n| of(&format!("t{n}"), &by_tenant)).collect();
    assert!(tenants.len() > 3, "{tenants:?}");
}
