//! S3 servers for tests: SeaweedFS and moto on the loopback, and a proxy before one that can fail and dawdle.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a server may take to start; it is asked until it answers.
const START: Duration = Duration::from_secs(90);

/// A server process; killed when dropped.
pub(crate) struct S3Server {
    child: Child,
    pub(crate) port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for S3Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of the path. Tests that get none are skipped, unless NARVI_REQUIRE_SERVERS is set.
fn program(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let runs = |path: &PathBuf| {
        let mut tried = Command::new(path);
        tried.arg("--help").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        // A shim of what is not installed ends with 127.
        path.is_file() && tried.status().is_ok_and(|status| status.code().is_some_and(|code| code < 126))
    };
    let found = std::env::split_paths(&folders).map(|folder| folder.join(name)).find(runs);
    if found.is_none() {
        assert!(std::env::var_os("NARVI_REQUIRE_SERVERS").is_none(), "{name} must be there, and is not on the PATH");
        eprintln!("SKIPPED: {name} is not on the PATH; PATH=$PATH:$(tools/servers/stores.sh)");
    }
    found
}

/// A free port whose number plus 10,000 is free too: SeaweedFS listens on both.
fn free_port() -> u16 {
    let bind = |port: u16| TcpListener::bind(("127.0.0.1", port));
    loop {
        let port = bind(0).expect("a port").local_addr().expect("an address").port();
        let port = 12_000 + port % 20_000;
        if bind(port).is_ok() && bind(port + 10_000).is_ok() {
            return port;
        }
    }
}

/// Sends a request and gives the answer as text; nothing if nobody answers.
fn ask(port: u16, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(START)).ok()?;
    let request = format!("{request} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

fn wait(what: &str, mut ready: impl FnMut() -> bool) {
    let deadline = Instant::now() + START;
    while !ready() {
        assert!(Instant::now() < deadline, "{what} does not start");
        thread::sleep(Duration::from_millis(100));
    }
}

/// moto with buckets.
pub(crate) fn moto(buckets: &[&str]) -> Option<S3Server> {
    let program = program("moto_server")?;
    let port = free_port();
    let folder = tempfile::tempdir().expect("a folder");
    let child = Command::new(program)
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("moto runs");
    let server = S3Server { child, port, _folder: folder };
    wait("moto", || ask(port, "GET /moto-api/").is_some());
    for bucket in buckets {
        let made = ask(port, &format!("PUT /{bucket}")).expect("moto answers");
        assert!(made.starts_with("HTTP/1.1 200"), "{made}");
    }
    Some(server)
}

/// SeaweedFS with an identity that may do everything, and a bucket.
pub(crate) fn weed(bucket: &str, key: &str, secret: &str) -> Option<S3Server> {
    let program = program("weed")?;
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("s3.json");
    let identity = format!(
        r#"{{"identities":[{{"name":"n","credentials":[{{"accessKey":"{key}","secretKey":"{secret}"}}],
            "actions":["Admin","Read","Write","List","Tagging"]}}]}}"#
    );
    std::fs::write(&config, identity).expect("it can be written");
    let [port, master, volume, filer] = [(); 4].map(|()| free_port());
    let child = Command::new(&program)
        .current_dir(folder.path())
        .args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-s3",
            "-volume.max=10",
            "-master.volumeSizeLimitMB=64",
        ])
        .arg(format!("-dir={}", folder.path().display()))
        .arg(format!("-s3.config={}", config.display()))
        .arg(format!("-s3.port={port}"))
        .arg(format!("-master.port={master}"))
        .arg(format!("-volume.port={volume}"))
        .arg(format!("-filer.port={filer}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("weed runs");
    let server = S3Server { child, port, _folder: folder };
    wait("SeaweedFS", || ask(port, "GET /").is_some());
    // The bucket is made by the administrator's shell, which also waits until there are volumes to write to.
    wait("a bucket of SeaweedFS", || {
        let mut shell = Command::new(&program)
            .args(["shell", &format!("-master=127.0.0.1:{master}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("weed runs");
        let mut input = shell.stdin.take().expect("piped");
        let _ = writeln!(input, "s3.bucket.create -name {bucket}\ns3.bucket.list");
        drop(input);
        let out = shell.wait_with_output().expect("it ends");
        String::from_utf8_lossy(&out.stdout).lines().any(|line| line.trim_start().starts_with(bucket))
    });
    Some(server)
}

/// How a proxy treats connections.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything on.
    Pass = 0,
    /// Closes every connection at once.
    Refuse = 1,
    /// Answers every request with 503.
    Unavailable = 2,
    /// Passes everything on, late.
    Slow = 3,
}

/// A proxy before a server on the loopback.
pub(crate) struct Proxy {
    mode: Arc<AtomicU8>,
    pub(crate) port: u16,
}

impl Proxy {
    pub(crate) fn new(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let mode = Arc::new(AtomicU8::new(Mode::Pass as u8));
        let of_thread = mode.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let mode = of_thread.clone();
                thread::spawn(move || connection(client, to, &mode));
            }
        });
        Self { mode, port }
    }

    /// From now on; connections that are open are cut.
    pub(crate) fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::SeqCst);
    }
}

fn connection(mut client: TcpStream, to: u16, mode: &Arc<AtomicU8>) {
    let began = mode.load(Ordering::SeqCst);
    if began == Mode::Refuse as u8 {
        return;
    }
    if began == Mode::Unavailable as u8 {
        let mut buffer = [0; 65536];
        let _ = client.read(&mut buffer);
        let _ = client.write_all(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    }
    if began == Mode::Slow as u8 {
        thread::sleep(Duration::from_millis(300));
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", to)) else { return };
    let (Ok(client_again), Ok(server_again)) = (client.try_clone(), server.try_clone()) else { return };
    let of_thread = mode.clone();
    let back = thread::spawn(move || copy(server_again, client_again, &of_thread, began));
    copy(client, server, mode, began);
    let _ = back.join();
}

/// Copies until one side closes or the mode changes.
fn copy(mut from: TcpStream, mut to: TcpStream, mode: &AtomicU8, began: u8) {
    let _ = from.set_read_timeout(Some(Duration::from_millis(20)));
    let mut buffer = [0; 65536];
    while mode.load(Ordering::SeqCst) == began {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                if to.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
