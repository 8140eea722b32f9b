//! The patterns of all tenants.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use narvi_types::{Entry, Labels, Selector, Tenant};
use parking_lot::{Mutex, RwLock};

use crate::drain::Drain;

/// What patterns may cost. Plain data.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct PatternLimits {
    /// Tenants whose patterns are kept; lines of others are not looked at.
    pub tenants: usize,
    /// Patterns kept per tenant; the one that was not seen for the longest time makes room.
    pub patterns_per_tenant: usize,
    /// Samples kept per pattern, of ten seconds each.
    pub samples_per_pattern: usize,
    /// The most patterns in an answer.
    pub patterns_per_answer: usize,
}

impl Default for PatternLimits {
    /// At most some 9 KiB per pattern, 2,000 patterns per tenant, three hours.
    fn default() -> Self {
        Self { tenants: 64, patterns_per_tenant: 2000, samples_per_pattern: 1080, patterns_per_answer: 300 }
    }
}

/// A pattern with its counts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FoundPattern {
    /// Its text, `<_>` for what varies.
    pub pattern: String,
    /// The level of its lines.
    pub level: String,
    /// Seconds since the epoch, and how many lines; ascending.
    pub samples: Vec<(i64, u64)>,
}

/// Patterns by tenant, in memory.
#[derive(Debug, Default)]
pub struct PatternStore {
    limits: PatternLimits,
    tenants: RwLock<HashMap<Tenant, Arc<Mutex<OfTenant>>>>,
}

#[derive(Debug, Default)]
struct OfTenant {
    /// By stream, then by level.
    streams: HashMap<Labels, BTreeMap<Box<str>, Drain>>,
    patterns: usize,
    /// Counts lines; tells which pattern was used last.
    clock: u64,
}

impl PatternStore {
    /// Keeps nothing yet.
    pub fn new(limits: PatternLimits) -> Self {
        Self { limits, tenants: RwLock::default() }
    }

    /// Learns from lines of a stream. Lines that are no UTF-8 are left out.
    pub fn learn(&self, tenant: &Tenant, labels: &Labels, entries: &[Entry]) {
        let Some(of_tenant) = self.of(tenant) else { return };
        let mut of_tenant = of_tenant.lock();
        for entry in entries {
            let Ok(line) = std::str::from_utf8(&entry.line) else { continue };
            let level = entry.metadata.get("detected_level").or_else(|| labels.get("level")).unwrap_or("unknown");
            of_tenant.learn(labels, level, line, entry.timestamp.as_ns(), &self.limits);
        }
    }

    fn of(&self, tenant: &Tenant) -> Option<Arc<Mutex<OfTenant>>> {
        if let Some(found) = self.tenants.read().get(tenant) {
            return Some(found.clone());
        }
        let mut tenants = self.tenants.write();
        if tenants.len() >= self.limits.tenants && !tenants.contains_key(tenant) {
            return None;
        }
        Some(tenants.entry(tenant.clone()).or_default().clone())
    }

    /// The patterns of the selected streams that were seen in a range, the most frequent first. Samples are added up by
    /// steps of whole seconds, at least ten.
    pub fn find(
        &self,
        tenant: &Tenant,
        selector: &Selector,
        start_ns: i64,
        end_ns: i64,
        step_secs: i64,
    ) -> Vec<FoundPattern> {
        let Some(of_tenant) = self.tenants.read().get(tenant).cloned() else { return Vec::new() };
        let of_tenant = of_tenant.lock();
        let mut found: BTreeMap<(String, &str), BTreeMap<i64, u64>> = BTreeMap::new();
        for (_, levels) in of_tenant.streams.iter().filter(|(labels, _)| selector.matches(labels)) {
            for (level, drain) in levels {
                for cluster in drain.clusters() {
                    let mut samples = BTreeMap::new();
                    cluster.samples.collect(start_ns, end_ns, step_secs, &mut samples);
                    if samples.is_empty() {
                        continue;
                    }
                    let sums = found.entry((cluster.pattern(), level)).or_default();
                    samples.into_iter().for_each(|(at, count)| *sums.entry(at).or_default() += count);
                }
            }
        }
        let mut found: Vec<FoundPattern> = found
            .into_iter()
            .map(|((pattern, level), samples)| FoundPattern {
                pattern,
                level: level.to_owned(),
                samples: samples.into_iter().collect(),
            })
            .collect();
        found.sort_by_key(|found| std::cmp::Reverse(found.samples.iter().map(|(_, count)| *count).sum::<u64>()));
        found.truncate(self.limits.patterns_per_answer);
        found
    }
}

