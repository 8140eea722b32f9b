//! The configuration of a server, whatever it was read from.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use narvi::Settings;

use crate::{
    Caches, ClusterConfig, CompactorConfig, ConfigError, Endpoints, Flags, Limits, RulerConfig, StoreConfig, apply,
    page, schema, tree::Node,
};

/// How a server runs. [`Config::default`] is Narvi's own, without a file: no tenants, no limits.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// Which parts of Narvi run, as `-target` names them; what that means is in `cluster`.
    pub targets: Vec<String>,
    /// Whether requests must name their tenant.
    pub auth_enabled: bool,
    /// Host or address to listen on for HTTP; empty for all interfaces.
    pub http_listen_address: String,
    /// Port to listen on for HTTP; 0 takes any free one.
    pub http_listen_port: u16,
    /// How HTTP is served.
    pub http: HttpConfig,
    /// `debug`, `info`, `warn` or `error`.
    pub log_level: String,
    /// `logfmt` or `json`.
    pub log_format: String,
    /// How long the server says that it is not ready before it stops taking requests.
    pub shutdown_delay: Duration,
    /// How long requests that are under way may take when the server stops.
    pub shutdown_timeout: Duration,
    /// Where the data lies.
    pub data_dir: PathBuf,
    /// Where packs, tables and manifests lie.
    pub object_store: StoreConfig,
    /// What tenants may push and ask.
    pub limits: Limits,
    /// Files with limits of single tenants.
    pub runtime_files: Vec<PathBuf>,
    /// How often they are read.
    pub runtime_period: Duration,
    /// Whether there is retention, and whether lines can be deleted.
    pub compactor: CompactorConfig,
    /// The store.
    pub store: Settings,
    /// How many queries run at once; `None` leaves it to the server.
    pub concurrent_queries: Option<usize>,
    /// How many queries may wait.
    pub waiting_queries: Option<usize>,
    /// Largest push body as received, in bytes.
    pub max_push_bytes: Option<usize>,
    /// Single endpoints.
    pub endpoints: Endpoints,
    /// The ruler.
    pub ruler: RulerConfig,
    /// Where chunks, results and look-ups are cached.
    pub caches: Caches,
    /// What several processes have to know to work together.
    pub cluster: ClusterConfig,
    /// Largest push body when decompressed, in bytes.
    pub max_decompressed_bytes: Option<usize>,
    /// Largest form body of a query, in bytes.
    pub max_form_bytes: Option<usize>,
    /// Keys that were accepted and change nothing, one sentence each.
    pub warnings: Vec<String>,
    /// What was given, completed.
    pub(crate) given: Node,
}

/// How HTTP is served.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HttpConfig {
    /// Most connections at once; 0 is no limit.
    pub connection_limit: usize,
    /// How long a request may take to arrive.
    pub read_timeout: Duration,
    /// How long its head may take; zero for `read_timeout`.
    pub read_header_timeout: Duration,
    /// How long an answer may wait for a client that does not read.
    pub write_timeout: Duration,
    /// How long a connection may do nothing.
    pub idle_timeout: Duration,
    /// What all paths begin with; empty, or a path that begins with a slash.
    pub path_prefix: String,
    /// Certificate and key; plain HTTP without.
    pub tls: Option<TlsConfig>,
}

/// Files of certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsConfig {
    /// The server's certificate chain.
    pub cert_file: String,
    /// Its key.
    pub key_file: String,
    /// Whom clients' certificates must be signed by.
    pub client_ca_file: String,
    /// What is asked of clients, in Go's words.
    pub client_auth: String,
}

impl TlsConfig {
    /// Whether clients must show a certificate.
    pub fn requires_client(&self) -> bool {
        self.client_auth == "RequireAndVerifyClientCert"
    }

    /// Whether clients' certificates are verified, if they show one.
    pub fn verifies_client(&self) -> bool {
        self.requires_client() || self.client_auth == "VerifyClientCertIfGiven"
    }

    /// Nothing if nothing is set.
    pub(crate) fn checked(self, path: &str) -> Result<Option<Self>, ConfigError> {
        let wrong = |key: &str, message: &str| {
            let (key, message) = (format!("{path}.{key}"), message.to_owned());
            Err(ConfigError::Value { place: String::new(), key, message })
        };
        if self == Self::default() {
            return Ok(None);
        }
        if self.cert_file.is_empty() {
            return wrong("cert_file", "a file with the server's certificate is needed beside its key");
        }
        if self.key_file.is_empty() {
            return wrong("key_file", "a file with the key of the server's certificate is needed");
        }
        match self.client_auth.as_str() {
            "" | "NoClientCert" => {}
            "RequireAndVerifyClientCert" | "VerifyClientCertIfGiven" => {
                if self.client_ca_file.is_empty() {
                    return wrong("client_ca_file", "a file with the certificates that sign clients' is needed");
                }
            }
            other => {
                let message = format!(
                    "{other:?} is not supported; use NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert"
                );
                return wrong("client_auth_type", &message);
            }
        }
        Ok(Some(self))
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            connection_limit: 0,
            read_timeout: Duration::from_secs(30),
            read_header_timeout: Duration::ZERO,
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(120),
            path_prefix: String::new(),
            tls: None,
        }
    }
}

