//! Writes the syntax tree as a query on one line.
//!
//! In the exact form, which is what `Display` gives, everything reads back as the same tree, and there are no more
//! parentheses than that needs, so that what can be parsed can be parsed again. In Loki's form sizes are rounded, all
//! conjunctions of label filters become commas, negative line filters with `or` are written apart, and numbers may be
//! `NaN`: that is what `format_query` and error texts show.

use std::fmt::{self, Display, Write};

use narvi_types::go_quote;

use super::brackets::Joint;
use crate::{
    ast::{
        Binary, BinaryModifier, BinaryOp, CompareOp, Expr, Extraction, Grouping, LabelFilter, LabelFormat,
        LabelReplace, LineFilter, LineMatch, LineOperand, LogExpr, LogRange, MetricExpr, NameOrMatcher,
        RangeAggregation, RangeOp, Stage, Unwrap, Variants, VectorAggregation, VectorOp,
    },
    value::{
        FloatFormat, parse_bytes, quote, write_bytes_si, write_float, write_go_duration, write_prometheus_duration,
    },
};

/// Which form is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Exact,
    Loki,
}

/// Writes to `out` in one form.
pub(super) struct Printer<'o> {
    out: &'o mut dyn Write,
    form: Form,
}

/// Prints in Loki's form.
pub(super) fn loki(print: impl FnOnce(&mut Printer<'_>) -> fmt::Result) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = print(&mut Printer { out: &mut out, form: Form::Loki });
    out
}

impl<'o> Printer<'o> {
    pub(super) fn new(out: &'o mut dyn Write, form: Form) -> Self {
        Self { out, form }
    }

    pub(super) fn expr(&mut self, expr: &Expr) -> fmt::Result {
        match expr {
            Expr::Log(log) => self.log(log),
            Expr::Metric(metric) => self.metric(metric),
        }
    }

    pub(super) fn log(&mut self, log: &LogExpr) -> fmt::Result {
        write!(self.out, "{}", log.selector)?;
        for stage in &log.stages {
            self.out.write_str(" ")?;
            self.stage(stage)?;
        }
        Ok(())
    }

    pub(super) fn stage(&mut self, stage: &Stage) -> fmt::Result {
        match stage {
            Stage::LineFilter(filter) => return self.line_filter(filter),
            _ => self.out.write_str("| ")?,
        }
        match stage {
            Stage::LineFilter(_) => Ok(()),
            Stage::Json(extractions) => {
                self.out.write_str("json")?;
                self.extractions(extractions)
            }
            Stage::Logfmt { strict, keep_empty, extractions } => {
                self.out.write_str("logfmt")?;
                self.out.write_str(if *strict { " --strict" } else { "" })?;
                self.out.write_str(if *keep_empty { " --keep-empty" } else { "" })?;
                self.extractions(extractions)
            }
            Stage::Regexp(expression) => self.word_and_text("regexp ", expression),
            Stage::Pattern(expression) => self.word_and_text("pattern ", expression),
            Stage::Unpack => self.out.write_str("unpack"),
            Stage::LabelFilter(filter) => self.label_filter(filter),
            Stage::LineFormat(template) => self.word_and_text("line_format ", template),
            Stage::LabelFormat(formats) => {
                self.out.write_str("label_format ")?;
                self.joined(",", formats, Self::label_format)
            }
            Stage::Decolorize => self.out.write_str("decolorize"),
            Stage::Drop(items) => {
                self.out.write_str("drop ")?;
                self.joined(",", items, Self::name_or_matcher)
            }
            Stage::Keep(items) => {
                self.out.write_str("keep ")?;
                self.joined(",", items, Self::name_or_matcher)
            }
        }
    }

    /// A name and the operator after it, with which a name that is a lone `!` must not run together.
    fn before(&mut self, name: &str, operator: &str) -> fmt::Result {
        write!(self.out, "{name}{}{operator}", if name.ends_with('!') { " " } else { "" })
    }

    fn word_and_text(&mut self, word: &str, text: &str) -> fmt::Result {
        self.out.write_str(word)?;
        go_quote(&mut self.out, text)
    }

    fn extractions(&mut self, extractions: &[Extraction]) -> fmt::Result {
        if extractions.is_empty() {
            return Ok(());
        }
        self.out.write_str(" ")?;
        self.joined(",", extractions, Self::extraction)
    }

    fn extraction(&mut self, extraction: &Extraction) -> fmt::Result {
        self.before(&extraction.label, "=")?;
        go_quote(&mut self.out, &extraction.expression)
    }

    fn label_format(&mut self, format: &LabelFormat) -> fmt::Result {
        match format {
            LabelFormat::Rename { to, from } => {
                self.before(to, "=")?;
                self.out.write_str(from)
            }
            LabelFormat::Template { to, template } => {
                self.before(to, "=")?;
                go_quote(&mut self.out, template)
            }
        }
    }

    fn name_or_matcher(&mut self, item: &NameOrMatcher) -> fmt::Result {
        match item {
            NameOrMatcher::Name(name) => self.out.write_str(name),
            NameOrMatcher::Matcher(matcher) => write!(self.out, "{matcher}"),
        }
    }

    pub(super) fn line_filter(&mut self, filter: &LineFilter) -> fmt::Result {
        // Loki rewrites `!= "a" or "b"` to two filters, where `or` leads on to the rest.
        let apart = self.form == Form::Loki && filter.op.is_negative();
        for (at, operand) in filter.operands.iter().enumerate() {
            match at {
                0 => write!(self.out, "{} ", filter.op.as_str())?,
                1 if apart => write!(self.out, " {} ", filter.op.as_str())?,
                _ => self.out.write_str(" or ")?,
            }
            self.line_operand(operand)?;
        }
        Ok(())
    }

    fn line_operand(&mut self, operand: &LineOperand) -> fmt::Result {
        let text = quote(&operand.value);
        if operand.ip { write!(self.out, "ip({text})") } else { self.out.write_str(&text) }
    }

    pub(super) fn label_filter(&mut self, filter: &LabelFilter) -> fmt::Result {
        match filter {
            LabelFilter::String(matcher) => write!(self.out, "{matcher}"),
            LabelFilter::Number(c) => {
                self.before(&c.name, c.op.as_str())?;
                self.number(c.value)
            }
            LabelFilter::Duration(c) => {
                self.before(&c.name, c.op.as_str())?;
                self.duration(c.value)
            }
            LabelFilter::Bytes(c) => {
                self.before(&c.name, c.op.as_str())?;
                self.bytes(c.value)
            }
            LabelFilter::Ip { name, negated, pattern } => {
                self.before(name, if *negated { "!=" } else { "=" })?;
                self.out.write_str("ip(")?;
                go_quote(&mut self.out, pattern)?;
                self.out.write_str(")")
            }
            LabelFilter::And(left, right, _) | LabelFilter::Or(left, right) => {
                let joint = Joint::of(filter);
                if self.form == Form::Loki {
                    self.out.write_str("( ")?;
                    self.label_filter(left)?;
                    self.out.write_str(if joint == Joint::Or { " or " } else { " , " })?;
                    self.label_filter(right)?;
                    return self.out.write_str(" )");
                }
                self.part(left, joint.closes_left(left))?;
                self.out.write_str(match joint {
                    Joint::Or => " or ",
                    Joint::And => " and ",
                    Joint::Comma => ", ",
                    Joint::Space | Joint::None => " ",
                })?;
                self.part(right, joint.closes_right(right))
            }
        }
    }

    fn part(&mut self, filter: &LabelFilter, parentheses: bool) -> fmt::Result {
        self.out.write_str(if parentheses { "(" } else { "" })?;
        self.label_filter(filter)?;
        self.out.write_str(if parentheses { ")" } else { "" })
    }

    /// A number without exponent.
    fn number(&mut self, value: f64) -> fmt::Result {
        match (self.form, value.is_infinite()) {
            // No literal is infinite; one that is too large reads as infinity.
            (Form::Exact, true) => self.out.write_str(if value > 0.0 { "1e999" } else { "-1e999" }),
            _ => self.out.write_str(&float(value, FloatFormat::Fixed, None)),
        }
    }

    fn bytes(&mut self, value: u64) -> fmt::Result {
        if value == 0 && self.form == Form::Exact {
            // `0B` begins a binary number.
            return self.out.write_str("0kB");
        }
        let mut rounded = String::new();
        write_bytes_si(&mut rounded, value);
        rounded.retain(|c| c != ' ');
        if self.form == Form::Loki || parse_bytes(rounded.as_bytes()) == Ok(value) {
            return self.out.write_str(&rounded);
        }
        write!(self.out, "{value}B")
    }

    fn duration(&mut self, duration_ns: i64) -> fmt::Result {
        let mut text = String::new();
        write_go_duration(&mut text, duration_ns);
        self.out.write_str(&text)
    }

    pub(super) fn range(&mut self, range: &LogRange) -> fmt::Result {
        self.log(&range.log)?;
        if let Some(unwrap) = &range.unwrap {
            self.out.write_str(" ")?;
            self.unwrap(unwrap)?;
        }
        self.window(range)
    }

    /// `[5m] offset 1m0s`.
    pub(super) fn window(&mut self, range: &LogRange) -> fmt::Result {
        let mut text = String::new();
        write_prometheus_duration(&mut text, range.range_ns);
        write!(self.out, "[{text}]")?;
        if range.offset_ns == 0 {
            return Ok(());
        }
        self.out.write_str(" offset ")?;
        self.duration(range.offset_ns)
    }

    pub(super) fn unwrap(&mut self, unwrap: &Unwrap) -> fmt::Result {
        self.unwrap_alone(unwrap)?;
        for filter in &unwrap.post_filters {
            self.out.write_str(" | ")?;
            self.label_filter(filter)?;
        }
        Ok(())
    }

    /// Without the filters after it.
    pub(super) fn unwrap_alone(&mut self, unwrap: &Unwrap) -> fmt::Result {
        match unwrap.conversion.as_str() {
            "" => write!(self.out, "| unwrap {}", unwrap.label),
            function => write!(self.out, "| unwrap {function}({})", unwrap.label),
        }
    }

    pub(super) fn metric(&mut self, metric: &MetricExpr) -> fmt::Result {
        match metric {
            MetricExpr::Range(aggregation) => self.range_aggregation(aggregation),
            MetricExpr::Vector(aggregation) => self.vector_aggregation(aggregation),
            MetricExpr::Binary(binary) => self.binary(binary),
            MetricExpr::Literal(value) => self.literal(*value),
            MetricExpr::VectorFn(value) => self.vector_fn(*value),
            MetricExpr::LabelReplace(replace) => self.label_replace(replace),
            MetricExpr::Variants(variants) => self.variants(variants),
        }
    }

    fn range_aggregation(&mut self, aggregation: &RangeAggregation) -> fmt::Result {
        write!(self.out, "{}(", aggregation.op.as_str())?;
        if let Some(parameter) = aggregation.parameter {
            self.number(parameter)?;
            self.out.write_str(",")?;
        }
        self.range(&aggregation.range)?;
        self.out.write_str(")")?;
        match &aggregation.grouping {
            Some(grouping) => self.grouping(grouping, ","),
            None => Ok(()),
        }
    }

    fn vector_aggregation(&mut self, aggregation: &VectorAggregation) -> fmt::Result {
        self.out.write_str(aggregation.op.as_str())?;
        if let Some(grouping) = &aggregation.grouping {
            self.grouping(grouping, ",")?;
        }
        self.out.write_str("(")?;
        if let Some(parameter) = aggregation.parameter {
            write!(self.out, "{parameter},")?;
        }
        self.metric(&aggregation.expr)?;
        self.out.write_str(")")
    }

    /// ` by (a,b)`, with the space before it.
    pub(super) fn grouping(&mut self, grouping: &Grouping, comma: &str) -> fmt::Result {
        let word = if grouping.without { "without" } else { "by" };
        write!(self.out, " {word} ({})", grouping.labels.join(comma))
    }

    fn binary(&mut self, binary: &Binary) -> fmt::Result {
        let loki = self.form == Form::Loki;
        self.out.write_str(if loki { "(" } else { "" })?;
        self.operand(&binary.left, !loki && binary.needs_parentheses(true))?;
        write!(self.out, " {}", binary.op.as_str())?;
        self.modifier(&binary.modifier)?;
        self.out.write_str(" ")?;
        self.operand(&binary.right, !loki && binary.needs_parentheses(false))?;
        self.out.write_str(if loki { ")" } else { "" })
    }

    fn operand(&mut self, operand: &MetricExpr, parentheses: bool) -> fmt::Result {
        self.out.write_str(if parentheses { "(" } else { "" })?;
        self.metric(operand)?;
        self.out.write_str(if parentheses { ")" } else { "" })
    }

    fn modifier(&mut self, modifier: &BinaryModifier) -> fmt::Result {
        if modifier.return_bool {
            self.out.write_str(" bool")?;
        }
        let Some(matching) = &modifier.matching else { return Ok(()) };
        let word = if matching.on { "on" } else { "ignoring" };
        write!(self.out, " {word} ({})", matching.labels.join(","))?;
        let Some(group) = &matching.group else {
            // Loki leaves room for the group.
            return self.out.write_str(if self.form == Form::Loki { " " } else { "" });
        };
        self.out.write_str(if group.left { " group_left" } else { " group_right" })?;
        // Without the empty parentheses, those of an operand would be taken for a list of names.
        if self.form == Form::Loki && group.include.is_empty() {
            return Ok(());
        }
        write!(self.out, " ({})", group.include.join(","))
    }

    fn literal(&mut self, value: f64) -> fmt::Result {
        if self.form == Form::Exact && !value.is_finite() {
            // No literal is infinite, but these are computed when they are read.
            return self.out.write_str(match value {
                f64::INFINITY => "(1e308 * 10)",
                f64::NEG_INFINITY => "(-1e308 * 10)",
                _ => "(0 / 0)",
            });
        }
        self.out.write_str(&float(value, FloatFormat::General, None))
    }

    fn vector_fn(&mut self, value: f64) -> fmt::Result {
        let six_digits = float(value, FloatFormat::Fixed, Some(6));
        let text = match six_digits.parse::<f64>() {
            Ok(same) if same != value && self.form == Form::Exact => float(value, FloatFormat::General, None),
            _ => six_digits,
        };
        write!(self.out, "vector({text})")
    }

    fn label_replace(&mut self, replace: &LabelReplace) -> fmt::Result {
        self.out.write_str("label_replace(")?;
        self.metric(&replace.expr)?;
        for argument in replace.arguments() {
            self.out.write_str(",")?;
            go_quote(&mut self.out, argument)?;
        }
        self.out.write_str(")")
    }

    fn variants(&mut self, variants: &Variants) -> fmt::Result {
        self.out.write_str("variants(")?;
        self.joined(", ", &variants.variants, Self::metric)?;
        self.out.write_str(") of (")?;
        self.range(&variants.range)?;
        self.out.write_str(")")
    }

    fn joined<T>(&mut self, comma: &str, items: &[T], print: impl Fn(&mut Self, &T) -> fmt::Result) -> fmt::Result {
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.write_str(comma)?;
            }
            print(self, item)?;
        }
        Ok(())
    }
}

