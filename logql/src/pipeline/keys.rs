//! Names of labels as numbers, and the keys of lines resolved to them once instead of on every line.
//!
//! A key of JSON, logfmt or unpack is a node: the raw bytes below a parent (the object that holds it). The node knows
//! its sanitised name, what the pipeline wants with it, and which node followed it last time: most lines of a stream
//! have the same keys in the same order, so the next key is usually found by one comparison and without a hash.

use super::{hints::Hints, table::ByteTable};

/// Number of a label name. The names that the pipeline mentions come first, in the order of its own list.
pub(super) type Name = u32;

/// `__error__`.
pub(super) const ERROR: Name = 0;
/// `__error_details__`.
pub(super) const ERROR_DETAILS: Name = 1;
/// `__preserve_error__`.
pub(super) const PRESERVE_ERROR: Name = 2;
/// No name: a key that is blank.
pub(super) const NO_NAME: Name = u32::MAX;

/// The node above all keys.
pub(super) const ROOT: u32 = 0;

/// The suffix of a name that is taken by the stream or by structured metadata.
pub(super) const EXTRACTED: &[u8] = b"_extracted";

/// All names that one runner has met.
#[derive(Debug)]
pub(super) struct Names {
    table: ByteTable,
    buffer: Vec<u8>,
}

impl Names {
    pub(super) fn new(known: &[Box<str>]) -> Self {
        let mut table = ByteTable::new();
        for name in known {
            table.intern(name.as_bytes());
        }
        Self { table, buffer: Vec::new() }
    }

    pub(super) fn intern(&mut self, name: &[u8]) -> Name {
        self.table.intern(name).0
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<Name> {
        self.table.find(name)
    }

    /// The name with `_extracted` behind it.
    pub(super) fn extracted(&mut self, name: Name) -> Name {
        self.buffer.clear();
        self.buffer.extend_from_slice(self.table.get(name));
        self.buffer.extend_from_slice(EXTRACTED);
        self.table.intern(&self.buffer).0
    }

    pub(super) fn bytes_of(&self, name: Name) -> &[u8] {
        self.table.get(name)
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.table.bytes()
    }
}

/// What is known about a key.
#[derive(Clone, Copy, Debug)]
struct Node {
    parent: u32,
    /// The node that came after this one last time.
    next: u32,
    /// The sanitised name of the whole path.
    name: Name,
    /// For which shape `action` holds.
    shape: u32,
    action: Action,
}

/// What to do with the value of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Action {
    /// The label to set: the name, or the name with `_extracted`. [`NO_NAME`] if the value is not wanted.
    pub(super) target: Name,
    /// The early filter on it, plus 1; 0 if none.
    pub(super) early: u16,
    /// Whether something below it may be wanted, if it is an object.
    pub(super) below: bool,
    /// Whether it counts towards the labels that are required.
    pub(super) required: bool,
    /// Whether neither the stream nor structured metadata has the target, so that nothing needs hiding.
    pub(super) plain: bool,
}

/// The keys that one parser stage of one runner has met.
#[derive(Debug)]
pub(super) struct Keys {
    nodes: Vec<Node>,
    /// Parent (4 bytes) and raw key.
    table: ByteTable,
    buffer: Vec<u8>,
}

const NO_SHAPE: u32 = u32::MAX;
const NO_ACTION: Action = Action { target: NO_NAME, early: 0, below: true, required: false, plain: true };

impl Keys {
    pub(super) fn new() -> Self {
        let mut keys = Self { nodes: Vec::new(), table: ByteTable::new(), buffer: Vec::new() };
        keys.clear();
        keys
    }

    /// Forgets all keys.
    pub(super) fn clear(&mut self) {
        self.table.clear();
        self.nodes.clear();
        // The root: its key is one that no parent can have.
        self.table.intern(b"");
        self.nodes.push(Node { parent: ROOT, next: ROOT, name: NO_NAME, shape: NO_SHAPE, action: NO_ACTION });
    }

    /// Makes keys of names that the pipeline knows: their nodes are 1, 2, 3 and so on.
    pub(super) fn with_names(names: &mut Names, known: &[Name]) -> Self {
        let mut keys = Self::new();
        for name in known {
            let raw = names.bytes_of(*name).to_vec();
            keys.find(names, ROOT, ROOT, &raw, |raw, name| name.extend_from_slice(raw));
        }
        keys
    }

    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// If the text starts with the key that usually follows `previous` and the closing byte behind it, that key and its
    /// length.
    #[inline]
    pub(super) fn predicted(&self, parent: u32, previous: u32, text: &[u8], close: u8) -> Option<(u32, usize)> {
        let next = self.nodes.get(previous as usize)?.next;
        if next == ROOT || self.nodes.get(next as usize)?.parent != parent {
            return None;
        }
        let raw = self.raw(next);
        (text.get(raw.len()) == Some(&close) && text.starts_with(raw)).then_some((next, raw.len()))
    }

