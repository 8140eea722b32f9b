//! A label set as text, as messages show it.

use std::fmt::Write;

/// Writes pairs as Loki does in its messages, without checking them.
pub(crate) fn print<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::from("{");
    for (name, value) in pairs {
        if out.len() > 1 {
            out.push_str(", ");
        }
        // Writing to a string cannot fail.
        let _ = write!(out, "{name}=");
        let _ = narvi_types::go_quote(&mut out, value);
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs_are_written_as_given() {
        let pairs = [("b", "say \"x\""), ("a", ""), ("b", "1")];
        assert_eq!(super::print(pairs), r#"{b="say \"x\"", a="", b="1"}"#);
    }
}
