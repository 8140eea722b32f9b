//! A client of Redis: one server, a cluster, or the master that sentinels name.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use redis::{
    AsyncConnectionConfig, Cmd, ConnectionAddr, ConnectionInfo, FromRedisValue, IntoConnectionInfo as _, Pipeline,
    RedisConnectionInfo, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use tokio::sync::Mutex;

use crate::{
    BoxFuture, BreakerSettings, Metrics, RedisSettings,
    breaker::Breaker,
    clock::Clock,
    remote::{Backend, Fetched, Lost},
};

/// How many keys are asked for at once.
const BATCH: usize = 64;
/// How many commands are under way at once, of one question or batch.
const PARALLEL: usize = 8;

/// The code of the error of a server that has no memory left and may not evict.
const FULL: &str = "OOM";

/// A client.
pub(crate) struct Redis {
    name: String,
    settings: RedisSettings,
    kind: Kind,
    /// Made when it is needed, and anew after failures that it does not mend itself.
    link: Mutex<Option<Link>>,
    breaker: Breaker,
}

enum Kind {
    Single(ConnectionInfo),
    Cluster(ClusterClient),
    /// It remembers what it learned of sentinels, and so is changed by use.
    Sentinel(Mutex<SentinelClient>),
}

#[derive(Clone)]
enum Link {
    Single(ConnectionManager),
    Cluster(ClusterConnection),
    Master(MultiplexedConnection),
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Redis(#[from] RedisError),
    #[error("no answer in time")]
    Timeout,
}

impl Failure {
    /// How many values a server did not take because it is full, if that is all. It still answers.
    fn is_full(&self) -> Option<usize> {
        let Self::Redis(error) = self else { return None };
        let errors = error.clone().into_server_errors()?;
        errors.iter().all(|(_, error)| error.code() == FULL).then_some(errors.len())
    }
}

impl Link {
    async fn query<T: FromRedisValue>(&mut self, command: &Cmd) -> Result<T, RedisError> {
        match self {
            Self::Single(link) => command.query_async(link).await,
            Self::Cluster(link) => command.query_async(link).await,
            Self::Master(link) => command.query_async(link).await,
        }
    }

    async fn pipeline(&mut self, commands: &Pipeline) -> Result<(), RedisError> {
        match self {
            Self::Single(link) => commands.query_async(link).await,
            Self::Cluster(link) => commands.query_async(link).await,
            Self::Master(link) => commands.query_async(link).await,
        }
    }

    fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

impl Redis {
    /// Connects when it is first used.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub(crate) fn new(
        name: &str,
        settings: &RedisSettings,
        breaker: &BreakerSettings,
        metrics: &Metrics,
    ) -> Result<Arc<Self>, String> {
        let breaker = Breaker::new(breaker.clone(), Clock::real(), metrics.breaks(name));
        let (kind, link) = (kind(settings)?, Mutex::default());
        Ok(Arc::new(Self { name: name.to_owned(), settings: settings.clone(), kind, link, breaker }))
    }

    async fn connect(&self) -> Result<Link, RedisError> {
        let wait = Some(self.settings.timeout);
        match &self.kind {
            Kind::Single(info) => {
                let config = ConnectionManagerConfig::new()
                    .set_connection_timeout(wait)
                    .set_response_timeout(wait)
                    // Who asks does not wait for a second attempt: the next one asks anew.
                    .set_number_of_retries(0);
                let client = redis::Client::open(info.clone())?;
                ConnectionManager::new_with_config(client, config).await.map(Link::Single)
            }
            Kind::Cluster(client) => client.get_async_connection().await.map(Link::Cluster),
            Kind::Sentinel(client) => {
                let config = AsyncConnectionConfig::new().set_connection_timeout(wait).set_response_timeout(wait);
                client.lock().await.get_async_connection_with_config(&config).await.map(Link::Master)
            }
        }
    }

    async fn linked(&self) -> Result<Link, RedisError> {
        let mut link = self.link.lock().await;
        if let Some(link) = &*link {
            return Ok(link.clone());
        }
        let new = self.connect().await?;
        *link = Some(new.clone());
        Ok(new)
    }

