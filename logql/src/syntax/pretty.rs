//! `format_query`: a query over several lines where one line would be too long.

use std::fmt::{self, Write};

use narvi_types::go_quote;

use super::print::{self, Form, Printer};
use crate::ast::{
    Binary, Expr, LabelReplace, LogExpr, LogRange, MetricExpr, RangeAggregation, Stage, Unwrap, Variants,
    VectorAggregation,
};

/// What is longer is broken into lines.
const MAX_LINE_BYTES: usize = 100;

/// Formats a query as Loki's `format_query` does.
///
/// Like Loki's it rounds sizes (`1.5KiB` becomes `1.5kB`) and writes what an operator computes of two numbers as
/// `NaN` or `+Inf`, which no parser reads; use `Display` for a query that is to be read by a program. Unlike
/// Loki's it keeps the parentheses that operators need when they are written on several lines.
pub fn pretty(expr: &Expr) -> String {
    let mut out = String::new();
    match expr {
        Expr::Log(log) => log_at(&mut out, log, 0),
        Expr::Metric(metric) => metric_at(&mut out, metric, 0),
    }
    out
}

/// Writes the indentation of a level.
fn indent(out: &mut String, level: usize) {
    (0..level).for_each(|_| out.push_str("  "));
}

/// Writes in Loki's form.
fn put(out: &mut String, print: impl FnOnce(&mut Printer<'_>) -> fmt::Result) {
    // Writing to a string cannot fail.
    let _ = print(&mut Printer::new(out, Form::Loki));
}

/// Writes an indented line, unless it is too long: then nothing, and the answer is false.
fn one_line(out: &mut String, level: usize, print: impl Fn(&mut Printer<'_>) -> fmt::Result) -> bool {
    let before = out.len();
    indent(out, level);
    let mut line = Line { out, room: MAX_LINE_BYTES };
    let fits = print(&mut Printer::new(&mut line, Form::Loki)).is_ok();
    if !fits {
        out.truncate(before);
    }
    fits
}

/// Takes no more text than fits, so that a deep query is not printed again and again.
struct Line<'o> {
    out: &'o mut String,
    room: usize,
}

impl Write for Line<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.room = self.room.checked_sub(text.len()).ok_or(fmt::Error)?;
        self.out.push_str(text);
        Ok(())
    }
}

fn log_at(out: &mut String, log: &LogExpr, level: usize) {
    if one_line(out, level, |p| p.log(log)) {
        return;
    }
    indent(out, level);
    out.push_str(&log.selector.to_string());
    let mut after_line_filter = false;
    for stage in &log.stages {
        // Neighbouring line filters are one stage to Loki.
        let is_line_filter = matches!(stage, Stage::LineFilter(_));
        if is_line_filter && after_line_filter {
            out.push(' ');
        } else {
            out.push('\n');
            indent(out, level + 1);
        }
        put(out, |p| p.stage(stage));
        after_line_filter = is_line_filter;
    }
}

fn range_at(out: &mut String, range: &LogRange, level: usize) {
    log_at(out, &range.log, level);
    if let Some(unwrap) = &range.unwrap {
        out.push('\n');
        unwrap_at(out, unwrap, level + 1);
    }
    out.push(' ');
    put(out, |p| p.window(range));
}

fn unwrap_at(out: &mut String, unwrap: &Unwrap, level: usize) {
    indent(out, level);
    put(out, |p| p.unwrap_alone(unwrap));
    for filter in &unwrap.post_filters {
        out.push('\n');
        indent(out, level);
        out.push_str("| ");
        put(out, |p| p.label_filter(filter));
    }
}

fn metric_at(out: &mut String, metric: &MetricExpr, level: usize) {
    let always_broken = matches!(metric, MetricExpr::Variants(_));
    if !always_broken && one_line(out, level, |p| p.metric(metric)) {
        return;
    }
    match metric {
        MetricExpr::Range(aggregation) => range_aggregation_at(out, aggregation, level),
        MetricExpr::Vector(aggregation) => vector_aggregation_at(out, aggregation, level),
        MetricExpr::Binary(binary) => binary_at(out, binary, level),
        MetricExpr::LabelReplace(replace) => label_replace_at(out, replace, level),
        MetricExpr::Variants(variants) => variants_at(out, variants, level),
        MetricExpr::Literal(_) | MetricExpr::VectorFn(_) => {
            indent(out, level);
            put(out, |p| p.metric(metric));
        }
    }
}

fn range_aggregation_at(out: &mut String, aggregation: &RangeAggregation, level: usize) {
    indent(out, level);
    out.push_str(aggregation.op.as_str());
    out.push_str("(\n");
    if let Some(parameter) = aggregation.parameter {
        indent(out, level + 1);
        put(out, |p| p.metric(&MetricExpr::Literal(parameter)));
        out.push_str(",\n");
    }
    range_at(out, &aggregation.range, level + 1);
    close(out, level);
    if let Some(grouping) = &aggregation.grouping {
        put(out, |p| p.grouping(grouping, ", "));
    }
}

fn vector_aggregation_at(out: &mut String, aggregation: &VectorAggregation, level: usize) {
    indent(out, level);
    out.push_str(aggregation.op.as_str());
    if let Some(grouping) = &aggregation.grouping {
        put(out, |p| p.grouping(grouping, ", "));
    }
    out.push_str("(\n");
    if let Some(parameter) = aggregation.parameter {
        indent(out, level + 1);
        out.push_str(&format!("{parameter},\n"));
    }
    metric_at(out, &aggregation.expr, level + 1);
    close(out, level);
}

fn label_replace_at(out: &mut String, replace: &LabelReplace, level: usize) {
    indent(out, level);
    out.push_str("label_replace(\n");
    metric_at(out, &replace.expr, level + 1);
    for argument in replace.arguments() {
        out.push_str(",\n");
        indent(out, level + 1);
        // Writing to a string cannot fail.
        let _ = go_quote(out, argument);
    }
    close(out, level);
}

/// The parenthesis that ends a call, on a line of its own.
fn close(out: &mut String, level: usize) {
    out.push('\n');
    indent(out, level);
    out.push(')');
}

fn binary_at(out: &mut String, binary: &Binary, level: usize) {
    operand_at(out, binary, true, level + 1);
    out.push('\n');
    indent(out, level);
    out.push_str(&print::operator(binary));
    out.push('\n');
    operand_at(out, binary, false, level + 1);
}

/// An operand, in parentheses where they are needed; on one line it has its own.
fn operand_at(out: &mut String, parent: &Binary, left: bool, level: usize) {
    let operand = if left { &parent.left } else { &parent.right };
    if one_line(out, level, |p| p.metric(operand)) {
        return;
    }
    if !parent.needs_parentheses(left) {
        return metric_at(out, operand, level);
    }
    indent(out, level);
    out.push_str("(\n");
    metric_at(out, operand, level + 1);
    close(out, level);
}

fn variants_at(out: &mut String, variants: &Variants, level: usize) {
    indent(out, level);
    out.push_str("variants(\n");
    for (at, variant) in variants.variants.iter().enumerate() {
        if at > 0 {
            out.push_str(",\n");
        }
        metric_at(out, variant, level + 1);
    }
    close(out, level);
    out.push_str(" of (\n");
    range_at(out, &variants.range, level + 1);
    close(out, level);
}
