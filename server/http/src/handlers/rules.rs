//! The rules API in YAML, the state of rules and alerts in Prometheus' JSON, and the queries of the ruler.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use narvi::{
    Tenant,
    logql::{
        self, Data, Params, Query, Sample,
        ast::Expr,
        value::{FloatFormat, write_float},
    },
};
use narvi_config::RulerLimits;
use narvi_ruler::{Answer, Evaluate, Filter, GroupView, Ruler, RulerError, decode_group, yaml};
use serde::Serialize;

use super::{Asked, query::check, read_body};
use crate::{App, error::ApiError, tenant};

/// The ruler of a server, and whether clients may speak to it.
#[derive(Debug)]
pub(crate) struct Attached {
    ruler: Arc<Ruler>,
    api: bool,
}

impl App {
    /// Makes the ruler's metrics part of the server's and, with `api`, has the paths of rules answer.
    pub fn attach_ruler(&self, ruler: Arc<Ruler>, api: bool) {
        // Only the first counts.
        let _ = self.ruler.set(Attached { ruler, api });
    }

    /// What answers the queries of rules: this server, within the limits of instant queries.
    pub fn rule_queries(self: &Arc<Self>) -> Arc<dyn Evaluate> {
        Arc::new(RuleQueries(Arc::downgrade(self)))
    }

    /// The text of the metrics of the ruler, if there is one.
    pub(crate) fn ruler_metrics(&self) -> String {
        let mut text = String::new();
        if let Some(attached) = self.ruler.get() {
            attached.ruler.encode_metrics(&mut text);
        }
        text
    }

    fn ruler(&self) -> Result<Arc<Ruler>, ApiError> {
        let attached = self.ruler.get().filter(|attached| attached.api);
        attached.map(|attached| attached.ruler.clone()).ok_or_else(ApiError::not_running)
    }
}

/// Holds the server weakly: the server holds the ruler.
struct RuleQueries(Weak<App>);

impl Evaluate for RuleQueries {
    fn instant<'a>(&'a self, tenant: &'a Tenant, query: &'a str, at_ns: i64) -> Answer<'a> {
        Box::pin(async move {
            let app = self.0.upgrade().ok_or("the server is shutting down")?;
            evaluate(&app, tenant, query, at_ns).await.map_err(|error| error.message)
        })
    }

    fn limits(&self, tenant: &Tenant) -> Arc<RulerLimits> {
        let limits = |app: Arc<App>| app.limits_of(std::slice::from_ref(tenant)).ruler.clone();
        self.0.upgrade().map(limits).unwrap_or_default()
    }
}

async fn evaluate(app: &Arc<App>, tenant: &Tenant, query: &str, at_ns: i64) -> Result<Vec<Sample>, ApiError> {
    let limits = app.limits_of(std::slice::from_ref(tenant));
    let expr = logql::parse(query)?;
    check(&expr, &limits)?;
    if let Expr::Log(_) = expr {
        return Err(ApiError::bad("rule result is not a vector or scalar"));
    }
    let mut params = Params::instant(at_ns);
    params.max_series = (limits.max_query_series > 0).then_some(limits.max_query_series);
    let (query, tenant) = (Query::new(expr, params), tenant.clone());
    let work = move |app: &App, budget: &logql::Budget| app.evaluate(&[tenant], &query, budget);
    // Not in the queue of clients: what they ask must not keep alerts from firing. The ruler asks little at once.
    let answer = app.run(app.budget(&limits), work).await?;
    match answer.data {
        Data::Vector(samples) => Ok(samples),
        Data::Scalar { time_ms, value } => Ok(vec![Sample { time_ms, value, ..Sample::default() }]),
        _ => Err(ApiError::bad("rule result is not a vector or scalar")),
    }
}

