//! A ruler whose queries are answered by the test, and receivers that fail.

mod samples;
mod sharing;
mod support;

use std::{sync::Arc, time::Duration};

use narvi::Tenant;
use narvi_config::RulerConfig;
use narvi_ruler::{Filter, Health, Ruler, RulerPlaces, decode_group};

use crate::support::{Answers, Receiver, config, wait_for};

/// A ruler over a folder.
pub(crate) fn ruler(folder: &std::path::Path, config: &RulerConfig, answers: &Answers) -> Arc<Ruler> {
    let places = RulerPlaces::in_data(folder, config);
    let ruler = Ruler::new(config, places, Arc::new(answers.clone())).expect("the settings are right");
    ruler.start();
    ruler
}

/// Puts a group in the place of what the tenant had.
pub(crate) fn put(ruler: &Ruler, group: &str) {
    let group = decode_group(group).unwrap_or_else(|error| panic!("{error}"));
    ruler.set_group(&Tenant::default(), "n", group).expect("it is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_evaluated_and_their_faults_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let answers = Answers::default();
    answers.set("vector(1)", Ok(vec![(vec![("app", "api")], 1.5), (vec![("app", "web")], 2.0)]));
    answers.set("vector(2)", Err("the store is away".to_owned()));
    let ruler = ruler(folder.path(), &config(), &answers);
    put(
        &ruler,
        "name: g\ninterval: 100ms\nlimit: 2\nrules:\n- {alert: A, expr: vector(1), labels: {of: '{{ $labels.app }}!'}}\n\
         - {record: r, expr: vector(2)}\n- {record: s, expr: vector(1), labels: {app: ''}}\n",
    );
    let group = wait_for("the last rule was evaluated", || {
        let groups = ruler.groups(&Tenant::default(), &Filter::default());
        groups.into_iter().next().filter(|group| group.rules.iter().all(|rule| rule.health != Health::Unknown))
    })
    .await;
    let [alert, wrong, same] = group.rules.as_slice() else { panic!("three rules") };
    let alerting = alert.alerting.as_ref().expect("it alerts");
    assert_eq!((alerting.state, alerting.alerts.len()), ("firing", 2));
    assert_eq!(alerting.alerts[0].labels.get("of").map(String::as_str), Some("api!"));
    assert_eq!((wrong.health, wrong.last_error.as_str()), (Health::Bad, "the store is away"));
    let text = "vector contains metrics with the same labelset after applying rule labels";
    assert_eq!((same.health, same.last_error.as_str()), (Health::Bad, text));
    answers.set("vector(1)", Ok(vec![(vec![("app", "a")], 1.0), (vec![("app", "b")], 1.0), (vec![("app", "c")], 1.0)]));
    wait_for("the limit is passed", || {
        let group = ruler.groups(&Tenant::default(), &Filter::default()).remove(0);
        (group.rules[0].last_error == "exceeded limit of 2 with 3 alerts").then_some(())
    })
    .await;
    ruler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn templates_may_ask_queries() {
    let folder = tempfile::tempdir().expect("a folder");
    let answers = Answers::default();
    answers.set("vector(1)", Ok(vec![(vec![], 1.0)]));
    answers.set("vector(7)", Ok(vec![(vec![("app", "x")], 7.0)]));
    let ruler = ruler(folder.path(), &config(), &answers);
    put(
        &ruler,
        "name: g\ninterval: 100ms\nrules:\n- alert: A\n  expr: vector(1)\n  annotations:\n    \
         text: '{{ with query \"vector(7)\" }}{{ . | first | value }}{{ end }}'\n    \
         wrong: '{{ query \"vector(8)\" }}'\n",
    );
    let alert = wait_for("it fires", || {
        let group = ruler.groups(&Tenant::default(), &Filter::default()).into_iter().next()?;
        group.rules[0].alerting.as_ref()?.alerts.first().cloned()
    })
    .await;
    assert_eq!(alert.annotations["text"], "7");
    assert!(alert.annotations["wrong"].starts_with("<error expanding template: "), "{:?}", alert.annotations);
    ruler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_sent_again_after_a_failure_and_to_every_alertmanager() {
    let folder = tempfile::tempdir().expect("a folder");
    let answers = Answers::default();
    answers.set("vector(1)", Ok(vec![(vec![("app", "api")], 1.0)]));
    let (bad_then_good, good) = (Receiver::start([500, 200]), Receiver::start([200]));
    let mut config = config();
    config.alertmanager.urls = vec![bad_then_good.url(), good.url()];
    config.alertmanager.v2 = false;
    config.resend_delay = Duration::from_secs(3600);
    let ruler = ruler(folder.path(), &config, &answers);
    put(&ruler, "name: g\ninterval: 100ms\nrules:\n- {alert: A, expr: vector(1)}\n");
    wait_for("both have it", || (bad_then_good.requests() == 2 && good.requests() == 1).then_some(())).await;
    let request = good.last();
    assert!(request.head.starts_with("POST /api/v1/alerts HTTP/1.1"), "{}", request.head);
    assert!(request.head.to_lowercase().contains("x-scope-orgid: fake"), "{}", request.head);
    let alerts: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(alerts[0]["labels"], serde_json::json!({"alertname": "A", "app": "api"}));
    answers.set("vector(1)", Ok(vec![]));
    wait_for("it is resolved", || (good.requests() == 2).then_some(())).await;
    let alerts: serde_json::Value = serde_json::from_slice(&good.last().body).expect("JSON");
    assert!(alerts[0]["endsAt"].as_str() > alerts[0]["startsAt"].as_str());
    ruler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_go_are_forgotten_and_changed_ones_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let answers = Answers::default();
    answers.set("vector(1)", Ok(vec![(vec![("app", "api")], 1.0)]));
    answers.set("vector(2)", Ok(vec![(vec![("app", "api")], 2.0)]));
    let ruler = ruler(folder.path(), &config(), &answers);
    let first = |ruler: &Ruler, value: f64| {
        let group = ruler.groups(&Tenant::default(), &Filter::default()).into_iter().next()?;
        group.rules[0].alerting.as_ref()?.alerts.first().filter(|alert| alert.value == value).cloned()
    };
    put(&ruler, "name: g\ninterval: 100ms\nrules:\n- {alert: A, expr: vector(1), for: 1h}\n");
    let before = wait_for("it is pending", || first(&ruler, 1.0)).await;
    put(
        &ruler,
        "name: g\ninterval: 200ms\nrules:\n- {record: r, expr: vector(1)}\n- {alert: A, expr: vector(2), for: 1h}\n",
    );
    let after = wait_for("it is pending still", || {
        let group = ruler.groups(&Tenant::default(), &Filter::default()).into_iter().next()?;
        group.rules.get(1)?.alerting.as_ref()?.alerts.first().filter(|alert| alert.value == 2.0).cloned()
    })
    .await;
    assert_eq!(after.active_at, before.active_at);
    ruler.store().delete_namespace(&Tenant::default(), "n").expect("it goes");
    wait_for("it is gone", || ruler.groups(&Tenant::default(), &Filter::default()).is_empty().then_some(())).await;
    // What it left behind is removed once its last evaluation has ended.
    wait_for("its metrics are gone", || {
        let mut metrics = String::new();
        ruler.encode_metrics(&mut metrics);
        (!metrics.contains("rule_group=\"n;g\"")).then_some(())
    })
    .await;
    let states = folder.path().join("ruler/state/fake");
    wait_for("its states are gone", || (std::fs::read_dir(&states).expect("it is there").count() == 0).then_some(()))
        .await;
    ruler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_without_end_holds_up_neither_changes_nor_the_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let answers = Answers::default();
    answers.set("vector(1)", Ok(vec![(vec![("app", "api")], 1.0)]));
    let first = ruler(folder.path(), &config(), &answers);
    put(
        &first,
        "name: g\ninterval: 100ms\nrules:\n- {alert: A, expr: vector(1), for: 1h}\n- {record: r, expr: vector(0)}\n",
    );
    let asked = || Arc::strong_count(&answers.endless) > 2;
    wait_for("the query is asked", || asked().then_some(())).await;
    let active = |ruler: &Ruler| {
        let group = ruler.groups(&Tenant::default(), &Filter::default()).into_iter().next()?;
        let alert = group.rules[0].alerting.as_ref()?.alerts.first()?.clone();
        Some(alert.active_at.parse::<jiff::Timestamp>().expect("a time"))
    };
    put(
        &first,
        "name: g\ninterval: 200ms\nrules:\n- {alert: A, expr: vector(1), for: 1h}\n- {record: s, expr: vector(0)}\n",
    );
    wait_for("the change is there", || {
        let group = first.groups(&Tenant::default(), &Filter::default()).into_iter().next()?;
        (group.rules[1].name == "s" && asked()).then_some(())
    })
    .await;
    first.stop().await;
    assert_eq!(Arc::strong_count(&answers.endless), 2, "the query was cancelled");
    // What the evaluation that was given up had found is kept: the alert does not begin anew.
    let restart = jiff::Timestamp::now();
    let second = ruler(folder.path(), &config(), &answers);
    let after = wait_for("it is pending again", || active(&second)).await;
    assert!(after < restart, "{after} is not before {restart}");
    second.stop().await;
}
