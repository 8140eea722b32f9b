//! Tests of what is sent to Alertmanagers.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{Arc, mpsc},
    time::Duration,
};

use narvi::{Labels, Tenant};
use narvi_config::{RulerConfig, RulerLimits};
use parking_lot::Mutex;

use super::{Notifier, generator_url, target};
use crate::{
    Answer, Evaluate,
    alert::{Alert, State},
    metrics::Metrics,
};

/// Limits that a test may change.
#[derive(Default)]
struct Given(Mutex<RulerLimits>);

impl Evaluate for Given {
    fn instant<'a>(&'a self, _: &'a Tenant, _: &'a str, _: i64) -> Answer<'a> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn limits(&self, _: &Tenant) -> Arc<RulerLimits> {
        Arc::new(self.0.lock().clone())
    }
}

fn notifier(url: &str, capacity: usize, given: &Arc<Given>) -> Arc<Notifier> {
    let mut config = RulerConfig::default();
    config.alertmanager.urls = vec![url.to_owned()];
    config.alertmanager.queue_capacity = capacity;
    config.external_labels = [("cluster".to_owned(), "c".to_owned()), ("app".to_owned(), "other".to_owned())].into();
    config.external_url = "http://grafana/".to_owned();
    Arc::new(Notifier::new(&config, given.clone(), Arc::new(Metrics::new())).expect("the settings are right"))
}

fn firing(at: i64) -> (Labels, Alert) {
    let labels = Labels::from_pairs([("alertname", "A"), ("app", "api")]).expect("labels");
    (labels, Alert { state: State::Firing, fired_at: Some(at), ..Alert::default() })
}

/// A server that takes one request after the other and hands on the first line of each.
fn server() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
            let length =
                head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let _ = reader.read_exact(&mut vec![0; length.unwrap_or(0)]);
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            let _ = send.send(head.lines().next().unwrap_or_default().to_owned());
        }
    });
    (url, receive)
}

#[tokio::test]
async fn alerts_are_made_for_alertmanager() {
    let (url, name) = target("http://u:p@am:9093/base/", true).expect("it is right");
    assert_eq!(
        (url.as_str(), name.as_str()),
        ("http://u:p@am:9093/base/api/v2/alerts", "http://am:9093/base/api/v2/alerts")
    );
    assert_eq!(target("http://am", false).expect("it is right").0, "http://am/api/v1/alerts");
    let notifier = notifier("http://am", 10, &Arc::default());
    let route = notifier.route(&Tenant::default()).expect("it is right");
    let (labels, alert) = firing(1_700_000_000_000_000_000);
    let posted = notifier.posted(&route, "1 > 0", &labels, alert, 1_700_000_240_000_000_000).expect("it is kept");
    assert_eq!(
        serde_json::to_string(&posted).expect("JSON"),
        "{\"labels\":{\"alertname\":\"A\",\"app\":\"api\",\"cluster\":\"c\"},\"annotations\":{},\
         \"startsAt\":\"2023-11-14T22:13:20Z\",\"endsAt\":\"2023-11-14T22:17:20Z\",\
         \"generatorURL\":\"http://grafana/graph?g0.expr=1+%3E+0&g0.tab=1\"}"
    );
    let link = generator_url("http://g", "uid1", "x");
    assert!(link.starts_with("http://g/explore?left=%7B%22datasource%22%3A%22uid1%22"), "{link}");
    let mut wrong = RulerConfig::default();
    wrong.alertmanager.urls = vec!["am:9093".to_owned()];
    assert!(Notifier::new(&wrong, Arc::new(Given::default()), Arc::new(Metrics::new())).is_err());
}

#[tokio::test]
async fn the_oldest_alerts_go_when_too_many_wait() {
    let notifier = notifier("http://127.0.0.1:1", 3, &Arc::default());
    let alerts = (0..5).map(firing).collect();
    // The task has had no chance to take any.
    notifier.send(&Tenant::default(), "1", 0, Duration::from_secs(1), alerts);
    let route = notifier.route(&Tenant::default()).expect("it is right");
    assert_eq!(route.queues[0].waiting.lock().len(), 3);
    notifier.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn what_waits_is_sent_before_the_end() {
    let (url, requests) = server();
    let notifier = notifier(&url, 10, &Arc::default());
    notifier.send(&Tenant::default(), "1", 0, Duration::from_secs(1), vec![firing(1)]);
    notifier.stop(Duration::from_secs(60)).await;
    assert_eq!(requests.try_recv().as_deref(), Ok("POST /api/v2/alerts HTTP/1.1"));
}

#[tokio::test]
async fn a_tenant_may_have_alertmanagers_of_its_own_and_change_them() {
    let ((ours, at_ours), (theirs, at_theirs)) = (server(), server());
    let given = Arc::new(Given::default());
    let notifier = notifier(&ours, 10, &given);
    let send = || notifier.send(&Tenant::default(), "1", 0, Duration::from_secs(1), vec![firing(1)]);
    send();
    given.0.lock().alertmanager.urls = Some(vec![format!("{theirs}/own")]);
    given.0.lock().alertmanager.v2 = Some(false);
    send();
    // What cannot be used changes nothing.
    given.0.lock().alertmanager.urls = Some(vec!["nowhere".to_owned()]);
    send();
    notifier.stop(Duration::from_secs(60)).await;
    assert_eq!(at_ours.try_iter().count(), 1);
    let theirs: Vec<_> = at_theirs.try_iter().collect();
    assert!(!theirs.is_empty() && theirs.iter().all(|line| line == "POST /own/api/v1/alerts HTTP/1.1"), "{theirs:?}");
}
