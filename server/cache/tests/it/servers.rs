//! Starts servers on free ports of the loopback, and looks at the metrics of caches.

use std::{
    io,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use bytes::Bytes;
use narvi_cache::{BreakerSettings, Cache, CacheSettings, MemcachedSettings, Metrics, RedisSettings, block_on, build};
use prometheus_client::{encoding::text::encode, registry::Registry};

/// A server; it ends with the test.
pub(crate) struct Server {
    child: Child,
    program: &'static str,
    args: Vec<String>,
    pub(crate) port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("loopback").port()
}

/// Nothing if the program is not there, which the test then says.
fn start(program: &'static str, args: impl Fn(u16) -> Vec<String>) -> Option<Server> {
    // Another program may take the port first.
    for _ in 0..5 {
        let (port, folder) = (free_port(), tempfile::tempdir().expect("a folder"));
        let mut args = args(port);
        if program == "redis-server" {
            args.extend(["--dir".to_owned(), folder.path().display().to_string()]);
        }
        let child = match spawn(program, &args) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                assert_ne!(std::env::var("NARVI_REQUIRE_SERVERS").as_deref(), Ok("1"), "{program} is not installed");
                eprintln!("skipped: {program} is not installed");
                return None;
            }
            child => child.expect("it starts"),
        };
        let mut server = Server { child, program, args, port, _folder: folder };
        if server.is_up() {
            return Some(server);
        }
    }
    panic!("{program} does not start");
}

fn spawn(program: &str, args: &[String]) -> io::Result<Child> {
    Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

impl Server {
    fn is_up(&mut self) -> bool {
        for _ in 0..600 {
            if self.child.try_wait().expect("it is a child").is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(50));
        }
        false
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after it was killed.
    pub(crate) fn restart(&mut self) {
        self.child = spawn(self.program, &self.args).expect("it started before");
        assert!(self.is_up(), "{} does not start again", self.program);
    }

    /// Has it stand still, or go on.
    pub(crate) fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(done.success());
    }
}

pub(crate) fn memcached(more: &[&str]) -> Option<Server> {
    start("memcached", |port| {
        let args = ["-l", "127.0.0.1", "-U", "0", "-u", "root", "-p"].map(str::to_owned);
        args.into_iter().chain([port.to_string()]).chain(more.iter().map(|&arg| arg.to_owned())).collect()
    })
}

pub(crate) fn redis(more: &[&str]) -> Option<Server> {
    start("redis-server", |port| {
        let args = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"].map(str::to_owned);
        args.into_iter().chain([port.to_string()]).chain(more.iter().map(|&arg| arg.to_owned())).collect()
    })
}

/// Sentinels are told what they watch by a file, which they write to.
pub(crate) fn sentinel(master: &Server) -> Option<Server> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("sentinel.conf");
    let text = format!("sentinel monitor mymaster 127.0.0.1 {} 1\n", master.port);
    std::fs::write(&file, text).expect("it can be written");
    let file = file.display().to_string();
    let mut server = start("redis-server", |port| {
        vec![file.clone(), "--sentinel".to_owned(), "--port".to_owned(), port.to_string()]
    })?;
    server._folder = folder;
    Some(server)
}

/// A cache and what it counts.
pub(crate) struct Made {
    pub(crate) cache: Arc<dyn Cache>,
    registry: Registry,
}

pub(crate) fn made(settings: &CacheSettings) -> Made {
    let (metrics, mut registry) = (Metrics::default(), Registry::default());
    metrics.register(&mut registry);
    Made { cache: build(settings, "results", &metrics).expect("the settings are right"), registry }
}

impl Made {
    /// The sum of a metric over the label sets that have a text in them.
    pub(crate) fn count(&self, metric: &str, labels: &str) -> f64 {
        let mut page = String::new();
        encode(&mut page, &self.registry).expect("a String takes all");
        let lines = page.lines().filter(|line| line.starts_with(&format!("{metric}{{")) && line.contains(labels));
        lines.map(|line| line.rsplit(' ').next().and_then(|n| n.parse::<f64>().ok()).expect("a number")).sum()
    }

    pub(crate) fn set(&self, entries: &[(Bytes, Bytes)]) {
        self.cache.set_many(entries.to_vec());
        block_on(self.cache.flush());
    }

    pub(crate) fn get(&self, keys: &[(Bytes, Bytes)]) -> Vec<Option<Bytes>> {
        self.cache.get_many_blocking(&keys.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>())
    }

    /// How many values are there; those that are must be right.
    pub(crate) fn found(&self, entries: &[(Bytes, Bytes)]) -> usize {
        let found = self.get(entries);
        assert_eq!(found.len(), entries.len());
        for ((key, value), found) in entries.iter().zip(&found) {
            assert!(found.as_ref().is_none_or(|found| found == value), "a wrong value of {key:?}");
        }
        found.iter().flatten().count()
    }

    /// Stores and asks until a server is used again.
    pub(crate) fn recovers(&self, entries: &[(Bytes, Bytes)]) {
        for _ in 0..600 {
            self.set(entries);
            if self.found(entries) == entries.len() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("the cache does not recover");
    }

    /// Asks until nothing is there any more.
    pub(crate) fn forgets(&self, entries: &[(Bytes, Bytes)]) {
        for _ in 0..600 {
            if self.found(entries) == 0 {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        panic!("the values do not expire");
    }
}

pub(crate) fn values(count: usize) -> Vec<(Bytes, Bytes)> {
    let value = |n: usize| Bytes::from(format!("value {n} ").repeat(n % 50));
    (0..count).map(|n| (Bytes::from(format!("key-{n}")), value(n))).collect()
}

/// Keys and values of all sorts.
pub(crate) fn odd_values() -> Vec<(Bytes, Bytes)> {
    let mut values = values(200);
    values.push(("with space\r\nand line".into(), "END\r\nVALUE x 0 1\r\n".into()));
    values.push((vec![0xff; 1_000].into(), (0..300_000_u32).map(|n| (n % 251) as u8).collect::<Vec<_>>().into()));
    values.push(("".into(), "".into()));
    values
}

fn breaker() -> BreakerSettings {
    BreakerSettings { failures: 3, pause: Duration::from_millis(200) }
}

/// Servers whose answers may take long, since the machine may have much else to do.
pub(crate) fn with_memcached(addresses: &[String]) -> CacheSettings {
    let memcached = MemcachedSettings {
        addresses: addresses.to_vec(),
        timeout: Duration::from_secs(5),
        ..MemcachedSettings::default()
    };
    let max_wait = Duration::from_secs(30);
    CacheSettings { memcached: Some(memcached), breaker: breaker(), max_wait, ..CacheSettings::default() }
}

pub(crate) fn with_redis(endpoint: String) -> CacheSettings {
    let redis = RedisSettings { endpoint, timeout: Duration::from_secs(5), ..RedisSettings::default() };
    let max_wait = Duration::from_secs(30);
    CacheSettings { redis: Some(redis), breaker: breaker(), max_wait, ..CacheSettings::default() }
}
