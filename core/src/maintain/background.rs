//! The thread that does the upkeep.

use std::{
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::Maintainer;
use crate::{Error, Result};

/// The longest pause after merges that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// A maintainer, and its thread if there is one; it ends when this is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Background {
    pub(crate) maintainer: Arc<Maintainer>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stopped: Arc<(Mutex<bool>, Condvar)>,
}

impl Background {
    /// Starts the thread unless the settings say no.
    pub(crate) fn start(maintainer: Maintainer) -> Result<Self> {
        let settings = maintainer.writer.settings().compaction.clone();
        let sweep_interval = Duration::from_secs(maintainer.writer.settings().retention.interval_secs.max(1));
        let background = Self { maintainer: Arc::new(maintainer), thread: Mutex::default(), stopped: Arc::default() };
        if settings.enabled {
            let (maintainer, stopped) = (background.maintainer.clone(), background.stopped.clone());
            let run = move || {
                let mut work = Work {
                    interval: Duration::from_millis(settings.interval_ms.max(1)).min(sweep_interval),
                    garbage_interval: Duration::from_secs(settings.garbage_interval_secs.max(1)),
                    // Opening the database has just done it.
                    garbage: Instant::now(),
                    sweep_interval,
                    sweep: None,
                    pause: Duration::ZERO,
                };
                while sleep(&stopped, work.interval.max(work.pause)) {
                    if maintainer.is_allowed() {
                        work.round(&maintainer);
                    } else {
                        (work.sweep, work.pause) = (None, Duration::ZERO);
                        // What others commit, requests to delete among it, concerns queries here too.
                        let _ = maintainer.refresh();
                    }
                }
            };
            let thread = Builder::new().name("narvi-maintain".into()).spawn(run);
            let thread = thread.map_err(|e| Error::io("cannot start thread narvi-maintain", e))?;
            *background.thread.lock() = Some(thread);
        }
        Ok(background)
    }

    /// Ends the thread and what merge there is, and waits for it.
    pub(crate) fn stop(&self) {
        *self.stopped.0.lock() = true;
        self.stopped.1.notify_all();
        self.maintainer.stop();
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sleeps; says whether to go on.
fn sleep((stopped, wake): &(Mutex<bool>, Condvar), time: Duration) -> bool {
    let deadline = Instant::now() + time;
    let mut stopped = stopped.lock();
    while !*stopped && !wake.wait_until(&mut stopped, deadline).timed_out() {}
    !*stopped
}

struct Work {
    interval: Duration,
    garbage_interval: Duration,
    garbage: Instant,
    sweep_interval: Duration,
    /// When retention was applied last. The first time, and the first after the upkeep was off, is soon: until then
    /// queries see what is too old.
    sweep: Option<Instant>,
    /// Longer after each failure.
    pause: Duration,
}

impl Work {
    fn round(&mut self, maintainer: &Maintainer) {
        if let Err(error) = maintainer.refresh() {
            maintainer.stats.lock().fail(&error);
        }
        // Tier after tier, as long as there is one.
        let mut cleared = false;
        let merged = loop {
            if !maintainer.is_due() {
                break Ok(());
            }
            match maintainer.compact() {
                Ok(summary) if summary.tables_in > 0 => cleared = true,
                other => break other.map(|_| ()),
            }
        };
        self.pause = match merged {
            Ok(()) => Duration::ZERO,
            // Each try may cost as much as the merge: a full disk, say, is not tried at every tick.
            Err(_) => (self.pause * 2).clamp(self.interval, LONGEST_PAUSE.max(self.interval)),
        };
        if self.sweep.is_none_or(|last| last.elapsed() >= self.sweep_interval) {
            self.sweep = Some(Instant::now());
            // What fails is counted, and tried again next time.
            cleared |= maintainer.apply_retention().is_ok_and(|summary| summary.takes_files_out());
        } else if maintainer.marks_are_due() {
            maintainer.look_up();
        }
        // What was merged takes twice its room until it is deleted.
        if cleared || self.garbage.elapsed() >= self.garbage_interval {
            self.garbage = Instant::now();
            if let Err(error) = maintainer.collect_garbage()
                && maintainer.is_allowed()
            {
                maintainer.stats.lock().fail(&error);
            }
        }
    }
}

impl Maintainer {
    /// Looks up the rows that requests to delete hit. What fails is counted, and tried again next time.
    fn look_up(&self) {
        let _damaged = self.running.lock();
        if let Err(error) = self.mark()
            && !self.switch.is_off()
        {
            self.stats.lock().fail(&error);
        }
    }

    /// Whether a tier of what queries see has enough tables, or replicas have left some. Costs no I/O.
    fn is_due(&self) -> bool {
        let state = self.writer.state().load();
        let damaged = self.running.lock();
        !super::policy::tiers(&state.manifest, &self.writer.settings().compaction, &damaged).is_empty()
            || !self.leftovers(&state.manifest, &damaged).is_empty()
    }
}
