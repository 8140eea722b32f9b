//! The state of one body being walked: its variables, and the node to blame for an error.

use crate::template::ast::{At, Pipe};
use crate::template::value::Value;

/// One body being walked: its variables and the node Go would blame.
pub(crate) struct Frame<'t, 'a> {
    pub(crate) name: &'t str,
    pub(crate) at: At<'t>,
    pub(crate) depth: u32,
    /// The value of `$`.
    pub(crate) dollar: Value<'a>,
    pub(crate) variables: Vec<(&'t str, Value<'a>)>,
}

impl<'a> Frame<'_, 'a> {
    pub(crate) fn lookup(&self, name: &str) -> Value<'a> {
        let found = self.variables.iter().rev().find(|(n, _)| *n == name);
        found.map_or_else(|| self.dollar.clone(), |(_, value)| value.clone())
    }

    /// Sets a variable that exists; the parser does not make sure of that for `$x = ...`.
    pub(crate) fn assign(&mut self, name: &str, value: Value<'a>) -> Result<(), String> {
        match self.variables.iter_mut().rev().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None if name == "$" => self.dollar = value,
            None => return Err(format!("undefined variable: {name}")),
        }
        Ok(())
    }

    /// Sets the n-th variable from the top.
    pub(crate) fn set_top(&mut self, n: usize, value: Value<'a>) {
        let at = self.variables.len().wrapping_sub(n);
        if let Some((_, old)) = self.variables.get_mut(at) {
            *old = value;
        }
    }
}

/// Sets the variables of a `range` for one turn.
pub(crate) fn set_range_variables<'a>(
    frame: &mut Frame<'_, 'a>,
    pipe: &Pipe,
    index: Value<'a>,
    element: &Value<'a>,
) -> Result<(), String> {
    match (pipe.variables.as_slice(), pipe.assigns) {
        ([], _) => {}
        ([only], true) => frame.assign(only, element.clone())?,
        ([first, second, ..], true) => {
            frame.assign(first, index)?;
            frame.assign(second, element.clone())?;
        }
        ([_], false) => frame.set_top(1, element.clone()),
        (_, false) => {
            frame.set_top(1, element.clone());
            frame.set_top(2, index);
        }
    }
    Ok(())
}
