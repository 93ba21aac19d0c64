//! Proxmox's network API by the real daemon, on a folder that stands for a node: what is answered, what the files
//! hold then, and what became of a write whose answer nobody got.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rig;

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rig::{DAEMON, Service, Setup, body};
use serde_json::{Value, json};

const NETWORK: &str = "/api2/json/nodes/pve1/network";
const NEW: &str = "etc/network/interfaces.new";
const TEXT: &str = "auto lo\niface lo inet loopback\n\nauto vmbr0\niface vmbr0 inet static\n\taddress 192.0.2.10/24\n\
    \tgateway 192.0.2.1\n\tbridge-ports none\n\tbridge-stp off\n\tbridge-fd 0\n";

/// A node at a phase, as after an install.
fn node(phase: &str) -> Setup {
    let setup = Setup::new(DAEMON);
    setup.file("etc/hostname", "pve1\n");
    setup.file("etc/hosts", "192.0.2.10 pve1\n");
    setup.file("etc/network/interfaces", TEXT);
    let migration = format!("phase = \"{phase}\"\nfeatures = {{ rust_cli = true, rust_daemon = true }}\n");
    setup.file("etc/pve/network/migration.toml", &migration);
    setup.file("var/lib/pve-network-rs/ceiling", "rust-full\n");
    setup.file("var/lib/pve-network-rs/lock", "");
    setup.file("var/lib/pve-network-rs/operations.jsonl", "");
    setup
}

/// An answer: status, what it says of the files, body.
#[derive(Debug)]
struct Said {
    status: u16,
    touched: Option<String>,
    body: Value,
}

fn said(answer: &str) -> Said {
    let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"));
    let header = |name: &str| {
        answer.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix(&format!("{name}: ")).map(str::to_owned))
    };
    Said { status, touched: header("pve-network-touched"), body: body(answer) }
}

fn request(method: &str, path: &str, id: &str, form: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\npve-network-operation: {id}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    )
}

fn ask(service: &Service, method: &str, path: &str, id: &str, form: &str) -> Said {
    said(&rig::read_all(&mut service.send(request(method, path, id, form).as_bytes())))
}

fn fate(service: &Service, id: &str) -> Value {
    body(&service.get(&format!("/operations/{id}")))
}

fn path(service: &Service, path: &str) -> PathBuf {
    service.setup().path(path)
}

fn pending(service: &Service) -> Option<String> {
    fs::read_to_string(path(service, NEW)).ok()
}

/// Holds the lock that all writers of ours wait for.
fn hold(service: &Service) -> fs::File {
    let lock =
        fs::OpenOptions::new().write(true).mode(0o600).open(path(service, "var/lib/pve-network-rs/lock")).unwrap();
    lock.lock().unwrap();
    lock
}

#[track_caller]
fn nothing(said: &Said, status: u16, words: &str) {
    let touched = said.touched.as_deref().unwrap_or_default();
    assert!(said.status == status && ["nothing", "refused"].contains(&touched), "{status}: {said:?}");
    assert!(said.body.to_string().contains(words), "no {words:?} in {said:?}");
}

#[test]
fn each_phase_answers_what_it_allows() {
    let eth = "iface=eno7&type=eth&cidr=198.51.100.1/24";
    let bridge = "iface=vmbr1&type=bridge";
    // phase, read, plain interface, bridge
    let cases = [
        ("perl-only", 503, 503, 503),
        ("rust-read-only", 200, 503, 503),
        ("rust-basic-write", 200, 200, 503),
        ("rust-advanced", 200, 200, 200),
    ];
    for (phase, read, plain, advanced) in cases {
        let service = node(phase).start();
        assert_eq!(ask(&service, "GET", NETWORK, "r", "").status, read, "{phase}");
        assert_eq!(ask(&service, "POST", NETWORK, "w-1", eth).status, plain, "{phase}");
        assert_eq!(ask(&service, "POST", NETWORK, "w-2", bridge).status, advanced, "{phase}");
        assert_eq!(pending(&service).is_some(), plain == 200, "{phase}");
    }
    let off = node("rust-full");
    off.file("etc/pve/network/migration.toml", "phase = \"rust-full\"\n");
    let service = off.start();
    nothing(&ask(&service, "POST", NETWORK, "w", eth), 503, "the feature rust_daemon is off");
    assert_eq!(pending(&service), None);
}