/// What of a configuration is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature")]
pub enum PageMode {
    /// Every key.
    Whole,
    /// The defaults alone.
    Defaults,
    /// What differs from them.
    Difference,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            targets: vec!["all".to_owned()],
            auth_enabled: false,
            http_listen_address: "127.0.0.1".to_owned(),
            http_listen_port: 3100,
            http: HttpConfig::default(),
            log_level: "info".to_owned(),
            log_format: "logfmt".to_owned(),
            shutdown_delay: Duration::ZERO,
            shutdown_timeout: Duration::from_secs(30),
            data_dir: PathBuf::from("narvi-data"),
            object_store: StoreConfig::default(),
            limits: Limits::default(),
            runtime_files: Vec::new(),
            runtime_period: Duration::from_secs(10),
            compactor: CompactorConfig::narvi(),
            store: Settings::default(),
            concurrent_queries: None,
            waiting_queries: None,
            max_push_bytes: None,
            endpoints: Endpoints::default(),
            ruler: RulerConfig::default(),
            caches: Caches::default(),
            cluster: ClusterConfig::default(),
            max_decompressed_bytes: None,
            max_form_bytes: None,
            warnings: Vec::new(),
            given: own_values(),
        }
    }
}

impl Config {
    /// What a Loki file starts from: Loki's limits, tenants, and all interfaces.
    pub fn loki() -> Self {
        Self {
            auth_enabled: true,
            http_listen_address: String::new(),
            limits: Limits::loki(),
            compactor: CompactorConfig::loki(),
            given: Node::default(),
            ..Self::default()
        }
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
        let mut config = apply::apply(&mut root, Self::loki())?;
        config.given = root;
        Ok(config)
    }

    /// The configuration as YAML, with secrets masked.
    pub fn page(&self, mode: PageMode) -> String {
        let mut whole = schema::defaults();
        match mode {
            PageMode::Defaults => return page::yaml(&whole),
            PageMode::Whole => whole.overlay(&self.given),
            PageMode::Difference => return page::yaml(&page::difference(&self.given, &whole)),
        }
        page::yaml(&whole)
    }

    /// Where to listen, as text that can be resolved.
    pub fn http_listen(&self) -> String {
        listen_text(&self.http_listen_address, self.http_listen_port)
    }
}

/// A place to listen, as text that can be resolved; all interfaces if the address is empty.
pub(crate) fn listen_text(address: &str, port: u16) -> String {
    if let Ok(ip) = address.parse() {
        return SocketAddr::new(ip, port).to_string();
    }
    let host = if address.is_empty() { "0.0.0.0" } else { address };
    format!("{host}:{port}")
}

/// What Narvi has otherwise than Loki when there is no file, in Loki's words.
fn own_values() -> Node {
    Node::parse(include_str!("own.yaml")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Config, PageMode, own_values};
    use crate::{Limits, apply, schema};

    #[test]
    fn the_table_has_the_limits_that_the_code_has() {
        let mut limits = Limits { max_query_series: 1, max_line_size_bytes: 7, ..Limits::loki() };
        let defaults = schema::defaults();
        let reader = apply::Reader::new(&defaults);
        crate::apply_limits::apply(&reader, "limits_config", &mut limits).expect("the defaults are right");
        assert_eq!(limits, Limits::loki());
        let mut own = own_values();
        let own = apply::apply(&mut own, Config::loki()).expect("they are right");
        let limits = Limits { out_of_order_window: None, creation_grace_period: None, ..own.limits };
        assert_eq!(Limits { ingestion_rate_bytes: f64::INFINITY, ..limits }.max_query_series, 100_000);
        assert!(!own.auth_enabled && own.warnings.is_empty(), "{:?}", own.warnings);
    }

    #[test]
    fn pages_show_what_is_asked_for() {
        let config =
            Config::from_yaml("server: {http_listen_port: 80}\n", &crate::Flags::default()).expect("it is right");
        assert_eq!(config.page(PageMode::Difference), "server:\n  http_listen_port: 80\n");
        assert!(config.page(PageMode::Whole).contains("\n  http_listen_port: 80\n"));
        assert!(config.page(PageMode::Defaults).contains("\n  http_listen_port: 3100\n"));
    }
}
