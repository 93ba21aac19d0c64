//! A stand-in for the API daemon: the protocol that the middleware relies on, over a real journal and real
//! files, and every way to fail on demand. Tests start it as a process of its own, so that it can be killed.
//!
//! `stand-in-daemon ROOT`: how it behaves it reads from `ROOT/behaviour` at each request.
#![allow(clippy::unwrap_used, reason = "a rig of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use history::Store;
use history::journal::{Backend, Event, Outcome, Written};
use host::Root;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;

struct Daemon {
    root: PathBuf,
    store: Store,
    fenced: Mutex<BTreeSet<String>>,
    running: Mutex<BTreeSet<String>>,
}

fn main() {
    let root = PathBuf::from(std::env::args().nth(1).unwrap());
    let store = network::Node::at(&Root::at(&root)).unwrap().store;
    store.prepare().unwrap();
    drop(store.make_lock(Duration::from_secs(5)).unwrap());
    store.journal().ensure().unwrap();
    let socket = root.join("run/pve-network-rs/api.sock");
    let _ = std::fs::remove_file(&socket);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    std::fs::create_dir_all(root.join("etc/network")).unwrap();
    let daemon = Arc::new(Daemon { root, store, fenced: Mutex::default(), running: Mutex::default() });
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let daemon = daemon.clone();
            tokio::spawn(async move {
                let how = std::fs::read_to_string(daemon.root.join("behaviour")).unwrap_or_default();
                match how.trim() {
                    "garbled" => {
                        use tokio::io::{AsyncReadExt, AsyncWriteExt};
                        let mut stream = stream;
                        let _ = stream.read(&mut [0; 4096]).await;
                        let _ = stream.write_all(b"I do not speak HTTP\r\n\r\n").await;
                        return;
                    }
                    "hang-up" => return,
                    _ => {}
                }
                let service = service_fn(move |request| {
                    let daemon = daemon.clone();
                    async move { answer(daemon, request).await }
                });
                let _ =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
}

type Answer = Response<Full<Bytes>>;

/// An error closes the connection without an answer.
async fn answer(daemon: Arc<Daemon>, request: Request<Incoming>) -> Result<Answer, std::io::Error> {
    let how = std::fs::read_to_string(daemon.root.join("behaviour")).unwrap_or_default();
    let how = how.trim().to_owned();
    let path = request.uri().path().to_owned();
    let method = request.method().clone();
    let id = request.headers().get("pve-network-operation").map(|v| v.to_str().unwrap().to_owned());
    request.into_body().collect().await.map_err(std::io::Error::other)?;
    if let Some(rest) = path.strip_prefix("/operations/") {
        if how == "deaf" {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        return Ok(operation(&daemon, rest, &method));
    }
    let broken = || Err(std::io::Error::other("as asked"));
    if method == Method::GET {
        return match how.as_str() {
            "slow-before" | "slow-after" | "deaf" => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                broken()
            }
            "reset-before" | "reset-begun" | "reset-after" => broken(),
            "die-before" | "die-begun" => die(),
            "panic" => panic!("as asked"),
            _ => {
                Ok(failure(&how).unwrap_or_else(|| plain(200, "nothing", r#"{"data":[{"iface":"eno1","by":"rust"}]}"#)))
            }
        };
    }
    let Some(id) = id else { return Ok(plain(400, "nothing", r#"{"data":null,"message":"no operation id"}"#)) };
    match how.as_str() {
        "reset-before" => return broken(),
        "die-before" => die(),
        "panic" => panic!("as asked"),
        "slow-before" => tokio::time::sleep(Duration::from_secs(1)).await,
        "deaf" => tokio::time::sleep(Duration::from_secs(60)).await,
        _ => {}
    }
    if let Some(failure) = failure(&how) {
        return Ok(failure);
    }
    // As the real one: in a task of its own.
    let task = tokio::spawn(write(daemon, id, how.clone()));
    if how == "reset-begun" {
        return broken();
    }
    let answer = task.await.map_err(std::io::Error::other)?;
    match how.as_str() {
        "slow-after" => {
            tokio::time::sleep(Duration::from_secs(60)).await;
            broken()
        }
        "reset-after" => broken(),
        "500-done" => Ok(plain(500, "done", r#"{"data":null,"message":"it went back"}"#)),
        _ => Ok(answer),
    }
}

fn failure(how: &str) -> Option<Answer> {
    let body = |text: &str| format!(r#"{{"data":null,"message":"{text}"}}"#);
    match how {
        "500-nothing" => Some(plain(500, "nothing", &body("no"))),
        "500-silent" => Some(plain(500, "", &body("no"))),
        "501" => Some(plain(501, "nothing", &body("not handled"))),
        "503" => Some(plain(503, "nothing", &body("busy"))),
        "400" => Some(plain(400, "nothing", &body("Parameter verification failed."))),
        _ => None,
    }
}

async fn write(daemon: Arc<Daemon>, id: String, how: String) -> Answer {
    {
        // Begin or fence: one of them is first.
        let fenced = daemon.fenced.lock().unwrap();
        if fenced.contains(&id) {
            return plain(503, "nothing", r#"{"data":null,"message":"fenced"}"#);
        }
        daemon.running.lock().unwrap().insert(id.clone());
    }
    let _lock = daemon.store.lock(Duration::from_secs(5)).unwrap();
    let journal = daemon.store.journal();
    let file = daemon.root.join("etc/network/interfaces.new");
    let written = Written { before: "absent".into(), after: "file".into() };
    let paths = BTreeMap::from([(PathBuf::from("/etc/network/interfaces.new").into(), written)]);
    journal
        .append(&Event::Begin {
            id: id.clone(),
            time: 1,
            backend: Backend::Rust,
            tool: "stand-in".into(),
            phase: "rust-full".into(),
            snapshot: None,
            transaction: None,
            paths,
        })
        .unwrap();
    if how == "die-begun" {
        die();
    }
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(file).unwrap();
    writeln!(file, "{id}").unwrap();
    if how == "reset-begun" {
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    journal.append(&Event::End { id: id.clone(), time: 2, duration_ms: 5, outcome: Outcome::Done }).unwrap();
    daemon.running.lock().unwrap().remove(&id);
    plain(200, "done", r#"{"data":null}"#)
}

fn operation(daemon: &Daemon, rest: &str, method: &Method) -> Answer {
    let id = rest.trim_end_matches("/fence");
    let mut fenced = daemon.fenced.lock().unwrap();
    let journal = daemon.store.journal().read().unwrap().unwrap();
    let begun = journal.events.iter().any(|e| matches!(e, Event::Begin { id: found, .. } if found == id));
    let ended = journal.events.iter().any(|e| matches!(e, Event::End { id: found, .. } if found == id));
    let running = daemon.running.lock().unwrap().contains(id);
    let state = match (begun || running, ended) {
        (true, true) => "done",
        (true, false) => "running",
        (false, _) => {
            if *method == Method::POST {
                fenced.insert(id.to_owned());
            }
            "never-begun"
        }
    };
    let changed = if begun { r#"["/etc/network/interfaces.new"]"# } else { "[]" };
    plain(200, "", &format!(r#"{{"schema_version":1,"id":"{id}","state":"{state}","changed":{changed}}}"#))
}

fn plain(status: u16, touched: &str, body: &str) -> Answer {
    let mut answer = Response::builder().status(status).header("content-type", "application/json;charset=UTF-8");
    if !touched.is_empty() {
        answer = answer.header("pve-network-touched", touched);
    }
    answer.body(Full::new(Bytes::from(body.to_owned()))).unwrap()
}

fn die() -> ! {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}
