//! Errors that travel between processes: a kind, a text, and whether trying again may help.

use std::error::Error as _;

use bytes::Bytes;
use narvi::{
    Error, ErrorKind,
    logql::{self, BudgetError},
};
use tonic::{Code, Status};

/// What a caller can do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RpcErrorKind {
    /// What was asked cannot be accepted.
    Invalid,
    /// The query has an error, or asks for more than its limits allow.
    Query,
    /// Too much is under way; try again later.
    Busy,
    /// The disk of the other process is full.
    Full,
    /// Access is denied.
    Denied,
    /// Stored or sent data is damaged.
    Corrupt,
    /// The process cannot be reached, is leaving, or broke off.
    Unavailable,
    /// The caller gave up.
    Cancelled,
    /// The time of the call is over.
    Deadline,
    /// A message is larger than the limits allow.
    TooLarge,
    /// The other process does not know the call: it has another version or role.
    Unsupported,
    /// A defect.
    Internal,
}

use RpcErrorKind as Kind;

/// Each kind, its byte on the wire (its place) and its code for callers that know gRPC alone.
const KINDS: [(Kind, Code); 12] = [
    (Kind::Invalid, Code::InvalidArgument),
    (Kind::Query, Code::FailedPrecondition),
    (Kind::Busy, Code::ResourceExhausted),
    (Kind::Full, Code::Aborted),
    (Kind::Denied, Code::PermissionDenied),
    (Kind::Corrupt, Code::DataLoss),
    (Kind::Unavailable, Code::Unavailable),
    (Kind::Cancelled, Code::Cancelled),
    (Kind::Deadline, Code::DeadlineExceeded),
    (Kind::TooLarge, Code::OutOfRange),
    (Kind::Unsupported, Code::Unimplemented),
    (Kind::Internal, Code::Internal),
];

/// Why a call failed. The text says what failed and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    kind: RpcErrorKind,
    message: String,
    retryable: bool,
}

/// Longer texts are cut: they travel as a header, of which peers take some kilobytes.
const MOST_TEXT: usize = 2000;
const DETAILS_VERSION: u8 = 1;

impl RpcError {
    /// Makes an error of a kind; what is busy, full, unavailable or late may be tried again, on this instance or another.
    pub fn new(kind: RpcErrorKind, message: impl Into<String>) -> Self {
        let retryable = matches!(kind, Kind::Busy | Kind::Full | Kind::Unavailable | Kind::Deadline);
        Self { kind, message: message.into(), retryable }
    }

    /// Says whether trying again may help.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> RpcErrorKind {
        self.kind
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same call may succeed later, or on another instance.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    pub(crate) fn late() -> Self {
        Self::new(Kind::Deadline, "the time of the call is over")
    }

    /// How metrics count it, in the classes of HTTP.
    pub(crate) fn outcome(&self) -> &'static str {
        match self.kind {
            Kind::Cancelled => "cancel",
            Kind::Invalid | Kind::Query | Kind::Busy | Kind::Denied | Kind::TooLarge | Kind::Unsupported => "4xx",
            _ => "5xx",
        }
    }

    fn place(&self) -> usize {
        KINDS.iter().position(|(kind, _)| *kind == self.kind).unwrap_or(KINDS.len() - 1)
    }

    /// The kind as messages name it.
    pub(crate) fn kind_number(&self) -> u32 {
        self.place() as u32
    }

    /// An error of a message. A kind of a later version is a defect of the other side.
    pub(crate) fn of_kind_number(number: u32, message: String, retryable: bool) -> Self {
        let kind =
            usize::try_from(number).ok().and_then(|place| KINDS.get(place)).map_or(Kind::Internal, |(kind, _)| *kind);
        Self { kind, message, retryable }
    }

    pub(crate) fn to_status(&self) -> Status {
        let place = self.place();
        let details = vec![DETAILS_VERSION, place as u8, u8::from(self.retryable)];
        let mut end = self.message.len().min(MOST_TEXT);
        while !self.message.is_char_boundary(end) {
            end -= 1;
        }
        Status::with_details(KINDS[place].1, &self.message[..end], Bytes::from(details))
    }

    /// What a call to an address failed with: the other side's error, or that of the way there.
    pub(crate) fn from_status(status: &Status, address: &str) -> Self {
        if let [DETAILS_VERSION, place, retryable, ..] = *status.details()
            && let Some((kind, _)) = KINDS.get(usize::from(place))
        {
            return Self { kind: *kind, message: status.message().to_owned(), retryable: retryable != 0 };
        }
        let text = match status.source() {
            Some(source) => format!("call to {address} failed: {}: {}", status.message(), innermost(source)),
            None => format!("call to {address} failed: {}", status.message()),
        };
        let kind = match status.code() {
            Code::InvalidArgument => Kind::Invalid,
            Code::FailedPrecondition => Kind::Query,
            Code::ResourceExhausted => Kind::Busy,
            Code::PermissionDenied | Code::Unauthenticated => Kind::Denied,
            Code::DataLoss => Kind::Corrupt,
            Code::DeadlineExceeded => Kind::Deadline,
            // What the library on the other side says when the time that came with the call is over.
            Code::Cancelled if status.message().contains("Timeout expired") => Kind::Deadline,
            Code::OutOfRange => Kind::TooLarge,
            Code::Unimplemented => Kind::Unsupported,
            // The process, or the way to it, broke off: nobody on the other side said what happened.
            _ => Kind::Unavailable,
        };
        Self::new(kind, text)
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

impl From<Error> for RpcError {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Invalid => Kind::Invalid,
            ErrorKind::Query => match error.source().and_then(|source| source.downcast_ref::<BudgetError>()) {
                Some(BudgetError::Time) => Kind::Deadline,
                Some(BudgetError::Cancelled) => Kind::Cancelled,
                _ => Kind::Query,
            },
            ErrorKind::Busy => Kind::Busy,
            ErrorKind::Full => Kind::Full,
            ErrorKind::Denied => Kind::Denied,
            ErrorKind::Corrupt => Kind::Corrupt,
            _ => Kind::Unavailable,
        };
        let message = match error.source().map(ToString::to_string) {
            Some(source) if !error.message().contains(&source) => format!("{}: {source}", error.message()),
            _ => error.message().to_owned(),
        };
        Self::new(kind, message)
    }
}

