//! The service: a reader of the store that answers others from its tables.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use narvi::{IndexAnswer, IndexQuestion, IndexTable, IndexTables, Reader};
use narvi_rpc::{Call, IndexGatewayService, RpcError};

/// Answers from the tables of a reader, which best has a folder for them.
#[derive(Debug)]
pub struct IndexGateway {
    reader: Reader,
    tables: IndexTables,
    ready: AtomicBool,
}

impl IndexGateway {
    /// A gateway that takes calls, but does not say that it is ready: its instance may have to join a ring first.
    pub fn new(reader: Reader) -> Self {
        let tables = reader.index_tables();
        Self { reader, tables, ready: AtomicBool::new(false) }
    }

    /// What it reads with.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Says whether it is ready.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Looks for newer manifests again and again, so that tables which were merged are dropped. Answers do not depend on it.
    /// Ends when it is dropped.
    pub async fn keep_fresh(self: Arc<Self>, every: Duration) {
        loop {
            tokio::time::sleep(every).await;
            let gateway = self.clone();
            match tokio::task::spawn_blocking(move || gateway.reader.refresh()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(?error, "cannot look which index tables there are"),
                Err(error) => tracing::error!(%error, "looking which index tables there are ended by a defect"),
            }
        }
    }
}

impl IndexGatewayService for IndexGateway {
    fn look_up(
        &self,
        call: &Call,
        question: &IndexQuestion,
        tables: &[IndexTable],
        give: &mut dyn FnMut(IndexAnswer) -> ControlFlow<()>,
    ) -> Result<(), RpcError> {
        for table in tables {
            if give(self.tables.answer(question, table, call.budget())?).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        match self.ready.load(Ordering::Relaxed) {
            true => Ok(()),
            false => Err("the index gateway is not ready".to_owned()),
        }
    }
}
