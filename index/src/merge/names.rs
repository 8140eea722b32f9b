//! Merges the label names and values of many inputs, writes them, and keeps how each input's numbers map to the
//! output's.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, binary_heap::PeekMut},
    io,
};

use super::{ranks::Ranks, survivors::Survivors};
use crate::{Part, Result, part_writer::PartWriter, series::Pair, strings::Strings};

/// Numbers of one input in terms of the output.
#[derive(Debug)]
pub(super) struct NameMap {
    /// Per name of the input, its number in the output and those of its values.
    names: Vec<(u32, Ranks)>,
}

impl NameMap {
    pub(super) fn map(&self, pair: Pair) -> Pair {
        match self.names.get(pair.name as usize) {
            Some((name, values)) => Pair { name: *name, value: values.get(pair.value as usize) },
            // Cursors give no pair whose name the part does not list.
            None => pair,
        }
    }
}

/// Writes the names and values that the inputs' survivors need; gives each input's numbers.
pub(super) fn merge_names<W: io::Write>(
    inputs: &[(&Part, &Survivors)],
    writer: &mut PartWriter<'_, '_, W>,
) -> Result<Vec<NameMap>> {
    let mut maps: Vec<NameMap> = Vec::with_capacity(inputs.len());
    // Per name, the inputs that need it and its number there.
    let mut names: BTreeMap<&str, Vec<(usize, usize)>> = BTreeMap::new();
    for (input, (part, survivors)) in inputs.iter().enumerate() {
        maps.push(NameMap { names: (0..part.name_count()).map(|_| (0, Ranks::default())).collect() });
        for name in (0..part.name_count()).filter(|name| survivors.has_name(*name)) {
            names.entry(part.name(name)).or_default().push((input, name));
        }
    }
    for (number, (name, holders)) in names.into_iter().enumerate() {
        writer.begin_name(name);
        let ranks = merge_values(inputs, &holders, writer)?;
        writer.end_name()?;
        for ((input, name), mut ranks) in holders.into_iter().zip(ranks) {
            ranks.finish();
            if let Some(slot) = maps.get_mut(input).and_then(|map| map.names.get_mut(name)) {
                *slot = (number as u32, ranks);
            }
        }
    }
    Ok(maps)
}

/// Writes the values of one name; gives the numbers of each holder's values.
fn merge_values<W: io::Write>(
    inputs: &[(&Part, &Survivors)],
    holders: &[(usize, usize)],
    writer: &mut PartWriter<'_, '_, W>,
) -> Result<Vec<Ranks>> {
    let mut ranks = Vec::with_capacity(holders.len());
    let mut walks = Vec::with_capacity(holders.len());
    let mut heap = BinaryHeap::new();
    for (holder, (input, name)) in holders.iter().enumerate() {
        let Some((part, survivors)) = inputs.get(*input) else { continue };
        let mut walk = Walk { values: part.values_of(*name)?, survivors, name: *name, next: 0 };
        let mut map = Ranks::default();
        if let Some(value) = walk.advance(&mut map, 0)? {
            heap.push(Reverse((value, holder)));
        }
        ranks.push(map);
        walks.push(walk);
    }
    // `count` values are written, the last of them is `last`.
    let (mut count, mut last): (u32, Option<&str>) = (0, None);
    while let Some(mut top) = heap.peek_mut() {
        let Reverse((value, holder)) = *top;
        if last != Some(value) {
            writer.value(value)?;
            last = Some(value);
            count += 1;
        }
        let (Some(walk), Some(map)) = (walks.get_mut(holder), ranks.get_mut(holder)) else { break };
        map.push(count - 1);
        match walk.advance(map, count - 1)? {
            Some(value) => top.0.0 = value,
            None => {
                PeekMut::pop(top);
            }
        }
    }
    Ok(ranks)
}

/// Walks the needed values of one name of one input.
struct Walk<'a> {
    values: Strings<'a>,
    survivors: &'a Survivors,
    name: usize,
    next: usize,
}

impl<'a> Walk<'a> {
    /// The next needed value; values passed over get the number `filler`, which nothing looks at but keeps the order.
    fn advance(&mut self, ranks: &mut Ranks, filler: u32) -> Result<Option<&'a str>> {
        while self.next < self.values.len() {
            let value = self.next;
            self.next += 1;
            if self.survivors.has_value(self.name, value) {
                return self.values.get(value).map(Some);
            }
            ranks.push(filler);
        }
        Ok(None)
    }
}
