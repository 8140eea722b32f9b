//! Runs the life of an instance: publishes, keeps tokens, wakes when something is due or others change.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    task::{JoinHandle, spawn_blocking},
};

use crate::{
    clock::{Clock, draw_u64},
    instance::{Instance, State},
    lifecycle::{Lifecycle, LifecycleSettings, Step},
    membership::{Membership, RingName},
    tokens::TokensFile,
};

/// Why an instance cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LifecycleError {
    /// Its tokens cannot be read.
    #[error("cannot read tokens file {path}: delete it to take new tokens")]
    Tokens {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
}

/// How an instance leaves for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Farewell {
    /// Whether to become LEFT; none: as the settings say.
    pub unregister: Option<bool>,
    /// Whether to delete the tokens file, so that a return takes new ones.
    pub delete_tokens: bool,
}

/// An instance in a ring. Dropped without [`Lifecycler::shutdown`], it falls silent, as in a crash.
pub struct Lifecycler {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    machine: Mutex<Lifecycle>,
    membership: Arc<dyn Membership>,
    clock: Arc<dyn Clock>,
    file: Option<TokensFile>,
    settings: LifecycleSettings,
    state: watch::Sender<State>,
    wake: Notify,
}

impl Lifecycler {
    /// Starts the life of an instance on the runtime of the caller.
    ///
    /// # Errors
    /// Its tokens file cannot be read.
    pub async fn start(
        settings: LifecycleSettings,
        membership: Arc<dyn Membership>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LifecycleError> {
        let file = settings.tokens_file_path.as_deref().map(TokensFile::new);
        let mut kept = Vec::new();
        if let (Some(file), Some(path)) = (file.clone(), &settings.tokens_file_path) {
            let read = spawn_blocking(move || file.load()).await.unwrap_or_else(|error| Err(io::Error::other(error)));
            kept = read.map_err(|source| LifecycleError::Tokens { path: path.clone(), source })?.unwrap_or_default();
        }
        let machine = Mutex::new(Lifecycle::new(settings.clone(), kept, draw_u64()));
        let (state, wake) = (watch::Sender::new(State::Pending), Notify::new());
        let shared = Arc::new(Shared { machine, membership, clock, file, settings, state, wake });
        let task = tokio::spawn(run(Arc::clone(&shared)));
        Ok(Self { shared, task })
    }

    /// Which ring.
    pub fn ring(&self) -> RingName {
        self.shared.settings.ring
    }

    /// Its state now, and as it changes.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    /// Its record.
    pub fn instance(&self) -> Instance {
        self.shared.machine.lock().instance().clone()
    }

    /// Whether it has been ACTIVE for long enough, and is still seen by the others.
    pub fn is_ready(&self) -> bool {
        self.is_healthy() && self.shared.machine.lock().is_ready(self.shared.clock.now_ms())
    }

    /// Whether its heartbeats go out.
    pub fn is_healthy(&self) -> bool {
        !self.task.is_finished() && self.shared.membership.healthy()
    }

    /// Becomes LEAVING: others write to it no more. Heartbeats go on, so that it can be read while it flushes.
    pub async fn start_leaving(&self) {
        let record = self.shared.machine.lock().start_leaving(self.shared.clock.now_ms());
        self.shared.apply(Step { publish: record, ..Step::default() }).await;
        self.shared.wake.notify_one();
    }

    /// Leaves for good after everything is done: stays LEAVING for the final sleep, then becomes LEFT, if so set. The
    /// membership is to be left after that.
    pub async fn shutdown(&self, farewell: Farewell) {
        self.start_leaving().await;
        tokio::time::sleep(self.shared.settings.final_sleep).await;
        let unregister = farewell.unregister.unwrap_or(self.shared.settings.unregister_on_shutdown);
        let record = self.shared.machine.lock().finish(self.shared.clock.now_ms(), unregister);
        self.shared.apply(Step { publish: record, ..Step::default() }).await;
        self.task.abort();
        if let (true, Some(file)) = (farewell.delete_tokens, self.shared.file.clone()) {
            let deleted = spawn_blocking(move || file.delete()).await;
            if let Ok(Err(error)) = deleted {
                tracing::error!(ring = %self.ring(), %error, "cannot delete tokens file");
            }
        }
    }
}

impl Drop for Lifecycler {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(shared: Arc<Shared>) {
    let mut members = shared.membership.watch(shared.settings.ring);
    let mut open = true;
    loop {
        let seen = Arc::clone(&members.borrow_and_update());
        let now_ms = shared.clock.now_ms();
        let step = shared.machine.lock().step(now_ms, &seen);
        let wait = Duration::from_millis(step.wake_ms.saturating_sub(now_ms).max(1));
        shared.apply(step).await;
        // Not longer than a heartbeat: the clock that was injected need not run with the one that sleeps.
        let wait = wait.min(shared.settings.heartbeat_period.max(Duration::from_millis(1)));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = shared.wake.notified() => {}
            changed = members.changed(), if open => open = changed.is_ok(),
        }
    }
}

impl Shared {
    async fn apply(&self, step: Step) {
        let ring = self.settings.ring;
        if let (true, Some(file), Some(record)) = (step.save, self.file.clone(), &step.publish) {
            let tokens = record.tokens.clone();
            let saved = spawn_blocking(move || file.save(&tokens)).await;
            if let Ok(Err(error)) = saved {
                tracing::error!(%ring, %error, "cannot keep tokens: after a restart this instance takes new ones");
            }
        }
        if let Some(record) = step.publish {
            let state = record.state;
            if let Err(error) = self.membership.publish(ring, record) {
                tracing::error!(%ring, %error, "cannot publish the record of this instance");
            }
            self.state.send_if_modified(|held| std::mem::replace(held, state) != state);
        }
        for id in step.forget {
            match self.membership.forget(ring, &id) {
                Ok(_) => tracing::warn!(%ring, id, "forgot an instance that was not heard of for too long"),
                Err(error) => tracing::error!(%ring, id, %error, "cannot forget an instance"),
            }
        }
    }
}
