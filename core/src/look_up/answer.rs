//! What a table answers.

use std::{collections::HashMap, sync::Arc};

use bytes::Bytes;
use narvi_index::BlockRef;
use narvi_logql::{Budget, BudgetError};
use narvi_types::{
    Labels, TimeRange,
    wire::{Reader, WireError, Writer as _},
};

use super::{IndexQuestion, IndexTable, VERSION};
use crate::{
    Error, ErrorKind, Result,
    read::{Finder, FoundBlock, FoundBlocks},
};

const SUM_BYTES: usize = 8;
const HEAD_BYTES: usize = 1 + SUM_BYTES;
/// The most text that the labels of one answer may be. Each is a number in the answer, so that few bytes can ask for much.
const MAX_LABEL_BYTES: u64 = 1 << 30;
/// Streams that are read between two looks at the budget.
const STREAMS_PER_CHECK: usize = 1024;

/// What one table answered to a question, as bytes that are whole and of this question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexAnswer(Bytes);

impl IndexAnswer {
    /// Takes bytes for the answer of a table, if they are.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`]: they were changed or cut, answer something else, or are of a version this build does not know.
    pub fn new(question: &IndexQuestion, table: &IndexTable, bytes: Bytes) -> Result<Self> {
        let (Some(version), Some(stored)) = (bytes.first(), bytes.get(1..HEAD_BYTES)) else {
            return Err(corrupt(&table.key, "it is cut"));
        };
        if *version != VERSION {
            return Err(corrupt(&table.key, &format!("it has version {version}, this build reads {VERSION}")));
        }
        let mut sum = question.begin_sum(table);
        sum.update(&bytes[HEAD_BYTES..]);
        match stored == sum.digest().to_le_bytes() {
            true => Ok(Self(bytes)),
            false => Err(corrupt(&table.key, "its checksum does not match: it was changed, or answers something else")),
        }
    }

    /// The bytes, for [`IndexAnswer::new`] elsewhere.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    fn seal(question: &IndexQuestion, table: &IndexTable, write: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut out = vec![0; HEAD_BYTES];
        write(&mut out);
        let mut sum = question.begin_sum(table);
        sum.update(&out[HEAD_BYTES..]);
        out[0] = VERSION;
        out[1..HEAD_BYTES].copy_from_slice(&sum.digest().to_le_bytes());
        Self(out.into())
    }

    #[cfg(test)]
    pub(super) fn of_body(question: &IndexQuestion, table: &IndexTable, body: &[u8]) -> Self {
        Self::seal(question, table, |out| out.extend_from_slice(body))
    }

    /// Names or values of labels.
    pub(super) fn of_texts(question: &IndexQuestion, table: &IndexTable, texts: &[&str]) -> Self {
        Self::seal(question, table, |out| {
            out.put_varint(texts.len() as u64);
            texts.iter().for_each(|text| out.put_str(text));
        })
    }

    /// The blocks that were found in one table.
    pub(super) fn of_blocks(question: &IndexQuestion, table: &IndexTable, found: &FoundBlocks) -> Self {
        Self::seal(question, table, |out| Blocks::default().write(found, out))
    }

    /// Adds names or values to a set.
    pub(super) fn texts(&self, table: &IndexTable, out: &mut impl Extend<String>) -> Result<()> {
        let wrong = |error: WireError| corrupt(&table.key, &error.to_string());
        let mut reader = Reader::new(&self.0[HEAD_BYTES..]);
        for _ in 0..reader.count(1, "number of texts").map_err(wrong)? {
            out.extend([reader.str("text").map_err(wrong)?.to_owned()]);
        }
        end(&reader).map_err(wrong)
    }

    /// Adds blocks to what was found in other tables.
    pub(super) fn blocks(&self, table: &IndexTable, finder: &mut Finder, budget: &Budget) -> Result<()> {
        let mut reader = Reader::new(&self.0[HEAD_BYTES..]);
        read_blocks(&mut reader, finder, budget).map_err(|error| match error {
            Unreadable::Wrong(error) => corrupt(&table.key, &error),
            Unreadable::Budget(error) => error.into(),
        })
    }
}

