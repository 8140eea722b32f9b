//! Loki's command line: Go-style flags, `-name=value` or `-name value`, with one dash or two.

use std::path::PathBuf;

use crate::ConfigError;

/// Flags that set a key of the file.
const KEYS: &[(&str, &str)] = &[
    ("target", "target"),
    ("auth.enabled", "auth_enabled"),
    ("log.level", "server.log_level"),
    ("log.format", "server.log_format"),
    ("server.http-listen-address", "server.http_listen_address"),
    ("server.http-listen-port", "server.http_listen_port"),
    ("server.grpc-listen-address", "server.grpc_listen_address"),
    ("server.grpc-listen-port", "server.grpc_listen_port"),
    ("server.graceful-shutdown-timeout", "server.graceful_shutdown_timeout"),
    ("common.path-prefix", "common.path_prefix"),
    ("common.storage.filesystem.chunk-directory", "common.storage.filesystem.chunks_directory"),
    ("local.chunk-directory", "storage_config.filesystem.directory"),
    ("distributor.max-recv-msg-size", "distributor.max_recv_msg_size"),
    ("distributor.ingestion-rate-limit-mb", "limits_config.ingestion_rate_mb"),
    ("distributor.ingestion-burst-size-mb", "limits_config.ingestion_burst_size_mb"),
    ("distributor.max-line-size", "limits_config.max_line_size"),
    ("distributor.max-line-size-truncate", "limits_config.max_line_size_truncate"),
    ("frontend.max-outstanding-per-tenant", "frontend.max_outstanding_per_tenant"),
    ("ingester.chunk-encoding", "ingester.chunk_encoding"),
    ("ingester.chunks-idle-period", "ingester.chunk_idle_period"),
    ("ingester.flush-on-shutdown", "ingester.wal.flush_on_shutdown"),
    ("ingester.max-chunk-age", "ingester.max_chunk_age"),
    ("ingester.unordered-writes", "limits_config.unordered_writes"),
    ("ingester.wal-dir", "ingester.wal.dir"),
    ("ingester.wal-enabled", "ingester.wal.enabled"),
    ("limits.volume-enabled", "limits_config.volume_enabled"),
    ("querier.max-concurrent", "querier.max_concurrent"),
    ("querier.max-query-lookback", "limits_config.max_query_lookback"),
    ("querier.max-query-range", "limits_config.max_query_range"),
    ("querier.query-timeout", "limits_config.query_timeout"),
    ("querier.split-queries-by-interval", "limits_config.split_queries_by_interval"),
    ("store.max-query-length", "limits_config.max_query_length"),
    ("validation.allow-structured-metadata", "limits_config.allow_structured_metadata"),
    ("validation.create-grace-period", "limits_config.creation_grace_period"),
    ("validation.discover-log-levels", "limits_config.discover_log_levels"),
    ("validation.discover-service-name", "limits_config.discover_service_name"),
    ("validation.increment-duplicate-timestamps", "limits_config.increment_duplicate_timestamp"),
    ("validation.max-entries-limit", "limits_config.max_entries_limit_per_query"),
    ("validation.max-label-names-per-series", "limits_config.max_label_names_per_series"),
    ("validation.max-length-label-name", "limits_config.max_label_name_length"),
    ("validation.max-length-label-value", "limits_config.max_label_value_length"),
    ("validation.reject-old-samples", "limits_config.reject_old_samples"),
    ("validation.reject-old-samples.max-age", "limits_config.reject_old_samples_max_age"),
];

/// Flags without a value are true.
const SWITCHES: [&str; 6] = [
    "config.expand-env",
    "verify-config",
    "print-config-stderr",
    "log-config-reverse-order",
    "list-targets",
    "version",
];

/// What a Loki command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flags {
    /// The configuration file.
    pub config_file: Option<PathBuf>,
    /// Replace `${VARIABLE}` in it.
    pub expand_env: bool,
    /// Check the configuration and exit.
    pub verify_config: bool,
    /// Print the configuration as it is understood.
    pub print_config: bool,
    /// Print what `-target` may name, and exit.
    pub list_targets: bool,
    /// Print the version and exit.
    pub version: bool,
    /// Print the flags and exit.
    pub help: bool,
    /// Keys of the file and the values that flags give them.
    pub(crate) overrides: Vec<(&'static str, String)>,
}

impl Flags {
    /// Whether a command line is Loki's: its first argument is one of Loki's flags, with one dash or two.
    pub fn are_in(args: &[String]) -> bool {
        let Some(name) = args.first().and_then(|arg| flag_name(arg)) else { return false };
        let name = name.split('=').next().unwrap_or(name);
        let dashes_of_clap = args[0].starts_with("--") && name == "version";
        args[0] == "-help"
            || !dashes_of_clap
                && (name == "config.file" || SWITCHES.contains(&name) || key_of(name).is_some() || name.contains('.'))
    }

