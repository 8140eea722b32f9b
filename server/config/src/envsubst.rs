//! Replaces `${VARIABLE}` in the text of a configuration, before it is parsed, as `-config.expand-env=true` asks for.

use crate::ConfigError;

/// Replaces `${V}` by the variable's value, or nothing if it is not set; `${V:default}`, `${V:-default}` and
/// `${V-default}` by the default if it is empty or not set; `$$` by one dollar sign. A dollar sign before anything
/// else stays.
///
/// # Errors
/// A `${` that is not closed, or a name that is none.
pub fn expand(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, ConfigError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = tail.strip_prefix('{') {
            let line = text[..text.len() - rest.len() + at].matches('\n').count() + 1;
            let end = closing(inside)
                .ok_or_else(|| ConfigError::Expand(format!("line {line}: a '${{' without its closing brace")))?;
            out.push_str(&value(&inside[..end], lookup).map_err(|e| ConfigError::Expand(format!("line {line}: {e}")))?);
            rest = &inside[end + 1..];
        } else {
            out.push('$');
            rest = tail;
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace is closed; defaults may hold expressions themselves.
fn closing(inside: &str) -> Option<usize> {
    let mut depth = 0usize;
    let bytes = inside.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'{' if at > 0 && bytes[at - 1] == b'$' => depth += 1,
            b'}' if depth == 0 => return Some(at),
            b'}' => depth -= 1,
            b'\n' => return None,
            _ => {}
        }
    }
    None
}

fn value(inside: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let length = inside.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
    let (name, rest) = inside.split_at(length);
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        return Err(format!("'${{{inside}}}' does not begin with the name of a variable"));
    }
    let default = match rest {
        "" => return Ok(lookup(name).unwrap_or_default()),
        _ if rest.starts_with(":-") || rest.starts_with(":=") => &rest[2..],
        _ if rest.starts_with([':', '-', '=']) => &rest[1..],
        _ => return Err(format!("'${{{inside}}}' uses a form that is not supported; use ${{NAME:default}}")),
    };
    match lookup(name).filter(|value| !value.is_empty()) {
        Some(value) => Ok(value),
        None => expand(default, lookup).map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn variables_are_replaced() {
        let lookup = |name: &str| match name {
            "HOST" => Some("example".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let cases = [
            ("plain", "plain"),
            ("a ${HOST} b", "a example b"),
            ("${NONE}", ""),
            ("${NONE:x}${NONE:-y}${NONE-z}", "xyz"),
            ("${HOST:x}${EMPTY:y}", "exampley"),
            ("${NONE:http://h:1/}", "http://h:1/"),
            ("${NONE:${HOST}}", "example"),
            ("$$HOST $HOST 5$", "$HOST $HOST 5$"),
            ("$${HOST}", "${HOST}"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &lookup).as_deref(), Ok(expected), "{text}");
        }
        for wrong in ["a: 1\nb: ${HOST", "${}", "${1A}", "${HOST%x}", "${HOST\n}"] {
            assert!(expand(wrong, &lookup).is_err(), "{wrong}");
        }
        let error = expand("a: 1\nb: ${HOST", &lookup).expect_err("it is wrong").to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
