//! Lets a request in HTTP/1.0 become a WebSocket, as Go's server does.
//!
//! nginx speaks HTTP/1.0 to what is behind it unless its file says otherwise, and the files that are in use for Loki pass
//! tails on without saying so. hyper upgrades requests in HTTP/1.1 only. So the version of such a request is changed as it
//! comes in; of no other, since a client of HTTP/1.0 cannot read what one of HTTP/1.1 may be sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A longer head is passed on as it is; nginx sends less.
const MOST_HEAD: usize = 16 << 10;
const VERSION: &[u8] = b" HTTP/1.0\r\n";
const LINE_END: &[u8] = b"\r\n";

/// A connection of a client whose first request may be an upgrade in HTTP/1.0.
pub(crate) struct Upgradable<S> {
    stream: S,
    /// What was read and not passed on.
    head: Vec<u8>,
    /// Whether the first request was looked at.
    seen: bool,
}

impl<S> Upgradable<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, head: Vec::new(), seen: false }
    }
}

/// Whether there is enough of a head to pass it on, changed if it has to be.
fn settle(head: &mut [u8]) -> bool {
    let Some(end) = position(head, LINE_END) else { return head.len() >= MOST_HEAD };
    if !head[..end + LINE_END.len()].ends_with(VERSION) {
        return true;
    }
    let Some(length) = position(head, b"\r\n\r\n") else { return head.len() >= MOST_HEAD };
    let mut lines = head[end..length].split(|byte| *byte == b'\n');
    if lines.any(is_upgrade) {
        head[end - 1] = b'1';
    }
    true
}

fn is_upgrade(line: &[u8]) -> bool {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return false };
    line[..colon].eq_ignore_ascii_case(b"upgrade") && line[colon + 1..].trim_ascii().eq_ignore_ascii_case(b"websocket")
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

impl<S: AsyncRead + Unpin> AsyncRead for Upgradable<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while !self.seen {
            let mut piece = [0; 2048];
            let mut read = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut read))?;
            let this = &mut *self;
            this.head.extend_from_slice(read.filled());
            this.seen = read.filled().is_empty() || settle(&mut this.head);
        }
        if self.head.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = buffer.remaining().min(self.head.len());
        buffer.put_slice(&self.head[..length]);
        self.head.drain(..length);
        if self.head.is_empty() {
            self.head = Vec::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Upgradable<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::Upgradable;

    /// What comes out of a connection into which pieces are written one by one.
    async fn passed(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut client, server) = tokio::io::duplex(61);
        let mut server = Upgradable::new(server);
        let mut out = Vec::new();
        let write = async {
            for piece in pieces {
                client.write_all(piece).await.expect("it is read");
            }
            client.shutdown().await.expect("it ends");
        };
        let (read, ()) = tokio::join!(server.read_to_end(&mut out), write);
        read.expect("it can be read");
        out
    }

    #[tokio::test]
    async fn only_an_upgrade_in_the_old_version_is_changed() {
        let text = |version: &str, header: &str| {
            format!("GET /tail?a=HTTP/1.0 HTTP/{version}\r\nHost: h\r\n{header}\r\n\r\nbody HTTP/1.0\r\n")
        };
        for (version, header, wanted) in [
            ("1.0", "Upgrade: websocket", "1.1"),
            ("1.0", "upgrade:WebSocket ", "1.1"),
            ("1.0", "X-Upgrade: websocket", "1.0"),
            ("1.0", "Upgrade: h2c", "1.0"),
            ("1.0", "Accept: a", "1.0"),
            ("1.1", "Upgrade: websocket", "1.1"),
        ] {
            let (sent, wanted) = (text(version, header), text(wanted, header));
            let found = passed(&[sent.as_bytes()]).await;
            assert_eq!(String::from_utf8_lossy(&found), wanted, "{header}");
            let bytes: Vec<&[u8]> = sent.as_bytes().chunks(1).collect();
            assert_eq!(String::from_utf8_lossy(&passed(&bytes).await), wanted, "{header}, byte by byte");
        }
    }

    #[tokio::test]
    async fn what_is_no_head_is_passed_on() {
        let long = ["GET / HTTP/1.0\r\n", &"a".repeat(100_000)].concat();
        for text in ["", "x", "GET / HTTP/1.0\r\nUpgrade: websocket\r\n", &"y".repeat(100_000), &long] {
            assert_eq!(String::from_utf8_lossy(&passed(&[text.as_bytes()]).await), text);
        }
    }
}
