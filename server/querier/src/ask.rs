//! One question to all ingesters: enough answers, or the reason why there are not.

use std::{collections::HashMap, sync::Arc, time::Duration};

use narvi::{Error, ErrorKind, logql::Budget};
use narvi_ring::{Answers, Instance, Verdict};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{Inner, ingesters::IngesterCall};

/// How often it is looked whether the query was cancelled.
const LOOK: Duration = Duration::from_millis(50);

impl Inner {
    /// Asks all instances that may hold rows, and gives what was answered once no acknowledged row can be missed any more.
    /// The other calls end then.
    ///
    /// # Errors
    /// Too few are healthy, or too many fail; the budget is used up.
    pub(crate) fn ask<T: Send + 'static>(
        &self,
        budget: &Budget,
        call: impl Fn(&Arc<Instance>) -> IngesterCall<T>,
    ) -> Result<Vec<T>, Error> {
        self.runtime.block_on(self.ask_all(budget, call))
    }

    async fn ask_all<T: Send + 'static>(
        &self,
        budget: &Budget,
        call: impl Fn(&Arc<Instance>) -> IngesterCall<T>,
    ) -> Result<Vec<T>, Error> {
        let set = self.ring.current().read_set(self.clock.now_ms());
        let set = set.map_err(|error| Error::new(ErrorKind::Unavailable, error.to_string()))?;
        let mut answers = Answers::of(&set);
        let (mut calls, mut asked) = (JoinSet::new(), HashMap::new());
        for instance in &set.instances {
            let task = calls.spawn(timeout(self.settings.timeout, call(instance)));
            asked.insert(task.id(), instance.clone());
        }
        let mut got = Vec::with_capacity(set.instances.len());
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let joined = tokio::select! {
                joined = calls.join_next_with_id() => joined,
                _ = look.tick() => {
                    budget.check().map_err(Error::from)?;
                    continue;
                }
            };
            let (task, answer) = match joined {
                Some(Ok((task, answer))) => (task, answer.unwrap_or_else(|_| Err(late()))),
                Some(Err(error)) => (error.id(), Err(broken())),
                None => return Err(broken()),
            };
            let Some(instance) = asked.get(&task) else { continue };
            let verdict = match answer {
                Ok(answer) => {
                    got.push(answer);
                    answers.succeeded(instance)
                }
                Err(error) if error.kind() == ErrorKind::Query => return Err(error),
                Err(error) => {
                    tracing::warn!(
                        ingester = instance.id,
                        address = instance.address,
                        ?error,
                        "cannot ask an ingester"
                    );
                    match answers.failed(instance) {
                        Verdict::Lost => return Err(failed(&error)),
                        verdict => verdict,
                    }
                }
            };
            if verdict == Verdict::Reached {
                return Ok(got);
            }
        }
    }
}

/// Whatever is wrong there, here it is something that cannot be reached.
fn failed(error: &Error) -> Error {
    Error::new(ErrorKind::Unavailable, crate::text(error))
}

/// As gRPC says it.
pub(crate) fn late() -> Error {
    let text = "rpc error: code = DeadlineExceeded desc = context deadline exceeded";
    Error::new(ErrorKind::Unavailable, text)
}

fn broken() -> Error {
    Error::new(ErrorKind::Unavailable, "a call of an ingester failed unexpectedly; the log says more")
}
