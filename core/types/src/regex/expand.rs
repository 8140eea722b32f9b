//! Replacement by template, as Go's Expand and ReplaceAll do it: `$1`, `$name`, `${name}` and `$$`.

use super::{Groups, Regex};

impl Regex {
    /// Appends a template with its references replaced by the groups of a match.
    ///
    /// A name is as long as letters, digits and underscores go (`$1x` is the group `1x`); a group that does not exist
    /// or took no part is empty; of several groups with one name the first that took part counts.
    pub fn expand(&self, template: &str, haystack: &[u8], groups: &Groups, out: &mut Vec<u8>) {
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            out.extend_from_slice(before.as_bytes());
            if let Some(after) = after.strip_prefix('$') {
                out.push(b'$');
                rest = after;
            } else if let Some((name, after)) = reference(after) {
                if let Some(span) = self.group(name, groups) {
                    out.extend_from_slice(haystack.get(span).unwrap_or_default());
                }
                rest = after;
            } else {
                out.push(b'$');
                rest = after;
            }
        }
        out.extend_from_slice(rest.as_bytes());
    }

    /// The haystack with every match replaced by a template.
    pub fn replace_all(&self, haystack: &[u8], template: &str) -> Vec<u8> {
        self.replace_with(haystack, |groups, out| self.expand(template, haystack, groups, out))
    }

    /// The haystack with every match replaced by a text, in which `$` is nothing special.
    pub fn replace_all_literal(&self, haystack: &[u8], replacement: &[u8]) -> Vec<u8> {
        self.replace_with(haystack, |_, out| out.extend_from_slice(replacement))
    }

    fn replace_with(&self, haystack: &[u8], mut replace: impl FnMut(&Groups, &mut Vec<u8>)) -> Vec<u8> {
        let (mut out, mut copied) = (Vec::with_capacity(haystack.len()), 0);
        let mut matches = self.find_iter(haystack);
        let mut groups = self.groups();
        while let Some(found) = matches.next_in_text() {
            // Searching from the start of a match that was just found gives the same match, now with its groups.
            if !self.captures_at(&matches.text, found.start, &mut groups) {
                break;
            }
            let Some(span) = groups.get(0) else { break };
            out.extend_from_slice(haystack.get(copied..span.start).unwrap_or_default());
            replace(&groups, &mut out);
            copied = span.end;
        }
        out.extend_from_slice(haystack.get(copied..).unwrap_or_default());
        out
    }

    fn group(&self, name: &str, groups: &Groups) -> Option<std::ops::Range<usize>> {
        if let Some(index) = group_number(name) {
            return groups.get(index);
        }
        let named = self.capture_names().iter().enumerate().filter(|(_, known)| known.as_deref() == Some(name));
        named.filter_map(|(index, _)| groups.get(index)).next()
    }
}

/// A name that is a number without needless zeros and below 10^8 counts as one; `01` is a name.
fn group_number(name: &str) -> Option<usize> {
    if name.len() > 8 || (name.len() > 1 && name.starts_with('0')) || !name.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    name.parse().ok()
}

/// Reads the reference after a `$`: its name, and what follows.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (name, braced) = text.strip_prefix('{').map_or((text, false), |inner| (inner, true));
    let end = name.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(name.len());
    let (name, rest) = name.split_at(end);
    let rest = if braced { rest.strip_prefix('}')? } else { rest };
    (!name.is_empty()).then_some((name, rest))
}
