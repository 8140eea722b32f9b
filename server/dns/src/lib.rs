//! Where servers are that settings name (`host:port`, `dns+...`, `dnssrv+...`), for all that have such a setting.
//!
//! Looks up SRV records, which the operating system has no call for: questions to the name servers of
//! `/etc/resolv.conf`, over UDP and, where the answer does not fit, over TCP. Addresses of hosts are the system's matter.
#![forbid(unsafe_code)]

mod place;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};
use xxhash_rust::xxh3::xxh3_64;

pub use self::place::{Place, PlaceError, addresses_of, authority};

const TYPE_SRV: u16 = 33;
const CLASS_IN: u16 = 1;
const HEADER: usize = 12;
/// How long one server may take.
const WAIT: Duration = Duration::from_secs(2);
const ROUNDS: u8 = 2;
/// More records than this are not looked at.
const MAX_RECORDS: usize = 1_024;

/// The machine's name servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolver {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    ndots: usize,
}

/// What an answer says.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Records(Vec<(String, u16)>),
    NoSuchName,
    Truncated,
}

impl Resolver {
    /// Those of the machine; the local one if it names none.
    #[must_use]
    pub fn of_machine() -> Self {
        Self::parse(&std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let mut resolver = Self { ndots: 1, ..Self::default() };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    let address = words.next().and_then(|address| address.parse::<IpAddr>().ok());
                    resolver.servers.extend(address.map(|address| SocketAddr::new(address, 53)));
                }
                Some("search" | "domain") => resolver.search = words.map(str::to_owned).collect(),
                Some("options") => {
                    let ndots = words.filter_map(|word| word.strip_prefix("ndots:")?.parse().ok()).next_back();
                    resolver.ndots = ndots.unwrap_or(resolver.ndots);
                }
                _ => {}
            }
        }
        if resolver.servers.is_empty() {
            resolver.servers.push(SocketAddr::from(([127, 0, 0, 1], 53)));
        }
        resolver
    }

    /// Targets and ports of a name's SRV records. Domains of the machine are searched as for hosts.
    ///
    /// # Errors
    /// There are none; the name is not one; no name server answers in time, or the last one's answer is damaged.
    pub async fn services(&self, name: &str) -> io::Result<Vec<(String, u16)>> {
        for candidate in self.candidates(name) {
            match self.ask(&candidate).await? {
                Answer::Records(records) if !records.is_empty() => return Ok(records),
                _ => {}
            }
        }
        Err(io::Error::new(io::ErrorKind::NotFound, format!("{name} has no SRV records")))
    }

    /// The name as it is and with each domain that is searched; which comes first depends on its dots.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(whole) = name.strip_suffix('.') {
            return vec![whole.to_owned()];
        }
        let mut names: Vec<_> =
            self.search.iter().map(|domain| format!("{name}.{}", domain.trim_matches('.'))).collect();
        let first = name.matches('.').count() >= self.ndots;
        names.insert(if first { 0 } else { names.len() }, name.to_owned());
        names
    }

    async fn ask(&self, name: &str) -> io::Result<Answer> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no name server");
        for round in 0..ROUNDS {
            for server in &self.servers {
                // Not a secret: it tells late answers from others. Who can read and forge packets here can do worse.
                let id = (xxh3_64(format!("{name}{round}{server}{:?}", std::time::SystemTime::now()).as_bytes())
                    & 0xffff) as u16;
                let question = question(id, name)?;
                let asked = match timeout(WAIT, over_udp(*server, &question)).await {
                    Ok(Ok(Answer::Truncated)) => timeout(WAIT, over_tcp(*server, &question)).await,
                    asked => asked,
                };
                match asked {
                    Ok(Ok(answer)) => return Ok(answer),
                    Ok(Err(error)) => last = error,
                    Err(_) => last = io::Error::new(io::ErrorKind::TimedOut, "no answer in time"),
                }
            }
        }
        Err(io::Error::new(last.kind(), format!("cannot look up {name}: {last}")))
    }
}