#[test]
fn a_change_is_pending_then_listed_then_reverted() {
    let service = node("rust-full").start();
    let said = ask(&service, "POST", NETWORK, "op-1", "iface=vmbr1&type=bridge&autostart=1&comments=for%20tests");
    assert_eq!((said.status, said.touched.as_deref()), (200, Some("done")), "{said:?}");
    assert_eq!(said.body, json!({"data": null}));
    let text = pending(&service).unwrap();
    assert!(text.contains("auto vmbr1\niface vmbr1 inet manual\n\tbridge-ports none\n"), "{text}");
    assert_eq!(fs::read_to_string(path(&service, "etc/network/interfaces")).unwrap(), TEXT, "only pending");
    assert_eq!(
        fate(&service, "op-1"),
        json!({"schema_version": 1, "id": "op-1", "state": "done", "changed": ["/etc/network/interfaces.new"]})
    );
    let list = ask(&service, "GET", NETWORK, "r", "");
    let names: Vec<&str> = list.body["data"].as_array().unwrap().iter().map(|i| i["iface"].as_str().unwrap()).collect();
    assert_eq!(names, ["vmbr0", "vmbr1"]);
    assert!(list.body["changes"].as_str().unwrap().contains("+iface vmbr1 inet manual"), "{}", list.body);
    let one = ask(&service, "GET", &format!("{NETWORK}/vmbr1"), "r", "");
    assert_eq!(one.body["data"]["comments"], "for tests\n");

    assert_eq!(ask(&service, "DELETE", NETWORK, "op-2", "").touched.as_deref(), Some("done"));
    assert_eq!(pending(&service), None);
    assert!(ask(&service, "GET", NETWORK, "r", "").body.get("changes").is_none());
    // A second time there is nothing to revert, and that is no error.
    assert_eq!(ask(&service, "DELETE", NETWORK, "op-3", "").status, 200);
}

#[test]
fn what_is_wrong_is_refused_in_proxmox_s_words_and_changes_nothing() {
    let service = node("rust-full").start();
    let one = |name: &str| format!("{NETWORK}/{name}");
    let cases = [
        ("POST", NETWORK, "iface=vmbr0&type=bridge", 400, "interface already exists"),
        ("POST", NETWORK, "iface=vmbr1&type=bridge&foo=1", 400, "property is not defined in schema"),
        ("POST", NETWORK, "iface=vmbr1&type=bridge&mtu=a&mtu=b", 400, "got ARRAY"),
        ("POST", NETWORK, "iface=vmbr1&type=bridge&bridge_ports=nosuch0", 500, "unable to find bridge port 'nosuch0'"),
        ("PUT", &one("nope"), "type=bridge", 400, "interface does not exist"),
        ("PATCH", NETWORK, "", 501, "Method 'PATCH /nodes/pve1/network' not implemented"),
        // Holes of Proxmox's.
        ("POST", NETWORK, "iface=eno7&type=eth&ovs_options=a%0A%09post-up%20x", 400, "PVN040"),
        ("PUT", &one("vmbr0"), "type=bridge&bridge_vlan_aware=0", 400, "PVN041"),
        ("DELETE", &one("lo"), "", 400, "PVN043"),
        ("DELETE", &one("vmbr0"), "", 400, "PVN046"),
        ("POST", NETWORK, "iface=eno7&type=eth&cidr=198.51.100.0/24", 400, "PVN044"),
        ("POST", NETWORK, "iface=thisis16charsxyz&type=eth", 400, "PVN047"),
        // Not for this daemon.
        ("GET", "/api2/json/nodes/other/network", "", 501, "this is node pve1, not other"),
        ("GET", "/api2/json/cluster/sdn/zones", "", 501, "not handled by Rust: /cluster/sdn/zones"),
        ("PUT", NETWORK, "", 501, "not handled by Rust: a reload, for which systemd listens at"),
        ("PUT", NETWORK, "regenerate-frr=1", 501, "not handled by Rust: a reload that says what becomes of FRR"),
        ("GET", "/api2/json/nodes/pve1//network", "", 400, "has an empty"),
        ("POST", NETWORK, &"a".repeat(70_000), 413, "more than 65536 bytes"),
    ];
    for (number, (method, path, form, status, words)) in cases.into_iter().enumerate() {
        let id = format!("op-{number}");
        let said = ask(&service, method, path, &id, form);
        nothing(&said, status, words);
        // What Rust does not do, or could not read, is Perl's to answer; what Proxmox refuses is refused.
        let perls = words.contains("not handled") || words.contains("this is node") || words.contains("has an empty");
        let perls = perls || status == 413;
        assert_eq!(said.touched.as_deref(), Some(if perls { "nothing" } else { "refused" }), "{said:?}");
        assert_eq!(pending(&service), None, "{method} {path} {form}");
        let journal = fs::read_to_string(self::path(&service, "var/lib/pve-network-rs/operations.jsonl")).unwrap();
        assert_eq!(journal, "", "{method} {path} {form}");
    }
}

