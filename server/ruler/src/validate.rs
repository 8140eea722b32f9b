//! Reading groups of rules from YAML, and what makes one valid. The words of errors are Loki's.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use narvi::logql::{self, template::Template, value::parse_prometheus_duration};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{Group, Rule, RuleKind, RulerError};

/// A duration of Prometheus: `1h30m`.
#[derive(Clone, Copy, Default)]
struct Span(Duration);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let ns = parse_prometheus_duration(text.as_bytes()).map_err(D::Error::custom)?;
        Ok(Self(Duration::from_nanos(ns.unsigned_abs())))
    }
}

type Texts = Option<BTreeMap<String, Option<String>>>;

/// The same keys twice: the API ignores others, files must not have any.
macro_rules! wire {
    ($group:ident, $rule:ident, $(#[$deny:meta])?) => {
        #[derive(Deserialize)]
        $(#[$deny])?
        struct $group {
            name: Option<String>,
            interval: Option<Span>,
            query_offset: Option<Span>,
            limit: Option<i64>,
            labels: Texts,
            rules: Option<Vec<$rule>>,
        }

        #[derive(Deserialize)]
        $(#[$deny])?
        struct $rule {
            record: Option<String>,
            alert: Option<String>,
            expr: Option<String>,
            #[serde(rename = "for")]
            hold: Option<Span>,
            keep_firing_for: Option<Span>,
            labels: Texts,
            annotations: Texts,
        }

        impl $group {
            fn raw(self) -> RawGroup {
                let rules = self.rules.unwrap_or_default().into_iter().map(|rule| RawRule {
                    record: rule.record.unwrap_or_default(),
                    alert: rule.alert.unwrap_or_default(),
                    expr: rule.expr.unwrap_or_default(),
                    hold: rule.hold.unwrap_or_default().0,
                    keep_firing: rule.keep_firing_for.unwrap_or_default().0,
                    labels: texts(rule.labels),
                    annotations: texts(rule.annotations),
                });
                RawGroup {
                    rules: rules.collect(),
                    name: self.name.unwrap_or_default(),
                    interval: self.interval.map(|span| span.0).filter(|interval| !interval.is_zero()),
                    query_offset: self.query_offset.unwrap_or_default().0,
                    limit: self.limit.unwrap_or_default(),
                    labels: texts(self.labels),
                }
            }
        }
    };
}

wire!(ApiGroup, ApiRule,);
wire!(FileGroup, FileRule, #[serde(deny_unknown_fields)]);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGroups {
    groups: Option<Vec<FileGroup>>,
}

fn texts(texts: Texts) -> BTreeMap<String, String> {
    texts.unwrap_or_default().into_iter().map(|(name, text)| (name, text.unwrap_or_default())).collect()
}

struct RawGroup {
    name: String,
    interval: Option<Duration>,
    query_offset: Duration,
    limit: i64,
    labels: BTreeMap<String, String>,
    rules: Vec<RawRule>,
}

struct RawRule {
    record: String,
    alert: String,
    expr: String,
    hold: Duration,
    keep_firing: Duration,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

/// Reads one group as the API gets it: unknown keys, and those that Loki's API drops, are left out.
///
/// # Errors
/// Not YAML, not a group, or not valid.
pub fn decode_group(text: &str) -> Result<Group, RulerError> {
    let group: Option<ApiGroup> = yaml(text).map_err(|_| RulerError::Undecodable)?;
    let group = group.map_or_else(RawGroup::empty, ApiGroup::raw);
    if group.name.is_empty() {
        return Err(RulerError::Invalid("group 0: Groupname must not be empty".to_owned()));
    }
    let mut group = group.checked()?;
    group.query_offset = Duration::ZERO;
    group.labels.clear();
    for rule in &mut group.rules {
        if let RuleKind::Alert { keep_firing, .. } = &mut rule.kind {
            *keep_firing = Duration::ZERO;
        }
    }
    Ok(group)
}

/// Reads the groups of a file.
///
/// # Errors
/// What is wrong, with the line where there is one.
pub fn decode_groups(text: &str) -> Result<Vec<Group>, RulerError> {
    let file: Option<FileGroups> = yaml(text).map_err(RulerError::Invalid)?;
    let groups = file.and_then(|file| file.groups).unwrap_or_default();
    let mut names = BTreeSet::new();
    let mut all = Vec::with_capacity(groups.len());
    for (at, group) in groups.into_iter().map(FileGroup::raw).enumerate() {
        if group.name.is_empty() {
            return Err(RulerError::Invalid(format!("group {at}: Groupname must not be empty")));
        }
        if !names.insert(group.name.clone()) {
            return Err(RulerError::Invalid(format!("groupname: {:?} is repeated in the same file", group.name)));
        }
        all.push(group.checked()?);
    }
    Ok(all)
}

fn yaml<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
}

impl RawGroup {
    fn empty() -> Self {
        Self {
            name: String::new(),
            interval: None,
            query_offset: Duration::ZERO,
            limit: 0,
            labels: BTreeMap::new(),
            rules: Vec::new(),
        }
    }

    fn checked(self) -> Result<Group, RulerError> {
        check_labels(&self.labels)?;
        let rules = self.rules.into_iter().map(|rule| rule.checked(&self.name));
        Ok(Group {
            rules: rules.collect::<Result<_, _>>()?,
            name: self.name,
            interval: self.interval,
            query_offset: self.query_offset,
            limit: self.limit,
            labels: self.labels,
        })
    }
}

impl RawRule {
    fn checked(self, group: &str) -> Result<Rule, RulerError> {
        let invalid = |text: &str| Err(RulerError::Invalid(text.to_owned()));
        let is_record = match (self.record.is_empty(), self.alert.is_empty()) {
            (false, false) => return invalid("only one of 'record' and 'alert' must be set"),
            (true, true) => return invalid("one of 'record' or 'alert' must be set"),
            (record_empty, _) => !record_empty,
        };
        if self.expr.is_empty() {
            return invalid("field 'expr' must be set in rule");
        }
        if let Err(error) = logql::parse(&self.expr) {
            let (kind, name) = if is_record { ("record", &self.record) } else { ("alert", &self.alert) };
            let text = format!("could not parse expression for {kind} '{name}' in group '{group}': {error}");
            return Err(RulerError::Invalid(text));
        }
        let kind = if is_record {
            if !self.annotations.is_empty() {
                return invalid("invalid field 'annotations' in recording rule");
            }
            if !self.hold.is_zero() {
                return invalid("invalid field 'for' in recording rule");
            }
            if !self.keep_firing.is_zero() {
                return invalid("invalid field 'keep_firing_for' in recording rule");
            }
            if !is_name(&self.record, true) {
                return Err(RulerError::Invalid(format!("invalid recording rule name: {}", self.record)));
            }
            RuleKind::Record { name: self.record }
        } else {
            RuleKind::Alert {
                name: self.alert,
                hold: self.hold,
                keep_firing: self.keep_firing,
                annotations: self.annotations,
            }
        };
        let rule = Rule { kind, expr: self.expr, labels: self.labels };
        validate(&rule)?;
        Ok(rule)
    }
}

/// Whether the names of labels and annotations, and the templates, can be used.
///
/// # Errors
/// Loki's words.
pub fn validate(rule: &Rule) -> Result<(), RulerError> {
    check_labels(&rule.labels)?;
    let RuleKind::Alert { name, annotations, .. } = &rule.kind else { return Ok(()) };
    if let Some(wrong) = annotations.keys().find(|name| !is_name(name, false)) {
        return Err(RulerError::Invalid(format!("invalid annotation name: {wrong}")));
    }
    for (what, texts) in [("label", &rule.labels), ("annotation", annotations)] {
        for (key, text) in texts {
            if let Err(error) = Template::parse_alert(&format!("__alert_{name}"), text) {
                return Err(RulerError::Invalid(format!("{what} {key:?}: {error}")));
            }
        }
    }
    Ok(())
}

fn check_labels(labels: &BTreeMap<String, String>) -> Result<(), RulerError> {
    match labels.keys().find(|name| !is_name(name, false) || *name == "__name__") {
        Some(wrong) => Err(RulerError::Invalid(format!("invalid label name: {wrong}"))),
        None => Ok(()),
    }
}

/// Whether it can be the name of a label, or of a metric, which may have colons.
fn is_name(name: &str, metric: bool) -> bool {
    let rest = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || (metric && b == b':');
    name.bytes().all(rest) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{decode_group, decode_groups};
    use crate::RuleKind;

    fn refused(text: &str) -> String {
        decode_group(text).expect_err(text).to_string()
    }

    #[test]
    fn what_the_api_refuses() {
        let rule = |rule: &str| refused(&format!("name: x\nrules:\n- {rule}"));
        for text in ["", "rules: []", "groups:\n- name: x", "~", "name: ''"] {
            assert_eq!(refused(text), "group 0: Groupname must not be empty", "{text:?}");
        }
        for text in ["not yaml: [", "just text", "- a", "name: x\nrules: 5", "name: x\ninterval: abc", "name: [1]"] {
            assert_eq!(refused(text), "unable to decoded rule group", "{text:?}");
        }
        assert_eq!(rule("expr: rate({a=\"b\"}[1m])"), "one of 'record' or 'alert' must be set");
        assert_eq!(rule("alert: A\n  record: r"), "only one of 'record' and 'alert' must be set");
        assert_eq!(rule("alert: A"), "field 'expr' must be set in rule");
        assert_eq!(rule("record: bad name\n  expr: '1'"), "invalid recording rule name: bad name");
        assert_eq!(rule("record: r\n  expr: '1'\n  for: 1m"), "invalid field 'for' in recording rule");
        assert_eq!(rule("record: r\n  expr: '1'\n  labels: {bad-label: v}"), "invalid label name: bad-label");
        assert_eq!(rule("record: r\n  expr: '1'\n  labels: {__name__: v}"), "invalid label name: __name__");
        assert_eq!(rule("alert: A\n  expr: '1'\n  annotations: {a-b: v}"), "invalid annotation name: a-b");
        assert!(
            rule("alert: A\n  expr: 'rate('").starts_with("could not parse expression for alert 'A' in group 'x': ")
        );
        assert!(rule("record: r\n  expr: 'x'").starts_with("could not parse expression for record 'r' in group 'x': "));
        let template = rule("alert: A\n  expr: '1'\n  annotations: {s: '{{ nosuch }}'}");
        assert_eq!(template, "annotation \"s\": template: __alert_A:1: function \"nosuch\" not defined");
    }

    #[test]
    fn what_the_api_drops_files_keep() {
        let text = "name: x\nunknown: 1\nrules:\n- {alert: A, expr: '{a=\"b\"}', keep_firing_for: 5m, for: 1h}";
        let group = decode_group(text).expect("it is right");
        let RuleKind::Alert { hold, keep_firing, .. } = group.rules[0].kind else { panic!("an alert") };
        assert_eq!((hold, keep_firing), (Duration::from_secs(3600), Duration::ZERO));
        let file = "groups:\n- name: x\n  interval: 90s\n  rules:\n  - {alert: A, expr: '1', keep_firing_for: 5m}";
        let groups = decode_groups(file).expect("it is right");
        assert_eq!(groups[0].interval, Some(Duration::from_secs(90)));
        let RuleKind::Alert { keep_firing, .. } = groups[0].rules[0].kind else { panic!("an alert") };
        assert_eq!(keep_firing, Duration::from_secs(300));
        assert!(decode_groups("").expect("it is right").is_empty());
        for (wrong, text) in [
            ("groups:\n- name: x\n  unknown: 1", "unknown"),
            ("groups:\n- name: x\n- name: x", "groupname: \"x\" is repeated in the same file"),
            ("groups:\n- rules: []", "group 0: Groupname must not be empty"),
            ("group: []", "group"),
        ] {
            let error = decode_groups(wrong).expect_err(wrong).to_string();
            assert!(error.contains(text), "{wrong}: {error}");
        }
    }

    #[test]
    fn values_may_look_like_numbers() {
        let group =
            decode_group("name: 5\nrules:\n- {alert: A, expr: 1, labels: {n: 5, yes: true}}").expect("it is right");
        assert_eq!((group.name.as_str(), group.rules[0].expr.as_str()), ("5", "1"));
        assert_eq!(group.rules[0].labels.get("n").map(String::as_str), Some("5"));
    }
}
