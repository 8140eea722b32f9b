//! Clients: of each peer one connection, made when it is first needed and made anew when it is lost.

mod index_gateway;
mod ingester;
mod pool;
mod scheduler;
mod timed;

pub use self::{
    index_gateway::IndexGatewayClient,
    ingester::{IngesterClient, TailStream},
    pool::ClientPool,
    scheduler::SchedulerClient,
};

use tonic::transport::Channel;

/// A process that is called.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) address: String,
    pub(crate) channel: Channel,
}

/// Both limits, and compression, on a client of the generated code.
macro_rules! configured {
    ($client:expr, $settings:expr) => {{
        let settings = $settings;
        let client = $client
            .max_decoding_message_size(settings.max_recv_bytes)
            .max_encoding_message_size(settings.max_send_bytes);
        match settings.compression {
            $crate::settings::Compression::Gzip => client
                .send_compressed(tonic::codec::CompressionEncoding::Gzip)
                .accept_compressed(tonic::codec::CompressionEncoding::Gzip),
            _ => client,
        }
    }};
}
pub(crate) use configured;
