//! Which rows of a stream are dead: cuts in time, marked rows, and filters that have to be run.

use std::{ops::Range, sync::Arc};

use narvi_logql::{Batch, Segment, SourceError};
use narvi_types::{Labels, TimeRange};
use roaring::RoaringBitmap;

use super::{DeleteId, Filter, Judge, MarkFiles, Marks};
use crate::{manifest::MarkFile, retention::Horizon};

/// What hides rows of one tenant. Made without I/O.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cuts {
    /// Requests that are pending, with what is known about the rows they hit.
    pub(crate) pending: Vec<Pending>,
    /// What retention hides.
    pub(crate) horizon: Option<Horizon>,
}

/// A pending request.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) filter: Arc<Filter>,
    pub(crate) files: Vec<Arc<MarkFile>>,
}

impl Cuts {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.horizon.is_none()
    }

    /// Opens what is needed for rows of a range. Marks that cannot be read are done without.
    pub(crate) fn open(&self, files: &MarkFiles, range: &TimeRange) -> OpenCuts {
        let pending = self.pending.iter().filter(|pending| pending.filter.request.range.overlaps(range));
        let open = |pending: &Pending| OpenPending {
            filter: pending.filter.clone(),
            marks: pending.files.iter().filter_map(|file| files.open(file).ok()).collect(),
        };
        let horizon = self.horizon.clone().filter(|horizon| horizon.latest() > range.min);
        OpenCuts { pending: pending.map(open).collect(), horizon }
    }

    /// Whether all rows of a stream in a range are dead whatever they hold.
    pub(crate) fn covers(&self, labels: &Labels, range: &TimeRange) -> bool {
        let cut = |pending: &Pending| {
            let filter = &pending.filter;
            filter.pipeline.is_none() && filter.request.range.covers(range) && filter.selector.matches(labels)
        };
        let too_old = |horizon: &Horizon| horizon.latest() > range.max && horizon.cut(labels).covers(range);
        self.pending.iter().any(cut) || self.horizon.as_ref().is_some_and(too_old)
    }
}

/// [`Cuts`] with marks at hand.
#[derive(Debug, Default)]
pub(crate) struct OpenCuts {
    pending: Vec<OpenPending>,
    horizon: Option<Horizon>,
}

#[derive(Debug)]
struct OpenPending {
    filter: Arc<Filter>,
    marks: Vec<Arc<Marks>>,
}

impl OpenCuts {
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.horizon.is_none()
    }

    /// What hides rows of a stream.
    pub(crate) fn of(&self, labels: &Labels) -> StreamCuts<'_> {
        let mut cuts = StreamCuts { old: TimeRange::EMPTY, ranges: Vec::new(), pending: Vec::new() };
        cuts.old = self.horizon.as_ref().map_or(TimeRange::EMPTY, |horizon| horizon.cut(labels));
        for pending in self.pending.iter().filter(|pending| pending.filter.selector.matches(labels)) {
            match pending.filter.pipeline {
                None => cuts.ranges.push(pending.filter.request.range),
                Some(_) => cuts.pending.push(pending),
            }
        }
        cuts
    }
}

/// What hides rows of one stream.
#[derive(Debug)]
pub(crate) struct StreamCuts<'a> {
    /// What is too old.
    old: TimeRange,
    /// What requests without filters hit.
    ranges: Vec<TimeRange>,
    pending: Vec<&'a OpenPending>,
}

/// Where rows of a pack lie.
#[derive(Clone, Debug)]
pub(crate) struct PackRows<'a> {
    pub(crate) pack: &'a str,
    pub(crate) frame: u32,
    pub(crate) rows: Range<u32>,
}

/// What becomes of some rows of a stream.
#[derive(Debug)]
pub(crate) enum Fate {
    /// All are alive.
    Alive,
    /// All are dead.
    Dead,
    /// It has to be looked.
    Some(RowCuts),
}

