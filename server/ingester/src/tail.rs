//! A tail: a subscription to pushes, given to a reader elsewhere.

use std::{ops::ControlFlow, time::Duration};

use narvi::{PushStream, Subscription};
use narvi_rpc::{Call, DroppedLine, RpcError, RpcErrorKind, TailPart};

/// How often the thread looks whether its reader is still there.
const LOOK: Duration = Duration::from_millis(250);
/// Lines, and bytes of them, that are gathered if they are there already.
const GATHERED: usize = 1000;
const GATHERED_BYTES: usize = 1 << 20;

/// Gives what is pushed until the reader, the call, the server or the database ends it. While the reader is slow, lines wait in
/// the bounded queue of the subscription.
pub(crate) fn follow(
    subscription: &Subscription,
    call: &Call,
    give: &mut dyn FnMut(TailPart) -> ControlFlow<()>,
) -> Result<(), RpcError> {
    // The subscription is there: no push is missed from here on.
    if give(TailPart::default()).is_break() {
        return Ok(());
    }
    loop {
        if let Err(error) = call.budget().check() {
            let error = RpcError::from(error);
            return if error.kind() == RpcErrorKind::Cancelled { Ok(()) } else { Err(error) };
        }
        if call.is_closing() {
            return Ok(());
        }
        let part = gather(subscription);
        if part.batches.is_empty() && part.dropped_count == 0 {
            if subscription.is_closed() {
                return Ok(());
            }
            continue;
        }
        if give(part).is_break() {
            return Ok(());
        }
    }
}

fn gather(subscription: &Subscription) -> TailPart {
    let mut part = TailPart::default();
    let (mut lines, mut bytes) = (0, 0);
    let mut batch = subscription.recv_timeout(LOOK);
    while let Some(some) = batch {
        lines += some.entries.len();
        bytes += some.entries.iter().map(|entry| entry.line.len()).sum::<usize>();
        part.batches.push(PushStream::new(some.labels, some.entries));
        let more = lines < GATHERED && bytes < GATHERED_BYTES;
        batch = if more { subscription.try_recv() } else { None };
    }
    let (dropped, count) = subscription.take_dropped();
    let line = |line: narvi::Dropped| DroppedLine { labels: line.labels, timestamp: line.timestamp };
    part.dropped = dropped.into_iter().map(line).collect();
    part.dropped_count = count;
    part
}
