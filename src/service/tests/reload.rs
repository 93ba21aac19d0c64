//! A reload by the real daemon, with a stand-in for `pvenet reload` at the socket where systemd listens otherwise.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod rig;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::thread::JoinHandle;
use std::time::Duration;

use rig::{DAEMON, Service, Setup, body};
use serde_json::{Value, json};

const NETWORK: &str = "/api2/json/nodes/pve1/network";
const JOURNAL: &str = "var/lib/pve-network-rs/operations.jsonl";
const UPID: &str = "UPID:pve1:0000A1B2:00C3D4E5:6561F000:srvreload:networking:root@pam:";

fn node() -> Setup {
    let setup = Setup::new(DAEMON);
    setup.file("etc/hostname", "pve1\n");
    setup.file("etc/network/interfaces", "auto lo\niface lo inet loopback\n");
    setup.file("etc/pve/network/migration.toml", "phase = \"rust-full\"\nfeatures = { rust_daemon = true }\n");
    setup.file("var/lib/pve-network-rs/ceiling", "rust-full\n");
    setup.file("var/lib/pve-network-rs/lock", "");
    setup.file(JOURNAL, "");
    setup.file("run/x", "");
    setup
}

/// A helper's side of the connection.
struct Helper {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Helper {
    fn hears(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    fn tells(&mut self, told: &Value) {
        self.stream.write_all(format!("{told}\n").as_bytes()).unwrap();
    }
}

/// Takes one connection and does `work` on it.
fn helper(setup: &Setup, work: impl FnOnce(Helper) + Send + 'static) -> JoinHandle<()> {
    let listener = UnixListener::bind(setup.path("run/pve-network-reload.sock")).unwrap();
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let lines = BufReader::new(stream.try_clone().unwrap());
        work(Helper { stream, lines });
    })
}

fn request(method: &str, path: &str, id: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\npve-network-operation: {id}\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

/// Status, what it says of the files, body.
fn reload(service: &Service, id: &str) -> (u16, Option<String>, Value) {
    let answer = rig::read_all(&mut service.send(request("PUT", NETWORK, id).as_bytes()));
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let touched =
        answer.lines().find_map(|l| l.to_ascii_lowercase().strip_prefix("pve-network-touched: ").map(str::to_owned));
    (status, touched, body(&answer))
}

fn begin_line(id: &str) -> String {
    json!({
        "event": "begin", "id": id, "time": 1, "backend": "rust", "tool": "pvenet", "phase": "rust-full",
        "snapshot": null, "transaction": null, "paths": {},
    })
    .to_string()
        + "\n"
}

#[test]
fn nothing_but_the_id_goes_over_and_the_answer_is_the_helpers() {
    let why = "nothing is applied: PVN046 it would be cut off";
    let cases = [
        (json!({"told": "begun", "upid": UPID}), 200, Some("done"), UPID),
        (json!({"told": "refused", "why": why}), 500, Some("refused"), why),
        (json!({"told": "not-now", "why": why}), 503, Some("nothing"), why),
        (json!({"told": "failed", "why": why}), 500, Some("nothing"), why),
        (json!({"told": "unknown", "why": why}), 500, None, why),
    ];
    for (told, status, touched, words) in cases {
        let setup = node();
        let end = helper(&setup, move |mut helper| {
            assert_eq!(helper.hears(), "op-1\n");
            helper.tells(&json!({"told": "ready"}));
            assert_eq!(helper.hears(), "op-1\n");
            helper.tells(&told);
            assert_eq!(helper.hears(), "", "and that is all");
        });
        let service = setup.start();
        let said = reload(&service, "op-1");
        assert_eq!((said.0, said.1.as_deref()), (status, touched), "{said:?}");
        assert!(said.2.to_string().contains(words), "{said:?}");
        end.join().unwrap();
    }
}

#[test]
fn a_helper_that_is_lost_has_begun_or_not_as_the_journal_says() {
    // What the journal holds, the answer: status, touched.
    let ended = |outcome: &str| json!({"event": "end", "id": "op-1", "time": 1, "duration_ms": 1, "outcome": outcome});
    let cases = [
        (String::new(), 503, Some("nothing")),
        (begin_line("op-1"), 500, None),
        (format!("{}{}\n", begin_line("op-1"), ended("rolled-back")), 500, Some("refused")),
        (format!("{}{}\n", begin_line("op-1"), ended("done")), 500, None),
    ];
    for (journal, status, touched) in cases {
        let setup = node();
        let file = setup.path(JOURNAL);
        let end = helper(&setup, move |mut helper| {
            helper.hears();
            fs::write(file, journal).unwrap();
        });
        let service = setup.start();
        let said = reload(&service, "op-1");
        assert_eq!((said.0, said.1.as_deref()), (status, touched), "{said:?}");
        end.join().unwrap();
    }
}

#[test]
fn a_running_sdn_configuration_is_perls_to_reload() {
    let setup = node();
    setup.file("etc/pve/sdn/.running-config", "{}");
    let _helper = helper(&setup, |_| panic!("it is not asked"));
    let service = setup.start();
    let (status, touched, said) = reload(&service, "op-1");
    assert_eq!((status, touched.as_deref()), (501, Some("nothing")), "{said}");
    assert!(said.to_string().contains("SDN"), "{said}");
}

/// A helper for a daemon before this one holds the lock, and may be about to write its line.
#[test]
fn that_it_never_began_is_said_with_the_lock_of_the_journal() {
    let service = node().start();
    let path = service.setup().path("var/lib/pve-network-rs/lock");
    let lock = fs::OpenOptions::new().write(true).open(path).unwrap();
    lock.lock().unwrap();
    for (method, path) in [("POST", "/operations/op-1/fence"), ("GET", "/operations/op-1")] {
        let answer = rig::read_all(&mut service.send(request(method, path, "x").as_bytes()));
        assert!(answer.contains(" 503 ") && !answer.contains("never-begun"), "{method}: {answer}");
    }
    fs::write(service.setup().path(JOURNAL), begin_line("op-1")).unwrap();
    drop(lock);
    assert_eq!(body(&service.get("/operations/op-1"))["state"], "running");
}
