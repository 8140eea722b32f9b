//! A client of memcached servers: each key has one server, and batches go out side by side.

mod names;
mod protocol;
mod server;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, future::join_all, stream};
use narvi_dns::{Place, Resolver, authority};
use parking_lot::RwLock;
use tokio::sync::{Semaphore, watch};

pub use self::protocol::{Reply, ReplyError, parse_reply};
use self::server::{Limits, Server};
use crate::{
    BoxFuture, BreakerSettings, MemcachedSettings, Metrics,
    breaker::Breaker,
    clock::Clock,
    envelope,
    remote::{Backend, Fetched, Io, Lost},
};

/// A client.
pub(crate) struct Memcached {
    name: String,
    settings: MemcachedSettings,
    breaker: BreakerSettings,
    places: Vec<Place>,
    resolver: Resolver,
    servers: RwLock<Arc<Vec<Arc<Server>>>>,
    /// Whether names have been looked up once.
    ready: watch::Sender<bool>,
    permits: Semaphore,
    clock: Clock,
    metrics: Metrics,
}

impl Memcached {
    /// Starts to look names up.
    ///
    /// # Errors
    /// Addresses that cannot be used.
    pub(crate) fn start(
        name: &str,
        settings: &MemcachedSettings,
        breaker: &BreakerSettings,
        metrics: &Metrics,
        io: &Io,
    ) -> Result<Arc<Self>, String> {
        let places = names::places(settings)?;
        let plain = |place: &Place| match place {
            Place::Host { host, port } => Some(authority(host, *port)),
            Place::Addresses { .. } | Place::Service { .. } => None,
        };
        let known: Vec<String> = places.iter().filter_map(plain).collect();
        let needs_names = known.len() < places.len();
        let client = Arc::new(Self {
            name: name.to_owned(),
            settings: settings.clone(),
            breaker: breaker.clone(),
            places,
            resolver: if needs_names { Resolver::of_machine() } else { Resolver::default() },
            servers: RwLock::default(),
            ready: watch::Sender::new(!needs_names),
            permits: Semaphore::new(settings.parallelism.clamp(1, 1_024)),
            clock: Clock::real(),
            metrics: metrics.clone(),
        });
        client.set_servers(known);
        if let Some(handle) = io.handle().filter(|_| needs_names) {
            handle.spawn(look_up(Arc::downgrade(&client), settings.update_interval.max(Duration::from_secs(1))));
        }
        Ok(client)
    }

    /// Takes servers over; those that were there before keep their connections.
    fn set_servers(&self, addresses: Vec<String>) {
        let settings = &self.settings;
        let max_value = match settings.max_item_size {
            0 => envelope::MAX_VALUE,
            most => most.saturating_add(1_024),
        };
        let limits = Limits { timeout: settings.timeout, max_idle: settings.max_idle_conns, max_value };
        let mut servers = self.servers.write();
        let mut before: HashMap<&str, &Arc<Server>> =
            servers.iter().map(|server| (server.address.as_str(), server)).collect();
        let new = |address: String| {
            let breaker = || Breaker::new(self.breaker.clone(), self.clock.clone(), self.metrics.breaks(&self.name));
            before.remove(address.as_str()).cloned().unwrap_or_else(|| Server::new(address, breaker(), limits))
        };
        let new: Vec<_> = addresses.into_iter().map(new).collect();
        self.metrics.servers(&self.name, new.len());
        *servers = Arc::new(new);
    }

    /// The servers, once names have been looked up, but not for long.
    async fn servers(&self) -> Arc<Vec<Arc<Server>>> {
        if !*self.ready.borrow() {
            let mut ready = self.ready.subscribe();
            let _ = tokio::time::timeout(self.settings.timeout, ready.wait_for(|ready| *ready)).await;
        }
        self.servers.read().clone()
    }

    async fn get_batch(
        &self,
        server: &Server,
        at: Vec<usize>,
        keys: Vec<Bytes>,
    ) -> (Vec<usize>, Option<Vec<Option<Bytes>>>) {
        let Ok(_permit) = self.permits.acquire().await else { return (at, None) };
        let start = Instant::now();
        let values = server.get(&keys).await;
        self.metrics.memcache("Memcache.GetMulti", &self.name, values.is_err(), start.elapsed());
        (at, values.ok())
    }

