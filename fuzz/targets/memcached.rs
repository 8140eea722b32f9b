//! What a memcached server sends, whole and in pieces: the same replies, and nothing that is larger than allowed. The same bytes
//! as an answer of a name server.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use narvi_cache::{Reply, ReplyError, parse_reply};

const LONGEST: usize = 512;

fn replies(received: &[u8], piece: usize) -> (Vec<Reply>, Option<ReplyError>) {
    let (mut buffer, mut replies) = (BytesMut::new(), Vec::new());
    for piece in received.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match parse_reply(&mut buffer, LONGEST) {
                Ok(Some(reply)) => replies.push(reply),
                Ok(None) => break,
                Err(error) => return (replies, Some(error)),
            }
        }
    }
    (replies, None)
}

fuzz_target!(|data: &[u8]| {
    let (whole, failed) = replies(data, data.len().max(1));
    for reply in &whole {
        if let Reply::Value { key, data } = reply {
            assert!(key.len() <= 250 && data.len() <= LONGEST);
        }
    }
    let (pieces, failed_in_pieces) = replies(data, 7);
    assert_eq!(whole, pieces);
    assert_eq!(failed.is_some(), failed_in_pieces.is_some());
    let _ = narvi_dns::parse_srv(data);
});
