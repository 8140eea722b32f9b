//! What a leaf gives: mergeable, and encodable so that it may come from another process.

use std::collections::HashMap;

use narvi_types::{
    Direction, Labels,
    wire::{Reader, WireError, Writer},
};

use super::{
    accumulator::{Accumulator, Bytes, Count, First, Last, Max, Min, Moments, Points, Sum, Values},
    cells::Table,
    plan::{LeafPlan, MetricPlan, Plan},
    rows::Rows,
    windows::{Formula, PointList, Windows},
};
use crate::{Charge, Error, ast::RangeOp};

/// The state of one leaf after some rows. It holds its memory reserved from the budget it was made with until dropped.
#[derive(Debug)]
pub struct Partial {
    pub(crate) leaf: u32,
    pub(crate) body: Body,
    pub(crate) error: Option<SampleError>,
    pub(crate) warnings: Vec<String>,
    pub(crate) statistics: Statistics,
    pub(crate) charges: Vec<Charge>,
}

/// What was read for an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Lines that were looked at or counted.
    pub lines: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Lines that survived the pipeline.
    pub lines_kept: u64,
    /// Parts that were found.
    pub parts: u64,
    /// Parts of which the summary told enough.
    pub parts_by_summary: u64,
    /// Parts that were left alone since the limit had been reached.
    pub parts_skipped: u64,
}

impl Statistics {
    pub(crate) fn add(&mut self, other: &Self) {
        self.lines += other.lines;
        self.bytes += other.bytes;
        self.lines_kept += other.lines_kept;
        self.parts += other.parts;
        self.parts_by_summary += other.parts_by_summary;
        self.parts_skipped += other.parts_skipped;
    }
}

/// A sample that carries `__error__`: the query fails with the first of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SampleError {
    pub(crate) ts: i64,
    pub(crate) text: String,
}

macro_rules! bodies {
    ($($kind:ident = $tag:literal),* $(,)?) => {
        /// The state itself, by family of aggregation.
        #[derive(Debug)]
        pub(crate) enum Body {
            Rows(Rows),
            $($kind(Table<$kind>),)*
        }

        /// Families of range aggregations that remember the same.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($kind,)*
        }

        impl Body {
            fn encode(&self, out: &mut Vec<u8>) {
                match self {
                    Self::Rows(rows) => {
                        out.put_u8(0);
                        rows.encode(out);
                    }
                    $(Self::$kind(table) => {
                        out.put_u8($tag);
                        table.encode(out);
                    })*
                }
            }

            fn decode(reader: &mut Reader<'_>, shape: Shape) -> Result<Self, WireError> {
                let unexpected = reader.error("kind of partial result");
                let tag = reader.u8("kind of partial result")?;
                match shape {
                    Shape::Rows { .. } if tag == 0 => Rows::decode(reader).map(Self::Rows),
                    Shape::Table { kind, cells } => match kind {
                        $(Kind::$kind if tag == $tag => Table::decode(reader, cells).map(Self::$kind),)*
                        _ => Err(unexpected),
                    },
                    Shape::Rows { .. } => Err(unexpected),
                }
            }

            /// Adds a later state of the same leaf; `None` if it is of another kind.
            pub(crate) fn merge(&mut self, later: Self, shape: Shape) -> Option<()> {
                match (self, later, shape) {
                    (Self::Rows(own), Self::Rows(later), Shape::Rows { direction, limit }) => {
                        own.merge([later], direction, limit);
                    }
                    $((Self::$kind(own), Self::$kind(later), Shape::Table { cells, .. }) => {
                        own.merge(later, cells);
                    })*
                    _ => return None,
                }
                Some(())
            }

            /// Puts what is in each cell into the one that `to` says, of so many; `None` where a cell has no place.
            pub(crate) fn moved(self, to: &HashMap<u32, Option<u32>>, cells: usize) -> Option<Self> {
                match self {
                    Self::Rows(rows) => Some(Self::Rows(rows)),
                    $(Self::$kind(table) => table.moved(to, cells).map(Self::$kind),)*
                }
            }

            /// How many rows or series there are.
            pub(crate) fn len(&self) -> usize {
                match self {
                    Self::Rows(rows) => rows.rows.len(),
                    $(Self::$kind(table) => table.series.len(),)*
                }
            }

            /// Bytes held.
            pub(crate) fn bytes(&self) -> u64 {
                match self {
                    Self::Rows(rows) => rows.bytes(),
                    $(Self::$kind(table) => table.bytes(),)*
                }
            }

            /// Calls `each` with the labels and points of every series; rows have none.
            pub(crate) fn points(&self, plan: &MetricPlan, each: &mut EachSeries<'_>) -> Result<(), Error> {
                let formula = plan.formula();
                match self {
                    Self::Rows(_) => Ok(()),
                    $(Self::$kind(table) => each_series(table, &formula, each),)*
                }
            }
        }
    };
}

bodies! {
    Count = 1,
    Bytes = 2,
    Sum = 3,
    Min = 4,
    Max = 5,
    Moments = 6,
    First = 7,
    Last = 8,
    Values = 9,
    Points = 10,
}

/// What is called with each series of a table.
pub(crate) type EachSeries<'e> = dyn FnMut(&Labels, PointList) -> Result<(), Error> + 'e;

fn each_series<A: Windows + Accumulator>(
    table: &Table<A>,
    formula: &Formula,
    each: &mut EachSeries<'_>,
) -> Result<(), Error> {
    table.series.iter().try_for_each(|(labels, cells)| each(labels, A::points(cells, formula)))
}

/// What partials of a leaf look like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// Rows in an order, the first of them.
    Rows { direction: Direction, limit: Option<usize> },
    /// Series with so many cells.
    Table { kind: Kind, cells: usize },
}

