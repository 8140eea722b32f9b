//! Queries on a data directory.

use narvi::{
    Db, Labels, Tenant, Timestamp,
    logql::{Answer, Data},
};

use super::{
    Asked, Stop,
    print::{Line, Points, Printer},
};
use crate::times;

/// Prints lines as the database finds them.
pub(super) fn lines(db: &Db, tenant: &Tenant, asked: &Asked<'_>, printer: &mut Printer) -> Result<(), Stop> {
    let (start, end) = (Timestamp::from_ns(asked.range.start), Timestamp::from_ns(asked.range.end));
    let mut query = db.query(asked.text).tenant(tenant).range(start, end);
    if asked.forward {
        query = query.forward();
    }
    if let Some(limit) = asked.limit {
        query = query.limit(limit);
    }
    for row in query.rows()?.take(asked.limit.unwrap_or(usize::MAX)) {
        let row = row?;
        let labels: Vec<(&str, &str)> = row.labels.iter().collect();
        printer.line(&Line { ts: row.ts, labels: &labels, line: &row.line })?;
    }
    Ok(())
}

/// Prints the series of a metric query: over a range if there is a step, else at one instant.
pub(super) fn metric(db: &Db, tenant: &Tenant, asked: &Asked<'_>, printer: &mut Printer) -> Result<(), Stop> {
    let end = Timestamp::from_ns(if asked.range.has_end { asked.range.end } else { times::now() });
    let query = db.query(asked.text).tenant(tenant).params(|params| params.max_series = None);
    let query = match asked.step {
        Some(step) => query.range(Timestamp::from_ns(asked.range.start), end).step(step),
        None => query.at(end),
    };
    print(query.run()?, printer)
}

fn print(answer: Answer, printer: &mut Printer) -> Result<(), Stop> {
    for warning in &answer.warnings {
        eprintln!("narvi: warning: {warning}");
    }
    let labels = |labels: &Labels| labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    match answer.data {
        Data::Matrix(series) => series.iter().try_for_each(|series| {
            let points = series.points.iter().map(|(ms, value)| (*ms, number(*value))).collect();
            printer.series(&Points { labels: labels(&series.labels), points })
        }),
        Data::Vector(samples) => samples.iter().try_for_each(|sample| {
            let points = vec![(sample.time_ms, number(sample.value))];
            printer.series(&Points { labels: labels(&sample.labels), points })
        }),
        Data::Scalar { time_ms, value } => {
            printer.series(&Points { labels: Vec::new(), points: vec![(time_ms, number(value))] })
        }
        Data::Streams(_) => Ok(()),
    }
}

/// As Go prints it.
fn number(value: f64) -> String {
    match value {
        f64::INFINITY => "+Inf".to_owned(),
        f64::NEG_INFINITY => "-Inf".to_owned(),
        value => value.to_string(),
    }
}
