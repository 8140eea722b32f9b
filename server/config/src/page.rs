//! A configuration as text again: YAML with secrets masked, as a whole or only what differs from the defaults.

use std::fmt::Write;

use crate::tree::{Entry, Node, Value};

/// Stands for every secret.
const MASK: &str = "********";

/// Keys whose values are secrets wherever they stand.
const SECRETS: [&str; 19] = [
    "account_key",
    "acl_token",
    "api_key",
    "auth_token",
    "bearer_token",
    "client_secret",
    "connection_string",
    "credentials",
    "key",
    "password",
    "sas_token",
    "secret",
    "secret_access_key",
    "secret_key",
    "sentinel_password",
    "service_account",
    "session_token",
    "sse_customer_key",
    "http_headers",
];

/// Writes a tree as YAML. Secrets are masked, also those inside URLs.
pub(crate) fn yaml(node: &Node) -> String {
    let mut out = String::new();
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => map(&mut out, entries, 0),
        _ => out.push_str("{}\n"),
    }
    out
}

fn map(out: &mut String, entries: &[Entry], depth: usize) {
    for entry in entries {
        // Writing to a string cannot fail.
        let _ = write!(out, "{:depth$}{}:", "", quoted(&entry.key), depth = depth * 2);
        value(out, &entry.node, depth, SECRETS.contains(&entry.key.as_str()));
    }
}

/// Writes what stands behind a colon or a dash.
fn value(out: &mut String, node: &Node, depth: usize, secret: bool) {
    match &node.value {
        Value::Null => out.push_str(" null\n"),
        Value::Scalar(text) | Value::Plain(text) => {
            let text = if secret && !text.is_empty() { MASK.to_owned() } else { without_password(text) };
            let _ = writeln!(out, " {}", quoted(&text));
        }
        _ if secret => {
            let _ = writeln!(out, " {}", quoted(MASK));
        }
        Value::List(items) if items.is_empty() => out.push_str(" []\n"),
        Value::List(items) => {
            out.push('\n');
            items.iter().for_each(|each| item(out, each, depth));
        }
        Value::Map(entries) if entries.is_empty() => out.push_str(" {}\n"),
        Value::Map(entries) => {
            out.push('\n');
            map(out, entries, depth + 1);
        }
    }
}

fn item(out: &mut String, node: &Node, depth: usize) {
    let _ = write!(out, "{:depth$}-", "", depth = depth * 2);
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            let mut inner = String::new();
            map(&mut inner, entries, depth + 1);
            // The first key stands beside the dash.
            out.push(' ');
            out.push_str(inner.trim_start());
        }
        _ => value(out, node, depth + 1, false),
    }
}

/// Masks the password of a URL: `s3://key:********@host/bucket`.
fn without_password(text: &str) -> String {
    let masked = || {
        let (scheme, rest) = text.split_once("://")?;
        let (user, host) = rest.rsplit_once('@')?;
        let (name, _) = user.split_once(':')?;
        Some(format!("{scheme}://{name}:{MASK}@{host}"))
    };
    masked().unwrap_or_else(|| text.to_owned())
}

/// Quotes a scalar where YAML would read something else.
fn quoted(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./+ <>".contains(&b) || b == b':';
    let fine = !text.is_empty()
        && text.bytes().all(plain)
        && !text.starts_with([' ', '-', ':', '.', '<', '>'])
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !matches!(text.to_ascii_lowercase().as_str(), "null" | "~");
    let number = text.parse::<f64>().is_ok();
    if fine || number { text.to_owned() } else { format!("{text:?}") }
}

/// What a tree has that another has not, or has otherwise.
pub(crate) fn difference(node: &Node, base: &Node) -> Node {
    let Value::Map(entries) = &node.value else { return node.clone() };
    let differing = entries.iter().filter_map(|entry| {
        let keep = |node| Entry { line: 0, key: entry.key.clone(), node };
        match base.get(&entry.key) {
            None => (entry.node.value != Value::Null).then(|| keep(entry.node.clone())),
            Some(other) => match (&entry.node.value, &other.value) {
                (Value::Map(_), Value::Map(_)) => {
                    let inner = difference(&entry.node, other);
                    (!inner.entries().is_empty()).then(|| keep(inner))
                }
                _ => (!same(&entry.node, other) && entry.node.value != Value::Null).then(|| keep(entry.node.clone())),
            },
        }
    });
    Node { value: Value::Map(differing.collect()), ..Node::default() }
}

/// Whether two trees hold the same, wherever they come from.
fn same(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Scalar(a), Value::Scalar(b)) => a == b,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.key == b.key && same(&a.node, &b.node))
        }
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::{difference, yaml};
    use crate::{schema, tree::Node};

    fn read(text: &str) -> Node {
        Node::parse(text).expect("it is right")
    }

    #[test]
    fn secrets_are_masked() {
        let text = "storage_config:\n  aws:\n    s3: s3://KEY:very:secret@host:9000/b\n    secret_access_key: abc\n    \
                    session_token:\n  azure: {account_key: \"x\"}\nlist:\n- a: 1\n  b: [x, '']\n- c: \"a: b\"\n- -1\n";
        let shown = yaml(&read(text));
        assert_eq!(
            shown,
            "storage_config:\n  aws:\n    s3: \"s3://KEY:********@host:9000/b\"\n    secret_access_key: \
             \"********\"\n    session_token: null\n  azure:\n    account_key: \"********\"\nlist:\n- a: 1\n  b:\n  - \
             x\n  - \"\"\n- c: \"a: b\"\n- -1\n"
        );
        assert_eq!(yaml(&read("")), "{}\n");
    }

    #[test]
    fn what_is_shown_is_yaml_that_means_the_same() {
        let mut whole = schema::defaults();
        whole.overlay(&read("limits_config:\n  discover_service_name: [a, 'b c', 'd: e', '']\n  max_line_size: 1MB\n"));
        let again = read(&yaml(&whole));
        assert_eq!(yaml(&again), yaml(&whole));
        assert!(difference(&again, &whole).entries().is_empty());
        let shown = yaml(&difference(&whole, &schema::defaults()));
        let expected =
            "limits_config:\n  max_line_size: 1MB\n  discover_service_name:\n  - a\n  - b c\n  - \"d: e\"\n  - \"\"\n";
        assert_eq!(shown, expected);
    }
}
