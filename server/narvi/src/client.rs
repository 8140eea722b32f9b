//! A client of Loki's HTTP API.

use std::time::Duration;

use serde_json::Value;

use crate::failure::{Failure, Outcome};

/// Largest answer that is taken.
const MAX_ANSWER: u64 = 4 << 30;

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    agent: ureq::Agent,
    base: String,
    tenant: String,
}

impl Client {
    pub(crate) fn new(addr: &str, tenant: &str) -> Outcome<Self> {
        let base = if addr.contains("://") { addr.to_owned() } else { format!("http://{addr}") };
        if !base.starts_with("http://") {
            return Err(Failure(format!("--addr {addr}: only http:// is supported")));
        }
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(10)))
            .build();
        let base = base.trim_end_matches('/').to_owned();
        Ok(Self { agent: config.into(), base, tenant: tenant.to_owned() })
    }

    /// Host and port, and what all paths begin with.
    pub(crate) fn socket(&self) -> (&str, &str) {
        let rest = self.base.strip_prefix("http://").unwrap_or(&self.base);
        rest.find('/').map_or((rest, ""), |at| rest.split_at(at))
    }

    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Asks a question and gives the JSON answer.
    pub(crate) fn get(&self, path: &str, params: &[(&str, String)]) -> Outcome<Value> {
        let url = format!("{}{path}", self.base);
        let request = self.agent.get(&url).header("X-Scope-OrgID", &self.tenant);
        let request = params.iter().fold(request, |request, (name, value)| request.query(name, value));
        let answer = request.call().map_err(|error| Failure::of(format_args!("cannot ask {url}"), error))?;
        let body = Self::body(&url, answer)?;
        serde_json::from_slice(&body)
            .map_err(|error| Failure::of(format_args!("the answer of {url} is no JSON"), error))
    }

    /// Sends a push, compressed already.
    pub(crate) fn push(&self, body: &[u8]) -> Outcome {
        let url = format!("{}/loki/api/v1/push", self.base);
        let request = self.agent.post(&url).header("X-Scope-OrgID", &self.tenant);
        let sent = request.header("Content-Type", "application/x-protobuf").send(body);
        let answer = sent.map_err(|error| Failure::of(format_args!("cannot push to {url}"), error))?;
        Self::body(&url, answer).map(drop)
    }

    fn body(url: &str, mut answer: ureq::http::Response<ureq::Body>) -> Outcome<Vec<u8>> {
        let status = answer.status();
        let body = answer.body_mut().with_config().limit(MAX_ANSWER).read_to_vec();
        let body = body.map_err(|error| Failure::of(format_args!("cannot read the answer of {url}"), error))?;
        if status.is_success() {
            return Ok(body);
        }
        let text = String::from_utf8_lossy(&body);
        Err(Failure(format!("{url} answered {status}: {}", text.trim_end())))
    }
}
