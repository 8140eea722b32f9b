//! Remote write: the samples of rules, kept on disk until a receiver has taken them.
//!
//! Each tenant and receiver has a queue (`queue`) and a task that empties it in order; `proto` is what is sent.

mod proto;
mod queue;

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use narvi::{Labels, Tenant};
use narvi_config::{RemoteWrite, RulerConfig};
use parking_lot::Mutex;
use prost::Message;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use self::{
    proto::{Label, Sample, TimeSeries, WriteRequest},
    queue::{Batch, DiskQueue},
};
use crate::{
    Evaluate, RulerError,
    client::{Client, explain},
    files,
    metrics::{Metrics, OfReceiver, OfTenant},
    relabel::Relabels,
    times::Nanos,
};

/// Most bytes of unsent samples for one tenant and receiver; then the oldest go.
const MAX_QUEUE_BYTES: u64 = 64 << 20;

/// The value that says that a series has ended.
pub(crate) const STALE: f64 = f64::from_bits(0x7ff0_0000_0000_0002);

const TENANT_HEADER: &str = "X-Scope-OrgID";

/// A sample of a rule.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) labels: Labels,
    pub(crate) value: f64,
    pub(crate) at: Nanos,
}

/// Takes samples and sends them.
pub(crate) struct Writer {
    base: RulerConfig,
    /// Knows what tenants have of their own.
    limits: Arc<dyn Evaluate>,
    folder: PathBuf,
    metrics: Arc<Metrics>,
    routes: Mutex<HashMap<Tenant, Route>>,
}

