//! One group at work: evaluated at its instants, its rules in order.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use narvi::{Labels, LabelsBuilder, Tenant, logql};
use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
};

use crate::{
    Evaluate, Group, Rule, RuleKind,
    alert::{Alert, Alerts, Found, State, Terms},
    expand::{self, Context},
    metrics::{Metrics, OfGroup, OfUser},
    notify::Notifier,
    owns::Owns,
    remote::{Recorded, STALE, Writer},
    state::{Saved, SavedRule, StateStore, hash},
    times::{Nanos, nanos, now, slot},
    view::{AlertView, AlertingView, Filter, GroupView, Health, RuleView, time},
};

/// What all groups of a ruler share.
pub(crate) struct Shared {
    pub(crate) evaluate: Arc<dyn Evaluate>,
    pub(crate) owns: Arc<dyn Owns>,
    pub(crate) notifier: Arc<Notifier>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) states: StateStore,
    pub(crate) metrics: Arc<Metrics>,
    /// How many groups are evaluated at once.
    pub(crate) running: Semaphore,
    pub(crate) external_labels: Vec<(String, String)>,
    pub(crate) external_url: String,
    pub(crate) default_interval: Duration,
    pub(crate) resend_delay: Duration,
    pub(crate) outage_tolerance: Duration,
    pub(crate) grace: Duration,
}

/// A group and how it stands.
pub(crate) struct GroupRun {
    pub(crate) tenant: Tenant,
    pub(crate) namespace: String,
    pub(crate) group: Group,
    interval: Duration,
    hash: u64,
    labels: OfGroup,
    shared: Arc<Shared>,
    status: Mutex<Status>,
}

#[derive(Default)]
struct Status {
    last_evaluation: Option<Nanos>,
    evaluation_secs: f64,
    rules: Vec<RuleStatus>,
    /// Whether there is a file with the states of alerts.
    saved: bool,
}

#[derive(Default)]
struct RuleStatus {
    health: Health,
    last_error: String,
    last_evaluation: Option<Nanos>,
    evaluation_secs: f64,
    /// Of an alerting rule.
    alerts: Alerts,
    /// Series of the last evaluation, which end if they do not come again.
    series: HashSet<Labels>,
}

impl GroupRun {
    /// A group that goes on from what it was before a change, or from what an earlier run saved. Reads a file.
    pub(crate) fn new(
        shared: Arc<Shared>,
        tenant: Tenant,
        namespace: String,
        group: Group,
        before: Option<&Self>,
    ) -> Self {
        let interval = group.interval.unwrap_or(shared.default_interval);
        let labels = OfGroup { rule_group: format!("{namespace};{}", group.name), user: tenant.as_str().to_owned() };
        shared.metrics.rules.get_or_create(&labels).set(group.rules.len() as i64);
        shared.metrics.interval.get_or_create(&labels).set(interval.as_secs_f64());
        let mut status = Status::default();
        match before {
            Some(before) => status.rules = before.hand_over(&group),
            None => {
                let saved = shared.states.load(&tenant, &namespace, &group.name);
                status.saved = saved.is_some();
                status.rules = restore(&shared, &group, saved);
            }
        }
        status.saved |= before.is_some();
        let hash = hash(&[tenant.as_str(), &namespace, &group.name]);
        Self { tenant, namespace, group, interval, hash, labels, shared, status: Mutex::new(status) }
    }

    /// What rules that are in another version of the group take with them.
    fn hand_over(&self, group: &Group) -> Vec<RuleStatus> {
        let mut old: HashMap<_, VecDeque<RuleStatus>> = HashMap::new();
        let statuses = std::mem::take(&mut self.status.lock().rules);
        for (rule, status) in self.group.rules.iter().zip(statuses) {
            old.entry((rule.is_alert(), rule.name().to_owned(), rule.labels.clone())).or_default().push_back(status);
        }
        let new = group.rules.iter().map(|rule| {
            let key = (rule.is_alert(), rule.name().to_owned(), rule.labels.clone());
            old.get_mut(&key).and_then(VecDeque::pop_front).unwrap_or_default()
        });
        let new = new.collect();
        // What nobody took over ends.
        let ended: Vec<_> = old.into_values().flatten().flat_map(|status| status.series).collect();
        self.end_series(ended);
        new
    }

    fn end_series(&self, series: Vec<Labels>) {
        let at = now();
        let ends: Vec<_> = series.into_iter().map(|labels| Recorded { labels, value: STALE, at }).collect();
        self.append(&ends);
    }

