//! A table from byte strings to consecutive numbers: the interner under names, keys and series.

/// Gives every distinct byte string a number, counting from 0. Strings lie in one buffer; a look-up allocates nothing.
#[derive(Debug)]
pub(super) struct ByteTable {
    /// Hash and number + 1; 0 is a free slot. Its length is a power of two, at most half full.
    slots: Vec<(u32, u32)>,
    /// Where each string ends in `text`.
    ends: Vec<usize>,
    text: Vec<u8>,
    seed: u64,
}

impl ByteTable {
    pub(super) fn new() -> Self {
        use std::hash::{BuildHasher, Hasher};
        // The keys come from log lines, so whoever writes logs must not know the seed.
        let seed = std::collections::hash_map::RandomState::new().build_hasher().finish();
        Self { slots: vec![(0, 0); 64], ends: Vec::new(), text: Vec::new(), seed }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * 8 + self.slots.len() * 8
    }

    /// Forgets all strings and keeps the memory of small tables.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.slots.resize(64, (0, 0));
        self.ends.clear();
        self.text.clear();
        self.text.shrink_to(1 << 20);
    }

    /// The string with that number; empty if there is none.
    pub(super) fn get(&self, id: u32) -> &[u8] {
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends.get(id - 1).copied().unwrap_or(0) };
        let end = self.ends.get(id).copied().unwrap_or(start);
        self.text.get(start..end).unwrap_or(&[])
    }

    /// The number of a string, if it has one.
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let hash = hash_bytes(self.seed, key);
        let tag = (hash >> 32) as u32;
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (slot_tag, slot) = self.slots[at];
            let id = slot.checked_sub(1)?;
            if slot_tag == tag && self.get(id) == key {
                return Some(id);
            }
            at = (at + 1) & mask;
        }
    }

    /// The number of a string, and whether it is new.
    pub(super) fn intern(&mut self, key: &[u8]) -> (u32, bool) {
        let hash = hash_bytes(self.seed, key);
        let tag = (hash >> 32) as u32;
        let mask = self.slots.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let (slot_tag, slot) = self.slots[at];
            if slot == 0 {
                break;
            }
            if slot_tag == tag && self.get(slot - 1) == key {
                return (slot - 1, false);
            }
            at = (at + 1) & mask;
        }
        let id = self.ends.len() as u32;
        self.slots[at] = (tag, id + 1);
        self.text.extend_from_slice(key);
        self.ends.push(self.text.len());
        if self.ends.len() * 2 > self.slots.len() {
            self.grow();
        }
        (id, true)
    }

    fn grow(&mut self) {
        let size = self.slots.len() * 4;
        let mask = size - 1;
        let mut slots = vec![(0, 0); size];
        for id in 0..self.ends.len() as u32 {
            let hash = hash_bytes(self.seed, self.get(id));
            let mut at = hash as usize & mask;
            while slots[at].1 != 0 {
                at = (at + 1) & mask;
            }
            slots[at] = ((hash >> 32) as u32, id + 1);
        }
        self.slots = slots;
    }
}

/// Hashes by multiplying and folding eight bytes at a time.
fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |a: u64, b: u64| {
        let r = u128::from(a) * u128::from(b);
        (r as u64) ^ ((r >> 64) as u64)
    };
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(K);
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = chunk.try_into().map_or(0, u64::from_le_bytes);
        hash = mix(hash ^ word, K);
    }
    let mut last = [0; 8];
    for (to, from) in last.iter_mut().zip(chunks.remainder()) {
        *to = *from;
    }
    mix(mix(hash ^ u64::from_le_bytes(last), K), seed | 1)
}

#[cfg(test)]
mod tests {
    use super::ByteTable;

    #[test]
    fn equal_strings_get_equal_numbers() {
        let mut table = ByteTable::new();
        for round in 0..2 {
            for n in 0..5_000_u32 {
                let key = format!("key {n}");
                assert_eq!(table.intern(key.as_bytes()), (n, round == 0));
            }
        }
        assert_eq!(table.get(17), b"key 17");
        assert_eq!(table.intern(b""), (5_000, true));
        assert_eq!(table.get(5_000), b"");
        table.clear();
        assert_eq!(table.intern(b"x"), (0, true));
    }
}
