//! gRPC of a cluster: where a process listens for others, and how it calls them.

use std::time::Duration;

use narvi_ring::outgoing_address;
use narvi_rpc::{ClientSettings, Compression, ServerLimits};

use crate::{
    ConfigError,
    apply::{Reader, wrong},
    cluster_rings::{line_of, port},
    schema::place,
};

/// Messages between processes of Narvi are up to about half as large; who takes less could not take part.
const LEAST_MESSAGE: usize = 4 << 20;

/// Longer is for ever: Go's word for never is a duration of 292 years.
const NEVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Where a process takes calls of others, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrpcConfig {
    /// Host or address to listen on; empty for all interfaces.
    pub listen_address: String,
    /// Port to listen on; 0 takes any free one.
    pub listen_port: u16,
    /// How calls are served.
    pub limits: ServerLimits,
}

impl Default for GrpcConfig {
    fn default() -> Self {
        Self { listen_address: String::new(), listen_port: 9095, limits: ServerLimits::default() }
    }
}

impl GrpcConfig {
    /// Where to listen, as text that can be resolved.
    pub fn listen(&self) -> String {
        crate::config::listen_text(&self.listen_address, self.listen_port)
    }

    /// The host that others reach this process at where nothing names one: the one it listens on, or else the address
    /// that this machine sends from.
    pub fn advertised_host(&self) -> String {
        match self.listen_address.as_str() {
            "" | "0.0.0.0" | "::" | "[::]" => outgoing_address().to_string(),
            host => host.to_owned(),
        }
    }
}

/// Reads what `server` says of gRPC.
pub(crate) fn server(
    reader: &Reader<'_>,
    clustered: bool,
    grpc: &mut GrpcConfig,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let key = |name: &str| format!("server.grpc_{name}");
    reader.text(&key("listen_address"), &mut grpc.listen_address)?;
    port(reader, &key("listen_port"), &mut grpc.listen_port)?;
    let limits = &mut grpc.limits;
    message(reader, &key("server_max_recv_msg_size"), &mut limits.max_recv_bytes, warnings)?;
    message(reader, &key("server_max_send_msg_size"), &mut limits.max_send_bytes, warnings)?;
    reader.read(&key("server_max_concurrent_streams"), &mut limits.max_concurrent_streams, |text| {
        text.parse().map_err(|_| format!("{text:?} is not a number of streams; 0 is no limit"))
    })?;
    for (name, target) in [
        ("server_keepalive_time", &mut limits.keepalive_time),
        ("server_keepalive_timeout", &mut limits.keepalive_timeout),
        ("server_max_connection_age", &mut limits.max_connection_age),
        ("server_max_connection_age_grace", &mut limits.max_connection_age_grace),
    ] {
        reader.duration(&key(name), target)?;
        if *target > NEVER {
            *target = Duration::ZERO;
        }
    }
    reader.duration("server.graceful_shutdown_timeout", &mut limits.grace)?;
    let tls = "server.grpc_tls_config.cert_file";
    if reader.has(tls) {
        let message = "gRPC between processes of Narvi is not encrypted; leave grpc_tls_config out, and keep the port \
                       inside a network that you trust";
        if clustered {
            return Err(wrong(&line_of(reader, tls), "server.grpc_tls_config", message.to_owned()));
        }
        let reason = "a single process has no gRPC listener";
        warnings.push(format!("server.grpc_tls_config has no effect: {reason}"));
    }
    Ok(())
}

/// The size of messages; too small a one is raised.
fn message(reader: &Reader<'_>, path: &str, target: &mut usize, warnings: &mut Vec<String>) -> Result<(), ConfigError> {
    let mut bytes = *target as u64;
    reader.bytes(path, &mut bytes)?;
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if bytes < LEAST_MESSAGE {
        let place = place(line_of(reader, path).line);
        warnings.push(format!("{place}{path}: {LEAST_MESSAGE} is used, which messages between processes need"));
    }
    *target = bytes.max(LEAST_MESSAGE);
    Ok(())
}

/// Reads a `grpc_client_config`.
pub(crate) fn client(
    reader: &Reader<'_>,
    path: &str,
    client: &mut ClientSettings,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let key = |name: &str| format!("{path}.{name}");
    message(reader, &key("max_recv_msg_size"), &mut client.max_recv_bytes, warnings)?;
    message(reader, &key("max_send_msg_size"), &mut client.max_send_bytes, warnings)?;
    reader.duration(&key("connect_timeout"), &mut client.connect_timeout)?;
    let (compression, line) = (key("grpc_compression"), line_of(reader, &key("grpc_compression")).line);
    let mut told = None;
    reader.read(&compression, &mut client.compression, |text| {
        let (compression, warning) = Compression::parse(text)?;
        told = warning;
        Ok(compression)
    })?;
    warnings.extend(told.map(|warning| format!("{}{path}.{warning}", place(line))));
    let mut tls = false;
    reader.bool(&key("tls_enabled"), &mut tls)?;
    if tls {
        let message = "gRPC between processes of Narvi is not encrypted; leave tls_enabled out, and keep them inside a \
                       network that you trust";
        return Err(wrong(&line_of(reader, &key("tls_enabled")), &key("tls_enabled"), message.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
#[path = "cluster_rpc_tests.rs"]
mod tests;
