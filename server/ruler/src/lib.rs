//! The ruler: evaluates alerting and recording rules, tells Alertmanagers, writes samples to Prometheus.
//!
//! A [`Ruler`] reads groups of rules from a [`RuleStore`], asks an [`Evaluate`] what their queries give, keeps the states
//! of alerts in files of its own, and sends what fires and what was recorded. Several share the groups of one store by
//! their places on a ring ([`RingShare`]), and keep the states of alerts in that store, so that groups move with them. It knows nothing of HTTP servers: Loki's
//! rules API is made from [`RuleStore`], [`Ruler::groups`] and [`yaml`].
#![forbid(unsafe_code)]

mod alert;
mod client;
mod error;
mod evaluate;
mod expand;
mod files;
mod group;
mod manager;
mod metrics;
mod model;
mod notify;
mod owns;
mod place;
mod relabel;
mod remote;
mod state;
mod store;
mod times;
mod validate;
mod view;
pub mod yaml;

pub use crate::error::RulerError;
pub use crate::evaluate::{Answer, Evaluate};
pub use crate::manager::{Ruler, RulerPlaces};
pub use crate::model::{Group, Rule, RuleKind};
pub use crate::owns::{Owns, RingShare, ShardSize};
pub use crate::store::{Namespaces, RuleStore};
pub use crate::validate::{decode_group, decode_groups, validate};
pub use crate::view::{AlertView, AlertingView, Filter, GroupView, Health, RuleView};
