//! The configuration of a server, whatever it was read from.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use narvi::Settings;

use crate::{ConfigError, Flags, Limits, RulerConfig, apply, tree::Node};

/// What `-target` may name, for `-list-targets`.
pub const TARGETS: [&str; 12] = [
    "all",
    "backend",
    "compactor",
    "distributor",
    "index-gateway",
    "ingester",
    "querier",
    "query-frontend",
    "query-scheduler",
    "read",
    "ruler",
    "write",
];

/// How a server runs. [`Config::default`] is Narvi's own, without a file: no tenants, no limits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Which parts of Narvi run.
    pub targets: Vec<String>,
    /// Whether requests must name their tenant.
    pub auth_enabled: bool,
    /// Host or address to listen on for HTTP; empty for all interfaces.
    pub http_listen_address: String,
    /// Port to listen on for HTTP; 0 takes any free one.
    pub http_listen_port: u16,
    /// `debug`, `info`, `warn` or `error`.
    pub log_level: String,
    /// How long requests that are under way may take when the server stops.
    pub shutdown_timeout: Duration,
    /// Where the data lies.
    pub data_dir: PathBuf,
    /// What tenants may push and ask.
    pub limits: Limits,
    /// The store.
    pub store: Settings,
    /// How many queries run at once; `None` leaves it to the server.
    pub concurrent_queries: Option<usize>,
    /// How many queries may wait.
    pub waiting_queries: Option<usize>,
    /// Largest push body as received, in bytes.
    pub max_push_bytes: Option<usize>,
    /// The ruler.
    pub ruler: RulerConfig,
    /// Keys that were accepted and change nothing, one sentence each.
    pub warnings: Vec<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            targets: vec!["all".to_owned()],
            auth_enabled: false,
            http_listen_address: "127.0.0.1".to_owned(),
            http_listen_port: 3100,
            log_level: "info".to_owned(),
            shutdown_timeout: Duration::from_secs(30),
            data_dir: PathBuf::from("narvi-data"),
            limits: Limits::default(),
            store: Settings::default(),
            concurrent_queries: None,
            waiting_queries: None,
            max_push_bytes: None,
            ruler: RulerConfig::default(),
            warnings: Vec::new(),
        }
    }
}

impl Config {
    /// What a Loki file starts from: Loki's limits, tenants, and all interfaces.
    pub fn loki() -> Self {
        Self { auth_enabled: true, http_listen_address: String::new(), limits: Limits::loki(), ..Self::default() }
    }

    /// Reads the text of a Loki file, environment expanded already, with what flags say laid over it.
    ///
    /// # Errors
    /// Not YAML; a key that Loki does not know, with its line; a value that cannot be used.
    pub fn from_yaml(text: &str, flags: &Flags) -> Result<Self, ConfigError> {
        let mut root = Node::parse(text)?;
        for (path, value) in &flags.overrides {
            root.set(path, value);
        }
        apply::apply(&root, Self::loki())
    }

    /// Where to listen, as text that can be resolved.
    pub fn http_listen(&self) -> String {
        let (address, port) = (&self.http_listen_address, self.http_listen_port);
        if let Ok(ip) = address.parse() {
            return SocketAddr::new(ip, port).to_string();
        }
        let host = if address.is_empty() { "0.0.0.0" } else { address };
        format!("{host}:{port}")
    }
}
