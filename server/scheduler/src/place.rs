//! The service: what places of queriers tell and are told, one job after the other.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use narvi_rpc::{
    AnswerStream, FromQuerier, FromQuerierStream, Job, RpcError, SchedulerService, ToQuerier, ToQuerierStream,
};
use tokio::sync::mpsc;

use crate::{
    lease::Lease,
    scheduler::{Place, Scheduler},
};

/// How long a place may take to say who it is.
const GREETING: Duration = Duration::from_secs(10);

impl SchedulerService for Scheduler {
    fn submit(&self, frontend: &str, job: Job) -> Result<AnswerStream, RpcError> {
        Ok(Box::pin(self.enqueue(frontend, job)?))
    }

    fn work(&self, from: FromQuerierStream) -> ToQuerierStream {
        // One offer and its cancellation.
        let (to, told) = mpsc::channel(2);
        tokio::spawn(serve(self.clone(), from, to));
        Box::pin(stream::unfold(told, |mut told| async move { told.recv().await.map(|message| (message, told)) }))
    }

    fn close(&self) {
        self.shut();
    }

    fn ready(&self) -> Result<(), String> {
        if self.is_closed() { Err("the queue of queries stops".to_owned()) } else { Ok(()) }
    }
}

/// Serves a place until it leaves, is lost or breaks the rules, or the scheduler stops.
async fn serve(scheduler: Scheduler, mut from: FromQuerierStream, to: mpsc::Sender<ToQuerier>) {
    let greeting = tokio::time::timeout(GREETING, from.next()).await;
    let Ok(Some(Ok(FromQuerier::Greeting(querier)))) = greeting else { return };
    let place = scheduler.connect(&querier);
    let mut number = 0;
    loop {
        let lease = tokio::select! {
            message = from.next() => {
                if let Some(Ok(FromQuerier::Leave { stops: true })) = message {
                    place.stops();
                }
                return;
            }
            lease = place.next() => lease,
        };
        let Some(lease) = lease else { return };
        number += 1;
        let mut run = Run { place: &place, from: &mut from, to: &to, number };
        if !run.run(lease).await {
            return;
        }
    }
}

/// A job that a place has.
struct Run<'a> {
    place: &'a Place,
    from: &'a mut FromQuerierStream,
    to: &'a mpsc::Sender<ToQuerier>,
    number: u64,
}

impl Run<'_> {
    /// Passes the answer on until its end. Gives whether the place takes another job.
    async fn run(&mut self, mut lease: Lease) -> bool {
        let Some(job) = lease.offer() else { return true };
        let (mut stays, mut listens) = (true, true);
        if self.to.send(ToQuerier::Offer(self.number, job)).await.is_err() {
            return false;
        }
        loop {
            tokio::select! {
                message = self.from.next() => match message {
                    Some(Ok(FromQuerier::Piece(number, piece))) if number == self.number => {
                        if listens && !lease.give(piece).await {
                            listens = false;
                            cancel(self.to, self.number).await;
                        }
                    }
                    Some(Ok(FromQuerier::End(number, result))) if number == self.number => {
                        lease.end(result).await;
                        return stays;
                    }
                    Some(Ok(FromQuerier::Leave { stops })) => {
                        stays = false;
                        if stops {
                            self.place.stops();
                        }
                    }
                    // The querier is lost, or does what it must not.
                    _ => return false,
                },
                () = lease.given_up(), if listens => {
                    listens = false;
                    cancel(self.to, self.number).await;
                }
            }
        }
    }
}

async fn cancel(to: &mpsc::Sender<ToQuerier>, number: u64) {
    // A querier that is lost ends the stream from it too.
    let _ = to.send(ToQuerier::Cancel(number)).await;
}
