//! The service of ingesters, as the gRPC library calls it.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use narvi::{HeadsDetail, HeadsRequest, Selector, TimeRange, logql::BudgetLimits};
use tonic::{Request, Response, Status};

use super::calls::{Calls, Messages};
use crate::{
    convert::{matchers_in, streams_in, tail_out},
    error::{RpcError, RpcErrorKind},
    pb::narvi::{self as pb, ingester_server::Ingester},
    service::{IngesterService, LabelTexts},
};

/// What Loki's metrics and dashboards call these.
const PUSH: &str = "/logproto.Pusher/Push";
const QUERY: &str = "/logproto.Querier/Query";
const SERIES: &str = "/logproto.Querier/Series";
const LABEL: &str = "/logproto.Querier/Label";
const TAIL: &str = "/logproto.Querier/Tail";
const FLUSH: &str = "/narvi.v1.Ingester/Flush";

pub(super) struct Adapter {
    pub(super) service: Arc<dyn IngesterService>,
    pub(super) calls: Arc<Calls>,
}

#[tonic::async_trait]
impl Ingester for Adapter {
    async fn push(&self, request: Request<pb::PushRequest>) -> Result<Response<pb::PushResponse>, Status> {
        let call = self.calls.call(request.metadata(), BudgetLimits::default())?;
        let (service, frame) = (self.service.clone(), request.into_inner().frame);
        let work = move |call: &crate::Call| {
            let streams = streams_in(&frame, call.tenant()?)?;
            service.push(call, streams)
        };
        self.calls.single(PUSH, &self.calls.writes, call, work).await?;
        Ok(Response::new(pb::PushResponse {}))
    }

    type HeadsStream = Messages<pb::HeadsResponse>;

    async fn heads(&self, request: Request<pb::HeadsRequest>) -> Result<Response<Self::HeadsStream>, Status> {
        let call = self.calls.call(request.metadata(), BudgetLimits::default())?;
        let (service, message) = (self.service.clone(), request.into_inner());
        let (route, detail) =
            if message.summaries { (SERIES, HeadsDetail::Summaries) } else { (QUERY, HeadsDetail::Rows) };
        let messages = self.calls.many(route, &self.calls.reads, call, move |call, give| {
            let request = HeadsRequest::decode(&message.request)?;
            if request.tenant != *call.tenant()? {
                let text = format!("the rows asked for are of another tenant than the call: {}", request.tenant);
                return Err(RpcError::new(RpcErrorKind::Invalid, text));
            }
            let mut give = |frame: Bytes| give(pb::HeadsResponse { frame });
            service.heads(call, &request, detail, &mut give)
        })?;
        Ok(Response::new(messages))
    }

    type LabelNamesStream = Messages<pb::LabelsResponse>;

    async fn label_names(
        &self,
        request: Request<pb::LabelNamesRequest>,
    ) -> Result<Response<Self::LabelNamesStream>, Status> {
        let call = self.calls.call(request.metadata(), BudgetLimits::default())?;
        let (service, message, most) = (self.service.clone(), request.into_inner(), self.calls.message_bytes);
        let messages = self.calls.many(LABEL, &self.calls.reads, call, move |call, give| {
            call.tenant()?;
            let matchers = matchers_in(message.matchers)?;
            let texts = service.label_names(call, &matchers, TimeRange::new(message.first, message.last))?;
            give_texts(texts, most, give);
            Ok(())
        })?;
        Ok(Response::new(messages))
    }

    type LabelValuesStream = Messages<pb::LabelsResponse>;

    async fn label_values(
        &self,
        request: Request<pb::LabelValuesRequest>,
    ) -> Result<Response<Self::LabelValuesStream>, Status> {
        let call = self.calls.call(request.metadata(), BudgetLimits::default())?;
        let (service, message, most) = (self.service.clone(), request.into_inner(), self.calls.message_bytes);
        let messages = self.calls.many(LABEL, &self.calls.reads, call, move |call, give| {
            call.tenant()?;
            let matchers = matchers_in(message.matchers)?;
            let range = TimeRange::new(message.first, message.last);
            give_texts(service.label_values(call, &message.name, &matchers, range)?, most, give);
            Ok(())
        })?;
        Ok(Response::new(messages))
    }

    type TailStream = Messages<pb::TailResponse>;

    async fn tail(&self, request: Request<pb::TailRequest>) -> Result<Response<Self::TailStream>, Status> {
        let call = self.calls.call(request.metadata(), BudgetLimits::default())?;
        let (service, message, most) = (self.service.clone(), request.into_inner(), self.calls.message_bytes);
        let messages = self.calls.many(TAIL, &self.calls.tails, call, move |call, give| {
            let tenant = call.tenant()?.clone();
            let selector = Selector::new(matchers_in(message.matchers)?);
            let mut give = |part| tail_out(&tenant, &part, most).into_iter().try_for_each(&mut *give);
            service.tail(call, selector, &mut give)
        })?;
        Ok(Response::new(messages))
    }

    async fn flush(&self, request: Request<pb::FlushRequest>) -> Result<Response<pb::FlushResponse>, Status> {
        let call = self.calls.call(request.metadata(), BudgetLimits::default())?;
        let service = self.service.clone();
        let work = move |call: &crate::Call| service.flush(call);
        let manifest = self.calls.single(FLUSH, &self.calls.writes, call, work).await?;
        Ok(Response::new(pb::FlushResponse { manifest }))
    }
}

/// Cuts texts into messages, of which the last says so: there may be more than one message holds.
fn give_texts(from: LabelTexts, most: usize, give: &mut dyn FnMut(pb::LabelsResponse) -> ControlFlow<()>) {
    let manifest = from.manifest;
    let mut texts = Vec::new();
    let mut bytes = 0;
    for text in from.texts {
        bytes += text.len() + 8;
        texts.push(text);
        if bytes >= most {
            bytes = 0;
            let message = pb::LabelsResponse { texts: std::mem::take(&mut texts), manifest, last: false };
            if give(message).is_break() {
                return;
            }
        }
    }
    // Nobody listens if this breaks off.
    let _ = give(pb::LabelsResponse { texts, manifest, last: true });
}
