//! `limits_config`: what each of its keys sets. Also read for the limits of single tenants, which stand elsewhere.

use std::{sync::Arc, time::Duration};

use crate::{
    BlockedQuery, ConfigError, Limits, OtlpAction, OtlpRule, Pattern, RateStrategy, RulerLimits,
    apply::{Reader, wrong},
    policies, retention, ruler_limits,
    tree::Node,
};

const MIB: f64 = 1_048_576.0;

/// Reads limits below a path.
struct Section<'a, 'b> {
    reader: &'a Reader<'b>,
    path: &'a str,
}

/// Lays the limits below a path of a file over others.
pub(crate) fn apply(reader: &Reader<'_>, path: &str, limits: &mut Limits) -> Result<(), ConfigError> {
    let section = Section { reader, path };
    section.entries(limits)?;
    section.streams(limits)?;
    section.rates(limits)?;
    section.otlp(limits)?;
    section.queries(limits)?;
    section.selectors(limits)?;
    retention::limits(reader, path, &mut limits.retention)?;
    let mut ruler = RulerLimits::clone(&limits.ruler);
    let below = if path.is_empty() { String::new() } else { format!("{path}.") };
    ruler_limits::apply(reader, &below, &mut ruler)?;
    limits.ruler = Arc::new(ruler);
    Ok(())
}