impl LabelReplace {
    /// The strings in the order they are written.
    pub(super) fn arguments(&self) -> [&str; 4] {
        [&self.destination, &self.replacement, &self.source, &self.regex]
    }
}

/// A binary operator with its modifiers as `pretty` writes them.
pub(super) fn operator(binary: &Binary) -> String {
    let mut out = binary.op.as_str().to_owned();
    if binary.modifier.return_bool {
        out.push_str(" bool");
    }
    let Some(matching) = &binary.modifier.matching else { return out };
    out.push_str(if matching.on { " on (" } else { " ignoring (" });
    out.push_str(&matching.labels.join(", "));
    out.push(')');
    if let Some(group) = &matching.group {
        out.push_str(if group.left { " group_left" } else { " group_right" });
        if !group.include.is_empty() {
            out.push_str(&format!(" ({})", group.include.join(", ")));
        }
    }
    out
}

pub(super) fn float(value: f64, format: FloatFormat, precision: Option<usize>) -> String {
    let mut out = Vec::new();
    write_float(&mut out, value, format, precision);
    String::from_utf8(out).unwrap_or_default()
}

macro_rules! display {
    ($($type:ty => $method:ident),* $(,)?) => {
        $(
            /// As a query on one line that reads back as the same.
            impl Display for $type {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    Printer::new(f, Form::Exact).$method(self)
                }
            }
        )*
    };
}

display! {
    Expr => expr,
    LogExpr => log,
    Stage => stage,
    Extraction => extraction,
    LineFilter => line_filter,
    LineOperand => line_operand,
    LabelFilter => label_filter,
    LabelFormat => label_format,
    NameOrMatcher => name_or_matcher,
    LogRange => range,
    Unwrap => unwrap,
    MetricExpr => metric,
    RangeAggregation => range_aggregation,
    VectorAggregation => vector_aggregation,
    Binary => binary,
    LabelReplace => label_replace,
    Variants => variants,
}

impl Display for Grouping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.without { "without" } else { "by" };
        write!(f, "{word} ({})", self.labels.join(","))
    }
}

macro_rules! display_names {
    ($($type:ty),*) => {
        $(
            impl Display for $type {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(self.as_str())
                }
            }
        )*
    };
}

display_names!(LineMatch, CompareOp, RangeOp, VectorOp, BinaryOp);
