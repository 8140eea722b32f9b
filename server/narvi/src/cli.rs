//! The command line: subcommands and their options.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// A log store that speaks Loki.
///
/// Loki's own command line works too: narvi -config.file=loki.yaml [-target=all]; see narvi -help.
#[derive(Debug, Parser)]
#[command(name = "narvi", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a server with Loki's HTTP API, without any configuration.
    Serve(ServeArgs),
    /// Load log files into a data directory or a server.
    Ingest(IngestArgs),
    /// Ask a LogQL question.
    Query(QueryArgs),
    /// Follow a query: print lines as they arrive at a server.
    Tail(TailArgs),
    /// List label names, or the values of one label.
    Labels(LabelsArgs),
    /// List the streams that selectors select.
    Series(SeriesArgs),
    /// Count streams, blocks, lines and bytes that a selector selects.
    Stats(StatsArgs),
    /// Explain a pack or an index file.
    Inspect(InspectArgs),
    /// Verify every file of a data directory.
    Check(CheckArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Where the data lies; made if it does not exist.
    #[arg(long, default_value = "narvi-data")]
    pub(crate) data_dir: PathBuf,
    /// Address and port for HTTP; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:3100")]
    pub(crate) http_listen: String,
    /// Keep everything in memory; nothing remains when the server ends.
    #[arg(long)]
    pub(crate) in_memory: bool,
    /// Ask every request for its tenant in X-Scope-OrgID.
    #[arg(long)]
    pub(crate) auth: bool,
    /// debug, info, warn or error.
    #[arg(long, default_value = "info", value_parser = ["debug", "info", "warn", "error"])]
    pub(crate) log_level: String,
}

/// A data directory or a server.
#[derive(Clone, Debug, Args)]
pub(crate) struct WhereArgs {
    /// Work on this data directory, which no server may have open.
    #[arg(long, default_value = "narvi-data")]
    pub(crate) data_dir: PathBuf,
    /// Work on a server (Narvi or Loki) instead, for example http://127.0.0.1:3100.
    #[arg(long, conflicts_with = "data_dir")]
    pub(crate) addr: Option<String>,
    /// The tenant.
    #[arg(long, visible_alias = "org-id", default_value = "fake")]
    pub(crate) tenant: String,
}

/// A time range.
#[derive(Clone, Debug, Args)]
pub(crate) struct RangeArgs {
    /// Begin: a time (2026-01-31T12:00:00Z), seconds or nanoseconds since 1970, or so long ago (1h, 7d).
    #[arg(long, alias = "since")]
    pub(crate) from: Option<String>,
    /// End, not included; as --from.
    #[arg(long)]
    pub(crate) to: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct IngestArgs {
    /// Files, plain or gzip; - for standard input.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    /// Label of the lines, beside filename; may be repeated.
    #[arg(long = "label", value_name = "NAME=VALUE")]
    pub(crate) labels: Vec<String>,
    /// What times in lines are relative to, if they do not say it: for example +02:00.
    #[arg(long, default_value = "+00:00", allow_hyphen_values = true)]
    pub(crate) utc_offset: String,
    /// Keep the times that lines hold even where they go backwards, so that lines come back in the order of their times and
    /// not of the file. Without this, such a line gets the time of the line before it.
    #[arg(long)]
    pub(crate) true_times: bool,
    /// Print nothing but errors.
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The query, for example '{app="api"} |= "error"'.
    pub(crate) query: String,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
    /// The most lines; all without.
    #[arg(long)]
    pub(crate) limit: Option<usize>,
    /// Oldest line first.
    #[arg(long)]
    pub(crate) forward: bool,
    /// Distance of the points of a metric query, for example 1m; without, it is evaluated once, at --to or now.
    #[arg(long)]
    pub(crate) step: Option<String>,
    /// How answers are printed.
    #[arg(long, short, value_enum, default_value_t = Output::Default)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// The query, for example '{app="api"} |= "error"'.
    pub(crate) query: String,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    /// How far back lines are printed first, for example 5m or 2h; 2026-01-02T03:04:05Z for a time.
    #[arg(long, alias = "since", default_value = "1h")]
    pub(crate) from: String,
    /// The most lines printed first.
    #[arg(long, default_value_t = 10)]
    pub(crate) limit: usize,
    /// Seconds that a server holds lines back to put late ones in order, at most 5.
    #[arg(long, default_value_t = 0)]
    pub(crate) delay_for: u32,
    /// How lines are printed.
    #[arg(long, short, value_enum, default_value_t = Output::Default)]
    pub(crate) output: Output,
}

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Time, labels and line.
    Default,
    /// Lines alone, byte for byte.
    Raw,
    /// One JSON object per line of the log.
    Jsonl,
    /// One JSON array.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct LabelsArgs {
    /// The label whose values are listed.
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SeriesArgs {
    /// Selectors, for example '{app="api"}'; all streams without.
    pub(crate) selectors: Vec<String>,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct StatsArgs {
    /// The selector.
    pub(crate) selector: String,
    #[command(flatten)]
    pub(crate) place: WhereArgs,
    #[command(flatten)]
    pub(crate) range: RangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// Packs and index files.
    #[arg(required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The data directory.
    #[arg(default_value = "narvi-data")]
    pub(crate) data_dir: PathBuf,
}
