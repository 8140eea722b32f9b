//! What a query-frontend has queriers do, beside evaluations: requests of the read side, answered by a querier's own routes.

use bytes::Bytes;

/// A request of Loki's HTTP API that a querier is to answer. Whose logs are meant travels with the call, not in a header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct HttpRequest {
    /// The method, as `GET`.
    pub method: String,
    /// Path and query, as `/loki/api/v1/labels?start=1`.
    pub uri: String,
    /// Names and values of headers, in their order; a name may stand several times.
    pub headers: Vec<(String, Bytes)>,
    /// The body; empty if there is none.
    pub body: Bytes,
}

/// What a querier answers to an [`HttpRequest`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct HttpAnswer {
    /// The status, as 200.
    pub status: u16,
    /// Names and values of headers, in their order; a name may stand several times.
    pub headers: Vec<(String, Bytes)>,
    /// The body; empty if there is none.
    pub body: Bytes,
}
