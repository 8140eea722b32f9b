//! What travels with each call: whose logs are meant, and how long the caller waits.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use narvi::{
    Tenant,
    logql::{Budget, BudgetLimits},
};
use tonic::metadata::{MetadataMap, MetadataValue};

use crate::error::{RpcError, RpcErrorKind};

/// The metadata that names the tenants.
const TENANT: &str = "x-scope-orgid";
/// The metadata that says how long the caller waits.
const TIMEOUT: &str = "grpc-timeout";
/// Tenants that one call may name.
const MOST_TENANTS: usize = 1000;

/// A call as a service sees it.
#[derive(Clone, Debug)]
pub struct Call {
    tenants: Vec<Tenant>,
    budget: Budget,
    deadline: Option<Instant>,
    closing: Arc<AtomicBool>,
}

impl Call {
    /// A call for tenants, with what it may use; for services that are called in their own process.
    pub fn new(tenants: Vec<Tenant>, limits: BudgetLimits) -> Self {
        let deadline = limits.time.and_then(|time| Instant::now().checked_add(time));
        Self { tenants, budget: Budget::new(limits), deadline, closing: Arc::default() }
    }

    /// Whose logs are meant; one at least.
    pub fn tenants(&self) -> &[Tenant] {
        &self.tenants
    }

    /// Whose logs are meant, where that must be one.
    ///
    /// # Errors
    /// [`RpcErrorKind::Invalid`]: it is none, or several.
    pub fn tenant(&self) -> Result<&Tenant, RpcError> {
        match &self.tenants[..] {
            [tenant] => Ok(tenant),
            [] => Err(RpcError::new(RpcErrorKind::Invalid, "no org id")),
            _ => Err(RpcError::new(RpcErrorKind::Invalid, "multiple org IDs present")),
        }
    }

    /// What the call may use. Cancelled when the caller gives up; knows the caller's time.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Whether the server stops: what never ends by itself ends now.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    /// When the caller does not wait any more.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(crate) fn of_server(metadata: &MetadataMap, mut limits: BudgetLimits) -> Result<Self, RpcError> {
        let invalid = |text: String| RpcError::new(RpcErrorKind::Invalid, text);
        let mut tenants = Vec::new();
        if let Some(value) = metadata.get(TENANT) {
            let text = value.to_str().map_err(|_| invalid("the org id is not text".to_owned()))?;
            if text.split('|').nth(MOST_TENANTS).is_some() {
                return Err(invalid(format!("a call may name {MOST_TENANTS} tenants at most")));
            }
            let parsed: Result<_, _> = text.split('|').map(Tenant::new).collect();
            tenants = parsed.map_err(|error| invalid(error.to_string()))?;
        }
        limits.time = metadata.get(TIMEOUT).and_then(|value| parse_timeout(value.to_str().ok()?));
        Ok(Self::new(tenants, limits))
    }

    pub(crate) fn with_closing(mut self, closing: &Arc<AtomicBool>) -> Self {
        self.closing = closing.clone();
        self
    }
}

/// Reads gRPC's form of a time: at most eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// A call as its caller describes it.
#[derive(Clone, Debug)]
pub struct CallOptions {
    tenants: Vec<Tenant>,
    timeout: Option<Duration>,
}

impl CallOptions {
    /// A call for one tenant.
    pub fn of(tenant: &Tenant) -> Self {
        Self { tenants: vec![tenant.clone()], timeout: None }
    }

    /// A call for several tenants that are queried as one.
    pub fn of_all(tenants: &[Tenant]) -> Self {
        Self { tenants: tenants.to_vec(), timeout: None }
    }

    /// A call that is not for a tenant.
    pub fn of_none() -> Self {
        Self { tenants: Vec::new(), timeout: None }
    }

    /// How long to wait. The other side learns of it, and stops its work then.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    pub(crate) fn or_within(mut self, time: Duration) -> Self {
        self.timeout.get_or_insert(time);
        self
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.timeout.and_then(|time| Instant::now().checked_add(time))
    }

    pub(crate) fn request<T>(&self, message: T) -> Result<tonic::Request<T>, RpcError> {
        let mut request = tonic::Request::new(message);
        if !self.tenants.is_empty() {
            let names: Vec<_> = self.tenants.iter().map(Tenant::as_str).collect();
            let value = MetadataValue::try_from(names.join("|"))
                .map_err(|_| RpcError::new(RpcErrorKind::Invalid, "the org id cannot be sent"))?;
            request.metadata_mut().insert(TENANT, value);
        }
        if let Some(time) = self.timeout {
            request.set_timeout(time);
        }
        Ok(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(options: &CallOptions) -> Result<Call, RpcError> {
        let request = options.request(()).expect("sendable");
        Call::of_server(request.metadata(), BudgetLimits::default())
    }

    #[test]
    fn tenants_and_time_travel() {
        let (a, b) = (Tenant::new("a").expect("valid"), Tenant::new("b-c").expect("valid"));
        let call = sent(&CallOptions::of(&a).within(Duration::from_millis(1500))).expect("valid");
        assert_eq!(call.tenant().expect("one"), &a);
        assert_eq!(call.budget().limits().time, Some(Duration::from_millis(1500)));
        let call = sent(&CallOptions::of_all(&[a.clone(), b.clone()])).expect("valid");
        assert_eq!(call.tenants(), [a, b]);
        assert_eq!(call.tenant().expect_err("two").to_string(), "multiple org IDs present");
        assert!(call.deadline().is_none() && call.budget().limits().time.is_none());
        assert_eq!(sent(&CallOptions::of_none()).expect("valid").tenant().expect_err("none").to_string(), "no org id");
    }

    #[test]
    fn metadata_of_anyone_is_checked() {
        for bad in ["", "a|", "a/b", "|"] {
            let mut metadata = MetadataMap::new();
            metadata.insert(TENANT, bad.parse().expect("text"));
            let error = Call::of_server(&metadata, BudgetLimits::default()).expect_err(bad);
            assert_eq!(error.kind(), RpcErrorKind::Invalid);
        }
        for (text, time) in [("8S", Some(8000)), ("250m", Some(250)), ("1H", Some(3_600_000)), ("99999999n", Some(99))]
        {
            assert_eq!(parse_timeout(text).map(|time| time.as_millis()), time, "{text}");
        }
        for bad in ["", "S", "1", "1x", "123456789S", "-1S", "1\u{e9}"] {
            assert_eq!(parse_timeout(bad), None, "{bad}");
        }
    }
}
