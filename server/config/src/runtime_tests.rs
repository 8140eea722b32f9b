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
