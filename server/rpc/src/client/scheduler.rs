//! A client of a process where jobs wait.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tonic::transport::Channel;

use super::{Peer, configured, timed::Timed};
use crate::{
    answer::AnswerPiece,
    call::CallOptions,
    error::RpcError,
    job::Job,
    pb::narvi::{self as pb, scheduler_client::SchedulerClient as Client},
    scheduling::{AnswerStream, FromQuerier, OfferStream, ToQuerier},
    settings::ClientSettings,
};

/// Calls a scheduler. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SchedulerClient {
    peer: Arc<Peer>,
    settings: Arc<ClientSettings>,
}

impl SchedulerClient {
    pub(super) fn new(peer: Arc<Peer>, settings: Arc<ClientSettings>) -> Self {
        Self { peer, settings }
    }

    /// Whom it calls.
    pub fn address(&self) -> &str {
        &self.peer.address
    }

    fn client(&self) -> Client<Channel> {
        configured!(Client::new(self.peer.channel.clone()), &*self.settings)
    }

    /// Hands a job in, as the frontend of a name. The answer is over in time; dropping it gives the job up, also on the other
    /// side.
    ///
    /// # Errors
    /// As the other side says; [`RpcErrorKind::Unavailable`](crate::RpcErrorKind::Unavailable) when it cannot be reached.
    pub async fn submit(&self, frontend: &str, job: &Job) -> Result<AnswerStream, RpcError> {
        let timed = Timed { address: self.peer.address.clone(), deadline: job.deadline() };
        let mut options = CallOptions::of_all(job.tenants());
        if let Some(deadline) = job.deadline() {
            options = options.within(deadline.saturating_duration_since(std::time::Instant::now()));
        }
        let message = pb::SubmitRequest { frontend: frontend.to_owned(), job: Some(job.to_message()) };
        let answer = timed.run(self.client().submit(options.request(message)?)).await?.into_inner();
        let pieces = stream::try_unfold((timed, answer), |(timed, mut answer)| async move {
            match timed.run(answer.message()).await? {
                Some(message) => Ok(Some((AnswerPiece::of_message(Some(message))?, (timed, answer)))),
                None => Ok(None),
            }
        });
        Ok(Box::pin(pieces))
    }

    /// Opens a place of a querier: what it tells goes there, and what it is told comes back. The bytes of its pieces should stay
    /// below [`SchedulerClient::piece_bytes`].
    ///
    /// # Errors
    /// [`RpcErrorKind::Unavailable`](crate::RpcErrorKind::Unavailable) when the other side cannot be reached.
    pub async fn work(
        &self,
        from: impl futures_util::Stream<Item = FromQuerier> + Send + 'static,
    ) -> Result<OfferStream, RpcError> {
        let address = self.peer.address.clone();
        let requests = from.map(FromQuerier::into_message);
        let answer = self.client().work(requests).await.map_err(|status| RpcError::from_status(&status, &address))?;
        let offers = answer.into_inner().map(move |message| match message {
            Ok(message) => ToQuerier::of_message(message),
            Err(status) => Err(RpcError::from_status(&status, &address)),
        });
        Ok(Box::pin(offers))
    }

    /// Bytes of a piece of an answer that surely fit into a message.
    pub fn piece_bytes(&self) -> usize {
        (self.settings.max_send_bytes / 2).clamp(1, 1 << 20)
    }
}
