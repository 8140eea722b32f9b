//! What Loki checks of a query beyond its grammar: matchers, and the arguments of the stages.

use std::collections::BTreeSet;

use narvi_types::{
    Selector,
    regex::{Regex, RegexOptions},
};

use crate::{
    Error,
    ast::{Expr, LabelFilter, LabelFormat, LineFilter, LineMatch, LogExpr, Stage, Unwrap},
    syntax::{jsonpath::JsonPath, parser::refused, pattern::PatternExpr, print},
    template::Template,
    value::IpPattern,
};

/// Checks a parsed query.
pub(super) fn query(expr: &Expr) -> Result<(), Error> {
    for selector in expr.selectors() {
        matchers(selector)?;
    }
    expr.log_exprs().into_iter().try_for_each(stages)?;
    expr.ranges().into_iter().filter_map(|range| range.unwrap.as_ref()).try_for_each(post_filters)
}

/// Refuses a selector that matches streams without any of its labels.
///
/// # Errors
/// Loki's text, which names the remedy.
pub fn require_matcher(selector: &Selector) -> Result<(), Error> {
    if selector.matchers().iter().any(|matcher| !matcher.matches_empty()) {
        return Ok(());
    }
    Err(refused(
        "queries require at least one regexp or equality matcher that does not have an empty-compatible value. For \
         instance, app=~\".*\" does not meet this requirement, but app=~\".+\" will",
    ))
}

/// The expression of a `regexp` stage.
pub(super) fn regexp(expression: &str) -> Result<(), String> {
    let regex = Regex::new(expression, RegexOptions::LINE).map_err(|e| e.to_string())?;
    let mut seen = BTreeSet::new();
    for name in regex.capture_names().iter().flatten() {
        if name.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(format!("invalid extracted label name '{name}'"));
        }
        if !seen.insert(name) {
            return Err(format!("duplicate extracted label name '{name}'"));
        }
    }
    if seen.is_empty() { Err("at least one named capture must be supplied".to_owned()) } else { Ok(()) }
}

/// The expression of a `pattern` stage.
pub(super) fn pattern(expression: &str) -> Result<(), String> {
    PatternExpr::parse_stage(expression).map(|_| ())
}

/// The regular expression of `label_replace`, which Loki anchors before it compiles it.
pub(super) fn anchored_regex(regex: &str) -> Result<(), String> {
    Regex::new(&format!("^(?:{regex})$"), RegexOptions::LINE).map(|_| ()).map_err(|e| e.to_string())
}

fn matchers(selector: &Selector) -> Result<(), Error> {
    require_matcher(selector)
}

pub(super) fn stages(log: &LogExpr) -> Result<(), Error> {
    for stage in &log.stages {
        arguments(stage).map_err(|message| stage_error(&print::loki(|p| p.stage(stage)), &message))?;
    }
    Ok(())
}

fn post_filters(unwrap: &Unwrap) -> Result<(), Error> {
    for filter in &unwrap.post_filters {
        let shown = || format!("| {}", print::loki(|p| p.label_filter(filter)));
        label_filter(filter).map_err(|message| stage_error(&shown(), &message))?;
    }
    Ok(())
}

fn stage_error(stage: &str, message: &str) -> Error {
    refused(format!("stage '{stage}' : {message}"))
}

/// The arguments of a stage that the parser took as they were.
fn arguments(stage: &Stage) -> Result<(), String> {
    match stage {
        Stage::LineFilter(filter) => line_filter(filter),
        Stage::Json(extractions) => extractions.iter().try_for_each(|extraction| {
            let path = &extraction.expression;
            JsonPath::parse(path).map(|_| ()).map_err(|e| format!("cannot parse expression [{path}]: {e}"))
        }),
        Stage::Logfmt { extractions, .. } => extractions.iter().try_for_each(|extraction| {
            logfmt_key(&extraction.expression)
                .map_err(|e| format!("cannot parse expression [{}]: {e}", extraction.expression))
        }),
        Stage::LabelFilter(filter) => label_filter(filter),
        Stage::LineFormat(template) => {
            Template::parse("line", template).map(|_| ()).map_err(|e| format!("invalid line template: {e}"))
        }
        Stage::LabelFormat(formats) => label_formats(formats),
        // Checked where they are parsed.
        Stage::Regexp(_) | Stage::Pattern(_) => Ok(()),
        Stage::Unpack | Stage::Decolorize | Stage::Drop(_) | Stage::Keep(_) => Ok(()),
    }
}

fn line_filter(filter: &LineFilter) -> Result<(), String> {
    // In a chain of `or`, only the negative operators know of addresses; the others take the text as it is.
    let knows_ip = filter.operands.len() == 1 || filter.op.is_negative();
    for operand in &filter.operands {
        let text = String::from_utf8_lossy(&operand.value);
        if operand.ip && knows_ip {
            if !matches!(filter.op, LineMatch::Contains | LineMatch::NotContains) {
                return Err("ip: invalid operation".to_owned());
            }
            IpPattern::parse(&text).map_err(|e| e.to_string())?;
            continue;
        }
        match filter.op {
            LineMatch::Contains | LineMatch::NotContains => {}
            LineMatch::Regex | LineMatch::NotRegex => {
                Regex::new(&text, RegexOptions::LINE).map_err(|e| e.to_string())?;
            }
            LineMatch::Pattern | LineMatch::NotPattern => {
                PatternExpr::parse_filter(&text)?;
            }
        }
    }
    Ok(())
}

fn label_filter(filter: &LabelFilter) -> Result<(), String> {
    match filter {
        LabelFilter::Ip { pattern, .. } => IpPattern::parse(pattern).map(|_| ()).map_err(|e| e.to_string()),
        LabelFilter::And(left, right, _) | LabelFilter::Or(left, right) => {
            label_filter(left)?;
            label_filter(right)
        }
        LabelFilter::String(_) | LabelFilter::Number(_) | LabelFilter::Duration(_) | LabelFilter::Bytes(_) => Ok(()),
    }
}

fn label_formats(formats: &[LabelFormat]) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for format in formats {
        let (LabelFormat::Rename { to, .. } | LabelFormat::Template { to, .. }) = format;
        if to == "__error__" {
            return Err(format!("{to} cannot be formatted"));
        }
        if !seen.insert(to) {
            return Err(format!("multiple label name '{to}' not allowed in a single format operation"));
        }
    }
    for format in formats {
        if let LabelFormat::Template { to, template } = format {
            Template::parse("label", template).map_err(|e| format!("invalid template for label '{to}': {e}"))?;
        }
    }
    Ok(())
}

/// A key of logfmt: no blanks, no quotes, no `=`, unless in quotes itself.
fn logfmt_key(key: &str) -> Result<(), String> {
    let bare = key.strip_prefix('"').and_then(|k| k.strip_suffix('"')).is_none();
    if key.is_empty() {
        return Err("syntax error: unexpected $end, expecting STRING or KEY".to_owned());
    }
    match key.chars().find(|c| bare && (c.is_whitespace() || matches!(c, '"' | '='))) {
        Some(c) => Err(format!("unexpected char {c}")),
        None => Ok(()),
    }
}
