//! Splits a query into leaves, which read logs, and a tree that merges what they give.

use std::sync::Arc;

use narvi_types::{
    Labels, MatchOp, Selector, TimeRange,
    regex::{Regex, RegexOptions},
};

use super::{
    binary::scalars,
    grid::Grid,
    params::Params,
    partial::Kind,
    pushdown::{average_as_quotient, reads_apart, takes_grouping},
};
use crate::{
    Error, LabelNeeds, Needs, Pipeline, StreamShard, ValueNeeds,
    ast::{BinaryModifier, BinaryOp, Expr, Grouping, LogExpr, MetricExpr, RangeAggregation, RangeOp, VectorOp},
};

/// A query: an expression and what it is evaluated with.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    expr: Expr,
    params: Params,
}

impl Query {
    /// Makes a query of a parsed expression.
    pub fn new(expr: Expr, params: Params) -> Self {
        Self { expr, params }
    }

    /// The expression.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Splits the query. The same query gives the same plan in every process.
    ///
    /// # Errors
    /// Something that Loki refuses, in Loki's words: an instant log query, a step of zero, a disabled function, a regular
    /// expression or template that does not compile.
    pub fn plan(&self) -> Result<Plan, Error> {
        let mut builder = Builder { params: &self.params, start: 0, steps: 1, leaves: Vec::new() };
        let root = match &self.expr {
            Expr::Log(_) if self.params.instant => {
                return Err(Error::Invalid(
                    "log queries are not supported as an instant query type, please change your query to a range query \
                     type"
                        .into(),
                ));
            }
            Expr::Log(log) => {
                builder.leaves.push(builder.log(log)?);
                Root::Logs
            }
            Expr::Metric(metric) => {
                (builder.start, builder.steps) = self.params.steps()?;
                let root = builder.metric(metric, true)?.node;
                let scalar = matches!(root, Node::Scalar(_));
                Root::Metric { node: builder.checked(root), scalar, sorted: sorts(metric) }
            }
        };
        let (start_ns, steps) = (builder.start, builder.steps);
        let leaves = builder.leaves.into_iter().map(Arc::new).collect();
        Ok(Plan { root, leaves, params: self.params.clone(), start_ns, steps })
    }
}

/// A query that was split.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) root: Root,
    leaves: Vec<Arc<LeafPlan>>,
    pub(crate) params: Params,
    pub(crate) start_ns: i64,
    pub(crate) steps: usize,
}

impl Plan {
    /// The leaves, each over all streams and rows.
    pub fn leaves(&self) -> Vec<Leaf> {
        let whole = |(number, plan): (usize, &Arc<LeafPlan>)| Leaf {
            plan: plan.clone(),
            number: number as u32,
            shard: None,
            rows: TimeRange::ALL,
        };
        self.leaves.iter().enumerate().map(whole).collect()
    }

    /// The leaf that a scope names; `None` if the plan has no such leaf.
    pub fn leaf(&self, scope: LeafScope) -> Option<Leaf> {
        let plan = self.leaves.get(scope.leaf as usize)?.clone();
        Some(Leaf { plan, number: scope.leaf, shard: scope.shard, rows: scope.rows })
    }

    /// What the query was asked with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    pub(crate) fn leaf_plan(&self, number: u32) -> Option<&LeafPlan> {
        self.leaves.get(number as usize).map(Arc::as_ref)
    }
}

/// A part of a query that reads logs, over all rows or some of them. The partials of leaves that share out the rows, by
/// stream or by time, merge into what the whole leaf would give.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub(crate) plan: Arc<LeafPlan>,
    pub(crate) number: u32,
    pub(crate) shard: Option<StreamShard>,
    pub(crate) rows: TimeRange,
}

impl Leaf {
    /// Its place among [`Plan::leaves`].
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Which rows of which leaf, for another process that has the same plan.
    pub fn scope(&self) -> LeafScope {
        LeafScope { leaf: self.number, shard: self.shard, rows: self.rows }
    }

    /// Only the streams of a shard.
    #[must_use]
    pub fn with_shard(mut self, shard: StreamShard) -> Self {
        self.shard = Some(shard);
        self
    }