    /// Finds the node of a key. `raw` is the key as it stands in the line, `clean` makes its part of the name.
    pub(super) fn find(
        &mut self,
        names: &mut Names,
        parent: u32,
        previous: u32,
        raw: &[u8],
        clean: impl FnOnce(&[u8], &mut Vec<u8>),
    ) -> u32 {
        self.buffer.clear();
        self.buffer.extend_from_slice(&parent.to_le_bytes());
        self.buffer.extend_from_slice(raw);
        let (node, new) = self.table.intern(&self.buffer);
        if new {
            self.buffer.clear();
            if let Some(above) = self.nodes.get(parent as usize)
                && above.name != NO_NAME
            {
                self.buffer.extend_from_slice(names.bytes_of(above.name));
            }
            clean(raw, &mut self.buffer);
            let name = if self.buffer.is_empty() { NO_NAME } else { names.intern(&self.buffer) };
            self.nodes.push(Node { parent, next: ROOT, name, shape: NO_SHAPE, action: NO_ACTION });
        }
        if let Some(previous) = self.nodes.get_mut(previous as usize) {
            previous.next = node;
        }
        node
    }

    fn raw(&self, node: u32) -> &[u8] {
        self.table.get(node).get(4..).unwrap_or(&[])
    }

    /// The name of the whole path down to this key.
    pub(super) fn name(&self, node: u32) -> Name {
        self.nodes.get(node as usize).map_or(NO_NAME, |n| n.name)
    }

    /// What to do with the value of a key in lines of that shape.
    #[inline]
    pub(super) fn action(&mut self, node: u32, shape: u32, resolve: impl FnOnce(Name) -> Action) -> Action {
        let Some(entry) = self.nodes.get_mut(node as usize) else { return NO_ACTION };
        if entry.shape != shape {
            entry.action = resolve(entry.name);
            entry.shape = shape;
        }
        entry.action
    }
}

/// Decides what to do with a key of that name.
pub(super) fn resolve(name: Name, names: &mut Names, taken: impl Fn(Name) -> bool, hints: &Hints) -> Action {
    if name == NO_NAME {
        return NO_ACTION;
    }
    let below = hints.wants_below(names.bytes_of(name));
    if !hints.wants(names.bytes_of(name)) {
        return Action { target: NO_NAME, early: 0, below, required: false, plain: true };
    }
    let required = hints.is_required(names.bytes_of(name));
    let target = if taken(name) { names.extracted(name) } else { name };
    let plain = target == name || !taken(target);
    Action { target, early: hints.early(target), below, required, plain }
}

/// Appends the sanitised form of a key to the name made so far: spaces at the ends go, characters other than letters,
/// digits and `_` become `_`, and a name does not begin with a digit. Parts of a path are joined by `_`; a blank part adds
/// nothing.
pub(super) fn sanitise(key: &[u8], name: &mut Vec<u8>) {
    let key = trim_spaces(key);
    if key.is_empty() {
        return;
    }
    // Between the parts of a path, and before a digit that would begin the name.
    if !name.is_empty() || key[0].is_ascii_digit() {
        name.push(b'_');
    }
    for chunk in key.utf8_chunks() {
        for c in chunk.valid().chars() {
            let good = c.is_ascii_alphanumeric() || c == '_';
            name.push(if good { c as u8 } else { b'_' });
        }
        // Go decodes every byte that is not part of a character as a character of its own.
        name.extend(chunk.invalid().iter().map(|_| b'_'));
    }
}

/// Removes white space as Go's `strings.TrimSpace` does.
fn trim_spaces(key: &[u8]) -> &[u8] {
    match std::str::from_utf8(key) {
        Ok(text) => text.trim().as_bytes(),
        Err(_) => key.trim_ascii(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Keys, Names, ROOT, sanitise};

    #[test]
    fn names_are_sanitised() {
        for (parts, expected) in [
            (&["a-b"][..], "a_b"),
            (&["9lives"], "_9lives"),
            (&["a", "9"], "a_9"),
            (&[" pad "], "pad"),
            (&["", "k"], "k"),
            (&["a", ""], "a"),
            (&["\u{43a}\u{43b}"], "__"),
            (&["@type"], "_type"),
        ] {
            let mut name = Vec::new();
            parts.iter().for_each(|part| sanitise(part.as_bytes(), &mut name));
            assert_eq!(String::from_utf8_lossy(&name), expected);
        }
        let mut name = Vec::new();
        sanitise(b"a\xff\xfeb", &mut name);
        assert_eq!(name, b"a__b");
    }

    #[test]
    fn the_next_key_is_predicted() {
        let (mut names, mut keys) = (Names::new(&[]), Keys::new());
        let a = keys.find(&mut names, ROOT, ROOT, b"a", sanitise);
        let b = keys.find(&mut names, ROOT, a, b"bb", sanitise);
        assert_eq!(keys.predicted(ROOT, a, b"bb\":1", b'"'), Some((b, 2)));
        assert_eq!(keys.predicted(ROOT, a, b"bbb\":1", b'"'), None);
        assert_eq!(keys.predicted(a, a, b"bb\":1", b'"'), None);
        let nested = keys.find(&mut names, a, a, b"c", sanitise);
        assert_eq!(names.bytes_of(keys.name(nested)), b"a_c");
    }
}
