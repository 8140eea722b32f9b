//! The text protocol of memcached: what is sent, and how replies are read. All versions of memcached and its proxies
//! speak it.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// The longest line of a reply: a key, three numbers and the words round them, or an error's text.
const MAX_LINE: usize = 2_048;
/// Times from this on are taken for points in time.
const LONGEST_RELATIVE: u64 = 60 * 60 * 24 * 30;

/// One reply, or one value of a reply with several.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// A value that was asked for.
    Value {
        /// Its key.
        key: Bytes,
        /// The value.
        data: Bytes,
    },
    /// No further values.
    End,
    /// A value was stored.
    Stored,
    /// A value was not stored; the server is well.
    NotStored(String),
}

/// What is not a reply that can be gone on from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplyError {
    /// The server did not understand the request, or says that it is not well.
    #[error("memcached answered {0:?}")]
    Server(String),
    /// It is not the protocol of memcached.
    #[error("not a reply of memcached: {0:?}")]
    Malformed(String),
    /// A value is larger than what is ever stored.
    #[error("memcached sends a value of {0} bytes, which is more than was stored")]
    TooLarge(u64),
}

/// Takes the next reply out of what has been received. Nothing if it is not complete yet; what then stands in the
/// buffer is never more than a line and a value of `max_value` bytes.
///
/// # Errors
/// Anything else than a reply. The connection cannot be used any more.
pub fn parse_reply(received: &mut BytesMut, max_value: usize) -> Result<Option<Reply>, ReplyError> {
    let window = &received[..received.len().min(MAX_LINE)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if received.len() < MAX_LINE { Ok(None) } else { Err(malformed(window)) };
    };
    let line = window[..end].strip_suffix(b"\r").ok_or_else(|| malformed(&window[..end]))?;
    if let Some(header) = line.strip_prefix(b"VALUE ") {
        let (key, length) = value_header(header).ok_or_else(|| malformed(line))?;
        let length = usize::try_from(length).ok().filter(|l| *l <= max_value).ok_or(ReplyError::TooLarge(length))?;
        let key_at = b"VALUE ".len()..b"VALUE ".len() + key;
        let whole = end + 1 + length + 2;
        if received.len() < whole {
            return Ok(None);
        }
        if &received[whole - 2..whole] != b"\r\n" {
            return Err(malformed(line));
        }
        let mut reply = received.split_to(whole).freeze();
        let key = reply.slice(key_at);
        reply.advance(end + 1);
        reply.truncate(length);
        return Ok(Some(Reply::Value { key, data: reply }));
    }
    let reply = match line {
        b"END" => Reply::End,
        b"STORED" => Reply::Stored,
        b"NOT_STORED" => Reply::NotStored("NOT_STORED".to_owned()),
        // Of one value, when all others can be stored.
        _ if line.starts_with(b"SERVER_ERROR object too large") || line.starts_with(b"SERVER_ERROR out of memory") => {
            Reply::NotStored(text(line))
        }
        _ if [&b"ERROR"[..], b"SERVER_ERROR ", b"CLIENT_ERROR "].iter().any(|word| line.starts_with(word)) => {
            return Err(ReplyError::Server(text(line)));
        }
        _ => return Err(malformed(line)),
    };
    received.advance(end + 1);
    Ok(Some(reply))
}

/// Length of the key, and of the value, in `KEY FLAGS LENGTH [CAS]`.
fn value_header(header: &[u8]) -> Option<(usize, u64)> {
    let mut words = header.split(|byte| *byte == b' ');
    let key = words.next().filter(|key| !key.is_empty() && key.len() <= 250)?;
    let _flags: u32 = number(words.next()?)?;
    let length = number(words.next()?)?;
    if let Some(cas) = words.next() {
        let _: u64 = number(cas)?;
    }
    words.next().is_none().then_some((key.len(), length))
}

fn number<N: std::str::FromStr>(word: &[u8]) -> Option<N> {
    word.iter().all(u8::is_ascii_digit).then(|| std::str::from_utf8(word).ok()?.parse().ok()).flatten()
}

fn malformed(line: &[u8]) -> ReplyError {
    ReplyError::Malformed(text(line))
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(100)]).into_owned()
}

/// Asks for values. Keys must suit memcached.
pub(super) fn get<'a>(keys: impl Iterator<Item = &'a Bytes>) -> BytesMut {
    let mut request = BytesMut::from(&b"get"[..]);
    for key in keys {
        request.put_u8(b' ');
        request.put_slice(key);
    }
    request.put_slice(b"\r\n");
    request
}

