//! The reader's side: takes what writers give and makes heads of it.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use narvi_logql::{Budget, Charge};
use narvi_types::{
    Labels, Tenant, TimeRange,
    wire::{Reader, WireError},
};

use super::{KIND_END, KIND_HEAD, KIND_ROWS, KIND_SUMMARY, VERSION};
use crate::{
    Error, ErrorKind, Result,
    head::Generation,
    manifest::{Manifest, WriterId},
    wal,
};

/// Streams with their times, rows and bytes of lines.
type Counted = BTreeMap<Labels, (TimeRange, u64, u64)>;

/// What one writer gave of one tenant. Frames are added as they come; memory is that of the rows, asked of a budget, and
/// given back when this is dropped or the snapshot made of it.
#[derive(Debug)]
pub struct RemoteHeads {
    tenant: Tenant,
    head: Option<(WriterId, u64)>,
    generations: BTreeMap<u64, Arc<Generation>>,
    summaries: BTreeMap<u64, Counted>,
    complete: bool,
    charge: Charge,
}

impl RemoteHeads {
    /// Nothing yet of a tenant.
    ///
    /// # Errors
    /// None as long as an empty charge fits the budget.
    pub fn new(tenant: &Tenant, budget: &Budget) -> Result<Self> {
        let charge = budget.charge(0).map_err(Error::from)?;
        let (generations, summaries) = (BTreeMap::new(), BTreeMap::new());
        Ok(Self { tenant: tenant.clone(), head: None, generations, summaries, complete: false, charge })
    }

    /// Whether the last frame was added. What is not complete must not be used: rows are missing.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The number of the manifest that the writer knew; 0 before the first frame.
    pub fn manifest(&self) -> u64 {
        self.head.map_or(0, |(_, manifest)| manifest)
    }

    /// Adds the next frame.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`]: it is no such frame, of another version, of another tenant, or out of its order. The budget
    /// is used up.
    pub fn add(&mut self, frame: &Bytes) -> Result<()> {
        let mut reader = Reader::new(frame);
        let version = reader.u8("version").map_err(wrong)?;
        if version != VERSION {
            return Err(corrupt(format!("it has version {version}, this build reads {VERSION}")));
        }
        let kind = reader.u8("kind").map_err(wrong)?;
        if self.complete || (self.head.is_none() != (kind == KIND_HEAD)) {
            return Err(corrupt(format!("a frame of kind {kind} is out of its order")));
        }
        match kind {
            KIND_HEAD => {
                let writer = WriterId(reader.u64("writer").map_err(wrong)?);
                self.head = Some((writer, reader.varint("manifest").map_err(wrong)?));
            }
            KIND_ROWS => {
                let generation = reader.varint("generation").map_err(wrong)?;
                self.add_rows(generation, &frame.slice(reader.offset()..))?;
            }
            KIND_SUMMARY => {
                let generation = reader.varint("generation").map_err(wrong)?;
                self.charge.grow(frame.len() as u64 * 2).map_err(Error::from)?;
                let counted = self.summaries.entry(generation).or_default();
                while !reader.is_empty() {
                    add_summary(&mut reader, counted)?;
                }
            }
            KIND_END => self.complete = true,
            other => return Err(corrupt(format!("there is no kind {other}"))),
        }
        Ok(())
    }

    fn add_rows(&mut self, id: u64, payload: &Bytes) -> Result<()> {
        let (tenant, streams) = wal::decode(payload).map_err(|error| corrupt(error.to_string()))?;
        if tenant != self.tenant {
            return Err(corrupt(format!("it holds rows of tenant {tenant}, not of {}", self.tenant)));
        }
        let generation = self.generations.entry(id).or_insert_with(|| Arc::new(Generation::new(id)));
        let before = generation.stats().memory_bytes;
        let heads = generation.tenant_or_new(&tenant);
        for stream in streams {
            let labels = stream.labels.ok_or_else(|| corrupt("it does not define all its streams".to_owned()))?;
            let head = generation.stream(&heads, &labels);
            generation.append(&head, &stream.entries, 1);
        }
        let grown = generation.stats().memory_bytes.saturating_sub(before);
        self.charge.grow(grown).map_err(Error::from)
    }

    /// The last generation whose rows a manifest's files hold.
    fn covered(&self, manifest: &Manifest) -> u64 {
        self.head.map_or(0, |(writer, _)| manifest.covered_of(writer))
    }
}

/// The heads of several writers as one reader sees them, and what they cost.
#[derive(Debug)]
pub(crate) struct Imported {
    pub(crate) generations: Vec<Arc<Generation>>,
    pub(crate) charges: Vec<Charge>,
}

/// Leaves out what a manifest covers. Streams of which writers gave summaries count as what the one that has most of them
/// says: the others hold copies.
pub(crate) fn import(tenant: &Tenant, mut remote: Vec<RemoteHeads>, manifest: &Manifest) -> Imported {
    remote.sort_by_key(|heads| heads.head);
    let mut out = Imported { generations: Vec::new(), charges: Vec::new() };
    let mut most = Counted::new();
    for heads in remote {
        let covered = heads.covered(manifest);
        let mut of_writer = Counted::new();
        for (_, counted) in heads.summaries.into_iter().filter(|(id, _)| *id > covered) {
            for (labels, (range, rows, bytes)) in counted {
                let sum = of_writer.entry(labels).or_insert((TimeRange::EMPTY, 0, 0));
                *sum = (sum.0.cover(&range), sum.1 + rows, sum.2 + bytes);
            }
        }
        for (labels, (range, rows, bytes)) in of_writer {
            let best = most.entry(labels).or_insert((range, 0, 0));
            *best = (best.0.cover(&range), best.1.max(rows), best.2.max(bytes));
        }
        out.generations.extend(heads.generations.into_iter().filter(|(id, _)| *id > covered).map(|(_, heads)| heads));
        out.charges.push(heads.charge);
    }
    if !most.is_empty() {
        let generation = Generation::new(0);
        let heads = generation.tenant_or_new(tenant);
        for (labels, (range, rows, bytes)) in &most {
            generation.stream(&heads, labels).count(*range, *rows, *bytes);
        }
        out.generations.push(Arc::new(generation));
    }
    out
}

fn add_summary(reader: &mut Reader<'_>, out: &mut Counted) -> Result<()> {
    let pairs = reader.count(2, "number of labels").map_err(wrong)?;
    let mut pair = || Ok((reader.str("name")?, reader.str("value")?));
    let pairs: Vec<_> = (0..pairs).map(|_| pair()).collect::<Result<_, WireError>>().map_err(wrong)?;
    let labels = Labels::from_pairs(pairs).map_err(|error| corrupt(error.to_string()))?;
    let range = TimeRange::new(reader.i64("first").map_err(wrong)?, reader.i64("last").map_err(wrong)?);
    let (rows, bytes) = (reader.varint("rows").map_err(wrong)?, reader.varint("line bytes").map_err(wrong)?);
    out.insert(labels, (range, rows, bytes));
    Ok(())
}

fn wrong(error: WireError) -> Error {
    corrupt(error.to_string())
}

fn corrupt(why: String) -> Error {
    Error::new(ErrorKind::Corrupt, format!("cannot read what a writer gave of its rows in memory: {why}"))
}
