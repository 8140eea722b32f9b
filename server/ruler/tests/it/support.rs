//! What answers queries, and what receives what a ruler sends.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use narvi::{Labels, Tenant, logql::Sample};
use narvi_config::{RulerConfig, RulerLimits};
use narvi_ruler::{Answer, Evaluate};
use parking_lot::Mutex;
use prost::Message;

/// Labels and value of a series.
pub(crate) type Series = (Vec<(&'static str, &'static str)>, f64);

/// Settings for a test: quick polls.
pub(crate) fn config() -> RulerConfig {
    let mut config = RulerConfig::default();
    config.poll_interval = Duration::from_millis(100);
    config
}

/// What a query gives.
type Given = Result<Vec<Series>, String>;

/// Answers by the text of the query, and the limits of all tenants.
#[derive(Clone, Default)]
pub(crate) struct Answers {
    given: Arc<Mutex<HashMap<String, Given>>>,
    pub(crate) limits: Arc<Mutex<RulerLimits>>,
    /// Counts the queries for `vector(0)`, which are never answered, as long as they are asked.
    pub(crate) endless: Arc<()>,
}

impl Answers {
    pub(crate) fn set(&self, query: &str, answer: Given) {
        self.given.lock().insert(query.to_owned(), answer);
    }
}

impl Evaluate for Answers {
    fn instant<'a>(&'a self, _: &'a Tenant, query: &'a str, at_ns: i64) -> Answer<'a> {
        if query == "vector(0)" {
            let asked = self.endless.clone();
            return Box::pin(async move {
                std::future::pending::<()>().await;
                drop(asked);
                Ok(Vec::new())
            });
        }
        let answer = self.given.lock().get(query).cloned().unwrap_or_else(|| Err(format!("nobody knows {query}")));
        let sample = move |(labels, value): Series| Sample {
            labels: Labels::from_pairs(labels).expect("labels"),
            time_ms: at_ns / 1_000_000,
            value,
        };
        Box::pin(async move { answer.map(|series| series.into_iter().map(sample).collect()) })
    }

    fn limits(&self, _: &Tenant) -> Arc<RulerLimits> {
        Arc::new(self.limits.lock().clone())
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{what}: not after a minute");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

/// An HTTP server that keeps what it gets and answers with given statuses, the last one for good.
pub(crate) struct Receiver {
    address: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    pub(crate) fn start<const N: usize>(statuses: [u16; N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let of_thread = requests.clone();
        // It ends with the process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let requests = of_thread.clone();
                thread::spawn(move || serve(&stream, &statuses, &requests));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> usize {
        self.requests.lock().len()
    }

    pub(crate) fn first(&self) -> Request {
        self.requests.lock().first().cloned().unwrap_or_default()
    }

    pub(crate) fn last(&self) -> Request {
        self.requests.lock().last().cloned().unwrap_or_default()
    }
}

fn serve(stream: &TcpStream, statuses: &[u16], requests: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = String::new();
        loop {
            match reader.read_line(&mut head) {
                Ok(0) | Err(_) => return,
                Ok(_) if head.ends_with("\r\n\r\n") => break,
                Ok(_) => {}
            }
        }
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let status = {
            let mut requests = requests.lock();
            requests.push(Request { head, body });
            statuses.get(requests.len() - 1).or(statuses.last()).copied().unwrap_or(200)
        };
        let mut stream = stream;
        if write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 0\r\n\r\n").is_err() {
            return;
        }
    }
}

/// A sample of a remote write.
pub(crate) struct Written {
    pub(crate) labels: String,
    pub(crate) value: f64,
    pub(crate) timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

impl Written {
    /// Reads the body of a request.
    pub(crate) fn of(body: &[u8]) -> Vec<Self> {
        let bytes = snap::raw::Decoder::new().decompress_vec(body).expect("snappy");
        let request = WriteRequest::decode(bytes.as_slice()).expect("protobuf");
        let labels = |series: &TimeSeries| {
            series.labels.iter().map(|label| format!("{}={}", label.name, label.value)).collect::<Vec<_>>().join(",")
        };
        let written = |series: &TimeSeries| {
            let Value { value, timestamp } = series.samples[0];
            Self { labels: labels(series), value, timestamp }
        };
        request.series.iter().map(written).collect()
    }
}
