//! The way from a thread that gives an answer to the task that sends it: room for a few items, an end that says how it went.

use std::{
    collections::VecDeque,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use crate::error::{RpcError, RpcErrorKind};

/// The side of the thread. Dropped without [`Giver::finish`], as by a panic, it tells of a defect.
pub(super) struct Giver<T>(Arc<Shared<T>>);

/// The side of the task. When it is dropped, nobody listens any more.
pub(super) struct Taker<T>(Arc<Shared<T>>);

struct Shared<T> {
    state: Mutex<State<T>>,
    room: usize,
    /// Told when an item was taken, or nobody listens any more.
    taken: Condvar,
}

struct State<T> {
    items: VecDeque<T>,
    waker: Option<Waker>,
    gone: bool,
    /// How it went, once it is over. Taken with the last item.
    outcome: Option<Result<(), RpcError>>,
}

/// Why an item was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nobody listens any more.
    Gone,
    /// There was no room in time.
    Late,
}

pub(super) fn queue<T>(room: usize) -> (Giver<T>, Taker<T>) {
    let state = State { items: VecDeque::new(), waker: None, gone: false, outcome: None };
    let shared = Arc::new(Shared { state: Mutex::new(state), room, taken: Condvar::new() });
    (Giver(shared.clone()), Taker(shared))
}

impl<T> Giver<T> {
    /// Waits for room until a time.
    pub(super) fn give(&self, item: T, until: Instant) -> Result<(), Refused> {
        let mut state = self.0.state.lock();
        while !state.gone && state.items.len() >= self.0.room {
            if self.0.taken.wait_until(&mut state, until).timed_out() && state.items.len() >= self.0.room {
                return Err(if state.gone { Refused::Gone } else { Refused::Late });
            }
        }
        if state.gone {
            return Err(Refused::Gone);
        }
        state.items.push_back(item);
        wake(&mut state);
        Ok(())
    }

    /// Ends it. What was given before is taken first.
    pub(super) fn finish(self, outcome: Result<(), RpcError>) {
        self.0.state.lock().outcome = Some(outcome);
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        let defect =
            || Err(RpcError::new(RpcErrorKind::Internal, "the call ended by a defect; see the log of the server"));
        state.outcome.get_or_insert_with(defect);
        wake(&mut state);
    }
}

fn wake<T>(state: &mut State<T>) {
    if let Some(waker) = state.waker.take() {
        waker.wake();
    }
}

impl<T> Taker<T> {
    /// The next item; nothing when all went well and is taken; or how it failed.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<T, RpcError>>> {
        let mut state = self.0.state.lock();
        if let Some(item) = state.items.pop_front() {
            self.0.taken.notify_one();
            return Poll::Ready(Some(Ok(item)));
        }
        match state.outcome.take() {
            Some(Ok(())) => {
                state.outcome = Some(Ok(()));
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                // Told once; after that there is nothing.
                state.outcome = Some(Ok(()));
                Poll::Ready(Some(Err(error)))
            }
            None => {
                state.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<T> Drop for Taker<T> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.gone = true;
        state.items.clear();
        self.0.taken.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn poll(taker: &mut Taker<u32>) -> Poll<Option<Result<u32, RpcError>>> {
        taker.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn far() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn items_come_before_the_end() {
        let (giver, mut taker) = queue(2);
        assert!(poll(&mut taker).is_pending());
        giver.give(1, far()).expect("room");
        giver.give(2, far()).expect("room");
        assert_eq!(giver.give(3, Instant::now()), Err(Refused::Late));
        giver.finish(Err(RpcError::late()));
        assert_eq!(poll(&mut taker), Poll::Ready(Some(Ok(1))));
        assert_eq!(poll(&mut taker), Poll::Ready(Some(Ok(2))));
        assert_eq!(poll(&mut taker), Poll::Ready(Some(Err(RpcError::late()))));
        assert_eq!(poll(&mut taker), Poll::Ready(None));
    }

    #[test]
    fn an_end_without_a_word_is_a_defect() {
        let (giver, mut taker) = queue(2);
        drop(giver);
        assert!(matches!(poll(&mut taker), Poll::Ready(Some(Err(error))) if error.kind() == RpcErrorKind::Internal));
    }

    #[test]
    fn who_waits_for_room_learns_that_nobody_listens() {
        let (giver, taker) = queue(1);
        giver.give(1, far()).expect("room");
        let waiting = std::thread::spawn(move || giver.give(2, far()));
        drop(taker);
        assert_eq!(waiting.join().expect("no panic"), Err(Refused::Gone));
    }

    #[test]
    fn room_is_told_to_who_waits() {
        let (giver, mut taker) = queue(1);
        giver.give(1, far()).expect("room");
        let waiting = std::thread::spawn(move || giver.give(2, far()));
        assert_eq!(poll(&mut taker), Poll::Ready(Some(Ok(1))));
        assert_eq!(waiting.join().expect("no panic"), Ok(()));
        assert_eq!(poll(&mut taker), Poll::Ready(Some(Ok(2))));
    }
}
