//! The answer to a job, as its frontend reads it.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::Stream;
use narvi_rpc::{AnswerPiece, RpcError, RpcErrorKind};
use tokio::{sync::mpsc, time::Sleep};

use crate::{queue::Ticket, scheduler::Scheduler};

/// Pieces that are given ahead of the frontend.
pub(crate) const AHEAD: usize = 4;

/// What a querier gives.
#[derive(Debug)]
pub(crate) enum Item {
    Piece(AnswerPiece),
    /// Nothing follows; how it went.
    End(Result<(), RpcError>),
}

/// Dropping it gives the job up: it leaves the queue, or its querier is told.
pub(crate) struct Answer {
    pub(crate) scheduler: Scheduler,
    pub(crate) frontend: String,
    pub(crate) ticket: Ticket,
    pub(crate) items: mpsc::Receiver<Item>,
    pub(crate) late: Option<Pin<Box<Sleep>>>,
    pub(crate) over: bool,
}

impl Stream for Answer {
    type Item = Result<AnswerPiece, RpcError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let error = match self.items.poll_recv(context) {
            Poll::Ready(Some(Item::Piece(piece))) => return Poll::Ready(Some(Ok(piece))),
            Poll::Ready(Some(Item::End(Ok(())))) => {
                self.over = true;
                return Poll::Ready(None);
            }
            Poll::Ready(Some(Item::End(Err(error)))) => error,
            Poll::Ready(None) => {
                RpcError::new(RpcErrorKind::Unavailable, "the querier broke off in the middle of its answer; try again")
            }
            Poll::Pending => match self.late.as_mut().map(|late| late.as_mut().poll(context)) {
                Some(Poll::Ready(())) => late(),
                _ => return Poll::Pending,
            },
        };
        self.over = true;
        Poll::Ready(Some(Err(error)))
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // First closed, then taken out: a querier that is lost meanwhile sees one or the other.
        self.items.close();
        self.scheduler.give_up(&self.ticket, &self.frontend);
    }
}

pub(crate) fn late() -> RpcError {
    RpcError::new(
        RpcErrorKind::Deadline,
        "the time of the query was over before its answer came; allow more, or narrow it",
    )
}
