//! What parsers may leave out: labels that nothing reads, and lines that a later filter drops anyway.
//!
//! Both can be seen from outside, so they follow Loki: when the result needs only some labels, a parser extracts only those
//! and stops when it has them all, so that it never meets what is wrong further on; and a filter on a single label runs as
//! soon as a parser finds that label, even if a stage in between would have changed it.

use super::keys::{EXTRACTED, Name};

/// What the parsers of a pipeline may leave out.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    /// The labels that are needed; all if empty.
    required: Vec<Box<[u8]>>,
    /// Names with an early filter, and the number of that filter; the first of each name counts.
    early: Vec<(Name, u16)>,
    /// `__error__` is asked for, so errors of parsers do not fail the query.
    pub(super) preserve_error: bool,
}

impl Hints {
    /// All labels are needed.
    pub(super) fn all(early: Vec<(Name, u16)>) -> Self {
        Self { required: Vec::new(), early, preserve_error: false }
    }

    /// Only these labels are needed, and those that they were made from by adding `_extracted`.
    pub(super) fn only(names: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut required: Vec<Box<[u8]>> = Vec::new();
        for name in names {
            let name = name.as_ref().as_bytes();
            for name in [name, name.strip_suffix(EXTRACTED).unwrap_or(name)] {
                if !required.iter().any(|r| **r == *name) {
                    required.push(name.into());
                }
            }
        }
        let preserve_error = required.iter().any(|r| **r == *b"__error__");
        Self { required, early: Vec::new(), preserve_error }
    }

    /// Whether a label of that name is wanted.
    pub(super) fn wants(&self, name: &[u8]) -> bool {
        self.required.is_empty() || self.is_required(name)
    }

    /// Whether a label of that name counts towards [`Hints::required`].
    pub(super) fn is_required(&self, name: &[u8]) -> bool {
        self.required.iter().any(|r| **r == *name)
    }

    /// Whether a name that begins like this may be wanted.
    pub(super) fn wants_below(&self, prefix: &[u8]) -> bool {
        self.required.is_empty() || self.required.iter().any(|r| r.starts_with(prefix))
    }

    /// How many labels must be found for a parser to stop; 0 means that it never stops.
    pub(super) fn required(&self) -> usize {
        self.required.len()
    }

    /// The early filter on that name, plus 1; 0 if none.
    pub(super) fn early(&self, name: Name) -> u16 {
        self.early.iter().find(|(n, _)| *n == name).map_or(0, |(_, filter)| filter + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::Hints;

    #[test]
    fn the_source_of_a_renamed_label_is_required_too() {
        let hints = Hints::only(["status_extracted", "a"]);
        assert_eq!(hints.required(), 3);
        assert!(hints.wants(b"status") && hints.wants(b"status_extracted") && !hints.wants(b"b"));
        assert!(hints.wants_below(b"stat") && !hints.wants_below(b"x"));
        assert!(!hints.preserve_error && Hints::only(["__error__"]).preserve_error);
    }
}
