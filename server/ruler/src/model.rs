//! Groups of rules as plain data.

use std::{collections::BTreeMap, time::Duration};

/// Rules that are evaluated together, one after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the keys of a group")]
pub struct Group {
    /// The name, unique in its namespace.
    pub name: String,
    /// How often it is evaluated; `None` takes the ruler's setting.
    pub interval: Option<Duration>,
    /// How far back from now its queries are asked.
    pub query_offset: Duration,
    /// Most alerts or series that a rule may give; 0 is no limit.
    pub limit: i64,
    /// Labels that every rule adds unless it has its own.
    pub labels: BTreeMap<String, String>,
    /// The rules in order.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "the keys of a rule")]
pub struct Rule {
    /// What it does.
    pub kind: RuleKind,
    /// The query as written.
    pub expr: String,
    /// Labels that it adds; those of alerts are templates.
    pub labels: BTreeMap<String, String>,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "complete by nature: Prometheus' kinds of rules")]
pub enum RuleKind {
    /// Fires alerts.
    Alert {
        /// Name of the alerts.
        name: String,
        /// How long an alert is pending before it fires.
        hold: Duration,
        /// How long it fires on after its cause is gone.
        keep_firing: Duration,
        /// Templates of texts for people.
        annotations: BTreeMap<String, String>,
    },
    /// Writes samples.
    Record {
        /// Name of the metric.
        name: String,
    },
}

impl Rule {
    /// The name of the alert or the metric.
    pub fn name(&self) -> &str {
        match &self.kind {
            RuleKind::Alert { name, .. } | RuleKind::Record { name } => name,
        }
    }

    /// Whether it fires alerts.
    pub fn is_alert(&self) -> bool {
        matches!(self.kind, RuleKind::Alert { .. })
    }
}