    /// Only rows inside the range, besides what was excluded before.
    #[must_use]
    pub fn within(mut self, rows: TimeRange) -> Self {
        self.rows = self.rows.intersect(&rows);
        self
    }

    /// Which streams it reads.
    pub fn selector(&self) -> &Selector {
        match &*self.plan {
            LeafPlan::Logs(logs) => &logs.selector,
            LeafPlan::Metric(metric) => &metric.aggregation.range.log.selector,
        }
    }

    /// Whether it gives lines.
    pub fn gives_lines(&self) -> bool {
        matches!(&*self.plan, LeafPlan::Logs(_))
    }

    /// Whether what it gives hangs on the order of rows of several streams at the same time, which pieces by stream do not
    /// know: lines have an order, and so have the first, the last, and the samples of a counter.
    pub fn needs_order(&self) -> bool {
        match &*self.plan {
            LeafPlan::Logs(_) => true,
            LeafPlan::Metric(plan) => matches!(plan.kind(), Kind::First | Kind::Last | Kind::Points),
        }
    }

    /// Holds the times of all rows that it may need; rows outside do not matter.
    pub fn range(&self) -> TimeRange {
        let wanted = match &*self.plan {
            LeafPlan::Logs(logs) => logs.range,
            LeafPlan::Metric(metric) => metric.grid.span(),
        };
        wanted.intersect(&self.rows)
    }
}

/// Names a [`Leaf`] without its plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct LeafScope {
    /// Its place among [`Plan::leaves`].
    pub leaf: u32,
    /// Only the streams of this shard.
    pub shard: Option<StreamShard>,
    /// Only rows inside.
    pub rows: TimeRange,
}

/// What a leaf does.
#[derive(Debug)]
pub(crate) enum LeafPlan {
    Logs(LogPlan),
    Metric(Box<MetricPlan>),
}

/// A leaf that gives lines.
#[derive(Debug)]
pub(crate) struct LogPlan {
    pub(crate) selector: Selector,
    pub(crate) range: TimeRange,
    pub(crate) pipeline: Pipeline,
    pub(crate) params: Params,
}

/// A leaf that gives the windows of a range aggregation, perhaps grouped.
#[derive(Debug)]
pub(crate) struct MetricPlan {
    pub(crate) aggregation: RangeAggregation,
    pub(crate) grid: Grid,
    pub(crate) pipeline: Pipeline,
    /// Which labels the pipeline gives.
    pub(crate) extract: LabelNeeds,
    /// Which of these are kept.
    pub(crate) keep: LabelNeeds,
    /// The most series, if more need not be counted.
    pub(crate) max_series: Option<usize>,
}

impl MetricPlan {
    /// The final labels of rows whose labels no stage changes.
    pub(crate) fn final_needs(&self) -> &LabelNeeds {
        if self.keep == LabelNeeds::All { &self.extract } else { &self.keep }
    }
}

#[derive(Clone, Debug)]
pub(crate) enum Root {
    Logs,
    Metric {
        node: Node,
        /// An instant query answers a bare number.
        scalar: bool,
        /// `sort` or `sort_desc` occurs: the order of an instant vector stays.
        sorted: bool,
    },
}

/// The tree above the leaves.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Leaf(u32),
    /// The instants at which a leaf has no sample at all.
    Absent(u32, Labels),
    /// A number, which operators combine with every sample.
    Scalar(f64),
    /// One series without labels.
    Constant(f64),
    Vector {
        op: VectorOp,
        parameter: i64,
        grouping: LabelNeeds,
        inner: Box<Node>,
    },
    Binary {
        op: BinaryOp,
        modifier: BinaryModifier,
        left: Box<Node>,
        right: Box<Node>,
    },
    LabelReplace {
        inner: Box<Node>,
        destination: String,
        replacement: String,
        source: String,
        regex: Regex,
    },
    Variants(Vec<Node>),
    /// At most so many series may come from here.
    Checked(Box<Node>),
}

/// A node, and whether Loki computes it, or parts of it, apart from the rest.
struct Built {
    node: Node,
    apart: bool,
}

struct Builder<'a> {
    params: &'a Params,
    start: i64,
    steps: usize,
    leaves: Vec<LeafPlan>,
}

