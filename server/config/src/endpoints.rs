//! What a file says of single endpoints of the HTTP API.

use std::{path::PathBuf, time::Duration};

use crate::{ConfigError, apply::Reader};

/// Settings of endpoints; the default is Loki's.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Endpoints {
    /// Whether `a|b` in `X-Scope-OrgID` asks several tenants.
    pub multi_tenant_queries: bool,
    /// Whether a request may tighten its limits by a header.
    pub per_request_limits: bool,
    /// Whether answers are compressed.
    pub compress_responses: bool,
    /// How long a tail may live.
    pub tail_max_duration: Duration,
    /// Whether patterns are mined.
    pub patterns: bool,
    /// Folder of the file that says that everything is to be flushed at the next shutdown.
    pub shutdown_marker_path: Option<PathBuf>,
    /// Address that is shown on the pages of rings.
    pub instance_address: Option<String>,
}

impl Default for Endpoints {
    fn default() -> Self {
        Self {
            multi_tenant_queries: false,
            per_request_limits: false,
            compress_responses: false,
            tail_max_duration: Duration::from_secs(3600),
            patterns: false,
            shutdown_marker_path: None,
            instance_address: None,
        }
    }
}

pub(crate) fn apply(reader: &Reader<'_>, endpoints: &mut Endpoints) -> Result<(), ConfigError> {
    reader.bool("querier.multi_tenant_queries_enabled", &mut endpoints.multi_tenant_queries)?;
    reader.bool("querier.per_request_limits_enabled", &mut endpoints.per_request_limits)?;
    reader.bool("frontend.compress_responses", &mut endpoints.compress_responses)?;
    reader.duration("querier.tail_max_duration", &mut endpoints.tail_max_duration)?;
    // Its other keys are accepted and not looked at.
    reader.node("pattern_ingester");
    reader.bool("pattern_ingester.enabled", &mut endpoints.patterns)?;
    let marker = reader.optional_text("ingester.shutdown_marker_path")?;
    endpoints.shutdown_marker_path = marker.filter(|path| !path.is_empty()).map(PathBuf::from);
    for key in ["common.instance_addr", "common.ring.instance_addr", "ingester.lifecycler.address"] {
        let address = reader.optional_text(key)?;
        endpoints.instance_address = endpoints.instance_address.take().or(address.filter(|text| !text.is_empty()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use crate::{Config, Flags};

    #[test]
    fn endpoints_are_set_up_by_a_file() {
        let file = "querier: {multi_tenant_queries_enabled: true, tail_max_duration: 5m}\n\
                    frontend: {compress_responses: true}\npattern_ingester: {enabled: true, max_clusters: 5}\n\
                    ingester: {shutdown_marker_path: /m}\ncommon: {instance_addr: 10.0.0.1}\n\
                    limits_config: {max_concurrent_tail_requests: 3}\n";
        let config = Config::from_yaml(file, &Flags::default()).expect("it is right");
        let endpoints = &config.endpoints;
        assert!(endpoints.multi_tenant_queries && endpoints.compress_responses && endpoints.patterns);
        assert_eq!(endpoints.tail_max_duration, Duration::from_secs(300));
        assert_eq!(endpoints.shutdown_marker_path, Some(PathBuf::from("/m")));
        assert_eq!(endpoints.instance_address.as_deref(), Some("10.0.0.1"));
        assert_eq!(config.limits.max_concurrent_tail_requests, 3);
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    }
}
