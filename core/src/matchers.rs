//! Matchers as bytes, in the requests that processes send each other.

use narvi_types::{
    MatchOp, Matcher,
    wire::{Reader, WireError, Writer as _},
};

const OPS: [MatchOp; 4] = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];

pub(crate) fn encode(matchers: &[Matcher], out: &mut Vec<u8>) {
    out.put_varint(matchers.len() as u64);
    for matcher in matchers {
        let op = OPS.iter().position(|op| *op == matcher.op()).unwrap_or_default();
        out.put_u8(op as u8);
        out.put_str(matcher.name());
        out.put_str(matcher.value());
    }
}

/// Reads matchers, or says why that cannot be.
pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Vec<Matcher>, String> {
    let wrong = |error: WireError| error.to_string();
    let count = reader.count(3, "number of matchers").map_err(wrong)?;
    let mut matchers = Vec::with_capacity(count);
    for _ in 0..count {
        let op = reader.u8("operator").map_err(wrong)?;
        let op = OPS.get(usize::from(op)).copied().ok_or_else(|| format!("there is no operator {op}"))?;
        let (name, value) = (reader.str("label").map_err(wrong)?, reader.str("value").map_err(wrong)?);
        matchers.push(Matcher::new(name, op, value).map_err(|error| error.to_string())?);
    }
    Ok(matchers)
}
