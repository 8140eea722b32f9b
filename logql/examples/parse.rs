//! Parses queries, one a line from standard input, and prints each again or says what is wrong with it.
//!
//! With `--json` every line is a JSON string, so that queries may hold line breaks, and so is every line of the output:
//! `{"ok": ..., "pretty": ...}` or `{"error": ...}`.

use std::io::{BufRead, Write};

use narvi_logql::{caret, parse, pretty};

fn main() -> std::io::Result<()> {
    let json = std::env::args().any(|argument| argument == "--json");
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        if !json {
            match parse(&line) {
                Ok(expr) => writeln!(out, "ok {expr}\n{}", pretty(&expr))?,
                Err(error) => write!(out, "{error}\n{}", caret(&line, &error))?,
            }
            continue;
        }
        let query: String = serde_json::from_str(&line)?;
        let answer = match parse(&query) {
            Ok(expr) => serde_json::json!({ "ok": expr.to_string(), "pretty": pretty(&expr) }),
            Err(error) => serde_json::json!({ "error": error.to_string() }),
        };
        writeln!(out, "{answer}")?;
    }
    Ok(())
}
