//! Groups of rules as YAML, laid out and quoted as Loki's Go library does it.

use std::{collections::BTreeMap, fmt::Write, time::Duration};

use narvi::logql::value::write_prometheus_duration;

use crate::{Group, Rule, RuleKind, store::Namespaces};

const INDENT: usize = 4;

/// Where what belongs to a key begins: at the next multiple of the indent, also below keys behind a dash.
fn deeper(indent: usize) -> usize {
    INDENT * ((indent + INDENT) / INDENT)
}

/// Namespaces and their groups: what the API lists.
pub fn namespaces(namespaces: &Namespaces) -> String {
    let mut out = String::new();
    for (name, list) in namespaces {
        key(&mut out, 0, name);
        groups_below(&mut out, list);
    }
    out
}

/// One group by itself.
pub fn group(group: &Group) -> String {
    let mut out = String::new();
    group_lines(&mut out, 0, false, group);
    out
}

/// A file of rules.
pub fn file(groups: &[Group]) -> String {
    let mut out = String::from("groups:");
    groups_below(&mut out, groups);
    out
}

fn groups_below(out: &mut String, groups: &[Group]) {
    if groups.is_empty() {
        out.push_str(" []\n");
        return;
    }
    out.push('\n');
    for group in groups {
        group_lines(out, INDENT, true, group);
    }
}

/// Begins `key:` on a line of its own.
fn key(out: &mut String, indent: usize, name: &str) {
    scalar(out, indent, name, true);
    out.push(':');
}

/// The lines of one map, the first behind a dash if it is an item of a list.
struct Lines<'a> {
    out: &'a mut String,
    indent: usize,
    dash: bool,
}

impl Lines<'_> {
    fn name(&mut self, name: &str) {
        let spaces = if self.dash { self.indent - 2 } else { self.indent };
        self.out.extend(std::iter::repeat_n(' ', spaces));
        if std::mem::take(&mut self.dash) {
            self.out.push_str("- ");
        }
        key(self.out, self.indent, name);
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.out.push(' ');
        scalar(self.out, self.indent, text, false);
        self.out.push('\n');
    }

    /// A value that is no text and needs no quotes.
    fn plain(&mut self, name: &str, value: &str) {
        self.name(name);
        let _ = writeln!(self.out, " {value}");
    }

    fn duration(&mut self, name: &str, duration: Duration) {
        if !duration.is_zero() {
            let mut text = String::new();
            write_prometheus_duration(&mut text, i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX));
            self.plain(name, &text);
        }
    }

    fn texts(&mut self, name: &str, texts: &BTreeMap<String, String>) {
        if texts.is_empty() {
            return;
        }
        self.name(name);
        self.out.push('\n');
        let mut inner = Lines { indent: deeper(self.indent), out: self.out, dash: false };
        for (name, text) in texts {
            inner.text(name, text);
        }
    }
}

fn group_lines(out: &mut String, indent: usize, dash: bool, group: &Group) {
    let indent = if dash { indent + 2 } else { indent };
    let mut lines = Lines { out, indent, dash };
    lines.text("name", &group.name);
    lines.duration("interval", group.interval.unwrap_or_default());
    lines.duration("query_offset", group.query_offset);
    if group.limit != 0 {
        lines.plain("limit", &group.limit.to_string());
    }
    lines.texts("labels", &group.labels);
    if group.rules.is_empty() {
        lines.plain("rules", "[]");
        return;
    }
    lines.name("rules");
    lines.out.push('\n');
    for rule in &group.rules {
        rule_lines(lines.out, deeper(indent) + 2, rule);
    }
}

fn rule_lines(out: &mut String, indent: usize, rule: &Rule) {
    let mut lines = Lines { out, indent, dash: true };
    match &rule.kind {
        RuleKind::Record { name } => lines.text("record", name),
        RuleKind::Alert { name, .. } => lines.text("alert", name),
    }
    lines.text("expr", &rule.expr);
    if let RuleKind::Alert { hold, keep_firing, .. } = &rule.kind {
        lines.duration("for", *hold);
        lines.duration("keep_firing_for", *keep_firing);
    }
    lines.texts("labels", &rule.labels);
    if let RuleKind::Alert { annotations, .. } = &rule.kind {
        lines.texts("annotations", annotations);
    }
}

/// Writes a text so that it is read back as the same text.
fn scalar(out: &mut String, indent: usize, text: &str, is_key: bool) {
    let odd = text.chars().any(|c| c != '\n' && !is_printable(c));
    if odd || (text.contains('\n') && (is_key || !fits_block(text))) || (!text.contains('\n') && reads_as_other(text)) {
        double_quoted(out, text);
    } else if text.contains('\n') {
        block(out, indent, text);
    } else if is_plain(text) {
        out.push_str(text);
    } else {
        let _ = write!(out, "'{}'", text.replace('\'', "''"));
    }
}

fn is_printable(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}') && c != '\u{feff}'
        || ('\u{10000}'..='\u{10ffff}').contains(&c)
}

