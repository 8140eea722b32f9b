//! Name and value pairs in one shared piece of text: the representation under labels and structured metadata.

use std::{fmt, sync::Arc};

/// Longest name that can be stored, in bytes.
pub const MAX_NAME_BYTES: usize = (1 << 14) - 1;
/// Longest value that can be stored, in bytes.
pub const MAX_VALUE_BYTES: usize = (1 << 21) - 1;

const HEAD: usize = 5;

/// A list of (name, value) pairs in one allocation (none when empty); cheap to clone, compare and hash.
///
/// ```text
/// per pair:  name length, 14 bits in 2 characters | value length, 21 bits in 3 characters | name | value
/// ```
/// Each length character carries seven bits, the low ones first, so the whole stays valid UTF-8 and needs no re-check.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Pairs(Option<Arc<str>>);

/// Why a pair was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PairError {
    /// The name is longer than [`MAX_NAME_BYTES`].
    #[error("label name of {0} bytes is longer than the {MAX_NAME_BYTES} that can be stored")]
    NameTooLong(usize),
    /// The value is longer than [`MAX_VALUE_BYTES`].
    #[error("value of label {name} has {bytes} bytes, more than the {MAX_VALUE_BYTES} that can be stored")]
    ValueTooLong {
        /// Name of the label.
        name: String,
        /// Length of its value.
        bytes: usize,
    },
    /// The same name twice where names are unique.
    #[error("duplicate label name {0}")]
    Duplicate(String),
    /// An empty name.
    #[error("empty label name")]
    EmptyName,
}

impl Pairs {
    /// Packs the pairs in the order given.
    ///
    /// # Errors
    /// A name or value that is too long.
    pub fn new<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PairError> {
        let mut text = String::new();
        for (name, value) in pairs {
            push_pair(&mut text, name, value)?;
        }
        Ok(Self((!text.is_empty()).then(|| text.into())))
    }

    /// The pairs in order.
    pub fn iter(&self) -> PairsIter<'_> {
        PairsIter { rest: self.0.as_deref().unwrap_or("") }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How many pairs there are. Walks them.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// The value of the first pair of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
    }

    /// Bytes of all names and values.
    pub fn text_bytes(&self) -> usize {
        self.iter().map(|(n, v)| n.len() + v.len()).sum()
    }

    /// The packed form, for hashing and as a map key. Equal pairs in equal order have equal text.
    pub fn packed(&self) -> &str {
        self.0.as_deref().unwrap_or("")
    }
}

fn push_pair(text: &mut String, name: &str, value: &str) -> Result<(), PairError> {
    if name.len() > MAX_NAME_BYTES {
        return Err(PairError::NameTooLong(name.len()));
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(PairError::ValueTooLong { name: name.into(), bytes: value.len() });
    }
    let seven = |n: usize, shift: usize| char::from(((n >> shift) & 0x7f) as u8);
    text.reserve(HEAD + name.len() + value.len());
    text.push(seven(name.len(), 0));
    text.push(seven(name.len(), 7));
    text.push(seven(value.len(), 0));
    text.push(seven(value.len(), 7));
    text.push(seven(value.len(), 14));
    text.push_str(name);
    text.push_str(value);
    Ok(())
}

impl fmt::Debug for Pairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for &'a Pairs {
    type Item = (&'a str, &'a str);
    type IntoIter = PairsIter<'a>;
    fn into_iter(self) -> PairsIter<'a> {
        self.iter()
    }
}

/// Iterates over the (name, value) pairs of a [`Pairs`].
#[derive(Clone, Debug)]
pub struct PairsIter<'a> {
    rest: &'a str,
}

impl<'a> Iterator for PairsIter<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let &[n0, n1, v0, v1, v2] = self.rest.as_bytes().first_chunk::<HEAD>()?;
        let name_end = HEAD + (usize::from(n0) | usize::from(n1) << 7);
        let value_end = name_end + (usize::from(v0) | usize::from(v1) << 7 | usize::from(v2) << 14);
        let (name, value) = (&self.rest[HEAD..name_end], &self.rest[name_end..value_end]);
        self.rest = &self.rest[value_end..];
        Some((name, value))
    }
}

/// Structured metadata of one entry: pairs in the order they came, names not necessarily unique.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata(Pairs);

impl Metadata {
    /// Packs the pairs in the order given.
    ///
    /// # Errors
    /// A name or value that is too long.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PairError> {
        Pairs::new(pairs).map(Self)
    }
}

impl std::ops::Deref for Metadata {
    type Target = Pairs;
    fn deref(&self) -> &Pairs {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_VALUE_BYTES, PairError, Pairs};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_goes_in_comes_out(pairs in proptest::collection::vec((".{0,200}", ".{0,300}"), 0..20)) {
            let packed = Pairs::new(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())))?;
            let back: Vec<_> = packed.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
            prop_assert_eq!(back, pairs);
        }
    }

    #[test]
    fn long_values_are_kept_or_refused() {
        let long = "x".repeat(MAX_VALUE_BYTES);
        let pairs = Pairs::new([("n", long.as_str())]).expect("fits");
        assert_eq!(pairs.get("n").map(str::len), Some(MAX_VALUE_BYTES));
        let longer = long + "y";
        assert!(matches!(Pairs::new([("n", longer.as_str())]), Err(PairError::ValueTooLong { .. })));
    }
}
