//! Labels: the sorted, unique name and value pairs that identify a stream or a series.

use std::{cmp::Ordering, fmt};

use crate::{PairError, Pairs, go_quote};

/// The labels of a stream or series: sorted by name, names unique and not empty, values not empty (an empty value means
/// "no such label", as in Prometheus). Cheap to clone, compare and hash.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Labels(Pairs);

impl Labels {
    /// Sorts and packs the pairs; pairs with an empty value are left out.
    ///
    /// # Errors
    /// An empty, repeated or too long name, a too long value.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PairError> {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_unstable();
        for (at, (name, _)) in pairs.iter().enumerate() {
            if name.is_empty() {
                return Err(PairError::EmptyName);
            }
            if at > 0 && pairs[at - 1].0 == *name {
                return Err(PairError::Duplicate((*name).to_owned()));
            }
        }
        Ok(Self(Pairs::new(pairs.into_iter().filter(|(_, v)| !v.is_empty()))?))
    }

    /// Sorts and packs the pairs of a result series. Unlike [`Labels::from_pairs`] it keeps empty values: a parser may find
    /// one, and Loki's answers show it. Such labels never name a stream.
    ///
    /// # Errors
    /// As for [`Labels::from_pairs`].
    pub fn from_result_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PairError> {
        let mut pairs: Vec<_> = pairs.into_iter().collect();
        pairs.sort_unstable_by_key(|(name, _)| *name);
        for (at, (name, _)) in pairs.iter().enumerate() {
            if at > 0 && pairs[at - 1].0 == *name {
                return Err(PairError::Duplicate((*name).to_owned()));
            }
        }
        Ok(Self(Pairs::new(pairs)?))
    }

    /// The pairs, sorted by name.
    pub fn iter(&self) -> crate::PairsIter<'_> {
        self.0.iter()
    }

    /// The value of that label.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are. Walks them.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The packed form; see [`Pairs::packed`].
    pub fn packed(&self) -> &str {
        self.0.packed()
    }

    /// A 64-bit hash (xxh3 of the packed form). Stable: it may be stored.
    pub fn hash64(&self) -> u64 {
        xxhash_rust::xxh3::xxh3_64(self.0.packed().as_bytes())
    }
}

impl Ord for Labels {
    /// By the pairs in turn: name, then value.
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Labels {
    /// As Loki writes them: `{a="1", b="2"}`, values quoted as in Go.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (name, value)) in self.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            f.write_str(name)?;
            f.write_str("=")?;
            go_quote(f, value)?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = crate::PairsIter<'a>;
    fn into_iter(self) -> crate::PairsIter<'a> {
        self.iter()
    }
}

/// Collects labels one by one; a later value of a name replaces an earlier one, an empty value removes the label.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder(std::collections::BTreeMap<String, String>);

impl LabelsBuilder {
    /// Starts from nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts from labels.
    pub fn from_labels(labels: &Labels) -> Self {
        Self(labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) -> &mut Self {
        let (name, value) = (name.into(), value.into());
        if value.is_empty() {
            self.0.remove(&name);
        } else {
            self.0.insert(name, value);
        }
        self
    }

    /// Removes a label.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.0.remove(name);
        self
    }

    /// The value set so far.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Packs what was collected.
    ///
    /// # Errors
    /// An empty or too long name, a too long value.
    pub fn build(&self) -> Result<Labels, PairError> {
        Labels::from_pairs(self.0.iter().map(|(n, v)| (n.as_str(), v.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::{Labels, LabelsBuilder};
    use crate::PairError;

    #[test]
    fn are_sorted_unique_and_without_empty_values() {
        let labels = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", "")]).expect("valid");
        assert_eq!(labels.to_string(), r#"{a="1", b="2"}"#);
        assert_eq!(Labels::from_pairs([("a", "1"), ("a", "2")]), Err(PairError::Duplicate("a".into())));
        assert_eq!(Labels::from_pairs([("", "1")]), Err(PairError::EmptyName));
        assert_eq!(Labels::default().to_string(), "{}");
    }

    #[test]
    fn order_is_by_pairs_and_not_by_packed_text() {
        let short = Labels::from_pairs([("b", "1")]).expect("valid");
        let long = Labels::from_pairs([("aaaa", "1")]).expect("valid");
        assert!(long < short);
    }

    #[test]
    fn builder_replaces_and_removes() {
        let mut builder = LabelsBuilder::from_labels(&Labels::from_pairs([("a", "1"), ("b", "2")]).expect("valid"));
        builder.set("a", "3").set("b", "").set("c", "4").remove("d");
        assert_eq!(builder.build().expect("valid").to_string(), r#"{a="3", c="4"}"#);
    }
}
