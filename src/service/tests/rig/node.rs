//! A node: its files, the real middleware, a daemon that can be killed, and Perl's stand-in.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use pveproxy::{Authority, GOOD, Perl, WWW_KEY};
use serde_json::Value;

use super::{MIDDLEWARE, Service, Setup};

pub const LIST: &str = "/api2/json/nodes/pve1/network";

/// Long enough for a busy machine; a test that needs it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub struct Node {
    pub service: Service,
    pub perl: Perl,
    pub authority: Authority,
    daemon: Option<Child>,
}

pub struct Plan {
    pub phase: &'static str,
    pub daemon: bool,
    pub settings: &'static str,
    pub arguments: Vec<&'static str>,
    /// How Perl's certificate is to be.
    pub certificate: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        Self { phase: "rust-full", daemon: true, settings: "", arguments: Vec::new(), certificate: "good" }
    }
}

impl Node {
    pub fn new() -> Self {
        Self::planned(Plan::default())
    }

    pub fn planned(plan: Plan) -> Self {
        let authority = Authority::new("Proxmox Virtual Environment");
        let pair = match plan.certificate {
            "foreign" | "pinned" => Authority::new("somebody").sign("127.0.0.1"),
            "misnamed" => authority.sign("198.51.100.7"),
            _ => authority.sign("127.0.0.1"),
        };
        let perl = Perl::start(&pair);
        let setup = Setup::new(MIDDLEWARE).with(&[
            "--read-timeout",
            "0.6",
            "--write-timeout",
            "0.6",
            "--fence-timeout",
            "2",
            "--body-timeout",
            "0.6",
        ]);
        let setup = setup.with(&plan.arguments);
        setup.file("etc/hostname", "pve1\n");
        setup.file("etc/pve/pve-root-ca.pem", &authority.pem());
        setup.file("etc/pve/pve-www.key", WWW_KEY);
        if plan.certificate == "pinned" {
            setup.file("etc/pve/local/pveproxy-ssl.pem", &pair.certificate);
        }
        let front = authority.sign("pve1");
        setup.file("etc/pve/local/pve-ssl.pem", &front.certificate);
        setup.file("etc/pve/local/pve-ssl.key", &front.key);
        setup.file(
            "etc/pve/network/migration.toml",
            &format!(
                "phase = \"{}\"\nperl_api_base_url = \"https://{}\"\nperl_api_timeout = 1\n\
                 features = {{ rust_daemon = true }}\n{}\n",
                plan.phase, perl.address, plan.settings
            ),
        );
        setup.file("var/lib/pve-network-rs/ceiling", &format!("{}\n", plan.phase));
        let root = setup.root();
        let service = setup.start();
        let mut node = Self { service, perl, authority, daemon: None };
        if plan.daemon {
            node.start_daemon();
        } else {
            // The package is installed: its lock and journal are there.
            fs::write(root.join("var/lib/pve-network-rs/lock"), "").unwrap();
            fs::write(root.join("var/lib/pve-network-rs/operations.jsonl"), "").unwrap();
        }
        node
    }

    pub fn root(&self) -> PathBuf {
        self.service.setup().root()
    }

    pub fn start_daemon(&mut self) {
        let tests = std::env::current_exe().unwrap();
        let example = tests.ancestors().nth(2).unwrap().join("examples/stand-in-daemon");
        // `cargo test --test middleware` alone does not build examples.
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/stand-in-daemon.rs");
        let changed = |path: &std::path::Path| fs::metadata(path).and_then(|meta| meta.modified()).ok();
        assert!(changed(&example) > changed(&source), "build it first: cargo build -p service --examples");
        let child = Command::new(&example).arg(self.root()).stdin(Stdio::null()).stderr(Stdio::null()).spawn();
        self.daemon = Some(child.unwrap_or_else(|e| panic!("{}: {e}", example.display())));
        let begin = Instant::now();
        while UnixStream::connect(self.root().join("run/pve-network-rs/api.sock")).is_err() {
            assert!(begin.elapsed() < PATIENCE, "the daemon does not come up");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn kill_daemon(&mut self) {
        let mut daemon = self.daemon.take().unwrap();
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    pub fn behave(&self, how: &str) {
        fs::write(self.root().join("behaviour"), how).unwrap();
    }

    /// The address that it says it listens on, the first (0), metrics (1), front (2).
    pub fn address(&self, which: usize) -> String {
        let said = self.service.stderr();
        let words = said.split([' ', ',', '\n']).filter(|word| word.starts_with("127.0.0.1:"));
        words.map(str::to_owned).nth(which).unwrap_or_else(|| panic!("{said}"))
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address(0)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes and reads to the end.
    pub fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = self.connect();
        // It may hang up before it has heard everything.
        let _ = stream.write_all(request);
        Answer::read(&mut stream)
    }

    pub fn request(&self, method: &str, target: &str, who: &str, body: &str) -> Answer {
        self.raw(request(method, target, who, body).as_bytes())
    }

    pub fn get(&self, target: &str) -> Answer {
        self.request("GET", target, GOOD, "")
    }

    pub fn post(&self, target: &str, body: &str) -> Answer {
        self.request("POST", target, GOOD, body)
    }

    /// Operations that Rust carried out, by their lines in the file.
    pub fn written(&self) -> Vec<String> {
        let text = fs::read_to_string(self.root().join("etc/network/interfaces.new")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Decisions, once there are as many.
    pub fn decisions(&self, at_least: usize) -> Vec<Value> {
        let begin = Instant::now();
        loop {
            let text = fs::read_to_string(self.root().join("var/log/pve-network/migration.log")).unwrap_or_default();
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            if lines.len() >= at_least {
                return lines;
            }
            assert!(begin.elapsed() < PATIENCE, "{at_least} decisions were to come: {text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn metrics(&self) -> String {
        let mut stream = TcpStream::connect(self.address(1)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        Answer::read(&mut stream).body
    }

    /// The sum of a metric's series that hold these words.
    pub fn metric(&self, name: &str, words: &[&str]) -> f64 {
        let text = self.metrics();
        let lines = text.lines().filter(|l| l.starts_with(name) && words.iter().all(|w| l.contains(w)));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    }

    pub fn ceiling(&self) -> String {
        fs::read_to_string(self.root().join("var/lib/pve-network-rs/ceiling")).unwrap().trim().to_owned()
    }

    /// Waits until something is so.
    pub fn until(&self, what: &str, so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !so() {
            assert!(begin.elapsed() < PATIENCE, "{what}: {}", self.service.stderr());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            // It may have killed itself.
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}

pub fn request(method: &str, target: &str, who: &str, body: &str) -> String {
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: pve1:8006\r\nConnection: close\r\n");
    if who.starts_with("PVEAPIToken") {
        head += &format!("Authorization: {who}\r\n");
    } else if !who.is_empty() {
        head += &format!("Cookie: {who}\r\n");
    }
    if !body.is_empty() {
        head += &format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
    }
    format!("{head}\r\n{body}")
}

#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn read(stream: &mut impl Read) -> Self {
        let mut bytes = Vec::new();
        let mut buffer = [0; 16 * 1024];
        loop {
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => bytes.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(error) => panic!("{error}: {}", String::from_utf8_lossy(&bytes)),
            }
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        let body =
            if head.to_lowercase().contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
        Self { status, head: head.to_lowercase(), body }
    }

    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| *found == name).map_or("", |(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

fn unchunked(mut text: &str) -> String {
    let mut out = String::new();
    while let Some((length, rest)) = text.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        out += &rest[..length];
        text = rest[length..].trim_start_matches("\r\n");
    }
    out
}
