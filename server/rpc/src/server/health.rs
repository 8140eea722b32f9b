//! The health service, which clients and orchestrators ask.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::{
    pb::health::{
        HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
    },
    service::{IngesterService, QuerierService},
};

pub(super) struct Adapter {
    pub(super) ingester: Option<Arc<dyn IngesterService>>,
    pub(super) querier: Option<Arc<dyn QuerierService>>,
}

pub(crate) const INGESTER: &str = "narvi.v1.Ingester";
pub(crate) const QUERIER: &str = "narvi.v1.Querier";

#[tonic::async_trait]
impl Health for Adapter {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        let ingester = self.ingester.as_ref().map(|service| service.ready());
        let querier = self.querier.as_ref().map(|service| service.ready());
        let asked = match request.get_ref().service.as_str() {
            "" => Some(ingester.unwrap_or(Ok(())).and(querier.unwrap_or(Ok(())))),
            INGESTER => ingester,
            QUERIER => querier,
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
