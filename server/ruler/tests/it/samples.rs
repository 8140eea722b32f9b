//! Samples of recording rules on their way.

use std::time::Duration;

use narvi_config::{ClientConfig, RemoteWrite, RulerConfig, Secret};

use crate::{
    put, ruler,
    support::{Answers, Receiver, Written, config, wait_for},
};

const GROUP: &str = "name: g\ninterval: 100ms\nrules:\n- {record: 'r:x', expr: vector(1), labels: {source: logs}}\n";

fn writing(url: String) -> RulerConfig {
    let mut config = config();
    config.remote_write = vec![RemoteWrite {
        name: "one".into(),
        url,
        timeout: Duration::from_secs(5),
        headers: [("X-Own", "h"), ("x-scope-orgid", "other")].map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        relabel: Vec::new(),
        client: ClientConfig { basic_auth: Some(("u".into(), Secret::Text("p".into()))), ..ClientConfig::default() },
        max_samples_per_send: 500,
        min_backoff: Duration::from_millis(10),
        max_backoff: Duration::from_millis(50),
        retry_on_429: true,
    }];
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_wait_for_a_receiver_across_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let answers = Answers::default();
    answers.set("vector(1)", Ok(vec![(vec![("app", "api")], 4.5)]));
    // Nothing is taken for now.
    let busy = Receiver::start([503]);
    let first = ruler(folder.path(), &writing(busy.url()), &answers);
    put(&first, GROUP);
    wait_for("a request was refused", || (busy.requests() > 2).then_some(())).await;
    first.stop().await;
    answers.set("vector(1)", Err("not any more".to_owned()));
    let good = Receiver::start([200]);
    let second = ruler(folder.path(), &writing(good.url()), &answers);
    wait_for("the old samples came", || (good.requests() > 0).then_some(())).await;
    let request = good.first();
    for header in [
        "content-encoding: snappy",
        "x-scope-orgid: fake",
        "x-own: h",
        "authorization: basic dtpw",
        "content-type: application/x-protobuf",
    ] {
        assert!(request.head.to_lowercase().contains(header), "{header}: {}", request.head);
    }
    // The tenant's own header is not overruled.
    assert!(!request.head.contains("other"), "{}", request.head);
    let written = Written::of(&request.body);
    assert_eq!(written[0].labels, "__name__=r:x,app=api,source=logs");
    assert_eq!(written[0].value, 4.5);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_end_and_what_is_refused_is_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let answers = Answers::default();
    answers.set("vector(1)", Ok(vec![(vec![("app", "api")], 1.0)]));
    let receiver = Receiver::start([400, 429, 200]);
    let ruler = ruler(folder.path(), &writing(receiver.url()), &answers);
    put(&ruler, GROUP);
    wait_for("samples were taken", || (receiver.requests() > 3).then_some(())).await;
    answers.set("vector(1)", Ok(vec![]));
    wait_for("the series ended", || {
        let written = Written::of(&receiver.last().body);
        written.iter().any(|sample| sample.value.to_bits() == 0x7ff0_0000_0000_0002).then_some(())
    })
    .await;
    let mut metrics = String::new();
    ruler.encode_metrics(&mut metrics);
    let of = "{tenant=\"fake\",remote_name=\"one\"}";
    for name in ["samples_failed_total", "samples_retried_total", "samples_total"] {
        let name = format!("loki_ruler_wal_prometheus_remote_storage_{name}{of}");
        assert!(metrics.contains(&name), "{name} is missing in\n{metrics}");
    }
    ruler.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_moves_its_samples_and_turns_them_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let answers = Answers::default();
    answers.set("vector(1)", Ok(vec![(vec![("app", "api")], 4.5)]));
    let (busy, good) = (Receiver::start([503]), Receiver::start([200]));
    let ruler = ruler(folder.path(), &writing(busy.url()), &answers);
    put(&ruler, GROUP);
    wait_for("a request was refused", || (busy.requests() > 0).then_some(())).await;
    let first = Written::of(&busy.first().body)[0].timestamp;
    answers.limits.lock().remote_write.url = Some(good.url());
    wait_for("the samples went elsewhere", || (good.requests() > 0).then_some(())).await;
    assert_eq!(Written::of(&good.first().body)[0].timestamp, first, "what waited comes first");
    answers.limits.lock().remote_write_disabled = true;
    wait_for("nothing comes any more", || {
        let mut before = String::new();
        ruler.encode_metrics(&mut before);
        let appended = |text: &str| {
            text.lines().find(|l| l.starts_with("loki_ruler_wal_samples_appended_total")).map(str::to_owned)
        };
        let evaluated = |text: &str| {
            text.lines().find(|l| l.starts_with("loki_prometheus_rule_evaluations_total")).map(str::to_owned)
        };
        std::thread::sleep(Duration::from_millis(150));
        let mut after = String::new();
        ruler.encode_metrics(&mut after);
        (evaluated(&before) != evaluated(&after) && appended(&before) == appended(&after)).then_some(())
    })
    .await;
    ruler.stop().await;
}