    /// Does something on the connection, if the server is not left alone. Nothing if that failed.
    async fn guarded<T, F: Future<Output = Result<T, RedisError>>>(
        &self,
        wait: Duration,
        work: impl FnOnce(Link) -> F,
    ) -> Result<T, Option<Failure>> {
        let permit = self.breaker.enter().ok_or(None)?;
        let done = tokio::time::timeout(wait, async { work(self.linked().await?).await }).await;
        let done = done.map_or(Err(Failure::Timeout), |done| done.map_err(Failure::Redis));
        match &done {
            Err(failure) if failure.is_full().is_none() => {
                permit.failed();
                tracing::debug!(cache = %self.name, %failure, "redis failed");
                // A manager mends its connection itself; others may have to find out who the master is now.
                if !matches!(self.kind, Kind::Single(_)) {
                    *self.link.lock().await = None;
                }
            }
            _ => permit.succeeded(),
        }
        done.map_err(Some)
    }

    async fn fetch(&self, keys: &[Bytes], deadline: Instant) -> Fetched {
        let batch = |keys: &[Bytes]| {
            let mut command = redis::cmd("MGET");
            for key in keys {
                command.arg(&key[..]);
            }
            let count = keys.len();
            async move {
                let wait = self.wait().min(deadline.saturating_duration_since(Instant::now()));
                let got: Result<Vec<Option<Vec<u8>>>, _> =
                    self.guarded(wait, |mut link| async move { link.query(&command).await }).await;
                got.ok().filter(|values| values.len() == count).ok_or(count)
            }
            .boxed()
        };
        let batches: Vec<BoxFuture<'_, _>> = keys.chunks(BATCH).map(batch).collect();
        let mut done = stream::iter(batches).buffered(PARALLEL);
        let mut fetched = Fetched { values: Vec::with_capacity(keys.len()), failed: false };
        while let Some(batch) = done.next().await {
            match batch {
                Ok(values) => fetched.values.extend(values.into_iter().map(|value| value.map(Bytes::from))),
                Err(count) => {
                    fetched.failed = true;
                    fetched.values.resize(fetched.values.len() + count, None);
                }
            }
        }
        fetched
    }

    /// How long one command may take: a connection, and an answer.
    fn wait(&self) -> Duration {
        self.settings.timeout * 2
    }

    fn set_command(&self, (key, value): &(Bytes, Bytes)) -> Cmd {
        let mut command = redis::cmd("SET");
        command.arg(&key[..]).arg(&value[..]);
        if !self.settings.expiration.is_zero() {
            let milliseconds = u64::try_from(self.settings.expiration.as_millis()).unwrap_or(u64::MAX);
            command.arg("PX").arg(milliseconds.max(1));
        }
        command
    }

    async fn store(&self, entries: &[(Bytes, Bytes)]) -> Result<(), Option<Failure>> {
        self.guarded(self.wait(), |mut link| async move {
            if !link.is_cluster() {
                let mut commands = redis::pipe();
                for entry in entries {
                    commands.add_command(self.set_command(entry)).ignore();
                }
                return link.pipeline(&commands).await;
            }
            // Keys of one pipeline would have to lie on one node.
            let set = |entry| {
                let (mut link, command) = (link.clone(), self.set_command(entry));
                async move { link.query::<()>(&command).await }.boxed()
            };
            let sets: Vec<BoxFuture<'_, Result<(), RedisError>>> = entries.iter().map(set).collect();
            let done: Vec<_> = stream::iter(sets).buffer_unordered(PARALLEL).collect().await;
            done.into_iter().collect()
        })
        .await
    }
}

impl Backend for Redis {
    fn get<'a>(&'a self, keys: &'a [Bytes], deadline: Instant) -> BoxFuture<'a, Fetched> {
        self.fetch(keys, deadline).boxed()
    }

    fn set(&self, entries: Vec<(Bytes, Bytes)>) -> BoxFuture<'_, Lost> {
        async move {
            let (count, bytes) = (entries.len(), entries.iter().map(|(_, value)| value.len()).sum());
            match self.store(&entries).await {
                Ok(()) => Lost::default(),
                Err(failure) => match failure.and_then(|failure| failure.is_full()) {
                    Some(refused) => Lost { failed: 0, refused, bytes: bytes / count.max(1) * refused },
                    None => Lost { failed: count, refused: 0, bytes },
                },
            }
        }
        .boxed()
    }
}