    /// Evaluates until told to stop.
    pub(crate) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let interval = nanos(self.interval).max(1);
        let mut next = slot(now(), self.interval, self.hash).saturating_add(interval);
        while !*stop.borrow() {
            let wait = Duration::from_nanos(next.saturating_sub(now()).max(0).unsigned_abs());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                _ = stop.changed() => continue,
            }
            let Ok(permit) = self.shared.running.acquire().await else { return };
            // Another ruler has it now; that it is to be given away is found when rules are read next.
            if self.shared.owns.owns(&self.tenant, &self.namespace, &self.group.name) {
                self.evaluate(next, &stop).await;
            }
            drop(permit);
            let due = slot(now(), self.interval, self.hash);
            let missed = due.saturating_sub(next).max(0) / interval;
            self.shared.metrics.iterations.get_or_create(&self.labels).inc_by(1 + missed.unsigned_abs());
            self.shared.metrics.missed.get_or_create(&self.labels).inc_by(missed.unsigned_abs());
            next = due.max(next).saturating_add(interval);
        }
    }

    /// Evaluates every rule at an instant.
    pub(crate) async fn evaluate(self: &Arc<Self>, at: Nanos, stop: &watch::Receiver<bool>) {
        let started = Instant::now();
        for (n, rule) in self.group.rules.iter().enumerate() {
            if *stop.borrow() {
                return;
            }
            let rule_started = Instant::now();
            let result = match &rule.kind {
                RuleKind::Alert { .. } => self.alert(n, rule, at).await,
                RuleKind::Record { .. } => self.record(n, rule, at).await,
            };
            self.shared.metrics.evaluations.get_or_create(&self.labels).inc();
            let mut status = self.status.lock();
            let Some(status) = status.rules.get_mut(n) else { continue };
            status.last_evaluation = Some(at);
            status.evaluation_secs = rule_started.elapsed().as_secs_f64();
            let user = OfUser { user: self.tenant.as_str().to_owned() };
            self.shared.metrics.rule_duration.get_or_create(&user).observe(status.evaluation_secs);
            (status.health, status.last_error) = match result {
                Ok(()) => (Health::Good, String::new()),
                Err(error) => {
                    self.shared.metrics.failures.get_or_create(&self.labels).inc();
                    let (tenant, group, rule) = (self.tenant.as_str(), self.labels.rule_group.as_str(), rule.name());
                    tracing::warn!(tenant, group, rule, error, "a rule could not be evaluated");
                    (Health::Bad, error)
                }
            };
        }
        let seconds = started.elapsed().as_secs_f64();
        let user = OfUser { user: self.tenant.as_str().to_owned() };
        self.shared.metrics.group_duration.get_or_create(&user).observe(seconds);
        self.shared.metrics.last_duration.get_or_create(&self.labels).set(seconds);
        self.shared.metrics.last_evaluation.get_or_create(&self.labels).set(at as f64 / 1e9);
        {
            let mut status = self.status.lock();
            (status.last_evaluation, status.evaluation_secs) = (Some(at), seconds);
        }
        let this = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || this.save(at)).await {
            tracing::error!(%error, "saving the states of alerts failed unexpectedly");
        }
    }

    fn asked_at(&self, at: Nanos) -> Nanos {
        at.saturating_sub(nanos(self.group.query_offset))
    }

    async fn alert(self: &Arc<Self>, n: usize, rule: &Rule, at: Nanos) -> Result<(), String> {
        let RuleKind::Alert { hold, keep_firing, .. } = rule.kind else { return Ok(()) };
        let samples = self.shared.evaluate.instant(&self.tenant, &rule.expr, self.asked_at(at)).await?;
        let (this, of_task, runtime) = (self.clone(), rule.clone(), Handle::current());
        // Templates may ask queries of their own.
        let expanded = tokio::task::spawn_blocking(move || -> Result<Vec<Found>, String> {
            let context = Context {
                evaluate: this.shared.evaluate.as_ref(),
                tenant: &this.tenant,
                at: this.asked_at(at),
                external_labels: &this.shared.external_labels,
                external_url: &this.shared.external_url,
                runtime: &runtime,
            };
            expand::alerts(&of_task, &this.group.labels, &samples, &context)
        });
        let found = expanded.await.map_err(|_| "expanding the templates failed unexpectedly".to_owned())??;
        let terms = Terms { hold, keep_firing, limit: self.group.limit };
        let (due, series, result) = {
            let mut status = self.status.lock();
            let Some(status) = status.rules.get_mut(n) else { return Ok(()) };
            let result = status.alerts.update(at, found, terms);
            let due = match &result {
                Ok(()) => status.alerts.take_due(at, self.shared.resend_delay),
                Err(_) => Vec::new(),
            };
            let series =
                if self.shared.writer.is_enabled(&self.tenant) { alert_series(&status.alerts) } else { Vec::new() };
            (due, series, result)
        };
        self.shared.notifier.send(&self.tenant, &rule.expr, at, self.interval, due);
        self.write(n, at, series).await;
        result
    }

    async fn record(self: &Arc<Self>, n: usize, rule: &Rule, at: Nanos) -> Result<(), String> {
        let samples = self.shared.evaluate.instant(&self.tenant, &rule.expr, self.asked_at(at)).await?;
        let series = expand::series(rule, &self.group.labels, &samples)?;
        let (limit, many) = (self.group.limit, series.len());
        if limit > 0 && i64::try_from(many).is_ok_and(|many| many > limit) {
            return Err(format!("exceeded limit of {limit} with {many} series"));
        }
        self.write(n, at, series).await;
        Ok(())
    }

    /// Hands on the series of a rule, and the ends of those that did not come again.
    async fn write(self: &Arc<Self>, n: usize, at: Nanos, series: Vec<(Labels, f64)>) {
        if !self.shared.writer.is_enabled(&self.tenant) {
            return;
        }
        let new: HashSet<Labels> = series.iter().map(|(labels, _)| labels.clone()).collect();
        let mut samples: Vec<_> = series.into_iter().map(|(labels, value)| Recorded { labels, value, at }).collect();
        {
            let mut status = self.status.lock();
            let Some(status) = status.rules.get_mut(n) else { return };
            let ended = status.series.difference(&new);
            samples.extend(ended.map(|labels| Recorded { labels: labels.clone(), value: STALE, at }));
            self.shared.writer.began(&self.tenant, new.difference(&status.series).count());
            status.series = new;
        }
        let this = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || this.append(&samples)).await {
            tracing::error!(%error, "keeping samples failed unexpectedly");
        }
    }

    fn append(&self, samples: &[Recorded]) {
        if let Err(error) = self.shared.writer.append(&self.tenant, samples) {
            let (tenant, group) = (self.tenant.as_str(), self.labels.rule_group.as_str());
            tracing::error!(tenant, group, samples = samples.len(), %error, "samples are lost");
        }
    }

    /// Writes the states of alerts as they are, if there are any. Blocks.
    pub(crate) fn save(&self, at: Nanos) {
        let mut status = self.status.lock();
        let has_alerts = status.rules.iter().any(|rule| !rule.alerts.0.is_empty());
        if !has_alerts && !status.saved {
            return;
        }
        let rules = self.group.rules.iter().zip(&status.rules).filter(|(_, status)| !status.alerts.0.is_empty());
        let saved = Saved {
            namespace: self.namespace.clone(),
            group: self.group.name.clone(),
            evaluated_at_ns: at,
            rules: rules.map(|(rule, status)| SavedRule::new(rule.name(), &rule.labels, &status.alerts)).collect(),
        };
        status.saved = has_alerts;
        drop(status);
        if let Err(error) = self.shared.states.save(&self.tenant, &saved) {
            tracing::error!(%error, "the states of alerts are not saved and would be lost by a restart");
        }
    }

    /// Ends what a group that is no more has left.
    pub(crate) fn retire(&self) {
        self.shared.metrics.forget(&self.labels);
        let series = self.status.lock().rules.iter_mut().flat_map(|rule| std::mem::take(&mut rule.series)).collect();
        self.end_series(series);
        if let Err(error) = self.shared.states.forget(&self.tenant, &self.namespace, &self.group.name) {
            tracing::warn!(%error, "the states of alerts of a removed group are left");
        }
    }

    /// Leaves the group to another ruler, which finds the states of alerts where rulers share them, and begins anew where not.
    pub(crate) fn give_away(&self) {
        self.shared.metrics.forget(&self.labels);
        if !self.shared.states.is_shared()
            && let Err(error) = self.shared.states.forget(&self.tenant, &self.namespace, &self.group.name)
        {
            tracing::warn!(%error, "the states of alerts of a group that another ruler has are left");
        }
    }

    /// How the group stands; `None` if none of its rules is asked for.
    pub(crate) fn view(&self, filter: &Filter) -> Option<GroupView> {
        group_view(&self.namespace, &self.group, self.interval, &self.status.lock(), filter)
    }
}

