//! What limits servers and clients: plain data, named after the keys of Loki's file that it is fed by.

use std::time::Duration;

/// How a server behaves. The defaults are Loki's.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct ServerLimits {
    /// Bytes of a message that is taken; `grpc_server_max_recv_msg_size`.
    pub max_recv_bytes: usize,
    /// Bytes of a message that is sent; `grpc_server_max_send_msg_size`.
    pub max_send_bytes: usize,
    /// Calls at once on a connection; `grpc_server_max_concurrent_streams`, 0 for no limit.
    pub max_concurrent_streams: u32,
    /// Idle connections are asked for a sign of life this often; `grpc_server_keepalive_time`, zero for never.
    pub keepalive_time: Duration,
    /// How long they may take; `grpc_server_keepalive_timeout`.
    pub keepalive_timeout: Duration,
    /// Connections are closed in order after this time; `grpc_server_max_connection_age`, zero for never.
    pub max_connection_age: Duration,
    /// And what is still under way then, this much later; `grpc_server_max_connection_age_grace`, zero for never.
    pub max_connection_age_grace: Duration,
    /// How long calls may go on after the server was told to stop; `graceful_shutdown_timeout`.
    pub grace: Duration,
    /// Pushes and flushes that may be at work at once; others are told to try again.
    pub writes: usize,
    /// Reads, likewise.
    pub reads: usize,
    /// Tails, likewise.
    pub tails: usize,
    /// How long a stream may wait for a reader that takes nothing before it is ended.
    pub stall: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            max_recv_bytes: 4 << 20,
            max_send_bytes: 4 << 20,
            max_concurrent_streams: 100,
            keepalive_time: Duration::from_secs(2 * 3600),
            keepalive_timeout: Duration::from_secs(20),
            max_connection_age: Duration::ZERO,
            max_connection_age_grace: Duration::ZERO,
            grace: Duration::from_secs(30),
            // Together below the 512 threads that the runtime has for blocking work.
            writes: 128,
            reads: 128,
            tails: 128,
            stall: Duration::from_secs(60),
        }
    }
}

/// How messages are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By gzip.
    Gzip,
}

impl Compression {
    /// Reads `grpc_compression` of Loki's file, and says what to warn of.
    ///
    /// # Errors
    /// Loki does not know it either.
    pub fn parse(text: &str) -> Result<(Self, Option<String>), String> {
        match text {
            "" => Ok((Self::None, None)),
            "gzip" => Ok((Self::Gzip, None)),
            "snappy" => {
                let warning = "grpc_compression: snappy is not spoken between processes of Narvi, their messages are not \
                               compressed; gzip is";
                Ok((Self::None, Some(warning.to_owned())))
            }
            other => Err(format!("unsupported compression type: {other}; leave it empty, or use gzip")),
        }
    }
}

/// How clients behave. The defaults are those of Loki's `ingester_client`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct ClientSettings {
    /// Bytes of a message that is taken; `grpc_client_config.max_recv_msg_size`.
    pub max_recv_bytes: usize,
    /// Bytes of a message that is sent; `grpc_client_config.max_send_msg_size`.
    pub max_send_bytes: usize,
    /// How messages are compressed; `grpc_client_config.grpc_compression`.
    pub compression: Compression,
    /// How long a connection may take to come about; `grpc_client_config.connect_timeout`.
    pub connect_timeout: Duration,
    /// How long a push may take where the caller does not say; `remote_timeout`. Reads have no limit but the caller's.
    pub push_timeout: Duration,
    /// Bytes of a pushed message: larger pushes are cut. Below what servers take by default.
    pub push_bytes: usize,
    /// Bytes of the whole answer to a job: of all partial results of an evaluation, or of an answer over HTTP.
    pub max_answer_bytes: usize,
    /// Connections are asked for a sign of life this often, also while nothing is asked.
    pub keepalive_time: Duration,
    /// How long they may take.
    pub keepalive_timeout: Duration,
    /// How long a check of health may take.
    pub check_timeout: Duration,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            max_recv_bytes: 100 << 20,
            max_send_bytes: 100 << 20,
            compression: Compression::None,
            connect_timeout: Duration::from_secs(5),
            push_timeout: Duration::from_secs(5),
            push_bytes: 2 << 20,
            max_answer_bytes: 1 << 30,
            keepalive_time: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
            check_timeout: Duration::from_secs(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Compression;

    #[test]
    fn compression_is_read_as_the_file_has_it() {
        assert_eq!(Compression::parse(""), Ok((Compression::None, None)));
        assert_eq!(Compression::parse("gzip"), Ok((Compression::Gzip, None)));
        let (snappy, warning) = Compression::parse("snappy").expect("known");
        assert!(snappy == Compression::None && warning.expect("a warning").contains("snappy"));
        assert!(Compression::parse("lzma").is_err());
    }
}
