//! The server's own log: one line per event, logfmt or JSON, to stderr. Its level can be changed while it runs.

use std::{fmt, io::IsTerminal, sync::OnceLock, time::SystemTime};

use tracing::{Event, Level, Subscriber, field::Visit};
use tracing_subscriber::{
    filter::LevelFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    layer::SubscriberExt,
    registry::LookupSpan,
    reload::{self, Handle},
    util::SubscriberInitExt,
};

/// Changes the level of the log of this process.
static LEVEL: OnceLock<Handle<LevelFilter, tracing_subscriber::Registry>> = OnceLock::new();

/// Starts the log; `format` is `logfmt` or `json`. A second call changes nothing.
pub(crate) fn start(level: &str, format: &str) {
    let (filter, handle) = reload::Layer::new(filter(level));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .event_format(Lines { colour, json: format == "json" });
    if tracing_subscriber::registry().with(filter).with(lines).try_init().is_ok() {
        let _ = LEVEL.set(handle);
    }
}

fn filter(level: &str) -> LevelFilter {
    match level {
        "error" => LevelFilter::ERROR,
        "warn" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    }
}

/// Changes the level; `false` if the log was not started here.
pub(crate) fn set_level(level: &str) -> bool {
    LEVEL.get().is_some_and(|handle| handle.reload(filter(level)).is_ok())
}

/// The level at present.
pub(crate) fn level() -> &'static str {
    match LEVEL.get().and_then(Handle::clone_current) {
        Some(LevelFilter::ERROR) => "error",
        Some(LevelFilter::WARN) => "warn",
        Some(LevelFilter::DEBUG | LevelFilter::TRACE) => "debug",
        _ => "info",
    }
}

/// `ts=2026-01-02T03:04:05.678901Z level=info msg="a text" name=value`.
/// As JSON, an object with the same names.
struct Lines {
    colour: bool,
    json: bool,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (level, colour) = match *event.metadata().level() {
            Level::ERROR => ("error", "31"),
            Level::WARN => ("warn", "33"),
            Level::INFO => ("info", "32"),
            _ => ("debug", "34"),
        };
        let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
        let mut fields = Fields { json: self.json, ..Fields::default() };
        event.record(&mut fields);
        if self.json {
            let message = serde_json::Value::from(fields.message);
            return writeln!(out, "{{\"ts\":\"{now:.6}\",\"level\":\"{level}\",\"msg\":{message}{}}}", fields.rest);
        }
        write!(out, "ts={now:.6} ")?;
        match self.colour {
            true => write!(out, "level=\x1b[{colour}m{level}\x1b[0m")?,
            false => write!(out, "level={level}")?,
        }
        write!(out, " msg={}{}", quoted(&fields.message), fields.rest)?;
        writeln!(out)
    }
}

#[derive(Default)]
struct Fields {
    json: bool,
    message: String,
    rest: String,
}

impl Fields {
    fn put(&mut self, name: &str, value: &str) {
        if name == "message" {
            self.message = value.to_owned();
        } else if self.json {
            let (name, value) = (serde_json::Value::from(name), serde_json::Value::from(value));
            self.rest.push_str(&format!(",{name}:{value}"));
        } else {
            self.rest.push_str(&format!(" {name}={}", quoted(value)));
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        self.put(field.name(), &format!("{value:?}"));
    }
}

/// Quotes a value where logfmt needs it.
fn quoted(value: &str) -> String {
    let plain = |c: char| c > ' ' && c != '"' && c != '=' && c != '\\' && c != '\u{7f}';
    if !value.is_empty() && value.chars().all(plain) { value.to_owned() } else { format!("{value:?}") }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn values_are_quoted_where_needed() {
        for (value, expected) in [
            ("plain", "plain"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a=b", "\"a=b\""),
            ("say \"x\"\n", "\"say \\\"x\\\"\\n\""),
            ("127.0.0.1:3100", "127.0.0.1:3100"),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }
}
