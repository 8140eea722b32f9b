//! The inverted index of a tenant's head streams: which streams have which value of which label.

use std::collections::BTreeMap;

use narvi_types::{MatchOp, Matcher};
use roaring::RoaringBitmap;

/// Label name to value to the numbers of streams that have it.
#[derive(Debug, Default)]
pub(crate) struct HeadIndex {
    names: BTreeMap<Box<str>, BTreeMap<Box<str>, Postings>>,
}

/// Ascending stream numbers. Most values of a label with many belong to one stream.
#[derive(Debug)]
enum Postings {
    One(u32),
    Many(Vec<u32>),
}

impl Postings {
    fn ids(&self) -> &[u32] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }

    fn push(&mut self, id: u32) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, id]),
            Self::Many(ids) => ids.push(id),
        }
    }
}

impl HeadIndex {
    /// Adds a stream; its number is above all added before.
    pub(crate) fn add<'a>(&mut self, id: u32, labels: impl IntoIterator<Item = (&'a str, &'a str)>) {
        for (name, value) in labels {
            let values = match self.names.get_mut(name) {
                Some(values) => values,
                None => self.names.entry(name.into()).or_default(),
            };
            match values.get_mut(value) {
                Some(postings) => postings.push(id),
                None => drop(values.insert(value.into(), Postings::One(id))),
            }
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(|name| &**name)
    }

    /// The values of a label, ascending, with the streams that have each.
    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = (&str, &[u32])> {
        self.names.get(name).into_iter().flatten().map(|(value, postings)| (&**value, postings.ids()))
    }

    /// The streams below `count` that pass all matchers. `labels` gives one label of a stream.
    pub(crate) fn select<'a>(
        &self,
        count: u32,
        matchers: &[Matcher],
        label: impl Fn(u32, &str) -> Option<&'a str>,
    ) -> RoaringBitmap {
        // Equality first: it is cheap and leaves the fewest.
        let mut ordered: Vec<&Matcher> = matchers.iter().collect();
        ordered.sort_by_key(|m| (m.op() != MatchOp::Equal || m.matches_empty(), m.matches_empty()));
        let mut found: Option<RoaringBitmap> = None;
        for matcher in ordered {
            let values = self.names.get(matcher.name()).map_or(0, BTreeMap::len);
            found = Some(match found {
                Some(found) if found.len() <= values as u64 => {
                    found.iter().filter(|id| matcher.matches(label(*id, matcher.name()).unwrap_or(""))).collect()
                }
                found => self.narrow(count, found, matcher),
            });
            if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
                break;
            }
        }
        found.unwrap_or_else(|| all(count))
    }

    /// Applies one matcher by looking at the values of its label.
    fn narrow(&self, count: u32, found: Option<RoaringBitmap>, matcher: &Matcher) -> RoaringBitmap {
        if matcher.matches_empty() {
            let refused = self.union(matcher.name(), |value| !matcher.matches(value));
            return found.unwrap_or_else(|| all(count)) - refused;
        }
        let taken = match matcher.op() {
            MatchOp::Equal => {
                let postings = self.names.get(matcher.name()).and_then(|values| values.get(matcher.value()));
                postings.into_iter().flat_map(|p| p.ids().iter().copied()).collect()
            }
            _ => self.union(matcher.name(), |value| matcher.matches(value)),
        };
        match found {
            Some(found) => found & taken,
            None => taken,
        }
    }

    fn union(&self, name: &str, wanted: impl Fn(&str) -> bool) -> RoaringBitmap {
        let mut ids: Vec<u32> =
            self.values(name).filter(|(value, _)| wanted(value)).flat_map(|(_, ids)| ids).copied().collect();
        ids.sort_unstable();
        ids.into_iter().collect()
    }
}

fn all(count: u32) -> RoaringBitmap {
    let mut all = RoaringBitmap::new();
    all.insert_range(0..count);
    all
}
