//! Loki's configuration file and flags, read for Narvi.
//!
//! [`Config::from_yaml`] reads a file's text, [`Flags::parse`] Loki's Go-style command line; [`Limits`] are what a
//! tenant may push and ask. A key that Loki knows and Narvi does not use is accepted and listed in
//! [`Config::warnings`]; a key that neither knows is refused with its line. [`Runtime`] holds the limits of single tenants
//! and reads their files again.
#![forbid(unsafe_code)]

mod apply;
mod apply_limits;
mod cache;
mod cluster;
mod cluster_read;
mod cluster_rings;
mod cluster_rpc;
mod config;
mod derive;
mod endpoints;
mod envsubst;
mod error;
mod flags;
mod limits;
mod page;
mod part;
mod policies;
mod retention;
mod roles;
mod ruler;
mod ruler_client;
mod ruler_limits;
mod runtime;
mod schema;
mod storage;
mod suggest;
mod tree;
mod units;

pub use crate::cache::Caches;
pub use crate::cluster::{ClusterConfig, ReplicationConfig};
pub use crate::cluster_read::{
    ClientTls, FrontendConfig, IndexGatewayConfig, IndexGatewayMode, QuerierConfig, QueryRangeConfig, RulerCluster,
    SchedulerConfig, WorkerConfig,
};
pub use crate::cluster_rings::{KvStore, RingConfig, Rings};
pub use crate::cluster_rpc::GrpcConfig;
pub use crate::config::{Config, HttpConfig, PageMode, TlsConfig};
pub use crate::endpoints::Endpoints;
pub use crate::envsubst::expand;
pub use crate::error::ConfigError;
pub use crate::flags::Flags;
pub use crate::limits::{BlockedQuery, Limits, OtlpAction, OtlpRule, OtlpRules, Pattern, RATE_UNLIMITED, RateStrategy};
pub use crate::policies::{Policies, PolicyRule};
pub use crate::retention::{CompactorConfig, DeletionMode, RetentionLimits, RetentionRule};
pub use crate::roles::{Role, Roles, TARGETS};
pub use crate::ruler::{RuleStorage, RulerConfig};
pub use crate::ruler_client::{
    AlertmanagerChanges, AlertmanagerConfig, ClientConfig, Relabel, RemoteWrite, RemoteWriteChanges, Secret,
};
pub use crate::ruler_limits::RulerLimits;
pub use crate::runtime::Runtime;
pub use crate::storage::{AzureConfig, GcsConfig, Hidden, Retries, S3Config, StoreConfig};
pub use crate::units::{parse_bytes, parse_duration};
