//! One process: its own database stores and answers.

use std::time::Duration;

use narvi::{
    Db, Dropped, Labels, Matcher, PushStream, Selector, Snapshot, StreamStats, Tail, Tenant, TimeRange,
    logql::{Budget, Executor, Row, ast::Expr},
};

use crate::{Follow, LogsError, Push, Pushing, Read, View};

impl Push for Db {
    fn push(&self, tenant: &Tenant, streams: Vec<PushStream>) -> Pushing {
        let stored = self.push(tenant, streams).and_then(|ack| ack.wait());
        Box::pin(std::future::ready(stored.map_err(LogsError::from)))
    }
}

impl Read for Db {
    fn view(&self, tenant: &Tenant) -> Box<dyn View> {
        Box::new(self.snapshot(tenant))
    }

    fn tail(&self, tenant: &Tenant, expr: &Expr, categorize: bool) -> Result<Box<dyn Follow>, LogsError> {
        Ok(Box::new(self.tail_expr(tenant, expr.clone(), categorize)?))
    }

    fn executor(&self) -> Box<dyn Executor> {
        Box::new(self.executor())
    }

    fn deletes_version(&self, tenant: &Tenant) -> Result<u64, LogsError> {
        Ok(self.deletes_version(tenant))
    }
}

/// What was taken before is all that is read: no budget is asked.
impl View for Snapshot {
    fn label_names(&self, matchers: &[Matcher], range: TimeRange, _: &Budget) -> Result<Vec<String>, LogsError> {
        Ok(self.label_names(matchers, range)?)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        _: &Budget,
    ) -> Result<Vec<String>, LogsError> {
        Ok(self.label_values(name, matchers, range)?)
    }

    fn series(&self, selectors: &[Selector], range: TimeRange, _: &Budget) -> Result<Vec<Labels>, LogsError> {
        Ok(self.series(selectors, range)?)
    }

    fn stream_stats(&self, selector: &Selector, range: TimeRange, _: &Budget) -> Result<StreamStats, LogsError> {
        Ok(self.stream_stats(selector, range)?)
    }
}

impl Follow for Tail {
    fn recv_timeout(&mut self, timeout: Duration) -> Result<Option<Vec<Row>>, LogsError> {
        Ok(Tail::recv_timeout(self, timeout)?)
    }

    fn take_dropped(&mut self) -> (Vec<Dropped>, u64) {
        Tail::take_dropped(self)
    }

    fn is_closed(&self) -> bool {
        Tail::is_closed(self)
    }
}
