//! Sets of structured metadata keys: a part's dictionary, so that a block names its keys by one small number.

use std::collections::HashMap;

use narvi_types::wire::{Reader, WireError, Writer};

/// Gives each distinct set of keys a number, from 0 for the empty one.
#[derive(Debug)]
pub(crate) struct KeySetInterner {
    names: Vec<String>,
    name_ids: HashMap<String, u32>,
    sets: Vec<Box<[u32]>>,
    set_ids: HashMap<Box<[u32]>, u32>,
}

impl Default for KeySetInterner {
    fn default() -> Self {
        let empty: Box<[u32]> = Box::default();
        Self {
            names: Vec::new(),
            name_ids: HashMap::new(),
            sets: vec![empty.clone()],
            set_ids: HashMap::from([(empty, 0)]),
        }
    }
}

impl KeySetInterner {
    pub(crate) fn intern<'a>(&mut self, keys: impl IntoIterator<Item = &'a str>) -> u32 {
        let mut keys: Vec<&str> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        let set: Box<[u32]> = keys.into_iter().map(|key| self.name(key)).collect();
        if let Some(id) = self.set_ids.get(&set) {
            return *id;
        }
        let id = self.sets.len() as u32;
        self.sets.push(set.clone());
        self.set_ids.insert(set, id);
        id
    }

    fn name(&mut self, key: &str) -> u32 {
        if let Some(id) = self.name_ids.get(key) {
            return *id;
        }
        let id = self.names.len() as u32;
        self.names.push(key.to_owned());
        self.name_ids.insert(key.to_owned(), id);
        id
    }

    /// The number of sets.
    pub(crate) fn len(&self) -> u32 {
        self.sets.len() as u32
    }

    /// The sorted keys of a set.
    pub(crate) fn keys(&self, set: u32) -> impl Iterator<Item = &str> {
        let ids = self.sets.get(set as usize).map_or(&[][..], |ids| ids);
        ids.iter().filter_map(|id| self.names.get(*id as usize).map(String::as_str))
    }

    /// Appends the dictionary.
    ///
    /// ```text
    /// names: count varint, strings | sets but the empty one: count varint, each: count varint, numbers of names varint
    /// ```
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.put_varint(self.names.len() as u64);
        for name in &self.names {
            out.put_str(name);
        }
        out.put_varint(self.sets.len() as u64 - 1);
        for set in self.sets.iter().skip(1) {
            out.put_varint(set.len() as u64);
            for id in set {
                out.put_varint(u64::from(*id));
            }
        }
    }
}

/// The dictionary of an opened part.
#[derive(Debug, Default)]
pub(crate) struct KeySets {
    names: Vec<String>,
    /// The names of all sets, one set after the other.
    ids: Vec<u32>,
    /// Where each set but the empty one ends in `ids`.
    ends: Vec<u32>,
}

impl KeySets {
    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, WireError> {
        let mut sets = Self::default();
        for _ in 0..reader.count(1, "metadata key count")? {
            sets.names.push(reader.str("metadata key")?.to_owned());
        }
        for _ in 0..reader.count(1, "key set count")? {
            for _ in 0..reader.count(1, "key set size")? {
                let id = reader.varint("key of a set")?;
                if id >= sets.names.len() as u64 {
                    return Err(reader.error("key of a set"));
                }
                sets.ids.push(id as u32);
            }
            sets.ends.push(sets.ids.len() as u32);
        }
        Ok(sets)
    }

    /// The number of sets, the empty one included.
    pub(crate) fn len(&self) -> u32 {
        self.ends.len() as u32 + 1
    }

    /// The sorted keys of a set, if there is such a set.
    pub(crate) fn get(&self, set: u32) -> Option<Vec<&str>> {
        let Some(index) = (set as usize).checked_sub(1) else { return Some(Vec::new()) };
        let end = *self.ends.get(index)? as usize;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |e| *e as usize);
        let ids = self.ids.get(start..end)?;
        Some(ids.iter().filter_map(|id| self.names.get(*id as usize).map(String::as_str)).collect())
    }
}