#[test]
fn an_operation_begins_once_and_never_after_its_fence() {
    let service = node("rust-full").start();
    let write = |id: &str| ask(&service, "POST", NETWORK, id, &format!("iface={}&type=bridge", id.replace('-', "")));
    assert_eq!(write("br-1").status, 200);
    let again = write("br-1");
    assert_eq!((again.status, again.touched), (409, None), "the first one did something");
    let fenced = said(&rig::read_all(&mut service.send(request("POST", "/operations/br-2/fence", "x", "").as_bytes())));
    assert_eq!(fenced.body["state"], "never-begun");
    assert_eq!(write("br-2").status, 409);
    assert!(!pending(&service).unwrap().contains("br2"));
    nothing(&ask(&service, "POST", NETWORK, "a/b", "iface=br3&type=bridge"), 400, "letters, digits");
}

#[test]
fn a_caller_that_goes_away_does_not_cancel_its_write() {
    let service = node("rust-full").start();
    let lock = hold(&service);
    drop(service.send(request("POST", NETWORK, "gone", "iface=vmbr1&type=bridge").as_bytes()));
    let start = Instant::now();
    while fate(&service, "gone")["state"] != "running" {
        assert!(start.elapsed() < Duration::from_secs(10), "it never began");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(lock);
    while fate(&service, "gone")["state"] == "running" {
        assert!(start.elapsed() < Duration::from_secs(20), "it never ended");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(fate(&service, "gone")["state"], "done");
    assert!(pending(&service).unwrap().contains("iface vmbr1"));
}

#[test]
fn a_daemon_killed_before_its_write_changed_nothing_and_says_so() {
    let mut service = node("rust-full").start();
    let lock = hold(&service);
    let _open = service.send(request("POST", NETWORK, "killed", "iface=vmbr1&type=bridge").as_bytes());
    while fate(&service, "killed")["state"] != "running" {
        std::thread::sleep(Duration::from_millis(10));
    }
    service.signal("KILL");
    service.end();
    drop(lock);
    let service = service.restart();
    assert_eq!(fate(&service, "killed")["state"], "never-begun");
    assert_eq!(pending(&service), None);
}

#[test]
fn what_a_killed_daemon_left_open_is_settled_by_what_the_files_hold() {
    let digest = |text: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, text).unwrap();
        history::digest_at(&file).unwrap()
    };
    for (holds, state) in [("after", "done"), ("before", "rolled-back"), ("another's", "failed")] {
        let setup = node("rust-full");
        setup.file(NEW, holds);
        let line = json!({
            "event": "begin", "id": "open-1", "time": 1, "backend": "rust", "tool": "pve-network-rs-daemon",
            "phase": "rust-full", "snapshot": null, "transaction": null,
            "paths": {"/etc/network/interfaces.new": {"before": digest("before"), "after": digest("after")}},
        });
        setup.file("var/lib/pve-network-rs/operations.jsonl", &format!("{line}\n"));
        let service = setup.start();
        assert_eq!(fate(&service, "open-1")["state"], state, "{holds}");
        assert_eq!(pending(&service).unwrap(), holds);
        // Told twice, it is written once.
        fate(&service, "open-1");
        let journal = fs::read_to_string(path(&service, "var/lib/pve-network-rs/operations.jsonl")).unwrap();
        assert_eq!(journal.matches("\"end\"").count(), 1, "{journal}");
    }
}

#[test]
fn while_proxmox_writes_ours_waits_and_then_says_that_nothing_happened() {
    let setup = node("rust-full");
    setup.file("etc/network/.pve-interfaces.lock", "");
    let service = setup.start();
    let lock = fs::OpenOptions::new().write(true).open(path(&service, "etc/network/.pve-interfaces.lock")).unwrap();
    lock.lock().unwrap();
    let mut open = service.send(request("POST", NETWORK, "waits", "iface=vmbr1&type=bridge").as_bytes());
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(fate(&service, "waits")["state"], "running");
    assert!(service.get("/health").contains("200 OK"), "others are answered meanwhile");
    nothing(&said(&rig::read_all(&mut open)), 503, "held by another process");
    drop(lock);
    assert_eq!(ask(&service, "POST", NETWORK, "now", "iface=vmbr1&type=bridge").status, 200);
}

#[test]
fn a_body_that_never_ends_is_cut_off() {
    let service = node("rust-full").start();
    let head = request("POST", NETWORK, "endless", "").replace("Content-Length: 0", "Transfer-Encoding: chunked");
    let mut stream = service.send(head.as_bytes());
    let chunk = format!("{:x}\r\n{}\r\n", 4096, "a".repeat(4096));
    for _ in 0..64 {
        if stream.write_all(chunk.as_bytes()).is_err() {
            break;
        }
    }
    nothing(&said(&rig::read_all(&mut stream)), 413, "more than 65536 bytes");
}
