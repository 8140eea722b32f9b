//! Sending alerts to Alertmanagers: for each tenant and Alertmanager a bounded queue and a task that empties it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use narvi::{Labels, Tenant};
use narvi_config::{AlertmanagerConfig, RulerConfig};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use crate::{
    Evaluate, RulerError,
    alert::Alert,
    client::{Client, explain},
    metrics::{Metrics, OfAlertmanager, OfUser},
    relabel::Relabels,
    times::{Nanos, nanos, rfc3339},
};

/// Alerts in one request.
const BATCH: usize = 64;

/// How often a request is made before its alerts are given up; those that still fire come again anyway.
const ATTEMPTS: u32 = 3;

/// The wait after the first failure; doubled after each.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// An alert as Alertmanager's API takes it, in version 1 and 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
}

/// Knows the Alertmanagers and keeps the queues.
pub(crate) struct Notifier {
    base: AlertmanagerConfig,
    /// Knows what tenants have of their own.
    limits: Arc<dyn Evaluate>,
    external_labels: BTreeMap<String, String>,
    external_url: String,
    datasource: String,
    resend_delay: Duration,
    metrics: Arc<Metrics>,
    routes: Mutex<Routes>,
}

#[derive(Default)]
struct Routes {
    of_tenant: HashMap<Tenant, Arc<Route>>,
    /// Those that were replaced and may still have something to send.
    leaving: Vec<Arc<Route>>,
}

