//! What a parsed template may read, found without running it.

use std::collections::BTreeSet;

use crate::template::ast::{Branch, Expr, ExprKind, Pipe, Stmt};

/// The labels and other inputs that a run may read.
#[derive(Debug)]
pub(crate) struct Reads {
    /// `None` for any label.
    pub(crate) fields: Option<BTreeSet<String>>,
    pub(crate) line: bool,
    pub(crate) timestamp: bool,
}

impl Reads {
    pub(crate) fn of(bodies: &[(String, Vec<Stmt>)]) -> Self {
        let mut reads = Self { fields: Some(BTreeSet::new()), line: false, timestamp: false };
        for (_, body) in bodies {
            reads.list(body, true);
        }
        reads
    }

    /// `labels` says whether the dot may be the label map: everywhere but in the body of a `range`, whose elements are
    /// strings and numbers.
    fn list(&mut self, body: &[Stmt], labels: bool) {
        for stmt in body {
            match stmt {
                Stmt::Text(_) | Stmt::Break | Stmt::Continue => {}
                Stmt::Action(pipe) => self.pipe(pipe, labels),
                Stmt::If(b) | Stmt::With(b) => self.branch(b, labels, labels),
                Stmt::Range(b) => self.branch(b, labels, false),
                Stmt::Template(call) => match &call.pipe {
                    // Handing the map on reads nothing; every body is looked at on its own.
                    Some(pipe) if is_dot(pipe) => {}
                    Some(pipe) => self.pipe(pipe, labels),
                    None => {}
                },
            }
        }
    }

    fn branch(&mut self, branch: &Branch, labels: bool, body_labels: bool) {
        self.pipe(&branch.pipe, labels);
        self.list(&branch.body, body_labels);
        self.list(branch.other.as_deref().unwrap_or_default(), labels);
    }

    fn pipe(&mut self, pipe: &Pipe, labels: bool) {
        for arg in pipe.commands.iter().flat_map(|c| &c.args) {
            self.expr(arg, labels);
        }
    }

    fn expr(&mut self, expr: &Expr, labels: bool) {
        match &expr.kind {
            ExprKind::Dot if labels => self.fields = None,
            ExprKind::Field(names) if labels => self.field(names.first()),
            // A variable may hold the map only if a dot, or `$` alone, was read to set it.
            ExprKind::Variable(names) if names.first().is_some_and(|n| n == "$") => match names.get(1) {
                Some(name) => self.field(Some(name)),
                None => self.fields = None,
            },
            ExprKind::Function(function) if function.name == "__line__" => self.line = true,
            ExprKind::Function(function) if function.name == "__timestamp__" => self.timestamp = true,
            ExprKind::Pipe(pipe) => self.pipe(pipe, labels),
            ExprKind::Chain(base, _) => self.expr(base, labels),
            _ => {}
        }
    }

    fn field(&mut self, name: Option<&String>) {
        if let (Some(fields), Some(name)) = (&mut self.fields, name) {
            fields.insert(name.clone());
        }
    }
}

fn is_dot(pipe: &Pipe) -> bool {
    pipe.variables.is_empty()
        && matches!(pipe.commands.as_slice(), [c] if matches!(c.args.as_slice(), [Expr { kind: ExprKind::Dot, .. }]))
}

/// The one field that a pipeline names, if it does nothing else.
pub(crate) fn plain_field(pipe: &Pipe) -> Option<&str> {
    if !pipe.variables.is_empty() {
        return None;
    }
    match pipe.commands.as_slice() {
        [command] => match command.args.as_slice() {
            [Expr { kind: ExprKind::Field(names), .. }] if names.len() == 1 => names.first().map(String::as_str),
            _ => None,
        },
        _ => None,
    }
}

/// The field of a template that is `{{.field}}` and nothing else.
pub(crate) fn single_field(body: &[Stmt]) -> Option<String> {
    match body {
        [Stmt::Action(pipe)] => plain_field(pipe).map(str::to_owned),
        _ => None,
    }
}