fn group_view(
    namespace: &str,
    group: &Group,
    interval: Duration,
    status: &Status,
    filter: &Filter,
) -> Option<GroupView> {
    if !filter.group(namespace, &group.name) {
        return None;
    }
    let rules = group.rules.iter().zip(&status.rules);
    let rules: Vec<_> = rules
        .filter(|(rule, _)| filter.rule(rule.name(), rule.is_alert()))
        .map(|(rule, status)| rule_view(rule, status))
        .collect();
    if rules.is_empty() && (filter.alerts.is_some() || !filter.rule_names.is_empty()) {
        return None;
    }
    Some(GroupView {
        name: group.name.clone(),
        file: namespace.to_owned(),
        interval_secs: interval.as_secs_f64(),
        limit: group.limit,
        last_evaluation: time(status.last_evaluation),
        evaluation_secs: status.evaluation_secs,
        rules,
    })
}

/// How a group of another ruler stands, as the states of its alerts tell. Reads a file, if rulers share them.
pub(crate) fn view_elsewhere(
    shared: &Shared,
    tenant: &Tenant,
    namespace: &str,
    group: &Group,
    filter: &Filter,
) -> Option<GroupView> {
    if !filter.group(namespace, &group.name) {
        return None;
    }
    let saved = shared.states.is_shared().then(|| shared.states.load(tenant, namespace, &group.name)).flatten();
    let (at, mut saved) = saved.map_or((None, Vec::new()), |saved| (Some(saved.evaluated_at_ns), saved.rules));
    let status = |rule: &Rule| {
        let found = saved.iter().position(|saved| saved.name == rule.name() && saved.labels == rule.labels);
        let alerts = found.map(|at| saved.remove(at).alerts());
        // One that has alerts could be evaluated.
        let health = if alerts.is_some() { Health::Good } else { Health::Unknown };
        RuleStatus { health, last_evaluation: at, alerts: alerts.unwrap_or_default(), ..RuleStatus::default() }
    };
    let rules = group.rules.iter().map(status).collect();
    let status = Status { last_evaluation: at, rules, ..Status::default() };
    group_view(namespace, group, group.interval.unwrap_or(shared.default_interval), &status, filter)
}