impl<'b> Section<'_, 'b> {
    fn key(&self, name: &str) -> String {
        match self.path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    fn bool(&self, name: &str, target: &mut bool) -> Result<(), ConfigError> {
        self.reader.bool(&self.key(name), target)
    }

    fn count(&self, name: &str, target: &mut usize) -> Result<(), ConfigError> {
        self.reader.count(&self.key(name), target)
    }

    fn duration(&self, name: &str, target: &mut Duration) -> Result<(), ConfigError> {
        self.reader.duration(&self.key(name), target)
    }

    fn size(&self, name: &str, target: &mut usize) -> Result<(), ConfigError> {
        let mut bytes = *target as u64;
        self.reader.bytes(&self.key(name), &mut bytes)?;
        *target = usize::try_from(bytes).unwrap_or(usize::MAX);
        Ok(())
    }

    /// The maps of a list.
    fn maps(&self, name: &str) -> Result<Option<&'b [Node]>, ConfigError> {
        self.reader.list(&self.key(name))
    }

    fn entries(&self, limits: &mut Limits) -> Result<(), ConfigError> {
        self.bool("reject_old_samples", &mut limits.reject_old_samples)?;
        self.duration("reject_old_samples_max_age", &mut limits.reject_old_samples_max_age)?;
        let mut grace = limits.creation_grace_period;
        self.reader
            .read(&self.key("creation_grace_period"), &mut grace, |text| crate::parse_duration(text).map(Some))?;
        limits.creation_grace_period = grace;
        self.size("max_line_size", &mut limits.max_line_size_bytes)?;
        self.bool("max_line_size_truncate", &mut limits.max_line_size_truncate)?;
        let identifier = &mut limits.max_line_size_truncate_identifier;
        self.reader.text(&self.key("max_line_size_truncate_identifier"), identifier)?;
        self.bool("allow_structured_metadata", &mut limits.allow_structured_metadata)?;
        self.size("max_structured_metadata_size", &mut limits.max_structured_metadata_size_bytes)?;
        self.count("max_structured_metadata_entries_count", &mut limits.max_structured_metadata_entries)?;
        self.bool("discover_log_levels", &mut limits.discover_log_levels)?;
        self.bool("increment_duplicate_timestamp", &mut limits.increment_duplicate_timestamp)?;
        let mut unordered = true;
        self.bool("unordered_writes", &mut unordered)?;
        if !unordered {
            limits.out_of_order_window = Some(Duration::ZERO);
        }
        Ok(())
    }

    fn streams(&self, limits: &mut Limits) -> Result<(), ConfigError> {
        self.count("max_label_name_length", &mut limits.max_label_name_length)?;
        self.count("max_label_value_length", &mut limits.max_label_value_length)?;
        self.count("max_label_names_per_series", &mut limits.max_label_names_per_series)?;
        self.reader.words(&self.key("discover_service_name"), &mut limits.discover_service_name)?;
        self.reader.words(&self.key("enforced_labels"), &mut limits.enforced_labels)?;
        self.count("max_streams_per_user", &mut limits.max_streams_per_user)?;
        self.count("max_global_streams_per_user", &mut limits.max_global_streams_per_user)?;
        self.bool("shard_streams.enabled", &mut limits.shard_streams)?;
        let until = self.key("block_ingestion_until");
        self.reader.read(&until, &mut limits.block_ingestion_until, policies::parse_until)?;
        policies::apply(self.reader, |name| self.key(name), &mut limits.policies)?;
        self.reader.read(&self.key("block_ingestion_status_code"), &mut limits.block_ingestion_status_code, |text| {
            let code = text.parse().ok().filter(|code| (200..1000).contains(code));
            code.ok_or_else(|| format!("{text:?} is not an HTTP status from 200 to 999"))
        })
    }

    fn rates(&self, limits: &mut Limits) -> Result<(), ConfigError> {
        let megabytes = |name: &str, target: &mut f64| {
            self.reader.read(&self.key(name), target, |text| match text.parse::<f64>() {
                Ok(rate) if rate >= 0.0 => Ok(rate * MIB),
                _ => Err(format!("{text:?} is not a number of megabytes")),
            })
        };
        megabytes("ingestion_rate_mb", &mut limits.ingestion_rate_bytes)?;
        megabytes("ingestion_burst_size_mb", &mut limits.ingestion_burst_bytes)?;
        let strategy = &mut limits.ingestion_rate_strategy;
        self.reader.read(&self.key("ingestion_rate_strategy"), strategy, |text| match text {
            "local" => Ok(RateStrategy::Local),
            "global" => Ok(RateStrategy::Global),
            _ => Err(format!("invalid ingestion rate strategy {text:?}; use local or global")),
        })?;
        let bytes = |name: &str, target: &mut f64| {
            self.reader.read(&self.key(name), target, |text| crate::parse_bytes(text).map(|bytes| bytes as f64))
        };
        bytes("per_stream_rate_limit", &mut limits.per_stream_rate_bytes)?;
        bytes("per_stream_rate_limit_burst", &mut limits.per_stream_burst_bytes)
    }

    fn otlp(&self, limits: &mut Limits) -> Result<(), ConfigError> {
        let rules = &mut limits.otlp;
        self.bool("otlp_config.severity_text_as_label", &mut rules.severity_text_as_label)?;
        let mut ignore = false;
        self.bool("otlp_config.resource_attributes.ignore_defaults", &mut ignore)?;
        if ignore {
            rules.index_attributes.clear();
        }
        for (name, target, labels) in [
            ("otlp_config.resource_attributes.attributes_config", &mut rules.resource, true),
            ("otlp_config.scope_attributes", &mut rules.scope, false),
            ("otlp_config.log_attributes", &mut rules.log, true),
        ] {
            if let Some(items) = self.maps(name)? {
                *target =
                    items.iter().map(|item| otlp_rule(item, &self.key(name), labels)).collect::<Result<_, _>>()?;
            }
        }
        Ok(())
    }

    fn queries(&self, limits: &mut Limits) -> Result<(), ConfigError> {
        self.count("max_query_series", &mut limits.max_query_series)?;
        self.count("max_concurrent_tail_requests", &mut limits.max_concurrent_tail_requests)?;
        self.count("max_entries_limit_per_query", &mut limits.max_entries_limit_per_query)?;
        self.duration("max_query_length", &mut limits.max_query_length)?;
        self.duration("max_query_range", &mut limits.max_query_range)?;
        self.duration("max_query_lookback", &mut limits.max_query_lookback)?;
        self.duration("split_queries_by_interval", &mut limits.split_queries_by_interval)?;
        self.duration("query_timeout", &mut limits.query_timeout)?;
        self.count("max_streams_matchers_per_query", &mut limits.max_streams_matchers_per_query)?;
        self.reader.bytes(&self.key("max_query_bytes_read"), &mut limits.max_query_bytes_read)?;
        self.parallelism(limits)?;
        self.bool("volume_enabled", &mut limits.volume_enabled)?;
        self.count("volume_max_series", &mut limits.volume_max_series)
    }

    /// How a query is split, and who works on it.
    fn parallelism(&self, limits: &mut Limits) -> Result<(), ConfigError> {
        let instant = &mut limits.split_instant_metric_queries_by_interval;
        self.duration("split_instant_metric_queries_by_interval", instant)?;
        self.duration("max_cache_freshness_per_query", &mut limits.max_cache_freshness_per_query)?;
        self.count("max_query_parallelism", &mut limits.max_query_parallelism)?;
        self.count("tsdb_max_query_parallelism", &mut limits.tsdb_max_query_parallelism)?;
        // The earlier name first, so that the later one counts.
        self.count("max_queriers_per_user", &mut limits.max_queriers_per_tenant)?;
        self.count("max_queriers_per_tenant", &mut limits.max_queriers_per_tenant)?;
        self.reader.read(&self.key("max_query_capacity"), &mut limits.max_query_capacity, |text| {
            let part = text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
            part.ok_or_else(|| format!("{text:?} is not a number from 0 to 1"))
        })
    }

    fn selectors(&self, limits: &mut Limits) -> Result<(), ConfigError> {
        self.reader.words(&self.key("required_labels"), &mut limits.required_labels)?;
        self.count("minimum_labels_number", &mut limits.minimum_labels_number)?;
        if let Some(items) = self.maps("blocked_queries")? {
            let path = self.key("blocked_queries");
            limits.blocked_queries = items.iter().map(|item| blocked(item, &path)).collect::<Result<_, _>>()?;
        }
        Ok(())
    }
}

