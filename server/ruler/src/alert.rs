//! The states of the alerts of one rule: what an evaluation makes of them. No clock, no I/O.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use narvi::Labels;
use serde::{Deserialize, Serialize};

use crate::times::{Nanos, nanos};

/// How long a resolved alert is still told of.
const RESOLVED_RETENTION: Duration = Duration::from_secs(15 * 60);

/// Where an alert stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// Gone; Alertmanager may still have to be told.
    #[default]
    Inactive,
    Pending,
    Firing,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
        }
    }
}

/// An alert. Times are nanoseconds since the epoch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Alert {
    pub(crate) state: State,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) value: f64,
    pub(crate) active_at: Nanos,
    pub(crate) fired_at: Option<Nanos>,
    pub(crate) resolved_at: Option<Nanos>,
    /// Since when it fires on although its cause is gone.
    pub(crate) kept_since: Option<Nanos>,
    pub(crate) last_sent: Option<Nanos>,
}

impl Alert {
    /// Whether Alertmanager has to be told, now or again.
    fn needs_sending(&self, at: Nanos, resend_delay: Duration) -> bool {
        if self.state == State::Pending {
            return false;
        }
        let Some(sent) = self.last_sent else { return true };
        self.resolved_at.is_some_and(|resolved| resolved > sent) || sent.saturating_add(nanos(resend_delay)) < at
    }
}

/// What an evaluation found for one alert.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Found {
    pub(crate) labels: Labels,
    pub(crate) annotations: BTreeMap<String, String>,
    pub(crate) value: f64,
}

/// The alerts of one rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Alerts(pub(crate) HashMap<Labels, Alert>);

/// What a rule says about its alerts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Terms {
    pub(crate) hold: Duration,
    pub(crate) keep_firing: Duration,
    /// Most alerts; 0 or less is no limit.
    pub(crate) limit: i64,
}

impl Alerts {
    /// Takes over what an evaluation at `at` found.
    ///
    /// # Errors
    /// There are more alerts than allowed; all are dropped then.
    pub(crate) fn update(&mut self, at: Nanos, found: Vec<Found>, terms: Terms) -> Result<(), String> {
        let mut seen = std::collections::HashSet::with_capacity(found.len());
        for Found { labels, annotations, value } in found {
            seen.insert(labels.clone());
            let alert = self.0.entry(labels).or_default();
            if alert.state == State::Inactive {
                *alert = Alert { state: State::Pending, active_at: at, ..Alert::default() };
            }
            (alert.annotations, alert.value) = (annotations, value);
        }
        let mut active = 0i64;
        self.0.retain(|labels, alert| {
            let stays = match seen.contains(labels) {
                true => hold(alert, at, terms),
                false => lose(alert, at, terms),
            };
            active += i64::from(stays && alert.state != State::Inactive);
            stays
        });
        if terms.limit > 0 && active > terms.limit {
            self.0.clear();
            return Err(format!("exceeded limit of {} with {active} alerts", terms.limit));
        }
        Ok(())
    }

    /// The alerts that Alertmanager has to be told of, marked as told.
    pub(crate) fn take_due(&mut self, at: Nanos, resend_delay: Duration) -> Vec<(Labels, Alert)> {
        let mut due = Vec::new();
        for (labels, alert) in &mut self.0 {
            if alert.needs_sending(at, resend_delay) {
                alert.last_sent = Some(at);
                due.push((labels.clone(), alert.clone()));
            }
        }
        due.sort_unstable_by(|(a, _), (b, _)| a.packed().cmp(b.packed()));
        due
    }

    /// Pending and firing alerts, sorted by their labels.
    pub(crate) fn active(&self) -> Vec<(&Labels, &Alert)> {
        let mut active: Vec<_> = self.0.iter().filter(|(_, alert)| alert.state != State::Inactive).collect();
        active.sort_unstable_by(|(a, _), (b, _)| a.packed().cmp(b.packed()));
        active
    }

    /// The furthest state of any alert.
    pub(crate) fn state(&self) -> State {
        self.0.values().map(|alert| alert.state).max().unwrap_or_default()
    }

    /// Goes on after a pause from `down` to `at`: what fired still fires; what was pending waits on, and at least
    /// `grace` where it has to wait that long at all.
    pub(crate) fn resume(&mut self, down: Nanos, at: Nanos, hold: Duration, grace: Duration) {
        let (hold, grace, pause) = (nanos(hold), nanos(grace), at.saturating_sub(down).max(0));
        for alert in self.0.values_mut().filter(|alert| alert.state == State::Pending) {
            let left = alert.active_at.saturating_add(hold).saturating_sub(down);
            alert.active_at = match hold >= grace && left < grace {
                true => at.saturating_add(grace).saturating_sub(hold),
                false => alert.active_at.saturating_add(pause),
            };
        }
    }
}

/// An alert whose cause is there; always stays.
fn hold(alert: &mut Alert, at: Nanos, terms: Terms) -> bool {
    alert.kept_since = None;
    if alert.state == State::Pending && at.saturating_sub(alert.active_at) >= nanos(terms.hold) {
        alert.state = State::Firing;
        alert.fired_at = Some(at);
    }
    true
}

