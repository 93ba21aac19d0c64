//! Part `service`: what the middleware adds to a request, beside what nginx's `proxy_pass` adds to the same one; and
//! whether both services stay as small as they began under a mixed load (`LOAD_SECONDS`, 300 if not said).
//!
//! Everything runs on one booted node: both units in their sandboxes, Perl's stand-in, nginx with one worker, as the
//! middleware has one thread. Each logs every request. The client keeps its connection, and takes turns between the three
//! in batches, so that whatever else the machine does hits all of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rig::ours::{INTERFACES, UNITS, like_a_pve_node, put_program, sealing};
use rig::{Authority, Browser, GOOD, Machine, Node, Suite, TICKET, perl};
use serde_json::{Value, json};

use crate::median;

const LIST: &str = "/api2/json/nodes/pve1/network";
/// Perl's, and nothing of the network's.
const OTHER: &str = "/api2/json/nodes/pve1/storage";
const ROUNDS: usize = 15;
/// Requests in a row to one of the three.
const BATCH: usize = 200;
/// Clients of the load, each on a connection of its own, and how long each waits between two requests: some 1,000
/// requests a second, several times what a cluster's web interfaces and automation ask together.
const CLIENTS: usize = 8;
const PAUSE: Duration = Duration::from_millis(6);