/// Stores a value. The key must suit memcached.
pub(super) fn set(request: &mut BytesMut, key: &[u8], value: &[u8], expires: u64) {
    request.reserve(key.len() + value.len() + 40);
    request.put_slice(b"set ");
    request.put_slice(key);
    request.put_slice(format!(" 0 {expires} {}\r\n", value.len()).as_bytes());
    request.put_slice(value);
    request.put_slice(b"\r\n");
}

/// A life time as memcached wants it: seconds up to thirty days, then a point in time; 0 for ever.
pub(super) fn expires(ttl: std::time::Duration, unix_seconds: u64) -> u64 {
    let seconds = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
    if seconds > LONGEST_RELATIVE { unix_seconds.saturating_add(seconds) } else { seconds }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::{Bytes, BytesMut};
    use proptest::{collection::vec, prelude::*};

    use super::{Reply, ReplyError, expires, get, parse_reply, set};

    fn all(mut received: &[u8], piece: usize) -> Result<Vec<Reply>, ReplyError> {
        let (mut buffer, mut replies) = (BytesMut::new(), Vec::new());
        while !received.is_empty() {
            let (now, later) = received.split_at(piece.min(received.len()));
            buffer.extend_from_slice(now);
            received = later;
            while let Some(reply) = parse_reply(&mut buffer, 1_000)? {
                replies.push(reply);
            }
        }
        Ok(replies)
    }

    #[test]
    fn replies_are_read_in_any_pieces() {
        let received = b"VALUE a 0 5\r\nx\r\nyz\r\nVALUE b 7 0 99\r\n\r\nEND\r\nSTORED\r\nNOT_STORED\r\n\
                         SERVER_ERROR object too large for cache\r\n";
        let value = |key: &'static str, data: &'static str| Reply::Value { key: key.into(), data: data.into() };
        let refused = |text: &str| Reply::NotStored(text.to_owned());
        let expected = [
            value("a", "x\r\nyz"),
            value("b", ""),
            Reply::End,
            Reply::Stored,
            refused("NOT_STORED"),
            refused("SERVER_ERROR object too large for cache"),
        ];
        for piece in 1..received.len() {
            assert_eq!(all(received, piece).as_deref(), Ok(&expected[..]), "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for wrong in [
            "HTTP/1.1 400 Bad Request\r\n",
            "END\n",
            "VALUE a 0\r\n",
            "VALUE a 0 -1\r\n",
            "VALUE a 0 +1\r\n",
            "VALUE  0 1\r\n",
            "VALUE a 0 1 2 3\r\n",
            "VALUE a 0 1\r\nxyz",
            "VALUE a 0 1001\r\n",
            "VALUE a 0 99999999999999999999\r\n",
            "ERROR\r\n",
            "CLIENT_ERROR bad data chunk\r\n",
            "SERVER_ERROR proxy is down\r\n",
        ] {
            assert!(all(wrong.as_bytes(), 7).is_err(), "{wrong:?}");
        }
        assert!(all(&[b'x'; 3_000], 100).is_err(), "a line without end");
    }

    #[test]
    fn requests_are_as_memcached_wants_them() {
        assert_eq!(get([Bytes::from("a"), Bytes::from("b")].iter()), "get a b\r\n");
        let mut request = BytesMut::new();
        set(&mut request, b"k", b"v\r\nw", 60);
        assert_eq!(request, "set k 0 60 4\r\nv\r\nw\r\n");
        assert_eq!(expires(Duration::from_millis(1), 1_000), 1);
        assert_eq!(expires(Duration::from_secs(2_592_000), 1_000), 2_592_000);
        assert_eq!(expires(Duration::from_secs(2_592_001), 1_000), 2_593_001);
        assert_eq!(expires(Duration::ZERO, 1_000), 0);
    }

    proptest! {
        #[test]
        fn values_come_as_they_were(values in vec(vec(any::<u8>(), 0..50), 0..5), piece in 1..40_usize) {
            let mut sent = Vec::new();
            for (n, value) in values.iter().enumerate() {
                sent.extend_from_slice(format!("VALUE k{n} 0 {}\r\n", value.len()).as_bytes());
                sent.extend_from_slice(value);
                sent.extend_from_slice(b"\r\n");
            }
            sent.extend_from_slice(b"END\r\n");
            let value = |(n, data): (usize, &Vec<u8>)| {
                Reply::Value { key: format!("k{n}").into(), data: Bytes::copy_from_slice(data) }
            };
            let expected: Vec<_> = values.iter().enumerate().map(value).chain([Reply::End]).collect();
            prop_assert_eq!(all(&sent, piece), Ok(expected));
        }

        #[test]
        fn no_bytes_break_it(received in vec(any::<u8>(), 0..200), piece in 1..50_usize) {
            let _ = all(&received, piece);
        }
    }
}
