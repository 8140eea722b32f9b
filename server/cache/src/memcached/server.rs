//! One memcached server: its idle connections, and whether it is left alone.

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::protocol::{self, Reply, ReplyError, parse_reply};
use crate::{breaker::Breaker, remote::Lost};

/// How much is read at once, at least.
const READ: usize = 16 << 10;

/// A server.
#[derive(Debug)]
pub(super) struct Server {
    /// Host and port.
    pub(super) address: String,
    pub(super) breaker: Breaker,
    pub(super) limits: Limits,
    idle: Mutex<Vec<Connection>>,
}

/// What a request to a server may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) timeout: Duration,
    pub(super) max_idle: usize,
    pub(super) max_value: usize,
}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    received: BytesMut,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("left alone after failures")]
    LeftAlone,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Reply(#[from] ReplyError),
    #[error("answered something else than what was asked")]
    Unexpected,
    #[error("no answer in time")]
    Timeout,
}

impl Connection {
    async fn reply(&mut self, max_value: usize) -> Result<Reply, Failure> {
        loop {
            if let Some(reply) = parse_reply(&mut self.received, max_value)? {
                return Ok(reply);
            }
            // Otherwise a large value is read in ever so small pieces.
            self.received.reserve(READ);
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    async fn get(&mut self, keys: &[Bytes], max_value: usize) -> Result<Vec<Option<Bytes>>, Failure> {
        self.stream.write_all(&protocol::get(keys.iter())).await?;
        let mut values = vec![None; keys.len()];
        let mut count = 0;
        loop {
            match self.reply(max_value).await? {
                Reply::Value { key, data } => {
                    count += 1;
                    let mut asked = false;
                    for (_, value) in keys.iter().zip(&mut values).filter(|(asked, _)| **asked == key) {
                        asked = true;
                        *value = Some(data.clone());
                    }
                    // More, or others, than were asked for: what follows may belong to anybody.
                    if !asked || count > keys.len() {
                        return Err(Failure::Unexpected);
                    }
                }
                Reply::End => return Ok(values),
                _ => return Err(Failure::Unexpected),
            }
        }
    }

    /// Whether each value was stored.
    async fn set(&mut self, request: &[u8], count: usize) -> Result<Vec<bool>, Failure> {
        self.stream.write_all(request).await?;
        let mut stored = Vec::with_capacity(count);
        while stored.len() < count {
            stored.push(match self.reply(0).await? {
                Reply::Stored => true,
                Reply::NotStored(_) => false,
                _ => return Err(Failure::Unexpected),
            });
        }
        Ok(stored)
    }
}

/// What is done on a connection.
enum Job<'a> {
    Get(&'a [Bytes]),
    Set(&'a [u8], usize),
}

enum Done {
    Got(Vec<Option<Bytes>>),
    Stored(Vec<bool>),
}

impl Server {
    pub(super) fn new(address: String, breaker: Breaker, limits: Limits) -> Arc<Self> {
        Arc::new(Self { address, breaker, limits, idle: Mutex::default() })
    }

    /// The values of keys.
    pub(super) async fn get(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, Failure> {
        match self.guarded(Job::Get(keys)).await? {
            Done::Got(values) => Ok(values),
            Done::Stored(_) => Err(Failure::Unexpected),
        }
    }

    /// Stores values.
    pub(super) async fn set(&self, entries: &[(Bytes, Bytes)], expires: u64) -> (Lost, Option<Failure>) {
        let mut request = BytesMut::new();
        for (key, value) in entries {
            protocol::set(&mut request, key, value, expires);
        }
        let all = entries.iter().map(|(_, value)| value.len()).sum();
        match self.guarded(Job::Set(&request, entries.len())).await {
            Ok(Done::Stored(stored)) => {
                let refused =
                    entries.iter().zip(stored).filter(|(_, stored)| !stored).map(|((_, value), _)| value.len());
                (refused.fold(Lost::default(), |l, b| Lost { refused: l.refused + 1, bytes: l.bytes + b, ..l }), None)
            }
            Ok(Done::Got(_)) => (Lost { failed: entries.len(), bytes: all, refused: 0 }, Some(Failure::Unexpected)),
            Err(failure) => (Lost { failed: entries.len(), bytes: all, refused: 0 }, Some(failure)),
        }
    }

    async fn guarded(&self, job: Job<'_>) -> Result<Done, Failure> {
        let permit = self.breaker.enter().ok_or(Failure::LeftAlone)?;
        let done = self.tried(&job).await;
        match &done {
            Ok(_) => permit.succeeded(),
            Err(failure) => {
                permit.failed();
                tracing::debug!(server = %self.address, %failure, "memcached failed");
                // What others have open is no better.
                self.idle.lock().clear();
            }
        }
        done
    }

    async fn tried(&self, job: &Job<'_>) -> Result<Done, Failure> {
        let idle = self.idle.lock().pop();
        if let Some(connection) = idle {
            match self.run(connection, job).await {
                // A server that was started anew has closed the connections of before; that is no failure of its.
                Err(Failure::Io(_)) => self.idle.lock().clear(),
                done => return done,
            }
        }
        let connect = timeout(self.limits.timeout, TcpStream::connect(&self.address));
        let stream = connect.await.map_err(|_| Failure::Timeout)??;
        stream.set_nodelay(true)?;
        self.run(Connection { stream, received: BytesMut::new() }, job).await
    }

    /// Does the job and keeps the connection if it went well.
    async fn run(&self, mut connection: Connection, job: &Job<'_>) -> Result<Done, Failure> {
        let work = async {
            match job {
                Job::Get(keys) => connection.get(keys, self.limits.max_value).await.map(Done::Got),
                Job::Set(request, count) => connection.set(request, *count).await.map(Done::Stored),
            }
        };
        let done = timeout(self.limits.timeout, work).await.map_err(|_| Failure::Timeout)??;
        // Something behind the reply would be taken for the next one's.
        if connection.received.is_empty() {
            connection.received = BytesMut::new();
            let mut idle = self.idle.lock();
            if idle.len() < self.limits.max_idle {
                idle.push(connection);
            }
        }
        Ok(done)
    }
}
