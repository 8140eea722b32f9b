//! How a querier reaches ingesters: over gRPC.

use std::sync::Arc;

use narvi::{Dropped, Error, ErrorKind, HeadsDetail, HeadsRequest, RemoteHeads, Selector, Tenant, logql::Budget};
use narvi_querier::{HeadLabels, IngesterCall, Ingesters, TailItem};
use narvi_ring::Instance;
use narvi_rpc::{CallOptions, ClientPool, IngesterClient, LabelTexts, RpcError, RpcErrorKind, TailPart, TailStream};
use tokio::sync::mpsc;

/// Messages of a tail that wait for a slow reader; then the ingester waits, and drops what does not fit.
const TAIL_AHEAD: usize = 16;

/// Ingesters behind a pool of clients.
pub(super) struct RemoteIngesters(pub(super) ClientPool);

impl RemoteIngesters {
    fn client(&self, of: &Instance) -> Result<IngesterClient, Error> {
        self.0.ingester(&of.address).map_err(told)
    }
}

impl Ingesters for RemoteIngesters {
    fn heads(
        &self,
        of: &Arc<Instance>,
        request: &Arc<HeadsRequest>,
        detail: HeadsDetail,
        budget: &Budget,
    ) -> IngesterCall<RemoteHeads> {
        let (client, request, budget) = (self.client(of), request.clone(), budget.clone());
        Box::pin(async move {
            let options = CallOptions::of(&request.tenant);
            client?.heads(&options, &request, detail, &budget).await.map_err(told)
        })
    }

    fn label_names(&self, of: &Arc<Instance>, request: &Arc<HeadsRequest>) -> IngesterCall<HeadLabels> {
        let (client, request) = (self.client(of), request.clone());
        Box::pin(async move {
            let options = CallOptions::of(&request.tenant);
            let asked = client?.label_names(&options, request.selector.matchers(), request.range).await;
            asked.map(labels).map_err(told)
        })
    }

    fn label_values(&self, of: &Arc<Instance>, name: &str, request: &Arc<HeadsRequest>) -> IngesterCall<HeadLabels> {
        let (client, request, name) = (self.client(of), request.clone(), name.to_owned());
        Box::pin(async move {
            let options = CallOptions::of(&request.tenant);
            let asked = client?.label_values(&options, &name, request.selector.matchers(), request.range).await;
            asked.map(labels).map_err(told)
        })
    }

    fn tail(&self, of: &Arc<Instance>, tenant: &Tenant, selector: &Selector) -> IngesterCall<mpsc::Receiver<TailItem>> {
        let (client, id) = (self.client(of), of.id.clone());
        let (tenant, selector) = (tenant.clone(), selector.clone());
        Box::pin(async move {
            let stream = client?.tail(&tenant, &selector).await.map_err(told)?;
            let (give, take) = mpsc::channel(TAIL_AHEAD);
            tokio::spawn(pass_on(stream, give, id));
            Ok(take)
        })
    }
}

/// Passes on what is pushed, until the reader or the ingester is gone.
async fn pass_on(mut stream: TailStream, give: mpsc::Sender<TailItem>, ingester: String) {
    loop {
        let part = tokio::select! {
            part = stream.next() => part,
            () = give.closed() => return,
        };
        match part {
            Ok(Some(part)) => {
                if give.send(item(part)).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::warn!(ingester, %error, "lost the tail of an ingester");
                return;
            }
        }
    }
}

fn item(part: TailPart) -> TailItem {
    let dropped = part.dropped.into_iter();
    TailItem {
        streams: part.batches,
        dropped: dropped.map(|line| Dropped::new(line.labels, line.timestamp)).collect(),
        dropped_count: part.dropped_count,
    }
}

fn labels(texts: LabelTexts) -> HeadLabels {
    HeadLabels { texts: texts.texts, manifest: texts.manifest }
}

/// What the query itself is to blame for ends it; anything else is a failure of the one that was asked.
fn told(error: RpcError) -> Error {
    let kind = match error.kind() {
        RpcErrorKind::Query | RpcErrorKind::Cancelled => ErrorKind::Query,
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, error.message().to_owned())
}
