//! The service: a database, behind checks of sizes and of the phase of its life.

use std::ops::ControlFlow;

use bytes::Bytes;
use narvi::{Db, HeadsDetail, HeadsRequest, Matcher, PushStream, Selector, TimeRange};
use narvi_rpc::{Call, IngesterService, LabelTexts, RpcError, RpcErrorKind, TailPart};
use parking_lot::RwLock;

use crate::tail::follow;

/// How an ingester behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct IngesterSettings {
    /// Bytes of the lines, metadata and labels of one push; larger ones are refused.
    pub max_push_bytes: usize,
    /// Lines of one push.
    pub max_push_lines: usize,
}

impl Default for IngesterSettings {
    fn default() -> Self {
        Self { max_push_bytes: 100 << 20, max_push_lines: 4_000_000 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Leaving,
}

/// An ingester over a database.
#[derive(Debug)]
pub struct Ingester {
    db: Db,
    settings: IngesterSettings,
    /// Pushes hold it while they are under way, so that a change waits for them.
    phase: RwLock<Phase>,
}

impl Ingester {
    /// An ingester that takes calls, but does not say that it is ready: its instance may have to join a ring first.
    pub fn new(db: Db, settings: IngesterSettings) -> Self {
        Self { db, settings, phase: RwLock::new(Phase::Starting) }
    }

    /// The database.
    pub fn db(&self) -> &Db {
        &self.db
    }

    /// Says that it is ready, unless it is leaving.
    pub fn set_ready(&self) {
        let mut phase = self.phase.write();
        if *phase == Phase::Starting {
            *phase = Phase::Ready;
        }
    }

    /// Leaves: waits for pushes that are under way, refuses later ones, and writes everything that is in memory into files.
    /// Reads are answered as before. May be called again when it failed.
    ///
    /// # Errors
    /// The store fails. What is not in files stays in the write-ahead log.
    pub fn leave(&self) -> Result<(), RpcError> {
        *self.phase.write() = Phase::Leaving;
        self.db.flush()?;
        Ok(())
    }

    fn check_size(&self, streams: &[PushStream]) -> Result<(), RpcError> {
        let (mut bytes, mut lines) = (0usize, 0usize);
        for stream in streams {
            bytes = bytes.saturating_add(stream.labels.packed().len());
            lines = lines.saturating_add(stream.entries.len());
            let of = |entry: &narvi::Entry| entry.line.len() + entry.metadata.packed().len();
            bytes = stream.entries.iter().fold(bytes, |sum, entry| sum.saturating_add(of(entry)));
        }
        let (most_bytes, most_lines) = (self.settings.max_push_bytes, self.settings.max_push_lines);
        if bytes > most_bytes || lines > most_lines {
            let text = format!(
                "a push of {lines} lines and {bytes} bytes is larger than the {most_lines} lines and {most_bytes} bytes that \
                 an ingester takes at once; send less at once"
            );
            return Err(RpcError::new(RpcErrorKind::TooLarge, text));
        }
        Ok(())
    }
}

impl IngesterService for Ingester {
    fn push(&self, call: &Call, streams: Vec<PushStream>) -> Result<(), RpcError> {
        let phase = self.phase.read();
        if *phase == Phase::Leaving {
            return Err(RpcError::new(RpcErrorKind::Unavailable, "the ingester is leaving; push to another"));
        }
        self.check_size(&streams)?;
        // The caller may have given up while the push waited for a thread.
        call.budget().check()?;
        let pushed = self.db.push(call.tenant()?, streams).and_then(|ack| ack.wait());
        drop(phase);
        Ok(pushed?)
    }

    fn heads(
        &self,
        call: &Call,
        request: &HeadsRequest,
        detail: HeadsDetail,
        give: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RpcError> {
        Ok(self.db.heads().export(request, detail, call.budget(), give)?)
    }

    fn label_names(&self, call: &Call, matchers: &[Matcher], range: TimeRange) -> Result<LabelTexts, RpcError> {
        let heads = self.db.heads();
        Ok(LabelTexts { texts: heads.label_names(call.tenant()?, matchers, range), manifest: heads.manifest() })
    }

    fn label_values(
        &self,
        call: &Call,
        name: &str,
        matchers: &[Matcher],
        range: TimeRange,
    ) -> Result<LabelTexts, RpcError> {
        let heads = self.db.heads();
        let texts = heads.label_values(call.tenant()?, name, matchers, range);
        Ok(LabelTexts { texts, manifest: heads.manifest() })
    }

    fn tail(
        &self,
        call: &Call,
        selector: Selector,
        give: &mut dyn FnMut(TailPart) -> ControlFlow<()>,
    ) -> Result<(), RpcError> {
        follow(&self.db.subscribe(call.tenant()?, selector), call, give)
    }

    fn flush(&self, _call: &Call) -> Result<u64, RpcError> {
        self.db.flush()?;
        Ok(self.db.heads().manifest())
    }

    fn ready(&self) -> Result<(), String> {
        // A leave waits for pushes, and must not be waited for here.
        match self.phase.try_read().map(|phase| *phase) {
            Some(Phase::Ready) => Ok(()),
            Some(Phase::Starting) => Err("the ingester is starting".to_owned()),
            Some(Phase::Leaving) | None => Err("the ingester is leaving".to_owned()),
        }
    }
}
