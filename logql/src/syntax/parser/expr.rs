//! Expressions: operators by precedence, calls, literals, parentheses.

use super::{Parser, refused};
use crate::{
    Error,
    ast::{
        Binary, BinaryModifier, BinaryOp, Expr, GroupSide, Grouping, LabelReplace, MetricExpr, VectorAggregation,
        VectorMatching, VectorOp,
    },
    syntax::{
        check,
        lexer::{Function, Token},
    },
    value::parse_float,
};

/// An expression and the height of its tree. Boxed: these lie on the stack many times over in deep queries.
type Parsed = (Box<Expr>, u32);
/// The same of what gives numbers.
pub(super) type ParsedMetric = (Box<MetricExpr>, u32);

impl<'q> Parser<'q> {
    /// A whole query.
    pub(super) fn query(&mut self) -> Result<Expr, Error> {
        if self.peek_key()? == Some("variants") {
            let start = self.start()?;
            let (variants, height) = self.variants()?;
            return Ok(*self.operators_after(start, (Box::new(Expr::Metric(*variants)), height), 0)?.0);
        }
        Ok(*self.expression(0)?.0)
    }

    /// An expression that must give numbers.
    pub(super) fn metric(&mut self) -> Result<ParsedMetric, Error> {
        let parsed = self.nested(|p| p.expression(0))?;
        self.must_be_metric(parsed)
    }

    /// After a log expression only an operator could make it a metric one, and there is none.
    #[inline(never)]
    fn must_be_metric(&mut self, (expr, height): Parsed) -> Result<ParsedMetric, Error> {
        match *expr {
            Expr::Metric(metric) => Ok((Box::new(metric), height)),
            Expr::Log(_) => self.unexpected(""),
        }
    }

    /// An expression of operators that bind at least so tightly.
    fn expression(&mut self, least: u8) -> Result<Parsed, Error> {
        let start = self.start()?;
        let left = self.operand()?;
        self.operators_after(start, left, least)
    }

    /// The operators after an operand that begins at `start`.
    fn operators_after(&mut self, start: usize, mut left: Parsed, least: u8) -> Result<Parsed, Error> {
        while let Some(op) = self.peek_key()?.and_then(BinaryOp::of)
            && op.precedence() >= least
        {
            self.take();
            let modifier = self.modifier()?;
            let above = if op.is_right_associative() { op.precedence() } else { op.precedence() + 1 };
            let right = self.nested(|p| p.expression(above))?;
            left = self.join(start, op, modifier, left, right)?;
        }
        Ok(left)
    }

    #[inline(never)]
    fn join(
        &mut self,
        start: usize,
        op: BinaryOp,
        modifier: BinaryModifier,
        left: Parsed,
        right: Parsed,
    ) -> Result<Parsed, Error> {
        let joined = self.note(start, binary(op, modifier, *left.0, *right.0)).unwrap_or(MetricExpr::VectorFn(0.0));
        let height = if matches!(joined, MetricExpr::Literal(_)) { 1 } else { self.above(&[left.1, right.1])? };
        Ok((Box::new(Expr::Metric(joined)), height))
    }

    fn operand(&mut self) -> Result<Parsed, Error> {
        let metric = |(expr, height): ParsedMetric| (Box::new(Expr::Metric(*expr)), height);
        match *self.peek()? {
            Token::Key("{") => self.log().map(|(log, height)| (Box::new(Expr::Log(log)), height)),
            Token::Key("(") => {
                self.take();
                let inner = self.nested(|p| p.expression(0))?;
                self.expect(")", "")?;
                Ok(inner)
            }
            Token::Number(_) | Token::Key("+" | "-") => self.literal().map(metric),
            Token::Function(Function::Range(op)) => self.range_aggregation(op).map(metric),
            Token::Function(Function::Vector(op)) => self.vector_aggregation(op).map(metric),
            Token::Function(Function::LabelReplace) => self.label_replace().map(metric),
            Token::Function(Function::VectorFn) => self.vector_fn().map(metric),
            _ => self.unexpected(""),
        }
    }

