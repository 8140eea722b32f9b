//! Loki's command line: `narvi -config.file=loki.yaml -target=all`.

use std::path::{Path, PathBuf};

use narvi_config::{Config, Flags, PageMode, Runtime, TARGETS, expand};

use crate::{
    failure::{Failure, Outcome},
    serve,
};

/// Where a file is looked for if no flag names one.
const USUAL_PLACES: [&str; 2] = ["config.yaml", "config/config.yaml"];

/// Runs what Loki's flags ask for.
pub(crate) fn run(args: &[String]) -> Outcome {
    let flags = Flags::parse(args)?;
    if flags.help {
        println!("Flags, as -name=value or --name=value:");
        Flags::names().iter().for_each(|name| println!("  -{name}"));
        return Ok(());
    }
    if flags.version {
        println!("narvi {}", env!("CARGO_PKG_VERSION"));
        return Ok(());
    }
    if flags.list_targets {
        TARGETS.iter().for_each(|target| println!("{target}"));
        return Ok(());
    }
    let config = load(&flags)?;
    if flags.print_config {
        eprint!("{}", config.page(PageMode::Whole));
    }
    if flags.log_config_reversed {
        config.page(PageMode::Whole).lines().rev().for_each(|line| eprintln!("{line}"));
    }
    // A wrong file of tenants' limits is fatal at the start, and only there.
    if flags.verify_config && config.runtime_files.iter().all(|path| path.exists()) {
        Runtime::open(&config)?;
    }
    if flags.verify_config {
        config.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
        println!("config is valid");
        return Ok(());
    }
    let listen = config.http_listen();
    serve::server(config, &listen, false)
}

fn load(flags: &Flags) -> Outcome<Config> {
    let usual: Vec<PathBuf> = USUAL_PLACES.iter().map(PathBuf::from).collect();
    let places = if flags.config_files.is_empty() { &usual } else { &flags.config_files };
    let found = places.iter().find(|path| path.is_file());
    let Some(path) = found.or(flags.config_files.last()) else {
        let places = USUAL_PLACES.join(" nor ");
        return Err(Failure(format!("no configuration: neither -config.file is given nor does {places} exist")));
    };
    let text = read(path)?;
    let text = match flags.expand_env {
        true => expand(&text, &|name| std::env::var(name).ok()),
        false => Ok(text),
    };
    let config = text.and_then(|text| Config::from_yaml(&text, flags));
    config.map_err(|error| Failure::of(path.display(), error))
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::of(format_args!("cannot read {}", path.display()), error))
}
