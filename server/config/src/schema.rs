//! Which keys a file may have: the table in `schema.txt`, and the walk that compares a file with it.

use std::{collections::HashMap, sync::LazyLock};

use crate::{
    ConfigError,
    tree::{Node, Value},
};

enum Known {
    /// A value, or a part of the file that is not looked into.
    Leaf,
    Section(&'static str),
    /// What to write instead.
    Removed(&'static str),
}

struct Section {
    /// What Loki's errors call it.
    type_name: &'static str,
    keys: HashMap<&'static str, Known>,
}

static SECTIONS: LazyLock<HashMap<&'static str, Section>> = LazyLock::new(|| read_table(include_str!("schema.txt")));

fn read_table(text: &'static str) -> HashMap<&'static str, Section> {
    let mut sections = HashMap::new();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(heading) = line.strip_prefix("= ") {
            let (name, type_name) = heading.split_once(' ').unwrap_or((heading, heading));
            current = name;
            sections.insert(name, Section { type_name, keys: HashMap::new() });
            continue;
        }
        let Some(section) = sections.get_mut(current) else { continue };
        if let Some(removed) = line.strip_prefix("- ") {
            let (key, hint) = removed.split_once(' ').unwrap_or((removed, "leave it out"));
            section.keys.insert(key, Known::Removed(hint));
            continue;
        }
        for word in line.split_whitespace() {
            let (key, known) = match word.split_once(':') {
                None => (word, Known::Leaf),
                Some((key, "*")) => (key, Known::Leaf),
                Some((key, inner)) => (key, Known::Section(inner)),
            };
            section.keys.insert(key, known);
        }
    }
    sections
}

/// A key of a file that is a value or a part that is not looked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Given {
    pub(crate) line: u64,
    /// With all its parents.
    pub(crate) path: String,
    /// What to write instead of a removed key.
    pub(crate) removed: Option<&'static str>,
}

/// Lists the keys of a file.
///
/// # Errors
/// Keys that Loki does not know; all of them in one error.
pub(crate) fn check(root: &Node) -> Result<Vec<Given>, ConfigError> {
    let mut walk = Walk::default();
    walk.section(root, "root", "");
    match walk.wrong.is_empty() {
        true => Ok(walk.given),
        false => Err(ConfigError::Parse(walk.wrong.join("; "))),
    }
}

#[derive(Default)]
struct Walk {
    given: Vec<Given>,
    wrong: Vec<String>,
}

impl Walk {
    fn section(&mut self, node: &Node, name: &str, path: &str) {
        let Some(section) = SECTIONS.get(name) else { return };
        let entries = match &node.value {
            Value::Null => return,
            Value::Map(entries) => entries,
            Value::List(items) => {
                items.iter().for_each(|item| self.section(item, name, path));
                return;
            }
            Value::Scalar(text) => {
                let line = node.line;
                self.wrong.push(format!("line {line}: cannot unmarshal {text:?} into {}", section.type_name));
                return;
            }
        };
        for entry in entries {
            let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            let removed = match section.keys.get(entry.key.as_str()) {
                None => {
                    let (line, key, of) = (entry.line, &entry.key, section.type_name);
                    self.wrong.push(format!("line {line}: field {key} not found in type {of}"));
                    continue;
                }
                Some(Known::Section(inner)) => {
                    self.section(&entry.node, inner, &path);
                    continue;
                }
                Some(Known::Leaf) => None,
                Some(Known::Removed(hint)) => Some(*hint),
            };
            self.given.push(Given { line: entry.line, path, removed });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, SECTIONS, check};
    use crate::tree::Node;

    #[test]
    fn the_table_names_only_sections_that_exist() {
        for (name, section) in SECTIONS.iter() {
            for (key, known) in &section.keys {
                if let Known::Section(inner) = known {
                    assert!(SECTIONS.contains_key(inner), "{name}.{key}");
                }
            }
        }
    }

    #[test]
    fn unknown_keys_are_named_with_their_line_and_type() {
        let node = Node::parse("auth_enabled: false\nserver:\n  http_port: 1\nfoo: 2\n").expect("it is right");
        let error = check(&node).expect_err("it is wrong").to_string();
        assert_eq!(
            error,
            "failed parsing config: line 3: field http_port not found in type server.Config; line 4: field foo not \
             found in type loki.ConfigWrapper"
        );
    }

    #[test]
    fn removed_keys_say_what_to_write() {
        let node = Node::parse("compactor:\n  shared_store: s3\n").expect("it is right");
        let given = check(&node).expect("it is right");
        assert_eq!((given[0].line, given[0].path.as_str()), (2, "compactor.shared_store"));
        assert!(given[0].removed.is_some_and(|hint| hint.contains("object_store")));
    }
}
