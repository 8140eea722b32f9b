//! Following a log query: lines as they are pushed, through the stages of the query.

use std::{
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use narvi_logql::{self as logql, Budget, Data, Inline, Params, Query, Row, Source, ast::Expr, memory::MemorySource};
use narvi_types::{Direction, Entry, Labels, Selector, Tenant};
use parking_lot::Mutex;

use crate::{
    Db, Dropped, Error, ErrorKind, Result, Subscription, TailBatch,
    db::Inner,
    deletes::{Cuts, MarkFiles},
    head::Generation,
    read::{Packs, StoreCatalog, Tables, TenantSource},
};

/// The lines that a query selects, as they are pushed. Dropping it ends that. May be used from several threads.
#[derive(Debug)]
pub struct Tail {
    subscription: Subscription,
    query: TailQuery,
    deletes: Deletes,
}

/// The stages of a log query, for lines that are followed. [`Tail`] runs them on the pushes of a database; whoever gets lines
/// from elsewhere runs them by itself.
#[derive(Clone, Debug)]
pub struct TailQuery {
    selector: Selector,
    query: Query,
}

/// The requests to delete that hide lines of a tenant.
#[derive(Debug)]
struct Deletes {
    tenant: Tenant,
    /// Not held, so that a tail does not keep the database open.
    db: Weak<Inner>,
    /// What was known of them when the database was last there.
    known: Mutex<Cuts>,
    packs: Arc<Packs>,
    tables: Arc<Tables>,
    marks: Arc<MarkFiles>,
}

impl TailQuery {
    /// Takes a log query. `categorize` keeps structured metadata and parsed labels apart from the labels of the stream.
    ///
    /// # Errors
    /// [`ErrorKind::Query`]: the query is wrong, or a metric query.
    pub fn new(expr: Expr, categorize: bool) -> Result<Self> {
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
        Ok(Self { selector, query })
    }

    /// The streams that are followed.
    pub fn selector(&self) -> &Selector {
        &self.selector
    }

    /// The lines of one stream that pass the stages, oldest first.
    ///
    /// # Errors
    /// A stage fails in a way that a query would fail too.
    pub fn rows(&self, labels: &Labels, entries: Vec<Entry>) -> Result<Vec<Row>> {
        let mut source = MemorySource::new();
        for entry in entries {
            source.push(labels, entry);
        }
        self.evaluate(&source)
    }

    fn evaluate(&self, source: &dyn Source) -> Result<Vec<Row>> {
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
}

impl Db {
    /// Follows a log query: gives what is pushed from now on and passes its stages. Lines wait in a bounded queue; those that
    /// do not fit are dropped and listed by [`Tail::take_dropped`], never silently. Lines that a request to delete hides are
    /// not given.
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
        let query = TailQuery::new(expr, categorize)?;
        let deletes = Deletes {
            tenant: tenant.clone(),
            db: Arc::downgrade(&self.inner),
            known: Mutex::default(),
            packs: self.packs().clone(),
            tables: self.tables().clone(),
            marks: self.marks().clone(),
        };
        Ok(Tail { subscription: self.subscribe(tenant, query.selector().clone()), query, deletes })
    }
}

impl Tail {
    /// Waits for lines: those of one push to one stream that pass the stages, oldest first. Nothing when none came in
    /// time, or the database was closed and all is read.
    ///
    /// # Errors
    /// A stage fails in a way that a query would fail too; a request to delete cannot be applied.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Option<Vec<Row>>> {
        let deadline = Instant::now().checked_add(timeout);
        loop {
            let left = deadline.map_or(timeout, |at| at.saturating_duration_since(Instant::now()));
            let Some(batch) = self.subscription.recv_timeout(left) else { return Ok(None) };
            let rows = match self.deletes.source(&batch)? {
                Some(source) => self.query.evaluate(&source)?,
                None => self.query.rows(&batch.labels, batch.entries)?,
            };
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
        }
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

impl Deletes {
    /// The rows of a batch as a source that leaves out those that are hidden; nothing when none can be.
    fn source(&self, batch: &TailBatch) -> Result<Option<TenantSource>> {
        let mut known = self.known.lock();
        if let Some(inner) = self.db.upgrade() {
            let db = Db { inner };
            let manifest = db.state().manifest.clone();
            // Retention hides old lines from questions about the past; what is pushed now is told.
            *known = db.book().cuts(&manifest, &self.tenant, None)?;
        }
        if !known.pending.iter().any(|pending| pending.filter.selector.matches(&batch.labels)) {
            return Ok(None);
        }
        let generation = Generation::new(0);
        let heads = generation.tenant_or_new(&self.tenant);
        generation.append(&generation.stream(&heads, &batch.labels), &batch.entries, 0);
        Ok(Some(TenantSource {
            tenant: self.tenant.clone(),
            catalog: Arc::new(StoreCatalog::new(Arc::default(), self.tables.clone())),
            generations: vec![Arc::new(generation)],
            packs: self.packs.clone(),
            cuts: Ok(known.clone()),
            marks: self.marks.clone(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use narvi_types::{Entry, Labels, Tenant, TimeRange, Timestamp};

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

    #[test]
    fn lines_that_a_request_hides_are_not_told() {
        let db = Builder::in_memory().open().expect("opens");
        let tenant = Tenant::default();
        let push = |app: &str, lines: &[&str]| {
            let labels = Labels::from_pairs([("app", app)]).expect("valid");
            let entries =
                lines.iter().zip(1..).map(|(l, ns)| Entry::new(Timestamp::from_ns(ns), l.as_bytes().to_vec()));
            db.push(&tenant, vec![PushStream::new(labels, entries.collect())]).expect("pushed");
        };
        let tail = db.tail(&tenant, r#"{app=~"a|b"}"#).expect("valid");
        let told = || {
            let mut lines = Vec::new();
            while let Some(rows) = tail.recv_timeout(Duration::from_millis(10)).expect("evaluates") {
                lines.extend(rows.into_iter().map(|row| String::from_utf8_lossy(&row.line).into_owned()));
            }
            lines
        };
        let some = db.create_delete(&tenant, r#"{app="a"} |= "secret""#, TimeRange::ALL).expect("made");
        let early = TimeRange::new(0, 1);
        let all = db.create_delete(&tenant, r#"{app="b"}"#, early).expect("made");
        db.create_delete(&Tenant::new("other").expect("valid"), r#"{app="a"}"#, TimeRange::ALL).expect("made");
        push("a", &["public", "a secret", "more"]);
        push("a", &["only secrets"]);
        push("b", &["hidden", "a secret of another"]);
        assert_eq!(told(), ["public", "more", "a secret of another"]);
        db.flush().expect("flushed");
        assert!(db.cancel_delete(&tenant, some.id, false).expect("cancelled"));
        push("a", &["a secret"]);
        push("b", &["hidden"]);
        assert_eq!(told(), ["a secret"]);
        push("b", &["hidden", "seen"]);
        db.cancel_delete(&tenant, all.id, false).expect("cancelled");
        push("b", &["hidden no more"]);
        assert_eq!(told(), ["hidden", "seen", "hidden no more"], "requests are those of when a line is told");
    }
}