impl StreamCuts<'_> {
    pub(crate) fn is_empty(&self) -> bool {
        self.old.is_empty() && self.ranges.is_empty() && self.pending.is_empty()
    }

    /// What becomes of rows of the stream of a time range, which lie in a pack or in memory.
    pub(crate) fn fate(&self, range: &TimeRange, place: Option<&PackRows<'_>>) -> Fate {
        if self.is_too_old(range) || self.ranges.iter().any(|cut| cut.covers(range)) {
            return Fate::Dead;
        }
        let mut cuts = RowCuts { old: self.old.intersect(range), ..RowCuts::default() };
        cuts.ranges.extend(self.ranges.iter().filter(|cut| cut.overlaps(range)));
        for pending in self.pending.iter().filter(|pending| pending.filter.request.range.overlaps(range)) {
            let known = place.and_then(|place| pending.marks.iter().find_map(|marks| marks.of_pack(place.pack)));
            match (known, place) {
                (Some(frames), Some(place)) => {
                    let hit = frames.get(&place.frame).filter(|rows| rows.range(place.rows.clone()).next().is_some());
                    cuts.marked.extend(hit.cloned());
                }
                _ => cuts.filters.push(pending.filter.clone()),
            }
        }
        match cuts.old.is_empty() && !cuts.is_hit_by_request() && cuts.filters.is_empty() {
            true => Fate::Alive,
            false => Fate::Some(cuts),
        }
    }

    /// Whether all rows of a range are too old.
    pub(crate) fn is_too_old(&self, range: &TimeRange) -> bool {
        self.old.covers(range)
    }

    /// About how many of so many rows of a range are too old.
    pub(crate) fn old_rows(&self, range: &TimeRange, rows: u32) -> u64 {
        let length = |range: &TimeRange| range.max as f64 - range.min as f64 + 1.0;
        let old = self.old.intersect(range);
        if old.is_empty() { 0 } else { (f64::from(rows) * length(&old) / length(range)) as u64 }
    }
}

/// What to look for to find the dead rows of one segment.
#[derive(Debug)]
pub(crate) struct RowCuts {
    old: TimeRange,
    ranges: Vec<TimeRange>,
    marked: Vec<Arc<RoaringBitmap>>,
    filters: Vec<Arc<Filter>>,
}

impl Default for RowCuts {
    fn default() -> Self {
        Self { old: TimeRange::EMPTY, ranges: Vec::new(), marked: Vec::new(), filters: Vec::new() }
    }
}

impl RowCuts {
    /// Whether requests hit rows, or their time, for certain.
    pub(crate) fn is_hit_by_request(&self) -> bool {
        !self.ranges.is_empty() || !self.marked.is_empty()
    }

    /// The requests of which it was not looked up whether they hit rows.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = DeleteId> + '_ {
        self.filters.iter().map(|filter| filter.request.id)
    }

    /// Adds the dead rows of a segment, in no order, perhaps repeatedly.
    pub(crate) fn dead(
        &self,
        judge: &mut Judge,
        batch: &dyn Batch,
        segment: &Segment,
        out: &mut Vec<u32>,
    ) -> Result<(), SourceError> {
        if !self.ranges.is_empty() || !self.old.is_empty() {
            let times = batch.timestamps()?;
            let times = times.get(segment.rows.start as usize..segment.rows.end as usize).unwrap_or(&[]);
            for cut in self.ranges.iter().chain([&self.old]).filter(|cut| !cut.is_empty()) {
                let from = times.partition_point(|time| *time < cut.min) as u32;
                let to = times.partition_point(|time| *time <= cut.max) as u32;
                out.extend(segment.rows.start + from..segment.rows.start + to.max(from));
            }
        }
        for rows in &self.marked {
            out.extend(rows.range(segment.rows.clone()));
        }
        self.filters.iter().try_for_each(|filter| judge.hits(filter, batch, segment, out))
    }
}
