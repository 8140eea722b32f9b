//! Following a log query: lines as they are pushed, through the stages of the query.

use std::time::{Duration, Instant};

use narvi_logql::{self as logql, Budget, Data, Inline, Params, Query, Row, ast::Expr, memory::MemorySource};
use narvi_types::{Direction, Tenant};

use crate::{Db, Dropped, Error, ErrorKind, Result, Subscription};

/// The lines that a query selects, as they are pushed. Dropping it ends that. May be used from several threads.
#[derive(Debug)]
pub struct Tail {
    subscription: Subscription,
    query: Query,
}

impl Db {
    /// Follows a log query: gives what is pushed from now on and passes its stages. Lines wait in a bounded queue; those that
    /// do not fit are dropped and listed by [`Tail::take_dropped`], never silently.
    ///
    /// # Errors
    /// [`ErrorKind::Query`]: the query is wrong, or a metric query.
    pub fn tail(&self, tenant: &Tenant, text: &str) -> Result<Tail> {
        self.tail_expr(tenant, logql::parse(text)?, false)
    }

    /// As [`Db::tail`], for a query that was parsed already. `categorize` keeps structured metadata and parsed labels apart
    /// from the labels of the stream.
    ///
    /// # Errors
    /// As for [`Db::tail`].
    pub fn tail_expr(&self, tenant: &Tenant, expr: Expr, categorize: bool) -> Result<Tail> {
        let Expr::Log(log) = &expr else {
            return Err(Error::new(ErrorKind::Query, "a metric query cannot be followed; only lines can"));
        };
        let selector = log.selector.clone();
        let mut params = Params::range(i64::MIN, i64::MAX, 0);
        params.limit = None;
        params.direction = Direction::Forward;
        params.categorize = categorize;
        let query = Query::new(expr, params);
        query.plan()?;
        Ok(Tail { subscription: self.subscribe(tenant, selector), query })
    }
}

impl Tail {
    /// Waits for lines: those of one push to one stream that pass the stages, oldest first. Nothing when none came in
    /// time, or the database was closed and all is read.
    ///
    /// # Errors
    /// A stage fails in a way that a query would fail too.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Vec<Row>>> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let left = deadline.map_or(timeout, |at| at.saturating_duration_since(Instant::now()));
            let Some(batch) = self.subscription.recv_timeout(left) else { return Ok(None) };
            let mut source = MemorySource::new();
            for entry in batch.entries {
                source.push(&batch.labels, entry);
            }
            let rows = self.evaluate(&source)?;
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
    }

    fn evaluate(&self, source: &MemorySource) -> Result<Vec<Row>> {
        let answer = logql::evaluate(&self.query, source, &Inline, &Budget::unlimited())?;
        let Data::Streams(streams) = answer.data else { return Ok(Vec::new()) };
        let mut rows: Vec<Row> = Vec::new();
        for stream in streams {
            let labels = stream.labels;
            rows.extend(stream.entries.into_iter().map(|entry| Row {
                labels: labels.clone(),
                ts: entry.ts,
                line: entry.line,
                structured: entry.structured,
                parsed: entry.parsed,
            }));
        }
        rows.sort_by_key(|row| row.ts);
        Ok(rows)
    }

    /// Takes the list of the lines dropped since the last call, and how many there were in all: the list ends after
    /// fifty thousand. They are lines of the selected streams, whether or not they would have passed the stages.
    pub fn take_dropped(&self) -> (Vec<Dropped>, u64) {
        self.subscription.take_dropped()
    }

    /// Whether the database was closed and all lines were read.
    pub fn is_closed(&self) -> bool {
        self.subscription.is_closed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use narvi_types::{Entry, Labels, Tenant, Timestamp};

    use crate::{Builder, ErrorKind, PushStream};

    #[test]
    fn lines_come_through_the_stages_of_the_query() {
        let db = Builder::in_memory().open().expect("opens");
        let tenant = Tenant::default();
        let push = |app: &str, lines: &[&str]| {
            let labels = Labels::from_pairs([("app", app)]).expect("valid");
            let entries =
                lines.iter().zip(1..).map(|(l, ns)| Entry::new(Timestamp::from_ns(ns), l.as_bytes().to_vec()));
            let push = vec![PushStream::new(labels, entries.collect())];
            db.push(&tenant, push).expect("pushed").wait().expect("kept");
        };
        let wait = Duration::from_secs(5);
        push("a", &["before"]);
        let tail = db.tail(&tenant, r#"{app="a"} |= "keep" | logfmt"#).expect("valid");
        push("b", &["keep n=0"]);
        push("a", &["other"]);
        push("a", &["keep n=1", "no", "keep n=2"]);
        let rows = tail.recv_timeout(wait).expect("evaluates").expect("lines");
        let lines: Vec<_> = rows.iter().map(|row| (&row.line[..], row.labels.get("n"))).collect();
        assert_eq!(lines, [(&b"keep n=1"[..], Some("1")), (b"keep n=2", Some("2"))]);
        assert_eq!(tail.recv_timeout(Duration::from_millis(10)).expect("evaluates"), None);
        assert_eq!(tail.take_dropped().1, 0);
        db.close().expect("closes");
        assert!(tail.is_closed());
        for bad in [r#"rate({app="a"}[1m])"#, "{app="] {
            assert_eq!(db.tail(&tenant, bad).expect_err(bad).kind(), ErrorKind::Query);
        }
    }
}