fn kind(settings: &RedisSettings) -> Result<Kind, String> {
    if settings.tls_enabled {
        return Err(
            "tls_enabled: this build has no TLS for redis; leave it out, and let a tunnel or proxy encrypt".to_owned()
        );
    }
    let words = settings.endpoint.split(',').map(str::trim).filter(|endpoint| !endpoint.is_empty());
    let endpoints = words.map(address).collect::<Result<Vec<_>, _>>()?;
    let wrong = |error: RedisError| error.to_string();
    let Some(first) = endpoints.first() else { return Err("endpoint: is empty; write host:6379".to_owned()) };
    let (username, password) = (&settings.username, &settings.password.0);
    if !settings.master_name.is_empty() {
        let mut builder =
            SentinelClientBuilder::new(endpoints, &settings.master_name, SentinelServerType::Master).map_err(wrong)?;
        builder = builder.set_client_to_redis_db(settings.db);
        if !username.is_empty() {
            builder = builder.set_client_to_redis_username(username);
        }
        if !password.is_empty() {
            builder = builder.set_client_to_redis_password(password);
        }
        if !settings.sentinel_username.is_empty() {
            builder = builder.set_client_to_sentinel_username(&settings.sentinel_username);
        }
        if !settings.sentinel_password.0.is_empty() {
            builder = builder.set_client_to_sentinel_password(&settings.sentinel_password.0);
        }
        return Ok(Kind::Sentinel(Mutex::new(builder.build().map_err(wrong)?)));
    }
    if endpoints.len() > 1 {
        if settings.db != 0 {
            return Err("db: a cluster has database 0 alone".to_owned());
        }
        let mut builder = ClusterClient::builder(endpoints)
            .connection_timeout(settings.timeout)
            .response_timeout(settings.timeout)
            .overall_response_timeout(Some(settings.timeout * 2))
            .retries(1);
        if !username.is_empty() {
            builder = builder.username(username);
        }
        if !password.is_empty() {
            builder = builder.password(password);
        }
        return builder.build().map(Kind::Cluster).map_err(wrong);
    }
    let mut redis = RedisConnectionInfo::default().set_db(settings.db);
    if !username.is_empty() {
        redis = redis.set_username(username);
    }
    if !password.is_empty() {
        redis = redis.set_password(password);
    }
    let info = first.clone().into_connection_info().map_err(wrong)?;
    Ok(Kind::Single(info.set_redis_settings(redis)))
}

fn address(endpoint: &str) -> Result<ConnectionAddr, String> {
    let parts = endpoint.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match parts.filter(|(host, _)| !host.is_empty() && !host.contains('/')) {
        Some((host, port)) => Ok(ConnectionAddr::Tcp(host.trim_matches(['[', ']']).to_owned(), port)),
        None => Err(format!("endpoint: {endpoint:?} is no host and port; write host:6379")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, kind};
    use crate::RedisSettings;

    fn of(endpoint: &str, master: &str) -> Result<&'static str, String> {
        let (endpoint, master_name) = (endpoint.to_owned(), master.to_owned());
        Ok(match kind(&RedisSettings { endpoint, master_name, ..RedisSettings::default() })? {
            Kind::Single(_) => "single",
            Kind::Cluster(_) => "cluster",
            Kind::Sentinel(_) => "sentinel",
        })
    }

    #[test]
    fn endpoints_say_what_they_are() {
        assert_eq!(of("redis:6379", ""), Ok("single"));
        assert_eq!(of("[::1]:6379", ""), Ok("single"));
        assert_eq!(of("a:1, b:2", ""), Ok("cluster"));
        assert_eq!(of("a:1,b:2", "mymaster"), Ok("sentinel"));
        for wrong in ["", "redis", "redis://a:1", "a:b", ":1"] {
            assert!(of(wrong, "").is_err(), "{wrong}");
        }
        let tls = RedisSettings { endpoint: "a:1".to_owned(), tls_enabled: true, ..RedisSettings::default() };
        assert!(kind(&tls).err().expect("it is refused").contains("no TLS"));
    }
}