    /// Reads a command line, without the program's name.
    ///
    /// # Errors
    /// A flag that is not known, that has no value, or an argument that is no flag.
    pub fn parse(args: &[String]) -> Result<Self, ConfigError> {
        let mut flags = Self::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let wrong = |text: String| Err(ConfigError::Flag(format!("{text}; run with -help for a list of flags")));
            let Some(name) = flag_name(arg) else { return wrong(format!("unexpected argument {arg:?}")) };
            let (name, inline) = name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value)));
            let is_switch = SWITCHES.contains(&name) || matches!(name, "help" | "h");
            let known = key_of(name);
            if !is_switch && known.is_none() && name != "config.file" {
                return wrong(format!("flag provided but not defined: -{name}"));
            }
            let value = match (inline, is_switch) {
                (Some(value), _) => value.to_owned(),
                (None, true) => "true".to_owned(),
                (None, false) if is_boolean(name) => "true".to_owned(),
                (None, false) => match args.next() {
                    Some(value) => value.clone(),
                    None => return wrong(format!("flag needs an argument: -{name}")),
                },
            };
            match known {
                Some(key) => flags.overrides.push((key, value)),
                None if name == "config.file" => flags.config_file = Some(PathBuf::from(value)),
                None => flags.switch(name, &value)?,
            }
        }
        Ok(flags)
    }

    fn switch(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        let on = match value {
            "true" | "1" | "t" | "T" | "TRUE" | "True" => true,
            "false" | "0" | "f" | "F" | "FALSE" | "False" => false,
            _ => return Err(ConfigError::Flag(format!("invalid boolean value {value:?} for -{name}"))),
        };
        match name {
            "config.expand-env" => self.expand_env = on,
            "verify-config" => self.verify_config = on,
            "print-config-stderr" | "log-config-reverse-order" => self.print_config = on,
            "list-targets" => self.list_targets = on,
            "version" => self.version = on,
            _ => self.help = on,
        }
        Ok(())
    }

    /// All flags, for `-help`.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ["config.file"].into_iter().chain(SWITCHES).chain(KEYS.iter().map(|(flag, _)| *flag))
    }
}

fn flag_name(arg: &str) -> Option<&str> {
    let name = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-'))?;
    (!name.is_empty() && !name.starts_with('-')).then_some(name)
}

fn key_of(flag: &str) -> Option<&'static str> {
    KEYS.iter().find(|(name, _)| *name == flag).map(|(_, key)| *key)
}

fn is_boolean(flag: &str) -> bool {
    const BOOLEAN: [&str; 10] = [
        "auth.enabled",
        "distributor.max-line-size-truncate",
        "ingester.flush-on-shutdown",
        "ingester.unordered-writes",
        "ingester.wal-enabled",
        "limits.volume-enabled",
        "validation.allow-structured-metadata",
        "validation.discover-log-levels",
        "validation.increment-duplicate-timestamps",
        "validation.reject-old-samples",
    ];
    BOOLEAN.contains(&flag)
}

#[cfg(test)]
mod tests {
    use super::Flags;

    fn args(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn one_dash_or_two_with_or_without_equals() {
        for line in ["-config.file=a.yaml -target=all", "--config.file a.yaml --target all"] {
            let flags = Flags::parse(&args(line)).expect("it is right");
            assert_eq!(flags.config_file.as_deref(), Some("a.yaml".as_ref()), "{line}");
            assert_eq!(flags.overrides, [("target", "all".to_owned())], "{line}");
        }
        let flags = Flags::parse(&args("-config.expand-env -verify-config=true -auth.enabled -log.level=warn"))
            .expect("it is right");
        assert!(flags.expand_env && flags.verify_config && !flags.version);
        assert_eq!(flags.overrides, [("auth_enabled", "true".into()), ("server.log_level", "warn".into())]);
    }

    #[test]
    fn wrong_flags_are_refused() {
        for (line, expected) in [
            ("-no.such=1", "flag provided but not defined: -no.such"),
            ("-config.file", "flag needs an argument"),
            ("-version=maybe", "invalid boolean value"),
            ("serve", "unexpected argument"),
            ("-", "unexpected argument"),
        ] {
            let error = Flags::parse(&args(line)).expect_err("it is wrong").to_string();
            assert!(error.contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn command_lines_are_told_apart() {
        for line in ["-config.file=x", "--config.file x", "-target=all", "-version", "-server.http-listen-port=1"] {
            assert!(Flags::are_in(&args(line)), "{line}");
        }
        for line in ["serve", "--help", "-h", "--version", "-V", ""] {
            assert!(!Flags::are_in(&args(line)), "{line}");
        }
    }
}
