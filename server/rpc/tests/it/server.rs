//! Servers for tests: services made of closures, on a port of their own.

use std::{
    net::SocketAddr,
    ops::ControlFlow,
    sync::{Arc, Mutex, atomic::AtomicBool, atomic::Ordering},
    time::Duration,
};

use bytes::Bytes;
use narvi::{HeadsDetail, HeadsRequest, Matcher, PushStream, Selector, TimeRange};
use narvi_rpc::{
    Call, CallObserver, ClientPool, ClientSettings, IngesterService, LabelTexts, RpcError, ServerLimits, Services,
    TailPart, serve,
};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

type Push = dyn Fn(&Call, Vec<PushStream>) -> Result<(), RpcError> + Send + Sync;
type Heads =
    dyn Fn(&Call, &HeadsRequest, &mut dyn FnMut(Bytes) -> ControlFlow<()>) -> Result<(), RpcError> + Send + Sync;
type Texts = dyn Fn(&Call, &str) -> Result<LabelTexts, RpcError> + Send + Sync;
/// A service that does what a test says.
pub(crate) struct Fake {
    pub(crate) push: Box<Push>,
    pub(crate) heads: Box<Heads>,
    pub(crate) texts: Box<Texts>,
    pub(crate) ready: AtomicBool,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            push: Box::new(|_, _| Ok(())),
            heads: Box::new(|_, _, _| Ok(())),
            texts: Box::new(|_, _| Ok(LabelTexts::default())),
            ready: AtomicBool::new(true),
        }
    }
}

impl IngesterService for Fake {
    fn push(&self, call: &Call, streams: Vec<PushStream>) -> Result<(), RpcError> {
        (self.push)(call, streams)
    }

    fn heads(
        &self,
        call: &Call,
        request: &HeadsRequest,
        _detail: HeadsDetail,
        give: &mut dyn FnMut(Bytes) -> ControlFlow<()>,
    ) -> Result<(), RpcError> {
        (self.heads)(call, request, give)
    }

    fn label_names(&self, call: &Call, _: &[Matcher], _: TimeRange) -> Result<LabelTexts, RpcError> {
        (self.texts)(call, "")
    }

    fn label_values(&self, call: &Call, name: &str, _: &[Matcher], _: TimeRange) -> Result<LabelTexts, RpcError> {
        (self.texts)(call, name)
    }

    fn tail(
        &self,
        call: &Call,
        _selector: Selector,
        give: &mut dyn FnMut(TailPart) -> ControlFlow<()>,
    ) -> Result<(), RpcError> {
        while !call.is_closing() && call.budget().check().is_ok() && give(TailPart::default()).is_continue() {
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn flush(&self, _: &Call) -> Result<u64, RpcError> {
        Ok(7)
    }

    fn ready(&self) -> Result<(), String> {
        if self.ready.load(Ordering::Relaxed) { Ok(()) } else { Err("not now".to_owned()) }
    }
}

/// Notes routes and outcomes of calls.
#[derive(Debug, Default)]
pub(crate) struct Notes(pub(crate) Mutex<Vec<(&'static str, &'static str)>>);

impl CallObserver for Notes {
    fn called(&self, route: &'static str, outcome: &'static str, _took: Duration) {
        self.0.lock().expect("no panic").push((route, outcome));
    }
}

pub(crate) struct Running {
    pub(crate) address: String,
    pub(crate) notes: Arc<Notes>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), RpcError>>,
}

impl Running {
    pub(crate) async fn start(fake: Fake, limits: ServerLimits) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::new(fake), limits).await
    }

    pub(crate) async fn start_at(at: SocketAddr, fake: Arc<Fake>, limits: ServerLimits) -> Self {
        let listener = TcpListener::bind(at).await.expect("binds");
        let address = listener.local_addr().expect("bound").to_string();
        let notes = Arc::new(Notes::default());
        let services = Services::new().ingester(fake).observer(notes.clone());
        let (stop, stopped) = oneshot::channel();
        let shutdown = async {
            let _ = stopped.await;
        };
        let served = tokio::spawn(serve(listener, services, limits, shutdown));
        Self { address, notes, stop, served }
    }

    pub(crate) async fn stop(self) {
        let _ = self.stop.send(());
        self.served.await.expect("no panic").expect("served");
    }
}

pub(crate) fn pool() -> ClientPool {
    ClientPool::new(ClientSettings::default())
}