impl OfTenant {
    fn learn(&mut self, labels: &Labels, level: &str, line: &str, ts: i64, limits: &PatternLimits) {
        if !self.streams.contains_key(labels) {
            self.streams.insert(labels.clone(), BTreeMap::new());
        }
        let Some(levels) = self.streams.get_mut(labels) else { return };
        if !levels.contains_key(level) {
            levels.insert(level.into(), Drain::default());
        }
        let Some(drain) = levels.get_mut(level) else { return };
        let before = drain.len();
        self.clock += 1;
        let cluster = drain.learn(line);
        cluster.used = self.clock;
        cluster.samples.add(ts, limits.samples_per_pattern);
        self.patterns += drain.len() - before;
        while self.patterns > limits.patterns_per_tenant.max(1) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let drains = self.streams.iter().flat_map(|(labels, levels)| {
            levels.iter().filter_map(move |(level, drain)| drain.oldest().map(|(id, used)| (used, labels, level, id)))
        });
        let Some((_, labels, level, id)) = drains.min_by_key(|(used, ..)| *used) else {
            self.patterns = 0;
            return;
        };
        let (labels, level) = (labels.clone(), level.clone());
        let Some(levels) = self.streams.get_mut(&labels) else { return };
        if let Some(drain) = levels.get_mut(&level) {
            drain.forget(id);
            self.patterns -= 1;
            if drain.len() == 0 {
                levels.remove(&level);
            }
        }
        if levels.is_empty() {
            self.streams.remove(&labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use narvi_types::{Entry, Labels, MatchOp, Matcher, Metadata, Selector, Tenant, Timestamp};

    use super::{PatternLimits, PatternStore};

    fn labels(app: &str) -> Labels {
        Labels::from_pairs([("app", app)]).expect("valid")
    }

    fn entry(secs: i64, level: &str, line: &str) -> Entry {
        let mut entry = Entry::new(Timestamp::from_secs(secs), line.as_bytes().to_vec());
        entry.metadata = Metadata::from_pairs([("detected_level", level)]).expect("valid");
        entry
    }

    fn selector(app: &str) -> Selector {
        Selector::new(vec![Matcher::new("app", MatchOp::Regex, app).expect("valid")])
    }

    const ALL: (i64, i64) = (0, i64::MAX);

    #[test]
    fn patterns_are_counted_per_level_and_step() {
        let store = PatternStore::default();
        let tenant = Tenant::default();
        let lines: Vec<Entry> = (0..6).map(|n| entry(n * 20, "info", &format!("took {n}ms"))).collect();
        store.learn(&tenant, &labels("a"), &lines);
        store.learn(&tenant, &labels("b"), &[entry(5, "info", "took 9ms"), entry(5, "error", "took 9ms")]);
        let found = store.find(&tenant, &selector("a|b"), ALL.0, ALL.1, 60);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].pattern.as_str(), found[0].level.as_str()), ("took <_>", "info"));
        assert_eq!(found[0].samples, [(0, 4), (60, 3)]);
        assert_eq!(found[1].samples, [(0, 1)]);
        assert_eq!(store.find(&tenant, &selector("a"), 60_000_000_000, 70_000_000_000, 10)[0].samples, [(60, 1)]);
        let other = Tenant::new("other").expect("valid");
        assert!(store.find(&other, &selector(".+"), ALL.0, ALL.1, 60).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let limits = PatternLimits { tenants: 1, patterns_per_tenant: 10, ..PatternLimits::default() };
        let store = PatternStore::new(limits);
        let tenant = Tenant::default();
        for n in 0..100 {
            let line = format!("{} {}", "a".repeat(n + 1), "b ".repeat(n % 9));
            store.learn(&tenant, &labels(&format!("app{}", n % 20)), &[entry(1, "info", &line)]);
        }
        let found = store.find(&tenant, &selector(".+"), ALL.0, ALL.1, 60);
        assert!(found.len() <= 10, "{}", found.len());
        // The newest is there.
        assert!(found.iter().any(|found| found.pattern.starts_with(&"a".repeat(100))));
        let other = Tenant::new("other").expect("valid");
        store.learn(&other, &labels("a"), &[entry(1, "info", "x")]);
        assert!(store.find(&other, &selector("a"), ALL.0, ALL.1, 60).is_empty());
    }
}
