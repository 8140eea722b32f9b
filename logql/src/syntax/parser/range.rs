//! Log ranges, `{...} | ... [5m] offset 1m`, and the aggregations over them.

use super::{Parser, expr::ParsedMetric, pipeline::Pipeline, refused};
use crate::{
    Error,
    ast::{LogExpr, LogRange, MetricExpr, RangeAggregation, RangeOp, Variants},
    syntax::lexer::Token,
    value::parse_float,
};

impl Parser<'_> {
    /// `rate({...}[5m])`, whose function name comes next, and the height of its tree.
    #[inline(never)]
    pub(super) fn range_aggregation(&mut self, op: RangeOp) -> Result<ParsedMetric, Error> {
        let start = self.start()?;
        self.take();
        self.expect("(", "(")?;
        let mut parameter = None;
        let mut expecting = "NUMBER or { or (";
        if let Token::Number(text) = *self.peek()? {
            self.take();
            self.expect(",", ",")?;
            parameter = Some(text);
            expecting = "{ or (";
        }
        let (range, height) = self.log_range(expecting)?;
        self.expect(")", ")")?;
        let grouping = self.grouping()?;
        let quantile = check_parameter(op, parameter);
        let parameter = self.note(start, quantile).flatten();
        let aggregation = RangeAggregation { op, parameter, range, grouping };
        if self.flaw.as_ref().is_none_or(|(known, _)| *known != start) {
            self.note(start, check_aggregation(&aggregation));
        }
        Ok((Box::new(MetricExpr::Range(aggregation)), self.above(&[height])?))
    }

    /// A log range; the brackets may stand before or after the pipeline, the whole may stand in parentheses.
    fn log_range(&mut self, expecting: &str) -> Result<(LogRange, u32), Error> {
        match self.peek_key()? {
            Some("{") => self.open_log_range(),
            Some("(") => {
                self.take();
                if self.peek_key()? == Some("(") {
                    let parsed = self.nested(|p| p.log_range("{ or ("))?;
                    self.expect(")", ")")?;
                    return Ok(parsed);
                }
                self.closed_log_range()
            }
            _ => self.unexpected(expecting),
        }
    }

    /// A range after its `(`: `({...} | json) [5m]` or `({...} | json [5m])`.
    fn closed_log_range(&mut self) -> Result<(LogRange, u32), Error> {
        if self.peek_key()? != Some("{") {
            return self.unexpected("{ or (");
        }
        let selector = self.selector()?;
        let mut pipeline = Pipeline::default();
        self.pipeline(&mut pipeline, true)?;
        if !self.eat(")")? {
            let parsed = self.rest_of_range(selector, pipeline, "")?;
            self.expect(")", ")")?;
            return Ok(parsed);
        }
        self.rest_of_range(selector, pipeline, "RANGE")
    }

    /// A range without parentheses.
    fn open_log_range(&mut self) -> Result<(LogRange, u32), Error> {
        let selector = self.selector()?;
        let mut pipeline = Pipeline::default();
        self.pipeline(&mut pipeline, true)?;
        let bare_unwrap = pipeline.unwrap.as_ref().is_some_and(|u| u.post_filters.is_empty());
        self.rest_of_range(selector, pipeline, if bare_unwrap { "RANGE or |" } else { "" })
    }

    /// The brackets, the offset, and the pipeline if it comes after them.
    fn rest_of_range(
        &mut self,
        selector: narvi_types::Selector,
        mut pipeline: Pipeline,
        expecting: &str,
    ) -> Result<(LogRange, u32), Error> {
        let Token::Range(range_ns) = *self.peek()? else { return self.unexpected(expecting) };
        self.take();
        let mut offset_ns = 0;
        if self.eat("offset")? {
            let Token::Duration(duration) = *self.peek()? else { return self.unexpected("DURATION") };
            self.take();
            offset_ns = duration;
        }
        if pipeline.unwrap.is_none() && pipeline.stages.is_empty() {
            self.pipeline(&mut pipeline, true)?;
        }
        let log = LogExpr { selector, stages: pipeline.stages };
        Ok((LogRange { log, range_ns, offset_ns, unwrap: pipeline.unwrap }, pipeline.height + 1))
    }

    /// `variants(a, b) of (range)`, whose first word comes next.
    #[inline(never)]
    pub(super) fn variants(&mut self) -> Result<ParsedMetric, Error> {
        self.take();
        self.expect("(", "(")?;
        let mut variants = Vec::new();
        let mut heights = Vec::new();
        loop {
            let (variant, height) = self.metric()?;
            variants.push(*variant);
            heights.push(height);
            if !self.eat(",")? {
                break;
            }
        }
        self.expect(")", "")?;
        self.expect("of", "of")?;
        self.expect("(", "(")?;
        let (range, height) = self.log_range("{ or (")?;
        self.expect(")", ")")?;
        heights.push(height);
        let height = self.above(&heights)?;
        Ok((Box::new(MetricExpr::Variants(Box::new(Variants { variants, range }))), height))
    }
}

/// The q of a quantile; other aggregations have none.
fn check_parameter(op: RangeOp, parameter: Option<&str>) -> Result<Option<f64>, Error> {
    let name = op.as_str();
    match (op, parameter) {
        (RangeOp::QuantileOverTime, Some(text)) => match parse_float(text.as_bytes()) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(refused(format!("invalid parameter for operation {name}: {error}"))),
        },
        (RangeOp::QuantileOverTime, None) => Err(refused(format!("parameter required for operation {name}"))),
        (_, Some(text)) => Err(refused(format!("parameter {text} not supported for operation {name}"))),
        (_, None) => Ok(None),
    }
}

fn check_aggregation(aggregation: &RangeAggregation) -> Result<(), Error> {
    let op = aggregation.op;
    if aggregation.grouping.is_some() && !op.allows_grouping() {
        return Err(refused(format!("grouping not allowed for {} aggregation", op.as_str())));
    }
    let unwraps = aggregation.range.unwrap.is_some();
    if unwraps && !op.works_on_values() {
        return Err(refused(format!("invalid aggregation {} with unwrap", op.as_str())));
    }
    if !unwraps && !op.works_on_lines() {
        return Err(refused(format!("invalid aggregation {} without unwrap", op.as_str())));
    }
    Ok(())
}
