//! Policies: names for groups of a tenant's streams, and what is said of those streams when they are pushed to. The keys
//! `policy_stream_mapping`, `policy_enforced_labels` and `block_ingestion_policy_until` of `limits_config`.

use std::collections::BTreeMap;

use narvi::logql::parse_selector;
use narvi_types::{Labels, Selector, Timestamp};

use crate::{
    ConfigError,
    apply::{Reader, wrong},
    tree::{Entry, Node, Value},
};

/// The name under which labels and times stand that are not those of one policy.
const GLOBAL: &str = "*";

/// The policies of a tenant.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Policies {
    /// Which streams are of which policy.
    pub mapping: BTreeMap<String, Vec<PolicyRule>>,
    /// Labels that streams must have, by policy; those under `*` all streams.
    pub enforced_labels: BTreeMap<String, Vec<String>>,
    /// Until when pushes are refused, by policy; the time under `*` is for streams of no policy.
    pub blocked_until: BTreeMap<String, Timestamp>,
}

/// Streams of a policy.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "complete by nature")]
pub struct PolicyRule {
    /// Which streams.
    pub selector: Selector,
    /// Of the policies that select a stream, the one of the highest priority is its policy.
    pub priority: i64,
}

impl Policies {
    /// The policy of a stream; of several with the highest priority, the name that comes first. Empty without one.
    pub fn of(&self, labels: &Labels) -> &str {
        let selecting = |rules: &[PolicyRule]| {
            rules.iter().filter(|rule| rule.selector.matches(labels)).map(|rule| rule.priority).max()
        };
        let mut found = ("", None);
        for (name, rules) in &self.mapping {
            let priority = selecting(rules);
            // Names ascend, so that the first one stays.
            if priority > found.1 {
                found = (name.as_str(), priority);
            }
        }
        found.0
    }

    /// The labels that streams of a policy must have.
    pub fn enforced(&self, policy: &str) -> impl Iterator<Item = &str> {
        let named = (policy != GLOBAL).then(|| self.enforced_labels.get(policy)).flatten();
        named.into_iter().chain(self.enforced_labels.get(GLOBAL)).flatten().map(String::as_str)
    }

    /// Until when pushes to streams of a policy are refused, if they are.
    pub fn blocked_until(&self, policy: &str, now: Timestamp) -> Option<Timestamp> {
        let of = if policy.is_empty() { GLOBAL } else { policy };
        self.blocked_until.get(of).copied().filter(|until| *until > now)
    }
}

/// Reads the keys below a path.
pub(crate) fn apply(
    reader: &Reader<'_>,
    key: impl Fn(&str) -> String,
    policies: &mut Policies,
) -> Result<(), ConfigError> {
    let path = key("policy_stream_mapping");
    if let Some(entries) = reader.map(&path)? {
        policies.mapping = by_policy(entries, |entry| rules(entry, &path))?;
    }
    let path = key("policy_enforced_labels");
    if let Some(entries) = reader.map(&path)? {
        policies.enforced_labels = by_policy(entries, |entry| labels(entry, &path))?;
    }
    let path = key("block_ingestion_policy_until");
    if let Some(entries) = reader.map(&path)? {
        let times = by_policy(entries, |entry| {
            let path = format!("{path}.{}", entry.key);
            match &entry.node.value {
                Value::Scalar(text) => parse_until(text).map_err(|message| wrong(&entry.node, &path, message)),
                Value::Null => Ok(None),
                _ => Err(wrong(&entry.node, &path, "must be a time".to_owned())),
            }
        })?;
        policies.blocked_until = times.into_iter().filter_map(|(policy, until)| Some((policy, until?))).collect();
    }
    Ok(())
}

fn by_policy<T>(
    entries: &[Entry],
    read: impl Fn(&Entry) -> Result<T, ConfigError>,
) -> Result<BTreeMap<String, T>, ConfigError> {
    entries.iter().map(|entry| Ok((entry.key.clone(), read(entry)?))).collect()
}

fn labels(entry: &Entry, path: &str) -> Result<Vec<String>, ConfigError> {
    let fail = |node: &Node| wrong(node, &format!("{path}.{}", entry.key), "must be a list of labels".to_owned());
    match &entry.node.value {
        Value::List(items) => items.iter().map(|item| Ok(item.text().ok_or_else(|| fail(item))?.to_owned())).collect(),
        Value::Null => Ok(Vec::new()),
        _ => Err(fail(&entry.node)),
    }
}

fn rules(entry: &Entry, path: &str) -> Result<Vec<PolicyRule>, ConfigError> {
    let path = format!("{path}.{}", entry.key);
    match &entry.node.value {
        Value::List(items) => items.iter().map(|item| rule(item, &path)).collect(),
        Value::Null => Ok(Vec::new()),
        _ => Err(wrong(&entry.node, &path, "must be a list of entries with selector and priority".to_owned())),
    }
}

