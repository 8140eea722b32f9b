//! A metric leaf over some rows, evaluated in a way that does not hang on where the query begins and ends: what it gives can
//! be kept, and used again in a query of the same steps with another start and end.

use narvi_types::TimeRange;

use super::{
    grid::Grid,
    params::{MAX_POINTS, Params},
    partial::{Partial, Shape},
    plan::{Leaf, LeafPlan, LeafScope, MetricPlan, Plan},
};
use crate::{Error, StreamShard};

/// Some rows of a metric leaf; see [`Plan::piece`].
#[derive(Clone, Debug)]
pub struct Piece {
    leaf: Leaf,
    /// All instants whose windows can hold the rows, also those that the query does not ask for.
    own: Grid,
    params: Params,
}

impl Plan {
    /// A leaf over some rows as a piece that does not hang on the start and the end of the query. `None` if the leaf gives
    /// lines, the query is instant, the query does not want all of the rows, or too many instants want them.
    pub fn piece(&self, leaf: &Leaf) -> Option<Piece> {
        let LeafPlan::Metric(plan) = &*leaf.plan else { return None };
        let rows = leaf.rows;
        if self.params.instant || leaf.shard.is_some() || !plan.grid.span().covers(&rows) {
            return None;
        }
        let (first, own) = plan.grid.around(rows, MAX_POINTS as usize)?;
        let step = i128::from(self.params.step_ns);
        let start = i128::from(self.start_ns) + first * step;
        let mut params = self.params.clone();
        params.start_ns = i64::try_from(start).ok()?;
        params.end_ns = i64::try_from(start + step * (own.steps() as i128 - 1)).ok()?;
        // What whoever evaluates it makes of the parameters, where times do not overflow.
        let log = &plan.aggregation.range;
        let same = Grid::new(params.start_ns, params.step_ns, own.steps(), log.range_ns, log.offset_ns);
        (same == own).then(|| Piece { leaf: leaf.clone(), own, params })
    }
}

impl Piece {
    /// With which parameters the expression of the query is to be evaluated.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Which rows of which leaf are to be evaluated.
    pub fn scope(&self, shard: Option<StreamShard>) -> LeafScope {
        LeafScope { shard, ..self.leaf.scope() }
    }

    /// Reads partials of all shards of the piece and puts them together.
    ///
    /// # Errors
    /// One is damaged, or of another leaf.
    pub fn read(&self, shards: &[impl AsRef<[u8]>]) -> Result<Partial, Error> {
        let shape = self.shape();
        let of_leaf = |leaf: u32| (leaf == self.leaf.number).then_some(shape);
        let mut all: Option<Partial> = None;
        for bytes in shards {
            let partial = Partial::decode_as(bytes.as_ref(), of_leaf)?;
            match &mut all {
                None => all = Some(partial),
                Some(all) => all.merge(partial, shape)?,
            }
        }
        all.ok_or_else(|| Error::Evaluation("a piece of a query without any partial result".into()))
    }

    /// What [`Piece::read`] gave as bytes to keep, without what was counted while reading. `None` for what should not be
    /// kept, since data was left out or a sample has an error.
    pub fn keep(&self, partial: &mut Partial) -> Option<Vec<u8>> {
        if !partial.is_plain() {
            return None;
        }
        let statistics = std::mem::take(&mut partial.statistics);
        let bytes = partial.encode();
        partial.statistics = statistics;
        Some(bytes)
    }

    /// What [`Piece::read`] gave as a partial of the query's own leaf.
    ///
    /// # Errors
    /// It holds samples at times that are none of the piece's.
    pub fn place(&self, partial: Partial) -> Result<Partial, Error> {
        let grid = self.plan().map(|plan| plan.grid).unwrap_or(self.own);
        if grid == self.own {
            return Ok(partial);
        }
        let places = self.own.cells_in(&grid, self.leaf.rows);
        let Partial { leaf, body, error, warnings, statistics, charges } = partial;
        let body = body.moved(&places, grid.cells());
        let body =
            body.ok_or_else(|| Error::Evaluation("a piece of a query holds times that are not its own".into()))?;
        Ok(Partial { leaf, body, error, warnings, statistics, charges })
    }

    /// The rows.
    pub fn rows(&self) -> TimeRange {
        self.leaf.rows
    }

    fn plan(&self) -> Option<&MetricPlan> {
        match &*self.leaf.plan {
            LeafPlan::Metric(plan) => Some(plan),
            LeafPlan::Logs(_) => None,
        }
    }

    fn shape(&self) -> Shape {
        match self.leaf.plan.shape() {
            Shape::Table { kind, .. } => Shape::Table { kind, cells: self.own.cells() },
            rows => rows,
        }
    }
}