impl Builder<'_> {
    fn log(&self, log: &LogExpr) -> Result<LeafPlan, Error> {
        let pipeline = Pipeline::compile(&log.stages, None, &Needs::log(self.params.categorize))?;
        let range = match self.params.end_ns.checked_sub(1) {
            Some(last) => TimeRange::new(self.params.start_ns, last),
            None => TimeRange::EMPTY,
        };
        Ok(LeafPlan::Logs(LogPlan { selector: log.selector.clone(), range, pipeline, params: self.params.clone() }))
    }

    /// `checks`: whether parts that Loki computes apart are held to the series limit.
    fn metric(&mut self, expr: &MetricExpr, checks: bool) -> Result<Built, Error> {
        if let MetricExpr::Range(range) = expr
            && let Some(quotient) = average_as_quotient(range)
        {
            return self.metric(&quotient, checks);
        }
        let apart = reads_apart(expr);
        let built = match expr {
            MetricExpr::Range(range) => {
                let node = self.range(range, None, apart && checks)?;
                Built { node, apart }
            }
            MetricExpr::Vector(vector) => {
                let grouping = label_needs(vector.grouping.as_ref());
                if vector.op == VectorOp::ApproxTopk {
                    self.approx_topk()?;
                }
                match &*vector.expr {
                    MetricExpr::Range(range) if takes_grouping(vector.op, range) => {
                        let node = self.range(range, Some((vector.op, grouping)), apart && checks)?;
                        Built { node, apart }
                    }
                    inner => {
                        let inner = self.metric(inner, checks && !apart)?;
                        let parameter = vector.parameter.unwrap_or(0);
                        let node = Node::Vector { op: vector.op, parameter, grouping, inner: Box::new(inner.node) };
                        Built { node, apart: apart || inner.apart }
                    }
                }
            }
            MetricExpr::Binary(binary) => {
                let left = self.metric(&binary.left, checks)?;
                let right = self.metric(&binary.right, checks)?;
                let apart = left.apart || right.apart;
                // What Loki cannot split it computes as a whole, but apart if the other side is.
                let side = |side: Built| match apart && !side.apart && checks {
                    true => self.checked(side.node),
                    false => side.node,
                };
                let (left, right) = (side(left), side(right));
                if let (Node::Scalar(left), Node::Scalar(right)) = (&left, &right) {
                    return Ok(Built { node: Node::Scalar(scalars(binary.op, *left, *right)), apart });
                }
                let (left, right) = (Box::new(left), Box::new(right));
                let node = Node::Binary { op: binary.op, modifier: binary.modifier.clone(), left, right };
                return Ok(Built { node, apart });
            }
            MetricExpr::Literal(value) => Built { node: Node::Scalar(*value), apart: false },
            MetricExpr::VectorFn(value) => Built { node: Node::Constant(*value), apart: false },
            MetricExpr::LabelReplace(replace) => {
                let mut options = RegexOptions::LABEL_MATCHER;
                options.dot_all = false;
                let regex = Regex::new(&replace.regex, options)
                    .map_err(|e| Error::Invalid(format!("invalid regex in label_replace: {e}")))?;
                let inner = self.metric(&replace.expr, checks)?;
                let node = Node::LabelReplace {
                    inner: Box::new(inner.node),
                    destination: replace.destination.clone(),
                    replacement: replace.replacement.clone(),
                    source: replace.source.clone(),
                    regex,
                };
                return Ok(Built { node, apart: inner.apart });
            }
            MetricExpr::Variants(variants) => {
                if !self.params.variants {
                    return Err(Error::Invalid("multi variant queries are disabled for this instance".into()));
                }
                let nodes = variants
                    .variants
                    .iter()
                    .map(|v| self.metric(v, checks).map(|b| b.node))
                    .collect::<Result<_, _>>()?;
                Built { node: Node::Variants(nodes), apart: false }
            }
        };
        let node = if apart && checks { self.checked(built.node) } else { built.node };
        Ok(Built { node, apart: built.apart })
    }

    fn approx_topk(&self) -> Result<(), Error> {
        if !self.params.approx_topk {
            return Err(Error::Evaluation("approx_topk is not enabled. See -limits.shard_aggregations".into()));
        }
        if !self.params.instant {
            return Err(Error::Invalid("approx_topk is only supported for instant queries".into()));
        }
        Ok(())
    }

    fn checked(&self, node: Node) -> Node {
        match node {
            Node::Checked(_) | Node::Scalar(_) | Node::Constant(_) => node,
            node if self.params.max_series.is_none() => node,
            node => Node::Checked(Box::new(node)),
        }
    }

    /// A leaf for the aggregation, with the vector aggregation above it. `checked`: its series count against the limit.
    fn range(
        &mut self,
        range: &RangeAggregation,
        above: Option<(VectorOp, LabelNeeds)>,
        checked: bool,
    ) -> Result<Node, Error> {
        let own = label_needs_or_all(range.grouping.as_ref());
        let absent = range.op == RangeOp::AbsentOverTime;
        let (extract, keep) = match above {
            _ if absent => (LabelNeeds::All, LabelNeeds::None),
            // Loki moves the labels of a sum into the extraction, which shows in what errors are seen.
            Some((VectorOp::Sum, grouping)) => (grouping, LabelNeeds::All),
            Some((_, grouping)) => (own, grouping),
            None => (own, LabelNeeds::All),
        };
        let max_series = if checked && !self.params.partial_series { self.params.max_series } else { None };
        let same = |leaf: &LeafPlan| {
            matches!(leaf, LeafPlan::Metric(held)
                if held.aggregation == *range && held.extract == extract && held.keep == keep)
        };
        let number = match self.leaves.iter().position(same) {
            Some(at) => {
                if let Some(LeafPlan::Metric(held)) = self.leaves.get_mut(at)
                    && max_series.is_none()
                {
                    held.max_series = None;
                }
                at
            }
            None => {
                let bytes = matches!(range.op, RangeOp::BytesOverTime | RangeOp::BytesRate);
                let value = if bytes { ValueNeeds::LineBytes } else { ValueNeeds::One };
                let needs = Needs::metric(extract.clone(), value);
                let log = &range.range;
                let pipeline = Pipeline::compile(&log.log.stages, log.unwrap.as_ref(), &needs)?;
                let grid = Grid::new(self.start, self.params.step_ns, self.steps, log.range_ns, log.offset_ns);
                let aggregation = range.clone();
                let plan = MetricPlan { aggregation, grid, pipeline, extract, keep, max_series };
                self.leaves.push(LeafPlan::Metric(Box::new(plan)));
                self.leaves.len() - 1
            }
        } as u32;
        if !absent {
            return Ok(Node::Leaf(number));
        }
        Ok(Node::Absent(number, absent_labels(&range.range.log.selector)))
    }
}