fn rule(node: &Node, path: &str) -> Result<PolicyRule, ConfigError> {
    if let Some(entry) = node.entries().iter().find(|entry| !["selector", "priority"].contains(&entry.key.as_str())) {
        let path = format!("{path}.{}", entry.key);
        return Err(wrong(&entry.node, &path, "is not known; an entry has selector and priority".to_owned()));
    }
    let text = node.get("selector").and_then(Node::text).unwrap_or("");
    let selector = parse_selector(text)
        .map_err(|error| wrong(node, &format!("{path}.selector"), format!("{text:?} is no selector: {error}")))?;
    let mut priority = 0;
    if let Some(text) = node.get("priority").and_then(Node::text) {
        let fail = |_| wrong(node, &format!("{path}.priority"), format!("{text:?} is not a whole number"));
        priority = text.parse().map_err(fail)?;
    }
    Ok(PolicyRule { selector, priority })
}

/// A time until which something is refused; none for nothing, 0 and Go's zero time.
pub(crate) fn parse_until(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() || text == "0" {
        return Ok(None);
    }
    let time: jiff::Timestamp =
        text.parse().map_err(|_| format!("{text:?} is not a time; write it as 2026-01-31T12:00:00Z"))?;
    let ns = i64::try_from(time.as_nanosecond()).map_err(|_| format!("{text:?} is too far away"))?;
    Ok((time.as_second() > 0).then(|| Timestamp::from_ns(ns)))
}

#[cfg(test)]
mod tests {
    use narvi_types::{Labels, Timestamp};

    use crate::{Config, Flags, Policies};

    fn read(text: &str) -> Result<Policies, String> {
        Config::from_yaml(text, &Flags::default()).map(|config| config.limits.policies).map_err(|e| e.to_string())
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).expect("valid")
    }

    const FILE: &str = "
limits_config:
  policy_stream_mapping:
    ops:
      - selector: '{namespace=\"prod\", container=\"ops\"}'
        priority: 1
    finance:
      - selector: '{namespace=\"prod\"}'
        priority: 1
      - selector: '{namespace=\"books\"}'
    audit:
      - selector: '{container=~\"aud.*\"}'
        priority: 7
  policy_enforced_labels:
    finance: [cost]
    '*': [team, env]
  block_ingestion_policy_until:
    audit: 2030-01-01T00:00:00Z
    ops: '0'
    '*': '2029-01-01T00:00:00Z'
";

    #[test]
    fn the_highest_priority_decides_then_the_name() {
        let policies = read(FILE).expect("it is right");
        for (pairs, policy) in [
            (&[("namespace", "prod"), ("container", "ops")][..], "finance"),
            (&[("namespace", "prod"), ("container", "audits")], "audit"),
            (&[("namespace", "books")], "finance"),
            (&[("namespace", "test")], ""),
        ] {
            assert_eq!(policies.of(&labels(pairs)), policy, "{pairs:?}");
        }
        assert_eq!(Policies::default().of(&labels(&[("a", "b")])), "");
    }

    #[test]
    fn what_is_said_of_all_streams_adds_labels_and_blocks_those_without_a_policy() {
        let policies = read(FILE).expect("it is right");
        assert_eq!(policies.enforced("finance").collect::<Vec<_>>(), ["cost", "team", "env"]);
        assert_eq!(policies.enforced("ops").collect::<Vec<_>>(), ["team", "env"]);
        assert_eq!(policies.enforced("").collect::<Vec<_>>(), ["team", "env"]);
        let (before, after) = (Timestamp::from_secs(1_800_000_000), Timestamp::from_secs(1_900_000_000));
        let blocked = |policy, now| policies.blocked_until(policy, now).map(|until| until.as_ns() / 1_000_000_000);
        assert_eq!(blocked("audit", before), Some(1_893_456_000));
        assert_eq!(blocked("", before), Some(1_861_920_000));
        assert_eq!([blocked("ops", before), blocked("finance", before), blocked("audit", after)], [None; 3]);
    }

    #[test]
    fn mistakes_are_told_with_their_key() {
        for (text, expected) in [
            (
                "policy_stream_mapping: {p: [{selector: '{a='}]}",
                "policy_stream_mapping.p.selector: \"{a=\" is no selector",
            ),
            (
                "policy_stream_mapping: {p: [{selector: '{a=\"b\"}', priority: x}]}",
                "policy_stream_mapping.p.priority: \"x\"",
            ),
            ("policy_stream_mapping: {p: [{selectors: x}]}", "policy_stream_mapping.p.selectors: is not known"),
            ("policy_stream_mapping: [x]", "policy_stream_mapping: must be a map"),
            ("policy_enforced_labels: {p: {a: b}}", "policy_enforced_labels.p: must be a list of labels"),
            ("block_ingestion_policy_until: {p: soon}", "block_ingestion_policy_until.p: \"soon\" is not a time"),
        ] {
            let error = read(&format!("limits_config: {{{text}}}")).expect_err(text);
            assert!(error.contains(&format!("limits_config.{expected}")), "{error}");
        }
        assert_eq!(read("limits_config: {policy_enforced_labels: []}"), Ok(Policies::default()));
    }
}
