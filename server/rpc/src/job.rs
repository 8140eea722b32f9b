//! Jobs: what a query-frontend has queriers do. They are kept as messages, so that whoever only passes them on need not
//! understand them.

use std::{
    fmt,
    time::{Duration, Instant},
};

use bytes::Bytes;
use narvi::{Tenant, logql::BudgetLimits};

use crate::{
    call::Call,
    convert::{evaluation_in, evaluation_out, headers_in, headers_out},
    error::{RpcError, RpcErrorKind},
    pb::narvi as pb,
    service::Evaluation,
};

/// A request of Loki's HTTP API that a querier is to answer. Whose logs are meant travels with the call, not in a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct HttpRequest {
    /// The method, as `GET`.
    pub method: String,
    /// Path and query, as `/loki/api/v1/labels?start=1`.
    pub uri: String,
    /// Names and values of headers, in their order; a name may stand several times.
    pub headers: Vec<(String, Bytes)>,
    /// The body; empty if there is none.
    pub body: Bytes,
}

/// What a querier answers to an [`HttpRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct HttpAnswer {
    /// The status, as 200.
    pub status: u16,
    /// Names and values of headers, in their order; a name may stand several times.
    pub headers: Vec<(String, Bytes)>,
    /// The body; empty if there is none.
    pub body: Bytes,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "the kinds that there are")]
pub enum Task {
    /// Parts of a query are to be evaluated, with what that may use beside its time.
    Evaluate(Evaluation, BudgetLimits),
    /// A request is to be answered.
    Http(HttpRequest),
}

/// Something to be done for tenants until a time. Cloning it copies little.
#[derive(Clone)]
pub struct Job {
    tenants: Vec<Tenant>,
    deadline: Option<Instant>,
    kind: pb::job::Kind,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match &self.kind {
            pb::job::Kind::Evaluate(message) => &message.query,
            pb::job::Kind::Http(message) => &message.uri,
        };
        f.debug_struct("Job").field("tenants", &self.tenants).field("what", what).finish_non_exhaustive()
    }
}

impl Job {
    /// A job for tenants, one at least.
    pub fn new(tenants: &[Tenant], task: Task) -> Self {
        let kind = match task {
            Task::Evaluate(evaluation, limits) => {
                let mut message = evaluation_out(&evaluation);
                message.memory_bytes = limits.memory_bytes.unwrap_or(0);
                message.read_bytes = limits.read_bytes.unwrap_or(0);
                message.series = limits.series.unwrap_or(0) as u64;
                pb::job::Kind::Evaluate(message)
            }
            Task::Http(HttpRequest { method, uri, headers, body }) => {
                pb::job::Kind::Http(pb::HttpRequest { method, uri, headers: headers_out(headers), body })
            }
        };
        Self { tenants: tenants.to_vec(), deadline: None, kind }
    }

    /// Says when its answer is of no use any more.
    #[must_use]
    pub fn until(mut self, deadline: Option<Instant>) -> Self {
        self.deadline = deadline;
        self
    }

    /// Whose logs are meant.
    pub fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    /// When its answer is of no use any more.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What is to be done, as a call that knows the time and may be cancelled.
    ///
    /// # Errors
    /// [`RpcErrorKind::Invalid`]: its message makes no sense.
    pub fn read(self) -> Result<(Call, Task), RpcError> {
        let mut limits = BudgetLimits::default();
        limits.time = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match self.kind {
            pb::job::Kind::Evaluate(message) => {
                let some = |value: u64| (value > 0).then_some(value);
                limits.memory_bytes = some(message.memory_bytes);
                limits.read_bytes = some(message.read_bytes);
                limits.series = some(message.series).map(|count| usize::try_from(count).unwrap_or(usize::MAX));
                let call = Call::new(self.tenants, limits.clone());
                Ok((call, Task::Evaluate(evaluation_in(message)?, limits)))
            }
            pb::job::Kind::Http(pb::HttpRequest { method, uri, headers, body }) => {
                let request = HttpRequest { method, uri, headers: headers_in(headers), body };
                Ok((Call::new(self.tenants, limits), Task::Http(request)))
            }
        }
    }

