//! Membership and the token ring of Narvi's roles: who is there, who holds which key, who is elected.
//!
//! A [`Membership`] publishes records of instances and watches those of others: [`Gossip`] among processes,
//! [`InMemory`] in one, [`StaticList`] by configuration. A [`Lifecycler`] takes one instance through its life. A
//! [`Ring`] is an immutable picture, made of the records of one time, that answers whom to call; [`RingView`] keeps it
//! up to date. Nothing here speaks HTTP or gRPC: pages and calls are of those who use it.
//!
//! ```
//! use narvi_ring::{Instance, Operation, Ring, RingSettings, State, stream_key};
//!
//! let members = (0..3u32).map(|n| Instance {
//!     id: format!("ingester-{n}"),
//!     address: format!("10.0.0.{n}:9095"),
//!     zone: String::new(),
//!     state: State::Active,
//!     tokens: vec![n << 30],
//!     registered_ms: 0,
//!     heartbeat_ms: 1_000,
//! });
//! let ring = Ring::new(&members.collect(), RingSettings::default());
//! let set = ring.replicas(stream_key("fake", r#"{app="x"}"#), Operation::Write, 2_000)?;
//! assert_eq!(set.instances.len(), 3);
//! # Ok::<(), narvi_ring::RingError>(())
//! ```
#![forbid(unsafe_code)]

mod clock;
mod gossip;
mod instance;
mod interfaces;
mod leader;
mod lifecycle;
mod lifecycler;
mod membership;
mod memory;
mod metrics;
mod page;
mod quorum;
mod registry;
mod ring;
mod shuffle;
mod static_list;
mod tokens;
mod view;

pub use crate::clock::{Clock, ManualClock, SystemClock};
pub use crate::gossip::{Gossip, GossipSettings, outgoing_address};
pub use crate::instance::{Instance, MAX_TEXT_BYTES, MAX_TOKENS, RECORD_VERSION, RecordError, State};
pub use crate::interfaces::interface_address;
pub use crate::leader::Leader;
pub use crate::lifecycle::LifecycleSettings;
pub use crate::lifecycler::{Farewell, LifecycleError, Lifecycler};
pub use crate::membership::{ClusterNode, ClusterPage, Leaving, Members, Membership, MembershipError, RingName};
pub use crate::memory::InMemory;
pub use crate::metrics::RingMetrics;
pub use crate::page::{RingPage, RingPageRow};
pub use crate::quorum::{Answers, Quorum, ReplicaSet, Tolerated, Verdict};
pub use crate::ring::{Operation, Ring, RingError, RingSettings, stream_key};
pub use crate::static_list::{StaticList, StaticMember};
pub use crate::view::RingView;
