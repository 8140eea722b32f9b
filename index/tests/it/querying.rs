//! A table answers as the naive index does.

use std::collections::BTreeSet;

use narvi_index::{Part, RoaringBitmap, Table, verify};
use narvi_types::{Labels, TimeRange};
use proptest::prelude::*;

use crate::model::{self, Block, build, entries, matchers, named, read};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn holds_what_was_added(entries in entries(150)) {
        let bytes = build(&entries).into();
        let total = verify(&bytes)?;
        let expected = model::model(&entries);
        let streams: usize = expected.values().map(|streams| streams.len()).sum();
        let blocks = || expected.values().flat_map(|streams| streams.values().flatten());
        prop_assert_eq!(total.streams, streams as u64);
        prop_assert_eq!(total.blocks, blocks().count() as u64);
        prop_assert_eq!(total.rows, blocks().map(|b| u64::from(b.place.2)).sum::<u64>());
        let table = Table::open(bytes)?;
        prop_assert_eq!(table.tenant_count(), expected.len());
        prop_assert_eq!(read(&table), expected);
        prop_assert!(table.part("nobody")?.is_none());
    }

    #[test]
    fn the_order_of_adding_does_not_matter(mut entries in entries(60)) {
        let forward = build(&entries);
        entries.reverse();
        let backward = build(&entries);
        prop_assert_eq!(read(&Table::open(forward.into())?), read(&Table::open(backward.into())?));
    }

    #[test]
    fn selects_as_asking_every_stream_does(
        entries in entries(250), matchers in proptest::collection::vec(matchers(), 12),
    ) {
        let table = Table::open(build(&entries).into())?;
        let model = model::model(&entries);
        for (tenant, streams) in &model {
            let part = table.part(tenant)?.expect("listed");
            for matchers in &matchers {
                let found = part.select(matchers)?;
                let labels = part.series(&found).map(|s| s.map(|(_, labels)| labels));
                let labels = labels.collect::<Result<Vec<Labels>, _>>()?;
                let expected = model::select(streams, matchers);
                prop_assert_eq!(labels.iter().collect::<Vec<_>>(), expected.clone(), "{:?}", matchers);
                check_labels(&part, &found, &expected)?;
            }
        }
    }

    #[test]
    fn blocks_are_found_by_time(entries in entries(120), a in -10..1_100i64, length in 0..500i64) {
        let table = Table::open(build(&entries).into())?;
        let range = TimeRange::new(a, a + length);
        for (tenant, streams) in &model::model(&entries) {
            let part = table.part(tenant)?.expect("listed");
            let all = part.select(&[])?;
            let mut scanned = vec![];
            for found in part.blocks_of(&all, range) {
                let (id, block) = found?;
                scanned.push((id, named(&table, &part, &block)));
            }
            let mut expected = vec![];
            // Backwards, so that the cursor of one lookup never helps the next.
            for (labels, blocks) in streams.iter().rev() {
                let id = part.find(labels)?.expect("there");
                prop_assert_eq!(&part.labels(id)?, labels);
                let overlaps = |b: &&Block| TimeRange::new(b.min, b.max).overlaps(&range);
                expected.extend(blocks.iter().filter(overlaps).map(|b| (id, b.clone())));
                let count = part.blocks_in(id, range)?.count();
                prop_assert_eq!(count, blocks.iter().filter(overlaps).count());
            }
            scanned.sort();
            expected.sort();
            prop_assert_eq!(scanned, expected);
        }
    }
}

fn check_labels(part: &Part, found: &RoaringBitmap, streams: &[&Labels]) -> Result<(), TestCaseError> {
    let names: BTreeSet<_> = streams.iter().flat_map(|labels| labels.iter().map(|(name, _)| name)).collect();
    prop_assert_eq!(part.label_names(Some(found))?, names.iter().copied().collect::<Vec<_>>());
    for name in ["app", "b", "cluster", "dd", "none"] {
        let values: BTreeSet<_> = streams.iter().filter_map(|labels| labels.get(name)).collect();
        prop_assert_eq!(part.label_values(name, Some(found))?, values.iter().copied().collect::<Vec<_>>());
        if streams.len() as u64 == part.stats().streams {
            prop_assert_eq!(part.label_values(name, None)?, values.iter().copied().collect::<Vec<_>>());
            let series = streams.iter().filter(|labels| labels.get(name).is_some()).count() as u64;
            let cardinality = part.cardinality(name)?.map(|c| (c.values, c.series));
            prop_assert_eq!(cardinality, (series > 0).then_some((values.len() as u64, series)));
        }
    }
    Ok(())
}

#[test]
fn unusable_blocks_are_refused_and_leave_nothing() {
    use narvi_index::{BlockRef, IndexError, TableBuilder};
    let mut builder = TableBuilder::new();
    let pack = builder.pack("p");
    let range = TimeRange::new(1, 2);
    let good = BlockRef { pack, frame: 0, first_row: 0, rows: 1, line_bytes: 0, range, metadata_keys: 0 };
    for bad in [
        BlockRef { pack: 1, ..good },
        BlockRef { metadata_keys: 1, ..good },
        BlockRef { rows: 0, ..good },
        BlockRef { first_row: u32::MAX, ..good },
        BlockRef { range: TimeRange::EMPTY, ..good },
    ] {
        assert!(matches!(builder.add("t", &Labels::default(), bad), Err(IndexError::Block(_))), "{bad:?}");
    }
    assert!(builder.is_empty());
    let empty = Table::open(builder.finish().expect("fits").into()).expect("opens");
    assert_eq!((empty.tenant_count(), empty.packs().len()), (0, 1));
}

#[test]
fn ids_and_sets_that_do_not_exist_are_errors() {
    use narvi_index::IndexError;
    let entry = model::Entry {
        tenant: "t".into(),
        labels: Labels::default(),
        block: Block { min: 1, max: 1, pack: "p".into(), place: (0, 0, 1, 1), keys: vec![] },
    };
    let table = Table::open(build([&entry]).into()).expect("opens");
    let part = table.part("t").expect("sound").expect("there");
    assert!(matches!(part.labels(1), Err(IndexError::NoSuchSeries { id: 1, series: 1 })));
    assert!(matches!(part.blocks(u32::MAX), Err(IndexError::NoSuchSeries { .. })));
    assert!(matches!(part.key_set(1), Err(IndexError::NoSuchKeySet { set: 1, sets: 1 })));
    let ids: RoaringBitmap = [0, 5].into_iter().collect();
    let read: Vec<_> = part.series(&ids).map(|s| s.is_ok()).collect();
    assert_eq!(read, [true, false]);
}
