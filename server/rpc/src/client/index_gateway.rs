//! A client of an index gateway.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use narvi::{IndexAnswer, IndexQuestion, IndexTable, logql::Budget};
use tonic::transport::Channel;

use super::{Peer, configured, timed::Timed};
use crate::{
    call::CallOptions,
    error::{RpcError, RpcErrorKind},
    pb::narvi::{LookUpRequest, index_gateway_client::IndexGatewayClient as Client},
    settings::ClientSettings,
};

/// Calls an index gateway. Cheap to clone. A future that is dropped ends its call, also on the other side.
#[derive(Clone, Debug)]
pub struct IndexGatewayClient {
    peer: Arc<Peer>,
    settings: Arc<ClientSettings>,
}

impl IndexGatewayClient {
    pub(super) fn new(peer: Arc<Peer>, settings: Arc<ClientSettings>) -> Self {
        Self { peer, settings }
    }

    /// Whom it calls.
    pub fn address(&self) -> &str {
        &self.peer.address
    }

    /// Asks a question of some tables, and gives the answers in their order: all of them or none. Each was checked to be the
    /// answer to this question.
    ///
    /// # Errors
    /// As the other side says; [`RpcErrorKind::Unavailable`] when it cannot be reached or breaks off;
    /// [`RpcErrorKind::Corrupt`] when what comes is no answer to the question; the budget is used up.
    pub async fn look_up(
        &self,
        options: &CallOptions,
        question: &IndexQuestion,
        tables: &[IndexTable],
        budget: &Budget,
    ) -> Result<Vec<IndexAnswer>, RpcError> {
        let timed = Timed { address: self.peer.address.clone(), deadline: options.deadline() };
        let message = LookUpRequest { question: question.encode(tables).into() };
        let mut client: Client<Channel> = configured!(Client::new(self.peer.channel.clone()), &*self.settings);
        let mut answer = timed.run(client.look_up(options.request(message)?)).await?.into_inner();
        let mut charge = budget.charge(0)?;
        let (mut out, mut pieces, mut bytes) = (Vec::with_capacity(tables.len()), BytesMut::new(), 0);
        while let Some(message) = timed.run(answer.message()).await? {
            budget.check()?;
            bytes += message.piece.len();
            if bytes > self.settings.max_answer_bytes {
                let text =
                    format!("the answer of {} is larger than {bytes} bytes; narrow the query", self.peer.address);
                return Err(RpcError::new(RpcErrorKind::TooLarge, text));
            }
            charge.grow(message.piece.len() as u64)?;
            let whole: Bytes = if pieces.is_empty() && !message.more {
                message.piece
            } else {
                pieces.extend_from_slice(&message.piece);
                if message.more {
                    continue;
                }
                pieces.split().freeze()
            };
            let table = tables.get(out.len()).ok_or_else(|| {
                let text = format!("{} gives more answers than it was asked for", self.peer.address);
                RpcError::new(RpcErrorKind::Corrupt, text)
            })?;
            out.push(IndexAnswer::new(question, table, whole)?);
        }
        if out.len() == tables.len() && pieces.is_empty() { Ok(out) } else { Err(timed.broke_off()) }
    }
}
