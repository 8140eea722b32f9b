//! Where schedulers, or frontends that queue themselves, are: by name, looked up again and again, or by the ring.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use narvi_dns::{Place, Resolver};
use narvi_ring::{Clock, RingView, State};
use tokio::{sync::watch, task::JoinHandle};

/// The port of gRPC where an address has none.
const GRPC_PORT: u16 = 9095;

/// Addresses that change. Clones follow the same; the last that is dropped ends the following.
#[derive(Clone, Debug)]
pub struct Addresses {
    current: watch::Receiver<Arc<[String]>>,
    _task: Option<Arc<Following>>,
}

#[derive(Debug)]
struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A setting names no place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AddressError(String);

impl std::fmt::Display for AddressError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for AddressError {}

impl Addresses {
    /// These, for ever.
    pub fn fixed(addresses: &[String]) -> Self {
        let (_, current) = watch::channel(Arc::from(addresses));
        Self { current, _task: None }
    }

    /// All addresses behind names, with commas between, as `frontend_address` and `scheduler_address` have them: `host:port`,
    /// `dns+host:port`, `dnssrv+name`. They are looked up again each `dns_lookup_duration`. What cannot be looked up keeps
    /// the addresses that it had. Must be called within an async runtime.
    ///
    /// # Errors
    /// It names no place.
    pub fn of_names(names: &str, every: Duration) -> Result<Self, AddressError> {
        let parse = |name: &str| Place::parse(name, Some(GRPC_PORT)).map_err(|error| AddressError(error.to_string()));
        let places: Vec<Place> =
            names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(parse).collect::<Result<_, _>>()?;
        let (tell, current) = watch::channel(Arc::from([]));
        let task = tokio::spawn(async move {
            let mut found: Vec<Vec<String>> = vec![Vec::new(); places.len()];
            loop {
                let resolver = Resolver::of_machine();
                for (place, found) in places.iter().zip(&mut found) {
                    match place.addresses(&resolver).await {
                        Ok(addresses) => *found = addresses.iter().map(ToString::to_string).collect(),
                        Err(error) => tracing::warn!(%error, "cannot look up where queries are queued"),
                    }
                }
                set(&tell, found.iter().flatten().cloned().collect());
                tokio::time::sleep(every.max(Duration::from_millis(100))).await;
            }
        });
        Ok(Self { current, _task: Some(Arc::new(Following(task))) })
    }

    /// The members of a ring that are alive and active. Must be called within an async runtime.
    pub fn of_ring(view: Arc<RingView>, clock: Arc<dyn Clock>) -> Self {
        let (tell, current) = watch::channel(Arc::from([]));
        let task = tokio::spawn(async move {
            let mut changes = view.changes();
            loop {
                changes.borrow_and_update();
                let (ring, now) = (view.current(), clock.now_ms());
                let alive = ring.instances().iter().filter(|one| one.state == State::Active && ring.is_fresh(one, now));
                set(&tell, alive.map(|one| one.address.clone()).collect());
                // One that gets old changes nothing: time does.
                let changed = tokio::time::timeout(Duration::from_secs(5), changes.changed()).await;
                if matches!(changed, Ok(Err(_))) {
                    return;
                }
            }
        });
        Self { current, _task: Some(Arc::new(Following(task))) }
    }

    /// The addresses as they are now, sorted.
    pub fn current(&self) -> Arc<[String]> {
        self.current.borrow().clone()
    }

    /// Tells of changes.
    pub(crate) fn changes(&self) -> watch::Receiver<Arc<[String]>> {
        self.current.clone()
    }
}

fn set(tell: &watch::Sender<Arc<[String]>>, addresses: BTreeSet<String>) {
    tell.send_if_modified(|current| {
        let changed = current.len() != addresses.len() || current.iter().ne(&addresses);
        if changed {
            *current = addresses.iter().cloned().collect();
        }
        changed
    });
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use narvi_ring::{InMemory, Instance, ManualClock, Membership as _, RingName, RingSettings};

    use super::*;

    fn instance(id: &str, address: &str, state: State) -> Instance {
        let (id, address) = (id.to_owned(), address.to_owned());
        Instance { id, address, zone: String::new(), state, tokens: Vec::new(), registered_ms: 1, heartbeat_ms: 1_000 }
    }

    async fn becomes(addresses: &Addresses, expected: &[&str]) {
        let mut changes = addresses.changes();
        let there = changes.wait_for(|now| now.iter().eq(expected.iter())).await;
        assert!(there.is_ok(), "it follows no more");
    }

    #[tokio::test]
    async fn names_are_looked_up() {
        let every = Duration::from_millis(1);
        let addresses = Addresses::of_names(" 127.0.0.1:5, dns+127.0.0.2,", every).expect("places");
        becomes(&addresses, &["127.0.0.1:5", "127.0.0.2:9095"]).await;
        let error = Addresses::of_names("a:b:c", every).expect_err("no place");
        assert!(error.to_string().contains("a:b:c"), "{error}");
    }

    #[tokio::test]
    async fn rings_are_followed() {
        let clock = Arc::new(ManualClock::at(1_000));
        let membership = InMemory::new(clock.clone(), Duration::from_secs(60));
        let view = RingView::new(&membership, RingName::Scheduler, RingSettings::default());
        let addresses = Addresses::of_ring(Arc::new(view), clock);
        assert!(addresses.current().is_empty());
        for (id, state) in [("b", State::Active), ("a", State::Active), ("c", State::Leaving)] {
            let record = instance(id, &format!("{id}:9095"), state);
            membership.publish(RingName::Scheduler, record).expect("published");
        }
        becomes(&addresses, &["a:9095", "b:9095"]).await;
        membership.publish(RingName::Scheduler, instance("a", "a:9095", State::Left)).expect("published");
        becomes(&addresses, &["b:9095"]).await;
    }
}
