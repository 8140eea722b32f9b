//! A job that waits, and a job that a place of a querier has.

use std::time::{Duration, Instant};

use narvi_rpc::{AnswerPiece, Job, RpcError};
use tokio::sync::mpsc;

use crate::{answer::Item, queue::Ticket, scheduler::Scheduler};

/// A job in the queue.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) job: Job,
    pub(crate) since: Instant,
    /// How many queriers had it and were lost.
    pub(crate) lost: u32,
    pub(crate) answer: mpsc::Sender<Item>,
}

impl Entry {
    /// Whether nobody waits for its answer any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }

    /// Ends its answer, of which no piece was given, without waiting.
    pub(crate) fn refuse(self, error: RpcError) {
        // There is room, or nobody listens.
        let _ = self.answer.try_send(Item::End(Err(error)));
    }
}

/// The job of a place. Dropped without an end, as when the querier is lost, the job is handed to another, or fails.
pub(crate) struct Lease {
    scheduler: Scheduler,
    ticket: Ticket,
    entry: Option<Entry>,
    offered: bool,
    given: bool,
    stall: Duration,
}

impl Lease {
    pub(crate) fn new(scheduler: Scheduler, ticket: Ticket, entry: Entry, stall: Duration) -> Self {
        Self { scheduler, ticket, entry: Some(entry), offered: false, given: false, stall }
    }

    /// Takes the job back, as if it had never been given.
    pub(crate) fn undo(mut self) -> Option<(Ticket, Entry)> {
        self.entry.take().map(|entry| (self.ticket.clone(), entry))
    }

    /// The job, which is now offered to the querier.
    pub(crate) fn offer(&mut self) -> Option<Job> {
        self.offered = true;
        self.entry.as_ref().map(|entry| entry.job.clone())
    }

    /// Passes a piece of the answer on, once there is room. Gives whether anybody listens.
    pub(crate) async fn give(&mut self, piece: AnswerPiece) -> bool {
        let Some(entry) = &self.entry else { return false };
        self.given = true;
        matches!(tokio::time::timeout(self.stall, entry.answer.send(Item::Piece(piece))).await, Ok(Ok(())))
    }

    /// Waits until nobody listens any more.
    pub(crate) async fn given_up(&self) {
        if let Some(entry) = &self.entry {
            entry.answer.closed().await;
        }
    }

    /// Ends the answer, once there is room.
    pub(crate) async fn end(mut self, result: Result<(), RpcError>) {
        if let Some(entry) = self.entry.take() {
            self.scheduler.ended();
            // Whoever takes nothing for so long learns that the answer broke off.
            let _ = tokio::time::timeout(self.stall, entry.answer.send(Item::End(result))).await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut entry) = self.entry.take() else { return };
        self.scheduler.ended();
        // Of an answer that began, the reader sees that it broke off.
        if self.given || entry.is_given_up() {
            return;
        }
        if self.offered {
            entry.lost += 1;
            tracing::warn!(tenant = %self.ticket.tenant, job = ?entry.job, "a querier was lost while it had a job");
        }
        self.scheduler.put_back(&self.ticket, entry);
    }
}
