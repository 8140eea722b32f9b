//! Tests of limits that are read again.

use std::fs;

use super::Runtime;
use crate::{Config, Flags, PageMode};

#[test]
fn tenants_have_limits_of_their_own_until_the_file_changes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, second) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
    let write = |path, text: &str| fs::write(path, text).expect("it can be written");
    write(&first, "overrides:\n  acme: {max_query_series: 7, max_line_size: 1KB}\n  other: {max_query_series: 8}\n");
    write(&second, "overrides:\n  acme: {max_query_series: 9}\nconfigs:\n  acme: {log_push_request: true}\n");
    let text = format!(
        "limits_config: {{max_query_series: 5}}\nruntime_config: {{file: '{},{}', period: 1s}}\n",
        first.display(),
        second.display()
    );
    let config = Config::from_yaml(&text, &Flags::default()).expect("it is right");
    let runtime = Runtime::open(&config).expect("the files are right");
    let series = |tenant| runtime.limits(tenant).max_query_series;
    assert_eq!((series("acme"), series("other"), series("none")), (9, 8, 5));
    assert_eq!(runtime.limits("acme").max_line_size_bytes, 1024);
    assert_eq!(runtime.limits("other").max_line_size_bytes, 256 << 10);
    assert_eq!(runtime.reload(), Ok(false));
    assert!(runtime.page(PageMode::Difference).contains("overrides:\n  acme:\n    max_query_series: 9\n"));
    assert!(runtime.page(PageMode::Whole).contains("max_entries_limit_per_query: 5000"));
    assert!(runtime.tenant_page("none").contains("max_query_series: 5\n"));

    write(&second, "overrides: {}\n");
    assert_eq!(runtime.reload(), Ok(true));
    assert_eq!((series("acme"), series("none")), (7, 5));
    // A wrong file changes nothing.
    for (wrong, expected) in [
        (
            "overrides:\n  acme: {max_query_serie: 1}\n",
            "field max_query_serie not found in type validation.plain, did you",
        ),
        ("override: {}\n", "line 1: field override not found in type runtime.runtimeConfigValues"),
        ("overrides:\n  acme: {query_timeout: soon}\n", "overrides.acme.query_timeout: \"soon\" is not a duration"),
        ("a: [", "failed parsing config"),
    ] {
        write(&second, wrong);
        let error = runtime.reload().expect_err("it is wrong").to_string();
        assert!(error.contains("b.yaml: ") && error.contains(expected), "{error}");
        assert_eq!(series("acme"), 7);
    }
    fs::remove_file(&second).expect("it exists");
    assert!(runtime.reload().is_err());
    assert!(Runtime::open(&config).is_err());
}

#[test]
fn rules_of_a_tenant_have_limits_and_receivers_of_their_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.yaml");
    let overrides = "overrides:\n  acme:\n    ruler_max_rules_per_rule_group: 2\n    \
                     ruler_alertmanager_config: {alertmanager_url: 'http://am', alertmanager_client: {basic_auth_username: u}}\n    \
                     ruler_remote_write_headers: {A: b}\n    ruler_remote_write_config: {one: {remote_timeout: 7s}}\n  \
                     quiet: {ruler_remote_write_disabled: true}\n";
    fs::write(&file, overrides).expect("it can be written");
    let text = format!(
        "ruler: {{remote_write: {{enabled: true, clients: {{one: {{url: 'http://p', headers: {{C: d}}}}}}}}}}\n\
         limits_config: {{ruler_max_rules_per_rule_group: 5, ruler_max_rule_groups_per_tenant: 6}}\n\
         runtime_config: {{file: '{}'}}\n",
        file.display()
    );
    let config = Config::from_yaml(&text, &Flags::default()).expect("it is right");
    let runtime = Runtime::open(&config).expect("the file is right");
    let limits = |tenant| runtime.limits(tenant).ruler.clone();
    let counts = |tenant| (limits(tenant).max_rules_per_group, limits(tenant).max_groups);
    assert_eq!((counts("acme"), counts("none")), ((2, 6), (5, 6)));
    let alertmanager = config.ruler.alertmanager.with(&limits("acme").alertmanager);
    assert_eq!(alertmanager.urls, ["http://am"]);
    assert!(alertmanager.v2 && alertmanager.client.basic_auth.is_some());
    assert!(config.ruler.alertmanager.with(&limits("none").alertmanager).urls.is_empty());
    let receivers = |tenant| config.ruler.receivers(&limits(tenant));
    let [one] = &receivers("acme")[..] else { panic!("one receiver") };
    assert_eq!(
        (one.url.as_str(), one.timeout.as_secs(), one.headers.keys().map(String::as_str).collect::<Vec<_>>()),
        ("http://p", 7, vec!["A"])
    );
    assert_eq!(receivers("none"), config.ruler.remote_write);
    assert!(receivers("quiet").is_empty());
    fs::write(&file, "overrides: {acme: {ruler_remote_write_url: nowhere}}\n").expect("it can be written");
    let error = runtime.reload().expect_err("it is wrong").to_string();
    assert!(error.contains("ruler_remote_write_url: \"nowhere\" is not an address"), "{error}");
}