impl LeafPlan {
    /// What its partials look like.
    pub(crate) fn shape(&self) -> Shape {
        match self {
            Self::Logs(plan) => Shape::Rows { direction: plan.params.direction, limit: plan.params.limit },
            Self::Metric(plan) => Shape::Table { kind: plan.kind(), cells: plan.grid.cells() },
        }
    }
}

impl MetricPlan {
    /// What its cells remember.
    pub(crate) fn kind(&self) -> Kind {
        match self.aggregation.op {
            RangeOp::Rate if self.aggregation.range.unwrap.is_some() => Kind::Sum,
            RangeOp::CountOverTime | RangeOp::Rate | RangeOp::AbsentOverTime => Kind::Count,
            RangeOp::BytesOverTime | RangeOp::BytesRate => Kind::Bytes,
            RangeOp::SumOverTime | RangeOp::AvgOverTime => Kind::Sum,
            RangeOp::MaxOverTime => Kind::Max,
            RangeOp::MinOverTime => Kind::Min,
            RangeOp::FirstOverTime => Kind::First,
            RangeOp::LastOverTime => Kind::Last,
            RangeOp::StdvarOverTime | RangeOp::StddevOverTime => Kind::Moments,
            RangeOp::QuantileOverTime => Kind::Values,
            RangeOp::RateCounter => Kind::Points,
        }
    }

    fn formula(&self) -> Formula {
        let parameter = self.aggregation.parameter.unwrap_or(f64::NAN);
        Formula { op: self.aggregation.op, parameter, grid: self.grid }
    }
}

const VERSION: u8 = 0;

impl Partial {
    /// Which leaf of the plan it belongs to.
    pub fn leaf(&self) -> u32 {
        self.leaf
    }

    /// What was read for it.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The binary form.
    ///
    /// ```text
    /// version, u8 | leaf, varint | statistics, 6 varints | warnings | error | kind, u8 | body
    /// ```
    /// It is read back with the same plan, which says how the body must look.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.put_varint(u64::from(self.leaf));
        let s = &self.statistics;
        for number in [s.lines, s.bytes, s.lines_kept, s.parts, s.parts_by_summary, s.parts_skipped] {
            out.put_varint(number);
        }
        out.put_varint(self.warnings.len() as u64);
        self.warnings.iter().for_each(|text| out.put_str(text));
        out.put_u8(u8::from(self.error.is_some()));
        if let Some(error) = &self.error {
            out.put_zigzag(error.ts);
            out.put_str(&error.text);
        }
        self.body.encode(&mut out);
        out
    }

    /// Reads what [`Partial::encode`] wrote. Allocates no more than a small multiple of the input.
    ///
    /// # Errors
    /// The input is truncated or damaged, of another version, or belongs to another plan.
    pub fn decode(bytes: &[u8], plan: &Plan) -> Result<Self, Error> {
        Self::decode_as(bytes, |leaf| plan.leaf_plan(leaf).map(LeafPlan::shape))
    }

    /// As [`Partial::decode`], of a leaf that looks as `shape` says; `None` if there is none of that number.
    pub(crate) fn decode_as(bytes: &[u8], shape: impl Fn(u32) -> Option<Shape>) -> Result<Self, Error> {
        decode(bytes, shape).map_err(|e| Error::Evaluation(format!("cannot read a partial result: {e}")))
    }

    /// Whether it holds neither a row nor a series, and nothing that its user should know.
    pub fn is_empty(&self) -> bool {
        self.body.len() == 0 && self.is_plain()
    }

    /// Whether there is neither a warning nor an error.
    pub(crate) fn is_plain(&self) -> bool {
        self.warnings.is_empty() && self.error.is_none()
    }

    /// Adds a later partial of the same leaf.
    pub(crate) fn merge(&mut self, later: Self, shape: Shape) -> Result<(), Error> {
        self.statistics.add(&later.statistics);
        add_warnings(&mut self.warnings, later.warnings);
        self.error = [self.error.take(), later.error].into_iter().flatten().min();
        self.charges.extend(later.charges);
        self.body.merge(later.body, shape).ok_or_else(|| Error::Evaluation("partial results of different kinds".into()))
    }
}

/// Adds warnings that are not there yet; there are few.
pub(crate) fn add_warnings(own: &mut Vec<String>, more: Vec<String>) {
    for text in more {
        if !own.contains(&text) {
            own.push(text);
        }
    }
}

fn decode(bytes: &[u8], shape: impl Fn(u32) -> Option<Shape>) -> Result<Partial, WireError> {
    let mut reader = Reader::new(bytes);
    let other = reader.error("version of partial result");
    if reader.u8("version of partial result")? != VERSION {
        return Err(other);
    }
    let unknown = reader.error("number of leaf");
    let leaf = u32::try_from(reader.varint("number of leaf")?).map_err(|_| unknown)?;
    let shape = shape(leaf).ok_or(unknown)?;
    let mut number = || reader.varint("statistics");
    let statistics = Statistics {
        lines: number()?,
        bytes: number()?,
        lines_kept: number()?,
        parts: number()?,
        parts_by_summary: number()?,
        parts_skipped: number()?,
    };
    let count = reader.count(1, "number of warnings")?;
    let warnings = (0..count).map(|_| reader.str("warning").map(str::to_owned)).collect::<Result<_, _>>()?;
    let error = match reader.u8("error flag")? {
        0 => None,
        _ => Some(SampleError { ts: reader.zigzag("time of error")?, text: reader.str("error")?.to_owned() }),
    };
    let body = Body::decode(&mut reader, shape)?;
    if !reader.is_empty() {
        return Err(reader.error("end of partial result"));
    }
    Ok(Partial { leaf, body, error, warnings, statistics, charges: Vec::new() })
}
