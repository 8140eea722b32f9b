//! Asks the name servers of the system for SRV records, which the standard library cannot.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{net::UdpSocket, time::timeout};

use crate::clock::draw_u64;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
const TYPE_SRV: u16 = 33;
/// Records of one answer that are read.
const MOST_RECORDS: usize = 256;
/// Pointers in one name that are followed.
const MOST_JUMPS: usize = 16;

/// Whether a text can be the name of a host or a service.
pub(super) fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let good = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.len() <= 253 && name.split('.').all(good)
}

/// Hosts and ports of a service.
///
/// # Errors
/// Says what went wrong with the last server asked.
pub(super) async fn lookup(name: &str) -> Result<Vec<(String, u16)>, String> {
    let read = tokio::task::spawn_blocking(|| std::fs::read_to_string(RESOLV_CONF)).await;
    let text = read.map_err(|error| error.to_string())?.map_err(|error| format!("{RESOLV_CONF}: {error}"))?;
    let (servers, domains) = read_configuration(&text);
    let mut names = vec![name.trim_end_matches('.').to_owned()];
    if !name.ends_with('.') {
        names.extend(domains.iter().map(|domain| format!("{name}.{domain}")));
    }
    let mut failure = format!("{RESOLV_CONF} names no server");
    for name in names.iter().filter(|name| is_name(name)) {
        for server in &servers {
            match ask(SocketAddr::new(*server, 53), name).await {
                Ok(hosts) if !hosts.is_empty() => return Ok(hosts),
                Ok(_) => failure = format!("{name} has no SRV records"),
                Err(error) => failure = format!("{server}: {error}"),
            }
        }
    }
    Err(failure)
}

/// Servers and search domains, few of each, as in the system's own resolver.
fn read_configuration(text: &str) -> (Vec<IpAddr>, Vec<String>) {
    let (mut servers, mut domains) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => servers.extend(words.next().and_then(|word| word.parse::<IpAddr>().ok())),
            Some("search" | "domain") => domains = words.map(str::to_owned).take(6).collect(),
            _ => {}
        }
    }
    servers.truncate(3);
    (servers, domains)
}

async fn ask(server: SocketAddr, name: &str) -> Result<Vec<(String, u16)>, String> {
    let local: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let id = draw_u64() as u16;
    let exchange = async {
        let socket = UdpSocket::bind(local).await?;
        socket.connect(server).await?;
        socket.send(&question(id, name)).await?;
        let mut buffer = vec![0; 4_096];
        loop {
            let len = socket.recv(&mut buffer).await?;
            let answer = buffer.get(..len).unwrap_or_default();
            // Anything that does not answer this question is waited past.
            if answer.get(..2) == Some(&id.to_be_bytes()[..]) {
                return std::io::Result::Ok(answer.to_vec());
            }
        }
    };
    let answer = timeout(ANSWER_TIMEOUT, exchange).await.map_err(|_| "no answer".to_owned())?;
    let answer = answer.map_err(|error| error.to_string())?;
    read_answer(&answer).ok_or_else(|| "the answer is damaged or an error".to_owned())
}

/// A question for SRV records that allows answers of 4096 bytes.
fn question(id: u16, name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.extend(id.to_be_bytes());
    // Recursion desired; one question, one additional record.
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 1]);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.push(0);
    out.extend(TYPE_SRV.to_be_bytes());
    out.extend([0, 1]);
    out.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    out
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let pair = bytes.get(at..at.checked_add(2)?)?;
    Some(pair.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)))
}

/// Reads an answer; none if it is damaged or tells of a failure other than that the name does not exist.
fn read_answer(bytes: &[u8]) -> Option<Vec<(String, u16)>> {
    let flags = u16_at(bytes, 2)?;
    match flags & 0x800f {
        0x8000 => {}
        0x8003 => return Some(Vec::new()),
        _ => return None,
    }
    let (questions, answers) = (u16_at(bytes, 4)?, u16_at(bytes, 6)?);
    let mut at = 12;
    for _ in 0..questions.min(MOST_RECORDS) {
        at = read_name(bytes, at)?.1 + 4;
    }
    let mut hosts = Vec::new();
    for _ in 0..answers.min(MOST_RECORDS) {
        let (_, fields) = read_name(bytes, at)?;
        let (kind, len) = (u16_at(bytes, fields)?, u16_at(bytes, fields + 8)?);
        let data = fields + 10;
        if kind == usize::from(TYPE_SRV) {
            let port = u16::try_from(u16_at(bytes, data + 4)?).ok()?;
            let (host, _) = read_name(bytes, data + 6)?;
            if is_name(&host) && port > 0 {
                hosts.push((host, port));
            }
        }
        at = data + len;
    }
    Some(hosts)
}

