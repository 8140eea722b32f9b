//! Which keys a file may have, with their types and Loki's defaults: the table in `schema.txt`, and the walk that compares
//! a file with it.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use crate::{
    ConfigError, parse_bytes, parse_duration, suggest,
    tree::{Entry, Node, Value},
};

/// What a key may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Bool,
    Int,
    Float,
    Duration,
    Size,
    Text,
    List,
}

enum Known {
    /// A value with Loki's default, which has the key's type.
    Leaf(Kind, &'static str),
    /// A value, or a part of the file that is not looked into.
    Any,
    /// A section, or a list of such.
    Section(&'static str),
    /// A map of sections whose keys are names.
    MapOf(&'static str),
    /// What to write instead.
    Removed(&'static str),
}

struct Section {
    /// What Loki's errors call it.
    type_name: &'static str,
    /// In the order of the table.
    keys: Vec<(&'static str, Known)>,
}

impl Section {
    fn get(&self, key: &str) -> Option<&Known> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, known)| known)
    }
}

static SECTIONS: LazyLock<HashMap<&'static str, Section>> = LazyLock::new(|| read_table(include_str!("schema.txt")));

fn read_table(text: &'static str) -> HashMap<&'static str, Section> {
    let mut sections = HashMap::new();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(heading) = line.strip_prefix("= ") {
            let (name, type_name) = heading.split_once(' ').unwrap_or((heading, heading));
            current = name;
            sections.insert(name, Section { type_name, keys: Vec::new() });
            continue;
        }
        let Some(section) = sections.get_mut(current) else { continue };
        if let Some(removed) = line.strip_prefix("- ") {
            let (key, hint) = removed.split_once(' ').unwrap_or((removed, "leave it out"));
            section.keys.push((key, Known::Removed(hint)));
            continue;
        }
        section.keys.extend(line.split_whitespace().map(read_word));
    }
    sections
}

fn read_word(word: &'static str) -> (&'static str, Known) {
    if let Some((key, default)) = word.split_once('=') {
        return (key, Known::Leaf(kind_of(default), default));
    }
    match word.split_once(':') {
        None => (word, Known::Any),
        Some((key, "*")) => (key, Known::Any),
        Some((key, inner)) => match inner.strip_prefix("{}") {
            Some(inner) => (key, Known::MapOf(inner)),
            None => (key, Known::Section(inner)),
        },
    }
}

/// The type of a key, told by its default.
fn kind_of(default: &str) -> Kind {
    let first = default.bytes().next().unwrap_or(b' ');
    match default {
        "true" | "false" => Kind::Bool,
        _ if first == b'[' => Kind::List,
        _ if !first.is_ascii_digit() => Kind::Text,
        _ if default.bytes().all(|b| b.is_ascii_digit()) => Kind::Int,
        _ if default.ends_with('B') => Kind::Size,
        _ if default.contains('.') => Kind::Float,
        _ => Kind::Duration,
    }
}

/// Whether a text is a value of a type; if not, why.
pub(crate) fn check_text(kind: Kind, text: &str) -> Result<(), String> {
    match kind {
        Kind::Bool => parse_bool(text).map(drop),
        Kind::Int => parse_int(text).map(drop),
        Kind::Float => text.parse::<f64>().map(drop).map_err(|_| format!("{text:?} is not a number")),
        Kind::Duration => parse_duration(text).map(drop),
        Kind::Size if text.starts_with('-') => Ok(()),
        Kind::Size => parse_bytes(text).map(drop),
        Kind::Text | Kind::List => Ok(()),
    }
}

/// A boolean as YAML and Go's flags write it.
pub(crate) fn parse_bool(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "y" | "t" | "1" => Ok(true),
        "false" | "no" | "off" | "n" | "f" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// A whole number, also as `1e6` and `1_000`, which YAML allows.
pub(crate) fn parse_int(text: &str) -> Result<i64, String> {
    let plain = text.replace('_', "");
    let whole = |number: f64| (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64);
    let parsed = plain.parse().ok().or_else(|| plain.parse().ok().and_then(whole));
    parsed.ok_or_else(|| format!("{text:?} is not a whole number"))
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
/// Keys that Loki does not know and values of a wrong type; all of them in one error.
pub(crate) fn check(root: &Node) -> Result<Vec<Given>, ConfigError> {
    check_section(root, "root", "")
}

/// As [`check`], for a part of a file that stands elsewhere: the limits of a tenant, for example.
pub(crate) fn check_section(node: &Node, section: &str, path: &str) -> Result<Vec<Given>, ConfigError> {
    let mut walk = Walk::default();
    walk.section(node, section, path);
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

/// `line 7: `, or nothing for what is not of a file.
pub(crate) fn place(line: u64) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

impl Walk {
    fn section(&mut self, node: &Node, name: &'_ str, path: &str) {
        let Some(section) = SECTIONS.get(name) else { return };
        let entries = match &node.value {
            Value::Null => return,
            Value::Map(entries) => entries,
            Value::List(items) => {
                items.iter().for_each(|item| self.section(item, name, path));
                return;
            }
            Value::Scalar(text) | Value::Plain(text) => {
                let place = place(node.line);
                self.wrong.push(format!("{place}cannot unmarshal {text:?} into {}", section.type_name));
                return;
            }
        };
        for entry in entries {
            let path = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
            self.entry(entry, section, path);
        }
    }

    fn entry(&mut self, entry: &Entry, section: &Section, path: String) {
        let removed = match section.get(&entry.key) {
            None => {
                let (place, key, of) = (place(entry.line), &entry.key, section.type_name);
                let hint = hint(key, section, &path);
                self.wrong.push(format!("{place}field {key} not found in type {of}{hint}"));
                return;
            }
            Some(Known::Section(inner)) => return self.section(&entry.node, inner, &path),
            Some(Known::MapOf(inner)) => {
                for named in entry.node.entries() {
                    self.section(&named.node, inner, &format!("{path}.{}", named.key));
                }
                return;
            }
            Some(Known::Any) => None,
            Some(Known::Leaf(kind, _)) => {
                self.value(*kind, &entry.node, &path);
                None
            }
            Some(Known::Removed(hint)) => Some(*hint),
        };
        self.given.push(Given { line: entry.line, path, removed });
    }

    fn value(&mut self, kind: Kind, node: &Node, path: &str) {
        let wrong = match &node.value {
            Value::Null => return,
            Value::Scalar(text) | Value::Plain(text) => check_text(kind, text).err(),
            Value::List(_) if kind == Kind::List => None,
            Value::List(_) | Value::Map(_) => Some(match kind {
                Kind::List => "must be a list".to_owned(),
                _ => "must be a single value".to_owned(),
            }),
        };
        if let Some(message) = wrong {
            self.wrong.push(format!("{}{path}: {message}", place(node.line)));
        }
    }
}

/// What was probably meant by a key: one of the same section that is written alike, or the same one of another section.
fn hint(key: &str, section: &Section, path: &str) -> String {
    let names = section.keys.iter().filter(|(_, known)| !matches!(known, Known::Removed(_))).map(|(name, _)| *name);
    if let Some(name) = suggest::nearest(key, names) {
        return format!(", did you mean {name}?");
    }
    match PLACES.get(key).filter(|place| place.as_str() != path) {
        Some(place) => format!(", did you mean {place}?"),
        None => String::new(),
    }
}

/// Where each key of a single section stands; keys of several sections are not told apart and left out.
static PLACES: LazyLock<HashMap<&'static str, String>> = LazyLock::new(|| {
    let mut places = HashMap::new();
    let mut ambiguous = HashSet::new();
    each_leaf("root", "", 0, &mut |key, path, _| {
        if places.insert(key, path.to_owned()).is_some() {
            ambiguous.insert(key);
        }
    });
    places.retain(|key, _| !ambiguous.contains(key));
    places
});

/// Type and default of a value that has them.
type Leaf = Option<(Kind, &'static str)>;

/// Calls `each` for every value below a section with its key, path and, if it has one, type and default.
fn each_leaf(section: &str, path: &str, depth: usize, each: &mut dyn FnMut(&'static str, &str, Leaf)) {
    let Some(section) = SECTIONS.get(section).filter(|_| depth < 8) else { return };
    for (key, known) in &section.keys {
        let path = if path.is_empty() { (*key).to_owned() } else { format!("{path}.{key}") };
        match known {
            Known::Leaf(kind, default) => each(key, &path, Some((*kind, default))),
            Known::Any => each(key, &path, None),
            Known::Section(inner) => each_leaf(inner, &path, depth + 1, each),
            Known::MapOf(_) | Known::Removed(_) => {}
        }
    }
}

/// Sections that stand in lists: there are none by default.
const LISTED: [&str; 5] = ["period", "retention_stream", "blocked_query", "otlp_rule", "otlp"];

/// Loki's defaults as a tree, in the order of the table.
pub(crate) fn defaults() -> Node {
    defaults_of("root")
}

/// The defaults of one section.
pub(crate) fn defaults_of(section: &str) -> Node {
    let mut entries = Vec::new();
    for (key, known) in SECTIONS.get(section).into_iter().flat_map(|section| &section.keys) {
        let value = match known {
            Known::Leaf(Kind::List, default) => {
                let words = default.trim_matches(['[', ']']).split(',').filter(|word| !word.is_empty());
                Value::List(words.map(Node::scalar).collect())
            }
            Known::Leaf(Kind::Float, default) => Value::Scalar(default.trim_end_matches(".0").to_owned()),
            Known::Leaf(_, default) => Value::Scalar((*default).to_owned()),
            Known::Section(inner) if !LISTED.contains(inner) => defaults_of(inner).value,
            _ => continue,
        };
        entries.push(Entry { line: 0, key: (*key).to_owned(), node: Node { value, ..Node::default() } });
    }
    Node { value: Value::Map(entries), ..Node::default() }
}

/// The keys of all values with their types, for flags.
pub(crate) static LEAVES: LazyLock<HashMap<String, Option<Kind>>> = LazyLock::new(|| {
    let mut leaves = HashMap::new();
    each_leaf("root", "", 0, &mut |_, path, leaf| {
        leaves.insert(path.to_owned(), leaf.map(|(kind, _)| kind));
    });
    leaves
});

#[cfg(test)]
mod tests {
    use super::{Known, SECTIONS, check, check_text, defaults};
    use crate::tree::Node;

    #[test]
    fn the_table_names_only_sections_that_exist_and_defaults_of_their_type() {
        for (name, section) in SECTIONS.iter() {
            for (at, (key, known)) in section.keys.iter().enumerate() {
                assert!(section.keys[..at].iter().all(|(other, _)| other != key), "{name}.{key} twice");
                match known {
                    Known::Section(inner) | Known::MapOf(inner) => {
                        assert!(SECTIONS.contains_key(inner), "{name}.{key}");
                    }
                    Known::Leaf(kind, default) => assert_eq!(check_text(*kind, default), Ok(()), "{name}.{key}"),
                    Known::Any | Known::Removed(_) => {}
                }
            }
        }
        assert_eq!(check(&defaults()).err(), None);
    }

    #[test]
    fn unknown_keys_are_named_with_their_line_type_and_what_was_meant() {
        let node = Node::parse("auth_enabled: false\nserver:\n  http_listen_prot: 1\nfoo: 2\n").expect("it is right");
        let error = check(&node).expect_err("it is wrong").to_string();
        assert_eq!(
            error,
            "failed parsing config: line 3: field http_listen_prot not found in type server.Config, did you mean \
             http_listen_port?; line 4: field foo not found in type loki.ConfigWrapper"
        );
        let node = Node::parse("server: {max_query_length: 1h}").expect("it is right");
        let error = check(&node).expect_err("it is wrong").to_string();
        assert!(error.ends_with("did you mean limits_config.max_query_length?"), "{error}");
    }

    #[test]
    fn removed_keys_say_what_to_write() {
        let node = Node::parse("compactor:\n  shared_store: s3\n").expect("it is right");
        let given = check(&node).expect("it is right");
        assert_eq!((given[0].line, given[0].path.as_str()), (2, "compactor.shared_store"));
        assert!(given[0].removed.is_some_and(|hint| hint.contains("object_store")));
    }
}
