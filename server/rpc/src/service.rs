//! What processes offer each other, as traits without a type of the gRPC library.

use std::ops::ControlFlow;

use bytes::Bytes;
use narvi::{
    HeadsDetail, HeadsRequest, IndexAnswer, IndexQuestion, IndexTable, Labels, Matcher, PushStream, Selector,
    TimeRange, Timestamp,
    logql::{LeafScope, Params},
};

use crate::{call::Call, error::RpcError};

/// A process that holds rows in memory until they are in files. All functions block, and are called on threads made for that;
/// work that takes long looks at the budget of the call now and then.
pub trait IngesterService: Send + Sync + 'static {
    /// Adds lines. They are kept when it returns.
    ///
    /// # Errors
    /// They cannot be kept. What is sent again because it failed in part is answered once.
    fn push(&self, call: &Call, streams: Vec<PushStream>) -> Result<(), RpcError>;

    /// Gives the rows in memory, frame by frame, until `give` breaks off. `give` waits while the reader is slow.
    ///
    /// # Errors
    /// The budget of the call is used up.
    fn heads(
        &self,
        call: &Call,
        request: &HeadsRequest,
        detail: HeadsDetail,
        give: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RpcError>;

    /// The names of labels of streams that may have rows in memory in the range.
    ///
    /// # Errors
    /// It does not take calls.
    fn label_names(&self, call: &Call, matchers: &[Matcher], range: TimeRange) -> Result<LabelTexts, RpcError>;

    /// The values of a label of those streams.
    ///
    /// # Errors
    /// It does not take calls.
    fn label_values(
        &self,
        call: &Call,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<LabelTexts, RpcError>;

    /// Follows pushes until `give` breaks off, the call is cancelled or the server closes. First it gives an empty part, as
    /// soon as no push can be missed any more. `give` waits while the reader is slow; what does not fit meanwhile is
    /// dropped and told.
    ///
    /// # Errors
    /// It does not take calls.
    fn tail(
        &self,
        call: &Call,
        selector: Selector,
        give: &mut dyn FnMut(TailPart) -> ControlFlow<()>,
    ) -> Result<(), RpcError>;

    /// Writes everything that is in memory into files, and gives the number of the newest manifest.
    ///
    /// # Errors
    /// The store fails; nothing is lost.
    fn flush(&self, call: &Call) -> Result<u64, RpcError>;

    /// Whether it takes pushes; if not, why. Must not block.
    ///
    /// # Errors
    /// The reason.
    fn ready(&self) -> Result<(), String>;
}

/// A process that looks into index tables. Blocking, as [`IngesterService`].
pub trait IndexGatewayService: Send + Sync + 'static {
    /// Answers a question for each of some tables, in their order, until `give` breaks off. The question is of the call's tenant.
    ///
    /// # Errors
    /// A table cannot be read; the budget of the call is used up.
    fn look_up(
        &self,
        call: &Call,
        question: &IndexQuestion,
        tables: &[IndexTable],
        give: &mut dyn FnMut(IndexAnswer) -> ControlFlow<()>,
    ) -> Result<(), RpcError>;

    /// Whether it takes calls; if not, why. Must not block.
    ///
    /// # Errors
    /// The reason.
    fn ready(&self) -> Result<(), String>;
}

/// Names or values of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct LabelTexts {
    /// The texts, sorted.
    pub texts: Vec<String>,
    /// The newest manifest that the writer knew: a reader must not use an older one with this answer.
    pub manifest: u64,
}

/// What a tail gives at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct TailPart {
    /// New lines, in the order of pushes.
    pub batches: Vec<PushStream>,
    /// Lines that were dropped since the reader is too slow.
    pub dropped: Vec<DroppedLine>,
    /// How many were dropped; the list may be shorter.
    pub dropped_count: u64,
}

/// A line that was dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct DroppedLine {
    /// Its stream.
    pub labels: Labels,
    /// Its time.
    pub timestamp: Timestamp,
}

/// Parts of a query to be evaluated.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct Evaluation {
    /// LogQL.
    pub query: String,
    /// Its parameters.
    pub params: Params,
    /// Which leaves of its plan, over which rows.
    pub scopes: Vec<LeafScope>,
}

/// The partial result of one scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct PartialAnswer {
    /// A [`Partial`](narvi::logql::Partial) as bytes.
    pub partial: Bytes,
    /// Bytes of lines that were read for it.
    pub bytes_read: u64,
    /// Lines that were read for it.
    pub lines_read: u64,
    /// What to tell the user, beside the warnings in the partial result.
    pub warnings: Vec<String>,
    /// What requests to delete the tenants had when the reading began: another number for other requests, 0 for none. It
    /// tells whether results that were kept elsewhere may hold lines that are deleted by now.
    pub deletes: u64,
}
