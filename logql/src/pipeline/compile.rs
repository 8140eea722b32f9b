//! From stages to the operations of a row.

use narvi_types::regex::{Regex, RegexOptions};

use super::{
    decolorize::Decolorize,
    drop_keep::Item,
    format::Assignment,
    hints::Hints,
    json_paths::{JsonPaths, Path},
    keys::Name,
    label_filter::Filter,
    line_filter::{self, Compiled, LineTest},
    logfmt::Logfmt,
    needs::{LabelNeeds, Needs, ValueNeeds},
    pattern::Pattern,
    regexp::Regexp,
    reorder::{is_parser, reads_line, reorder},
    seam::{self, JsonPath, PatternExpr, Template},
    unwrap::Unwrapped,
};
use crate::{
    Error,
    ast::{Extraction, LabelFilter, LabelFormat, NameOrMatcher, Stage, Unwrap},
};

/// One step of a row.
#[derive(Debug)]
pub(super) enum Op {
    LineTest(LineTest),
    Json,
    JsonPaths(JsonPaths),
    Logfmt(Logfmt),
    Regexp(Regexp),
    Pattern(Pattern),
    Unpack,
    Filter(Filter),
    LineFormat(Template),
    LabelFormat(Vec<Assignment>),
    Decolorize(Decolorize),
    Drop(Vec<Item>),
    Keep(Vec<Item>),
}

/// A compiled pipeline.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) needs: Needs,
    /// Names by number.
    pub(super) names: Vec<Box<str>>,
    /// Line filters on the stored line, which run over whole buffers.
    pub(super) line_tests: Vec<LineTest>,
    /// Everything else in order, with the names that parsers know beforehand.
    pub(super) ops: Vec<(Op, Vec<Name>)>,
    pub(super) unwrap: Option<Unwrapped>,
    pub(super) hints: Hints,
    /// Filters on one label that parsers may run early.
    pub(super) early: Vec<Filter>,
    /// No row survives.
    pub(super) nothing: bool,
    /// The names of the grouping as numbers.
    pub(super) group: Vec<Name>,
}

/// Gives names their numbers.
struct NameList(Vec<Box<str>>);

impl NameList {
    fn number(&mut self, name: &str) -> Name {
        let index = self.0.iter().position(|n| **n == *name).unwrap_or_else(|| {
            self.0.push(name.into());
            self.0.len() - 1
        });
        index as Name
    }
}

/// Compiles a pipeline.
///
/// # Errors
/// What Loki refuses, in its words.
pub(super) fn compile(stages: &[Stage], unwrap: Option<&Unwrap>, needs: &Needs) -> Result<Program, Error> {
    let mut needs = needs.clone();
    if matches!(&needs.labels, LabelNeeds::By(names) if names.is_empty()) {
        needs.labels = LabelNeeds::None;
    }
    let mut names = NameList(["__error__", "__error_details__", "__preserve_error__"].map(Into::into).to_vec());
    let stages = reorder(stages);
    // Compiled first of all, so that what is wrong is found even in a stage that is left out.
    let mut compiled = Vec::with_capacity(stages.len());
    for stage in &stages {
        compiled.push(operation(stage, &mut names)?);
    }
    let unwrapped = unwrap.map(|u| unwrapped(u, &mut names)).transpose()?;
    let required = required_names(&stages, &compiled, unwrap, &needs, &names);
    let skip_parsers = matches!(&required, Some(required) if required.is_empty());
    let mut program = Program {
        hints: Hints::default(),
        early: Vec::new(),
        line_tests: Vec::new(),
        ops: Vec::new(),
        unwrap: unwrapped,
        nothing: false,
        group: Vec::new(),
        names: Vec::new(),
        needs,
    };
    let mut changes_line = false;
    let mut early = Vec::new();
    for (index, op) in compiled.into_iter().enumerate() {
        let stage = stages[index];
        if is_parser(stage) && skip_parsers || is_useless(index, &stages, &program.needs) {
            continue;
        }
        match op {
            Operation::Nothing => {}
            Operation::Refuse => program.nothing = true,
            Operation::Test(test) if !changes_line => program.line_tests.push(*test),
            Operation::Test(test) => program.ops.push((Op::LineTest(*test), Vec::new())),
            Operation::Op(op, known) => {
                changes_line |= matches!(stage, Stage::LineFormat(_) | Stage::Unpack | Stage::Decolorize);
                let parsers = program.ops.iter().any(|(op, _)| op.is_parser());
                if let (Op::Filter(filter), Stage::LabelFilter(ast), true) = (&*op, stage, parsers)
                    && let Some(name) = filter.single()
                    && early.iter().all(|(known, _)| *known != name)
                {
                    early.push((name, program.early.len() as u16));
                    program.early.push(Filter::new(ast, &mut |n| names.number(n))?);
                }
                program.ops.push((*op, known));
            }
        }
    }
    program.hints = match required {
        Some(required) => Hints::only(required),
        None if matches!(program.needs.labels, LabelNeeds::All | LabelNeeds::Without(_)) => Hints::all(early),
        None => Hints::all(Vec::new()),
    };
    program.group = match &program.needs.labels {
        LabelNeeds::By(group) | LabelNeeds::Without(group) => group.iter().map(|n| names.number(n)).collect(),
        LabelNeeds::All | LabelNeeds::None => Vec::new(),
    };
    program.names = names.0;
    Ok(program)
}

