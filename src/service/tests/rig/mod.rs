//! Starts one of the real programs on a root and a socket of its own, with a systemd that only listens.
#![allow(dead_code, reason = "each test file uses its own part")]
#![allow(clippy::unwrap_used, reason = "the rig of tests")]

pub mod node;

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub const DAEMON: &str = env!("CARGO_BIN_EXE_pve-network-rs-daemon");
pub const MIDDLEWARE: &str = env!("CARGO_BIN_EXE_pve-network-migration");

/// Long enough for a busy machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Setup {
    program: &'static str,
    dir: TempDir,
    systemd: Option<UnixDatagram>,
    watchdog: Option<Duration>,
    arguments: Vec<String>,
}

impl Setup {
    pub fn new(program: &'static str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["root", "run"] {
            fs::create_dir(dir.path().join(folder)).unwrap();
        }
        let systemd = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        systemd.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { program, dir, systemd: Some(systemd), watchdog: None, arguments: Vec::new() }
    }

    /// With more arguments.
    pub fn with(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|a| (*a).to_owned()));
        self
    }

    /// The folder that stands for `/`.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    pub fn without_systemd(mut self) -> Self {
        self.systemd = None;
        self
    }

    /// With a watchdog that waits this long.
    pub fn watched(mut self, patience: Duration) -> Self {
        self.watchdog = Some(patience);
        self
    }

    /// Where a path of the root is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    /// Writes a file of the root.
    pub fn file(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/api.sock")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.program);
        command.arg("--root").arg(self.dir.path().join("root"));
        command.arg("--socket").arg(self.socket());
        if self.program == MIDDLEWARE {
            // Any free ports: tests run side by side.
            for option in ["--listen", "--metrics"].into_iter().filter(|o| !self.arguments.iter().any(|a| a == o)) {
                command.args([option, "127.0.0.1:0"]);
            }
        }
        command.args(&self.arguments);
        command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        if self.systemd.is_some() {
            command.env("NOTIFY_SOCKET", self.dir.path().join("notify"));
        }
        if let Some(patience) = self.watchdog {
            command.env("WATCHDOG_USEC", patience.as_micros().to_string());
        }
        command
    }

    /// Runs it to its end.
    pub fn run(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Service {
        let log = File::options().create(true).append(true).open(self.dir.path().join("stderr")).unwrap();
        let child = self.command().stderr(log).spawn().unwrap();
        let service = Service { child, setup: Some(self) };
        if service.setup().systemd.is_some() {
            let said = service.notified();
            assert!(said.starts_with("READY=1\n"), "{said:?}");
        } else {
            let start = Instant::now();
            while UnixStream::connect(service.socket()).is_err() {
                assert!(start.elapsed() < PATIENCE, "not up: {}", service.stderr());
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        service
    }
}

pub struct Service {
    child: Child,
    setup: Option<Setup>,
}

impl Service {
    pub fn setup(&self) -> &Setup {
        self.setup.as_ref().unwrap()
    }

    pub fn socket(&self) -> PathBuf {
        self.setup().socket()
    }

    /// The next datagram that systemd gets.
    pub fn notified(&self) -> String {
        let mut buffer = [0; 4096];
        match self.setup().systemd.as_ref().unwrap().recv(&mut buffer) {
            Ok(length) => String::from_utf8(buffer[..length].to_vec()).unwrap().trim_end().to_owned(),
            Err(error) => panic!("systemd heard nothing ({error}): {}", self.stderr()),
        }
    }

    pub fn stderr(&self) -> String {
        fs::read_to_string(self.setup().dir.path().join("stderr")).unwrap_or_default()
    }

    pub fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn send(&self, request: &[u8]) -> UnixStream {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        stream
    }

    pub fn get(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        read_all(&mut self.send(request.as_bytes()))
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    /// Waits for its end: exit code (none if killed) and how long that took.
    pub fn end(&mut self) -> (Option<i32>, Duration) {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return (status.code(), start.elapsed());
            }
            assert!(start.elapsed() < PATIENCE, "does not end: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The same again, on the same root and socket, after its end.
    pub fn restart(mut self) -> Service {
        self.end();
        self.setup.take().unwrap().start()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything until the other side hangs up, politely or not.
pub fn read_all(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {}
        Err(error) => panic!("no end of the answer ({error}): {}", String::from_utf8_lossy(&bytes)),
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whatever has come by now, at least a byte.
pub fn read_some(stream: &mut UnixStream) -> String {
    let mut buffer = [0; 4096];
    let length = stream.read(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

/// The JSON after the head.
pub fn body(answer: &str) -> serde_json::Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {answer}"));
    serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
}
