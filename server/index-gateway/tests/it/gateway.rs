//! Gateways on ports of their own, a writer, and what a reader says.

use std::sync::Arc;

use narvi::{
    Builder, Db, Entry, Labels, LabelsBuilder, MatchOp, Matcher, MemoryStore, PushStream, Reader, ReaderIndex,
    ReaderSettings, Selector, Settings, Snapshot, Store, TableCopies, Tenant, TimeRange, Timestamp,
    logql::{self, Budget, Params, Query},
};
use narvi_index_gateway::{GatewaySettings, Gateways, IndexGateway};
use narvi_rpc::{ClientPool, ClientSettings, ServerLimits, Services, serve};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::JoinHandle};

pub(crate) struct Running {
    pub(crate) address: String,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Running {
    /// A gateway over a store. It never looks for newer manifests.
    pub(crate) fn start(runtime: &Runtime, store: &Arc<dyn Store>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let copies = TableCopies { path: folder.path().join("tables"), max_bytes: 1 << 20 };
        let index = ReaderIndex { folder: Some(copies), ..ReaderIndex::default() };
        let settings = ReaderSettings { max_age_ms: 3_600_000, query_threads: 1 };
        let gateway = IndexGateway::new(Reader::open_with(store.clone(), settings, index).expect("it opens"));
        gateway.set_ready(true);
        let (stop, stopped) = oneshot::channel();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("it binds");
        let address = listener.local_addr().expect("it is bound").to_string();
        let served = runtime.spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            let services = Services::new().index_gateway(Arc::new(gateway));
            // Small messages, so that answers come in pieces.
            let limits = ServerLimits { max_send_bytes: 2000, ..ServerLimits::default() };
            serve(listener, services, limits, shutdown).await.expect("it serves");
        });
        Self { address, stop: Some(stop), served, _folder: folder }
    }

    /// Ends it at once: connections break off.
    pub(crate) fn kill(&mut self, runtime: &Runtime) {
        self.served.abort();
        self.stop = None;
        runtime.block_on(async {
            while !self.served.is_finished() {
                tokio::task::yield_now().await;
            }
        });
    }
}

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("it starts")
}

pub(crate) fn gateways(runtime: &Runtime, addresses: &[String], settings: GatewaySettings) -> Arc<Gateways> {
    let _inside = runtime.enter();
    let (pool, addresses) = (ClientPool::new(ClientSettings::default()), addresses.to_vec());
    let of = move |_: &Tenant| addresses.clone();
    Arc::new(Gateways::new(pool, Arc::new(of), settings, runtime.handle().clone()))
}

pub(crate) fn reader(store: &Arc<dyn Store>, index: ReaderIndex) -> Reader {
    Reader::open_with(store.clone(), ReaderSettings { max_age_ms: 0, query_threads: 1 }, index).expect("it opens")
}

pub(crate) fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

pub(crate) fn writer(store: &Arc<dyn Store>) -> Db {
    let mut settings = Settings { garbage_grace_secs: 3600, ..Settings::default() };
    settings.compaction.enabled = false;
    settings.compaction.tables_per_level = 2;
    settings.retention.cancel_period_secs = 0;
    Builder::in_memory().store(store.clone()).settings(settings).open().expect("it opens")
}

pub(crate) fn labels(stream: u8) -> Labels {
    let mut labels = LabelsBuilder::new();
    labels.set("app", if stream < 3 { "x" } else { "y" }).set("n", stream.to_string());
    labels.set("long", "w".repeat(100 * usize::from(stream)));
    labels.build().expect("valid")
}

pub(crate) fn push(db: &Db, rows: &[(u8, i64, u8)]) {
    for (stream, time, line) in rows {
        let entry = Entry::new(Timestamp::from_ns(*time), format!("line {line}"));
        db.push(&Tenant::default(), vec![PushStream::new(labels(*stream), vec![entry])]).expect("it is taken");
    }
}

/// All that a snapshot says of a range, or how it fails.
pub(crate) fn says(snapshot: &Snapshot, reader: &Reader, range: TimeRange) -> narvi::Result<Vec<String>> {
    let mut all = Vec::new();
    for value in [".+", "x", "none"] {
        let matchers = vec![Matcher::new("app", MatchOp::Regex, value).expect("it compiles")];
        let selector = Selector::new(matchers.clone());
        all.push(format!("{:?}", snapshot.label_names(&matchers, range)?));
        all.push(format!("{:?}", snapshot.label_values("n", &matchers, range)?));
        all.push(format!("{:?}", snapshot.series(std::slice::from_ref(&selector), range)?));
        all.push(format!("{:?}", snapshot.stream_stats(&selector, range)?));
        all.push(format!("{:?}", snapshot.stream_volumes(&selector, range)?));
        let text = format!("{{app=~\"{value}\"}}");
        let mut params = Params::range(range.min, range.max, 0);
        params.limit = None;
        let query = Query::new(logql::parse(&text)?, params);
        all.push(format!("{:?}", logql::evaluate(&query, snapshot, &reader.executor(), &Budget::unlimited())?));
    }
    Ok(all)
}
