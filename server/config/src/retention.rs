//! How long lines are kept and what becomes of requests to delete them: `compactor`, the deprecated `table_manager`, and
//! the keys of `limits_config` that belong to them.

use std::time::Duration;

use narvi::{Settings, logql::parse_selector};

use crate::{
    ConfigError,
    apply::{Reader, wrong},
    parse_duration,
    tree::{Node, Value},
};

/// Shorter periods of single streams are refused, as by Loki.
const SHORTEST: Duration = Duration::from_secs(24 * 3600);

/// What `compactor` and `table_manager` say about retention and deletes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactorConfig {
    /// Whether `retention_period` and `retention_stream` of the limits count, and lines can be deleted on request.
    pub retention_enabled: bool,
    /// How long lines are kept by the deprecated table manager, for all tenants; zero is for ever.
    pub table_retention: Duration,
}

impl CompactorConfig {
    /// Without a file: there is no retention period, and lines can be deleted on request.
    pub(crate) fn narvi() -> Self {
        Self { retention_enabled: true, table_retention: Duration::ZERO }
    }

    /// Loki's: retention and deletes are off.
    pub(crate) fn loki() -> Self {
        Self { retention_enabled: false, ..Self::narvi() }
    }
}

/// How long the lines of a tenant are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionLimits {
    /// Of streams without a rule of their own; zero is for ever.
    pub period: Duration,
    /// Rules for streams.
    pub streams: Vec<RetentionRule>,
    /// What becomes of requests to delete.
    pub deletion_mode: DeletionMode,
}

/// How long some streams are kept: an entry of `retention_stream`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetentionRule {
    /// Which streams, as a selector that was found to be right.
    pub selector: String,
    /// The highest counts.
    pub priority: i64,
    /// How long; zero is for ever.
    pub period: Duration,
}

/// What becomes of requests to delete lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "Loki's three modes")]
pub enum DeletionMode {
    /// They are refused.
    Disabled,
    /// Lines are hidden and never removed.
    FilterOnly,
    /// Lines are hidden, and removed when the cancel period is over.
    #[default]
    FilterAndDelete,
}

/// Reads the keys of `limits_config`, or of a tenant's overrides, that lie below a path.
pub(crate) fn limits(reader: &Reader<'_>, path: &str, limits: &mut RetentionLimits) -> Result<(), ConfigError> {
    let key = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    reader.duration(&key("retention_period"), &mut limits.period)?;
    reader.read(&key("deletion_mode"), &mut limits.deletion_mode, |text| match text {
        "disabled" => Ok(DeletionMode::Disabled),
        "filter-only" => Ok(DeletionMode::FilterOnly),
        "filter-and-delete" | "" => Ok(DeletionMode::FilterAndDelete),
        _ => Err(format!("{text:?} is no deletion mode; use disabled, filter-only or filter-and-delete")),
    })?;
    let path = key("retention_stream");
    if let Some(items) = reader.list(&path)? {
        limits.streams = items.iter().map(|item| rule(item, &path)).collect::<Result<_, _>>()?;
    }
    Ok(())
}

fn rule(node: &Node, path: &str) -> Result<RetentionRule, ConfigError> {
    let Value::Map(entries) = &node.value else {
        return Err(wrong(node, path, "each entry must have selector, priority and period".to_owned()));
    };
    let mut rule = RetentionRule { selector: String::new(), priority: 0, period: Duration::ZERO };
    for entry in entries {
        let fail = |message: String| wrong(&entry.node, &format!("{path}.{}", entry.key), message);
        let text = match &entry.node.value {
            Value::Scalar(text) => text,
            Value::Null => continue,
            _ => return Err(fail("must be a single value".to_owned())),
        };
        match entry.key.as_str() {
            "selector" => rule.selector.clone_from(text),
            "priority" => rule.priority = text.parse().map_err(|_| fail(format!("{text:?} is not a whole number")))?,
            "period" => rule.period = parse_duration(text).map_err(fail)?,
            _ => return Err(fail("is not known; an entry has selector, priority and period".to_owned())),
        }
    }
    parse_selector(&rule.selector).map_err(|error| {
        wrong(node, &format!("{path}.selector"), format!("{:?} is no selector: {error}", rule.selector))
    })?;
    if !rule.period.is_zero() && rule.period < SHORTEST {
        let message = format!("the retention period of {} must be at least 24h", rule.selector);
        return Err(wrong(node, &format!("{path}.period"), message));
    }
    Ok(rule)
}

