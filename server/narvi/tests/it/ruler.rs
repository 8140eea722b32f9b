//! The ruler with a real Alertmanager and a real Prometheus: an alert goes its way, a restart changes nothing, what was
//! recorded can be asked.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use serde_json::Value;

use crate::{path, server::Server};

/// How long anything may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

const TENANT: &str = "X-Scope-OrgID: t\r\n";

/// A server of the test, ended with it.
struct Guest {
    child: Child,
    url: String,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Finds a program of the system. Without it the test is skipped, loudly, unless it is said to be there.
fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    if found.is_none() {
        assert!(std::env::var_os("NARVI_REQUIRE_SERVERS").is_none(), "{name} must be there, and is not on the PATH");
        eprintln!("SKIPPED: {name} is not on the PATH; on Debian: PATH=$PATH:$(tools/servers/debian.sh)");
    }
    found
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

impl Guest {
    /// Starts a program and waits until it is ready; what it says goes to a file, shown if it fails.
    fn start(program: &Path, folder: &Path, args: &[String]) -> Self {
        let port = free_port();
        let log = folder.join(format!("{port}.log"));
        let child = Command::new(program)
            .args(args)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).expect("a log"))
            .spawn()
            .expect("it starts");
        let mut guest = Self { child, url: format!("http://127.0.0.1:{port}") };
        let started = Instant::now();
        while ureq::get(format!("{}/-/ready", guest.url)).call().is_err() {
            let ended = guest.child.try_wait().expect("its state is known");
            if ended.is_some() || started.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("{} is not ready ({ended:?}) and says:\n{said}", program.display());
            }
            thread::sleep(Duration::from_millis(100));
        }
        guest
    }

    fn alertmanager(folder: &Path) -> Option<Self> {
        let program = program("prometheus-alertmanager")?;
        let config = path(folder, "alertmanager.yml");
        std::fs::write(&config, "route: {receiver: none}\nreceivers: [{name: none}]\n").expect("it is written");
        let storage = format!("--storage.path={}", path(folder, "alertmanager"));
        let args = [format!("--config.file={config}"), storage, "--cluster.listen-address=".to_owned()];
        Some(Self::start(&program, folder, &args))
    }

    fn prometheus(folder: &Path) -> Option<Self> {
        let program = program("prometheus")?;
        let config = path(folder, "prometheus.yml");
        std::fs::write(&config, "global: {}\n").expect("it is written");
        let storage = format!("--storage.tsdb.path={}", path(folder, "prometheus"));
        let args = [format!("--config.file={config}"), storage, "--web.enable-remote-write-receiver".to_owned()];
        Some(Self::start(&program, folder, &args))
    }

    fn json(&self, path: &str) -> Option<Value> {
        let mut answer = ureq::get(format!("{}{path}", self.url)).call().ok()?;
        serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
    }
}

