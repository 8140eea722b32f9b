//! Which files are merged: tiers of tables of about equal size, and what is left of replicas.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{
    CompactionSettings,
    manifest::{FileEntry, Manifest},
    writer::Only,
};

/// Tables that can be merged: of one level, and of the same tenant, period and class if they were split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tier {
    /// The highest, if there are several.
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
        tiers.entry((table.level, only(table))).or_default().push(table.clone());
    }
    let enough = settings.tables_per_level.max(2);
    let tiers = tiers.into_iter().filter(|(_, tables)| tables.len() >= enough);
    tiers.map(|((level, only), tables)| Tier { level, only, tables }).collect()
}

/// What a table was split off for.
fn only(table: &FileEntry) -> Option<Only> {
    let (tenant, period) = table.tenant.clone().zip(table.period)?;
    Some(Only { tenant, period, class: table.class })
}

/// Tables that overlap in time and are too few for a tier, and since when they are as they are. A merge takes what is there: a
/// replica that is flushed after it lies in another table, which finds too few of its level once its period is over.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    known: BTreeMap<Option<Only>, Leftover>,
}

#[derive(Debug)]
struct Leftover {
    tier: Tier,
    since: Instant,
    /// They are too large to be merged.
    refused: bool,
}

impl Leftovers {
    /// Those that nothing came to for a while.
    pub(super) fn quiet(&mut self, manifest: &Manifest, skip: &BTreeSet<String>, quiet: Duration) -> Vec<Tier> {
        if quiet == Duration::MAX {
            return Vec::new();
        }
        let (mut before, now) = (std::mem::take(&mut self.known), Instant::now());
        for tier in overlapping(manifest, skip) {
            let known = before.remove(&tier.only).filter(|known| known.tier == tier);
            let only = tier.only.clone();
            self.known.insert(only, known.unwrap_or(Leftover { tier, since: now, refused: false }));
        }
        let old = self.known.values().filter(|known| !known.refused && now.duration_since(known.since) >= quiet);
        old.map(|known| known.tier.clone()).collect()
    }

    /// Leaves a tier alone until it changes.
    pub(super) fn refuse(&mut self, tier: &Tier) {
        if let Some(known) = self.known.get_mut(&tier.only).filter(|known| known.tier == *tier) {
            known.refused = true;
        }
    }
}

/// What tables were split off for.
pub(super) fn split_off(manifest: &Manifest) -> BTreeSet<Only> {
    manifest.tables.iter().filter_map(|table| only(table)).collect()
}

/// Tables of all levels that overlap others of the same tenant, period and class.
fn overlapping(manifest: &Manifest, skip: &BTreeSet<String>) -> Vec<Tier> {
    let mut groups: BTreeMap<Option<Only>, Vec<Arc<FileEntry>>> = BTreeMap::new();
    for table in manifest.tables.iter().filter(|table| !skip.contains(&table.key)) {
        groups.entry(only(table)).or_default().push(table.clone());
    }
    let tiers = groups.into_iter().filter_map(|(only, mut all)| {
        all.sort_by_key(|table| table.range.min);
        let mut ends = all.iter().scan(i64::MIN, |end, table| Some(std::mem::replace(end, table.range.max.max(*end))));
        let mut tables = Vec::new();
        for (at, table) in all.iter().enumerate() {
            let after = ends.next().is_some_and(|end| at > 0 && end >= table.range.min);
            if after || all.get(at + 1).is_some_and(|next| next.range.min <= table.range.max) {
                tables.push(table.clone());
            }
        }
        let level = tables.iter().map(|table| table.level).max()?;
        Some(Tier { level, only, tables })
    });
    tiers.filter(|tier| tier.tables.len() > 1).collect()
}

/// Keeps of a tier what is merged at once: the oldest tables, as many as fit. None if there are not enough of those that are
/// small enough to be merged. `bytes` gives the size of a table with its packs.
pub(super) fn fit(
    tier: Tier,
    enough: usize,
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
    if small.len() < enough.max(2) {
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
    use std::{collections::BTreeSet, sync::Arc, time::Duration};

    use narvi_types::{Tenant, TimeRange};

    use super::{Leftovers, fit, tiers};
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
        let enough = settings.tables_per_level;
        let fitting = fitting.filter_map(|tier| fit(tier, enough, settings, 1 << 20, |table| table.bytes * 10));
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

    #[test]
    fn what_overlaps_and_gets_no_more_is_left_over() {
        let at = |key: &str, level, only, range| Arc::new(FileEntry { range, ..(*table(key, level, 1, only)).clone() });
        let (early, late) = (TimeRange::new(0, 5), TimeRange::new(6, 9));
        let mut tables = vec![
            at("a", 1, Some(1), early),
            at("b", 3, Some(1), early),
            at("c", 0, Some(1), late),
            at("d", 1, Some(2), early),
            at("e", 1, None, early),
        ];
        let mut left = Leftovers::default();
        let mut quiet = |tables: &[Arc<FileEntry>], quiet| {
            let manifest = Manifest { tables: tables.to_vec(), ..Manifest::default() };
            let tiers = left.quiet(&manifest, &BTreeSet::from(["skipped".to_owned()]), quiet);
            let keys = |tier: &super::Tier| tier.tables.iter().map(|table| table.key.clone()).collect::<Vec<_>>();
            tiers.iter().map(|tier| (tier.level, keys(tier))).collect::<Vec<_>>()
        };
        let hour = Duration::from_secs(3600);
        assert!(quiet(&tables, hour).is_empty());
        let expected = [(3, vec!["a".to_owned(), "b".to_owned()])];
        assert_eq!(quiet(&tables, Duration::ZERO), expected);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(quiet(&tables, Duration::from_millis(1)), expected);
        assert!(quiet(&tables, Duration::MAX).is_empty());
        assert_eq!(quiet(&tables, Duration::ZERO), expected);
        std::thread::sleep(Duration::from_millis(2));
        tables.push(at("f", 0, Some(1), early));
        tables.push(at("skipped", 0, None, early));
        assert!(quiet(&tables, Duration::from_millis(1)).is_empty(), "something came to it");
        let manifest = Manifest { tables, ..Manifest::default() };
        let tiers = left.quiet(&manifest, &BTreeSet::from(["skipped".to_owned()]), Duration::ZERO);
        assert_eq!(tiers.len(), 1);
        left.refuse(&tiers[0]);
        assert!(left.quiet(&manifest, &BTreeSet::from(["skipped".to_owned()]), Duration::ZERO).is_empty());
        let tiers = left.quiet(&manifest, &BTreeSet::new(), Duration::ZERO);
        assert!(tiers.len() == 1 && tiers[0].only.is_none(), "another one came to those of all tenants");
    }
}