/// An alert whose cause is gone; says whether it stays.
fn lose(alert: &mut Alert, at: Nanos, terms: Terms) -> bool {
    if alert.state == State::Firing && !terms.keep_firing.is_zero() {
        let since = *alert.kept_since.get_or_insert(at);
        if at.saturating_sub(since) < nanos(terms.keep_firing) {
            return true;
        }
    }
    let old = alert.resolved_at.is_some_and(|resolved| at.saturating_sub(resolved) > nanos(RESOLVED_RETENTION));
    if alert.state == State::Pending || old {
        return false;
    }
    if alert.state != State::Inactive {
        (alert.state, alert.resolved_at, alert.kept_since) = (State::Inactive, Some(at), None);
    }
    true
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, time::Duration};

    use narvi::Labels;

    use super::{Alerts, Found, State, Terms};

    const S: i64 = 1_000_000_000;

    fn labels(app: &str) -> Labels {
        Labels::from_pairs([("app", app)]).expect("labels")
    }

    fn found(apps: &[&str]) -> Vec<Found> {
        let found = |app: &&str| Found { labels: labels(app), annotations: BTreeMap::new(), value: 1.0 };
        apps.iter().map(found).collect()
    }

    fn terms(hold: u64, keep: u64) -> Terms {
        Terms { hold: Duration::from_secs(hold), keep_firing: Duration::from_secs(keep), limit: 0 }
    }

    fn state(alerts: &Alerts, app: &str) -> Option<State> {
        alerts.0.get(&labels(app)).map(|alert| alert.state)
    }

    #[test]
    fn pending_then_firing_then_resolved() {
        let (mut alerts, delay) = (Alerts::default(), Duration::from_secs(60));
        alerts.update(0, found(&["a"]), terms(60, 0)).expect("no limit");
        assert_eq!(state(&alerts, "a"), Some(State::Pending));
        assert!(alerts.take_due(0, delay).is_empty());
        alerts.update(59 * S, found(&["a", "b"]), terms(60, 0)).expect("no limit");
        assert_eq!((state(&alerts, "a"), alerts.state()), (Some(State::Pending), State::Pending));
        alerts.update(60 * S, found(&["a"]), terms(60, 0)).expect("no limit");
        assert_eq!((state(&alerts, "a"), state(&alerts, "b")), (Some(State::Firing), None));
        assert_eq!(alerts.take_due(60 * S, delay).len(), 1);
        assert!(alerts.take_due(120 * S, delay).is_empty());
        assert_eq!(alerts.take_due(121 * S, delay).len(), 1);
        alerts.update(130 * S, vec![], terms(60, 0)).expect("no limit");
        assert_eq!((state(&alerts, "a"), alerts.active().len()), (Some(State::Inactive), 0));
        let sent = alerts.take_due(130 * S, delay);
        assert_eq!(sent[0].1.resolved_at, Some(130 * S));
        alerts.update(131 * S, found(&["a"]), terms(60, 0)).expect("no limit");
        assert_eq!((state(&alerts, "a"), alerts.0[&labels("a")].active_at), (Some(State::Pending), 131 * S));
        alerts.update(132 * S, vec![], terms(60, 0)).expect("no limit");
        assert!(alerts.0.is_empty());
    }

    #[test]
    fn resolved_alerts_are_forgotten_after_a_while() {
        let mut alerts = Alerts::default();
        alerts.update(0, found(&["a"]), terms(0, 0)).expect("no limit");
        assert_eq!(state(&alerts, "a"), Some(State::Firing));
        alerts.update(S, vec![], terms(0, 0)).expect("no limit");
        alerts.update(901 * S, vec![], terms(0, 0)).expect("no limit");
        assert_eq!(alerts.0.len(), 1);
        alerts.update(902 * S, vec![], terms(0, 0)).expect("no limit");
        assert!(alerts.0.is_empty());
    }

    #[test]
    fn firing_goes_on_as_long_as_asked() {
        let mut alerts = Alerts::default();
        alerts.update(0, found(&["a"]), terms(0, 30)).expect("no limit");
        alerts.update(10 * S, vec![], terms(0, 30)).expect("no limit");
        alerts.update(39 * S, vec![], terms(0, 30)).expect("no limit");
        assert_eq!(state(&alerts, "a"), Some(State::Firing));
        alerts.update(39 * S, found(&["a"]), terms(0, 30)).expect("no limit");
        alerts.update(60 * S, vec![], terms(0, 30)).expect("no limit");
        assert_eq!(state(&alerts, "a"), Some(State::Firing));
        alerts.update(90 * S, vec![], terms(0, 30)).expect("no limit");
        assert_eq!(state(&alerts, "a"), Some(State::Inactive));
    }

    #[test]
    fn too_many_alerts_are_an_error() {
        let mut alerts = Alerts::default();
        let limited = Terms { limit: 1, ..Terms::default() };
        assert_eq!(alerts.update(0, found(&["a"]), limited), Ok(()));
        let error = alerts.update(S, found(&["a", "b"]), limited);
        assert_eq!((error, alerts.0.len()), (Err("exceeded limit of 1 with 2 alerts".to_owned()), 0));
    }

    #[test]
    fn a_pause_does_not_count_as_waiting() {
        let (hold, grace) = (Duration::from_secs(1200), Duration::from_secs(600));
        let at = |active: i64, down: i64, up: i64, hold: Duration| {
            let mut alerts = Alerts::default();
            alerts.update(active * S, found(&["a"]), Terms { hold, ..Terms::default() }).expect("no limit");
            alerts.resume(down * S, up * S, hold, grace);
            alerts.0[&labels("a")].active_at / S
        };
        // 1100 s were left: they still are.
        assert_eq!(at(0, 100, 400, hold), 300);
        // 100 s were left: the grace is longer.
        assert_eq!(at(0, 1100, 1200, hold), 600);
        // A short wait has no grace.
        assert_eq!(at(0, 30, 100, Duration::from_secs(60)), 70);
    }
}
