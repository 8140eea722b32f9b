//! Numeric constants of templates: which types of Go each can be.

use crate::template::ast::Number;
use crate::template::lex::{Kind, Token, char_constant};
use crate::value::{parse_float, parse_int, quote};

/// Reads a number, character or complex constant.
pub(crate) fn parse_number(token: &Token) -> Result<Number, String> {
    let text = token.text.clone();
    let mut number = Number { text, int: None, uint: None, float: None, complex: None };
    if token.kind == Kind::CharConstant {
        let value = char_constant(&token.text)?;
        number.int = Some(value);
        number.uint = u64::try_from(value).ok();
        number.float = Some(value as f64);
        return Ok(number);
    }
    if token.kind == Kind::Complex || token.text.ends_with('i') {
        let (re, im) = parse_complex(&token.text).ok_or_else(|| illegal(&token.text))?;
        number.complex = Some((re, im));
        if im == 0.0 {
            number.float = Some(re);
            number.int = exact_int(re);
        }
        return Ok(number);
    }
    number.int = parse_int(token.text.as_bytes()).ok();
    number.uint = match number.int {
        Some(i) => u64::try_from(i).ok(),
        None => parse_uint(&token.text),
    };
    if let Some(int) = number.int {
        number.float = Some(int as f64);
    } else if let Some(uint) = number.uint {
        number.float = Some(uint as f64);
    } else {
        let float = match parse_float(token.text.as_bytes()) {
            Ok(float) => float,
            Err(_) => return Err(illegal(&token.text)),
        };
        if !token.text.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", quote(token.text.as_bytes())));
        }
        number.float = Some(float);
        number.int = exact_int(float);
        number.uint = (float >= 0.0 && float as u64 as f64 == float).then_some(float as u64);
    }
    Ok(number)
}

fn illegal(text: &str) -> String {
    format!("illegal number syntax: {}", quote(text.as_bytes()))
}

fn exact_int(float: f64) -> Option<i64> {
    (float as i64 as f64 == float && float.abs() < 9.3e18).then_some(float as i64)
}

/// An integer too large for 63 bits but not for 64.
fn parse_uint(text: &str) -> Option<u64> {
    let digits: String = text.chars().filter(|c| *c != '_').collect();
    match digits.get(..2) {
        Some("0x" | "0X") => u64::from_str_radix(&digits[2..], 16).ok(),
        // A leading zero means octal, whose digits have been tried.
        _ => digits.parse().ok().filter(|_| !digits.starts_with(['+', '0'])),
    }
}

fn parse_complex(text: &str) -> Option<(f64, f64)> {
    let body = text.strip_suffix('i')?;
    // The sign that splits the parts is not the first character and does not belong to an exponent.
    let split = body
        .char_indices()
        .skip(1)
        .filter(|(n, c)| matches!(c, '+' | '-') && !body[..*n].ends_with(['e', 'E', 'p', 'P']));
    match split.last() {
        Some((n, _)) => Some((parse_float(&body.as_bytes()[..n]).ok()?, parse_float(&body.as_bytes()[n..]).ok()?)),
        None => Some((0.0, parse_float(body.as_bytes()).ok()?)),
    }
}

/// The value an untyped constant has where any type is allowed.
pub(crate) enum Ideal {
    Int(i64),
    Float(f64),
    Complex(f64, f64),
}

/// Chooses the type of a constant as Go does: complex, then float if it is written like one, then int.
pub(crate) fn ideal(number: &Number) -> Result<Ideal, String> {
    let text = &number.text;
    if let Some((re, im)) = number.complex {
        return Ok(Ideal::Complex(re, im));
    }
    let hex = text.len() > 2 && text.starts_with('0') && matches!(text.as_bytes()[1], b'x' | b'X');
    let hex_int = hex && !text.contains(['p', 'P']);
    let looks_float = !hex_int && !text.starts_with('\'') && text.contains(['.', 'e', 'E', 'p', 'P']);
    match (number.float, number.int) {
        (Some(float), _) if looks_float => Ok(Ideal::Float(float)),
        (_, Some(int)) => Ok(Ideal::Int(int)),
        _ => Err(format!("{text} overflows int")),
    }
}
