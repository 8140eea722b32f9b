//! What a template reads its labels from.

/// The labels of a line, as a template sees them: names to values, no name twice.
pub trait Fields {
    /// The value of a label, if it is there.
    fn get(&self, name: &str) -> Option<&[u8]>;

    /// Visits every label, in any order.
    fn visit<'a>(&'a self, visitor: &mut dyn FnMut(&'a str, &'a [u8]));
}

/// Labels in a slice of pairs; for tests and small sets.
#[derive(Clone, Copy, Debug)]
pub struct FieldList<'a>(pub &'a [(&'a str, &'a str)]);

impl Fields for FieldList<'_> {
    fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_bytes())
    }

    fn visit<'a>(&'a self, visitor: &mut dyn FnMut(&'a str, &'a [u8])) {
        for (name, value) in self.0 {
            visitor(name, value.as_bytes());
        }
    }
}
