//! Keeps the tree in order: dependency arrows, file headers, file sizes, plain ASCII, paths that documents name.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Which packages of the workspace each package may use. Left out: itself. `types <- chunk, index, logql <- core <- server,
/// bindings`, and no arrow among chunk, index and logql.
const ARROWS: [(&str, &[&str]); 27] = [
    ("narvi-types", &[]),
    ("narvi-chunk", &["narvi-types"]),
    ("narvi-index", &["narvi-types"]),
    ("narvi-logql", &["narvi-types"]),
    ("narvi", &["narvi-types", "narvi-chunk", "narvi-index", "narvi-logql"]),
    ("narvi-cache", &["narvi-dns"]),
    ("narvi-config", &["narvi", "narvi-cache", "narvi-dns", "narvi-ring", "narvi-rpc", "narvi-types"]),
    ("narvi-compactor", &["narvi", "narvi-config"]),
    ("narvi-distributor", &["narvi", "narvi-types", "narvi-config", "narvi-logs", "narvi-ring"]),
    ("narvi-logs", &["narvi"]),
    ("narvi-patterns", &["narvi-types"]),
    ("narvi-dns", &[]),
    ("narvi-ring", &["narvi-dns", "narvi-types"]),
    ("narvi-rpc", &["narvi", "narvi-types"]),
    ("narvi-index-gateway", &["narvi", "narvi-ring", "narvi-rpc"]),
    ("narvi-ingester", &["narvi", "narvi-rpc"]),
    ("narvi-scheduler", &["narvi", "narvi-dns", "narvi-ring", "narvi-rpc"]),
    // The distributor replicates in its tests.
    ("narvi-querier", &["narvi", "narvi-distributor", "narvi-logs", "narvi-ring"]),
    ("narvi-read-cache", &["narvi", "narvi-cache"]),
    ("narvi-ruler", &["narvi", "narvi-types", "narvi-config", "narvi-ring"]),
    ("narvi-frontend", &["narvi", "narvi-cache", "narvi-config", "narvi-logs", "narvi-rpc"]),
    (
        "narvi-http",
        &[
            "narvi",
            "narvi-types",
            "narvi-config",
            "narvi-compactor",
            "narvi-distributor",
            "narvi-logs",
            "narvi-patterns",
            "narvi-ring",
            "narvi-ruler",
        ],
    ),
    (
        "narvi-bin",
        &[
            "narvi",
            "narvi-cache",
            "narvi-compactor",
            "narvi-config",
            "narvi-distributor",
            "narvi-frontend",
            "narvi-http",
            "narvi-index-gateway",
            "narvi-ingester",
            "narvi-logs",
            "narvi-querier",
            "narvi-read-cache",
            "narvi-ring",
            "narvi-rpc",
            "narvi-ruler",
            "narvi-scheduler",
        ],
    ),
    ("narvi-c", &["narvi"]),
    ("narvi-benches", &["narvi", "narvi-types", "narvi-chunk", "narvi-index", "narvi-logql"]),
    ("narvi-proto", &[]),
    ("narvi-tidy", &[]),
];

/// Lines of a source file, tests not counted.
const MOST_LINES: usize = 800;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn tracked(pattern: &str) -> Vec<PathBuf> {
    let git =
        Command::new("git").args(["ls-files", "-z", "--", pattern]).current_dir(root()).output().expect("git runs");
    assert!(git.status.success(), "git ls-files failed");
    let names = String::from_utf8(git.stdout).expect("paths are text");
    names.split('\0').filter(|name| !name.is_empty()).map(|name| root().join(name)).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    let files = tracked("*.rs").into_iter().filter(|path| path.exists());
    files.map(|path| (path.clone(), fs::read_to_string(path).expect("readable"))).collect()
}

#[test]
fn dependencies_follow_the_arrows() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let metadata = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).expect("valid JSON");
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.into_iter().collect();
    let mut wrong = Vec::new();
    for package in metadata["packages"].as_array().expect("a list") {
        let name = package["name"].as_str().expect("a name");
        let Some(allowed) = arrows.get(name) else {
            wrong.push(format!("{name} is not in the table of arrows"));
            continue;
        };
        for dependency in package["dependencies"].as_array().expect("a list") {
            let to = dependency["name"].as_str().expect("a name");
            if arrows.contains_key(to) && !allowed.contains(&to) {
                wrong.push(format!("{name} must not depend on {to}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_source_file_says_what_it_owns() {
    let bare: Vec<_> =
        sources().into_iter().filter(|(_, text)| !text.starts_with("//!")).map(|(path, _)| path).collect();
    assert!(bare.is_empty(), "files without a first line of //!: {bare:?}");
}

#[test]
fn source_files_fit_one_head() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|(path, _)| !path.to_string_lossy().contains("test"))
        .map(|(path, text)| (path, text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("").lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .collect();
    assert!(long.is_empty(), "files over {MOST_LINES} lines: {long:?}");
}

#[test]
fn source_is_ascii() {
    let odd: Vec<_> = sources()
        .into_iter()
        .filter_map(|(path, text)| {
            let at = text.lines().position(|line| !line.is_ascii())?;
            Some(format!("{}:{}", path.display(), at + 1))
        })
        .collect();
    assert!(odd.is_empty(), "lines with characters outside ASCII: {odd:?}");
}

#[test]
fn documents_name_paths_that_exist() {
    let mut missing = Vec::new();
    for document in ["ARCHITECTURE.md", "README.md", "CONTRIBUTING.md"] {
        let text = fs::read_to_string(root().join(document)).expect(document);
        // Paths are written in backquotes, with a slash, and stand for files and folders of the repository.
        for path in text.split('`').skip(1).step_by(2) {
            let is_path = path.contains('/')
                && !path.contains("://")
                && !path.starts_with(['/', '.', '<'])
                && path.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
            let known = ["core/", "chunk/", "index/", "logql/", "server/", "bindings/", "fuzz/", "benches/", "tools/"];
            if is_path && known.iter().any(|folder| path.starts_with(folder)) && !root().join(path).exists() {
                missing.push(format!("{document} names {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}