/// What an earlier run saved, as far as it is not too old.
fn restore(shared: &Shared, group: &Group, saved: Option<Saved>) -> Vec<RuleStatus> {
    let at = now();
    let saved = saved.filter(|saved| {
        let fresh = at.saturating_sub(saved.evaluated_at_ns) <= nanos(shared.outage_tolerance);
        if !fresh {
            let group = saved.group.as_str();
            tracing::info!(group, "the states of its alerts are older than for_outage_tolerance and begin anew");
        }
        fresh
    });
    let (down, mut rules) = saved.map_or((at, Vec::new()), |saved| (saved.evaluated_at_ns, saved.rules));
    let status = |rule: &Rule| {
        let RuleKind::Alert { hold, .. } = rule.kind else { return RuleStatus::default() };
        let found = rules.iter().position(|saved| saved.name == rule.name() && saved.labels == rule.labels);
        let mut alerts = found.map_or_else(Alerts::default, |at| rules.remove(at).alerts());
        alerts.resume(down, at, hold, shared.grace);
        RuleStatus { alerts, ..RuleStatus::default() }
    };
    group.rules.iter().map(status).collect()
}

/// `ALERTS` and `ALERTS_FOR_STATE`, as Prometheus writes them of pending and firing alerts.
fn alert_series(alerts: &Alerts) -> Vec<(Labels, f64)> {
    let mut series = Vec::new();
    for (labels, alert) in alerts.active() {
        let named = |name: &str, state: Option<State>| {
            let mut built = LabelsBuilder::from_labels(labels);
            built.set("__name__", name);
            if let Some(state) = state {
                built.set("alertstate", state.as_str());
            }
            built.build().ok()
        };
        series.extend(named("ALERTS", Some(alert.state)).map(|labels| (labels, 1.0)));
        let since = alert.active_at.div_euclid(1_000_000_000) as f64;
        series.extend(named("ALERTS_FOR_STATE", None).map(|labels| (labels, since)));
    }
    series
}

fn rule_view(rule: &Rule, status: &RuleStatus) -> RuleView {
    let alerting = match &rule.kind {
        RuleKind::Record { .. } => None,
        RuleKind::Alert { hold, annotations, .. } => Some(AlertingView {
            state: status.alerts.state().as_str(),
            hold_secs: hold.as_secs_f64(),
            annotations: annotations.clone(),
            alerts: status.alerts.active().into_iter().map(|(labels, alert)| alert_view(labels, alert)).collect(),
        }),
    };
    RuleView {
        name: rule.name().to_owned(),
        query: logql::parse(&rule.expr).map_or_else(|_| rule.expr.clone(), |expr| expr.to_string()),
        labels: rule.labels.clone(),
        health: status.health,
        last_error: status.last_error.clone(),
        last_evaluation: time(status.last_evaluation),
        evaluation_secs: status.evaluation_secs,
        alerting,
    }
}

fn alert_view(labels: &Labels, alert: &Alert) -> AlertView {
    let labels: BTreeMap<_, _> = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    AlertView {
        labels,
        annotations: alert.annotations.clone(),
        state: alert.state.as_str(),
        active_at: time(Some(alert.active_at)),
        value: alert.value,
    }
}
