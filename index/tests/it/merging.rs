//! Merged tables hold what one table of everything would, less what the filter refuses.

use std::collections::BTreeSet;

use narvi_index::{BlockRef, KeepAll, MergeFilter, Table, merge, verify};
use narvi_types::TimeRange;
use proptest::prelude::*;

use crate::model::{self, Entry, build, entries, read};

#[derive(Clone, Debug)]
struct Filter {
    tenant: Option<&'static str>,
    pack: Option<&'static str>,
    range: TimeRange,
}

impl Filter {
    fn keeps(&self, entry: &Entry) -> bool {
        self.tenant(&entry.tenant)
            && self.pack(&entry.block.pack)
            && self.range.overlaps(&TimeRange::new(entry.block.min, entry.block.max))
    }
}

impl MergeFilter for Filter {
    fn tenant(&self, tenant: &str) -> bool {
        self.tenant.is_none_or(|only| only == tenant)
    }

    fn pack(&self, name: &str) -> bool {
        self.pack.is_none_or(|dropped| dropped != name)
    }

    fn block(&self, _tenant: &str, block: &BlockRef) -> bool {
        self.range.overlaps(&block.range)
    }
}

fn filter() -> impl Strategy<Value = Filter> {
    let tenant = proptest::option::of(proptest::sample::select(vec!["acme", "zeta"]));
    let pack = proptest::option::of(proptest::sample::select(vec!["pack-0", "pack-1"]));
    let range = prop_oneof![Just(TimeRange::ALL), (0..1_000i64, 0..500i64).prop_map(|(a, n)| TimeRange::new(a, a + n))];
    (tenant, pack, range).prop_map(|(tenant, pack, range)| Filter { tenant, pack, range })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn equals_one_table_of_everything(
        inputs in proptest::collection::vec(entries(60), 0..6), again: prop::sample::Index, filter in filter(),
    ) {
        // One input comes twice, so that there are duplicates.
        let mut tables: Vec<_> = inputs.iter().map(build).collect();
        if !tables.is_empty() {
            tables.push(tables[again.index(tables.len())].clone());
        }
        let tables: Vec<_> = tables.into_iter().map(|bytes| Table::open(bytes.into())).collect::<Result<_, _>>()?;
        let mut out = vec![];
        let summary = merge(&tables, &filter, &mut out)?;
        prop_assert_eq!(summary.bytes, out.len() as u64);
        let bytes = out.into();
        let total = verify(&bytes)?;
        let merged = Table::open(bytes)?;
        let expected = model::model(inputs.iter().flatten().filter(|entry| filter.keeps(entry)));
        prop_assert_eq!((summary.streams, summary.blocks, summary.rows), (total.streams, total.blocks, total.rows));
        prop_assert_eq!(summary.tenants, expected.len() as u64);
        let used: BTreeSet<_> = expected.values().flat_map(|s| s.values().flatten().map(|b| b.pack.clone())).collect();
        prop_assert_eq!(merged.packs().iter().cloned().collect::<BTreeSet<_>>(), used);
        for (tenant, _) in merged.tenants().collect::<Result<Vec<_>, _>>()? {
            let part = merged.part(tenant)?.expect("listed");
            let streams = &expected[tenant];
            for name in part.label_names(None)? {
                let values: BTreeSet<_> = streams.keys().filter_map(|labels| labels.get(name)).collect();
                prop_assert_eq!(part.label_values(name, None)?, values.into_iter().collect::<Vec<_>>());
            }
        }
        prop_assert_eq!(read(&merged), expected);
    }

    #[test]
    fn splits_make_up_the_whole(entries in entries(100), at in 0..1_000i64) {
        let table = [Table::open(build(&entries).into())?];
        struct Half(i64, bool);
        impl MergeFilter for Half {
            fn block(&self, _: &str, block: &BlockRef) -> bool {
                (block.range.min < self.0) == self.1
            }
        }
        let mut halves = vec![];
        for early in [true, false] {
            let mut out = vec![];
            merge(&table, &Half(at, early), &mut out)?;
            halves.push(Table::open(out.into())?);
        }
        let mut out = vec![];
        let summary = merge(&halves, &KeepAll, &mut out)?;
        prop_assert_eq!((summary.dropped, summary.duplicates), (0, 0));
        prop_assert_eq!(read(&Table::open(out.into())?), model::model(&entries));
    }
}

#[test]
fn duplicates_and_dropped_blocks_are_counted() {
    let block = |pack: &str, min| model::Block { min, max: min, pack: pack.into(), place: (0, 0, 1, 1), keys: vec![] };
    let labels = narvi_types::Labels::from_pairs([("a", "b")]).expect("valid");
    let entry = |pack: &str, min| Entry { tenant: "t".into(), labels: labels.clone(), block: block(pack, min) };
    let first = build(&[entry("p", 1), entry("p", 2), entry("q", 3)]);
    let second = build(&[entry("q", 4), entry("p", 2), entry("p", 1)]);
    let tables = [first, second].map(|bytes| Table::open(bytes.into()).expect("opens"));
    let filter = Filter { tenant: None, pack: Some("q"), range: TimeRange::ALL };
    let summary = merge(&tables, &filter, &mut vec![]).expect("merges");
    assert_eq!((summary.blocks, summary.dropped, summary.duplicates), (2, 2, 2));
    assert_eq!(summary.range, TimeRange::new(1, 2));
}
