//! gRPC between Narvi's roles: what processes ask of each other, without a type of the gRPC library in any public item.
//!
//! A process implements [`IngesterService`] or [`SchedulerService`] and passes them to [`serve`]; others reach them by a
//! [`ClientPool`]. Ingesters are blocking, as the store under them is: each call runs on a thread of the pool for blocking
//! work, streams are given by a callback that waits while the reader is slow, and the number of calls at work is limited,
//! so that reads cannot take the threads that pushes need. In a scheduler [`Job`]s wait until queriers take them, and their
//! answers pass through in pieces: there calls wait, and none works.
//!
//! Whose logs are meant, and how long the caller waits, travels with each call. A call that its caller gives up, or whose time
//! is over, cancels the [`Budget`](narvi::logql::Budget) of its [`Call`], so that the work for it ends. Errors keep their kind,
//! their text and whether trying again may help ([`RpcError`]).
//!
//! What rows look like on the way is of the crates that own them: this crate carries them as bytes.
#![forbid(unsafe_code)]

mod answer;
mod call;
mod client;
mod convert;
mod error;
mod job;
mod pb;
mod scheduling;
mod server;
mod service;
mod settings;

pub use crate::answer::{AnswerPiece, AnswerReader};
pub use crate::call::{Call, CallOptions};
pub use crate::client::{ClientPool, IndexGatewayClient, IngesterClient, SchedulerClient, TailStream};
pub use crate::error::{RpcError, RpcErrorKind};
pub use crate::job::{HttpAnswer, HttpRequest, Job, Task};
pub use crate::scheduling::{
    AnswerStream, FromQuerier, FromQuerierStream, OfferStream, SchedulerService, ToQuerier, ToQuerierStream,
};
pub use crate::server::{CallObserver, Services, router, serve};
pub use crate::service::{
    DroppedLine, Evaluation, IndexGatewayService, IngesterService, LabelTexts, PartialAnswer, TailPart,
};
pub use crate::settings::{ClientSettings, Compression, ServerLimits};