/// A name and where it ends.
fn read_name(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let (mut name, mut at, mut end, mut jumps) = (String::new(), start, None, 0);
    loop {
        let len = usize::from(*bytes.get(at)?);
        match len {
            0 => return Some((name, end.unwrap_or(at + 1))),
            1..=63 => {
                let label = bytes.get(at + 1..at + 1 + len)?;
                if !name.is_empty() {
                    name.push('.');
                }
                name.push_str(&String::from_utf8_lossy(label));
                at += 1 + len;
            }
            0xc0.. if jumps < MOST_JUMPS => {
                end = end.or(Some(at + 2));
                at = u16_at(bytes, at)? & 0x3fff;
                jumps += 1;
            }
            _ => return None,
        }
        if name.len() > 1_024 {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ask, is_name, question, read_answer, read_configuration};
    use proptest::prelude::*;
    use tokio::net::UdpSocket;

    /// An answer of two SRV records and one of another kind; names point back at the question.
    fn answer(id: u16) -> Vec<u8> {
        let mut out = question(id, "_gossip._tcp.loki.svc");
        out.truncate(out.len() - 11);
        out[2] = 0x81;
        out[3] = 0x80;
        out[7] = 3;
        out[11] = 0;
        for (host, port) in [("a", 7946u16), ("b", 7947)] {
            out.extend([0xc0, 12, 0, 33, 0, 1, 0, 0, 0, 5, 0, 10]);
            out.extend([0, 0, 0, 0]);
            out.extend(port.to_be_bytes());
            out.push(1);
            out.extend(host.as_bytes());
            // "loki.svc" in the question.
            out.extend([0xc0, 12 + 8 + 5]);
        }
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 1, 2, 3, 4]);
        out
    }

    fn expected() -> Vec<(String, u16)> {
        vec![("a.loki.svc".to_owned(), 7946), ("b.loki.svc".to_owned(), 7947)]
    }

    #[tokio::test]
    async fn a_server_is_asked() {
        let server = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let address = server.local_addr().expect("an address");
        let serve = tokio::spawn(async move {
            let mut buffer = [0; 512];
            let (len, from) = server.recv_from(&mut buffer).await.expect("a question");
            let id = u16::from_be_bytes([buffer[0], buffer[1]]);
            assert_eq!(buffer[..len], question(id, "_gossip._tcp.loki.svc"));
            server.send_to(&answer(id ^ 1), from).await.expect("sent");
            server.send_to(&answer(id), from).await.expect("sent");
        });
        assert_eq!(ask(address, "_gossip._tcp.loki.svc").await, Ok(expected()));
        serve.await.expect("it served");
    }

    #[test]
    fn answers_are_read_or_refused() {
        let good = answer(7);
        assert_eq!(read_answer(&good), Some(expected()));
        for end in 0..good.len() {
            let _ = read_answer(&good[..end]);
        }
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            read_answer(&bytes)
        };
        assert_eq!(with(3, 0x83), Some(vec![]), "no such name");
        assert_eq!(with(3, 0x82), None, "the server failed");
        assert_eq!(with(2, 0x01), None, "a question");
        let mut circle = good[..12].to_vec();
        circle.extend([0xc0, 12, 0, 33, 0, 1]);
        assert_eq!(read_answer(&circle), None);
    }

    #[test]
    fn servers_and_domains_are_read() {
        let text = "# x\nnameserver 10.0.0.1\nnameserver ::1\nsearch a.svc b.svc\noptions ndots:5\nnameserver bad\n";
        let (servers, domains) = read_configuration(text);
        assert_eq!(servers.iter().map(ToString::to_string).collect::<Vec<_>>(), ["10.0.0.1", "::1"]);
        assert_eq!(domains, ["a.svc", "b.svc"]);
    }

    #[test]
    fn names_have_limits() {
        assert!(is_name("a") && is_name("_x._tcp.a-b.c."));
        let long = "a".repeat(64);
        assert!(!is_name("") && !is_name(".") && !is_name("a..b") && !is_name("a b") && !is_name(&long));
    }

    proptest! {
        #[test]
        fn random_answers_never_panic(mut bytes: Vec<u8>, at: usize, with: u8) {
            let _ = read_answer(&bytes);
            if bytes.len() > 3 {
                bytes[2..4].copy_from_slice(&[0x81, 0x80]);
                let _ = read_answer(&bytes);
            }
            let mut damaged = answer(1);
            let at = at % damaged.len();
            damaged[at] = with;
            let _ = read_answer(&damaged);
        }
    }
}
