//! The tree: from the tokens of a line to the cluster of lines like it.

use std::collections::HashMap;

use crate::{
    samples::Samples,
    tokens::{Token, tokens},
};

/// Words that lead down the tree, besides the number of tokens. More would keep apart lines that differ in a word early on.
const DEPTH: usize = 1;
/// Children of a node; further tokens share one.
const MOST_CHILDREN: usize = 32;
/// The share of words that must be equal for a line to belong to a cluster.
const LEAST_SIMILAR: f64 = 0.6;
/// How much a word counts that is the value of a key; others count 1.
const VALUE_WEIGHT: f64 = 0.5;

/// What stands for a variable in the text of a pattern.
const VARIABLE: &str = "<_>";

/// Clusters of the lines of one stream and level.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    /// By number of tokens.
    roots: HashMap<usize, Node>,
    clusters: HashMap<u32, Cluster>,
    next: u32,
}

#[derive(Debug, Default)]
struct Node {
    children: HashMap<Box<str>, Node>,
    /// Variables, and tokens for which there is no room.
    other: Option<Box<Node>>,
    /// In a leaf.
    clusters: Vec<u32>,
}

/// Lines that are alike.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// `None` is a variable.
    template: Vec<Option<Box<str>>>,
    /// The way to it through the tree.
    path: Vec<Option<Box<str>>>,
    /// When it last took a line, by the clock of its owner.
    pub(crate) used: u64,
    pub(crate) samples: Samples,
}

impl Cluster {
    /// The pattern, which as a pattern filter of LogQL matches its lines.
    pub(crate) fn pattern(&self) -> String {
        let mut out = String::new();
        let mut after_variable = false;
        for token in &self.template {
            match token {
                Some(text) => out.push_str(text),
                None if after_variable => {}
                None => out.push_str(VARIABLE),
            }
            after_variable = token.is_none();
        }
        out
    }

