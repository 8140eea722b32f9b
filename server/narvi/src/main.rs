//! The `narvi` binary: flags, wiring, signals. Everything else is in the libraries.
#![forbid(unsafe_code)]

mod check;
mod cli;
mod client;
mod failure;
mod ingest;
mod inspect;
mod listener;
mod logging;
mod loki;
mod objects;
mod place;
mod query;
mod roles;
mod serve;
mod streams;
mod tail;
mod times;
mod upgrade;

use std::process::ExitCode;

use clap::Parser;
use narvi_config::Flags;

use crate::{
    cli::{Cli, Command},
    failure::Outcome,
};

fn main() -> ExitCode {
    // One provider for everything that speaks TLS, chosen here and nowhere else.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let done = if Flags::are_in(&args) { loki::run(&args) } else { run(Cli::parse().command) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("narvi: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Outcome {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Ingest(args) => ingest::run(&args),
        Command::Query(args) => query::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Labels(args) => streams::labels(&args),
        Command::Series(args) => streams::series(&args),
        Command::Stats(args) => streams::stats(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Check(args) => check::run(&args),
    }
}
