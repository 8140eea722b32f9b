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
    reader.bool("pattern_ingester.enabled", &mut endpoints.patterns)?;
    let marker = reader.optional_text("ingester.shutdown_marker_path")?;
    endpoints.shutdown_marker_path = marker.filter(|path| !path.is_empty()).map(PathBuf::from);
    for key in ["common.instance_addr", "common.ring.instance_addr", "ingester.lifecycler.address"] {
        let address = reader.optional_text(key)?;
        endpoints.instance_address = endpoints.instance_address.take().or(address.filter(|text| !text.is_empty()));
    }
    Ok(())
}
