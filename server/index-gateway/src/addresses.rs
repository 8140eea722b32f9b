//! Where gateways are.

use std::sync::Arc;

use narvi::Tenant;
use narvi_ring::{Clock, Operation, Ring, RingView, State, stream_key};

/// Knows the addresses of gateways as they are now.
pub trait GatewayAddresses: Send + Sync + 'static {
    /// Those to ask for a tenant. Must not block.
    fn of(&self, tenant: &Tenant) -> Vec<String>;
}

impl<F: Fn(&Tenant) -> Vec<String> + Send + Sync + 'static> GatewayAddresses for F {
    fn of(&self, tenant: &Tenant) -> Vec<String> {
        self(tenant)
    }
}

/// The gateways of a ring.
pub struct RingGateways {
    ring: Arc<RingView>,
    clock: Arc<dyn Clock>,
    by_tenant: bool,
}

impl RingGateways {
    /// Those of a tenant's place on the ring, as many as its replication factor says: `index_gateway.mode: ring`.
    pub fn of_tenants(ring: Arc<RingView>, clock: Arc<dyn Clock>) -> Self {
        Self { ring, clock, by_tenant: true }
    }

    /// Any: `index_gateway.mode: simple`.
    pub fn any(ring: Arc<RingView>, clock: Arc<dyn Clock>) -> Self {
        Self { ring, clock, by_tenant: false }
    }

    fn all(&self, ring: &Ring, now_ms: u64) -> Vec<String> {
        let healthy = ring.instances().iter().filter(|one| one.state == State::Active && ring.is_fresh(one, now_ms));
        healthy.map(|one| one.address.clone()).collect()
    }
}

impl GatewayAddresses for RingGateways {
    fn of(&self, tenant: &Tenant) -> Vec<String> {
        let (ring, now_ms) = (self.ring.current(), self.clock.now_ms());
        if !self.by_tenant {
            return self.all(&ring, now_ms);
        }
        // No quorum is needed: any one knows all. Where the ring has too few of a tenant's, others answer as well.
        match ring.replicas(stream_key(tenant.as_str(), ""), Operation::Read, now_ms) {
            Ok(set) => set.instances.iter().map(|one| one.address.clone()).collect(),
            Err(_) => self.all(&ring, now_ms),
        }
    }
}
