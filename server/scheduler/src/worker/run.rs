//! Runs one job: its work, the pieces of its answer, and what ends it early.

use std::{future::ready, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Instant};

use futures_util::{FutureExt as _, StreamExt as _};
use narvi::logql::Budget;
use narvi_rpc::{AnswerPiece, FromQuerier, Job, OfferStream, RpcError, RpcErrorKind, Task, ToQuerier};
use tokio::sync::mpsc;

use super::Work;
use crate::answer::late;

/// Pieces that the work is ahead of the way to the scheduler.
const AHEAD: usize = 2;

type Running = Pin<Box<dyn Future<Output = Result<(), RpcError>> + Send>>;

/// A job of a place.
pub(super) struct Run<'a> {
    number: u64,
    tell: &'a mpsc::Sender<FromQuerier>,
    offers: &'a mut OfferStream,
    piece_bytes: usize,
    /// The way to the scheduler is lost.
    lost: bool,
    /// Nobody wants the answer any more, for this reason.
    stopped: Option<RpcError>,
}

/// Ends the work when nobody waits for it any more.
struct CancelOnDrop(Budget);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl<'a> Run<'a> {
    pub(super) fn new(
        number: u64,
        tell: &'a mpsc::Sender<FromQuerier>,
        offers: &'a mut OfferStream,
        piece_bytes: usize,
    ) -> Self {
        Self { number, tell, offers, piece_bytes, lost: false, stopped: None }
    }

    /// Runs a job and passes its pieces on; gives how it ended, or nothing when the scheduler is lost. It is over when the work
    /// is, so that there is never more than one for a place.
    pub(super) async fn run(mut self, work: &Arc<dyn Work>, job: Job) -> Option<Result<(), RpcError>> {
        let deadline = job.deadline();
        let (call, task) = match job.read() {
            Ok(read) => read,
            Err(error) => return Some(Err(error)),
        };
        let cancel = CancelOnDrop(call.budget().clone());
        let (give, mut pieces) = mpsc::channel(AHEAD);
        let blocks = matches!(task, Task::Evaluate(..));
        let mut running = begin(work.clone(), call, task, give, self.piece_bytes);
        let mut late_at = std::pin::pin!(until(deadline));
        let (mut next, mut result) = (None, None);
        loop {
            let was_stopped = self.stopped.is_some();
            tokio::select! {
                piece = pieces.recv(), if next.is_none() => match piece {
                    Some(_) if self.stopped.is_some() => {}
                    Some(piece) => next = Some(piece),
                    // The work dropped its side: nothing follows.
                    None if result.is_some() => break,
                    None => result = Some((&mut running).await),
                },
                permit = self.tell.reserve(), if next.is_some() => match (permit, next.take()) {
                    (Ok(permit), Some(piece)) => permit.send(FromQuerier::Piece(self.number, piece)),
                    _ => self.lose(),
                },
                ended = &mut running, if result.is_none() => result = Some(ended),
                message = self.offers.next(), if !self.lost => self.hear(message),
                () = &mut late_at, if self.stopped.is_none() => self.stopped = Some(late()),
            }
            if let (Some(error), false) = (&self.stopped, was_stopped) {
                // Work on a thread sees its budget, or that nobody takes its pieces; other work is dropped.
                cancel.0.cancel();
                pieces.close();
                next = None;
                if !blocks && result.is_none() {
                    running = Box::pin(ready(Err(error.clone())));
                }
            }
        }
        if self.lost {
            return None;
        }
        // Of work that was over before it noticed, all pieces were not sent.
        self.stopped.map(Err).or(result)
    }

    fn hear(&mut self, message: Option<Result<ToQuerier, RpcError>>) {
        match message {
            Some(Ok(ToQuerier::Cancel(number))) if number == self.number => {
                let given_up = || RpcError::new(RpcErrorKind::Cancelled, "the caller gave up");
                self.stopped.get_or_insert_with(given_up);
            }
            Some(Ok(ToQuerier::Cancel(_))) => {}
            // The scheduler is lost, or does what it must not.
            _ => self.lose(),
        }
    }

    fn lose(&mut self) {
        self.lost = true;
        let lost = || RpcError::new(RpcErrorKind::Cancelled, "the scheduler was lost");
        self.stopped.get_or_insert_with(lost);
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Begins the work. Its side of the pieces is dropped at its end.
fn begin(
    work: Arc<dyn Work>,
    call: narvi_rpc::Call,
    task: Task,
    give: mpsc::Sender<AnswerPiece>,
    most: usize,
) -> Running {
    match task {
        Task::Evaluate(evaluation, _) => {
            let evaluate = move || {
                let mut give = |partial| {
                    let sent = AnswerPiece::of_partial(partial, most).try_for_each(|piece| give.blocking_send(piece));
                    match sent {
                        Ok(()) => std::ops::ControlFlow::Continue(()),
                        Err(_) => std::ops::ControlFlow::Break(()),
                    }
                };
                work.evaluate(&call, &evaluation, &mut give)
            };
            let evaluating = tokio::task::spawn_blocking(evaluate);
            Box::pin(async move { evaluating.await.unwrap_or_else(|_| Err(defect())) })
        }
        Task::Http(request) => {
            let answer = AssertUnwindSafe(async move { work.http(&call, request).await }).catch_unwind();
            Box::pin(async move {
                for piece in AnswerPiece::of_http(answer.await.unwrap_or_else(|_| Err(defect()))?, most) {
                    if give.send(piece).await.is_err() {
                        break;
                    }
                }
                Ok(())
            })
        }
    }
}

fn defect() -> RpcError {
    RpcError::new(RpcErrorKind::Internal, "the job ended by a defect; see the log of the querier")
}