/// A stage that was compiled.
enum Operation {
    /// It passes everything.
    Nothing,
    /// It passes nothing.
    Refuse,
    Test(Box<LineTest>),
    Op(Box<Op>, Vec<Name>),
}

fn operation(stage: &Stage, names: &mut NameList) -> Result<Operation, Error> {
    let mut known = Vec::new();
    let op = match stage {
        Stage::LineFilter(filter) => {
            return Ok(match line_filter::compile(filter)? {
                Compiled::All => Operation::Nothing,
                Compiled::None => Operation::Refuse,
                Compiled::Test(test) => Operation::Test(test),
            });
        }
        Stage::Json(extractions) if extractions.is_empty() => Op::Json,
        Stage::Json(extractions) => Op::JsonPaths(json_paths(extractions, names)?),
        Stage::Logfmt { strict, keep_empty, extractions } => {
            let wanted = extractions.iter().map(|e| (names.number(&e.label), e.expression.as_bytes().into()));
            Op::Logfmt(Logfmt { strict: *strict, keep_empty: *keep_empty, wanted: wanted.collect() })
        }
        Stage::Regexp(pattern) => Op::Regexp(regexp(pattern, names, &mut known)?),
        Stage::Pattern(text) => {
            let expr =
                PatternExpr::parse_stage(text).map_err(|e| seam::refused(format!("invalid pattern parser: {e}")))?;
            let (pattern, captures) = Pattern::new(&expr.parts);
            known.extend(captures.iter().map(|c| names.number(c)));
            Op::Pattern(pattern)
        }
        Stage::Unpack => Op::Unpack,
        Stage::LabelFilter(filter) => Op::Filter(Filter::new(filter, &mut |n| names.number(n))?),
        Stage::LineFormat(text) => {
            let template = Template::parse("line", text)
                .map_err(|e| seam::refused(format!("stage '| line_format {text:?}' : invalid line template: {e}")))?;
            Op::LineFormat(template)
        }
        Stage::LabelFormat(formats) => Op::LabelFormat(assignments(formats, names)?),
        Stage::Decolorize => Op::Decolorize(Decolorize::new().map_err(|e| seam::refused(e.to_string()))?),
        Stage::Drop(list) => Op::Drop(items(list, names)),
        Stage::Keep(list) => Op::Keep(items(list, names)),
    };
    Ok(Operation::Op(Box::new(op), known))
}

impl Op {
    fn is_parser(&self) -> bool {
        matches!(
            self,
            Self::Json | Self::JsonPaths(_) | Self::Logfmt(_) | Self::Regexp(_) | Self::Pattern(_) | Self::Unpack
        )
    }

    /// Whether it reads the line.
    pub(super) fn reads_line(&self) -> bool {
        match self {
            Self::LineFormat(template) => template.reads_line(),
            Self::LabelFormat(list) => {
                list.iter().any(|a| matches!(a, Assignment::Template { template, .. } if template.reads_line()))
            }
            Self::LineTest(_) | Self::Decolorize(_) => true,
            op => op.is_parser(),
        }
    }

    /// Whether it changes or reads labels.
    pub(super) fn touches_labels(&self) -> bool {
        !matches!(self, Self::LineTest(_) | Self::Decolorize(_))
    }
}

fn json_paths(extractions: &[Extraction], names: &mut NameList) -> Result<JsonPaths, Error> {
    let mut paths = Vec::with_capacity(extractions.len());
    for extraction in extractions {
        let path = JsonPath::parse(&extraction.expression)
            .map_err(|e| seam::refused(format!("cannot parse expression [{}]: {e}", extraction.expression)))?;
        paths.push(Path { name: names.number(&extraction.label), steps: path.segments });
    }
    Ok(JsonPaths { paths })
}

