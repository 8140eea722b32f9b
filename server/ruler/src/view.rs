//! What the ruler does at the moment, as plain data for the API.

use std::collections::BTreeMap;

use crate::times::{Nanos, rfc3339};

/// Whether a rule could be evaluated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature: Prometheus' words")]
pub enum Health {
    /// It was not evaluated yet.
    #[default]
    Unknown,
    /// It could.
    Good,
    /// It could not.
    Bad,
}

impl Health {
    /// Prometheus' word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Good => "ok",
            Self::Bad => "err",
        }
    }
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what the API shows")]
pub struct GroupView {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub file: String,
    /// Seconds between evaluations.
    pub interval_secs: f64,
    /// Most alerts or series of a rule.
    pub limit: i64,
    /// When it was evaluated last, in RFC 3339.
    pub last_evaluation: String,
    /// How long that took, in seconds.
    pub evaluation_secs: f64,
    /// Its rules.
    pub rules: Vec<RuleView>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what the API shows")]
pub struct RuleView {
    /// Name of the alert or metric.
    pub name: String,
    /// The query.
    pub query: String,
    /// Its own labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it could be evaluated.
    pub health: Health,
    /// Why not.
    pub last_error: String,
    /// When it was evaluated last, in RFC 3339.
    pub last_evaluation: String,
    /// How long that took, in seconds.
    pub evaluation_secs: f64,
    /// What an alerting rule has beside.
    pub alerting: Option<AlertingView>,
}

/// What an alerting rule has beside what all rules have.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what the API shows")]
pub struct AlertingView {
    /// `inactive`, `pending` or `firing`.
    pub state: &'static str,
    /// How long alerts are pending, in seconds.
    pub hold_secs: f64,
    /// The templates of its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Pending and firing alerts.
    pub alerts: Vec<AlertView>,
}

/// An alert.
#[derive(Clone, Debug, Default, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "what the API shows")]
pub struct AlertView {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// `pending` or `firing`.
    pub state: &'static str,
    /// Since when, in RFC 3339.
    pub active_at: String,
    /// The value of the query.
    pub value: f64,
}

/// Which rules are asked for; empty lists ask for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the parameters of the API")]
pub struct Filter {
    /// Only alerting rules, or only recording rules.
    pub alerts: Option<bool>,
    /// Names of rules.
    pub rule_names: Vec<String>,
    /// Names of groups.
    pub rule_groups: Vec<String>,
    /// Namespaces.
    pub files: Vec<String>,
}

impl Filter {
    pub(crate) fn group(&self, namespace: &str, group: &str) -> bool {
        any(&self.files, namespace) && any(&self.rule_groups, group)
    }

    pub(crate) fn rule(&self, name: &str, is_alert: bool) -> bool {
        self.alerts.is_none_or(|alerts| alerts == is_alert) && any(&self.rule_names, name)
    }
}

fn any(wanted: &[String], name: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)
}

/// A time as the API shows it.
pub(crate) fn time(at: Option<Nanos>) -> String {
    rfc3339(at)
}

#[cfg(test)]
mod tests {
    use super::Filter;

    #[test]
    fn filters_pass_what_is_named() {
        assert!(Filter::default().group("n", "g") && Filter::default().rule("r", true));
        let filter =
            Filter { alerts: Some(false), rule_names: vec!["a".into()], files: vec!["n".into()], ..Filter::default() };
        assert!(filter.group("n", "g") && !filter.group("m", "g"));
        assert!(filter.rule("a", false) && !filter.rule("a", true) && !filter.rule("b", false));
    }
}
