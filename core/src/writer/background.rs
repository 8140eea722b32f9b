//! The threads of a database: one flushes, one syncs the write-ahead log.

use std::{
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{FlushReason, Writer};
use crate::{Error, Result, WalSync};

/// The running threads; they end when this is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Background {
    writer: Arc<Writer>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// How often ages are looked at.
const TICK: Duration = Duration::from_secs(1);

impl Background {
    pub(crate) fn start(writer: &Arc<Writer>) -> Result<Self> {
        let started = Self { writer: writer.clone(), threads: Mutex::default() };
        started.spawn("narvi-flush", flush_loop)?;
        if writer.wal.is_some() && writer.settings.wal.sync != WalSync::Never {
            started.spawn("narvi-sync", sync_loop)?;
        }
        Ok(started)
    }

    fn spawn(&self, name: &str, run: fn(&Writer)) -> Result<()> {
        let writer = self.writer.clone();
        let thread = Builder::new().name(name.to_owned()).spawn(move || run(&writer));
        self.threads.lock().push(thread.map_err(|e| Error::io(format!("cannot start thread {name}"), e))?);
        Ok(())
    }

    /// Ends the threads and waits for it. A flush under way is completed.
    pub(crate) fn stop(&self) {
        self.writer.pressure.lock().stop = true;
        self.writer.wake.notify_all();
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Writer {
    /// Wakes the thread that flushes.
    pub(super) fn want_flush(&self) {
        self.pressure.lock().wanted = true;
        self.wake.notify_all();
    }

    /// Sleeps until a time, a wish to flush (unless deaf to it), or the end. Says whether to go on.
    fn sleep(&self, time: Duration, deaf: bool) -> bool {
        let deadline = Instant::now() + time;
        let mut pressure = self.pressure.lock();
        while !pressure.stop && (deaf || !pressure.wanted) {
            if self.wake.wait_until(&mut pressure, deadline).timed_out() {
                break;
            }
        }
        if !deaf {
            pressure.wanted = false;
        }
        !pressure.stop
    }

    /// Why it is time to flush, if it is.
    pub(super) fn flush_due(&self) -> Option<FlushReason> {
        let settings = &self.settings.flush;
        let now_ms = self.clock.now_ms();
        let state = self.state.load();
        let stats = state.generations.iter().filter(|g| !g.is_empty()).map(|g| g.stats());
        let stats: Vec<_> = stats.collect();
        let first_ms = stats.iter().map(|s| s.first_push_ms).min()?;
        let last_ms = stats.iter().map(|s| s.last_push_ms).max().unwrap_or(first_ms);
        let older = |ms: u64, secs: u64| now_ms.saturating_sub(ms) >= secs.saturating_mul(1000);
        if self.load().is_full(settings) || self.active_is_full() {
            return Some(FlushReason::Full);
        }
        if older(first_ms, settings.max_age_secs) {
            return Some(FlushReason::MaxAge);
        }
        older(last_ms, settings.idle_secs).then_some(FlushReason::Idle)
    }
}

fn flush_loop(writer: &Writer) {
    let settings = &writer.settings.flush;
    let shortest = Duration::from_millis(settings.retry_min_ms.max(1));
    let mut pause = shortest;
    while writer.sleep(TICK, false) {
        let Some(reason) = writer.flush_due() else { continue };
        if writer.flush_for(reason).is_ok() {
            pause = shortest;
            continue;
        }
        // Deaf, or pushes that wait would make it try all the time.
        if !writer.sleep(pause, true) {
            break;
        }
        pause = (pause * 2).min(Duration::from_millis(settings.retry_max_ms.max(1)));
        writer.want_flush();
    }
}

fn sync_loop(writer: &Writer) {
    let interval = Duration::from_millis(writer.settings.wal.sync_interval_ms.max(1));
    while writer.sleep(interval, true) {
        // A failure poisons the log; pushes report it.
        let _ = writer.sync_wal();
    }
}
