//! A line as tokens: words, and what stands between them. Joined, they are the line again.

/// A piece of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A word, or the marks between two words.
    Text(&'a str),
    /// A word that is a value by its look, such as a number, an address, a time; or the rest of a long line.
    Value,
}

/// Words of a line that are looked at; what follows is one value.
const MOST_WORDS: usize = 80;
/// Bytes of a line that are looked at.
const MOST_BYTES: usize = 3000;

/// Cuts a line into tokens.
pub(crate) fn tokens(line: &str) -> Vec<Token<'_>> {
    let mut out = Vec::with_capacity(32);
    let mut rest = line;
    let mut words = 0;
    while let Some(first) = rest.chars().next() {
        if words >= MOST_WORDS || line.len() - rest.len() >= MOST_BYTES {
            push_value(&mut out);
            break;
        }
        // A colon goes on with a word, it does not begin one.
        let begins = |c: char| c != ':' && in_word(c, "");
        let is_word = begins(first);
        let ends = |(at, c): &(usize, char)| if is_word { !in_word(*c, &rest[*at..]) } else { begins(*c) };
        let end = rest.char_indices().find(ends).map_or(rest.len(), |(at, _)| at);
        let (token, after) = rest.split_at(end);
        if is_word && is_value(token) {
            push_value(&mut out);
        } else {
            out.push(Token::Text(token));
        }
        words += usize::from(is_word);
        rest = after;
    }
    out
}

/// Two variables side by side are one.
fn push_value(out: &mut Vec<Token<'_>>) {
    if out.last() != Some(&Token::Value) {
        out.push(Token::Value);
    }
}

/// Whether the character is part of a word; a colon is where a time, an address or a path goes on behind it.
fn in_word(c: char, from: &str) -> bool {
    match c {
        ':' => from.chars().nth(1).is_some_and(|next| next.is_alphanumeric() || next == '/' || next == ':'),
        '_' | '-' | '.' | '/' | '@' | '+' | '%' | '$' | '~' | '#' | '*' => true,
        _ => c.is_alphanumeric(),
    }
}

/// Whether a word is a value by its look: it has a digit, and little that reads like a name.
fn is_value(word: &str) -> bool {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 {
        return false;
    }
    let letters = word.chars().filter(|c| c.is_alphabetic()).count();
    let hex = word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    // 12ms, 1.5h, 49KiB, 10.0.0.1:80, 2026-09-20T00:00:23.655Z; hashes and ids.
    letters <= digits || letters <= 3 && word.starts_with(|c: char| c.is_ascii_digit()) || hex && word.len() >= 8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Token, tokens};

    fn shown(line: &str) -> String {
        let each = tokens(line).into_iter().map(|token| match token {
            Token::Text(text) => text.to_owned(),
            Token::Value => "<_>".to_owned(),
        });
        each.collect::<Vec<_>>().join("|")
    }

    #[test]
    fn values_are_known_by_their_look() {
        for (line, expected) in [
            ("took 12ms to GET /cart", "took| |<_>| |to| |GET| |/cart"),
            (r#"{"level":"info","n":5}"#, r#"{"|level|":"|info|","|n|":|<_>|}"#),
            ("2026-09-20T00:00:23.655Z conn from 10.0.0.1:8080", "<_>| |conn| |from| |<_>"),
            ("id=6ba7b810-9dad-11d1-80b4-00c04fd430c8 user42", "id|=|<_>| |user42"),
            ("key: value", "key|: |value"),
            ("", ""),
        ] {
            assert_eq!(shown(line), expected, "{line}");
        }
        assert!(tokens(&"w ".repeat(10_000)).len() < 200);
    }

    proptest! {
        #[test]
        fn texts_are_pieces_of_the_line_in_order(line in ".{0,80}") {
            let mut rest = line.as_str();
            for token in tokens(&line) {
                if let Token::Text(text) = token {
                    let at = rest.find(text);
                    prop_assert!(at.is_some());
                    rest = &rest[at.unwrap_or(0) + text.len()..];
                }
            }
        }
    }
}
