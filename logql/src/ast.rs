//! The syntax tree of LogQL: what the parser makes, the printer prints and the planner reads. Plain data.

use narvi_types::{Matcher, Selector};

/// A whole query.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature: a new kind of query must be handled everywhere")]
pub enum Expr {
    /// `{...} | ...`: gives log lines.
    Log(LogExpr),
    /// Gives numbers.
    Metric(MetricExpr),
}

/// A selector and its pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct LogExpr {
    /// Which streams.
    pub selector: Selector,
    /// What is done to each line, in the order written.
    pub stages: Vec<Stage>,
}

/// One step of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum Stage {
    /// `|= "x" or "y"`, `|~`, `|>`, ...
    LineFilter(LineFilter),
    /// `| json`, `| json a="b.c"`.
    Json(Vec<Extraction>),
    /// `| logfmt [--strict] [--keep-empty] [a="b"]`.
    Logfmt {
        /// Stop at the first malformed pair.
        strict: bool,
        /// Keep keys without a value.
        keep_empty: bool,
        /// Only these, if any.
        extractions: Vec<Extraction>,
    },
    /// `| regexp "..."`.
    Regexp(String),
    /// `| pattern "..."`.
    Pattern(String),
    /// `| unpack`.
    Unpack,
    /// `| level="error" and size > 1KB`.
    LabelFilter(LabelFilter),
    /// `| line_format "..."`.
    LineFormat(String),
    /// `| label_format a=b, c="..."`.
    LabelFormat(Vec<LabelFormat>),
    /// `| decolorize`.
    Decolorize,
    /// `| drop a, b="x"`.
    Drop(Vec<NameOrMatcher>),
    /// `| keep a, b="x"`.
    Keep(Vec<NameOrMatcher>),
}

/// `name="expression"` of `json` and `logfmt`; a bare name stands for itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extraction {
    /// Label to set.
    pub label: String,
    /// Path or key to read.
    pub expression: String,
}

/// How a line filter compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LineMatch {
    /// `|=`
    Contains,
    /// `!=`
    NotContains,
    /// `|~`
    Regex,
    /// `!~`
    NotRegex,
    /// `|>`
    Pattern,
    /// `!>`
    NotPattern,
}

/// A line filter with its `or` alternatives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFilter {
    /// The operator.
    pub op: LineMatch,
    /// What follows it: one operand, or several joined by `or`.
    pub operands: Vec<LineOperand>,
}

/// What a line filter looks for. Bytes, since a literal may hold `"\xff"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineOperand {
    /// The text, regular expression, pattern, or address pattern.
    pub value: Vec<u8>,
    /// Written as `ip("...")`.
    pub ip: bool,
}

/// A condition on labels in a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelFilter {
    /// `name = "x"`, `=~`, ...
    String(Matcher),
    /// `name > 5`.
    Number(Comparison<f64>),
    /// `name > 5s`; nanoseconds.
    Duration(Comparison<i64>),
    /// `name > 5KB`; bytes.
    Bytes(Comparison<u64>),
    /// `name = ip("...")`.
    Ip {
        /// Label.
        name: String,
        /// `!=` instead of `=`.
        negated: bool,
        /// Address pattern.
        pattern: String,
    },
    /// Both.
    And(Box<LabelFilter>, Box<LabelFilter>, Conjunction),
    /// Either.
    Or(Box<LabelFilter>, Box<LabelFilter>),
}

/// How a conjunction was written; kept so that the printer can follow Loki.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conjunction {
    /// `a and b`
    And,
    /// `a, b`
    Comma,
    /// `a b`
    Space,
}

/// A comparison of a converted label value with a literal.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison<T> {
    /// Label.
    pub name: String,
    /// Operator.
    pub op: CompareOp,
    /// Literal.
    pub value: T,
}

/// Comparison operators of label filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum CompareOp {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
}

/// One assignment of `label_format`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LabelFormat {
    /// `to=from`.
    Rename {
        /// New name.
        to: String,
        /// Old name.
        from: String,
    },
    /// `to="template"`.
    Template {
        /// Label to set.
        to: String,
        /// Template text.
        template: String,
    },
}

/// An operand of `drop` and `keep`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameOrMatcher {
    /// A bare name.
    Name(String),
    /// A condition on the value.
    Matcher(Matcher),
}

/// `{...} | ... [5m] offset 1m`, perhaps with `unwrap`.
#[derive(Clone, Debug, PartialEq)]
pub struct LogRange {
    /// The lines.
    pub log: LogExpr,
    /// Length of the window in nanoseconds.
    pub range_ns: i64,
    /// Shift into the past in nanoseconds; 0 if none.
    pub offset_ns: i64,
    /// The value to take instead of the line.
    pub unwrap: Option<Unwrap>,
}