fn corrupt(key: &str, why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, format!("what was found in index table {key} cannot be used: {why}"))
}

fn end(reader: &Reader<'_>) -> std::result::Result<(), WireError> {
    if reader.is_empty() { Ok(()) } else { Err(reader.error("end of the answer")) }
}

/// Numbers what an answer names repeatedly.
#[derive(Default)]
struct Blocks<'a> {
    packs: Vec<&'a str>,
    pack_ids: HashMap<u32, u64>,
    words: Vec<&'a str>,
    word_ids: HashMap<&'a str, u64>,
    sets: Vec<Vec<u64>>,
    set_ids: HashMap<*const Arc<str>, u64>,
}

impl<'a> Blocks<'a> {
    /// Writes what was found in one table, where the blocks of a stream lie side by side.
    fn write(mut self, found: &'a FoundBlocks, out: &mut Vec<u8>) {
        let mut streams = Vec::new();
        let mut count = 0_u64;
        for blocks in found.blocks.chunk_by(|a, b| a.stream == b.stream) {
            let Some(labels) = found.streams.get(blocks[0].stream as usize) else { continue };
            count += 1;
            streams.put_varint(labels.len() as u64);
            for (name, value) in labels {
                let (name, value) = (self.word(name), self.word(value));
                streams.put_varint(name);
                streams.put_varint(value);
            }
            streams.put_varint(blocks.len() as u64);
            let mut last = 0;
            for block in blocks {
                self.block(found, block, last, &mut streams);
                last = block.block.range.min;
            }
        }
        for texts in [&self.packs, &self.words] {
            out.put_varint(texts.len() as u64);
            texts.iter().for_each(|text| out.put_str(text));
        }
        out.put_varint(self.sets.len() as u64);
        for set in &self.sets {
            out.put_varint(set.len() as u64);
            set.iter().for_each(|word| out.put_varint(*word));
        }
        out.put_varint(count);
        out.extend_from_slice(&streams);
    }

    fn block(&mut self, found: &'a FoundBlocks, of: &'a FoundBlock, last: i64, out: &mut Vec<u8>) {
        let BlockRef { pack: _, frame, first_row, rows, line_bytes, range, metadata_keys: _ } = of.block;
        let next = self.packs.len() as u64;
        let pack = *self.pack_ids.entry(of.pack).or_insert(next);
        if pack == next {
            self.packs.push(found.packs.get(of.pack as usize).map_or("", |key| key));
        }
        let set = self.set(&of.metadata_keys);
        out.put_varint(pack);
        out.put_varint(frame.into());
        out.put_varint(first_row.into());
        out.put_varint(rows.into());
        out.put_varint(line_bytes);
        out.put_zigzag(range.min.wrapping_sub(last));
        out.put_varint(range.max.wrapping_sub(range.min) as u64);
        out.put_varint(set);
    }

    fn word(&mut self, word: &'a str) -> u64 {
        let next = self.words.len() as u64;
        let id = *self.word_ids.entry(word).or_insert(next);
        if id == next {
            self.words.push(word);
        }
        id
    }

    /// Sets of one table are shared, so that their places tell them apart well enough.
    fn set(&mut self, keys: &'a Arc<[Arc<str>]>) -> u64 {
        if let Some(id) = self.set_ids.get(&keys.as_ptr()).filter(|_| !keys.is_empty()) {
            return *id;
        }
        let names: Vec<u64> = keys.iter().map(|key| self.word(key)).collect();
        let id = match self.sets.iter().position(|set| *set == names) {
            Some(at) => at as u64,
            None => {
                self.sets.push(names);
                self.sets.len() as u64 - 1
            }
        };
        if !keys.is_empty() {
            self.set_ids.insert(keys.as_ptr(), id);
        }
        id
    }
}

enum Unreadable {
    Wrong(String),
    Budget(BudgetError),
}