    pub(crate) fn to_message(&self) -> pb::Job {
        pb::Job { kind: Some(self.kind.clone()) }
    }

    /// The message as it was received, by whoever knows the rest.
    pub(crate) fn of_message(
        message: Option<pb::Job>,
        tenants: Vec<Tenant>,
        deadline: Option<Instant>,
    ) -> Result<Self, RpcError> {
        let kind = message.and_then(|job| job.kind);
        let kind = kind.ok_or_else(|| RpcError::new(RpcErrorKind::Unsupported, "a job of a kind that is not known"))?;
        if tenants.is_empty() {
            return Err(RpcError::new(RpcErrorKind::Invalid, "no org id"));
        }
        Ok(Self { tenants, deadline, kind })
    }

    pub(crate) fn into_offer(self, number: u64) -> pb::Offer {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        // Zero means for ever, so that what is late has a moment.
        let timeout_ms = left.map_or(0, |left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).max(1));
        let tenants = self.tenants.iter().map(|tenant| tenant.as_str().to_owned()).collect();
        pb::Offer { number, tenants, timeout_ms, job: Some(pb::Job { kind: Some(self.kind) }) }
    }

    pub(crate) fn of_offer(offer: pb::Offer) -> Result<Self, RpcError> {
        let tenants: Result<_, _> = offer.tenants.iter().map(|name| Tenant::new(name)).collect();
        let tenants = tenants.map_err(|error| RpcError::new(RpcErrorKind::Invalid, error.to_string()))?;
        let left = (offer.timeout_ms > 0).then(|| Duration::from_millis(offer.timeout_ms));
        Self::of_message(offer.job, tenants, left.and_then(|left| Instant::now().checked_add(left)))
    }
}

#[cfg(test)]
mod tests {
    use narvi::logql::Params;

    use super::*;

    #[test]
    fn offers_keep_what_is_asked() {
        let tenants = [Tenant::new("a").expect("valid"), Tenant::new("b").expect("valid")];
        let evaluation = Evaluation { query: "{a=\"b\"}".to_owned(), params: Params::range(1, 2, 3), scopes: vec![] };
        let mut limits = BudgetLimits::default();
        (limits.memory_bytes, limits.series, limits.read_bytes) = (Some(7), Some(8), Some(9));
        let deadline = Instant::now().checked_add(Duration::from_secs(3600));
        let job = Job::new(&tenants, Task::Evaluate(evaluation.clone(), limits.clone())).until(deadline);
        let back = Job::of_offer(job.into_offer(1)).expect("ours");
        let (call, task) = back.read().expect("ours");
        assert_eq!(call.tenants(), tenants);
        let time = call.budget().limits().time.expect("it has a time");
        assert!(time <= Duration::from_secs(3600) && time > Duration::from_secs(1800), "{time:?}");
        limits.time = Some(time);
        assert_eq!(call.budget().limits(), &limits);
        assert_eq!(task, Task::Evaluate(evaluation, limits));
        let headers = vec![("accept".to_owned(), Bytes::from_static(b"\xff"))];
        let body = Bytes::from_static(b"x");
        let request = HttpRequest { method: "POST".to_owned(), uri: "/x?y".to_owned(), headers, body };
        let job = Job::new(&tenants, Task::Http(request.clone()));
        let (call, task) = Job::of_offer(job.into_offer(2)).expect("ours").read().expect("ours");
        assert!(call.budget().limits().time.is_none());
        assert_eq!(task, Task::Http(request));
    }

    #[test]
    fn offers_of_anyone_are_checked() {
        let error = Job::of_offer(pb::Offer::default()).expect_err("no job");
        assert_eq!(error.kind(), RpcErrorKind::Unsupported);
        let job = Some(pb::Job { kind: Some(pb::job::Kind::Http(pb::HttpRequest::default())) });
        let error = Job::of_offer(pb::Offer { job: job.clone(), ..Default::default() }).expect_err("no tenant");
        assert_eq!(error.to_string(), "no org id");
        let offer = pb::Offer { job, tenants: vec!["a/b".to_owned()], ..Default::default() };
        assert_eq!(Job::of_offer(offer).expect_err("no tenant").kind(), RpcErrorKind::Invalid);
    }
}
