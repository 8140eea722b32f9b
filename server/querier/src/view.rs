//! The rows of one tenant for one query: what ingesters hold and what lies in the store, taken anew for each leaf.

use std::{collections::BTreeSet, sync::Arc};

use narvi::{
    Error, HeadsDetail, HeadsRequest, Labels, Matcher, Selector, Snapshot, StreamStats, Tenant, TimeRange,
    logql::{Budget, BudgetError, Part, ScanRequest, Source, SourceError},
};
use narvi_logs::{LogsError, View};
use parking_lot::Mutex;

use crate::{
    Inner,
    ingesters::{HeadLabels, IngesterCall},
    text, told,
};

/// What a query sees. Each call sees every row that was acknowledged before it once; two calls may see different later rows.
pub(crate) struct QuerierView {
    querier: Arc<Inner>,
    tenant: Tenant,
    /// Kept until the query ends: parts share their rows, and the budget counts them as long.
    kept: Mutex<Vec<Snapshot>>,
    lookups: Mutex<Lookups>,
}

/// Look-ups of labels of the same streams: the second one fetches them all, for those that follow.
#[derive(Default)]
struct Lookups {
    last: Option<(Vec<Matcher>, TimeRange)>,
    streams: Option<Snapshot>,
}

impl QuerierView {
    pub(crate) fn new(querier: Arc<Inner>, tenant: Tenant) -> Self {
        Self { querier, tenant, kept: Mutex::default(), lookups: Mutex::default() }
    }

    /// Asks ingesters, then takes a view of the store.
    fn take(&self, requests: Vec<HeadsRequest>, detail: HeadsDetail, budget: &Budget) -> Result<Snapshot, Error> {
        let querier = &self.querier;
        let mut remote = Vec::new();
        for request in requests.into_iter().filter(|request| querier.asks_ingesters(&request.range)) {
            let request = Arc::new(request);
            remote.extend(querier.ask(budget, |of| querier.ingesters.heads(of, &request, detail, budget))?);
        }
        match querier.settings.query_ingester_only {
            true => querier.reader.snapshot_of_memory(&self.tenant, remote),
            false => querier.reader.snapshot_with(&self.tenant, remote),
        }
    }

    fn summaries(&self, selectors: &[Selector], range: TimeRange, budget: &Budget) -> Result<Snapshot, Error> {
        let request = |selector: Selector| HeadsRequest::new(&self.tenant, selector, range);
        let requests = match selectors {
            [] => vec![request(Selector::new(Vec::new()))],
            some => some.iter().cloned().map(request).collect(),
        };
        self.take(requests, HeadsDetail::Summaries, budget)
    }

    /// Looks labels up: in the store by a view of it, in ingesters by a call.
    fn labels(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        budget: &Budget,
        find: impl Fn(&Snapshot) -> Result<Vec<String>, Error>,
        call: impl Fn(&Arc<narvi_ring::Instance>, &Arc<HeadsRequest>) -> IngesterCall<HeadLabels>,
    ) -> Result<Vec<String>, Error> {
        let querier = &self.querier;
        let mut lookups = self.lookups.lock();
        if lookups.last.as_ref().is_some_and(|(asked, of)| asked == matchers && *of == range) {
            if lookups.streams.is_none() {
                lookups.streams = Some(self.summaries(&[Selector::new(matchers.to_vec())], range, budget)?);
            }
            return lookups.streams.as_ref().map_or(Ok(Vec::new()), find);
        }
        *lookups = Lookups { last: Some((matchers.to_vec(), range)), streams: None };
        drop(lookups);
        let mut heads = Vec::new();
        if querier.asks_ingesters(&range) {
            let request = HeadsRequest::new(&self.tenant, Selector::new(matchers.to_vec()), range);
            let request = Arc::new(request);
            heads = querier.ask(budget, |of| call(of, &request))?;
        }
        let newest = heads.iter().map(|heads| heads.manifest).max().unwrap_or(0);
        let mut all: BTreeSet<String> = heads.into_iter().flat_map(|heads| heads.texts).collect();
        if !querier.settings.query_ingester_only {
            all.extend(find(&querier.reader.snapshot_since(&self.tenant, newest)?)?);
        }
        Ok(all.into_iter().collect())
    }
}

impl Source for QuerierView {
    fn parts(&self, request: &ScanRequest, budget: &Budget) -> Result<Vec<Box<dyn Part>>, SourceError> {
        let asked = HeadsRequest::of_scan(&self.tenant, request);
        let snapshot = self.take(vec![asked], HeadsDetail::Rows, budget).map_err(|error| source_error(&error))?;
        let parts = snapshot.parts(request, budget)?;
        self.kept.lock().push(snapshot);
        Ok(parts)
    }
}

impl View for QuerierView {
    fn label_names(&self, matchers: &[Matcher], range: TimeRange, budget: &Budget) -> Result<Vec<String>, LogsError> {
        let find = |snapshot: &Snapshot| snapshot.label_names(matchers, range);
        let ingesters = &self.querier.ingesters;
        self.labels(matchers, range, budget, find, |of, request| ingesters.label_names(of, request)).map_err(told)
    }

    fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
        budget: &Budget,
    ) -> Result<Vec<String>, LogsError> {
        let find = |snapshot: &Snapshot| snapshot.label_values(name, matchers, range);
        let ingesters = &self.querier.ingesters;
        let call = |of: &Arc<_>, request: &Arc<_>| ingesters.label_values(of, name, request);
        self.labels(matchers, range, budget, find, call).map_err(told)
    }

    fn series(&self, selectors: &[Selector], range: TimeRange, budget: &Budget) -> Result<Vec<Labels>, LogsError> {
        let find = |snapshot: Snapshot| snapshot.series(selectors, range);
        self.summaries(selectors, range, budget).and_then(find).map_err(told)
    }

    fn stream_stats(&self, selector: &Selector, range: TimeRange, budget: &Budget) -> Result<StreamStats, LogsError> {
        let find = |snapshot: Snapshot| snapshot.stream_stats(selector, range);
        self.summaries(std::slice::from_ref(selector), range, budget).and_then(find).map_err(told)
    }
}

/// The evaluator tells apart what the query used up.
fn source_error(error: &Error) -> SourceError {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<BudgetError>());
    match (cause, error.kind()) {
        (Some(budget), _) => SourceError::Budget(*budget),
        (None, narvi::ErrorKind::Corrupt) => SourceError::Corrupt(text(error)),
        (None, _) => SourceError::Unavailable(text(error)),
    }
}
