//! Lists of pairs split into names and shapes: what the streams column and the metadata column have in common.
//!
//! ```text
//! names count, varint | names, each varint length and text
//! shapes count, varint | per shape: number of names, varint | numbers of the names, varints
//! ```
//! A shape is the sequence of names of a list of pairs. Values follow name by name, in an order that each column
//! chooses.

use std::collections::HashMap;

use narvi_types::{
    PairsIter,
    wire::{Reader, Writer},
};

use super::ColumnError;

/// Takes lists of pairs apart.
#[derive(Default)]
pub(crate) struct Splitter<'a> {
    names: Vec<&'a str>,
    name_ids: HashMap<&'a str, u32>,
    shapes: Vec<Vec<u32>>,
    shape_ids: HashMap<Vec<u32>, u32>,
    last: usize,
    /// The shape of each list, in order.
    pub(crate) lists: Vec<u32>,
    /// For each name, its values in order.
    pub(crate) values: Vec<Vec<&'a str>>,
}

impl<'a> Splitter<'a> {
    /// Adds a list.
    pub(crate) fn push(&mut self, pairs: PairsIter<'a>) {
        // Nearly always the shape is that of the list before.
        let same = self.shapes.get(self.last).is_some_and(|shape| {
            pairs.clone().map(|(name, _)| name).eq(shape.iter().map(|id| self.names[*id as usize]))
        });
        if !same {
            let shape: Vec<u32> = pairs.clone().map(|(name, _)| self.name_id(name)).collect();
            let next = self.shapes.len();
            self.last = *self.shape_ids.entry(shape.clone()).or_insert(next as u32) as usize;
            if self.last == next {
                self.shapes.push(shape);
            }
        }
        self.lists.push(self.last as u32);
        for ((_, value), id) in pairs.zip(&self.shapes[self.last]) {
            self.values[*id as usize].push(value);
        }
    }

    /// Writes names and shapes.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.put_varint(self.names.len() as u64);
        for name in &self.names {
            out.put_str(name);
        }
        out.put_varint(self.shapes.len() as u64);
        for shape in &self.shapes {
            out.put_varint(shape.len() as u64);
            for id in shape {
                out.put_varint(u64::from(*id));
            }
        }
    }

    fn name_id(&mut self, name: &'a str) -> u32 {
        let next = self.names.len() as u32;
        let id = *self.name_ids.entry(name).or_insert(next);
        if id == next {
            self.names.push(name);
            self.values.push(Vec::new());
        }
        id
    }
}

/// Names and shapes as read.
pub(crate) struct Shapes<'a> {
    pub(crate) names: Vec<&'a str>,
    pub(crate) shapes: Vec<Vec<u32>>,
}

impl<'a> Shapes<'a> {
    pub(crate) fn read(reader: &mut Reader<'a>) -> Result<Self, ColumnError> {
        let names = reader.count(1, "name count")?;
        let names = (0..names).map(|_| reader.str("name")).collect::<Result<Vec<_>, _>>()?;
        let count = reader.count(1, "shape count")?;
        let mut shapes = Vec::with_capacity(count);
        for _ in 0..count {
            let len = reader.count(1, "shape length")?;
            let ids = (0..len).map(|_| id(reader, names.len(), "name number")).collect::<Result<Vec<_>, _>>()?;
            shapes.push(ids);
        }
        Ok(Self { names, shapes })
    }

    /// Reads the shapes of `lists` lists. Also tells how many values each name has in all of them.
    pub(crate) fn read_lists(
        &self,
        lists: usize,
        reader: &mut Reader<'a>,
    ) -> Result<(Vec<u32>, Vec<usize>), ColumnError> {
        if lists > reader.remaining() {
            return Err(reader.error("list shapes").into());
        }
        let ids = (0..lists).map(|_| id(reader, self.shapes.len(), "shape number")).collect::<Result<Vec<_>, _>>()?;
        let mut of_shape = vec![0_usize; self.shapes.len()];
        for id in &ids {
            of_shape[*id as usize] += 1;
        }
        let mut of_name = vec![0_usize; self.names.len()];
        for (shape, count) in self.shapes.iter().zip(of_shape) {
            for id in shape {
                of_name[*id as usize] = of_name[*id as usize].saturating_add(count);
            }
        }
        Ok((ids, of_name))
    }
}

/// Reads a number below `len`.
pub(crate) fn id(reader: &mut Reader<'_>, len: usize, what: &'static str) -> Result<u32, ColumnError> {
    let error = reader.error(what);
    let value = reader.varint(what)?;
    if value < len as u64 { u32::try_from(value).map_err(|_| error.into()) } else { Err(error.into()) }
}
