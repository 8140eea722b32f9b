//! Tests of the `ruler` part.

use std::{path::PathBuf, time::Duration};

use super::{RuleStorage, RulerConfig, Secret};
use crate::{Config, Flags};

fn read(text: &str) -> Result<RulerConfig, String> {
    Config::from_yaml(text, &Flags::default()).map(|config| config.ruler).map_err(|error| error.to_string())
}

#[test]
fn nothing_said_is_lokis_default() {
    assert_eq!(read(""), Ok(RulerConfig::default()));
}

#[test]
fn rules_lie_where_the_file_says() {
    let local = |path: &str| RuleStorage::Local(PathBuf::from(path));
    for (text, expected) in [
        ("ruler: {storage: {type: local, local: {directory: /rules}}}", local("/rules")),
        ("ruler_storage: {backend: local, local: {directory: /r}}", local("/r")),
        ("common: {storage: {filesystem: {rules_directory: /c}}}", local("/c")),
        ("ruler_storage: {backend: filesystem, filesystem: {dir: /x}}", RuleStorage::Data),
        ("ruler: {storage: {type: s3}}", RuleStorage::Data),
    ] {
        assert_eq!(read(text).map(|ruler| ruler.storage), Ok(expected), "{text}");
    }
    let error = read("ruler: {storage: {type: local}}").expect_err("it is wrong");
    assert!(error.contains("ruler.storage.type: needs a folder"), "{error}");
}

#[test]
fn alertmanagers_and_their_client() {
    let ruler = read(
        "ruler:\n  alertmanager_url: http://a:9093, http://b:9093\n  enable_alertmanager_v2: false\n  \
         external_labels: {cluster: x}\n  alertmanager_client:\n    basic_auth_username: u\n    \
         basic_auth_password: p\n  alert_relabel_configs:\n    - {source_labels: [a], action: Drop, regex: x}\n",
    )
    .expect("it is right");
    assert_eq!(ruler.alertmanager_urls, ["http://a:9093", "http://b:9093"]);
    assert!(!ruler.alertmanager_v2);
    assert_eq!(ruler.alertmanager_client.basic_auth, Some(("u".to_owned(), Secret::Text("p".to_owned()))));
    assert_eq!(ruler.external_labels.get("cluster").map(String::as_str), Some("x"));
    assert_eq!(ruler.alert_relabel[0].action, "drop");
    assert!(!format!("{ruler:?}").contains("\"p\""));
}

#[test]
fn receivers_of_samples() {
    let ruler = read(
        "ruler:\n  wal: {dir: /w}\n  remote_write:\n    enabled: true\n    add_org_id_header: false\n    clients:\n      \
         one:\n        url: http://p/api/v1/write\n        headers: {X-A: b}\n        basic_auth: {username: u, password_file: /f}\n        \
         queue_config: {max_samples_per_send: 7, max_backoff: 1s}\n      two: {url: 'https://q/'}\n",
    )
    .expect("it is right");
    assert_eq!(ruler.wal_dir, Some(PathBuf::from("/w")));
    assert!(!ruler.add_org_id_header);
    let [one, two] = ruler.remote_write.as_slice() else { panic!("two receivers") };
    assert_eq!((one.max_samples_per_send, one.max_backoff), (7, Duration::from_secs(1)));
    assert_eq!(one.client.basic_auth, Some(("u".to_owned(), Secret::File("/f".into()))));
    assert_eq!((two.name.as_str(), two.max_samples_per_send), ("two", 500));
    assert_eq!(
        read("ruler: {remote_write: {enabled: false, clients: {a: {url: 'http://x'}}}}").map(|r| r.remote_write),
        Ok(vec![])
    );
}

#[test]
fn what_is_not_supported_is_refused() {
    for (text, expected) in [
        ("ruler: {enable_alertmanager_discovery: true}", "is not supported; name every Alertmanager"),
        ("ruler: {evaluation: {mode: remote}}", "only mode: local is supported"),
        ("ruler: {evaluation_interval: 0s}", "must be longer than 0s"),
        ("ruler: {remote_write: {enabled: true}}", "is enabled without a client"),
        ("ruler: {remote_write: {clients: {a: {url: x}}}}", "is not an address"),
        ("ruler: {remote_write: {clients: {a: {url: 'http://x', sigv4: {}}}}}", "sigv4: is not known or not supported"),
        ("ruler: {alert_relabel_configs: [{action: hashmod, target_label: a}]}", "hashmod is not supported"),
        ("ruler: {alert_relabel_configs: [{action: replace}]}", "replace needs a target_label"),
        ("ruler: {alertmanager_client: {tls_cert_path: /a}}", "tls_cert_path and tls_key_path belong together"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}