/// Whether a text can be the name of a host or a service.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let good = |label: &str| (1..=63).contains(&label.len()) && label.bytes().all(is_name_byte);
    name.len() <= 253 && name.split('.').all(good)
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_".contains(&byte)
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.to_owned())
}

async fn over_udp(server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut received = vec![0; 4_096];
    loop {
        let length = socket.recv(&mut received).await?;
        // Anything else may be a late answer to an earlier question.
        if received[..length].starts_with(&question[..2]) {
            return answer(&received[..length], question);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(|_| invalid("the name is too long"))?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut received = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut received).await?;
    answer(&received, question)
}

fn question(id: u16, name: &str) -> io::Result<Vec<u8>> {
    let mut message = id.to_be_bytes().to_vec();
    // Recursion desired; one question.
    message.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length));
        message.push(length.ok_or_else(|| invalid(&format!("{name:?} is no name")))?);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&TYPE_SRV.to_be_bytes());
    message.extend_from_slice(&CLASS_IN.to_be_bytes());
    Ok(message)
}

fn answer(received: &[u8], question: &[u8]) -> io::Result<Answer> {
    // An answer repeats the question, so that one to another question is told apart.
    let asked = received.get(HEADER..question.len());
    let same = asked.is_some_and(|asked| asked.eq_ignore_ascii_case(&question[HEADER..]));
    if !received.starts_with(&question[..2]) || !same {
        return Err(invalid("the name server answered another question"));
    }
    if received[2] & 2 != 0 {
        return Ok(Answer::Truncated);
    }
    match received[3] & 15 {
        0 => parse_srv(received).map(Answer::Records).ok_or_else(|| invalid("the name server's answer is damaged")),
        3 => Ok(Answer::NoSuchName),
        code => Err(invalid(&format!("the name server answered with error {code}"))),
    }
}

/// Targets and ports of the SRV records in an answer of a name server. Nothing if it is damaged.
#[must_use]
pub fn parse_srv(message: &[u8]) -> Option<Vec<(String, u16)>> {
    let (questions, answers) = (u16_at(message, 4)?, u16_at(message, 6)?);
    let mut at = HEADER;
    for _ in 0..questions {
        at = skip_name(message, at)? + 4;
    }
    let mut records = Vec::new();
    for _ in 0..usize::from(answers).min(MAX_RECORDS) {
        at = skip_name(message, at)?;
        let (kind, class, length) = (u16_at(message, at)?, u16_at(message, at + 2)?, u16_at(message, at + 8)?);
        let data = at + 10;
        at = data + usize::from(length);
        message.get(data..at)?;
        if (kind, class) == (TYPE_SRV, CLASS_IN) {
            records.push((name(message, data + 6)?, u16_at(message, data + 4)?));
        }
    }
    Some(records)
}

fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

fn skip_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = *message.get(at)?;
        match length {
            0 => return Some(at + 1),
            // The rest of it is elsewhere.
            192.. => return Some(at + 2),
            64.. => return None,
            _ => at += 1 + usize::from(length),
        }
    }
}

fn name(message: &[u8], mut at: usize) -> Option<String> {
    let mut name = String::new();
    // A name has at most 255 bytes and so fewer labels; each may stand elsewhere. More steps are a circle.
    for _ in 0..256 {
        let length = *message.get(at)?;
        match length {
            0 => return (!name.is_empty()).then_some(name),
            192.. => at = usize::from(u16_at(message, at)? & 0x3fff),
            64.. => return None,
            _ => {
                let label = message.get(at + 1..at + 1 + usize::from(length))?;
                if !label.iter().copied().all(is_name_byte) || name.len() > 255 {
                    return None;
                }
                if !name.is_empty() {
                    name.push('.');
                }
                name.extend(label.iter().map(|byte| char::from(*byte)));
                at += 1 + usize::from(length);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