/// The receivers of a tenant.
struct Route {
    config: Vec<RemoteWrite>,
    queues: Vec<Arc<Queue>>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

struct Receiver {
    config: RemoteWrite,
    client: Client,
    relabels: Relabels,
}

struct Queue {
    disk: Arc<DiskQueue>,
    came: Notify,
    labels: OfReceiver,
    tenant: Tenant,
    receiver: Receiver,
}

impl Receiver {
    fn new(config: RemoteWrite) -> Result<Self, RulerError> {
        let client = Client::new(&config.client, config.timeout)?;
        Ok(Self { client, relabels: Relabels::new(&config.relabel)?, config })
    }
}

impl Writer {
    pub(crate) fn new(
        config: &RulerConfig,
        folder: PathBuf,
        limits: Arc<dyn Evaluate>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, RulerError> {
        // What all tenants share must be right from the start.
        config.remote_write.iter().try_for_each(|config| Receiver::new(config.clone()).map(drop))?;
        Ok(Self { base: config.clone(), limits, folder, metrics, routes: Mutex::default() })
    }

    /// Whether samples of a tenant go anywhere.
    pub(crate) fn is_enabled(&self, tenant: &Tenant) -> bool {
        !self.base.remote_write.is_empty() && !self.limits.limits(tenant).remote_write_disabled
    }

    /// Goes on with what an earlier run left unsent. Must be called within a runtime; blocks.
    pub(crate) fn resume(self: &Arc<Self>) -> Result<(), RulerError> {
        if self.base.remote_write.is_empty() {
            return Ok(());
        }
        for name in files::list(&self.folder)? {
            let Ok(tenant) = Tenant::new(&name) else { continue };
            for receiver in self.base.receivers(&self.limits.limits(&tenant)) {
                if !files::list(&self.place(&tenant, &receiver.name))?.is_empty() {
                    self.queues(&tenant)?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// The folder of unsent samples.
    fn place(&self, tenant: &Tenant, receiver: &str) -> PathBuf {
        self.folder.join(tenant.as_str()).join(files::escape(receiver))
    }

    /// Keeps samples on disk and has them sent. Must be called within a runtime; blocks.
    pub(crate) fn append(self: &Arc<Self>, tenant: &Tenant, samples: &[Recorded]) -> Result<(), RulerError> {
        if samples.is_empty() || !self.is_enabled(tenant) {
            return Ok(());
        }
        let of = OfTenant { tenant: tenant.as_str().to_owned() };
        let queues = self.queues(tenant);
        self.metrics.appender_ready.get_or_create(&of).set(i64::from(queues.is_ok()));
        let queues = queues?;
        self.metrics.appended.get_or_create(&of).inc_by(samples.len() as u64);
        let newest = samples.iter().map(|sample| sample.at).max().unwrap_or(0);
        self.metrics.highest.get_or_create(&of).set(newest as f64 / 1e9);
        for queue in queues {
            let receiver = &queue.receiver;
            for chunk in samples.chunks(receiver.config.max_samples_per_send) {
                let series: Vec<TimeSeries> =
                    chunk.iter().filter_map(|sample| time_series(sample, &receiver.relabels)).collect();
                if series.is_empty() {
                    continue;
                }
                let count = series.len();
                let content = WriteRequest { timeseries: series }.encode_to_vec();
                let dropped = queue.disk.push(&content, count, newest / 1_000_000).inspect_err(|_| {
                    self.metrics.dropped.get_or_create(&queue.labels).inc_by(count as u64);
                })?;
                if dropped > 0 {
                    self.metrics.dropped.get_or_create(&queue.labels).inc_by(dropped as u64);
                    tracing::error!(receiver = receiver.config.name, dropped, "too many samples wait: the oldest go");
                }
            }
            self.show(&queue);
            queue.came.notify_one();
        }
        Ok(())
    }

    /// Counts series that begin.
    pub(crate) fn began(&self, tenant: &Tenant, series: usize) {
        self.metrics.series.get_or_create(&OfTenant { tenant: tenant.as_str().to_owned() }).inc_by(series as u64);
    }

    fn show(&self, queue: &Queue) {
        let figures = queue.disk.figures();
        self.metrics.pending.get_or_create(&queue.labels).set(figures.samples as i64);
        self.metrics.disk_bytes.get_or_create(&queue.labels).set(i64::try_from(figures.bytes).unwrap_or(i64::MAX));
    }

    /// The queues of a tenant, with the receivers that its limits now name; the last good ones if those cannot be used.
    fn queues(self: &Arc<Self>, tenant: &Tenant) -> Result<Vec<Arc<Queue>>, RulerError> {
        let config = self.base.receivers(&self.limits.limits(tenant));
        let mut routes = self.routes.lock();
        let old = routes.get(tenant);
        if let Some(route) = old.filter(|route| route.config == config) {
            return Ok(route.queues.clone());
        }
        let known = old.map(|route| route.queues.clone()).unwrap_or_default();
        let new: Result<Vec<_>, RulerError> =
            config.iter().map(|receiver| self.queue(tenant, receiver.clone(), &known)).collect();
        let queues = match new {
            Ok(queues) => queues,
            Err(error) if old.is_some() => {
                tracing::error!(tenant = tenant.as_str(), %error, "the tenant's ruler_remote_write_config is not used");
                return Ok(known);
            }
            Err(error) => return Err(error),
        };
        let stop = watch::channel(false).0;
        let task = |queue: &Arc<Queue>| {
            self.show(queue);
            tokio::spawn(empty(self.clone(), queue.clone(), stop.subscribe()))
        };
        let tasks = queues.iter().map(task).collect();
        if let Some(old) = routes.insert(tenant.clone(), Route { config, queues: queues.clone(), stop, tasks }) {
            // What one of them was sending may be sent twice, which changes nothing.
            old.tasks.iter().for_each(JoinHandle::abort);
        }
        Ok(queues)
    }

    fn queue(&self, tenant: &Tenant, receiver: RemoteWrite, known: &[Arc<Queue>]) -> Result<Arc<Queue>, RulerError> {
        let labels = OfReceiver { tenant: tenant.as_str().to_owned(), remote_name: receiver.name.clone() };
        let disk = match known.iter().find(|queue| queue.receiver.config.name == receiver.name) {
            Some(queue) => queue.disk.clone(),
            None => Arc::new(DiskQueue::open(self.place(tenant, &receiver.name), MAX_QUEUE_BYTES)?),
        };
        let (came, tenant, receiver) = (Notify::new(), tenant.clone(), Receiver::new(receiver)?);
        Ok(Arc::new(Queue { disk, came, labels, tenant, receiver }))
    }

    /// Sends what can be sent at once and ends the tasks, for as long as `patience`. The rest stays on disk.
    pub(crate) async fn stop(&self, patience: Duration) {
        let routes = std::mem::take(&mut *self.routes.lock());
        let mut tasks = Vec::new();
        for route in routes.into_values() {
            route.stop.send_replace(true);
            tasks.extend(route.tasks);
        }
        let deadline = tokio::time::Instant::now() + patience;
        for mut task in tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

fn time_series(sample: &Recorded, relabels: &Relabels) -> Option<TimeSeries> {
    let mut pairs: BTreeMap<String, String> =
        sample.labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if !relabels.apply(&mut pairs) {
        return None;
    }
    let labels = pairs.into_iter().map(|(name, value)| Label { name, value }).collect();
    let samples = vec![Sample { value: sample.value, timestamp: sample.at.div_euclid(1_000_000) }];
    Some(TimeSeries { labels, samples })
}

/// What a receiver made of a request.
enum Outcome {
    Taken,
    Refused(String),
    Later(String),
}

/// Sends batch by batch, in order. A batch is tried until it is taken or refused; a ruler that stops tries once more.
async fn empty(writer: Arc<Writer>, queue: Arc<Queue>, mut stop: watch::Receiver<bool>) {
    let receiver = &queue.receiver;
    let mut wait = receiver.config.min_backoff;
    loop {
        let stopping = *stop.borrow();
        if queue.disk.is_empty() {
            if stopping {
                return;
            }
            tokio::select! {
                () = queue.came.notified() => {}
                _ = stop.changed() => {}
            }
            continue;
        }
        let (of_task, many) = (queue.clone(), receiver.config.max_samples_per_send);
        let Ok((batches, content)) = tokio::task::spawn_blocking(move || of_task.disk.front(many)).await else {
            return;
        };
        let samples: usize = batches.iter().map(|batch| batch.samples).sum();
        match send(&writer, &queue, &content).await {
            Outcome::Taken => {
                writer.metrics.samples.get_or_create(&queue.labels).inc_by(samples as u64);
                let newest = batches.iter().map(|batch| batch.newest_ms).max().unwrap_or(0);
                writer.metrics.highest_sent.get_or_create(&queue.labels).set(newest as f64 / 1e3);
            }
            Outcome::Refused(error) => {
                writer.metrics.failed.get_or_create(&queue.labels).inc_by(samples as u64);
                tracing::error!(
                    receiver = receiver.config.name,
                    samples,
                    error,
                    "samples were refused and are dropped"
                );
            }
            Outcome::Later(error) => {
                writer.metrics.retried.get_or_create(&queue.labels).inc_by(samples as u64);
                tracing::warn!(receiver = receiver.config.name, samples, error, "samples were not taken; they wait");
                if stopping {
                    return;
                }
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = stop.changed() => {}
                }
                wait = (wait * 2).min(receiver.config.max_backoff);
                continue;
            }
        }
        wait = receiver.config.min_backoff;
        remove(&writer, &queue, batches).await;
    }
}

async fn remove(writer: &Arc<Writer>, queue: &Arc<Queue>, batches: Vec<Batch>) {
    let (writer, queue) = (writer.clone(), queue.clone());
    let done = tokio::task::spawn_blocking(move || {
        let removed = queue.disk.remove(&batches);
        writer.show(&queue);
        removed
    });
    if let Ok(Err(error)) = done.await {
        tracing::error!(%error, "sent samples stay on disk and will be sent again");
    }
}

async fn send(writer: &Writer, queue: &Queue, content: &[u8]) -> Outcome {
    let receiver = &queue.receiver;
    let body = match snap::raw::Encoder::new().compress_vec(content) {
        Ok(body) => body,
        Err(error) => return Outcome::Refused(error.to_string()),
    };
    let mut request = match receiver.client.post(&receiver.config.url) {
        Ok(request) => request,
        Err(error) => return Outcome::Later(error),
    };
    let own = |name: &String| writer.base.add_org_id_header && name.eq_ignore_ascii_case(TENANT_HEADER);
    for (name, value) in receiver.config.headers.iter().filter(|(name, _)| !own(name)) {
        request = request.header(name, value);
    }
    if writer.base.add_org_id_header {
        request = request.header(TENANT_HEADER, queue.tenant.as_str());
    }
    let request = request
        .header("Content-Type", "application/x-protobuf")
        .header("Content-Encoding", "snappy")
        .header("X-Prometheus-Remote-Write-Version", "0.1.0");
    let answer = match request.body(body).send().await {
        Ok(answer) => answer,
        Err(error) if error.is_builder() => return Outcome::Refused(explain(error)),
        Err(error) => return Outcome::Later(explain(error)),
    };
    let status = answer.status();
    if status.is_success() {
        return Outcome::Taken;
    }
    let text = answer.text().await.unwrap_or_default();
    let text = format!("{status}: {}", text.trim().chars().take(200).collect::<String>());
    let later = status.is_server_error() || (status.as_u16() == 429 && receiver.config.retry_on_429);
    if later { Outcome::Later(text) } else { Outcome::Refused(text) }
}

#[cfg(test)]
mod tests {
    use narvi::Labels;
    use prost::Message;

    use super::{Recorded, STALE, proto::WriteRequest, time_series};
    use crate::relabel::Relabels;

    #[test]
    fn requests_one_after_the_other_are_one_request() {
        let request = |app: &str, at: i64| {
            let labels = Labels::from_pairs([("__name__", "m"), ("app", app)]).expect("labels");
            let sample = Recorded { labels, value: 1.5, at };
            WriteRequest { timeseries: time_series(&sample, &Relabels::default()).into_iter().collect() }
        };
        let bytes = [request("a", 1_999_999).encode_to_vec(), request("b", -1).encode_to_vec()].concat();
        let both = WriteRequest::decode(bytes.as_slice()).expect("it is read");
        assert_eq!(both.timeseries.len(), 2);
        assert_eq!(both.timeseries[0].labels[0].name, "__name__");
        assert_eq!((both.timeseries[0].samples[0].timestamp, both.timeseries[1].samples[0].timestamp), (1, -1));
        assert!(STALE.is_nan());
    }
}
