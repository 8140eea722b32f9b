//! The compiled form of a template, and how Go shows its nodes in error texts.

use std::fmt::{self, Display, Write};

use narvi_types::regex::{Regex, RegexError};

use crate::template::funcs::Function;

/// A statement.
#[derive(Debug)]
pub(crate) enum Stmt {
    Text(Box<[u8]>),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    Template(Call),
    Break,
    Continue,
}

/// `if`, `with` or `range` with both bodies.
#[derive(Debug)]
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Stmt>,
    pub(crate) other: Option<Vec<Stmt>>,
}

/// `{{template "name" pipeline}}`.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) at: usize,
    pub(crate) name: String,
    /// Index of the template, unless none has the name.
    pub(crate) target: Option<usize>,
    pub(crate) pipe: Option<Pipe>,
}

/// A pipeline, with the variables it sets.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) at: usize,
    pub(crate) assigns: bool,
    pub(crate) variables: Vec<String>,
    pub(crate) commands: Vec<Command>,
}

/// One stage of a pipeline: an operand or a function with arguments. Never empty.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) at: usize,
    pub(crate) args: Vec<Expr>,
    /// The compiled pattern where the command is a regular expression function with a constant pattern.
    pub(crate) regex: Option<Result<Regex, RegexError>>,
}

/// An operand and where it stands.
#[derive(Debug)]
pub(crate) struct Expr {
    pub(crate) at: usize,
    pub(crate) kind: ExprKind,
}

#[derive(Debug)]
pub(crate) enum ExprKind {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    /// A string: its value and its text in the template.
    Str(Box<[u8]>, String),
    Field(Vec<String>),
    /// A variable, and the fields behind it.
    Variable(Vec<String>),
    Function(&'static Function),
    Pipe(Box<Pipe>),
    Chain(Box<Expr>, Vec<String>),
}

/// A numeric constant: its text, and its value as each type that can hold it.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) text: String,
    pub(crate) int: Option<i64>,
    pub(crate) uint: Option<u64>,
    pub(crate) float: Option<f64>,
    pub(crate) complex: Option<(f64, f64)>,
}

/// The node Go holds responsible for an error.
#[derive(Clone, Copy, Debug)]
pub(crate) enum At<'t> {
    /// Nothing has run yet.
    Start,
    Pipe(&'t Pipe),
    Command(&'t Command),
    Expr(&'t Expr),
    Call(&'t Call),
}

impl At<'_> {
    pub(crate) fn offset(&self) -> Option<usize> {
        Some(match self {
            At::Start => return None,
            At::Pipe(n) => n.at,
            At::Command(n) => n.at,
            At::Expr(n) => n.at,
            At::Call(n) => n.at,
        })
    }
}

impl Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Start => Ok(()),
            At::Pipe(n) => n.fmt(f),
            At::Command(n) => n.fmt(f),
            At::Expr(n) => n.fmt(f),
            At::Call(n) => n.fmt(f),
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", crate::value::quote(self.name.as_bytes()))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

impl Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.variables.is_empty() {
            f.write_str(&self.variables.join(", "))?;
            f.write_str(if self.assigns { " = " } else { " := " })?;
        }
        for (n, command) in self.commands.iter().enumerate() {
            if n > 0 {
                f.write_str(" | ")?;
            }
            command.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, arg) in self.args.iter().enumerate() {
            if n > 0 {
                f.write_char(' ')?;
            }
            match &arg.kind {
                ExprKind::Pipe(pipe) => write!(f, "({pipe})")?,
                _ => arg.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Dot => f.write_char('.'),
            ExprKind::Nil => f.write_str("nil"),
            ExprKind::Bool(b) => b.fmt(f),
            ExprKind::Number(n) => f.write_str(&n.text),
            ExprKind::Str(_, text) => f.write_str(text),
            ExprKind::Field(names) => names.iter().try_for_each(|n| write!(f, ".{n}")),
            ExprKind::Variable(names) => f.write_str(&names.join(".")),
            ExprKind::Function(function) => f.write_str(function.name),
            ExprKind::Pipe(pipe) => pipe.fmt(f),
            ExprKind::Chain(base, names) => {
                match &base.kind {
                    ExprKind::Pipe(pipe) => write!(f, "({pipe})")?,
                    _ => base.fmt(f)?,
                }
                names.iter().try_for_each(|n| write!(f, ".{n}"))
            }
        }
    }
}
