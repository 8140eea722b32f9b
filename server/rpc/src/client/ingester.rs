//! A client of an ingester.

use std::sync::Arc;

use narvi::{
    HeadsDetail, HeadsRequest, Matcher, PushStream, RemoteHeads, Selector, Tenant, TimeRange, encode_push,
    logql::Budget,
};
use tonic::{Streaming, transport::Channel};

use super::{Peer, configured, timed::Timed};
use crate::{
    call::CallOptions,
    convert::{matchers_out, tail_in},
    error::{RpcError, RpcErrorKind},
    pb::narvi::{self as pb, ingester_client::IngesterClient as Client},
    service::{LabelTexts, TailPart},
    settings::ClientSettings,
};

/// Calls an ingester. Cheap to clone. A future or stream that is dropped ends its call, also on the other side.
#[derive(Clone, Debug)]
pub struct IngesterClient {
    peer: Arc<Peer>,
    settings: Arc<ClientSettings>,
}

impl IngesterClient {
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

    fn timed(&self, options: &CallOptions) -> Timed {
        Timed { address: self.peer.address.clone(), deadline: options.deadline() }
    }

    /// Adds lines. When it returns, they are kept. Many lines are sent as several messages, one after the other: an error may
    /// come after some were kept, and sending all of them again is right.
    ///
    /// # Errors
    /// As the other side says; [`RpcErrorKind::Unavailable`] when it cannot be reached.
    pub async fn push(&self, tenant: &Tenant, options: &CallOptions, streams: &[PushStream]) -> Result<(), RpcError> {
        let options = options.clone().or_within(self.settings.push_timeout);
        let timed = self.timed(&options);
        let most = self.settings.push_bytes.min(self.settings.max_send_bytes.saturating_sub(1024)).max(1);
        for frame in encode_push(tenant, streams, most) {
            let request = options.request(pb::PushRequest { frame })?;
            timed.run(self.client().push(request)).await?;
        }
        Ok(())
    }

    /// Fetches rows in memory, or what is known of their streams. They are there as a whole or not at all.
    ///
    /// # Errors
    /// As the other side says; [`RpcErrorKind::Unavailable`] when it cannot be reached or breaks off; the budget is used up.
    pub async fn heads(
        &self,
        options: &CallOptions,
        request: &HeadsRequest,
        detail: HeadsDetail,
        budget: &Budget,
    ) -> Result<RemoteHeads, RpcError> {
        let timed = self.timed(options);
        let summaries = detail == HeadsDetail::Summaries;
        let message = pb::HeadsRequest { request: request.encode().into(), summaries };
        let answer = timed.run(self.client().heads(options.request(message)?)).await?;
        let mut answer = answer.into_inner();
        let mut heads = RemoteHeads::new(&request.tenant, budget)?;
        while let Some(message) = timed.run(answer.message()).await? {
            budget.check()?;
            // A frame is a megabyte of rows: not work for a thread of the runtime.
            let add = move || heads.add(&message.frame).map(|()| heads);
            let added = tokio::task::spawn_blocking(add).await;
            heads = added.map_err(|_| RpcError::new(RpcErrorKind::Internal, "a frame of rows could not be read"))??;
        }
        if heads.is_complete() { Ok(heads) } else { Err(timed.broke_off()) }
    }

    /// The names of labels of streams in memory.
    ///
    /// # Errors
    /// As for [`IngesterClient::heads`].
    pub async fn label_names(
        &self,
        options: &CallOptions,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<LabelTexts, RpcError> {
        let matchers = matchers_out(matchers);
        let message = pb::LabelNamesRequest { matchers, first: range.min, last: range.max };
        let timed = self.timed(options);
        let answer = timed.run(self.client().label_names(options.request(message)?)).await?;
        texts(&timed, answer.into_inner()).await
    }

    /// The values of a label of streams in memory.
    ///
    /// # Errors
    /// As for [`IngesterClient::heads`].
    pub async fn label_values(
        &self,
        options: &CallOptions,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<LabelTexts, RpcError> {
        let (name, matchers) = (name.to_owned(), matchers_out(matchers));
        let message = pb::LabelValuesRequest { name, matchers, first: range.min, last: range.max };
        let timed = self.timed(options);
        let answer = timed.run(self.client().label_values(options.request(message)?)).await?;
        texts(&timed, answer.into_inner()).await
    }

    /// Follows pushes to selected streams of a tenant: all that come after this returns.
    ///
    /// # Errors
    /// As the other side says; [`RpcErrorKind::Unavailable`] when it cannot be reached.
    pub async fn tail(&self, tenant: &Tenant, selector: &Selector) -> Result<TailStream, RpcError> {
        let options = CallOptions::of(tenant);
        let timed = self.timed(&options);
        let message = pb::TailRequest { matchers: matchers_out(selector.matchers()) };
        let mut answer = timed.run(self.client().tail(options.request(message)?)).await?.into_inner();
        match timed.run(answer.message()).await? {
            Some(_) => Ok(TailStream { tenant: tenant.clone(), timed, answer }),
            None => Err(timed.broke_off()),
        }
    }

    /// Has everything that is in memory written into files, and gives the number of the newest manifest.
    ///
    /// # Errors
    /// As the other side says.
    pub async fn flush(&self, options: &CallOptions) -> Result<u64, RpcError> {
        let timed = self.timed(options);
        let answer = timed.run(self.client().flush(options.request(pb::FlushRequest {})?)).await?;
        Ok(answer.into_inner().manifest)
    }
}

async fn texts(timed: &Timed, mut answer: Streaming<pb::LabelsResponse>) -> Result<LabelTexts, RpcError> {
    let mut out = LabelTexts::default();
    let mut complete = false;
    while let Some(message) = timed.run(answer.message()).await? {
        out.texts.extend(message.texts);
        out.manifest = out.manifest.max(message.manifest);
        complete = message.last;
    }
    if complete { Ok(out) } else { Err(timed.broke_off()) }
}

/// What a tail gives. Dropping it ends the tail on the other side too.
#[derive(Debug)]
pub struct TailStream {
    tenant: Tenant,
    timed: Timed,
    answer: Streaming<pb::TailResponse>,
}

impl TailStream {
    /// Waits for the next lines. Nothing when the other side ended the tail, as it does when it stops.
    ///
    /// # Errors
    /// The connection is lost, or the other side says so.
    pub async fn next(&mut self) -> Result<Option<TailPart>, RpcError> {
        match self.timed.run(self.answer.message()).await? {
            Some(message) => tail_in(&message, &self.tenant).map(Some),
            None => Ok(None),
        }
    }
}