/// The Alertmanagers of a tenant.
struct Route {
    config: AlertmanagerConfig,
    client: Client,
    relabels: Relabels,
    queues: Vec<Arc<Queue>>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue {
    /// Where to post.
    url: String,
    waiting: Mutex<VecDeque<Posted>>,
    came: Notify,
    tenant: Tenant,
    labels: OfAlertmanager,
}

impl Notifier {
    pub(crate) fn new(
        config: &RulerConfig,
        limits: Arc<dyn Evaluate>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, RulerError> {
        // What all tenants share must be right from the start.
        Route::new(&config.alertmanager, &Tenant::default())?;
        Ok(Self {
            base: config.alertmanager.clone(),
            limits,
            external_labels: config.external_labels.clone(),
            external_url: config.external_url.trim_end_matches('/').to_owned(),
            datasource: config.datasource_uid.clone(),
            resend_delay: config.resend_delay,
            metrics,
            routes: Mutex::default(),
        })
    }

    /// Queues alerts of a rule that was evaluated at `at`. Must be called within a runtime.
    pub(crate) fn send(
        self: &Arc<Self>,
        tenant: &Tenant,
        expr: &str,
        at: Nanos,
        interval: Duration,
        alerts: Vec<(Labels, Alert)>,
    ) {
        if alerts.is_empty() {
            return;
        }
        let Some(route) = self.route(tenant) else { return };
        let lifetime = nanos(self.resend_delay.max(interval)).saturating_mul(4);
        let posted: Vec<Posted> = alerts
            .into_iter()
            .filter_map(|(labels, alert)| self.posted(&route, expr, &labels, alert, at.saturating_add(lifetime)))
            .collect();
        for queue in &route.queues {
            let mut waiting = queue.waiting.lock();
            waiting.extend(posted.iter().cloned());
            let surplus = waiting.len().saturating_sub(route.config.queue_capacity.max(1));
            if surplus > 0 {
                waiting.drain(..surplus);
                let user = OfUser { user: tenant.as_str().to_owned() };
                self.metrics.alerts_dropped.get_or_create(&user).inc_by(surplus as u64);
                tracing::warn!(
                    alertmanager = queue.labels.alertmanager,
                    surplus,
                    "too many alerts wait: the oldest go"
                );
            }
            self.metrics.alerts_waiting.get_or_create(&queue.labels).set(waiting.len() as i64);
            drop(waiting);
            queue.came.notify_one();
        }
    }

    fn posted(&self, route: &Route, expr: &str, labels: &Labels, alert: Alert, valid_until: Nanos) -> Option<Posted> {
        let mut pairs = self.external_labels.clone();
        pairs.extend(labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        if !route.relabels.apply(&mut pairs) {
            return None;
        }
        Some(Posted {
            labels: pairs,
            annotations: alert.annotations,
            starts_at: rfc3339(Some(alert.fired_at.unwrap_or(alert.active_at))),
            ends_at: rfc3339(Some(alert.resolved_at.unwrap_or(valid_until))),
            generator_url: generator_url(&self.external_url, &self.datasource, expr),
        })
    }

    /// The Alertmanagers of a tenant as its limits now say; the last good ones if what they say cannot be used.
    fn route(self: &Arc<Self>, tenant: &Tenant) -> Option<Arc<Route>> {
        let config = self.base.with(&self.limits.limits(tenant).alertmanager);
        let mut routes = self.routes.lock();
        let old = routes.of_tenant.get(tenant).cloned();
        if let Some(route) = old.as_ref().filter(|route| route.config == config) {
            return Some(route.clone());
        }
        let route = match Route::new(&config, tenant) {
            Ok(route) => Arc::new(route),
            Err(error) => {
                tracing::error!(tenant = tenant.as_str(), %error, "the tenant's ruler_alertmanager_config is not used");
                return old;
            }
        };
        for queue in &route.queues {
            let task = tokio::spawn(empty(self.clone(), route.clone(), queue.clone(), route.stop.subscribe()));
            route.tasks.lock().push(task);
        }
        let user = OfUser { user: tenant.as_str().to_owned() };
        self.metrics.alertmanagers.get_or_create(&user).set(route.queues.len() as i64);
        self.metrics.alerts_capacity.get_or_create(&user).set(config.queue_capacity.max(1) as i64);
        routes.leaving.retain(|route| route.tasks.lock().iter().any(|task| !task.is_finished()));
        if let Some(old) = routes.of_tenant.insert(tenant.clone(), route.clone()) {
            old.stop.send_replace(true);
            routes.leaving.push(old);
        }
        Some(route)
    }

    /// Sends what waits and ends the tasks, for as long as `patience`.
    pub(crate) async fn stop(&self, patience: Duration) {
        let mut tasks = Vec::new();
        {
            let mut routes = self.routes.lock();
            let mut all = std::mem::take(&mut routes.leaving);
            all.extend(routes.of_tenant.drain().map(|(_, route)| route));
            for route in all {
                route.stop.send_replace(true);
                tasks.append(&mut route.tasks.lock());
            }
        }
        let deadline = tokio::time::Instant::now() + patience;
        for mut task in tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Route {
    fn new(config: &AlertmanagerConfig, tenant: &Tenant) -> Result<Self, RulerError> {
        let queue = |url: &String| {
            let (url, alertmanager) = target(url, config.v2)?;
            let labels = OfAlertmanager { alertmanager, user: tenant.as_str().to_owned() };
            let (waiting, came) = (Mutex::default(), Notify::new());
            Ok(Arc::new(Queue { url, waiting, came, tenant: tenant.clone(), labels }))
        };
        Ok(Self {
            queues: config.urls.iter().map(queue).collect::<Result<_, RulerError>>()?,
            client: Client::new(&config.client, config.timeout)?,
            relabels: Relabels::new(&config.relabel)?,
            config: config.clone(),
            stop: watch::channel(false).0,
            tasks: Mutex::default(),
        })
    }
}

/// Where to post for a base address, and its name without credentials.
fn target(url: &str, v2: bool) -> Result<(String, String), RulerError> {
    let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let Some(mut parsed) = parsed else {
        let text = "alertmanager_url: every Alertmanager needs an address such as http://host:9093";
        return Err(RulerError::Setting(format!("{text}, found {url:?}")));
    };
    let version = if v2 { "v2" } else { "v1" };
    let path = format!("{}/api/{version}/alerts", parsed.path().trim_end_matches('/'));
    parsed.set_path(&path);
    let post = parsed.to_string();
    // Neither fails for http.
    let _ = (parsed.set_username(""), parsed.set_password(None));
    Ok((post, parsed.to_string()))
}

/// Sends batch by batch until told to stop, then what is left.
async fn empty(notifier: Arc<Notifier>, route: Arc<Route>, queue: Arc<Queue>, mut stop: watch::Receiver<bool>) {
    loop {
        let batch: Vec<Posted> = {
            let mut waiting = queue.waiting.lock();
            let many = waiting.len().min(BATCH);
            let batch = waiting.drain(..many).collect();
            notifier.metrics.alerts_waiting.get_or_create(&queue.labels).set(waiting.len() as i64);
            batch
        };
        if batch.is_empty() {
            if *stop.borrow() {
                return;
            }
            tokio::select! {
                () = queue.came.notified() => {}
                _ = stop.changed() => {}
            }
            continue;
        }
        post(&notifier, &route, &queue, &batch).await;
    }
}

async fn post(notifier: &Notifier, route: &Route, queue: &Queue, batch: &[Posted]) {
    let Ok(body) = serde_json::to_vec(batch) else { return };
    let body = bytes::Bytes::from(body);
    let mut wait = FIRST_WAIT;
    for attempt in 1..=ATTEMPTS {
        let started = Instant::now();
        let answer = attempt_post(&route.client, queue, body.clone()).await;
        notifier.metrics.send_latency.get_or_create(&queue.labels).observe(started.elapsed().as_secs_f64());
        let failure = match answer {
            Ok(()) => {
                notifier.metrics.sent.get_or_create(&queue.labels).inc_by(batch.len() as u64);
                return;
            }
            Err(failure) => failure,
        };
        let last = attempt == ATTEMPTS || !failure.again;
        let (alertmanager, alerts) = (queue.labels.alertmanager.as_str(), batch.len());
        tracing::warn!(alertmanager, alerts, attempt, error = failure.text, "alerts were not taken");
        if last {
            break;
        }
        tokio::time::sleep(wait).await;
        wait *= 2;
    }
    notifier.metrics.send_errors.get_or_create(&queue.labels).inc_by(batch.len() as u64);
}

/// Why a request failed, and whether it may succeed later.
struct Failure {
    text: String,
    again: bool,
}

async fn attempt_post(client: &Client, queue: &Queue, body: bytes::Bytes) -> Result<(), Failure> {
    let request = client.post(&queue.url).map_err(|text| Failure { text, again: true })?;
    let request = request.header("Content-Type", "application/json").header("X-Scope-OrgID", queue.tenant.as_str());
    let answer = request.body(body).send().await.map_err(|error| Failure { text: explain(error), again: true })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let text = answer.text().await.unwrap_or_default();
    let text = format!("{status}: {}", text.trim().chars().take(200).collect::<String>());
    Err(Failure { text, again: status.is_server_error() || status.as_u16() == 429 })
}

/// Where a person can look at what an alert is about: Grafana's page of the data source, if one is named.
fn generator_url(base: &str, datasource: &str, expr: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    if datasource.is_empty() {
        return format!("{base}/graph?g0.expr={}&g0.tab=1", encode(expr));
    }
    let source = serde_json::json!({"type": "loki", "uid": datasource});
    let query = serde_json::json!({"refId": "A", "expr": expr, "queryType": "range", "datasource": source});
    let left =
        serde_json::json!({"datasource": datasource, "queries": [query], "range": {"from": "now-1h", "to": "now"}});
    format!("{base}/explore?left={}", encode(&left.to_string()))
}

#[cfg(test)]
#[path = "notify_tests.rs"]
mod tests;
