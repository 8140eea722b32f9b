//! The `ip("...")` matcher: an address, a network or a range, looked for among the address-like tokens of a line.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memchr2;

use crate::value::quote::quote;

/// No address has more characters than this.
const MAX_ADDRESS_BYTES: usize = 45;

/// The pattern of an `ip()` matcher is not an address, network or range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ip: invalid pattern: {0}")]
pub struct IpError(String);

/// What an `ip()` matcher looks for: all addresses of one family from a first to a last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpPattern {
    range: Range,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    V4(Ipv4Addr, Ipv4Addr),
    V6(Ipv6Addr, Ipv6Addr),
}

impl IpPattern {
    /// Reads `192.168.0.1`, `192.168.0.0/16` or `192.168.0.1-192.168.0.9`, and the same with IPv6 addresses.
    ///
    /// # Errors
    /// [`IpError`] when it is none of these, or the range is empty or mixes families.
    pub fn parse(pattern: &str) -> Result<Self, IpError> {
        let range = if let Some((from, to)) = pattern.split_once('-') {
            range_between(from.trim(), to.trim())
        } else if let Some((address, bits)) = pattern.split_once('/') {
            network(address, bits)
        } else {
            range_between(pattern, pattern)
        };
        range.map(|range| Self { range }).ok_or_else(|| IpError(quote(pattern.as_bytes())))
    }

    /// Whether the pattern covers the address. IPv4 and IPv6 are apart, also for mapped addresses.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.range, address) {
            (Range::V4(from, to), IpAddr::V4(a)) => from <= a && a <= to,
            (Range::V6(from, to), IpAddr::V6(a)) => from <= a && a <= to,
            _ => false,
        }
    }

    /// Whether the text holds an address that the pattern covers. Used for lines and for label values alike; takes time
    /// linear in the text.
    pub fn is_match(&self, text: &[u8]) -> bool {
        if memchr2(b'.', b':', text).is_none() {
            return false;
        }
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|r| !r.is_empty()) {
            at += match token(rest) {
                Token::Address(address, _) if self.contains(address) => return true,
                Token::Address(_, used) | Token::Skip(used) => used,
            };
        }
        false
    }
}

fn range_between(from: &str, to: &str) -> Option<Range> {
    match (from.parse().ok()?, to.parse().ok()?) {
        (IpAddr::V4(from), IpAddr::V4(to)) if from <= to => Some(Range::V4(from, to)),
        (IpAddr::V6(from), IpAddr::V6(to)) if from <= to => Some(Range::V6(from, to)),
        _ => None,
    }
}

fn network(address: &str, bits: &str) -> Option<Range> {
    let plain = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let bits: u32 = if plain { bits.parse().ok()? } else { return None };
    match address.parse().ok()? {
        IpAddr::V4(a) if bits <= 32 => {
            let host = u32::MAX.checked_shr(bits).unwrap_or(0);
            let first = a.to_bits() & !host;
            Some(Range::V4(first.into(), (first | host).into()))
        }
        IpAddr::V6(a) if bits <= 128 => {
            let host = u128::MAX.checked_shr(bits).unwrap_or(0);
            let first = a.to_bits() & !host;
            Some(Range::V6(first.into(), (first | host).into()))
        }
        _ => None,
    }
}

/// What stands at the start of a text, and how many bytes to go on.
enum Token {
    Address(IpAddr, usize),
    Skip(usize),
}

/// Looks for an address at the very start: up to three digits and a dot begin an IPv4 one, up to four hexadecimal digits
/// and a colon an IPv6 one, which extends as far as its characters do. So `glued10.0.0.9glued` holds an IPv4 address, and
/// `::ffff:10.0.0.1` is one IPv6 address and no IPv4 one.
fn token(text: &[u8]) -> Token {
    let digits = text.iter().take(4).take_while(|b| b.is_ascii_digit()).count();
    if (1..=3).contains(&digits) && text.get(digits) == Some(&b'.') {
        let run = text.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        return match parse(&text[..run]) {
            Some(address) => Token::Address(address, run),
            None => Token::Skip(run),
        };
    }
    let hex = text.iter().take(5).take_while(|b| b.is_ascii_hexdigit()).count();
    let opens = hex <= 4 && text.get(hex) == Some(&b':') && (hex > 0 || text.get(1) == Some(&b':'));
    if opens {
        let is_part = |b: &&u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
        let run = text.iter().take(MAX_ADDRESS_BYTES + 1).take_while(is_part).count();
        return match parse(&text[..run]) {
            Some(address) => Token::Address(address, run),
            // `code:10.0.0.1` is not an address, but what follows its colon may be.
            None => Token::Skip(hex + 1),
        };
    }
    Token::Skip(digits.min(1).max(hex.min(1)).max(1))
}

/// Reads a token, also one that ends a sentence or stands before a port.
fn parse(token: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(token).ok().filter(|t| t.len() <= MAX_ADDRESS_BYTES + 1)?;
    text.parse()
        .ok()
        .or_else(|| text.trim_end_matches('.').parse().ok())
        .or_else(|| text.strip_suffix(':')?.parse().ok())
}
