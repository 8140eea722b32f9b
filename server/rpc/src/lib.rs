//! gRPC between Narvi's roles: what processes ask of each other, without a type of the gRPC library in any public item.
//!
//! A process implements [`IngesterService`] or [`QuerierService`] and passes them to [`serve`]; others reach them by a
//! [`ClientPool`]. Services are blocking, as the store under them is: each call runs on a thread of the pool for blocking
//! work, streams are given by a callback that waits while the reader is slow, and the number of calls at work is limited,
//! so that reads cannot take the threads that pushes need.
//!
//! Whose logs are meant, and how long the caller waits, travels with each call. A call that its caller gives up, or whose time
//! is over, cancels the [`Budget`](narvi::logql::Budget) of its [`Call`], so that the work for it ends. Errors keep their kind,
//! their text and whether trying again may help ([`RpcError`]).
//!
//! What rows look like on the way is of the crates that own them: this crate carries them as bytes.
#![forbid(unsafe_code)]

mod call;
mod client;
mod convert;
mod error;
mod job;
mod pb;
mod server;
mod service;
mod settings;

pub use crate::call::{Call, CallOptions};
pub use crate::client::{ClientPool, IngesterClient, QuerierClient, TailStream};
pub use crate::error::{RpcError, RpcErrorKind};
pub use crate::job::{HttpAnswer, HttpRequest};
pub use crate::server::{CallObserver, Services, router, serve};
pub use crate::service::{
    DroppedLine, Evaluation, IngesterService, LabelTexts, PartialAnswer, QuerierService, TailPart,
};
pub use crate::settings::{ClientSettings, Compression, ServerLimits};