impl From<RulerError> for ApiError {
    fn from(error: RulerError) -> Self {
        let status = match &error {
            RulerError::Undecodable | RulerError::Invalid(_) | RulerError::ReadOnly(_) => StatusCode::BAD_REQUEST,
            RulerError::NoGroup | RulerError::NoNamespace => StatusCode::NOT_FOUND,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

/// Runs blocking work on the rules of a tenant.
async fn on_rules<T: Send + 'static>(
    app: &App,
    headers: &HeaderMap,
    work: impl FnOnce(&Ruler, &Tenant) -> Result<T, RulerError> + Send + 'static,
) -> Result<T, ApiError> {
    let ruler = app.ruler()?;
    let tenant = tenant::of_request(headers, app.settings.auth_enabled)?;
    let done = tokio::task::spawn_blocking(move || work(&ruler, &tenant)).await;
    Ok(done.map_err(|_| ApiError::internal("the rules could not be read; the server's log says more"))??)
}

fn yaml_answer(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/yaml")], text).into_response()
}

/// What Loki answers to a change.
fn accepted() -> Response {
    let body = "{\"status\":\"success\",\"data\":null,\"errorType\":\"\",\"error\":\"\"}";
    (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

fn no_groups() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no rule groups found")
}

pub(crate) async fn list_rules(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    let namespaces = on_rules(&app, &headers, |ruler, tenant| ruler.store().namespaces(tenant)).await?;
    if namespaces.is_empty() {
        return Err(no_groups());
    }
    Ok(yaml_answer(yaml::namespaces(&namespaces)))
}

/// What a path of one or two words behind `/rules` names. Go's router decodes before it divides, so that a slash in a
/// word divides it too.
enum Named {
    Namespace(String),
    Group(String, String),
}

impl Named {
    fn of(words: &[String]) -> Result<Self, ApiError> {
        let words: Vec<&str> = words.iter().flat_map(|word| word.split('/')).collect();
        match words.as_slice() {
            [namespace] if !namespace.is_empty() => Ok(Self::Namespace((*namespace).to_owned())),
            [namespace, group] if !namespace.is_empty() && !group.is_empty() => {
                Ok(Self::Group((*namespace).to_owned(), (*group).to_owned()))
            }
            _ => Err(ApiError::not_running()),
        }
    }
}

pub(crate) async fn get_rules(
    State(app): State<Arc<App>>,
    Path(words): Path<Vec<String>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let text = match Named::of(&words)? {
        Named::Namespace(namespace) => on_rules(&app, &headers, move |ruler, tenant| {
            let mut all = ruler.store().namespaces(tenant)?;
            all.retain(|name, _| *name == namespace);
            Ok((!all.is_empty()).then(|| yaml::namespaces(&all)))
        })
        .await?
        .ok_or_else(no_groups)?,
        Named::Group(namespace, name) => {
            on_rules(&app, &headers, move |ruler, tenant| {
                ruler.store().group(tenant, &namespace, &name).map(|group| yaml::group(&group))
            })
            .await?
        }
    };
    Ok(yaml_answer(text))
}

pub(crate) async fn delete_rules(
    State(app): State<Arc<App>>,
    Path(words): Path<Vec<String>>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let named = Named::of(&words)?;
    on_rules(&app, &headers, move |ruler, tenant| match named {
        Named::Namespace(namespace) => ruler.store().delete_namespace(tenant, &namespace),
        Named::Group(namespace, name) => ruler.store().delete_group(tenant, &namespace, &name),
    })
    .await?;
    Ok(accepted())
}

pub(crate) async fn set_rules(
    State(app): State<Arc<App>>,
    Path(words): Path<Vec<String>>,
    request: Request,
) -> Result<Response, ApiError> {
    let Named::Namespace(namespace) = Named::of(&words)? else {
        return Err(ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method not allowed"));
    };
    // Before the body is read: nobody unknown sends much.
    app.ruler()?;
    tenant::of_request(request.headers(), app.settings.auth_enabled)?;
    let (parts, body) = request.into_parts();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or("");
    // Loki reads a form as a form, and then finds no body.
    let body = match kind.starts_with("application/x-www-form-urlencoded") {
        true => bytes::Bytes::new(),
        false => read_body(&app, body, app.settings.max_form_bytes).await?,
    };
    on_rules(&app, &parts.headers, move |ruler, tenant| {
        let text = std::str::from_utf8(&body).map_err(|_| RulerError::Undecodable)?;
        ruler.set_group(tenant, &namespace, decode_group(text)?)
    })
    .await?;
    Ok(accepted())
}

/// Prometheus' envelope.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<T> {
    status: &'static str,
    data: Option<T>,
    error_type: &'static str,
    error: String,
}

fn success<T: Serialize>(data: T) -> Result<Response, ApiError> {
    let envelope = Envelope { status: "success", data: Some(data), error_type: "", error: String::new() };
    let body = serde_json::to_vec(&envelope).map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

#[derive(Serialize)]
struct GroupsJson {
    groups: Vec<GroupJson>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupJson {
    name: String,
    file: String,
    rules: Vec<RuleJson>,
    interval: f64,
    limit: i64,
    last_evaluation: String,
    evaluation_time: f64,
}

#[derive(Serialize)]
#[serde(untagged)]
enum RuleJson {
    Alerting(AlertingJson),
    Recording(RecordingJson),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertingJson {
    state: &'static str,
    name: String,
    query: String,
    duration: f64,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    alerts: Vec<AlertJson>,
    health: &'static str,
    last_error: String,
    #[serde(rename = "type")]
    kind: &'static str,
    last_evaluation: String,
    evaluation_time: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RecordingJson {
    name: String,
    query: String,
    labels: BTreeMap<String, String>,
    health: &'static str,
    last_error: String,
    #[serde(rename = "type")]
    kind: &'static str,
    last_evaluation: String,
    evaluation_time: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertJson {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    state: &'static str,
    active_at: String,
    value: String,
}

#[derive(Serialize)]
struct AlertsJson {
    alerts: Vec<AlertJson>,
}

fn alert_json(alert: narvi_ruler::AlertView) -> AlertJson {
    let mut value = Vec::new();
    write_float(&mut value, alert.value, FloatFormat::Exponent, None);
    AlertJson {
        labels: alert.labels,
        annotations: alert.annotations,
        state: alert.state,
        active_at: alert.active_at,
        value: String::from_utf8_lossy(&value).into_owned(),
    }
}

fn rule_json(rule: narvi_ruler::RuleView) -> RuleJson {
    let (health, last_error) = (rule.health.as_str(), rule.last_error);
    let (last_evaluation, evaluation_time) = (rule.last_evaluation, rule.evaluation_secs);
    let (name, query, labels) = (rule.name, rule.query, rule.labels);
    match rule.alerting {
        Some(alerting) => RuleJson::Alerting(AlertingJson {
            state: alerting.state,
            name,
            query,
            duration: alerting.hold_secs,
            labels,
            annotations: alerting.annotations,
            alerts: alerting.alerts.into_iter().map(alert_json).collect(),
            health,
            last_error,
            kind: "alerting",
            last_evaluation,
            evaluation_time,
        }),
        None => RuleJson::Recording(RecordingJson {
            name,
            query,
            labels,
            health,
            last_error,
            kind: "recording",
            last_evaluation,
            evaluation_time,
        }),
    }
}

/// The groups of a tenant, also those that other rulers have.
async fn all_groups(ruler: Arc<Ruler>, tenant: Tenant, filter: Filter) -> Result<Vec<GroupView>, ApiError> {
    let read = tokio::task::spawn_blocking(move || ruler.all_groups(&tenant, &filter)).await;
    read.map_err(|_| ApiError::internal("the rules could not be read; the server's log says more"))
}

/// The state of rules, as Prometheus shows it.
pub(crate) async fn prometheus_rules(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let ruler = app.ruler()?;
    let alerts = match asked.form.get("type").to_lowercase().as_str() {
        "" => None,
        "alert" => Some(true),
        "record" => Some(false),
        _ => return Ok(unknown_type(asked.form.get("type"))),
    };
    let names = |name: &str| [asked.form.all(name), asked.form.all(&format!("{name}[]"))].concat();
    let filter =
        Filter { alerts, rule_names: names("rule_name"), rule_groups: names("rule_group"), files: names("file") };
    let groups = all_groups(ruler, tenant::one(&asked.tenants)?, filter).await?;
    let groups = groups.into_iter().map(|group| GroupJson {
        name: group.name,
        file: group.file,
        rules: group.rules.into_iter().map(rule_json).collect(),
        interval: group.interval_secs,
        limit: group.limit,
        last_evaluation: group.last_evaluation,
        evaluation_time: group.evaluation_secs,
    });
    success(GroupsJson { groups: groups.collect() })
}

/// Loki's answer, with the type of plain text.
fn unknown_type(kind: &str) -> Response {
    let error = format!("not supported value {kind:?}");
    let envelope = Envelope::<()> { status: "error", data: None, error_type: "bad_data", error };
    let body = serde_json::to_string(&envelope).unwrap_or_default();
    ApiError::bad(body).into_response()
}

/// The pending and firing alerts, as Prometheus shows them.
pub(crate) async fn prometheus_alerts(State(app): State<Arc<App>>, asked: Asked) -> Result<Response, ApiError> {
    let groups = all_groups(app.ruler()?, tenant::one(&asked.tenants)?, Filter::default()).await?;
    let alerts = groups.into_iter().flat_map(|group| group.rules).filter_map(|rule| rule.alerting);
    success(AlertsJson { alerts: alerts.flat_map(|alerting| alerting.alerts).map(alert_json).collect() })
}

#[cfg(test)]
mod tests {
    use super::{Named, alert_json};

    #[test]
    fn slashes_divide_also_when_encoded() {
        let of = |words: &[&str]| match Named::of(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()) {
            Ok(Named::Namespace(namespace)) => namespace,
            Ok(Named::Group(namespace, group)) => format!("{namespace}|{group}"),
            Err(error) => error.status.as_u16().to_string(),
        };
        assert_eq!(of(&["a b"]), "a b");
        assert_eq!(of(&["a/b"]), "a|b");
        assert_eq!(of(&["a", "b c"]), "a|b c");
        assert_eq!(of(&["a", "b/c"]), "404");
        assert_eq!(of(&["a/"]), "404");
    }

    #[test]
    fn values_of_alerts_have_an_exponent() {
        let alert = |value| alert_json(narvi_ruler::AlertView { value, ..Default::default() }).value;
        assert_eq!(
            (alert(1.0), alert(0.125), alert(f64::INFINITY)),
            ("1e+00".into(), "1.25e-01".into(), "+Inf".into())
        );
    }
}