/// `| unwrap duration(x) | y="z"`.
#[derive(Clone, Debug, PartialEq)]
pub struct Unwrap {
    /// Label to read.
    pub label: String,
    /// Conversion.
    pub conversion: Conversion,
    /// Label filters after it.
    pub post_filters: Vec<LabelFilter>,
}

/// Conversions of `unwrap`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conversion {
    /// A float.
    None,
    /// `bytes(x)`.
    Bytes,
    /// `duration(x)`.
    Duration,
    /// `duration_seconds(x)`.
    DurationSeconds,
}

/// An expression that gives numbers.
#[derive(Clone, Debug, PartialEq)]
pub enum MetricExpr {
    /// `rate({...}[5m])`.
    Range(RangeAggregation),
    /// `sum by (a) (...)`.
    Vector(VectorAggregation),
    /// `a + b`.
    Binary(Box<Binary>),
    /// `1.5`.
    Literal(f64),
    /// `vector(1.5)`.
    VectorFn(f64),
    /// `label_replace(expr, dst, replacement, src, regex)`.
    LabelReplace(Box<LabelReplace>),
    /// `variants(a, b) of (range)`.
    Variants(Box<Variants>),
}

/// An aggregation over the window of each series.
#[derive(Clone, Debug, PartialEq)]
pub struct RangeAggregation {
    /// Which.
    pub op: RangeOp,
    /// The q of `quantile_over_time`.
    pub parameter: Option<f64>,
    /// Over what.
    pub range: LogRange,
    /// `by`, `without`; `None` if not written.
    pub grouping: Option<Grouping>,
}

/// The range aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are LogQL's")]
pub enum RangeOp {
    CountOverTime,
    Rate,
    BytesOverTime,
    BytesRate,
    AbsentOverTime,
    SumOverTime,
    AvgOverTime,
    MaxOverTime,
    MinOverTime,
    FirstOverTime,
    LastOverTime,
    StdvarOverTime,
    StddevOverTime,
    QuantileOverTime,
    RateCounter,
}

/// An aggregation over series at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct VectorAggregation {
    /// Which.
    pub op: VectorOp,
    /// The k of topk, bottomk and approx_topk.
    pub parameter: Option<i64>,
    /// Over what.
    pub expr: Box<MetricExpr>,
    /// `by`, `without`; `None` if not written.
    pub grouping: Option<Grouping>,
}

/// The vector aggregations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are LogQL's")]
pub enum VectorOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Stddev,
    Stdvar,
    Topk,
    Bottomk,
    ApproxTopk,
    Sort,
    SortDesc,
}

/// `by (a, b)` or `without (a, b)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// `without` instead of `by`.
    pub without: bool,
    /// The names, in the order written.
    pub labels: Vec<String>,
}

/// An operator between two metric expressions.
#[derive(Clone, Debug, PartialEq)]
pub struct Binary {
    /// Which.
    pub op: BinaryOp,
    /// Left operand.
    pub left: MetricExpr,
    /// Right operand.
    pub right: MetricExpr,
    /// Modifiers.
    pub modifier: BinaryModifier,
}

/// The binary operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it")]
pub enum BinaryOp {
    Or,
    And,
    Unless,
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
}

/// `bool`, `on`, `ignoring`, `group_left`, `group_right`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BinaryModifier {
    /// Comparisons give 0 and 1 instead of filtering.
    pub return_bool: bool,
    /// `on` or `ignoring`; `None` if neither was written.
    pub matching: Option<VectorMatching>,
}

/// How the samples of two vectors are paired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VectorMatching {
    /// `on` instead of `ignoring`.
    pub on: bool,
    /// The names.
    pub labels: Vec<String>,
    /// `group_left` or `group_right`.
    pub group: Option<GroupSide>,
}

/// The many side of a many-to-one match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSide {
    /// `group_left`: the left side has many.
    pub left: bool,
    /// Labels to take over from the one side.
    pub include: Vec<String>,
}

/// `label_replace(...)`.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelReplace {
    /// Over what.
    pub expr: MetricExpr,
    /// Label to set.
    pub destination: String,
    /// Replacement with `$1`.
    pub replacement: String,
    /// Label to read.
    pub source: String,
    /// Anchored regular expression.
    pub regex: String,
}

/// `variants(...) of (...)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Variants {
    /// The aggregations.
    pub variants: Vec<MetricExpr>,
    /// The lines they share.
    pub range: LogRange,
}