/// The labels of `absent_over_time`: those that the selector fixes with a single `=`.
fn absent_labels(selector: &Selector) -> Labels {
    let matchers = selector.matchers();
    let fixed = matchers
        .iter()
        .filter(|m| m.op() == MatchOp::Equal && matchers.iter().filter(|other| other.name() == m.name()).count() == 1);
    Labels::from_pairs(fixed.map(|m| (m.name(), m.value()))).unwrap_or_default()
}

fn label_needs(grouping: Option<&Grouping>) -> LabelNeeds {
    match grouping {
        None => LabelNeeds::None,
        some => label_needs_or_all(some),
    }
}

fn label_needs_or_all(grouping: Option<&Grouping>) -> LabelNeeds {
    match grouping {
        None => LabelNeeds::All,
        Some(Grouping { without: true, labels }) if labels.is_empty() => LabelNeeds::All,
        Some(Grouping { without: true, labels }) => LabelNeeds::Without(labels.clone()),
        Some(Grouping { without: false, labels }) if labels.is_empty() => LabelNeeds::None,
        Some(Grouping { without: false, labels }) => LabelNeeds::By(labels.clone()),
    }
}

fn sorts(expr: &MetricExpr) -> bool {
    match expr {
        MetricExpr::Vector(v) => matches!(v.op, VectorOp::Sort | VectorOp::SortDesc) || sorts(&v.expr),
        MetricExpr::Binary(b) => sorts(&b.left) || sorts(&b.right),
        MetricExpr::LabelReplace(r) => sorts(&r.expr),
        MetricExpr::Variants(v) => v.variants.iter().any(sorts),
        MetricExpr::Range(_) | MetricExpr::Literal(_) | MetricExpr::VectorFn(_) => false,
    }
}
