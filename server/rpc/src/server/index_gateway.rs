//! The service of index gateways, as the gRPC library calls it.

use std::{ops::ControlFlow, sync::Arc};

use bytes::Bytes;
use narvi::{IndexAnswer, IndexQuestion, IndexWanted, logql::BudgetLimits};
use tonic::{Request, Response, Status};

use super::calls::{Calls, Messages};
use crate::{
    error::{RpcError, RpcErrorKind},
    pb::narvi::{self as pb, index_gateway_server::IndexGateway},
    service::IndexGatewayService,
};

/// What Loki's metrics and dashboards call these.
const BLOCKS: &str = "/indexgatewaypb.IndexGateway/GetChunkRef";
const NAMES: &str = "/indexgatewaypb.IndexGateway/LabelNamesForMetricName";
const VALUES: &str = "/indexgatewaypb.IndexGateway/LabelValuesForMetricName";

pub(super) struct Adapter {
    pub(super) service: Arc<dyn IndexGatewayService>,
    pub(super) calls: Arc<Calls>,
}

#[tonic::async_trait]
impl IndexGateway for Adapter {
    type LookUpStream = Messages<pb::LookUpResponse>;

    async fn look_up(&self, request: Request<pb::LookUpRequest>) -> Result<Response<Self::LookUpStream>, Status> {
        let call = self.calls.call(request.metadata(), BudgetLimits::default())?;
        let question = IndexQuestion::decode(&request.get_ref().question);
        let (question, tables) = question.map_err(|error| RpcError::from(error).to_status())?;
        let route = match question.wanted {
            IndexWanted::Blocks => BLOCKS,
            IndexWanted::LabelNames => NAMES,
            IndexWanted::LabelValues(_) => VALUES,
        };
        let (service, most) = (self.service.clone(), self.calls.message_bytes);
        let messages = self.calls.many(route, &self.calls.reads, call, move |call, give| {
            if question.tenant != *call.tenant()? {
                let text = format!("the streams asked for are of another tenant than the call: {}", question.tenant);
                return Err(RpcError::new(RpcErrorKind::Invalid, text));
            }
            let mut give = |answer: IndexAnswer| give_pieces(answer.bytes().clone(), most, give);
            service.look_up(call, &question, &tables, &mut give)
        })?;
        Ok(Response::new(messages))
    }
}

/// Cuts an answer into messages.
fn give_pieces(
    mut answer: Bytes,
    most: usize,
    give: &mut dyn FnMut(pb::LookUpResponse) -> ControlFlow<()>,
) -> ControlFlow<()> {
    while answer.len() > most {
        give(pb::LookUpResponse { piece: answer.split_to(most), more: true })?;
    }
    give(pb::LookUpResponse { piece: answer, more: false })
}
