//! The service of schedulers, as the gRPC library calls it.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, StreamExt as _};
use narvi::logql::BudgetLimits;
use tonic::{Request, Response, Status, Streaming};

use super::calls::{Calls, Messages};
use crate::{
    answer::AnswerPiece,
    error::RpcError,
    job::Job,
    pb::narvi::{self as pb, scheduler_server::Scheduler},
    scheduling::{FromQuerier, SchedulerService, ToQuerier, check_name},
};

/// What Loki calls the way of jobs from frontends; its alerts leave it out, as it lasts as long as queries wait and run.
const SUBMIT: &str = "/schedulerpb.SchedulerForFrontend/FrontendLoop";

pub(super) struct Adapter {
    pub(super) service: Arc<dyn SchedulerService>,
    pub(super) calls: Arc<Calls>,
}

#[tonic::async_trait]
impl Scheduler for Adapter {
    type SubmitStream = Messages<pb::AnswerPiece>;

    async fn submit(&self, request: Request<pb::SubmitRequest>) -> Result<Response<Self::SubmitStream>, Status> {
        let call = self.calls.call(request.metadata(), BudgetLimits::default())?;
        let message = request.into_inner();
        let service = &self.service;
        let submit = |call: &crate::Call| {
            check_name(&message.frontend)?;
            let job = Job::of_message(message.job, call.tenants().to_vec(), call.deadline())?;
            let answer = service.submit(&message.frontend, job)?;
            Ok(answer.map(|piece| piece.map(AnswerPiece::into_message)))
        };
        Ok(Response::new(self.calls.relay(SUBMIT, call, submit)?))
    }

    type WorkStream = Pin<Box<dyn Stream<Item = Result<pb::WorkResponse, Status>> + Send>>;

    async fn work(&self, request: Request<Streaming<pb::WorkRequest>>) -> Result<Response<Self::WorkStream>, Status> {
        let from = request.into_inner().map(|message| match message {
            Ok(message) => FromQuerier::of_message(message),
            Err(status) => Err(RpcError::from_status(&status, "a querier")),
        });
        let to = self.service.work(Box::pin(from));
        Ok(Response::new(Box::pin(to.map(|message| Ok(ToQuerier::into_message(message))))))
    }
}
