//! Look-ups of labels, series and statistics.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Duration};

use narvi::{Selector, Tenant, logql::Budget};
use narvi_logs::Read;
use narvi_querier::QuerierSettings;

use crate::cluster::{Cluster, DOWN, all, app, labels, streams};

#[test]
fn labels_of_files_and_memory_are_found_whatever_is_flushed() {
    let cluster = Cluster::new(QuerierSettings { query_ingesters_within: Duration::ZERO, ..Default::default() });
    let budget = Budget::unlimited();
    let mut known = BTreeSet::new();
    for round in 0u8..6 {
        cluster.push(streams(&[(round, 1, 1), (round, 2, 2)])).expect("two of three");
        known.insert(round.to_string());
        cluster.fail(&[usize::from(round) % 3]);
        cluster.fakes.0[usize::from(round + 1) % 3].flushes.store(round % 2 == 0, Ordering::SeqCst);
        let view = cluster.querier.view(&Tenant::default());
        assert_eq!(view.label_names(&app(), all(), &budget).expect("answers"), ["app", "n"]);
        // The second look-up of the same streams goes another way than the first.
        for _ in 0..3 {
            let values = view.label_values("n", &app(), all(), &budget).expect("answers");
            assert_eq!(values.into_iter().collect::<BTreeSet<_>>(), known);
        }
        let fresh = cluster.querier.view(&Tenant::default());
        let values = fresh.label_values("n", &[], all(), &budget).expect("answers");
        assert_eq!(values.into_iter().collect::<BTreeSet<_>>(), known);
        let series = view.series(&[Selector::new(app())], all(), &budget).expect("answers");
        let wanted: BTreeSet<_> = (0..=round).map(labels).collect();
        assert_eq!(series.into_iter().collect::<BTreeSet<_>>(), wanted);
        let stats = view.stream_stats(&Selector::new(app()), all(), &budget).expect("answers");
        assert_eq!(stats.streams, u64::from(round) + 1);
        assert!(stats.entries >= 2 * (u64::from(round) + 1), "{stats:?}");
    }
    cluster.fail(&[0, 1]);
    let view = cluster.querier.view(&Tenant::default());
    assert_eq!(view.label_names(&[], all(), &budget).expect_err("too few").to_string(), DOWN);
    assert_eq!(view.series(&[], all(), &budget).expect_err("too few").to_string(), DOWN);
}