/// Reads `compactor` and `table_manager`.
pub(crate) fn compactor(
    reader: &Reader<'_>,
    config: &mut CompactorConfig,
    store: &mut Settings,
) -> Result<(), ConfigError> {
    reader.bool("compactor.retention_enabled", &mut config.retention_enabled)?;
    let mut interval = Duration::from_secs(store.retention.interval_secs);
    reader.duration("compactor.compaction_interval", &mut interval)?;
    let mut own = Duration::ZERO;
    reader.duration("compactor.apply_retention_interval", &mut own)?;
    store.retention.interval_secs = if own.is_zero() { interval } else { own }.as_secs().max(1);
    let mut cancel = Duration::from_secs(store.retention.cancel_period_secs);
    reader.duration("compactor.delete_request_cancel_period", &mut cancel)?;
    store.retention.cancel_period_secs = cancel.as_secs();
    // How long files that were replaced are kept for those who still read them.
    let mut delay = Duration::from_secs(store.garbage_grace_secs);
    reader.duration("compactor.retention_delete_delay", &mut delay)?;
    store.garbage_grace_secs = delay.as_secs();
    let (mut deletes, mut period) = (false, Duration::ZERO);
    reader.bool("table_manager.retention_deletes_enabled", &mut deletes)?;
    reader.duration("table_manager.retention_period", &mut period)?;
    config.table_retention = if deletes { period } else { Duration::ZERO };
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{DeletionMode, RetentionRule};
    use crate::{Config, Flags};

    fn read(text: &str) -> Result<Config, String> {
        Config::from_yaml(text, &Flags::default()).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_of_retention_are_read() {
        let config = read(concat!(
            "compactor:\n  retention_enabled: true\n  compaction_interval: 5m\n  retention_delete_delay: 30m\n",
            "  delete_request_cancel_period: 10m\n",
            "limits_config:\n  retention_period: 31d\n  deletion_mode: filter-only\n  retention_stream:\n",
            "  - selector: '{app=\"x\"}'\n    priority: 2\n    period: 48h\n",
            "table_manager:\n  retention_deletes_enabled: true\n  retention_period: 100d\n",
        ))
        .expect("right");
        assert_eq!((config.store.retention.interval_secs, config.store.retention.cancel_period_secs), (300, 600));
        assert_eq!(config.store.garbage_grace_secs, 1800);
        assert!(config.compactor.retention_enabled);
        assert_eq!(config.compactor.table_retention, Duration::from_secs(100 * 86_400));
        let retention = &config.limits.retention;
        assert_eq!((retention.period.as_secs(), retention.deletion_mode), (31 * 86_400, DeletionMode::FilterOnly));
        let period = Duration::from_secs(48 * 3600);
        assert_eq!(retention.streams, [RetentionRule { selector: "{app=\"x\"}".into(), priority: 2, period }]);
        assert!(config.warnings.iter().all(|text| !text.contains("retention") && !text.contains("delete")));
        let plain = read("auth_enabled: false\n").expect("right");
        assert!(!plain.compactor.retention_enabled && plain.limits.retention.period.is_zero());
        assert!(Config::default().compactor.retention_enabled);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("limits_config:\n  deletion_mode: maybe\n", "maybe"),
            ("limits_config:\n  retention_stream: x\n", "cannot unmarshal \"x\""),
            ("limits_config:\n  retention_stream:\n  - selector: 'x'\n    period: 48h\n", "is no selector"),
            ("limits_config:\n  retention_stream:\n  - selector: '{a=\"b\"}'\n    period: 1h\n", "at least 24h"),
            ("limits_config:\n  retention_stream:\n  - selector: '{a=\"b\"}'\n    prio: 1\n", "field prio not found"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(part) && error.contains("line "), "{error}");
        }
    }
}
