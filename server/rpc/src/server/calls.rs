//! Runs the work of calls: on threads for blocking work, so many at once, watched and cancelled.

use std::{
    ops::ControlFlow,
    pin::Pin,
    sync::{Arc, atomic::AtomicBool},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::{Stream, stream::poll_fn};
use narvi::logql::BudgetLimits;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::Sleep,
};
use tonic::{Status, metadata::MetadataMap};

use super::queue::{Refused, queue};
use crate::{
    call::Call,
    error::{RpcError, RpcErrorKind},
    settings::ServerLimits,
};

/// Messages that are given ahead of the reader.
const AHEAD: usize = 4;

/// Learns of the calls that a server answered.
pub trait CallObserver: Send + Sync + 'static {
    /// A call is over. `route` is what Loki's metrics call it, `outcome` is `success`, `cancel`, `4xx` or `5xx`.
    fn called(&self, route: &'static str, outcome: &'static str, took: Duration);
}

/// What all calls to a server share.
pub(super) struct Calls {
    observer: Option<Arc<dyn CallObserver>>,
    pub(super) writes: Arc<Semaphore>,
    pub(super) reads: Arc<Semaphore>,
    pub(super) tails: Arc<Semaphore>,
    pub(super) closing: Arc<AtomicBool>,
    stall: Duration,
    /// Messages are kept below.
    pub(super) message_bytes: usize,
}

impl Calls {
    pub(super) fn new(limits: &ServerLimits, observer: Option<Arc<dyn CallObserver>>) -> Self {
        let places = |count: usize| Arc::new(Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS)));
        Self {
            observer,
            writes: places(limits.writes),
            reads: places(limits.reads),
            tails: places(limits.tails),
            closing: Arc::default(),
            stall: limits.stall,
            message_bytes: (limits.max_send_bytes / 2).clamp(1, 1 << 20),
        }
    }

    /// What a request says of itself, with what it may use.
    pub(super) fn call(&self, metadata: &MetadataMap, limits: BudgetLimits) -> Result<Call, Status> {
        let call = Call::of_server(metadata, limits).map_err(|error| error.to_status())?;
        Ok(call.with_closing(&self.closing))
    }

    fn watch(&self, route: &'static str, call: &Call) -> Watch {
        let observer = self.observer.clone();
        Watch { call: call.clone(), route, observer, started: Instant::now(), outcome: None }
    }

    /// Runs what gives one message. When the future is dropped, the call is cancelled.
    pub(super) async fn single<T: Send + 'static>(
        &self,
        route: &'static str,
        places: &Arc<Semaphore>,
        call: Call,
        work: impl FnOnce(&Call) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, Status> {
        let mut watch = self.watch(route, &call);
        let result = match place(places, route) {
            Ok(place) => {
                let run = move || {
                    let _place = place;
                    work(&call)
                };
                let defect = |_| Err(RpcError::new(RpcErrorKind::Internal, "the call ended by a defect; see the log"));
                spawn_blocking(run).await.unwrap_or_else(defect)
            }
            Err(error) => Err(error),
        };
        watch.outcome = Some(result.as_ref().map_or_else(RpcError::outcome, |_| "success"));
        result.map_err(|error| error.to_status())
    }

    /// Runs what gives many messages. When the stream is dropped, the call is cancelled.
    pub(super) fn many<T: Send + 'static>(
        &self,
        route: &'static str,
        places: &Arc<Semaphore>,
        call: Call,
        work: impl FnOnce(&Call, &mut dyn FnMut(T) -> ControlFlow<()>) -> Result<(), RpcError> + Send + 'static,
    ) -> Result<Messages<T>, Status> {
        let mut watch = self.watch(route, &call);
        let place = match place(places, route) {
            Ok(place) => place,
            Err(error) => {
                watch.outcome = Some(error.outcome());
                return Err(error.to_status());
            }
        };
        let deadline = call.deadline();
        let (giver, mut taker) = queue(AHEAD);
        let stall = self.stall;
        spawn_blocking(move || {
            let _place = place;
            let mut refused = None;
            let mut give = |message| {
                let until = Instant::now() + stall;
                let until = call.deadline().map_or(until, |deadline| deadline.min(until));
                match giver.give(message, until) {
                    Ok(()) => ControlFlow::Continue(()),
                    Err(why) => {
                        refused = Some(refusal(why, &call, stall));
                        // The work learns of it by the budget too, wherever it looks first.
                        call.budget().cancel();
                        ControlFlow::Break(())
                    }
                }
            };
            let result = work(&call, &mut give);
            giver.finish(refused.map_or(result, Err));
        });
        let source = Box::pin(poll_fn(move |context| taker.poll(context)));
        Ok(Messages::new(source, watch, deadline))
    }

    /// Passes messages on that come from elsewhere. When the stream is dropped, so is theirs.
    pub(super) fn relay<T, S: Stream<Item = Result<T, RpcError>> + Send + 'static>(
        &self,
        route: &'static str,
        call: Call,
        begin: impl FnOnce(&Call) -> Result<S, RpcError>,
    ) -> Result<Messages<T>, Status> {
        let mut watch = self.watch(route, &call);
        match begin(&call) {
            Ok(source) => Ok(Messages::new(Box::pin(source), watch, call.deadline())),
            Err(error) => {
                watch.outcome = Some(error.outcome());
                Err(error.to_status())
            }
        }
    }
}

