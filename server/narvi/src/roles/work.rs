//! How a querier does the jobs that it takes from queues: evaluations over what it reads, requests by its own routes.

use std::{ops::ControlFlow, sync::Arc, time::Instant};

use narvi::logql::{self, Query};
use narvi_http::{App, Responder};
use narvi_logs::{Forward as _, LogsError, Request};
use narvi_rpc::{Call, Evaluation, HttpAnswer, HttpRequest, PartialAnswer, RpcError, RpcErrorKind};
use narvi_scheduler::{HttpWork, Work};

/// Work over an app, which must read logs itself.
pub(super) struct AppWork {
    app: Arc<App>,
    responder: Responder,
}

impl AppWork {
    /// Answers over HTTP have at most so many bytes.
    pub(super) fn new(app: Arc<App>, max_answer_bytes: usize) -> Self {
        let responder = app.responder(max_answer_bytes);
        Self { app, responder }
    }
}

impl Work for AppWork {
    fn evaluate(
        &self,
        call: &Call,
        evaluation: &Evaluation,
        give: &mut dyn FnMut(PartialAnswer) -> ControlFlow<()>,
    ) -> Result<(), RpcError> {
        let query = Query::new(logql::parse(&evaluation.query)?, evaluation.params.clone());
        let mut give = |answer: narvi_http::ScopeAnswer| {
            give(PartialAnswer {
                partial: answer.partial.into(),
                bytes_read: answer.bytes_read,
                lines_read: answer.lines_read,
                deletes: answer.deletes,
                warnings: Vec::new(),
            })
        };
        self.app.evaluate_scopes(call.tenants(), &query, &evaluation.scopes, call.budget(), &mut give).map_err(told)
    }

    fn http(&self, call: &Call, request: HttpRequest) -> HttpWork {
        let HttpRequest { method, uri, headers, body } = request;
        // What is left of its time: it may have waited.
        let timeout = call.deadline().map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let answer = self.responder.forward(call.tenants(), timeout, Request { method, uri, headers, body });
        Box::pin(async {
            let answer = answer.await.map_err(told)?;
            Ok(HttpAnswer { status: answer.status, headers: answer.headers, body: answer.body })
        })
    }
}

/// What a frontend can do about an error: of what cannot be reached now, another querier may reach more.
fn told(error: LogsError) -> RpcError {
    match error {
        LogsError::Store(error) => error.into(),
        LogsError::Query(error) => error.into(),
        LogsError::Answer { status, message } => {
            let kind = match status {
                429 => RpcErrorKind::Busy,
                504 => RpcErrorKind::Deadline,
                400..500 => RpcErrorKind::Query,
                _ => RpcErrorKind::Unavailable,
            };
            RpcError::new(kind, message)
        }
        other => RpcError::new(RpcErrorKind::Internal, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use narvi::{
        Builder, Entry, Labels, PushStream, Tenant, Timestamp,
        logql::{Budget, BudgetLimits, Data, Params, Partial},
    };
    use narvi_http::HttpSettings;

    use super::*;

    fn work() -> AppWork {
        let db = Builder::in_memory().open().expect("opens");
        let labels = Labels::from_pairs([("app", "x")]).expect("valid");
        let now = Timestamp::from_system(SystemTime::now()).as_ns();
        let lines = (0..100).map(|at| Entry::new(Timestamp::from_ns(now - 100 + at), format!("line {at}"))).collect();
        db.push(&Tenant::default(), vec![PushStream::new(labels, lines)]).expect("pushed").wait().expect("kept");
        AppWork::new(App::new(db, HttpSettings::default()), 1 << 20)
    }

    fn call(limits: BudgetLimits) -> Call {
        Call::new(vec![Tenant::default()], limits)
    }

    #[test]
    fn partial_results_of_scopes_merge_to_the_answer() {
        let work = work();
        let now = Timestamp::from_system(SystemTime::now()).as_ns();
        let (text, params) =
            ("sum(count_over_time({app=\"x\"}[5m])) / sum(rate({app=\"x\"}[5m]))", Params::instant(now));
        let query = Query::new(logql::parse(text).expect("parses"), params.clone());
        let plan = query.plan().expect("plans");
        let scopes: Vec<_> = plan.leaves().iter().map(logql::Leaf::scope).collect();
        assert_eq!(scopes.len(), 2);
        let evaluation = Evaluation { query: text.to_owned(), params, scopes };
        let mut partials = Vec::new();
        let mut give = |answer: PartialAnswer| {
            assert_eq!(answer.deletes, 0);
            partials.push(Partial::decode(&answer.partial, &plan).expect("ours"));
            ControlFlow::Continue(())
        };
        work.evaluate(&call(BudgetLimits::default()), &evaluation, &mut give).expect("evaluates");
        let Data::Vector(vector) = plan.merge(partials, &Budget::unlimited()).expect("merges").data else {
            panic!("no vector")
        };
        assert_eq!(vector.len(), 1);
        assert!((vector[0].value - 300.0).abs() < 1e-6, "{}", vector[0].value);
    }

    #[test]
    fn errors_keep_their_sense() {
        let work = work();
        let evaluate = |query: &str, limits| {
            let scopes = Query::new(logql::parse("{app=\"x\"}").expect("parses"), Params::range(0, i64::MAX, 0));
            let scopes = scopes.plan().expect("plans").leaves().iter().map(logql::Leaf::scope).collect();
            let evaluation = Evaluation { query: query.to_owned(), params: Params::range(0, i64::MAX, 0), scopes };
            let error = work.evaluate(&call(limits), &evaluation, &mut |_| ControlFlow::Continue(()));
            error.expect_err("refused")
        };
        let error = evaluate("{app=", BudgetLimits::default());
        assert!(error.kind() == RpcErrorKind::Query && error.message().starts_with("parse error"), "{error}");
        let mut limits = BudgetLimits::default();
        limits.memory_bytes = Some(1);
        let error = evaluate("{app=\"x\"}", limits);
        assert!(error.kind() == RpcErrorKind::Query && !error.is_retryable(), "{error}");
        let mut limits = BudgetLimits::default();
        limits.time = Some(Duration::ZERO);
        assert_eq!(evaluate("{app=\"x\"}", limits).kind(), RpcErrorKind::Deadline);
        assert!(told(LogsError::answer(500, "too many unhealthy instances in the ring")).is_retryable());
        assert!(!told(LogsError::answer(400, "x")).is_retryable());
    }

    #[tokio::test]
    async fn requests_are_answered_by_the_routes() {
        let request = |uri: &str| HttpRequest { method: "GET".into(), uri: uri.into(), ..HttpRequest::default() };
        let work = work();
        let answer = work.http(&call(BudgetLimits::default()), request("/loki/api/v1/labels")).await.expect("answered");
        assert_eq!((answer.status, &answer.body[..]), (200, &br#"{"status":"success","data":["app"]}"#[..]));
    }
}
