//! How ingesters are reached: implemented by whoever has connections to them.

use std::{future::Future, pin::Pin, sync::Arc};

use narvi::{Dropped, Error, HeadsDetail, HeadsRequest, PushStream, RemoteHeads, Selector, Tenant, logql::Budget};
use narvi_ring::Instance;
use tokio::sync::mpsc;

/// An ingester's answer, once it comes. Dropping it ends the call.
///
/// An error of the kind [`Query`](narvi::ErrorKind::Query) is the query's own (its budget is used up) and ends it; any other
/// one is a failure of this ingester, of which the ring tolerates some.
pub type IngesterCall<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

/// Labels of streams in an ingester's memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct HeadLabels {
    /// Names, or values of one name.
    pub texts: Vec<String>,
    /// The newest manifest that the ingester knew before it looked.
    pub manifest: u64,
}

/// What an ingester tells of its pushes.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct TailItem {
    /// New lines.
    pub streams: Vec<PushStream>,
    /// Lines that were dropped since the reader is too slow.
    pub dropped: Vec<Dropped>,
    /// How many were dropped; the list may be shorter.
    pub dropped_count: u64,
}

/// Calls ingesters, one at a time. Time limits, and what to do about failures, are of the caller.
pub trait Ingesters: Send + Sync + 'static {
    /// The rows in its memory, or their summaries. They are complete, and charged to the budget.
    fn heads(
        &self,
        of: &Arc<Instance>,
        request: &Arc<HeadsRequest>,
        detail: HeadsDetail,
        budget: &Budget,
    ) -> IngesterCall<RemoteHeads>;

    /// The names of labels of the streams that a request selects.
    fn label_names(&self, of: &Arc<Instance>, request: &Arc<HeadsRequest>) -> IngesterCall<HeadLabels>;

    /// The values of a label of the streams that a request selects.
    fn label_values(&self, of: &Arc<Instance>, name: &str, request: &Arc<HeadsRequest>) -> IngesterCall<HeadLabels>;

    /// Follows pushes: once the future has succeeded, no push is missed. The channel ends when the ingester does; when the
    /// receiver is dropped the ingester is told.
    fn tail(&self, of: &Arc<Instance>, tenant: &Tenant, selector: &Selector) -> IngesterCall<mpsc::Receiver<TailItem>>;
}
