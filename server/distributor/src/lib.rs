//! What Loki's distributor does to a push before it is stored: labels are parsed and checked, the service is named, entries
//! are checked against the tenant's limits, structured metadata is normalised, and each line's level is detected; then what
//! Loki's ingester refuses: too many streams, too fast a stream, entries too far behind.
//!
//! Nothing here stores anything: [`Distributor::prepare`] takes what a protocol decoder found and gives what is to be stored,
//! with the error that the client has to see for the rest. Where ingesters are processes of their own, a [`Replicator`]
//! takes that to a quorum of them.
#![forbid(unsafe_code)]

mod discard;
mod ingest;
mod labels;
mod level;
mod metadata;
mod prepare;
mod replicate;
mod service_name;
mod shares;
mod streams;
mod times;

pub use crate::discard::{Discard, DiscardReason};
pub use crate::level::Level;
pub use crate::prepare::{Distributor, Prepared, RawStream, StreamPart, Taken};
pub use crate::replicate::{
    Batch, ReplicaCall, ReplicaError, Replicas, ReplicationMetrics, ReplicationSettings, Replicator,
};
pub use crate::shares::{RingShares, Shares};
pub use crate::streams::TenantStreams;