const NGINX: &str = r#"
user root;
worker_processes 1;
events { worker_connections 512; }
http {
  access_log /var/log/nginx/access.log;
  upstream perl { server 127.0.0.1:8006; keepalive 16; }
  upstream rust { server unix:/run/pve-network-rs/api.sock; }
  proxy_http_version 1.1;
  proxy_set_header Connection "";
  proxy_set_header X-Forwarded-For $remote_addr;
  proxy_ssl_verify on;
  proxy_ssl_trusted_certificate /etc/pve/pve-root-ca.pem;
  proxy_ssl_name localhost;
  keepalive_requests 1000000;
  server {
    listen 127.0.0.1:8088;
    listen 127.0.0.1:8444 ssl;
    ssl_certificate /etc/pve/local/pve-ssl.pem;
    ssl_certificate_key /etc/pve/local/pve-ssl.key;
    location / { proxy_pass https://perl; }
    location /api2/json/nodes/pve1/network { proxy_pass http://rust; }
  }
}
"#;

/// Measures, prints, and returns rows for `dist/bench.json`.
pub fn run() -> Vec<Value> {
    let authority = Authority::new("Proxmox Virtual Environment");
    let node = served(&authority);
    let mut rows = latency(&node, &authority);
    let seconds = std::env::var("LOAD_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(300);
    rows.extend(load(&node, &authority, seconds));
    rows
}

fn served(authority: &Authority) -> Node {
    let node = Node::with_packages(Suite::Bookworm, &["logrotate", "nginx"]).named("pve1");
    like_a_pve_node(&node);
    node.write("/etc/network/interfaces", INTERFACES.replace("bridge-ports eno1", "bridge-ports none"));
    let program = std::env::current_exe().expect("this program has a path").with_file_name("pveproxy");
    perl::put(&node, &program.display().to_string(), authority, "pve1");
    node.write("/etc/nginx/nginx.conf", NGINX);
    node.write("/etc/default/pve-network-rs", "MIDDLEWARE_OPTIONS=\"--front 127.0.0.1:8443\"\n");
    node.sh("rm -f /etc/systemd/system/multi-user.target.wants/nginx.service").ok();
    node.install(&sealing().as_shipped().build()).ok();
    let node = node.boot();
    perl::start(&node);
    for phase in ["rust-read-only", "rust-basic-write", "rust-advanced"] {
        node.run(["migration-ctl", "phase", "set", phase]).ok();
    }
    node.run(["migration-ctl", "feature", "enable", "rust_daemon"]).ok();
    node.systemctl(["start", UNITS[1], "nginx.service"]).ok();
    node
}

trait Connection: Read + Write {}
impl<T: Read + Write> Connection for T {}

/// A kept connection to one of those who answer.
#[derive(Clone, Copy)]
enum Door {
    Plain(u16),
    Tls(u16),
    Daemon,
}

type Client = Browser<Box<dyn Connection>>;

impl Door {
    fn open(self, authority: &str) -> Client {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let stream: Box<dyn Connection> = match self {
            Door::Plain(port) => {
                let stream = TcpStream::connect(address(port)).expect("it listens");
                stream.set_nodelay(true).expect("a socket of TCP");
                Box::new(stream)
            }
            Door::Daemon => Box::new(UnixStream::connect("/run/pve-network-rs/api.sock").expect("the daemon listens")),
            Door::Tls(port) => {
                let browser = Browser::open(address(port), "localhost", authority, "").expect("it speaks TLS");
                Box::new(browser.into_stream())
            }
        };
        Browser::over(stream, "localhost", "")
    }
}

fn token() -> [(&'static str, &'static str); 1] {
    [("Authorization", GOOD)]
}

/// Microseconds of one batch: the middle one, and the one that 99 of 100 stay below.
fn batch(client: &mut Client, target: &str) -> (f64, f64) {
    let mut times: Vec<f64> = (0..BATCH)
        .map(|_| {
            let began = Instant::now();
            let page = client.ask("GET", target, &token(), "").expect("the connection holds");
            let took = began.elapsed().as_secs_f64() * 1e6;
            assert_eq!(page.status, 200, "{target}: {page:?}");
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (times[BATCH / 2], times[BATCH * 99 / 100])
}

fn latency(node: &Node, authority: &Authority) -> Vec<Value> {
    let cases = [
        ("a read by Rust", LIST, [Door::Daemon, Door::Plain(8008), Door::Plain(8088)]),
        ("passed on to Perl", OTHER, [Door::Tls(8006), Door::Plain(8008), Door::Plain(8088)]),
        ("front (TLS), a read by Rust", LIST, [Door::Daemon, Door::Tls(8443), Door::Tls(8444)]),
        ("front (TLS), passed on to Perl", OTHER, [Door::Tls(8006), Door::Tls(8443), Door::Tls(8444)]),
    ];
    println!(
        "{:<32} {:>8} {:>8} {:>8} {:>10} {:>10} {:>6} {:>10} {:>10}",
        "µs a request, median", "direct", "ours", "nginx", "ours adds", "nginx adds", "ratio", "ours p99", "nginx p99"
    );
    let mut rows = Vec::new();
    for (what, target, doors) in cases {
        let pem = authority.pem();
        let rounds: Vec<[(f64, f64); 3]> = node.inside(move |_| {
            let mut clients = doors.map(|door| door.open(&pem));
            let round = |number: usize| {
                let mut times = [(0.0, 0.0); 3];
                // Another one is first each time.
                for turn in 0..3 {
                    let who = (number + turn) % 3;
                    times[who] = batch(&mut clients[who], target);
                }
                times
            };
            (0..=ROUNDS).map(round).skip(1).collect()
        });
        let of = |figure: &dyn Fn(&Round) -> f64| median(&rounds.iter().map(figure).collect::<Vec<_>>());
        let [direct, ours, nginx] = [0, 1, 2].map(|who| of(&|round| round[who].0));
        let [ours_p99, nginx_p99] = [1, 2].map(|who| of(&|round| round[who].1));
        // Of each round by itself: what slows the machine for a while slows all three.
        let [ours_adds, nginx_adds] = [1, 2].map(|who| of(&|round| round[who].0 - round[0].0));
        let ratio = ours_adds / nginx_adds;
        println!(
            "{what:<32} {direct:>8.0} {ours:>8.0} {nginx:>8.0} {ours_adds:>10.0} {nginx_adds:>10.0} {ratio:>6.2} {ours_p99:>10.0} {nginx_p99:>10.0}"
        );
        rows.push(json!({
            "name": format!("service: {what}"), "rounds": ROUNDS, "batch": BATCH, "direct_us": direct, "ours_us": ours,
            "nginx_us": nginx, "ours_added_us": ours_adds, "nginx_added_us": nginx_adds, "ratio": ratio,
            "ours_p99_us": ours_p99, "nginx_p99_us": nginx_p99,
        }));
    }
    rows
}

/// What each of the three took in one round: median and 99th percentile in microseconds.
type Round = [(f64, f64); 3];

/// One client's next request: mostly what people look at, some of it Perl's; the first client writes as well.
fn next(number: usize, client: usize) -> (&'static str, &'static str, &'static str) {
    const ONE: &str = "/api2/json/nodes/pve1/network/vmbr0";
    const NEW: &str = "/api2/json/nodes/pve1/network/vmbr7";
    if client == 0 && number.is_multiple_of(5) {
        return match number / 5 % 4 {
            0 => ("POST", LIST, "iface=vmbr7&type=bridge&autostart=1"),
            1 => ("PUT", NEW, "type=bridge&autostart=1&comments=load"),
            2 => ("DELETE", NEW, ""),
            _ => ("DELETE", LIST, ""),
        };
    }
    match number % 4 {
        0 => ("GET", OTHER, ""),
        1 => ("GET", ONE, ""),
        _ => ("GET", LIST, ""),
    }
}

/// What the load did.
#[derive(Default)]
struct Done {
    requests: AtomicUsize,
    writes: AtomicUsize,
    errors: Mutex<Vec<String>>,
}

/// Runs the clients as a process of the node's own, since the rig's thread in it can have no others beside it.
fn load(node: &Node, authority: &Authority, seconds: u64) -> Vec<Value> {
    let pid = |unit: &str| node.systemctl(["show", "-P", "MainPID", unit]).ok().stdout.trim().to_owned();
    let pids = UNITS.map(pid);
    let this = std::env::current_exe().expect("this program has a path");
    put_program(node, &this, "/usr/local/bin/bench");
    node.write("/root/ca.pem", authority.pem());
    let seconds_text = seconds.to_string();
    let words = ["/usr/local/bin/bench", CLIENTS_OF_LOAD, &seconds_text, "/root/ca.pem", &pids[0], &pids[1]];
    let out = node.call(words).patience(Duration::from_secs(seconds + 120)).run().ok();
    let done: Value = serde_json::from_str(&out.stdout).unwrap_or_else(|e| panic!("{e}: {}{}", out.stdout, out.stderr));
    let errors = done["errors"].as_array().map_or(0, Vec::len);
    println!(
        "load: {} requests in {seconds} s, {} of them writes by Rust; {errors} errors",
        done["requests"], done["writes"]
    );
    let mut rows = vec![json!({
        "name": "service: load", "seconds": seconds, "requests": done["requests"], "writes": done["writes"],
        "errors": errors,
    })];
    for (number, unit) in UNITS.iter().enumerate() {
        let kib: Vec<&Value> = done["memory"].as_array().into_iter().flatten().map(|at| &at[number]).collect();
        println!("{unit:<32} resident after 5 s, 60 s, at the end: {} KiB", json!(kib));
        rows.push(json!({"name": format!("service: {unit}: resident"), "kib": kib}));
        assert_eq!(pid(unit), pids[number], "{unit} was restarted under way");
    }
    assert!(errors == 0, "{}", done["errors"]);
    rows
}

/// The first argument of this program where it is the clients of the load.
pub const CLIENTS_OF_LOAD: &str = "clients-of-load";

/// The clients: `SECONDS CA.pem PID PID`. Prints what they did as JSON.
pub fn clients(arguments: &[String]) {
    let [seconds, authority, pids @ ..] = arguments else { panic!("{arguments:?}") };
    let length = Duration::from_secs(seconds.parse().expect("a number of seconds"));
    let pem = std::fs::read_to_string(authority).expect("the rig has written it");
    let (done, stop) = (Done::default(), AtomicBool::new(false));
    let mut memory = Vec::new();
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (done, stop, pem) = (&done, &stop, &pem);
            scope.spawn(move || client(number, pem, done, stop));
        }
        let began = Instant::now();
        // What first requests make them allocate is not growth.
        for after in [Duration::from_secs(5), Duration::from_secs(60), length] {
            while began.elapsed() < after.min(length) {
                std::thread::sleep(Duration::from_secs(1));
                // As the timer of a node does, only more often: the log is in memory here.
                let _ = std::process::Command::new("logrotate").arg("/etc/logrotate.d/pve-network-rs").status();
            }
            memory.push(pids.iter().map(|pid| resident(pid)).collect::<Vec<_>>());
        }
        stop.store(true, Ordering::Relaxed);
    });
    let errors = done.errors.lock().expect("no client panicked");
    let (requests, writes) = (done.requests.load(Ordering::Relaxed), done.writes.load(Ordering::Relaxed));
    let errors: Vec<&String> = errors.iter().take(20).collect();
    println!("{}", json!({"requests": requests, "writes": writes, "errors": errors, "memory": memory}));
}

fn client(number: usize, pem: &str, done: &Done, stop: &AtomicBool) {
    // Half of them as automation comes, half as browsers do.
    let front = number % 2 == 1;
    let door = if front { Door::Tls(8443) } else { Door::Plain(8008) };
    let mut connection = door.open(pem);
    let browser = [("Cookie", TICKET)];
    for count in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let (method, target, body) = next(count, number);
        let who: &[(&str, &str)] = if front { &browser } else { &token() };
        match connection.ask(method, target, who, body) {
            Ok(page) => {
                let rust = method != "GET" && page.header("pve-network-backend") == "rust";
                done.writes.fetch_add(rust.into(), Ordering::Relaxed);
                if page.status != 200 || (method != "GET" && !rust) {
                    let error = format!("{method} {target}: {} {}", page.status, page.body);
                    done.errors.lock().expect("no client panicked").push(error);
                }
            }
            Err(error) => {
                done.errors.lock().expect("no client panicked").push(format!("{method} {target}: {error}"));
                connection = door.open(pem);
            }
        }
        done.requests.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(PAUSE);
    }
}

/// In KiB, as the kernel says.
fn resident(pid: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0)
}
