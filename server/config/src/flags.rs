//! Loki's command line: Go-style flags, `-name=value` or `-name value`, with one dash or two.

use std::{path::PathBuf, sync::LazyLock};

use crate::{
    ConfigError,
    schema::{self, Kind, LEAVES},
    suggest,
};

/// Flags whose names do not follow from their key, and those keys; an entry that ends in a dot is a beginning.
static TABLE: LazyLock<Vec<(&str, &str)>> = LazyLock::new(|| {
    let lines = include_str!("flags.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once(' ')).collect()
});

/// Flags without a value are true.
const SWITCHES: [&str; 6] = [
    "config.expand-env",
    "verify-config",
    "print-config-stderr",
    "log-config-reverse-order",
    "list-targets",
    "version",
];

/// The flags of every gRPC client whose names do not follow from their key.
const OF_CLIENTS: [(&str, &str); 7] = [
    ("grpc-max-recv-msg-size", "max_recv_msg_size"),
    ("grpc-max-send-msg-size", "max_send_msg_size"),
    ("grpc-client-rate-limit", "rate_limit"),
    ("grpc-client-rate-limit-burst", "rate_limit_burst"),
    ("backoff-min-period", "backoff_config.min_period"),
    ("backoff-max-period", "backoff_config.max_period"),
    ("backoff-retries", "backoff_config.max_retries"),
];

/// What a Loki command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flags {
    /// The configuration files to look for; the first that exists is read.
    pub config_files: Vec<PathBuf>,
    /// Replace `${VARIABLE}` in it.
    pub expand_env: bool,
    /// Check the configuration and exit.
    pub verify_config: bool,
    /// Print the configuration as it is understood.
    pub print_config: bool,
    /// Log the configuration as it is understood, last key first.
    pub log_config_reversed: bool,
    /// Print what `-target` may name, and exit.
    pub list_targets: bool,
    /// Print the version and exit.
    pub version: bool,
    /// Print the flags and exit.
    pub help: bool,
    /// Keys of the file and the values that flags give them.
    pub(crate) overrides: Vec<(String, String)>,
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
    /// A flag that is not known, that has no value or a wrong one, or an argument that is no flag.
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
                let names = names();
                let hint = suggest::nearest(name, names.iter().map(String::as_str));
                let hint = hint.map_or_else(String::new, |hint| format!(", did you mean -{hint}?"));
                return wrong(format!("flag provided but not defined: -{name}{hint}"));
            }
            let kind = known.as_ref().and_then(|key| LEAVES.get(key).copied().flatten());
            let value = match inline {
                Some(value) => value.to_owned(),
                None if is_switch || kind == Some(Kind::Bool) => "true".to_owned(),
                None => match args.next() {
                    Some(value) => value.clone(),
                    None => return wrong(format!("flag needs an argument: -{name}")),
                },
            };
            match known {
                Some(key) => flags.set(name, key, kind, value)?,
                None if name == "config.file" => {
                    flags.config_files = value.split(',').map(|path| PathBuf::from(path.trim())).collect();
                }
                None => flags.switch(name, &value)?,
            }
        }
        Ok(flags)
    }

    fn set(&mut self, name: &str, key: String, kind: Option<Kind>, value: String) -> Result<(), ConfigError> {
        if let Some(message) = kind.and_then(|kind| schema::check_text(kind, &value).err()) {
            return Err(ConfigError::Flag(format!("invalid value {value:?} for flag -{name}: {message}")));
        }
        // A list may be given one by one.
        if kind == Some(Kind::List)
            && let Some((_, values)) = self.overrides.iter_mut().find(|(other, _)| *other == key)
        {
            values.push(',');
            values.push_str(&value);
            return Ok(());
        }
        self.overrides.push((key, value));
        Ok(())
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
            "print-config-stderr" => self.print_config = on,
            "log-config-reverse-order" => self.log_config_reversed = on,
            "list-targets" => self.list_targets = on,
            "version" => self.version = on,
            _ => self.help = on,
        }
        Ok(())
    }

    /// All flags, for `-help`, sorted.
    pub fn names() -> Vec<String> {
        names()
    }
}

fn names() -> Vec<String> {
    let mut names: Vec<String> = SWITCHES.map(str::to_owned).to_vec();
    names.push("config.file".to_owned());
    names.extend(TABLE.iter().filter(|(flag, _)| !flag.ends_with('.')).map(|(flag, _)| (*flag).to_owned()));
    let named = |key: &str| TABLE.iter().any(|(_, of)| *of == key);
    names.extend(LEAVES.keys().filter(|key| !named(key)).map(|key| key.replace('_', "-")));
    names.sort();
    names.dedup();
    names
}

fn flag_name(arg: &str) -> Option<&str> {
    let name = arg.strip_prefix("--").or_else(|| arg.strip_prefix('-'))?;
    (!name.is_empty() && !name.starts_with('-')).then_some(name)
}