impl From<WireError> for Unreadable {
    fn from(error: WireError) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl From<BudgetError> for Unreadable {
    fn from(error: BudgetError) -> Self {
        Self::Budget(error)
    }
}

fn strings<'a>(reader: &mut Reader<'a>) -> std::result::Result<Vec<&'a str>, WireError> {
    let count = reader.count(1, "number of texts")?;
    (0..count).map(|_| reader.str("text")).collect()
}

fn small(reader: &mut Reader<'_>, what: &'static str) -> std::result::Result<u32, WireError> {
    let error = reader.error(what);
    u32::try_from(reader.varint(what)?).map_err(|_| error)
}

/// An item of a list by the number that comes next.
fn item<'l, T>(reader: &mut Reader<'_>, list: &'l [T], what: &'static str) -> std::result::Result<&'l T, WireError> {
    let error = reader.error(what);
    list.get(small(reader, what)? as usize).ok_or(error)
}

fn read_blocks(reader: &mut Reader<'_>, finder: &mut Finder, budget: &Budget) -> std::result::Result<(), Unreadable> {
    let first_pack = finder.found.packs.len() as u32;
    let packs = strings(reader)?;
    finder.found.packs.extend(packs.iter().map(|key| Arc::from(*key)));
    let words = strings(reader)?;
    let keys: Vec<Arc<str>> = words.iter().map(|word| Arc::from(*word)).collect();
    let mut sets: Vec<Arc<[Arc<str>]>> = Vec::new();
    for _ in 0..reader.count(1, "number of sets")? {
        let names = reader.count(1, "number of names")?;
        sets.push((0..names).map(|_| item(reader, &keys, "name").cloned()).collect::<std::result::Result<_, _>>()?);
    }
    let mut charge = budget.charge(0)?;
    let mut text = 0_u64;
    for n in 0..reader.count(2, "number of streams")? {
        if n.is_multiple_of(STREAMS_PER_CHECK) {
            budget.check()?;
        }
        let pairs = reader.count(2, "number of labels")?;
        let pair = |reader: &mut Reader<'_>| Ok((*item(reader, &words, "name")?, *item(reader, &words, "value")?));
        let pairs = (0..pairs).map(|_| pair(reader)).collect::<std::result::Result<Vec<_>, WireError>>()?;
        let bytes: u64 = pairs.iter().map(|(name, value)| (name.len() + value.len()) as u64).sum();
        charge.grow(bytes)?;
        text += bytes;
        if text > MAX_LABEL_BYTES {
            return Err(Unreadable::Wrong("its labels are longer than any table's; narrow the selector".to_owned()));
        }
        let labels = Labels::from_pairs(pairs).map_err(|error| Unreadable::Wrong(error.to_string()))?;
        let stream = finder.stream(labels);
        let mut last = 0;
        for _ in 0..reader.count(8, "number of blocks")? {
            let pack = small(reader, "pack")?;
            if pack as usize >= packs.len() {
                return Err(reader.error("pack").into());
            }
            let block = block(reader, &mut last)?;
            let metadata_keys = item(reader, &sets, "set")?.clone();
            finder.found.blocks.push(FoundBlock { stream, pack: first_pack + pack, block, metadata_keys });
        }
    }
    Ok(end(reader)?)
}

fn block(reader: &mut Reader<'_>, last: &mut i64) -> std::result::Result<BlockRef, WireError> {
    let (frame, first_row, rows) = (small(reader, "frame")?, small(reader, "first row")?, small(reader, "rows")?);
    if rows == 0 || first_row.checked_add(rows).is_none() {
        return Err(reader.error("rows"));
    }
    // Lines of one frame, whose length fits 32 bits.
    let line_bytes = small(reader, "line bytes")?.into();
    let min = last.wrapping_add(reader.zigzag("time")?);
    let error = reader.error("length of time");
    let max = min.checked_add_unsigned(reader.varint("length of time")?).ok_or(error)?;
    *last = min;
    Ok(BlockRef { pack: 0, frame, first_row, rows, line_bytes, range: TimeRange::new(min, max), metadata_keys: 0 })
}
