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
        let mut at = 0;
        while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'.', b':', rest)) {
            let (address, next) = token(text, at, at + found);
            if address.is_some_and(|a| self.contains(a)) {
                return true;
            }
            at = next;
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

/// Reads the token around the dot or colon at `mark`, none of which lies before `floor`; also says where to go on.
///
/// Up to three digits and a dot begin an IPv4 address, up to four hexadecimal digits and a colon an IPv6 one, which extends
/// as far as its characters do. So `glued10.0.0.9glued` holds an IPv4 address, and `::ffff:10.0.0.1` is one IPv6 address
/// and no IPv4 one.
fn token(text: &[u8], floor: usize, mark: usize) -> (Option<IpAddr>, usize) {
    let before = text.get(floor..mark).unwrap_or_default().iter().rev();
    if text.get(mark) == Some(&b'.') {
        let digits = before.take(3).take_while(|b| b.is_ascii_digit()).count();
        if digits == 0 {
            return (None, mark + 1);
        }
        let rest = text.get(mark - digits..).unwrap_or_default();
        let run = rest.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
        return (parse(&rest[..run]), mark - digits + run);
    }
    let hex = before.take(4).take_while(|b| b.is_ascii_hexdigit()).count();
    if hex == 0 && text.get(mark + 1) != Some(&b':') {
        return (None, mark + 1);
    }
    let rest = text.get(mark - hex..).unwrap_or_default();
    let is_part = |b: &&u8| b.is_ascii_hexdigit() || matches!(b, b':' | b'.');
    let run = rest.iter().take(MAX_ADDRESS_BYTES + 1).take_while(is_part).count();
    match parse(&rest[..run]) {
        Some(address) => (Some(address), mark - hex + run),
        // `code:10.0.0.1` is not an address, but what follows its colon may be.
        None => (None, mark + 1),
    }
}

/// Reads a token, also one that ends a sentence or stands before a port.
fn parse(token: &[u8]) -> Option<IpAddr> {
    // Times of day and version numbers are refused without a closer look.
    let count = |wanted: u8| token.iter().filter(|b| **b == wanted).count();
    if count(b':') < 2 && count(b'.') < 3 {
        return None;
    }
    let text = std::str::from_utf8(token).ok().filter(|t| t.len() <= MAX_ADDRESS_BYTES + 1)?;
    text.parse()
        .ok()
        .or_else(|| text.trim_end_matches('.').parse().ok())
        .or_else(|| text.strip_suffix(':')?.parse().ok())
}
