//! Shows where in a query an error is.

use std::fmt::Write;

use crate::Error;

/// The line of the query that an error complains about, with a caret below the place; nothing if the error has no
/// position. Tabs stay tabs, so that the caret stands right on a terminal.
///
/// ```text
/// sum by (app) (rate({app="a"}))
///                             ^
/// ```
pub fn caret(query: &str, error: &Error) -> String {
    let Error::Parse { position: Some(position), .. } = error else { return String::new() };
    let line = query.split('\n').nth(position.line.saturating_sub(1) as usize).unwrap_or_default();
    let before = position.column.saturating_sub(1) as usize;
    let pad: String = line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let mut shown = String::new();
    let missing = before.saturating_sub(pad.chars().count());
    // Writing to a string cannot fail.
    let _ = writeln!(shown, "{}\n{pad}{}^", line.trim_end_matches('\r'), " ".repeat(missing.min(1)));
    shown
}

#[cfg(test)]
mod tests {
    use super::caret;
    use crate::{Error, Position};

    #[test]
    fn points_at_the_place() {
        let error = |line, column| Error::Parse { position: Some(Position { line, column }), message: "x".into() };
        for (query, line, column, expected) in [
            ("{app=5}", 1, 6, "{app=5}\n     ^\n"),
            ("{a=\"b\"}\n\t| \u{e9} 5", 2, 6, "\t| \u{e9} 5\n\t    ^\n"),
            ("{", 1, 2, "{\n ^\n"),
            ("", 1, 1, "\n^\n"),
        ] {
            assert_eq!(caret(query, &error(line, column)), expected, "{query:?}");
        }
        assert_eq!(caret("{}", &Error::Parse { position: None, message: "x".into() }), "");
    }
}