fn blocked(node: &Node, path: &str) -> Result<BlockedQuery, ConfigError> {
    let item = Reader::new(node);
    let (mut text, mut regex, mut hash, mut query) = (String::new(), false, 0, BlockedQuery::default());
    item.text("pattern", &mut text)?;
    item.bool("regex", &mut regex)?;
    item.read("hash", &mut hash, |text| text.parse().map_err(|_| format!("{text:?} is not a hash of 32 bits")))?;
    item.words("types", &mut query.types)?;
    query.hash = hash;
    match regex {
        true => {
            let pattern =
                Pattern::new(&text).map_err(|error| wrong(node, path, format!("pattern {text:?}: {error}")))?;
            query.pattern = Some(pattern);
        }
        false => query.text = Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
    }
    if let Some(kind) = query.types.iter().find(|kind| !["metric", "filter", "limited"].contains(&kind.as_str())) {
        return Err(wrong(node, path, format!("unknown query type {kind:?}; use metric, filter or limited")));
    }
    Ok(query)
}

fn otlp_rule(node: &Node, path: &str, labels: bool) -> Result<OtlpRule, ConfigError> {
    let item = Reader::new(node);
    let (mut action, mut attributes, mut regex) = (String::new(), Vec::new(), String::new());
    item.text("action", &mut action)?;
    item.words("attributes", &mut attributes)?;
    item.text("regex", &mut regex)?;
    let action = match action.as_str() {
        "index_label" if labels => OtlpAction::IndexLabel,
        "index_label" => {
            let message = "the action index_label is only for resource and log attributes; use structured_metadata";
            return Err(wrong(node, path, message.to_owned()));
        }
        "structured_metadata" => OtlpAction::StructuredMetadata,
        "drop" => OtlpAction::Drop,
        _ => {
            let message = format!("unsupported action {action:?}; use index_label, structured_metadata or drop");
            return Err(wrong(node, path, message));
        }
    };
    if attributes.is_empty() == regex.is_empty() {
        let message = "an entry needs either attributes or regex, not both";
        return Err(wrong(node, path, message.to_owned()));
    }
    let pattern = match regex.is_empty() {
        true => None,
        // Attribute names are matched as a whole.
        false => Some(
            Pattern::new(&format!("^(?:{regex})$")).map_err(|e| wrong(node, path, format!("regex {regex:?}: {e}")))?,
        ),
    };
    Ok(OtlpRule { action, attributes, pattern })
}
