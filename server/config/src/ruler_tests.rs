//! Tests of the `ruler` part.

use std::{path::PathBuf, time::Duration};

use super::{RuleStorage, RulerConfig};
use crate::{Config, Flags, Secret, StoreConfig};

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
        (
            "ruler_storage: {backend: filesystem}\ncommon: {storage: {filesystem: {rules_directory: /c}}}",
            RuleStorage::Data,
        ),
    ] {
        assert_eq!(read(text).map(|ruler| ruler.storage), Ok(expected), "{text}");
    }
    let error = read("ruler: {storage: {type: local}}").expect_err("it is wrong");
    assert!(error.contains("ruler.storage.type: needs a folder"), "{error}");
}

#[test]
fn rules_lie_in_object_stores() {
    for (text, bucket, prefix) in [
        ("ruler: {storage: {type: s3, s3: {s3: 's3://k:s@minio:9000/rules', s3forcepathstyle: true}}}", "rules", ""),
        ("common: {storage: {s3: {bucketnames: all}}}", "all", ""),
        ("common: {storage: {s3: {bucketnames: all}}}\nruler: {storage: {type: s3}}", "all", ""),
        ("ruler_storage: {backend: s3, storage_prefix: p, s3: {bucket_name: r, endpoint: 'x:9000'}}", "r", "p"),
    ] {
        let storage = read(text).map(|ruler| ruler.storage);
        let Ok(RuleStorage::Objects(StoreConfig::S3(s3))) = &storage else { panic!("{text}: {storage:?}") };
        assert_eq!((s3.buckets.as_slice(), s3.prefix.as_str()), ([bucket.to_owned()].as_slice(), prefix), "{text}");
    }
    let gcs = read("ruler: {storage: {type: gcs, gcs: {bucket_name: b}}}").map(|ruler| ruler.storage);
    assert!(matches!(gcs, Ok(RuleStorage::Objects(StoreConfig::Gcs(_)))), "{gcs:?}");
    for (text, expected) in [
        ("ruler: {storage: {type: s3}}", "ruler.storage.s3.bucketnames"),
        ("ruler: {storage: {type: swift}}", "\"swift\" is not supported; use local, filesystem, s3, gcs or azure"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn limits_of_a_tenant_change_where_alerts_and_samples_go() {
    let text = "ruler:\n  alertmanager_url: http://a\n  notification_timeout: 3s\n  remote_write:\n    enabled: true\n    \
                clients: {one: {url: 'http://p/1', headers: {A: b}}, two: {url: 'http://p/2'}}\n\
                limits_config:\n  ruler_max_rules_per_rule_group: 3\n  ruler_max_rule_groups_per_tenant: 2\n  \
                ruler_alertmanager_config: {alertmanager_url: 'http://b,http://c'}\n  ruler_remote_write_timeout: 7s\n  \
                ruler_remote_write_config: {two: {url: 'http://q', remote_timeout: 9s}, three: {url: 'http://r'}}\n";
    let config = Config::from_yaml(text, &Flags::default()).expect("it is right");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
    let limits = &config.limits.ruler;
    assert_eq!((limits.max_rules_per_group, limits.max_groups), (3, 2));
    let alertmanager = config.ruler.alertmanager.with(&limits.alertmanager);
    assert_eq!(
        (alertmanager.urls.as_slice(), alertmanager.timeout.as_secs()),
        (["http://b".into(), "http://c".into()].as_slice(), 3)
    );
    let receivers = config.ruler.receivers(limits);
    let seen: Vec<_> = receivers.iter().map(|r| (r.name.as_str(), r.url.as_str(), r.timeout.as_secs())).collect();
    assert_eq!(seen, [("one", "http://p/1", 7), ("two", "http://q", 9), ("three", "http://r", 7)]);
    assert_eq!(receivers[0].headers.get("A").map(String::as_str), Some("b"));
    let off = text.replace("ruler_remote_write_timeout: 7s", "ruler_remote_write_disabled: true");
    let config = Config::from_yaml(&off, &Flags::default()).expect("it is right");
    assert!(config.ruler.receivers(&config.limits.ruler).is_empty());
}

#[test]
fn alertmanagers_and_their_client() {
    let ruler = read(
        "ruler:\n  alertmanager_url: http://a:9093, http://b:9093\n  enable_alertmanager_v2: false\n  \
         external_labels: {cluster: x}\n  alertmanager_client:\n    basic_auth_username: u\n    \
         basic_auth_password: p\n  alert_relabel_configs:\n    - {source_labels: [a], action: Drop, regex: x}\n",
    )
    .expect("it is right");
    let alertmanager = &ruler.alertmanager;
    assert_eq!(alertmanager.urls, ["http://a:9093", "http://b:9093"]);
    assert!(!alertmanager.v2);
    assert_eq!(alertmanager.client.basic_auth, Some(("u".to_owned(), Secret::Text("p".to_owned()))));
    assert_eq!(ruler.external_labels.get("cluster").map(String::as_str), Some("x"));
    assert_eq!(alertmanager.relabel[0].action, "drop");
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
        ("ruler: {evaluation: {mode: other}}", "\"other\" is neither local nor remote"),
        ("ruler: {alertmanager_url: 'am:9093'}", "every Alertmanager needs an address such as http://host:9093"),
        ("limits_config: {ruler_remote_write_url: x}", "is not an address"),
        ("ruler: {evaluation_interval: 0s}", "must be longer than 0s"),
        ("ruler: {remote_write: {enabled: true}}", "is enabled without a client"),
        ("ruler: {remote_write: {clients: {a: {url: x}}}}", "is not an address"),
        ("ruler: {remote_write: {clients: {a: {url: 'http://x', sigv4: {}}}}}", "sigv4: is not known or not supported"),
        ("ruler: {alert_relabel_configs: [{action: hashmod, target_label: a}]}", "hashmod needs a modulus"),
        ("ruler: {alert_relabel_configs: [{action: replace}]}", "replace needs a target_label"),
        ("ruler: {alertmanager_client: {tls_cert_path: /a}}", "tls_cert_path and tls_key_path belong together"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}