fn regexp(pattern: &str, names: &mut NameList, known: &mut Vec<Name>) -> Result<Regexp, Error> {
    let refused = |message: String| seam::refused(format!("invalid regexp parser: {message}"));
    let regex = Regex::new(pattern, RegexOptions::LINE).map_err(|e| refused(e.to_string()))?;
    let mut groups = Vec::new();
    for (group, name) in regex.capture_names().iter().enumerate() {
        let Some(name) = name.as_deref().filter(|n| !n.is_empty()) else { continue };
        let plain = |(at, b): (usize, u8)| b.is_ascii_alphabetic() || b == b'_' || at > 0 && b.is_ascii_digit();
        if !name.bytes().enumerate().all(plain) {
            return Err(refused(format!("invalid extracted label name '{name}'")));
        }
        let number = names.number(name);
        if known.contains(&number) {
            return Err(refused(format!("duplicate extracted label name '{name}'")));
        }
        known.push(number);
        groups.push(group);
    }
    if groups.is_empty() {
        return Err(refused("at least one named capture must be supplied".to_owned()));
    }
    Ok(Regexp { regex, groups })
}

fn assignments(formats: &[LabelFormat], names: &mut NameList) -> Result<Vec<Assignment>, Error> {
    let mut list = Vec::with_capacity(formats.len());
    for format in formats {
        list.push(match format {
            LabelFormat::Rename { to, from } => Assignment::Rename { to: names.number(to), from: names.number(from) },
            LabelFormat::Template { to, template } => {
                let parsed = Template::parse("label", template).map_err(|e| {
                    seam::refused(format!(
                        "stage '| label_format {to}={template:?}' : invalid template for label '{to}': {e}"
                    ))
                })?;
                Assignment::Template { to: names.number(to), template: parsed }
            }
        });
    }
    Ok(list)
}

fn items(list: &[NameOrMatcher], names: &mut NameList) -> Vec<Item> {
    let item = |item: &NameOrMatcher| match item {
        NameOrMatcher::Name(name) => (name.clone(), None),
        NameOrMatcher::Matcher(matcher) => (matcher.name().to_owned(), Some(matcher.clone())),
    };
    list.iter().map(item).map(|(name, matcher)| Item { name: names.number(&name), matcher }).collect()
}

fn unwrapped(unwrap: &Unwrap, names: &mut NameList) -> Result<Unwrapped, Error> {
    let name = names.number(&unwrap.label);
    let mut post_filters = Vec::with_capacity(unwrap.post_filters.len());
    for filter in &unwrap.post_filters {
        post_filters.push(Filter::new(filter, &mut |n| names.number(n))?);
    }
    Ok(Unwrapped { name, conversion: unwrap.conversion, post_filters })
}

/// The labels that parsers must extract; `None` if all of them.
fn required_names(
    stages: &[&Stage],
    compiled: &[Operation],
    unwrap: Option<&Unwrap>,
    needs: &Needs,
    names: &NameList,
) -> Option<Vec<String>> {
    let mut required = match &needs.labels {
        LabelNeeds::All | LabelNeeds::Without(_) => return None,
        LabelNeeds::By(group) => group.clone(),
        LabelNeeds::None => Vec::new(),
    };
    for (index, (stage, operation)) in stages.iter().zip(compiled).enumerate() {
        if let Stage::LabelFilter(filter) = stage {
            filter_names(filter, &mut required);
        }
        let Operation::Op(op, _) = operation else { continue };
        match &**op {
            Op::LineFormat(template) if !is_useless(index, stages, needs) => {
                required.extend(template.fields()?.iter().cloned());
            }
            Op::LabelFormat(list) => {
                for assignment in list {
                    match assignment {
                        Assignment::Rename { from, .. } => {
                            required.extend(names.0.get(*from as usize).map(|n| n.to_string()));
                        }
                        Assignment::Template { template, .. } => required.extend(template.fields()?.iter().cloned()),
                    }
                }
            }
            _ => {}
        }
    }
    if let Some(unwrap) = unwrap {
        required.push(unwrap.label.clone());
        unwrap.post_filters.iter().for_each(|f| filter_names(f, &mut required));
    }
    Some(required)
}

fn filter_names(filter: &LabelFilter, names: &mut Vec<String>) {
    match filter {
        LabelFilter::String(matcher) => names.push(matcher.name().to_owned()),
        LabelFilter::Number(c) => names.push(c.name.clone()),
        LabelFilter::Duration(c) => names.push(c.name.clone()),
        LabelFilter::Bytes(c) => names.push(c.name.clone()),
        LabelFilter::Ip { name, .. } => names.push(name.clone()),
        LabelFilter::And(left, right, _) | LabelFilter::Or(left, right) => {
            filter_names(left, names);
            filter_names(right, names);
        }
    }
}

/// Whether a stage only changes a line that nobody reads afterwards.
fn is_useless(index: usize, stages: &[&Stage], needs: &Needs) -> bool {
    matches!(stages[index], Stage::LineFormat(_) | Stage::Decolorize)
        && !needs.lines
        && needs.value == ValueNeeds::One
        && !stages[index + 1..].iter().any(|stage| reads_line(stage) || matches!(stage, Stage::LabelFormat(_)))
}
