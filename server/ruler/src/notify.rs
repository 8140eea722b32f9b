//! Sending alerts to Alertmanagers: for each tenant and Alertmanager a bounded queue and a task that empties it.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use narvi::{Labels, Tenant};
use narvi_config::RulerConfig;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use crate::{
    RulerError,
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
#[derive(Debug)]
pub(crate) struct Notifier {
    /// Where to post, one for each Alertmanager, and its name without credentials.
    targets: Vec<(String, String)>,
    client: Client,
    capacity: usize,
    relabels: Relabels,
    external_labels: BTreeMap<String, String>,
    external_url: String,
    datasource: String,
    resend_delay: Duration,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    queues: Mutex<Queues>,
}

#[derive(Debug, Default)]
struct Queues {
    of_tenant: HashMap<Tenant, Vec<Arc<Queue>>>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Queue {
    waiting: Mutex<VecDeque<Posted>>,
    came: Notify,
    labels: OfAlertmanager,
}

impl Notifier {
    pub(crate) fn new(config: &RulerConfig, metrics: Arc<Metrics>) -> Result<Self, RulerError> {
        let version = if config.alertmanager_v2 { "v2" } else { "v1" };
        let target = |url: &String| {
            let parsed = reqwest::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            let Some(mut parsed) = parsed else {
                let text = "ruler.alertmanager_url: every Alertmanager needs an address such as http://host:9093";
                return Err(RulerError::Setting(format!("{text}, found {url:?}")));
            };
            let path = format!("{}/api/{version}/alerts", parsed.path().trim_end_matches('/'));
            parsed.set_path(&path);
            let post = parsed.to_string();
            // Neither fails for http.
            let _ = (parsed.set_username(""), parsed.set_password(None));
            Ok((post, parsed.to_string()))
        };
        Ok(Self {
            targets: config.alertmanager_urls.iter().map(target).collect::<Result<_, _>>()?,
            client: Client::new(&config.alertmanager_client, config.notification_timeout)?,
            capacity: config.notification_queue_capacity.max(1),
            relabels: Relabels::new(&config.alert_relabel)?,
            external_labels: config.external_labels.clone(),
            external_url: config.external_url.trim_end_matches('/').to_owned(),
            datasource: config.datasource_uid.clone(),
            resend_delay: config.resend_delay,
            metrics,
            stop: watch::channel(false).0,
            queues: Mutex::default(),
        })
    }

    /// Queues alerts of a rule that was evaluated at `at`.
    pub(crate) fn send(
        self: &Arc<Self>,
        tenant: &Tenant,
        expr: &str,
        at: Nanos,
        interval: Duration,
        alerts: Vec<(Labels, Alert)>,
    ) {
        if self.targets.is_empty() || alerts.is_empty() {
            return;
        }
        let lifetime = nanos(self.resend_delay.max(interval)).saturating_mul(4);
        let posted: Vec<Posted> = alerts
            .into_iter()
            .filter_map(|(labels, alert)| self.posted(expr, &labels, alert, at.saturating_add(lifetime)))
            .collect();
        for queue in self.queues(tenant) {
            let mut waiting = queue.waiting.lock();
            waiting.extend(posted.iter().cloned());
            let surplus = waiting.len().saturating_sub(self.capacity);
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

    fn posted(&self, expr: &str, labels: &Labels, alert: Alert, valid_until: Nanos) -> Option<Posted> {
        let mut pairs = self.external_labels.clone();
        pairs.extend(labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())));
        if !self.relabels.apply(&mut pairs) {
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

    fn queues(self: &Arc<Self>, tenant: &Tenant) -> Vec<Arc<Queue>> {
        let mut queues = self.queues.lock();
        if let Some(queues) = queues.of_tenant.get(tenant) {
            return queues.clone();
        }
        let mut new = Vec::new();
        for (url, name) in &self.targets {
            let labels = OfAlertmanager { alertmanager: name.clone(), user: tenant.as_str().to_owned() };
            let queue = Arc::new(Queue { waiting: Mutex::default(), came: Notify::new(), labels });
            new.push(queue.clone());
            let task = empty(self.clone(), queue, url.clone(), tenant.clone(), self.stop.subscribe());
            queues.tasks.push(tokio::spawn(task));
        }
        queues.of_tenant.insert(tenant.clone(), new.clone());
        new
    }

    /// Sends what waits and ends the tasks, for as long as `patience`.
    pub(crate) async fn stop(&self, patience: Duration) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut self.queues.lock().tasks);
        let deadline = tokio::time::Instant::now() + patience;
        for mut task in tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

/// Sends batch by batch until told to stop, then what is left.
async fn empty(
    notifier: Arc<Notifier>,
    queue: Arc<Queue>,
    url: String,
    tenant: Tenant,
    mut stop: watch::Receiver<bool>,
) {
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
        post(&notifier, &queue, &url, &tenant, &batch).await;
    }
}

async fn post(notifier: &Notifier, queue: &Queue, url: &str, tenant: &Tenant, batch: &[Posted]) {
    let Ok(body) = serde_json::to_vec(batch) else { return };
    let body = bytes::Bytes::from(body);
    let mut wait = FIRST_WAIT;
    for attempt in 1..=ATTEMPTS {
        let failure = match attempt_post(notifier, url, tenant, body.clone()).await {
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

async fn attempt_post(notifier: &Notifier, url: &str, tenant: &Tenant, body: bytes::Bytes) -> Result<(), Failure> {
    let request = notifier.client.post(url).map_err(|text| Failure { text, again: true })?;
    let request = request.header("Content-Type", "application/json").header("X-Scope-OrgID", tenant.as_str());
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
mod tests {
    use std::{sync::Arc, time::Duration};

    use narvi::{Labels, Tenant};
    use narvi_config::RulerConfig;

    use super::{Notifier, generator_url};
    use crate::{
        alert::{Alert, State},
        metrics::Metrics,
    };

    fn notifier(url: &str, capacity: usize) -> Arc<Notifier> {
        let mut config = RulerConfig::default();
        config.alertmanager_urls = vec![url.to_owned()];
        config.notification_queue_capacity = capacity;
        config.external_labels =
            [("cluster".to_owned(), "c".to_owned()), ("app".to_owned(), "other".to_owned())].into();
        config.external_url = "http://grafana/".to_owned();
        Arc::new(Notifier::new(&config, Arc::new(Metrics::new())).expect("the settings are right"))
    }

    fn firing(at: i64) -> (Labels, Alert) {
        let labels = Labels::from_pairs([("alertname", "A"), ("app", "api")]).expect("labels");
        (labels, Alert { state: State::Firing, fired_at: Some(at), ..Alert::default() })
    }

    #[test]
    fn alerts_are_made_for_alertmanager() {
        let notifier = notifier("http://u:p@am:9093/base/", 10);
        assert_eq!(notifier.targets[0].0, "http://u:p@am:9093/base/api/v2/alerts");
        assert_eq!(notifier.targets[0].1, "http://am:9093/base/api/v2/alerts");
        let (labels, alert) = firing(1_700_000_000_000_000_000);
        let posted = notifier.posted("1 > 0", &labels, alert, 1_700_000_240_000_000_000).expect("it is kept");
        assert_eq!(
            serde_json::to_string(&posted).expect("JSON"),
            "{\"labels\":{\"alertname\":\"A\",\"app\":\"api\",\"cluster\":\"c\"},\"annotations\":{},\
             \"startsAt\":\"2023-11-14T22:13:20Z\",\"endsAt\":\"2023-11-14T22:17:20Z\",\
             \"generatorURL\":\"http://grafana/graph?g0.expr=1+%3E+0&g0.tab=1\"}"
        );
        assert!(
            generator_url("http://g", "uid1", "x")
                .starts_with("http://g/explore?left=%7B%22datasource%22%3A%22uid1%22")
        );
        let mut wrong = RulerConfig::default();
        wrong.alertmanager_urls = vec!["am:9093".to_owned()];
        assert!(Notifier::new(&wrong, Arc::new(Metrics::new())).is_err());
    }

    #[tokio::test]
    async fn the_oldest_alerts_go_when_too_many_wait() {
        let notifier = notifier("http://127.0.0.1:1", 3);
        let alerts = (0..5).map(firing).collect();
        // The task has had no chance to take any.
        notifier.send(&Tenant::default(), "1", 0, Duration::from_secs(1), alerts);
        let queues = notifier.queues(&Tenant::default());
        assert_eq!(queues[0].waiting.lock().len(), 3);
        notifier.stop(Duration::ZERO).await;
    }
}
