//! The service of queriers, as the gRPC library calls it.

use std::{ops::ControlFlow, sync::Arc};

use narvi::logql::BudgetLimits;
use tonic::{Request, Response, Status};

use super::calls::{Calls, Messages};
use crate::{
    convert::evaluation_in,
    error::{RpcError, RpcErrorKind},
    pb::narvi::{self as pb, querier_server::Querier},
    service::{PartialAnswer, QuerierService},
};

const EVALUATE: &str = "/narvi.v1.Querier/Evaluate";

pub(super) struct Adapter {
    pub(super) service: Arc<dyn QuerierService>,
    pub(super) calls: Arc<Calls>,
}

#[tonic::async_trait]
impl Querier for Adapter {
    type EvaluateStream = Messages<pb::EvaluateResponse>;

    async fn evaluate(&self, request: Request<pb::EvaluateRequest>) -> Result<Response<Self::EvaluateStream>, Status> {
        let mut limits = BudgetLimits::default();
        limits.memory_bytes = Some(request.get_ref().memory_bytes).filter(|bytes| *bytes > 0);
        limits.read_bytes = Some(request.get_ref().read_bytes).filter(|bytes| *bytes > 0);
        let call = self.calls.call(request.metadata(), limits)?;
        let (service, message, most) = (self.service.clone(), request.into_inner(), self.calls.message_bytes);
        let messages = self.calls.many(EVALUATE, &self.calls.reads, call, move |call, give| {
            if call.tenants().is_empty() {
                return Err(RpcError::new(RpcErrorKind::Invalid, "no org id"));
            }
            let evaluation = evaluation_in(message)?;
            service.evaluate(call, &evaluation, &mut |partial| give_pieces(partial, most, give))
        })?;
        Ok(Response::new(messages))
    }
}

/// Cuts a partial result into messages.
fn give_pieces(
    answer: PartialAnswer,
    most: usize,
    give: &mut dyn FnMut(pb::EvaluateResponse) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let PartialAnswer { mut partial, bytes_read, lines_read, warnings } = answer;
    while partial.len() > most {
        let piece = partial.split_to(most);
        give(pb::EvaluateResponse { piece, more: true, ..Default::default() })?;
    }
    give(pb::EvaluateResponse { piece: partial, more: false, bytes_read, lines_read, warnings })
}
