//! The time and the errors of a call.

use std::time::Instant;

use tonic::Status;

use crate::error::RpcError;

/// A call to a peer that must be over at some time.
#[derive(Clone, Debug)]
pub(super) struct Timed {
    pub(super) address: String,
    pub(super) deadline: Option<Instant>,
}

impl Timed {
    /// Waits for a step of the call. The library enforces its time only until an answer begins, this until it ends.
    pub(super) async fn run<T>(&self, step: impl Future<Output = Result<T, Status>>) -> Result<T, RpcError> {
        let result = match self.deadline {
            None => step.await,
            Some(deadline) => match tokio::time::timeout_at(deadline.into(), step).await {
                Ok(result) => result,
                Err(_) => return Err(self.late()),
            },
        };
        result.map_err(|status| match self.deadline {
            // Whoever noticed it first, and whatever it was called.
            Some(deadline) if Instant::now() >= deadline => self.late(),
            _ => RpcError::from_status(&status, &self.address),
        })
    }

    fn late(&self) -> RpcError {
        let text = format!("call to {} took longer than its time; try again, or allow more", self.address);
        RpcError::new(crate::RpcErrorKind::Deadline, text)
    }

    /// What to say when an answer ended before its end.
    pub(super) fn broke_off(&self) -> RpcError {
        let text = format!("the answer of {} ended early; try again", self.address);
        RpcError::new(crate::RpcErrorKind::Unavailable, text)
    }
}
