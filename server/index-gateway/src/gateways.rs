//! Asks gateways, one after the other until one answers.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use narvi::{
    Error, ErrorKind, IndexAnswer, IndexLookUps, IndexQuestion, IndexTable, Result, Tenant,
    logql::{Budget, BudgetError},
};
use narvi_rpc::{CallOptions, ClientPool, RpcError, RpcErrorKind};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    time::{MissedTickBehavior, interval},
};

use crate::addresses::GatewayAddresses;

/// How often it is looked whether the query was cancelled.
const LOOK: Duration = Duration::from_millis(50);

/// How gateways are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "plain settings, made with `..Default::default()`")]
pub struct GatewaySettings {
    /// How long one gateway may take for one call; then the next one is asked.
    pub timeout: Duration,
    /// For how long one that could not be reached, or was late, is asked after all others only.
    pub pause: Duration,
    /// Tables that are asked about in one call.
    pub tables: usize,
}

impl Default for GatewaySettings {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(15), pause: Duration::from_secs(10), tables: 500 }
    }
}

/// The gateways of a cluster, as a [`Reader`](narvi::Reader) asks them. Its functions block on a runtime: they must not be
/// called from a task of one, other than where blocking is allowed.
pub struct Gateways {
    pool: ClientPool,
    addresses: Arc<dyn GatewayAddresses>,
    settings: GatewaySettings,
    runtime: Handle,
    /// Whose turn it is to be asked first.
    turn: AtomicUsize,
    /// Those that failed, and until when they are asked last.
    failed: Mutex<HashMap<String, Instant>>,
}

impl fmt::Debug for Gateways {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateways").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Gateways {
    /// Asks gateways by the clients of a pool, on a runtime with time.
    pub fn new(
        pool: ClientPool,
        addresses: Arc<dyn GatewayAddresses>,
        settings: GatewaySettings,
        runtime: Handle,
    ) -> Self {
        Self { pool, addresses, settings, runtime, turn: AtomicUsize::new(0), failed: Mutex::default() }
    }

    /// Whom to ask, in this order: each in its turn, those that failed just now after the others.
    fn order(&self, tenant: &Tenant) -> Vec<String> {
        let mut all = self.addresses.of(tenant);
        if !all.is_empty() {
            let first = self.turn.fetch_add(1, Ordering::Relaxed) % all.len();
            all.rotate_left(first);
        }
        let now = Instant::now();
        let mut failed = self.failed.lock();
        failed.retain(|_, until| *until > now);
        all.sort_by_key(|address| failed.contains_key(address));
        all
    }

    async fn ask(&self, question: &IndexQuestion, tables: &[IndexTable], budget: &Budget) -> Result<Vec<IndexAnswer>> {
        let addresses = self.order(&question.tenant);
        let mut out = Vec::with_capacity(tables.len());
        for tables in tables.chunks(self.settings.tables.max(1)) {
            out.extend(self.ask_any(&addresses, question, tables, budget).await?);
        }
        Ok(out)
    }

    async fn ask_any(
        &self,
        addresses: &[String],
        question: &IndexQuestion,
        tables: &[IndexTable],
        budget: &Budget,
    ) -> Result<Vec<IndexAnswer>> {
        let text = "no index gateway is known: is one running, and does index_gateway_client.server_address name it?";
        let mut last = Error::new(ErrorKind::Unavailable, text);
        for address in addresses {
            match self.ask_one(address, question, tables, budget).await {
                Ok(answers) => {
                    self.failed.lock().remove(address);
                    return Ok(answers);
                }
                Err(error) => {
                    budget.check().map_err(Error::from)?;
                    if let Some(error) = used_up(&error, budget) {
                        return Err(error);
                    }
                    self.note(address, &error);
                    let kind = match error.kind() {
                        RpcErrorKind::Corrupt => ErrorKind::Corrupt,
                        _ => ErrorKind::Unavailable,
                    };
                    last = Error::new(kind, format!("no index gateway answers; the last one, {address}: {error}"));
                }
            }
        }
        Err(last)
    }

    async fn ask_one(
        &self,
        address: &str,
        question: &IndexQuestion,
        tables: &[IndexTable],
        budget: &Budget,
    ) -> std::result::Result<Vec<IndexAnswer>, RpcError> {
        let client = self.pool.index_gateway(address)?;
        let options = CallOptions::of(&question.tenant).within(self.settings.timeout);
        let mut call = std::pin::pin!(client.look_up(&options, question, tables, budget));
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                answers = &mut call => return answers,
                _ = look.tick() => budget.check()?,
            }
        }
    }

    /// Notes and tells that a gateway failed; told once for as long as it is left alone.
    fn note(&self, address: &str, error: &RpcError) {
        let away = matches!(
            error.kind(),
            RpcErrorKind::Unavailable
                | RpcErrorKind::Deadline
                | RpcErrorKind::Busy
                | RpcErrorKind::Unsupported
                | RpcErrorKind::Internal
        );
        let until = Instant::now() + self.settings.pause;
        if !away || self.failed.lock().insert(address.to_owned(), until).is_none() {
            tracing::warn!(address, %error, "cannot ask an index gateway");
        }
    }
}

/// The query's own error, if it is one: there is no use in asking another gateway.
fn used_up(error: &RpcError, budget: &Budget) -> Option<Error> {
    let memory = budget.limits().memory_bytes.map(|limit_bytes| BudgetError::Memory { limit_bytes });
    match memory {
        Some(memory) if error.message() == memory.to_string() => Some(memory.into()),
        _ => (error.kind() == RpcErrorKind::Query).then(|| Error::new(ErrorKind::Query, error.message())),
    }
}

impl IndexLookUps for Gateways {
    fn look_up(&self, question: &IndexQuestion, tables: &[IndexTable], budget: &Budget) -> Result<Vec<IndexAnswer>> {
        self.runtime.block_on(self.ask(question, tables, budget))
    }
}
