//! Configurations of the kinds that people run Loki with: our own files, and a folder of theirs if there is one.
//!
//! Helm charts keep Loki's configuration inside their values: `loki.config` is its text (with templates in it), and
//! `loki.structuredConfig` is laid over the chart's own; `loki.commonConfig` becomes the section `common`, and
//! `loki.authEnabled` the key `auth_enabled`. Compose files, manifests and gateways hold no configuration of Loki.

use std::{fs, path::Path};

use narvi_config::{Config, Flags, StoreConfig};

/// Whether a file is Loki's configuration itself, holds one, or has nothing to do with it.
pub(crate) enum Holds {
    Configuration(String),
    Nothing,
}

/// The lines below a key, without their indentation.
fn below(text: &str, key: &str) -> Option<String> {
    let mut lines = text.lines().skip_while(|line| line.trim_end_matches(" |") != key).skip(1).peekable();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let own = depth(key);
    let first = depth(lines.find(|line| !line.trim().is_empty())?);
    let all = text.lines().skip_while(|line| line.trim_end_matches(" |") != key).skip(1);
    let inside = all.take_while(|line| line.trim().is_empty() || depth(line) > own);
    Some(inside.map(|line| line.get(first..).unwrap_or("")).collect::<Vec<_>>().join("\n"))
}

/// Replaces `{{ ... }}` by a word, as Helm would by a name.
fn rendered(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        out.push_str("name");
        rest = after.split_once("}}").map_or("", |(_, after)| after);
    }
    out + rest
}

pub(crate) fn holds(name: &str, text: &str) -> Holds {
    if !name.ends_with(".yaml") || text.contains("apiVersion:") || text.contains("\nservices:") {
        return Holds::Nothing;
    }
    if !name.contains("values") {
        return Holds::Configuration(text.to_owned());
    }
    let text = rendered(text);
    if let Some(config) = below(&text, "  config:").or_else(|| below(&text, "  structuredConfig:")) {
        return Holds::Configuration(config);
    }
    let common = below(&text, "  commonConfig:").unwrap_or_default();
    let auth = text.lines().find_map(|line| line.strip_prefix("  authEnabled: ")).unwrap_or("true");
    let common: String = common.lines().map(|line| format!("  {line}\n")).collect();
    Holds::Configuration(format!("auth_enabled: {auth}\ncommon:\n{common}"))
}

/// Reads all files of a folder; gives how many held a configuration.
fn read_all(folder: &Path) -> usize {
    let mut read = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("text");
        if let Holds::Configuration(config) = holds(&name, &text) {
            let config = Config::from_yaml(&config, &Flags::default());
            config.unwrap_or_else(|error| panic!("{name}: {error}"));
            read += 1;
        }
    }
    read
}

#[test]
fn our_own_files_of_all_kinds_are_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    assert_eq!(read_all(&folder), 6);
    let text = fs::read_to_string(folder.join("memberlist-s3.yaml")).expect("text");
    let config = Config::from_yaml(&text, &Flags::default()).expect("it is right");
    assert!(matches!(config.object_store, StoreConfig::S3(s3) if s3.buckets == ["logs"] && s3.path_style));
    // What `common` says of the store is what is used.
    assert!(!config.warnings.iter().any(|warning| warning.contains("common.storage.s3.")), "{:#?}", config.warnings);
}

#[test]
fn files_that_others_run_are_read() {
    let Some(folder) = std::env::var_os("NARVI_DEPLOYMENTS") else { return };
    assert!(read_all(Path::new(&folder)) > 0, "there is no configuration in {}", Path::new(&folder).display());
}
