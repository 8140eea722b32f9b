//! Requests to delete lines, and what else hides rows from queries: retention.
//!
//! A request names streams, a range of time and stages of LogQL; a row that is in the range and passes the stages is dead as
//! soon as the request is committed, wherever it lies. Retention makes all rows of a stream dead that are older than its
//! period. Both depend on nothing but a row's stream, time, line and metadata, so repeated rows die together.
//!
//! Where a request has no filter it is a cut in time. Otherwise its stages are run over each block once, in the background,
//! and the rows that it hits are kept in a file of marks; until that is there they are run at read.

mod cuts;
mod filter;
mod marks;
mod request;

#[cfg(test)]
mod tests;

pub use self::request::{DeleteId, DeleteIdError, DeleteRequest, DeleteStatus};
pub(crate) use self::{
    cuts::{Cuts, Fate, OpenCuts, PackRows, Pending, RowCuts, StreamCuts},
    filter::{Book, Filter, Judge},
    marks::{Frames, MarkFiles, Marks},
};
