//! A client of a querier.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use narvi::logql::BudgetLimits;
use tonic::transport::Channel;

use super::{Peer, configured, timed::Timed};
use crate::{
    call::CallOptions,
    convert::evaluation_out,
    error::{RpcError, RpcErrorKind},
    pb::narvi::querier_client::QuerierClient as Client,
    service::{Evaluation, PartialAnswer},
    settings::ClientSettings,
};

/// Calls a querier. Cheap to clone. A future that is dropped ends its call, also on the other side.
#[derive(Clone, Debug)]
pub struct QuerierClient {
    peer: Arc<Peer>,
    settings: Arc<ClientSettings>,
}

impl QuerierClient {
    pub(super) fn new(peer: Arc<Peer>, settings: Arc<ClientSettings>) -> Self {
        Self { peer, settings }
    }

    /// Whom it calls.
    pub fn address(&self) -> &str {
        &self.peer.address
    }

    /// Has parts of a query evaluated, and gives a partial result for each scope, in their order: all of them or none. Of the
    /// limits, memory and bytes read count on the other side.
    ///
    /// # Errors
    /// As the other side says; [`RpcErrorKind::Unavailable`] when it cannot be reached or breaks off.
    pub async fn evaluate(
        &self,
        options: &CallOptions,
        evaluation: &Evaluation,
        limits: &BudgetLimits,
    ) -> Result<Vec<PartialAnswer>, RpcError> {
        let timed = Timed { address: self.peer.address.clone(), deadline: options.deadline() };
        let mut message = evaluation_out(evaluation);
        message.memory_bytes = limits.memory_bytes.unwrap_or(0);
        message.read_bytes = limits.read_bytes.unwrap_or(0);
        let mut client: Client<Channel> = configured!(Client::new(self.peer.channel.clone()), &*self.settings);
        let mut answer = timed.run(client.evaluate(options.request(message)?)).await?.into_inner();
        let (mut out, mut pieces, mut bytes) = (Vec::new(), BytesMut::new(), 0);
        while let Some(message) = timed.run(answer.message()).await? {
            bytes += message.piece.len();
            if bytes > self.settings.max_answer_bytes {
                let text =
                    format!("the answer of {} is larger than {bytes} bytes; narrow the query", self.peer.address);
                return Err(RpcError::new(RpcErrorKind::TooLarge, text));
            }
            let partial: Bytes = if pieces.is_empty() && !message.more {
                message.piece
            } else {
                pieces.extend_from_slice(&message.piece);
                if message.more {
                    continue;
                }
                pieces.split().freeze()
            };
            let (bytes_read, lines_read, warnings) = (message.bytes_read, message.lines_read, message.warnings);
            out.push(PartialAnswer { partial, bytes_read, lines_read, warnings });
        }
        if out.len() == evaluation.scopes.len() && pieces.is_empty() { Ok(out) } else { Err(timed.broke_off()) }
    }
}
