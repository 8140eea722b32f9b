//! Go's text/template as LogQL uses it in `line_format` and `label_format`, with Loki's functions; and as alerts use it,
//! with Prometheus' functions.
//!
//! A template is parsed once per query and run once per line over borrowed labels. Runs are bounded in steps, depth and
//! bytes, so that no template hangs a query or exhausts its memory. Error texts are Go's.

mod alert;
mod args;
mod ast;
mod constant;
mod decimal;
mod exec;
mod fields;
mod frame;
mod funcs;
mod json;
mod lex;
mod limits;
mod parse;
mod printf;
mod printf_verbs;
mod step;
mod time;
mod time_layout;
mod time_parse;
mod value;

use std::collections::BTreeSet;

use self::ast::Stmt;

pub use self::alert::{AlertData, QuerySample};
pub use self::fields::{FieldList, Fields};
pub use self::limits::{MAX_CALL_DEPTH, MAX_OUTPUT_BYTES, MAX_STEPS, MAX_WORK_BYTES};

/// Why a template was refused or failed on a line; shows Go's text, such as
/// `template: line:1: function "nosuch" not defined`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// The text is not a template.
    #[error("template: {0}")]
    Parse(String),
    /// A run failed.
    #[error("template: {0}")]
    Run(String),
}

/// A parsed template. Immutable; one may run on many threads at once.
#[derive(Debug)]
pub struct Template {
    name: String,
    text: String,
    bodies: Vec<(String, Vec<Stmt>)>,
    reads: step::Reads,
    /// The field's name, where the template is `{{.name}}` and nothing else.
    single_field: Option<String>,
}

impl Template {
    /// Parses a template. `name` stands in error texts: Loki uses `line` and `label`.
    ///
    /// # Errors
    /// [`TemplateError::Parse`] in Go's words.
    pub fn parse(name: &str, text: &str) -> Result<Self, TemplateError> {
        let parsed = parse::parse(name, text, funcs::find).map_err(|e| TemplateError::Parse(format!("{name}:{e}")))?;
        let reads = step::Reads::of(&parsed.bodies);
        let single_field = parsed.bodies.first().and_then(|(_, body)| step::single_field(body));
        Ok(Self { name: name.to_owned(), text: text.to_owned(), bodies: parsed.bodies, reads, single_field })
    }

    /// The labels that a run may read, or `None` when it may read any (it uses the label map as a whole).
    pub fn fields(&self) -> Option<&BTreeSet<String>> {
        self.reads.fields.as_ref()
    }

    /// Whether a run may read the line (`__line__`).
    pub fn reads_line(&self) -> bool {
        self.reads.line
    }

    /// Whether a run may read the timestamp (`__timestamp__`).
    pub fn reads_timestamp(&self) -> bool {
        self.reads.timestamp
    }

    /// The label, where the template is exactly `{{.label}}`: its run writes the value or nothing.
    pub fn single_field(&self) -> Option<&str> {
        self.single_field.as_deref()
    }

    /// Runs the template and appends what it writes. A template of text and fields allocates nothing but room in `out`.
    ///
    /// # Errors
    /// [`TemplateError::Run`] when Go's would fail, or a limit is exceeded; `out` is then as before.
    pub fn run(
        &self,
        out: &mut Vec<u8>,
        fields: &dyn Fields,
        line: &[u8],
        timestamp_ns: i64,
    ) -> Result<(), TemplateError> {
        if let Some(name) = &self.single_field {
            out.extend_from_slice(fields.get(name).unwrap_or_default());
            return Ok(());
        }
        let start = out.len();
        exec::run(self, out, fields, line, timestamp_ns).map_err(|message| {
            out.truncate(start);
            TemplateError::Run(message)
        })
    }
}

#[cfg(test)]
mod tests;