impl From<logql::Error> for RpcError {
    /// What is wrong with a query is wrong on every instance; only what cannot be reached may be tried again.
    fn from(error: logql::Error) -> Self {
        let kind = match &error {
            logql::Error::Budget(BudgetError::Time) => Kind::Deadline,
            logql::Error::Budget(BudgetError::Cancelled) => Kind::Cancelled,
            logql::Error::Source(logql::SourceError::Corrupt(_)) => Kind::Corrupt,
            logql::Error::Source(_) => Kind::Unavailable,
            logql::Error::Evaluation(_) => Kind::Internal,
            _ => Kind::Query,
        };
        Self::new(kind, error.to_string())
    }
}

impl From<BudgetError> for RpcError {
    fn from(error: BudgetError) -> Self {
        Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_survive_the_way() {
        for (kind, _) in KINDS {
            for retryable in [true, false] {
                let error = RpcError::new(kind, "disk \u{e9} full\n100%").with_retryable(retryable);
                let status = error.to_status();
                assert_eq!(RpcError::from_status(&status, "a:1"), error);
            }
        }
        let long = RpcError::new(Kind::Busy, "\u{20ac}".repeat(5000));
        assert!(long.to_status().message().len() <= MOST_TEXT);
    }

    #[test]
    fn errors_of_others_are_told_apart() {
        let of = |code| RpcError::from_status(&Status::new(code, "x"), "a:1");
        assert_eq!(of(Code::Unknown).kind(), Kind::Unavailable);
        assert!(of(Code::Unknown).is_retryable() && of(Code::Internal).is_retryable());
        assert!(of(Code::Unimplemented).kind() == Kind::Unsupported && !of(Code::Unimplemented).is_retryable());
        let odd = Status::with_details(Code::Unavailable, "x", Bytes::from_static(&[1, 200, 1]));
        assert_eq!(RpcError::from_status(&odd, "a:1").to_string(), "call to a:1 failed: x");
    }

    #[test]
    fn errors_of_the_store_keep_their_sense() {
        let of = |kind| RpcError::from(Error::new(kind, "x"));
        assert!(of(ErrorKind::Full).is_retryable() && of(ErrorKind::Closed).is_retryable());
        assert!(!of(ErrorKind::Invalid).is_retryable() && !of(ErrorKind::Query).is_retryable());
        let of = |error: logql::Error| RpcError::from(error);
        assert_eq!(of(logql::Error::SeriesLimit(5)).kind(), Kind::Query);
        assert!(!of(logql::Error::Evaluation("x".into())).is_retryable());
        assert!(of(logql::SourceError::Unavailable("x".into()).into()).is_retryable());
        assert_eq!(RpcError::from(BudgetError::Cancelled).kind(), Kind::Cancelled);
        assert_eq!(RpcError::from(BudgetError::Time).kind(), Kind::Deadline);
        assert_eq!(RpcError::from(BudgetError::Memory { limit_bytes: 1 }).kind(), Kind::Query);
    }
}