/// The key that a flag sets.
fn key_of(flag: &str) -> Option<String> {
    if let Some((_, key)) = TABLE.iter().find(|(name, key)| *name == flag && !key.ends_with('.')) {
        return Some((*key).to_owned());
    }
    // What is not looked into may hold anything.
    let open = |key: &str| key.match_indices('.').any(|(at, _)| LEAVES.get(&key[..at]) == Some(&None));
    let known = |key: String| (LEAVES.contains_key(&key) || open(&key)).then_some(key);
    let of_family = |&&(from, to): &&(&str, &str)| {
        let rest = flag.strip_prefix(from).filter(|_| from.ends_with('.'))?;
        let of_clients = OF_CLIENTS.iter().find(|(name, _)| *name == rest).map(|(_, key)| format!("{to}{key}"));
        of_clients.and_then(known).or_else(|| known(format!("{to}{}", rest.replace('-', "_"))))
    };
    let of_table = TABLE.iter().find_map(|entry| of_family(&entry));
    of_table.or_else(|| known(flag.replace('-', "_")))
}

#[cfg(test)]
mod tests {
    use super::{Flags, LEAVES, TABLE, key_of};

    fn args(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn the_table_names_only_keys_that_exist() {
        // A file may hold these, but what is inside them is not looked into, or Loki has removed them.
        let open = |key: &str| key.match_indices('.').any(|(at, _)| LEAVES.get(&key[..at]) == Some(&None));
        let loose = ["pattern_ingester.enabled", "limits_config.ruler_evaluation_delay_duration"];
        for (flag, key) in TABLE.iter() {
            let found = match key.ends_with('.') {
                true => LEAVES.keys().any(|leaf| leaf.starts_with(key) || leaf == key.trim_end_matches('.')),
                false => {
                    LEAVES.contains_key(*key) || open(key) || loose.contains(key) || key.starts_with("ruler.storage.")
                }
            };
            assert!(found, "{flag} {key}");
        }
    }

    #[test]
    fn flags_set_the_keys_they_are_documented_for() {
        for (flag, key) in [
            ("server.http-listen-port", "server.http_listen_port"),
            ("s3.access-key-id", "storage_config.aws.access_key_id"),
            ("common.storage.s3.endpoint", "common.storage.s3.endpoint"),
            ("validation.max-label-names-per-series", "limits_config.max_label_names_per_series"),
            ("ingester.max-chunk-age", "ingester.max_chunk_age"),
            ("compactor.working-directory", "compactor.working_directory"),
            ("boltdb.shipper.compactor.working-directory", "compactor.working_directory"),
            ("store.chunks-cache.redis.endpoint", "chunk_store_config.chunk_cache_config.redis.endpoint"),
            ("frontend.results-cache.memcached.hostname", "query_range.results_cache.cache.memcached_client.host"),
            ("frontend.results-cache.memcached.expiration", "query_range.results_cache.cache.memcached.expiration"),
            ("ingester.client.grpc-max-recv-msg-size", "ingester_client.grpc_client_config.max_recv_msg_size"),
            (
                "querier.frontend-client.backoff-retries",
                "frontend_worker.grpc_client_config.backoff_config.max_retries",
            ),
            ("query-scheduler.ring.instance-id", "query_scheduler.scheduler_ring.instance_id"),
            ("compactor.ring.store", "compactor.compactor_ring.kvstore.store"),
            (
                "tsdb.shipper.index-gateway-client.server-address",
                "storage_config.tsdb_shipper.index_gateway_client.server_address",
            ),
            ("legacy-read-mode", "legacy_read_mode"),
            ("shutdown-delay", "shutdown_delay"),
            ("target", "target"),
        ] {
            assert_eq!(key_of(flag).as_deref(), Some(key), "{flag}");
        }
        assert_eq!(key_of("no.such"), None);
    }

    #[test]
    fn one_dash_or_two_with_or_without_equals() {
        for line in ["-config.file=a.yaml,b.yaml -target=all", "--config.file a.yaml,b.yaml --target all"] {
            let flags = Flags::parse(&args(line)).expect("it is right");
            assert_eq!(flags.config_files, ["a.yaml", "b.yaml"].map(std::path::PathBuf::from), "{line}");
            assert_eq!(flags.overrides, [("target".to_owned(), "all".to_owned())], "{line}");
        }
        let flags = Flags::parse(&args("-config.expand-env -verify-config=true -auth.enabled -log.level=warn"))
            .expect("it is right");
        assert!(flags.expand_env && flags.verify_config && !flags.version);
        let expected = [("auth_enabled", "true"), ("server.log_level", "warn")];
        assert_eq!(flags.overrides, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        let flags = Flags::parse(&args("-memberlist.join=a -memberlist.join=b")).expect("it is right");
        assert_eq!(flags.overrides, [("memberlist.join_members".to_owned(), "a,b".to_owned())]);
    }

    #[test]
    fn wrong_flags_are_refused() {
        for (line, expected) in [
            ("-no.such=1", "flag provided but not defined: -no.such; run with -help for a list of flags"),
            (
                "-server.http-listen-prot=1",
                "flag provided but not defined: -server.http-listen-prot, did you mean -server.http-listen-port?; run \
                 with -help for a list of flags",
            ),
            ("-config.file", "flag needs an argument: -config.file; run with -help for a list of flags"),
            ("-version=maybe", "invalid boolean value \"maybe\" for -version"),
            (
                "-server.http-listen-port=x",
                "invalid value \"x\" for flag -server.http-listen-port: \"x\" is not a whole number",
            ),
            ("serve", "unexpected argument \"serve\"; run with -help for a list of flags"),
            ("-", "unexpected argument \"-\"; run with -help for a list of flags"),
        ] {
            assert_eq!(Flags::parse(&args(line)).expect_err("it is wrong").to_string(), expected, "{line}");
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