/// Asks again and again until there is an answer.
fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{what}: not after {PATIENCE:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

fn now_rfc3339() -> String {
    let now = now();
    let time = jiff::Timestamp::new(now.as_secs().cast_signed(), now.subsec_nanos().cast_signed());
    time.expect("a time").to_string()
}

fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

fn json_of(server: &Server, path: &str) -> Value {
    let (status, rest) = server.ask("GET", path, TENANT, "");
    assert!(status.contains(" 200 "), "{path}: {status} {rest}");
    serde_json::from_str(body(&rest)).unwrap_or_else(|error| panic!("{path}: {error}: {rest}"))
}

/// The alert of a name, in a state.
fn alert(server: &Server, name: &str, state: &str) -> Option<Value> {
    let alerts = json_of(server, "/prometheus/api/v1/alerts");
    let alerts = alerts["data"]["alerts"].as_array().expect("a list").clone();
    alerts.into_iter().find(|alert| alert["labels"]["alertname"] == name && alert["state"] == state)
}

fn set_rules(server: &Server, limit: u32) {
    let group = format!(
        "name: g\ninterval: 1s\nrules:\n\
         - record: app:errors:count1h\n  expr: sum by (app) (count_over_time({{app=\"api\"}} |= \"error\" [1h]))\n  \
         labels: {{source: logs}}\n\
         - alert: Errors\n  expr: sum by (app) (count_over_time({{app=\"api\"}} |= \"error\" [1h])) > {limit}\n  for: 2s\n  \
         labels: {{severity: page}}\n  annotations:\n    \
         summary: '{{{{ $labels.app }}}} of {{{{ $externalLabels.cluster }}}} has {{{{ $value | humanize }}}} errors'\n\
         - alert: Slow\n  expr: vector(1)\n  for: 1h\n"
    );
    let (status, rest) = server.ask("POST", "/loki/api/v1/rules/team", TENANT, &group);
    assert!(status.contains(" 202 "), "{status} {rest}");
}

fn configure(folder: &Path, alertmanager: &Guest, prometheus: &Guest) -> String {
    let config = path(folder, "loki.yaml");
    let text = format!(
        "auth_enabled: true\nserver: {{http_listen_address: 127.0.0.1, http_listen_port: 0}}\n\
         common: {{path_prefix: '{}'}}\nlimits_config: {{reject_old_samples: false}}\n\
         ruler:\n  poll_interval: 1s\n  resend_delay: 1s\n  external_url: http://grafana.example\n  \
         external_labels: {{cluster: c1}}\n  alertmanager_url: {}\n  \
         alert_relabel_configs: [{{source_labels: [severity], regex: p(.*), target_label: kind, replacement: x$1}}]\n  remote_write:\n    enabled: true\n    \
         clients: {{prom: {{url: '{}/api/v1/write'}}}}\n",
        path(folder, "loki"),
        alertmanager.url,
        prometheus.url
    );
    std::fs::write(&config, text).expect("it is written");
    format!("-config.file={config}")
}

#[test]
fn an_alert_goes_its_way_and_samples_arrive() {
    let folder = tempfile::tempdir().expect("a folder");
    let (Some(alertmanager), Some(prometheus)) = (Guest::alertmanager(folder.path()), Guest::prometheus(folder.path()))
    else {
        return;
    };
    let config = configure(folder.path(), &alertmanager, &prometheus);
    let server = Server::start(&[&config, "-target=all"]);
    let at = now().as_nanos();
    let push = format!(
        r#"{{"streams":[{{"stream":{{"app":"api"}},"values":[["{}","error 1"],["{}","error 2"],["{}","fine"],["{at}","error 3"]]}}]}}"#,
        at - 3,
        at - 2,
        at - 1
    );
    let headers = format!("{TENANT}Content-Type: application/json\r\n");
    let (status, rest) = server.ask("POST", "/loki/api/v1/push", &headers, &push);
    assert!(status.contains(" 204 "), "{status} {rest}");
    set_rules(&server, 2);

    let pending = wait_for("an alert is pending", || alert(&server, "Slow", "pending"));
    assert_eq!(pending["value"], "1e+00");
    let firing = wait_for("an alert fires", || alert(&server, "Errors", "firing"));
    let arrived = wait_for("Alertmanager has it", || alert_of(&alertmanager));
    assert_eq!(arrived["labels"]["app"], "api");
    assert_eq!(arrived["labels"]["severity"], "page");
    assert_eq!(arrived["labels"]["cluster"], "c1");
    assert_eq!(arrived["labels"]["kind"], "xage");
    assert_eq!(arrived["annotations"]["summary"], "api of c1 has 3 errors");
    let link = arrived["generatorURL"].as_str().expect("a link");
    assert!(link.starts_with("http://grafana.example/graph?g0.expr=sum+by+"), "{link}");
    let sample = wait_for("Prometheus has the series", || recorded(&prometheus));
    assert_eq!(sample["value"][1], "3");
    assert_eq!((&sample["metric"]["app"], &sample["metric"]["source"]), (&Value::from("api"), &Value::from("logs")));
    check_views(&server);

    server.stop();
    let between = now_rfc3339();
    let server = Server::start(&[&config, "-target=all"]);
    // Both go on: neither waits anew.
    let still = wait_for("the alert is pending again", || alert(&server, "Slow", "pending"));
    let since = still["activeAt"].as_str().expect("a time");
    assert!(since < between.as_str(), "{since} is not before the restart at {between}");
    let still = wait_for("the alert fires again", || alert(&server, "Errors", "firing"));
    assert_eq!(still["activeAt"], firing["activeAt"]);

    // The cause goes: Alertmanager is told.
    set_rules(&server, 100);
    wait_for("the alert is resolved", || alert_of(&alertmanager).is_none().then_some(()));
    assert!(alert(&server, "Errors", "firing").is_none());
    server.stop();
}

fn alert_of(alertmanager: &Guest) -> Option<Value> {
    let alerts = alertmanager.json("/api/v2/alerts?active=true")?;
    alerts.as_array()?.iter().find(|alert| alert["labels"]["alertname"] == "Errors").cloned()
}

fn recorded(prometheus: &Guest) -> Option<Value> {
    let answer = prometheus.json("/api/v1/query?query=app:errors:count1h")?;
    answer["data"]["result"].as_array()?.first().cloned()
}

/// What the API and the metrics say of rules that run.
fn check_views(server: &Server) {
    let rules = json_of(server, "/prometheus/api/v1/rules?type=alert&rule_name[]=Errors");
    let group = &rules["data"]["groups"][0];
    assert_eq!((&group["name"], &group["file"], &group["interval"]), (&"g".into(), &"team".into(), &1.0.into()));
    let [rule] = group["rules"].as_array().expect("a list").as_slice() else { panic!("one rule: {rules}") };
    assert_eq!((&rule["type"], &rule["health"], &rule["state"]), (&"alerting".into(), &"ok".into(), &"firing".into()));
    assert_eq!(rule["alerts"][0]["annotations"]["summary"], "api of c1 has 3 errors");
    let none = json_of(server, "/prometheus/api/v1/rules?file[]=other");
    assert_eq!(none["data"]["groups"], Value::Array(Vec::new()));
    let (_, metrics) = server.ask("GET", "/metrics", "Accept: application/openmetrics-text\r\n", "");
    for name in [
        "loki_prometheus_rule_evaluations_total{rule_group=\"team;g\",user=\"t\"}",
        "loki_prometheus_notifications_sent_total{",
        "loki_ruler_wal_samples_appended_total{tenant=\"t\"}",
        "loki_ruler_wal_prometheus_remote_storage_samples_total{tenant=\"t\",remote_name=\"prom\"}",
    ] {
        assert!(metrics.contains(name), "{name} is missing in\n{metrics}");
    }
    assert!(metrics.trim_end().ends_with("# EOF"));
}