    /// The share of words that are equal, and how many variables there are. What is a value by its look does not count.
    fn similarity(&self, tokens: &[Token<'_>]) -> (f64, usize) {
        let (mut all, mut equal, mut variables) = (0.0, 0.0, 0usize);
        let mut before = "";
        for (have, token) in self.template.iter().zip(tokens) {
            variables += usize::from(have.is_none());
            let Token::Text(text) = token else {
                before = "";
                continue;
            };
            if is_word(token) {
                let weight = if is_assignment(before) { VALUE_WEIGHT } else { 1.0 };
                all += weight;
                equal += if have.as_deref() == Some(*text) { weight } else { 0.0 };
            }
            before = text;
        }
        (if all == 0.0 { 1.0 } else { equal / all }, variables)
    }

    fn take(&mut self, tokens: &[Token<'_>]) {
        for (have, token) in self.template.iter_mut().zip(tokens) {
            let is_same = matches!((have.as_deref(), token), (Some(text), Token::Text(token)) if text == *token);
            if !is_same {
                *have = None;
            }
        }
    }
}

fn is_word(token: &Token<'_>) -> bool {
    match token {
        Token::Value => true,
        Token::Text(text) => text.contains(char::is_alphanumeric),
    }
}

/// Whether what follows these marks is the value of a key: `key=`, `key="`, `"key":`.
fn is_assignment(marks: &str) -> bool {
    marks.trim_end_matches(['"', '\'']).ends_with('=') || marks.contains("\":")
}

/// The tokens that lead down the tree: words, without values.
fn path(tokens: &[Token<'_>]) -> Vec<Option<Box<str>>> {
    let words = tokens.iter().filter(|token| is_word(token)).take(DEPTH);
    words
        .map(|token| match token {
            Token::Text(text) if !text.contains(|c: char| c.is_ascii_digit()) => Some(Box::from(*text)),
            _ => None,
        })
        .collect()
}

impl Drain {
    pub(crate) fn len(&self) -> usize {
        self.clusters.len()
    }

    pub(crate) fn clusters(&self) -> impl Iterator<Item = &Cluster> {
        self.clusters.values()
    }

    /// The number of the cluster that was not used for the longest time, and when it was.
    pub(crate) fn oldest(&self) -> Option<(u32, u64)> {
        self.clusters.iter().map(|(id, cluster)| (*id, cluster.used)).min_by_key(|(_, used)| *used)
    }

    /// Gives a line to the cluster that it is most similar to, or makes one.
    pub(crate) fn learn(&mut self, line: &str) -> &mut Cluster {
        let tokens = tokens(line);
        let (leaf, path) = self.roots.entry(tokens.len()).or_default().descend(path(&tokens));
        let clusters = &mut self.clusters;
        let similar = leaf.clusters.iter().filter_map(|id| {
            let (similarity, variables) = clusters.get(id)?.similarity(&tokens);
            (similarity >= LEAST_SIMILAR).then_some((similarity, variables, *id))
        });
        let best = similar.max_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(b.2.cmp(&a.2)));
        let id = match best {
            Some((_, _, id)) => id,
            None => {
                self.next = self.next.wrapping_add(1);
                leaf.clusters.push(self.next);
                self.next
            }
        };
        let cluster = clusters.entry(id).or_insert_with(|| Cluster {
            template: tokens
                .iter()
                .map(|t| if let Token::Text(text) = t { Some(Box::from(*text)) } else { None })
                .collect(),
            path,
            used: 0,
            samples: Samples::default(),
        });
        cluster.take(&tokens);
        cluster
    }

    /// Forgets a cluster, and the nodes that led to it alone.
    pub(crate) fn forget(&mut self, id: u32) {
        let Some(cluster) = self.clusters.remove(&id) else { return };
        let length = cluster.template.len();
        if let Some(root) = self.roots.get_mut(&length) {
            root.forget(&cluster.path, id);
            if root.is_empty() {
                self.roots.remove(&length);
            }
        }
    }
}

impl Node {
    /// Goes down, making nodes where there are none; gives the way taken.
    fn descend(&mut self, mut path: Vec<Option<Box<str>>>) -> (&mut Self, Vec<Option<Box<str>>>) {
        let mut node = self;
        for step in &mut path {
            let is_known = step.as_ref().is_some_and(|token| node.children.contains_key(token));
            if !is_known && node.children.len() >= MOST_CHILDREN {
                *step = None;
            }
            node = match step {
                Some(token) => node.children.entry(token.clone()).or_default(),
                None => node.other.get_or_insert_default(),
            };
        }
        (node, path)
    }

    fn forget(&mut self, path: &[Option<Box<str>>], id: u32) {
        match path.split_first() {
            None => self.clusters.retain(|other| *other != id),
            Some((Some(token), rest)) => {
                if let Some(child) = self.children.get_mut(token) {
                    child.forget(rest, id);
                    if child.is_empty() {
                        self.children.remove(token);
                    }
                }
            }
            Some((None, rest)) => {
                if let Some(child) = &mut self.other {
                    child.forget(rest, id);
                    if child.is_empty() {
                        self.other = None;
                    }
                }
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.children.is_empty() && self.other.is_none() && self.clusters.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Drain;

    fn patterns(lines: &[&str]) -> Vec<String> {
        let mut drain = Drain::default();
        for line in lines {
            drain.learn(line);
        }
        let mut patterns: Vec<String> = drain.clusters().map(|cluster| cluster.pattern()).collect();
        patterns.sort();
        patterns
    }

    #[test]
    fn differing_words_become_variables() {
        assert_eq!(
            patterns(&[
                "request from alice took 12ms",
                "request from bob took 7ms",
                "cache miss for key user:1",
                "cache miss for key user:2",
            ]),
            ["cache miss for key <_>", "request from <_> took <_>"]
        );
    }

    #[test]
    fn a_common_beginning_does_not_make_lines_alike() {
        let found = patterns(&[
            "Dec 10 06:55:46 host sshd[24200]: Invalid user webmaster",
            "Dec 10 06:55:48 host sshd[24201]: check pass again",
            "Dec 10 06:55:49 host sshd[24202]: Invalid user test",
        ]);
        assert_eq!(
            found,
            ["Dec <_> <_> host sshd[<_>]: Invalid user <_>", "Dec <_> <_> host sshd[<_>]: check pass again"]
        );
        assert_eq!(patterns(&["a=foo b=bar c=baz", "a=one b=two c=three"]), ["a=<_> b=<_> c=<_>"]);
    }

    #[test]
    fn lines_of_another_shape_stay_apart() {
        let found = patterns(&["a b c", "a b c d", "x y z"]);
        assert_eq!(found, ["a b c", "a b c d", "x y z"]);
    }

    #[test]
    fn logfmt_and_json_keep_their_keys() {
        assert_eq!(
            patterns(&[
                r#"level=info msg="done" took=5ms"#,
                r#"level=info msg="done" took=19ms"#,
                r#"{"level":"info","n":5}"#,
                r#"{"level":"info","n":6}"#,
            ]),
            [r#"level=info msg="done" took=<_>"#, r#"{"level":"info","n":<_>}"#]
        );
    }

    #[test]
    fn forgetting_leaves_nothing_behind() {
        let mut drain = Drain::default();
        for n in 0..200 {
            drain.learn(&format!("word{} {} end", "x".repeat(n % 7), "y".repeat(n % 50 + 1)));
        }
        assert!(drain.len() > 5);
        while let Some((id, _)) = drain.oldest() {
            drain.forget(id);
        }
        assert!(drain.roots.is_empty());
    }
}
