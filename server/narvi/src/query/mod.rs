//! `narvi query`.

mod local;
pub(crate) mod print;
mod remote;

use narvi::logql::{self, ast::Expr};

use self::print::Printer;
use crate::{
    cli::QueryArgs,
    failure::{Failure, Outcome},
    place::Place,
    times,
};

/// A query with its options read.
pub(crate) struct Asked<'a> {
    text: &'a str,
    range: times::Range,
    limit: Option<usize>,
    forward: bool,
    step: Option<std::time::Duration>,
}

pub(crate) fn run(args: &QueryArgs) -> Outcome {
    let asked = Asked {
        text: &args.query,
        range: times::range(&args.range)?,
        limit: args.limit,
        forward: args.forward,
        step: args.step.as_deref().map(times::step).transpose()?,
    };
    let expr = logql::parse(&args.query).map_err(|error| parse_failure(&args.query, &error))?;
    let is_metric = matches!(expr, Expr::Metric(_));
    if is_metric && asked.step.is_some() && !asked.range.has_start {
        return Err(Failure("a metric query with --step needs --from".to_owned()));
    }
    let place = Place::to_read(&args.place)?;
    let mut printer = Printer::new(args.output);
    let done = match (&place, is_metric) {
        (Place::Directory(db, tenant), false) => local::lines(db, tenant, &asked, &mut printer),
        (Place::Directory(db, tenant), true) => local::metric(db, tenant, &asked, &mut printer),
        (Place::Server(client), false) => remote::lines(client, &asked, &mut printer),
        (Place::Server(client), true) => remote::metric(client, &asked, &mut printer),
    };
    match done {
        // Whoever read the answer has enough, as `head` does.
        Err(Stop::Closed) => Ok(()),
        Err(Stop::Failed(failure)) => {
            printer.finish().ok();
            Err(failure)
        }
        Ok(()) => match printer.finish() {
            Err(Stop::Failed(failure)) => Err(failure),
            _ => Ok(()),
        },
    }
}

/// Why printing ended early.
pub(crate) enum Stop {
    /// The reader of the output closed it.
    Closed,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// A parse error with the query under it and a caret under the fault.
pub(crate) fn parse_failure(text: &str, error: &logql::Error) -> Failure {
    let message = error.to_string();
    let logql::Error::Parse { position: Some(position), .. } = error else { return Failure(message) };
    let at = usize::try_from(position.line.saturating_sub(1)).unwrap_or(0);
    let Some(line) = text.lines().nth(at) else { return Failure(message) };
    // Tabs are kept, so that the caret stands where it should.
    let before = line.chars().take(usize::try_from(position.column.saturating_sub(1)).unwrap_or(0));
    let indent: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    Failure(format!("{message}\n  {line}\n  {indent}^"))
}

#[cfg(test)]
mod tests {
    use narvi::logql::{Error, Position};

    #[test]
    fn the_caret_stands_under_the_fault() {
        let error = Error::Parse { position: Some(Position { line: 2, column: 4 }), message: "unexpected x".into() };
        let failure = super::parse_failure("{a=\"b\"}\n|= x", &error);
        assert_eq!(failure.0, "parse error at line 2, col 4: unexpected x\n  |= x\n     ^");
    }
}
