//! The vocabulary of the Narvi log store: labels, metadata, matchers, selectors, timestamps and entries.
//!
//! Charter: this crate holds the words that the chunk codec, the label index and the LogQL evaluator must agree on, the
//! Go-compatible regular expressions that matchers and line filters share, and the checked byte cursor that every
//! format of ours is read with. It does no I/O, keeps no thread, and depends on nothing of Narvi.
//!
//! ```
//! use narvi_types::{Labels, Matcher, MatchOp, Selector};
//!
//! let labels = Labels::from_pairs([("app", "api"), ("env", "prod")])?;
//! assert_eq!(labels.to_string(), r#"{app="api", env="prod"}"#);
//! let selector = Selector::new(vec![Matcher::new("app", MatchOp::Regex, "a.*")?]);
//! assert!(selector.matches(&labels));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod entry;
mod labels;
mod matcher;
mod pairs;
mod quote;
pub mod regex;
mod tenant;
mod time;
pub mod wire;

pub use crate::entry::Entry;
pub use crate::labels::{Labels, LabelsBuilder};
pub use crate::matcher::{MatchOp, Matcher, Selector};
pub use crate::pairs::{MAX_NAME_BYTES, MAX_VALUE_BYTES, Metadata, PairError, Pairs, PairsIter};
pub use crate::quote::go_quote;
pub use crate::tenant::{MAX_TENANT_BYTES, Tenant, TenantError};
pub use crate::time::{Direction, TimeRange, Timestamp};