fn refusal(why: Refused, call: &Call, stall: Duration) -> RpcError {
    match why {
        Refused::Gone => RpcError::new(RpcErrorKind::Cancelled, "the caller gave up"),
        Refused::Late if call.budget().check().is_err() => RpcError::late(),
        Refused::Late => {
            let text = format!("the reader took nothing for {} seconds", stall.as_secs());
            RpcError::new(RpcErrorKind::Unavailable, text)
        }
    }
}

fn place(places: &Arc<Semaphore>, route: &str) -> Result<OwnedSemaphorePermit, RpcError> {
    places.clone().try_acquire_owned().map_err(|_| {
        RpcError::new(RpcErrorKind::Busy, format!("too many calls of {route} are at work; try again later"))
    })
}

/// Counts a call when it is over, and ends the work for it if that is not over yet.
struct Watch {
    call: Call,
    route: &'static str,
    observer: Option<Arc<dyn CallObserver>>,
    started: Instant,
    outcome: Option<&'static str>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.call.budget().cancel();
        if let Some(observer) = &self.observer {
            observer.called(self.route, self.outcome.unwrap_or("cancel"), self.started.elapsed());
        }
    }
}

/// The messages of an answer, as the gRPC library sends them.
pub(super) struct Messages<T> {
    source: Pin<Box<dyn Stream<Item = Result<T, RpcError>> + Send>>,
    watch: Watch,
    late: Option<Pin<Box<Sleep>>>,
    over: bool,
}

impl<T> Unpin for Messages<T> {}

impl<T> Messages<T> {
    fn new(
        source: Pin<Box<dyn Stream<Item = Result<T, RpcError>> + Send>>,
        watch: Watch,
        deadline: Option<Instant>,
    ) -> Self {
        let late = deadline.map(|at| Box::pin(tokio::time::sleep_until(at.into())));
        Self { source, watch, late, over: false }
    }
}

impl<T> Stream for Messages<T> {
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut next = self.source.as_mut().poll_next(context);
        if next.is_pending() && self.late.as_mut().is_some_and(|late| late.as_mut().poll(context).is_ready()) {
            next = Poll::Ready(Some(Err(RpcError::late())));
        }
        match next {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(message))) => Poll::Ready(Some(Ok(message))),
            Poll::Ready(Some(Err(error))) => {
                self.over = true;
                self.watch.outcome = Some(error.outcome());
                Poll::Ready(Some(Err(error.to_status())))
            }
            Poll::Ready(None) => {
                self.over = true;
                self.watch.outcome = Some("success");
                Poll::Ready(None)
            }
        }
    }
}