/// Whether a text can stand as a literal block.
fn fits_block(text: &str) -> bool {
    !text.starts_with([' ', '\n']) && !text.split('\n').any(|line| line.ends_with(' '))
}

fn block(out: &mut String, indent: usize, text: &str) {
    out.push('|');
    let body = match (text.strip_suffix('\n'), text.ends_with("\n\n")) {
        (None, _) => {
            out.push('-');
            text
        }
        (Some(body), false) => body,
        (Some(body), true) => {
            out.push('+');
            body
        }
    };
    for line in body.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            out.extend(std::iter::repeat_n(' ', deeper(indent)));
            out.push_str(line);
        }
    }
}

/// Whether a plain text would be read as a number, a truth, a date or nothing.
fn reads_as_other(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let words =
        ["", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n", ".nan", ".inf", "-.inf", "+.inf", "<<"];
    if words.contains(&lower.as_str()) {
        return true;
    }
    let digits = lower.trim_start_matches(['-', '+']);
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return false;
    }
    let radix = ["0x", "0o", "0b"].iter().any(|prefix| {
        digits
            .strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_hexdigit() || b == b'_'))
    });
    let number = digits.replace('_', "").parse::<f64>().is_ok();
    // Minutes and seconds, and dates.
    let parts = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.' | b'_'));
    let date =
        digits.len() >= 8 && digits.bytes().take(10).all(|b| b.is_ascii_digit() || b == b'-') && digits.contains('-');
    radix || number || (parts && digits.contains(':')) || date
}

/// Whether a text can stand without quotes.
fn is_plain(text: &str) -> bool {
    let mut chars = text.chars();
    let (Some(first), second) = (chars.next(), chars.next()) else { return false };
    let lonely = second.is_none_or(|second| second == ' ');
    let starts = match first {
        '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' | ' ' => false,
        '-' | '?' | ':' => !lonely,
        _ => true,
    };
    starts
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.starts_with("---")
        && !text.starts_with("...")
}

fn double_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            c if is_printable(c) => out.push(c),
            c if u32::from(c) <= 0xff => drop(write!(out, "\\x{:02X}", u32::from(c))),
            c if u32::from(c) <= 0xffff => drop(write!(out, "\\u{:04X}", u32::from(c))),
            c => drop(write!(out, "\\U{:08X}", u32::from(c))),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{file, group, namespaces};
    use crate::{Group, Rule, RuleKind, decode_group, decode_groups};

    #[test]
    fn layout_is_lokis() {
        let text = "name: web\ninterval: 1m\nrules:\n- alert: TooManyErrors\n  expr: sum(rate({app=\"x\"} |= \"error\" [5m])) > 10\n  \
                    for: 5m\n  labels:\n    severity: page\n  annotations:\n    summary: too many errors\n";
        let web = decode_group(text).expect("it is right");
        let expected = "name: web\ninterval: 1m\nrules:\n    - alert: TooManyErrors\n      expr: sum(rate({app=\"x\"} |= \"error\" [5m])) > 10\n      \
                        for: 5m\n      labels:\n        severity: page\n      annotations:\n        summary: too many errors\n";
        assert_eq!(group(&web), expected);
        let listed = namespaces(&BTreeMap::from([("team".to_owned(), vec![web])]));
        assert!(listed.starts_with("team:\n    - name: web\n      interval: 1m\n      rules:\n        - alert: TooManyErrors\n          expr: sum("));
    }

    #[test]
    fn texts_are_quoted_as_needed() {
        let text = "name: folded\nrules:\n- alert: A\n  expr: >\n    sum(rate({a=\"b\"}[1m]))\n    > 5\n  annotations:\n    \
                    text: |\n      first\n      second\n    s: \"{{ $value }}\"\n    c: '5'\n    e: ''\n    t: \"a\\tb\"\n";
        let folded = decode_group(text).expect("it is right");
        let expected = "name: folded\nrules:\n    - alert: A\n      expr: |\n        sum(rate({a=\"b\"}[1m])) > 5\n      annotations:\n        \
                        c: \"5\"\n        e: \"\"\n        s: '{{ $value }}'\n        t: \"a\\tb\"\n        text: |\n            first\n            second\n";
        assert_eq!(group(&folded), expected);
    }

    #[test]
    fn a_group_without_rules() {
        let empty = decode_group("name: x").expect("it is right");
        assert_eq!(group(&empty), "name: x\nrules: []\n");
    }

    proptest! {
        #[test]
        fn every_text_is_read_back(name in "\\PC+", value in ".*", odd in "[ \\n'\"#:{}\\-?a0-9.~|>]*") {
            let labels = BTreeMap::from([("a".to_owned(), value), ("b".to_owned(), odd)]);
            let kind = RuleKind::Record { name: "r".into() };
            let rule = Rule { kind, expr: "1".into(), labels };
            let group = Group { name, rules: vec![rule], ..Group::default() };
            let text = file(std::slice::from_ref(&group));
            let back = decode_groups(&text);
            prop_assert_eq!(back.map_err(|error| format!("{error}\n{text}")), Ok(vec![group]));
        }
    }
}
