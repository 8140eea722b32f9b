//! From limits to policies.

use std::{collections::HashMap, sync::Arc, time::Duration};

use narvi::{Retention, RetentionPolicy, StreamRetention, Tenant, logql::parse_selector};
use narvi_config::{CompactorConfig, DeletionMode, Limits, RetentionLimits, RetentionRule};
use parking_lot::Mutex;

/// Gives the limits of a tenant as they are now; asked at every run, so that they may change while the server runs.
pub type RetentionOf = dyn Fn(&Tenant) -> Arc<Limits> + Send + Sync;

/// The policy of a store.
///
/// With `retention_enabled`, a stream is kept as long as its tenant's `retention_stream` and `retention_period` say. Without,
/// only as long as the deprecated table manager says, if it does.
pub fn retention(config: &CompactorConfig, limits: Arc<RetentionOf>) -> Arc<dyn Retention> {
    Arc::new(Policies { config: config.clone(), limits, known: Mutex::default() })
}

struct Policies {
    config: CompactorConfig,
    limits: Arc<RetentionOf>,
    /// Selectors are parsed once: by tenant, what a policy was made from.
    known: Mutex<HashMap<Tenant, (RetentionLimits, Arc<RetentionPolicy>)>>,
}

impl Retention for Policies {
    fn of_tenant(&self, tenant: &Tenant) -> Arc<RetentionPolicy> {
        let limits = (self.limits)(tenant);
        if let Some((of, policy)) = self.known.lock().get(tenant)
            && *of == limits.retention
        {
            return policy.clone();
        }
        let policy = Arc::new(policy(&self.config, &limits.retention));
        self.known.lock().insert(tenant.clone(), (limits.retention.clone(), policy.clone()));
        policy
    }
}

fn policy(config: &CompactorConfig, limits: &RetentionLimits) -> RetentionPolicy {
    let process_deletes = limits.deletion_mode == DeletionMode::FilterAndDelete;
    if !config.retention_enabled {
        return RetentionPolicy { period: config.table_retention, streams: Vec::new(), process_deletes };
    }
    // The shorter of two, of which zero is none.
    let period = match (limits.period, config.table_retention) {
        (period, Duration::ZERO) | (Duration::ZERO, period) => period,
        (a, b) => a.min(b),
    };
    let stream = |rule: &RetentionRule| {
        // It was found to be right when it was read; without its selector a rule must not hit other streams.
        let selector = parse_selector(&rule.selector).ok()?;
        Some(StreamRetention { selector, priority: rule.priority, period: rule.period })
    };
    RetentionPolicy { period, streams: limits.streams.iter().filter_map(stream).collect(), process_deletes }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use narvi::{Labels, Tenant};
    use narvi_config::{Config, Flags, Limits};
    use parking_lot::Mutex;

    use super::retention;

    const DAY: Duration = Duration::from_secs(86_400);

    fn config(text: &str) -> Config {
        Config::from_yaml(text, &Flags::default()).expect("right")
    }

    fn days(config: &Config, limits: &Limits, app: &str) -> Option<u32> {
        let limits = Arc::new(limits.clone());
        let policies = retention(&config.compactor, Arc::new(move |_: &Tenant| limits.clone()));
        let labels = Labels::from_pairs([("app", app)]).expect("valid");
        let period = policies.of_tenant(&Tenant::default()).period_of(&labels)?;
        Some(period.as_secs() as u32 / DAY.as_secs() as u32)
    }

    const LIMITS: &str = concat!(
        "limits_config:\n  retention_period: 30d\n  retention_stream:\n",
        "  - selector: '{app=\"short\"}'\n    priority: 1\n    period: 2d\n",
    );

    #[test]
    fn retention_counts_when_it_is_enabled() {
        let on = config(&format!("compactor:\n  retention_enabled: true\n{LIMITS}"));
        assert_eq!((days(&on, &on.limits, "short"), days(&on, &on.limits, "x")), (Some(2), Some(30)));
        let off = config(LIMITS);
        assert_eq!((days(&off, &off.limits, "short"), days(&off, &off.limits, "x")), (None, None));
        let table = "table_manager:\n  retention_deletes_enabled: true\n  retention_period: 20d\n";
        let table = config(&format!("{table}{LIMITS}"));
        assert_eq!((days(&table, &table.limits, "short"), days(&table, &table.limits, "x")), (Some(20), Some(20)));
        let plain = Config::default();
        assert_eq!(days(&plain, &plain.limits, "x"), None);
    }

    #[test]
    fn limits_are_looked_at_every_time() {
        let on = config("compactor:\n  retention_enabled: true\n");
        let current = Arc::new(Mutex::new(Arc::new(on.limits.clone())));
        let asked = current.clone();
        let policies = retention(&on.compactor, Arc::new(move |_: &Tenant| asked.lock().clone()));
        let tenant = Tenant::default();
        assert!(policies.of_tenant(&tenant).period.is_zero() && policies.of_tenant(&tenant).process_deletes);
        let text = "limits_config:\n  retention_period: 24h\n  deletion_mode: filter-only\n";
        *current.lock() = Arc::new(config(text).limits);
        let policy = policies.of_tenant(&tenant);
        assert_eq!((policy.period, policy.process_deletes), (DAY, false));
        assert!(Arc::ptr_eq(&policy, &policies.of_tenant(&tenant)), "made once");
    }
}
