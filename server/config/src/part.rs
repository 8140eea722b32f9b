//! A part of the file that is read by itself, and in which any key that nobody asks for is refused.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    ConfigError,
    apply::{Reader, wrong},
    parse_duration,
    tree::{Entry, Node, Value},
};

/// A map of the file that must hold known keys only.
pub(crate) struct Part<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: String,
    used: RefCell<BTreeSet<String>>,
}

impl<'a> Part<'a> {
    /// The map at a path, if the file has it.
    pub(crate) fn of(reader: &Reader<'a>, path: &str) -> Result<Option<Self>, ConfigError> {
        reader.node(path).map(|node| Self::new(node, path.to_owned())).transpose()
    }

    /// A node that must be a map.
    pub(crate) fn new(node: &'a Node, path: String) -> Result<Self, ConfigError> {
        match node.value {
            Value::Map(_) => Ok(Self { node, path, used: RefCell::default() }),
            _ => Err(wrong(node, &path, "must be a map".to_owned())),
        }
    }

    fn get(&self, key: &str) -> Option<&'a Node> {
        self.used.borrow_mut().insert(key.to_owned());
        self.node.get(key).filter(|node| node.value != Value::Null)
    }

    /// Whether there is something below a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// An error about a key.
    pub(crate) fn wrong(&self, key: &str, message: String) -> ConfigError {
        wrong(self.node.get(key).unwrap_or(self.node), &format!("{}.{key}", self.path), message)
    }

    /// The map below a key; whether it is one shows when it is read.
    pub(crate) fn child(&self, key: &str) -> Option<Self> {
        let path = format!("{}.{key}", self.path);
        self.get(key).map(|node| Self { node, path, used: RefCell::default() })
    }

    /// All maps below, by their keys.
    pub(crate) fn children(&self) -> Result<Vec<(String, Self)>, ConfigError> {
        let Value::Map(entries) = &self.node.value else {
            return Err(wrong(self.node, &self.path, "must be a map".to_owned()));
        };
        let of =
            |entry: &'a Entry| Ok((entry.key.clone(), Self::new(&entry.node, format!("{}.{}", self.path, entry.key))?));
        entries.iter().map(of).collect()
    }

    /// A scalar.
    pub(crate) fn text(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.get(key).map(|node| &node.value) {
            None => Ok(None),
            Some(Value::Scalar(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong(key, "must be a single value".to_owned())),
        }
    }

    fn parsed<T>(
        &self,
        key: &str,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        match self.text(key)? {
            None => Ok(default),
            Some(text) => parse(&text).map_err(|message| self.wrong(key, message)),
        }
    }

    /// A truth.
    pub(crate) fn bool(&self, key: &str, default: bool) -> Result<bool, ConfigError> {
        self.parsed(key, default, |text| match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "y" => Ok(true),
            "false" | "no" | "off" | "n" => Ok(false),
            _ => Err(format!("{text:?} is neither true nor false")),
        })
    }

    /// A duration.
    pub(crate) fn duration(&self, key: &str, default: Duration) -> Result<Duration, ConfigError> {
        self.parsed(key, default, parse_duration)
    }

    /// A whole number.
    pub(crate) fn count(&self, key: &str, default: usize) -> Result<usize, ConfigError> {
        self.parsed(key, default, |text| text.parse().map_err(|_| format!("{text:?} is not a whole number")))
    }

    /// A list of words; a scalar is one word.
    pub(crate) fn words(&self, key: &str) -> Result<Vec<String>, ConfigError> {
        let not_words = || self.wrong(key, "must be a list of words".to_owned());
        match self.get(key).map(|node| &node.value) {
            None => Ok(Vec::new()),
            Some(Value::Scalar(text)) => Ok(vec![text.clone()]),
            Some(Value::List(items)) => items
                .iter()
                .map(|item| match &item.value {
                    Value::Scalar(text) => Ok(text.clone()),
                    _ => Err(not_words()),
                })
                .collect(),
            Some(_) => Err(not_words()),
        }
    }

    /// All keys, which name texts.
    pub(crate) fn texts(&self) -> Result<BTreeMap<String, String>, ConfigError> {
        let children = match &self.node.value {
            Value::Map(entries) => entries,
            _ => return Err(wrong(self.node, &self.path, "must be a map".to_owned())),
        };
        children.iter().map(|entry| Ok((entry.key.clone(), self.text(&entry.key)?.unwrap_or_default()))).collect()
    }

    /// Refuses keys that nobody asked for.
    pub(crate) fn finish(&self) -> Result<(), ConfigError> {
        let Value::Map(entries) = &self.node.value else {
            return Err(wrong(self.node, &self.path, "must be a map".to_owned()));
        };
        match entries.iter().find(|entry| !self.used.borrow().contains(&entry.key)) {
            None => Ok(()),
            Some(entry) => {
                let path = format!("{}.{}", self.path, entry.key);
                let at = Node { line: entry.line, value: Value::Null, ..Node::default() };
                Err(wrong(&at, &path, "is not known or not supported here".to_owned()))
            }
        }
    }
}