    /// A number with or without a sign: whether it is negative, and the number as written.
    pub(super) fn signed_number(&mut self) -> Result<(bool, &'q str), Error> {
        let negative = self.peek_key()? == Some("-");
        if negative || self.peek_key()? == Some("+") {
            self.take();
        }
        let Token::Number(text) = *self.peek()? else { return self.unexpected("NUMBER") };
        self.take();
        Ok((negative, text))
    }

    #[inline(never)]
    fn literal(&mut self) -> Result<ParsedMetric, Error> {
        let start = self.start()?;
        let (negative, text) = self.signed_number()?;
        let value = self.note(start, float(text)).unwrap_or(0.0);
        Ok((Box::new(MetricExpr::Literal(if negative { -value } else { value })), 1))
    }

    #[inline(never)]
    fn vector_fn(&mut self) -> Result<ParsedMetric, Error> {
        let start = self.start()?;
        self.take();
        self.expect("(", "(")?;
        let Token::Number(text) = *self.peek()? else { return self.unexpected("NUMBER") };
        self.take();
        self.expect(")", ")")?;
        let value = self.note(start, float(text)).unwrap_or(0.0);
        Ok((Box::new(MetricExpr::VectorFn(value)), 1))
    }

    #[inline(never)]
    fn vector_aggregation(&mut self, op: VectorOp) -> Result<ParsedMetric, Error> {
        let start = self.start()?;
        self.take();
        let mut grouping = self.grouping()?;
        self.expect("(", "(")?;
        let mut parameter = None;
        let (expr, height) = if let Token::Number(text) = *self.peek()? {
            let inner = self.start()?;
            self.take();
            if self.eat(",")? {
                parameter = Some(text);
                self.metric()?
            } else {
                let value = self.note(inner, float(text)).unwrap_or(0.0);
                let literal = (Box::new(Expr::Metric(MetricExpr::Literal(value))), 1);
                let parsed = self.nested(|p| p.operators_after(inner, literal, 0))?;
                self.must_be_metric(parsed)?
            }
        } else {
            self.metric()?
        };
        self.expect(")", "")?;
        if grouping.is_none() {
            grouping = self.grouping()?;
        }
        let parameter = self.note(start, check_vector(op, parameter, grouping.as_ref())).flatten();
        let aggregation = VectorAggregation { op, parameter, expr, grouping };
        Ok((Box::new(MetricExpr::Vector(aggregation)), self.above(&[height])?))
    }

    /// `by (...)` or `without (...)`, if it comes next.
    #[inline(never)]
    pub(super) fn grouping(&mut self) -> Result<Option<Grouping>, Error> {
        let without = match self.peek_key()? {
            Some("by") => false,
            Some("without") => true,
            _ => return Ok(None),
        };
        self.take();
        self.expect("(", "(")?;
        Ok(Some(Grouping { without, labels: self.names()? }))
    }

    /// Names up to and including `)`.
    fn names(&mut self) -> Result<Vec<String>, Error> {
        let mut names = Vec::new();
        if self.eat(")")? {
            return Ok(names);
        }
        let mut expecting = "IDENTIFIER or )";
        loop {
            names.push(self.expect_name(expecting)?.to_owned());
            if self.eat(")")? {
                return Ok(names);
            }
            self.expect(",", ", or )")?;
            expecting = "IDENTIFIER";
        }
    }

    #[inline(never)]
    fn label_replace(&mut self) -> Result<ParsedMetric, Error> {
        let start = self.start()?;
        self.take();
        self.expect("(", "(")?;
        let (expr, height) = self.metric()?;
        let mut argument = || -> Result<String, Error> {
            self.expect(",", ",")?;
            self.expect_text("STRING")
        };
        let (destination, replacement) = (argument()?, argument()?);
        let (source, regex) = (argument()?, argument()?);
        self.expect(")", ")")?;
        let compiled = check::anchored_regex(&regex);
        self.note(start, compiled.map_err(|e| refused(format!("invalid regex in label_replace: {e}"))));
        let replace = LabelReplace { expr: *expr, destination, replacement, source, regex };
        Ok((Box::new(MetricExpr::LabelReplace(Box::new(replace))), self.above(&[height])?))
    }

