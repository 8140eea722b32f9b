//! Which files are merged: tiers of tables of about equal size.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    CompactionSettings,
    manifest::{FileEntry, Manifest},
    writer::Only,
};

/// Tables that can be merged: of one level, and of the same tenant, period and class if they were split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tier {
    pub(super) level: u8,
    pub(super) only: Option<Only>,
    /// In the order in which they were added.
    pub(super) tables: Vec<Arc<FileEntry>>,
}

/// A table of the index costs this many times its size while its streams are merged: labels, blocks, and the new table.
const INDEX_FACTOR: u64 = 16;
/// A frame costs this many times its size at the most: its lines, times and metadata, and as much in the output.
const FRAME_FACTOR: u64 = 4;

/// The tiers that have enough tables, lowest level first. Tables in `skip` do not count.
pub(super) fn tiers(manifest: &Manifest, settings: &CompactionSettings, skip: &BTreeSet<String>) -> Vec<Tier> {
    let mut tiers: BTreeMap<(u8, Option<Only>), Vec<Arc<FileEntry>>> = BTreeMap::new();
    for table in manifest.tables.iter().filter(|table| !skip.contains(&table.key)) {
        let only = table.tenant.clone().zip(table.period);
        let only = only.map(|(tenant, period)| Only { tenant, period, class: table.class });
        tiers.entry((table.level, only)).or_default().push(table.clone());
    }
    let enough = settings.tables_per_level.max(2);
    let tiers = tiers.into_iter().filter(|(_, tables)| tables.len() >= enough);
    tiers.map(|((level, only), tables)| Tier { level, only, tables }).collect()
}

/// Keeps of a tier what is merged at once: the oldest tables, as many as fit. None if there are not enough of those that are
/// small enough to be merged. `bytes` gives the size of a table with its packs.
pub(super) fn fit(
    tier: Tier,
    settings: &CompactionSettings,
    frame_bytes: u32,
    bytes: impl Fn(&FileEntry) -> u64,
) -> Option<Tier> {
    let most_tables = settings.memory_bytes / (u64::from(frame_bytes) * FRAME_FACTOR).max(1);
    let most_tables = usize::try_from(most_tables).unwrap_or(usize::MAX).max(2);
    let index_bytes = settings.memory_bytes / INDEX_FACTOR;
    let is_small = |table: &&Arc<FileEntry>| {
        bytes(table) <= settings.max_merge_bytes / 2 && table.bytes <= index_bytes.div_ceil(2)
    };
    let small: Vec<_> = tier.tables.iter().filter(is_small).cloned().collect();
    if small.len() < settings.tables_per_level.max(2) {
        return None;
    }
    let (mut all, mut index) = (0u64, 0u64);
    let fits = |table: &Arc<FileEntry>| {
        all = all.saturating_add(bytes(table));
        index = index.saturating_add(table.bytes);
        all <= settings.max_merge_bytes && index <= index_bytes
    };
    let tables: Vec<_> = small.into_iter().take(most_tables).take_while(fits).collect();
    (tables.len() > 1).then_some(Tier { tables, ..tier })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc};

    use narvi_types::{Tenant, TimeRange};

    use super::{fit, tiers};
    use crate::{
        CompactionSettings,
        manifest::{FileEntry, Manifest},
    };

    fn table(key: &str, level: u8, bytes: u64, only: Option<i64>) -> Arc<FileEntry> {
        let tenant = only.map(|_| Tenant::default());
        let range = TimeRange::new(0, 1);
        Arc::new(FileEntry { key: key.to_owned(), bytes, level, tenant, period: only, range, rows: 1, class: None })
    }

    fn chosen(tables: &[Arc<FileEntry>], settings: &CompactionSettings, skip: &str) -> Vec<Vec<String>> {
        let manifest = Manifest { tables: tables.to_vec(), ..Manifest::default() };
        let skip = BTreeSet::from([skip.to_owned()]);
        let fitting = tiers(&manifest, settings, &skip).into_iter();
        let fitting = fitting.filter_map(|tier| fit(tier, settings, 1 << 20, |table| table.bytes * 10));
        fitting.map(|tier| tier.tables.iter().map(|table| table.key.clone()).collect()).collect()
    }

    #[test]
    fn full_tiers_are_merged_lowest_first() {
        let settings =
            CompactionSettings { tables_per_level: 3, max_merge_bytes: 1000, ..CompactionSettings::default() };
        let (a, b, c) = (table("a", 1, 1, None), table("b", 1, 1, None), table("c", 1, 1, None));
        assert!(chosen(&[a.clone(), b.clone()], &settings, "").is_empty());
        assert!(chosen(&[a.clone(), b.clone(), c.clone()], &settings, "b").is_empty());
        let low = [table("d", 0, 1, None), table("e", 0, 1, None), table("f", 0, 1, None)];
        let both = [&[a.clone(), b.clone(), c.clone()][..], &low].concat();
        assert_eq!(chosen(&both, &settings, ""), [["d", "e", "f"], ["a", "b", "c"]]);
        let split = [a, b, table("g", 1, 1, Some(1)), table("h", 1, 1, Some(2)), table("i", 1, 1, Some(2))];
        assert!(chosen(&split, &settings, "").is_empty());
        // At 51 * 10 bytes a table stays what it is; of those that may be merged, as many as fit.
        let sizes = [("a", 51), ("b", 40), ("c", 40), ("d", 30), ("e", 5)];
        let sized: Vec<_> = sizes.iter().map(|(key, bytes)| table(key, 0, *bytes, None)).collect();
        assert_eq!(chosen(&sized, &settings, ""), [["b", "c"]]);
        let tight = CompactionSettings { memory_bytes: 1, ..settings };
        assert!(chosen(&low, &tight, "").is_empty(), "no memory for the index");
    }
}
