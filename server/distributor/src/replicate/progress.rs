//! How far a push is: which streams have their quorum.

use narvi_ring::{Answers, Instance, Verdict};
use tokio::sync::oneshot;

use super::ReplicaError;

/// The state of one push while its ingesters answer.
pub(super) struct Progress {
    streams: Vec<Stream>,
    /// Streams without a quorum yet.
    waiting: usize,
    /// Taken when the outcome is told.
    told: Option<oneshot::Sender<Result<(), ReplicaError>>>,
}

struct Stream {
    answers: Answers,
    settled: bool,
    /// The worst failure so far.
    error: Option<ReplicaError>,
}

impl Progress {
    pub(super) fn new(answers: Vec<Answers>, told: oneshot::Sender<Result<(), ReplicaError>>) -> Self {
        let streams: Vec<_> =
            answers.into_iter().map(|answers| Stream { answers, settled: false, error: None }).collect();
        Self { waiting: streams.len(), streams, told: Some(told) }
    }

    /// Counts the answer of an ingester for its streams.
    pub(super) fn record(&mut self, from: &Instance, places: &[usize], done: &Result<(), ReplicaError>) {
        for place in places {
            let Some(stream) = self.streams.get_mut(*place).filter(|stream| !stream.settled) else { continue };
            let verdict = match done {
                Ok(()) => stream.answers.succeeded(from),
                Err(error) => {
                    stream.fail(error);
                    stream.answers.failed(from)
                }
            };
            stream.settled = verdict != Verdict::Waiting;
            match verdict {
                Verdict::Waiting => {}
                Verdict::Reached => self.waiting -= 1,
                Verdict::Lost => {
                    let error = stream.error.clone();
                    self.tell(error.map_or(Ok(()), Err));
                }
            }
        }
        if self.waiting == 0 {
            self.tell(Ok(()));
        }
    }

    fn tell(&mut self, outcome: Result<(), ReplicaError>) {
        if let Some(told) = self.told.take() {
            // The client may be gone.
            let _ = told.send(outcome);
        }
    }
}

impl Stream {
    /// A client drops what is refused for good and sends the rest again: one failure that may pass makes all so.
    fn fail(&mut self, error: &ReplicaError) {
        let keeps =
            matches!((&self.error, error), (Some(ReplicaError::Retryable { .. }), ReplicaError::Permanent { .. }));
        if !keeps {
            self.error = Some(error.clone());
        }
    }
}