    /// `bool`, `on (...)`, `group_left (...)` and so on after an operator.
    #[inline(never)]
    fn modifier(&mut self) -> Result<BinaryModifier, Error> {
        let return_bool = self.eat("bool")?;
        let on = match self.peek_key()? {
            Some("on") => true,
            Some("ignoring") => false,
            _ => return Ok(BinaryModifier { return_bool, matching: None }),
        };
        self.take();
        self.expect("(", "(")?;
        let labels = self.names()?;
        let left = match self.peek_key()? {
            Some("group_left") => Some(true),
            Some("group_right") => Some(false),
            _ => None,
        };
        let mut group = None;
        if let Some(left) = left {
            self.take();
            let include = if self.eat("(")? { self.names()? } else { Vec::new() };
            group = Some(GroupSide { left, include });
        }
        Ok(BinaryModifier { return_bool, matching: Some(VectorMatching { on, labels, group }) })
    }
}

fn float(text: &str) -> Result<f64, Error> {
    parse_float(text.as_bytes()).map_err(|e| refused(format!("unable to parse literal as a float: {e}")))
}

/// The k of `topk`; other aggregations have none.
fn check_vector(op: VectorOp, parameter: Option<&str>, grouping: Option<&Grouping>) -> Result<Option<i64>, Error> {
    let name = op.as_str();
    let parameter = match (op.takes_parameter(), parameter) {
        (true, None) => return Err(refused(format!("parameter required for operation {name}"))),
        (true, Some(text)) => match text.parse::<i64>() {
            Ok(k) if k > 0 => Some(k),
            Ok(_) => return Err(refused(format!("invalid parameter (must be greater than 0) {name}({text}"))),
            Err(_) => return Err(refused(format!("invalid parameter {name}({text},"))),
        },
        (false, Some(text)) => return Err(refused(format!("unsupported parameter for operation {name}({text},"))),
        (false, None) => None,
    };
    let groups = grouping.is_some_and(|g| g.without || !g.labels.is_empty());
    if grouping.is_some() && op == VectorOp::ApproxTopk {
        return Err(refused(format!("grouping not allowed for {name} aggregation")));
    }
    if groups && matches!(op, VectorOp::Sort | VectorOp::SortDesc) {
        return Err(refused("sort and sort_desc doesn't allow grouping by "));
    }
    Ok(parameter)
}

/// Joins two operands; numbers are computed at once, as Loki does.
#[inline(never)]
fn binary(op: BinaryOp, modifier: BinaryModifier, left: Expr, right: Expr) -> Result<MetricExpr, Error> {
    let left = operand_of(op, "left", left)?;
    let right = operand_of(op, "right", right)?;
    if op.is_set() {
        for (side, operand) in [("left", &left), ("right", &right)] {
            if let MetricExpr::Literal(value) = operand {
                return Err(refused(format!(
                    "unexpected literal for {side} leg of logical/set binary operation ({}): {value:.6}",
                    op.as_str()
                )));
            }
        }
    }
    if let (MetricExpr::Literal(left), MetricExpr::Literal(right)) = (&left, &right) {
        return Ok(MetricExpr::Literal(op.fold(*left, *right)));
    }
    Ok(MetricExpr::Binary(Box::new(Binary { op, left, right, modifier })))
}

fn operand_of(op: BinaryOp, side: &str, operand: Expr) -> Result<MetricExpr, Error> {
    match operand {
        Expr::Metric(metric) => Ok(metric),
        Expr::Log(log) => {
            let kind = if log.stages.is_empty() { "MatchersExpr" } else { "PipelineExpr" };
            Err(refused(format!(
                "unexpected type for {side} leg of binary operation ({}): *syntax.{kind}",
                op.as_str()
            )))
        }
    }
}
