//! A process where jobs wait until queriers take them: its trait, and what it and a place of a querier tell each other.

use std::pin::Pin;

use futures_util::Stream;

use crate::{
    answer::AnswerPiece,
    error::{RpcError, RpcErrorKind},
    job::Job,
    pb::narvi as pb,
};

/// The answer to a job. Dropping it gives the job up.
pub type AnswerStream = Pin<Box<dyn Stream<Item = Result<AnswerPiece, RpcError>> + Send>>;
/// What a place of a querier tells. An error is the last: the way to it is lost.
pub type FromQuerierStream = Pin<Box<dyn Stream<Item = Result<FromQuerier, RpcError>> + Send>>;
/// What a place of a querier is told, as the scheduler gives it.
pub type ToQuerierStream = Pin<Box<dyn Stream<Item = ToQuerier> + Send>>;
/// What a place of a querier is told, as it arrives. An error is the last: the way to the scheduler is lost.
pub type OfferStream = Pin<Box<dyn Stream<Item = Result<ToQuerier, RpcError>> + Send>>;

/// A process where jobs wait until queriers take them. Unlike other services it does not block: its calls wait, and none works.
///
/// A place of a querier runs one job at a time. It tells who it is; then each job is offered, answered in pieces and ended
/// before the next one. To go, it leaves, runs what was offered meanwhile, and waits until the stream to it ends.
pub trait SchedulerService: Send + Sync + 'static {
    /// Takes a job of a frontend in.
    ///
    /// # Errors
    /// Too many jobs of its tenants wait, or the process stops.
    fn submit(&self, frontend: &str, job: Job) -> Result<AnswerStream, RpcError>;

    /// Serves a place of a querier until either stream ends. Must be called within an async runtime.
    fn work(&self, from: FromQuerierStream) -> ToQuerierStream;

    /// The server stops: what waits is refused, and places without a job are sent away.
    fn close(&self);

    /// Whether it takes jobs; if not, why.
    ///
    /// # Errors
    /// The reason.
    fn ready(&self) -> Result<(), String>;
}

/// What a place of a querier tells.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these")]
pub enum FromQuerier {
    /// Comes first: the name of the querier, which all its places share.
    Greeting(String),
    /// A piece of the answer to the job of that number.
    Piece(u64, AnswerPiece),
    /// The answer to the job of that number is over.
    End(u64, Result<(), RpcError>),
    /// No more jobs for this place.
    Leave {
        /// Nor for others of this querier.
        stops: bool,
    },
}

/// What a place of a querier is told.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_enums, reason = "the protocol has these")]
pub enum ToQuerier {
    /// A job, and its number among those of the place.
    Offer(u64, Job),
    /// The job of that number is given up. Its end is to be told all the same.
    Cancel(u64),
}

/// Bytes of the name of a querier or a frontend.
const MOST_NAME: usize = 256;

pub(crate) fn check_name(name: &str) -> Result<(), RpcError> {
    if name.len() > MOST_NAME || name.chars().any(char::is_control) {
        let text = format!("a name must have at most {MOST_NAME} bytes and no control characters");
        return Err(RpcError::new(RpcErrorKind::Invalid, text));
    }
    Ok(())
}

fn unknown() -> RpcError {
    RpcError::new(RpcErrorKind::Unsupported, "a message of a kind that is not known; run the same version everywhere")
}

impl FromQuerier {
    pub(crate) fn into_message(self) -> pb::WorkRequest {
        use pb::work_request::Kind;
        let kind = match self {
            Self::Greeting(querier) => Kind::Greeting(pb::Greeting { querier }),
            Self::Piece(number, piece) => Kind::Piece(pb::JobPiece { number, piece: Some(piece.into_message()) }),
            Self::End(number, result) => {
                let failure = result.err().map(|error| {
                    let (kind, retryable) = (error.kind_number(), error.is_retryable());
                    pb::Failure { kind, retryable, text: error.message().to_owned() }
                });
                Kind::End(pb::JobEnd { number, failure })
            }
            Self::Leave { stops } => Kind::Leave(pb::Leave { stops }),
        };
        pb::WorkRequest { kind: Some(kind) }
    }

    pub(crate) fn of_message(message: pb::WorkRequest) -> Result<Self, RpcError> {
        use pb::work_request::Kind;
        match message.kind.ok_or_else(unknown)? {
            Kind::Greeting(greeting) => {
                check_name(&greeting.querier)?;
                Ok(Self::Greeting(greeting.querier))
            }
            Kind::Piece(message) => Ok(Self::Piece(message.number, AnswerPiece::of_message(message.piece)?)),
            Kind::End(message) => {
                let result = match message.failure {
                    None => Ok(()),
                    Some(failure) => Err(RpcError::of_kind_number(failure.kind, failure.text, failure.retryable)),
                };
                Ok(Self::End(message.number, result))
            }
            Kind::Leave(message) => Ok(Self::Leave { stops: message.stops }),
        }
    }
}

impl ToQuerier {
    pub(crate) fn into_message(self) -> pb::WorkResponse {
        use pb::work_response::Kind;
        let kind = match self {
            Self::Offer(number, job) => Kind::Offer(job.into_offer(number)),
            Self::Cancel(number) => Kind::Cancel(number),
        };
        pb::WorkResponse { kind: Some(kind) }
    }

    pub(crate) fn of_message(message: pb::WorkResponse) -> Result<Self, RpcError> {
        use pb::work_response::Kind;
        match message.kind.ok_or_else(unknown)? {
            Kind::Offer(offer) => Ok(Self::Offer(offer.number, Job::of_offer(offer)?)),
            Kind::Cancel(number) => Ok(Self::Cancel(number)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_keep_kind_text_and_hope() {
        for result in [Ok(()), Err(RpcError::new(RpcErrorKind::Full, "x".repeat(9000)).with_retryable(false))] {
            let message = FromQuerier::End(7, result.clone()).into_message();
            let Ok(FromQuerier::End(7, back)) = FromQuerier::of_message(message) else { panic!("another message") };
            assert_eq!(back, result);
        }
        let odd = RpcError::of_kind_number(4711, "x".to_owned(), true);
        assert_eq!((odd.kind(), odd.is_retryable()), (RpcErrorKind::Internal, true));
    }

    #[test]
    fn names_of_anyone_are_checked() {
        for bad in ["a\nb".to_owned(), "x".repeat(257)] {
            let message = FromQuerier::Greeting(bad).into_message();
            assert_eq!(FromQuerier::of_message(message).expect_err("no name").kind(), RpcErrorKind::Invalid);
        }
        assert!(FromQuerier::of_message(pb::WorkRequest::default()).is_err());
        assert!(ToQuerier::of_message(pb::WorkResponse::default()).is_err());
    }
}
