//! The health service, which clients and orchestrators ask.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::{
    pb::health::{
        HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
    },
    scheduling::SchedulerService,
    service::{IndexGatewayService, IngesterService},
};

pub(super) struct Adapter {
    pub(super) ingester: Option<Arc<dyn IngesterService>>,
    pub(super) scheduler: Option<Arc<dyn SchedulerService>>,
    pub(super) index_gateway: Option<Arc<dyn IndexGatewayService>>,
}

pub(crate) const INGESTER: &str = "narvi.v1.Ingester";
pub(crate) const INDEX_GATEWAY: &str = "narvi.v1.IndexGateway";
pub(crate) const SCHEDULER: &str = "narvi.v1.Scheduler";

#[tonic::async_trait]
impl Health for Adapter {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let ingester = self.ingester.as_ref().map(|service| service.ready());
        let scheduler = self.scheduler.as_ref().map(|service| service.ready());
        let index_gateway = self.index_gateway.as_ref().map(|service| service.ready());
        let asked = match request.get_ref().service.as_str() {
            "" => [ingester, scheduler, index_gateway].into_iter().flatten().collect::<Result<(), _>>().into(),
            INGESTER => ingester,
            SCHEDULER => scheduler,
            INDEX_GATEWAY => index_gateway,
            _ => None,
        };
        let status = match asked {
            Some(Ok(())) => ServingStatus::Serving,
            Some(Err(_)) => ServingStatus::NotServing,
            None => return Err(Status::not_found("there is no such service here")),
        };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }
}
