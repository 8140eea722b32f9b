//! `narvi tail`: lines as they arrive.

use std::{net::TcpStream, thread, time::Duration};

use narvi::{
    Timestamp,
    logql::{self, ast::Expr},
};
use serde_json::Value;
use tokio_tungstenite::tungstenite::{
    self, Message, WebSocket, client::IntoClientRequest, http::HeaderValue, protocol::frame::coding::CloseCode,
};

use crate::{
    cli::{Output, TailArgs},
    client::Client,
    failure::{Failure, Outcome},
    place::Place,
    query::{
        Stop, parse_failure,
        print::{Line, Printer},
    },
    times,
};

/// How often a connection that was lost is tried anew before that is an error.
const TRIES: u32 = 6;
/// The most lines that are asked for again after a connection was lost.
const AGAIN: usize = 1000;

pub(crate) fn run(args: &TailArgs) -> Outcome {
    let expr = logql::parse(&args.query).map_err(|error| parse_failure(&args.query, &error))?;
    if matches!(expr, Expr::Metric(_)) {
        return Err(Failure("a metric query cannot be followed; only lines can".to_owned()));
    }
    let start = times::start(&args.from)?;
    // An array would never end.
    let output = if args.output == Output::Json { Output::Jsonl } else { args.output };
    let mut printer = Printer::live(output);
    let done = match Place::to_read(&args.place)? {
        Place::Directory(db, tenant) => {
            let (from, to) = (Timestamp::from_ns(start), Timestamp::from_ns(times::now()));
            let rows = db.query(&args.query).tenant(&tenant).range(from, to).limit(args.limit).rows()?;
            let mut rows = rows.collect::<narvi::Result<Vec<_>>>()?;
            rows.reverse();
            let printed = rows.iter().try_for_each(|row| {
                let labels: Vec<(&str, &str)> = row.labels.iter().collect();
                printer.line(&Line { ts: row.ts, labels: &labels, line: &row.line })
            });
            eprintln!(
                "narvi: no server has this directory open, so that nothing more can arrive; follow one with --addr"
            );
            printed
        }
        Place::Server(client) => Follow { args, client: &client, start, limit: args.limit }.run(&mut printer),
    };
    let done = done.and_then(|()| printer.finish());
    match done {
        Err(Stop::Failed(failure)) => Err(failure),
        // Whoever read the lines has enough, as `head` does.
        Ok(()) | Err(Stop::Closed) => Ok(()),
    }
}

/// Why a connection ended.
enum Ended {
    /// It may be tried again.
    Lost(String),
    Stopped(Stop),
}

impl<E: Into<Stop>> From<E> for Ended {
    fn from(stop: E) -> Self {
        Self::Stopped(stop.into())
    }
}

/// A tail on a server, over as many connections as it takes.
struct Follow<'a> {
    args: &'a TailArgs,
    client: &'a Client,
    start: i64,
    limit: usize,
}

impl Follow<'_> {
    fn run(mut self, printer: &mut Printer) -> Result<(), Stop> {
        let mut tries = 0;
        loop {
            let before = self.start;
            let lost = match self.connection(printer) {
                Ended::Stopped(stop) => return Err(stop),
                Ended::Lost(reason) => reason,
            };
            tries = if self.start > before { 1 } else { tries + 1 };
            if tries >= TRIES {
                return Err(Stop::Failed(Failure(lost)));
            }
            eprintln!("narvi: {lost}; trying again");
            thread::sleep(Duration::from_millis(250 << tries.min(5)));
            // What came meanwhile is told as history.
            self.limit = AGAIN;
        }
    }

    fn connection(&mut self, printer: &mut Printer) -> Ended {
        match self.open().and_then(|mut socket| self.read(&mut socket, printer)) {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    fn open(&self) -> Result<WebSocket<TcpStream>, Ended> {
        let params = [
            ("query", self.args.query.clone()),
            ("start", self.start.to_string()),
            ("limit", self.limit.to_string()),
            ("delay_for", self.args.delay_for.to_string()),
        ];
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let (address, path) = self.client.socket();
        let url = format!("ws://{address}{path}/loki/api/v1/tail?{query}");
        let failed = |error: &dyn std::fmt::Display| Failure::of(format_args!("cannot follow {address}"), error);
        let mut request = url.into_client_request().map_err(|error| failed(&error))?;
        let tenant = HeaderValue::from_str(self.client.tenant()).map_err(|error| Failure::of("--tenant", error))?;
        request.headers_mut().insert("X-Scope-OrgID", tenant);
        let target = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
        let stream = TcpStream::connect(&target).map_err(|error| Ended::Lost(failed(&error).0))?;
        match tungstenite::client::client(request, stream) {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
                let status = answer.status();
                let text = answer.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                let failure = Failure(format!("{address} answered {status}: {}", text.trim_end()));
                Err(if status.is_server_error() { Ended::Lost(failure.0) } else { failure.into() })
            }
            Err(error) => Err(Ended::Lost(failed(&error).0)),
        }
    }

    fn read(
        &mut self,
        socket: &mut WebSocket<TcpStream>,
        printer: &mut Printer,
    ) -> Result<std::convert::Infallible, Ended> {
        loop {
            let message = socket.read().map_err(|error| Ended::Lost(format!("the connection was lost: {error}")))?;
            match message {
                Message::Text(frame) => self.frame(frame.as_str(), printer)?,
                Message::Close(close) => {
                    let (code, reason) =
                        close.map_or((CloseCode::Normal, String::new()), |c| (c.code, c.reason.to_string()));
                    let text = format!("the server ended the tail: {reason}");
                    return Err(match code {
                        CloseCode::Normal | CloseCode::Away => Ended::Lost(text),
                        _ => Failure(text).into(),
                    });
                }
                _ => {}
            }
        }
    }

    fn frame(&mut self, text: &str, printer: &mut Printer) -> Result<(), Ended> {
        let frame: Value = serde_json::from_str(text)
            .map_err(|error| Failure::of("the server sent a frame that is no JSON", error))?;
        let listed = frame["dropped_entries"].as_array().map_or(0, Vec::len) as u64;
        // The total comes in the first of several frames; Loki lists only.
        let dropped = frame["dropped_total"].as_u64().unwrap_or(if frame["streams"][0].is_null() { 0 } else { listed });
        if dropped > 0 {
            eprintln!("narvi: warning: {dropped} lines were dropped, since this command does not read fast enough");
        }
        let mut lines: Vec<(i64, &Value, &str)> = Vec::new();
        for stream in frame["streams"].as_array().map(Vec::as_slice).unwrap_or_default() {
            for value in stream["values"].as_array().map(Vec::as_slice).unwrap_or_default() {
                let ts = value[0].as_str().and_then(|ts| ts.parse().ok()).unwrap_or(0);
                lines.push((ts, &stream["stream"], value[1].as_str().unwrap_or("")));
            }
        }
        lines.sort_by_key(|(ts, ..)| *ts);
        for (ts, labels, line) in lines {
            let labels = labels.as_object().into_iter().flatten();
            let labels: Vec<(&str, &str)> = labels.map(|(n, v)| (n.as_str(), v.as_str().unwrap_or(""))).collect();
            printer.line(&Line { ts, labels: &labels, line: line.as_bytes() })?;
            self.start = self.start.max(ts.saturating_add(1));
        }
        Ok(())
    }
}
