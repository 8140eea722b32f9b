//! The thread of a tail: history, then what is pushed, as frames.

use std::{
    collections::{HashMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
    time::{Duration, Instant},
};

use narvi::logql::{Data, Query, Row};
use narvi_logs::Follow;
use tokio::sync::mpsc::Sender;

use super::{
    Wanted,
    frame::{frames, shaped},
};
use crate::{App, error::ApiError};

/// How often the thread looks whether its client is still there.
const LOOK: Duration = Duration::from_millis(500);
/// Lines that are gathered before a frame is made, if they are there already.
const GATHERED: usize = 100;
/// Streams of one tail that are counted one by one.
const MOST_STREAMS: usize = 10_000;

/// What the thread sends.
pub(super) enum Message {
    Frame(String),
    /// The tail is over: code and reason of the close frame.
    End(u16, String),
}

/// A tail at work.
pub(super) struct Follower {
    pub(super) app: Arc<App>,
    pub(super) tail: Box<dyn Follow>,
    pub(super) wanted: Wanted,
    pub(super) out: Sender<Message>,
    /// Rows of the history that may come again as live ones.
    told: HashMap<u64, u32>,
    streams: HashSet<u64>,
    /// Live rows that are held back, with the time at which they may go.
    held: Vec<(Instant, Row)>,
}

impl Drop for Follower {
    fn drop(&mut self) {
        let streams = i64::try_from(self.streams.len()).unwrap_or(0);
        self.app.metrics.tails.streams.dec_by(streams);
    }
}

impl Follower {
    pub(super) fn new(app: Arc<App>, tail: Box<dyn Follow>, wanted: Wanted, out: Sender<Message>) -> Self {
        Self { app, tail, wanted, out, told: HashMap::new(), streams: HashSet::new(), held: Vec::new() }
    }

    /// Runs until the client is gone, the store is closed, or something fails.
    pub(super) fn run(mut self) {
        let (code, reason) = match self.history().and_then(|()| self.live()) {
            Ok(()) => (1001, "the server is shutting down".to_owned()),
            Err(error) => (1011, error.message),
        };
        // Nobody listens if the client is gone.
        let _ = self.out.blocking_send(Message::End(code, reason));
    }

    fn history(&mut self) -> Result<(), ApiError> {
        let query = Query::new(self.wanted.expr.clone(), self.wanted.history(self.app.now().as_ns()));
        let tenants = std::slice::from_ref(&self.wanted.tenant);
        let budget = self.app.budget(&self.app.limits_of(tenants));
        let answer = self.app.evaluate(tenants, &query, &budget)?;
        let Data::Streams(streams) = answer.data else { return Ok(()) };
        let mut rows = Vec::new();
        for stream in streams {
            // Newest first, of which the last among equal times came first.
            rows.extend(stream.entries.into_iter().rev().map(|entry| Row {
                labels: stream.labels.clone(),
                ts: entry.ts,
                line: entry.line,
                structured: entry.structured,
                parsed: entry.parsed,
            }));
        }
        rows.sort_by_key(|row| row.ts);
        for row in &rows {
            *self.told.entry(key(row)).or_default() += 1;
        }
        let rows = rows.into_iter().map(|row| shaped(row, &self.wanted, false)).collect();
        self.send(rows);
        Ok(())
    }

    fn live(&mut self) -> Result<(), ApiError> {
        loop {
            let due = self.held.first().map(|(due, _)| due.saturating_duration_since(Instant::now()));
            let mut received = self.tail.recv_timeout(due.unwrap_or(LOOK).min(LOOK))?;
            while let Some(rows) = received.take() {
                self.hold(rows);
                if self.held.len() < GATHERED {
                    received = self.tail.recv_timeout(Duration::ZERO)?;
                }
            }
            let rows = self.due();
            if !self.send(rows) || self.out.is_closed() || self.tail.is_closed() && self.held.is_empty() {
                return Ok(());
            }
        }
    }

    fn hold(&mut self, rows: Vec<Row>) {
        let due = Instant::now() + self.wanted.delay;
        for row in rows {
            if !self.told.is_empty() {
                let key = key(&row);
                if let Some(count) = self.told.get_mut(&key) {
                    *count -= 1;
                    if *count == 0 {
                        self.told.remove(&key);
                    }
                    continue;
                }
            }
            self.held.push((due, shaped(row, &self.wanted, true)));
        }
    }

    /// Takes the rows that need not be held back any longer, by time if they were held back at all.
    fn due(&mut self) -> Vec<Row> {
        let now = Instant::now();
        let count = self.held.iter().take_while(|(due, _)| *due <= now).count();
        let mut rows: Vec<Row> = self.held.drain(..count).map(|(_, row)| row).collect();
        if !self.wanted.delay.is_zero() {
            rows.sort_by_key(|row| row.ts);
        }
        rows
    }

    /// Sends rows and what was dropped meanwhile; `false` if nobody is there. Waits as long as the client is slow.
    fn send(&mut self, rows: Vec<Row>) -> bool {
        let dropped = self.tail.take_dropped();
        if dropped.1 > 0 {
            tracing::warn!(
                tenant = self.wanted.tenant.as_str(),
                lines = dropped.1,
                "a tail is too slow: lines dropped"
            );
        }
        let tails = &self.app.metrics.tails;
        for row in &rows {
            tails.bytes.inc_by(row.line.len() as u64);
            if self.streams.len() < MOST_STREAMS && self.streams.insert(row.labels.hash64()) {
                tails.streams.inc();
            }
        }
        let frames = frames(&rows, &dropped, &self.wanted);
        drop(rows);
        frames.into_iter().all(|frame| self.out.blocking_send(Message::Frame(frame)).is_ok())
    }
}

fn key(row: &Row) -> u64 {
    let mut hasher = DefaultHasher::new();
    (row.labels.hash64(), row.ts, &row.line[..], row.structured.packed()).hash(&mut hasher);
    hasher.finish()
}
