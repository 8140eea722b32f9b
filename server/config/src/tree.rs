//! The file as a tree whose nodes know their lines.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_saphyr::Spanned;

use crate::ConfigError;

/// A value of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Value {
    /// `key:` with nothing behind it.
    #[default]
    Null,
    /// Any scalar, as text.
    Scalar(String),
    /// A scalar that YAML took for a number or a boolean; only while a file is parsed.
    Plain(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A value and its line, counted from 1; 0 for what comes from a flag.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Node {
    pub(crate) line: u64,
    pub(crate) column: u64,
    pub(crate) value: Value,
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) line: u64,
    pub(crate) key: String,
    pub(crate) node: Node,
}

impl Node {
    /// Reads YAML. An empty document is an empty map.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let options = serde_saphyr::options! { with_snippet: false };
        let parsed = serde_saphyr::from_str_with_options::<Option<Spanned<Value>>>(text, options);
        let node = parsed.map_err(|error| ConfigError::Parse(error.to_string()))?;
        let mut node = node.map_or_else(Self::default, Self::from);
        node.restore(&text.lines().collect::<Vec<_>>());
        Ok(node)
    }

    /// Gives scalars that YAML takes for numbers and booleans the text they have in the file: a password of `0123` is not
    /// the number 83.
    fn restore(&mut self, lines: &[&str]) {
        match &mut self.value {
            Value::Plain(parsed) => {
                let line = usize::try_from(self.line).ok().and_then(|line| lines.get(line.checked_sub(1)?));
                let raw = line.and_then(|line| plain_at(line, self.column)).unwrap_or_else(|| parsed.clone());
                self.value = Value::Scalar(raw);
            }
            Value::List(items) => items.iter_mut().for_each(|item| item.restore(lines)),
            Value::Map(entries) => entries.iter_mut().for_each(|entry| entry.node.restore(lines)),
            Value::Null | Value::Scalar(_) => {}
        }
    }

    /// A scalar that is in no file.
    pub(crate) fn scalar(text: impl Into<String>) -> Self {
        Self { value: Value::Scalar(text.into()), ..Self::default() }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    /// The node at a path of keys with dots.
    pub(crate) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |node, part| node.get(part))
    }

    /// The entries of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// Lays another tree over this one: maps are merged, anything else is replaced; nothing replaces nothing.
    pub(crate) fn overlay(&mut self, over: &Self) {
        let Value::Map(theirs) = &over.value else {
            if over.value != Value::Null {
                *self = over.clone();
            }
            return;
        };
        if !matches!(self.value, Value::Map(_)) {
            *self = Self { value: Value::Map(Vec::new()), ..over.clone() };
        }
        let Value::Map(ours) = &mut self.value else { return };
        for entry in theirs {
            match ours.iter_mut().find(|ours| ours.key == entry.key) {
                Some(ours) => ours.node.overlay(&entry.node),
                None => ours.push(entry.clone()),
            }
        }
    }

    /// The child of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// Sets what a flag says, making maps on the way.
    pub(crate) fn set(&mut self, path: &str, text: &str) {
        self.put(path, Self::scalar(text));
    }

    /// Puts a node in its place, making maps on the way.
    pub(crate) fn put(&mut self, path: &str, new: Self) {
        let mut node = self;
        for part in path.split('.') {
            if !matches!(node.value, Value::Map(_)) {
                node.value = Value::Map(Vec::new());
            }
            let Value::Map(entries) = &mut node.value else { return };
            let at = entries.iter().position(|entry| entry.key == part).unwrap_or_else(|| {
                entries.push(Entry { line: 0, key: part.to_owned(), node: Self::default() });
                entries.len() - 1
            });
            node = &mut entries[at].node;
        }
        *node = new;
    }
}

/// The plain scalar that begins at a column, counted from 1.
fn plain_at(line: &str, column: u64) -> Option<String> {
    let start = line.char_indices().nth(usize::try_from(column).ok()?.checked_sub(1)?)?.0;
    let rest = &line[start..];
    let end = rest.find([',', ']', '}']).unwrap_or(rest.len()).min(rest.find(" #").unwrap_or(rest.len()));
    let raw = rest[..end].trim();
    (!raw.is_empty() && raw.bytes().all(|b| b.is_ascii_graphic() && !b"'\"&*!|>".contains(&b))).then(|| raw.to_owned())
}

impl From<Spanned<Value>> for Node {
    fn from(spanned: Spanned<Value>) -> Self {
        Self { line: spanned.defined.line(), column: spanned.defined.column(), value: spanned.value }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Plain(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Plain(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Plain(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Plain(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Scalar(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element::<Spanned<Value>>()? {
            list.push(item.into());
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, node)) = map.next_entry::<Spanned<String>, Spanned<Value>>()? {
            entries.push(Entry { line: key.referenced.line(), key: key.value, node: node.into() });
        }
        Ok(Value::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::{Node, Value};

    #[test]
    fn lines_and_scalars_are_kept() {
        let node = Node::parse("a:\n  b: 1h\n  c: [1, x]\nd: yes\ne:\n").expect("it is right");
        let b = node.get("a").and_then(|a| a.get("b")).expect("it is right");
        assert_eq!((b.line, &b.value), (2, &Value::Scalar("1h".into())));
        let Value::List(items) = &node.get("a").and_then(|a| a.get("c")).expect("it is right").value else {
            panic!("no list")
        };
        assert_eq!(items[0].value, Value::Scalar("1".into()));
        assert_eq!(node.get("e").expect("it is right").value, Value::Null);
        assert_eq!(Node::parse("").expect("it is right"), Node::default());
        assert!(
            Node::parse("a: 1\na: 2\n").expect_err("it is wrong").to_string().starts_with("failed parsing config: ")
        );
        assert!(Node::parse("a: [").is_err());
    }

    #[test]
    fn numbers_keep_their_text() {
        let node =
            Node::parse("a: 0123\nb: {c: 1e3, d: 0x10}\ne: 4.50 # five\nf: [yes, 1_000]\n").expect("it is right");
        let text = |path: &str| node.at(path).and_then(Node::text).map(str::to_owned);
        assert_eq!(text("a").as_deref(), Some("0123"));
        assert_eq!(text("b.c").as_deref(), Some("1e3"));
        assert_eq!(text("b.d").as_deref(), Some("0x10"));
        assert_eq!(text("e").as_deref(), Some("4.50"));
    }

    #[test]
    fn flags_are_laid_over() {
        let mut node = Node::parse("server:\n  http_listen_port: 1\n").expect("it is right");
        node.set("server.http_listen_port", "2");
        node.set("ingester.wal.enabled", "true");
        let text = |path: [&str; 2]| node.get(path[0]).and_then(|n| n.get(path[1])).cloned().expect("it is right");
        assert_eq!(text(["server", "http_listen_port"]).value, Value::Scalar("2".into()));
        assert!(matches!(text(["ingester", "wal"]).value, Value::Map(_)));
    }
}
