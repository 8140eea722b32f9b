//! How a distributor's pushes reach ingesters: over gRPC.

use std::sync::Arc;

use narvi_distributor::{Batch, ReplicaCall, ReplicaError, Replicas};
use narvi_ring::Instance;
use narvi_rpc::{CallOptions, ClientPool, RpcError, RpcErrorKind};

/// Ingesters behind a pool of clients.
pub(super) struct RemoteReplicas(pub(super) ClientPool);

impl Replicas for RemoteReplicas {
    fn push(&self, to: &Arc<Instance>, batch: &Arc<Batch>) -> ReplicaCall {
        let (client, batch) = (self.0.ingester(&to.address), batch.clone());
        Box::pin(async move {
            let sent = match client {
                Ok(client) => client.push(&batch.tenant, &CallOptions::of(&batch.tenant), &batch.streams).await,
                Err(error) => Err(error),
            };
            sent.map_err(told)
        })
    }
}

/// The status that a single process would have answered with.
fn told(error: RpcError) -> ReplicaError {
    let status = match error.kind() {
        RpcErrorKind::Invalid => 400,
        RpcErrorKind::TooLarge => 413,
        RpcErrorKind::Busy | RpcErrorKind::Full | RpcErrorKind::Unavailable => 503,
        _ => 500,
    };
    let message = error.message().to_owned();
    match error.is_retryable() || status >= 500 {
        true => ReplicaError::Retryable { status, message },
        false => ReplicaError::Permanent { status, message },
    }
}

#[cfg(test)]
mod tests {
    use super::{ReplicaError, RpcError, RpcErrorKind, told};

    #[test]
    fn what_a_client_may_send_again_is_told_apart() {
        let of = |kind| told(RpcError::new(kind, "x"));
        assert!(matches!(of(RpcErrorKind::Invalid), ReplicaError::Permanent { status: 400, .. }));
        assert!(matches!(of(RpcErrorKind::TooLarge), ReplicaError::Permanent { status: 413, .. }));
        assert!(matches!(of(RpcErrorKind::Full), ReplicaError::Retryable { status: 503, .. }));
        assert!(matches!(of(RpcErrorKind::Internal), ReplicaError::Retryable { status: 500, .. }));
    }
}
