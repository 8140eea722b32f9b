//! How answers are printed.

use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use serde_json::{Map, Value, json};

use super::Stop;
use crate::{cli::Output, failure::Failure, ingest::NO_FINAL_NEWLINE, times};

/// A line of an answer.
pub(crate) struct Line<'a> {
    pub(crate) ts: i64,
    pub(crate) labels: &'a [(&'a str, &'a str)],
    pub(crate) line: &'a [u8],
}

/// A series of an answer: labels and points in milliseconds.
pub(crate) struct Points {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) points: Vec<(i64, String)>,
}

/// Prints to the standard output.
pub(crate) struct Printer {
    out: BufWriter<StdoutLock<'static>>,
    output: Output,
    colour: bool,
    /// Lines as they come, rather than in large blocks.
    live: bool,
    first: bool,
    /// A newline that is owed unless the last line printed had none in its file.
    owed: bool,
}

impl Printer {
    pub(crate) fn new(output: Output) -> Self {
        let live = io::stdout().is_terminal();
        let colour = live && std::env::var_os("NO_COLOR").is_none();
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        Self { out, output, colour, live, first: true, owed: false }
    }

    /// Prints every line as it comes.
    pub(crate) fn live(output: Output) -> Self {
        Self { live: true, ..Self::new(output) }
    }

    /// Prints a line.
    pub(crate) fn line(&mut self, line: &Line<'_>) -> Result<(), Stop> {
        let done = self.write_line(line);
        let flushed = if self.live { done.and_then(|()| self.out.flush()) } else { done };
        self.first = false;
        written(flushed)
    }

    fn write_line(&mut self, line: &Line<'_>) -> io::Result<()> {
        match self.output {
            Output::Raw => {
                if self.owed {
                    self.out.write_all(b"\n")?;
                }
                self.out.write_all(line.line)?;
                self.owed = line.labels.iter().any(|(name, _)| *name == NO_FINAL_NEWLINE);
                if self.owed { Ok(()) } else { self.out.write_all(b"\n") }
            }
            Output::Default => {
                let (on, off) = if self.colour { ("\x1b[34m", "\x1b[0m") } else { ("", "") };
                write!(self.out, "{} {on}{}{off} ", times::print(line.ts), set(line.labels))?;
                self.out.write_all(line.line)?;
                self.out.write_all(b"\n")
            }
            Output::Json | Output::Jsonl => {
                let labels: Map<String, Value> =
                    line.labels.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
                let text = String::from_utf8_lossy(line.line);
                self.object(&json!({"labels": labels, "line": text, "timestamp": times::print(line.ts)}))
            }
        }
    }

    fn object(&mut self, value: &Value) -> io::Result<()> {
        match self.output {
            Output::Json if self.first => write!(self.out, "[{value}"),
            Output::Json => write!(self.out, ",\n{value}"),
            _ => writeln!(self.out, "{value}"),
        }
    }

    /// Prints a series of a metric query.
    pub(crate) fn series(&mut self, series: &Points) -> Result<(), Stop> {
        let labels: Vec<(&str, &str)> = series.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let done = match self.output {
            Output::Json | Output::Jsonl => {
                let metric: Map<String, Value> =
                    labels.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
                let values: Vec<Value> = series.points.iter().map(|(ms, value)| json!([seconds(*ms), value])).collect();
                self.object(&json!({"metric": metric, "values": values}))
            }
            _ => self.table(&labels, &series.points),
        };
        self.first = false;
        written(done)
    }

    /// One point behind the labels, several under them.
    fn table(&mut self, labels: &[(&str, &str)], points: &[(i64, String)]) -> io::Result<()> {
        let (on, off) = if self.colour { ("\x1b[34m", "\x1b[0m") } else { ("", "") };
        let set = set(labels);
        if let [(_, value)] = points {
            return writeln!(self.out, "{on}{set}{off} {value}");
        }
        writeln!(self.out, "{on}{set}{off}")?;
        let width = points.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
        points.iter().try_for_each(|(ms, value)| {
            writeln!(self.out, "  {:<24} {value:>width$}", times::print(ms.saturating_mul(1_000_000)))
        })
    }

    /// Ends the answer.
    pub(crate) fn finish(&mut self) -> Result<(), Stop> {
        let closed = match (self.output, self.first) {
            (Output::Json, true) => self.out.write_all(b"[]\n"),
            (Output::Json, false) => self.out.write_all(b"]\n"),
            _ => Ok(()),
        };
        written(closed.and_then(|()| self.out.flush()))
    }
}

fn written(done: io::Result<()>) -> Result<(), Stop> {
    done.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Stop::Closed,
        _ => Stop::Failed(Failure::of("cannot write the answer", error)),
    })
}

fn set(labels: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", pairs.join(", "))
}

fn seconds(ms: i64) -> Value {
    if ms % 1000 == 0 { Value::from(ms / 1000) } else { Value::from(ms as f64 / 1000.0) }
}
