//! The code of messages and services, made from `proto` by `tools/proto`.
#![allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::too_many_lines
)]

/// Messages and services of Narvi.
pub(crate) mod narvi {
    include!("generated/narvi.v1.rs.in");
}

/// The health service that orchestrators know.
pub(crate) mod health {
    include!("generated/grpc.health.v1.rs.in");
}