    async fn fetch(&self, keys: &[Bytes], deadline: Instant) -> Fetched {
        let servers = self.servers().await;
        let mut fetched = Fetched { values: vec![None; keys.len()], failed: servers.is_empty() };
        let mut of_server = vec![Vec::new(); servers.len()];
        for (at, key) in keys.iter().enumerate() {
            if let Some(owner) = owner(&servers, key) {
                of_server[owner].push(at);
            }
        }
        let size = self.settings.batch_size.max(1);
        let batches = of_server.iter().enumerate().flat_map(|(owner, of)| of.chunks(size).map(move |at| (owner, at)));
        // Boxed here, where types are simple: the compiler cannot name borrowed closures inside of streams.
        let batches: Vec<BoxFuture<'_, _>> = batches
            .map(|(owner, at)| {
                let keys = at.iter().map(|at| keys[*at].clone()).collect();
                self.get_batch(&servers[owner], at.to_vec(), keys).boxed()
            })
            .collect();
        let mut done = stream::iter(batches).buffer_unordered(self.settings.parallelism.max(1));
        loop {
            let next = tokio::time::timeout_at(deadline.into(), done.next()).await;
            let Ok(Some((at, values))) = next else {
                // What is not there by the deadline counts as missing.
                fetched.failed |= next.is_err();
                return fetched;
            };
            fetched.failed |= values.is_none();
            for (at, value) in at.into_iter().zip(values.unwrap_or_default()) {
                fetched.values[at] = value;
            }
        }
    }

    async fn store(&self, entries: Vec<(Bytes, Bytes)>) -> Lost {
        let servers = self.servers().await;
        let mut lost = Lost::default();
        let mut of_server = vec![Vec::new(); servers.len()];
        let most = self.settings.max_item_size;
        for (key, value) in entries {
            match owner(&servers, &key) {
                Some(_) if most > 0 && value.len() > most => {
                    lost += Lost { failed: 0, refused: 1, bytes: value.len() };
                }
                Some(owner) => of_server[owner].push((key, value)),
                None => lost += Lost { failed: 1, refused: 0, bytes: value.len() },
            }
        }
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let expires = protocol::expires(self.settings.expiration, unix);
        let stores =
            servers.iter().zip(&of_server).filter(|(_, entries)| !entries.is_empty()).map(|(server, entries)| {
                async move {
                    let start = Instant::now();
                    let (lost, failure) = server.set(entries, expires).await;
                    self.metrics.memcache("Memcache.Put", &self.name, failure.is_some(), start.elapsed());
                    lost
                }
                .boxed()
            });
        for one in join_all(stores.collect::<Vec<BoxFuture<'_, Lost>>>()).await {
            lost += one;
        }
        lost
    }
}

fn owner(servers: &[Arc<Server>], key: &[u8]) -> Option<usize> {
    names::owner(servers.iter().map(|server| server.address.as_str()), key)
}

/// Looks names up again and again, for as long as the client is there.
async fn look_up(client: Weak<Memcached>, interval: Duration) {
    loop {
        let Some(client) = client.upgrade() else { return };
        match names::resolve(&client.places, &client.resolver).await {
            Ok(servers) => client.set_servers(servers),
            Err(error) => {
                tracing::warn!(cache = %client.name, %error, "cannot look up memcached servers, going on with those known");
            }
        }
        client.ready.send_replace(true);
        drop(client);
        tokio::time::sleep(interval).await;
    }
}

impl Backend for Memcached {
    fn get<'a>(&'a self, keys: &'a [Bytes], deadline: Instant) -> BoxFuture<'a, Fetched> {
        self.fetch(keys, deadline).boxed()
    }

    fn set(&self, entries: Vec<(Bytes, Bytes)>) -> BoxFuture<'_, Lost> {
        self.store(entries).boxed()
    }
}
