//! An ingester over gRPC, and a reader of its store.

mod exchange;
mod life;

use std::{sync::Arc, time::Duration};

use narvi::{
    Builder, Db, Entry, Labels, MatchOp, Matcher, MemoryStore, PushStream, Selector, Settings, Store, Timestamp,
};
use narvi_ingester::{Ingester, IngesterSettings};
use narvi_rpc::{CallOptions, ClientPool, ClientSettings, IngesterClient, ServerLimits, Services, serve};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(crate) struct Running {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ingester: Arc<Ingester>,
    pub(crate) client: IngesterClient,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(settings: IngesterSettings) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let mut db_settings = Settings { garbage_grace_secs: 3600, ..Settings::default() };
        db_settings.compaction.enabled = false;
        let db: Db = Builder::in_memory().store(store.clone()).settings(db_settings).open().expect("opens");
        let ingester = Arc::new(Ingester::new(db, settings));
        ingester.set_ready();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let address = listener.local_addr().expect("bound").to_string();
        let services = Services::new().ingester(ingester.clone());
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async {
            let shutdown = async {
                let _ = stopped.await;
            };
            serve(listener, services, ServerLimits::default(), shutdown).await.expect("served");
        });
        let client = ClientPool::new(ClientSettings::default()).ingester(&address).expect("an address");
        Self { store, ingester, client, stop, served }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.served.await.expect("no panic");
    }
}

pub(crate) fn options(tenant: &narvi::Tenant) -> CallOptions {
    CallOptions::of(tenant).within(Duration::from_secs(60))
}

/// Lines of a stream at times from `first` on, each different from the others.
pub(crate) fn lines(stream: &str, first: i64, count: i64, bytes: usize) -> PushStream {
    let labels = Labels::from_pairs([("app", "x"), ("stream", stream)]).expect("valid");
    let line = |at: i64| format!("{at:010} {}", "y".repeat(bytes)).into_bytes();
    let entry = |at: i64| Entry::new(Timestamp::from_ns(at), line(at));
    PushStream::new(labels, (first..first + count).map(entry).collect())
}

pub(crate) fn selector() -> Selector {
    Selector::new(vec![Matcher::new("app", MatchOp::Equal, "x").expect("compiles")])
}
