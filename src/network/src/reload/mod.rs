//! A reload at the API. The daemon, which may do next to nothing, hands the operation's id over a socket to a
//! process that systemd starts for it, and which applies as `pvenet apply` does.
//!
//! ```text
//!   daemon                                pvenet reload
//!     │ id ───────────────────────────────► │ may it, what is pending, is it good, the locks
//!     │ ◄──────────────────────────── ready │ while it holds the lock of the journal
//!     │ id ───────────────────────────────► │ somebody waits: snapshot, guardian, journal, files
//!     │ ◄────────────────────── begun, UPID │ ifreload begins; the daemon answers
//! ```
//!
//! Nothing is begun for a daemon that is dead. Who finds no line of an operation in the journal, holding its lock, and
//! knows that the daemon is dead, asks Perl. So the helper asks while it holds that lock itself: an answer shows that
//! the daemon was alive then, and whoever takes the lock after that daemon's death finds the line.

mod helper;
mod task;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use host::{Error, IoContext, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Node;
use crate::answer::{Served, Touched};
use crate::api::Refusal;
use crate::fate::{Fate, fate};

pub use helper::run;

/// Where systemd listens for the daemon.
pub const SOCKET: &str = "/run/pve-network-reload.sock";

/// For each of the helper's lines. It waits for three locks, for a snapshot and for its guardian.
const PATIENCE: Duration = Duration::from_secs(100);

/// For the journal, once the helper is lost.
const LOCK: Duration = Duration::from_secs(10);

/// Bytes of a line.
const LONGEST: usize = 64 * 1024;

/// What the helper tells, a line of JSON each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "kebab-case")]
enum Told {
    /// It holds the locks, and waits for the id a second time.
    Ready,
    /// The files are written and ifreload begins.
    Begun { upid: String },
    /// It will not, and this is the answer; the files are as they were.
    Refused { why: String },
    /// It may not or can't now; nothing was touched.
    NotNow { why: String },
    /// It failed before it touched anything.
    Failed { why: String },
    /// It failed, and part of it may be there.
    Unknown { why: String },
}

/// Whether this can be an operation's id.
pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Has operation `id` done, and answers once its files are written and ifreload begins.
pub fn ask(node: &Node, id: &str) -> Served {
    let path = node.store.root.path(SOCKET);
    let Ok(stream) = UnixStream::connect(&path) else {
        return Served::not_handled(format!(
            "a reload, for which systemd listens at {} or nobody does",
            path.display()
        ));
    };
    let told = talk(&stream, id);
    // From here on the helper waits for nobody that will answer.
    drop(stream);
    match told {
        Ok(told) => told.into(),
        Err(error) => lost(node, id, &error),
    }
}

fn talk(mut stream: &UnixStream, id: &str) -> Result<Told> {
    let doing = || "cannot ask for a reload";
    stream.set_read_timeout(Some(PATIENCE)).doing(doing)?;
    stream.set_write_timeout(Some(PATIENCE)).doing(doing)?;
    loop {
        stream.write_all(format!("{id}\n").as_bytes()).doing(doing)?;
        let text = line(stream, LONGEST).map_err(|e| e.context("pvenet reload gave no answer"))?;
        match serde_json::from_str(&text) {
            Ok(Told::Ready) => {}
            Ok(told) => return Ok(told),
            Err(error) => return Err(Error::new(format!("pvenet reload: not understood: {error}"))),
        }
    }
}

/// A line without its end, of at most so many bytes.
fn line(mut stream: &UnixStream, longest: usize) -> Result<String> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while stream.read(&mut byte).doing(|| "cannot read the other side")? == 1 {
        match byte[0] {
            b'\n' => return String::from_utf8(bytes).map_err(|_| Error::new("what it says is not UTF-8")),
            _ if bytes.len() == longest => return Err(Error::new(format!("it says more than {longest} bytes"))),
            byte => bytes.push(byte),
        }
    }
    Err(Error::new("it hung up"))
}

impl From<Told> for Served {
    fn from(told: Told) -> Self {
        let failed = |why, touched| Served { touched, ..Refusal::failed(why).into() };
        match told {
            Told::Begun { upid } => Served { status: 200, body: json!({"data": upid}), touched: Touched::Done },
            Told::Refused { why } => failed(why, Touched::Refused),
            Told::NotNow { why } => Served::not_now(why),
            Told::Failed { why } => failed(why, Touched::Nothing),
            Told::Unknown { why } => failed(why, Touched::Unknown),
            Told::Ready => failed("pvenet reload ended early".to_owned(), Touched::Unknown),
        }
    }
}

/// The helper is gone, or says nothing. It has got no second id from us after we hung up, so what the journal does
/// not know by now it will never know; unless the helper holds the lock, and then nobody can tell.
fn lost(node: &Node, id: &str, error: &Error) -> Served {
    let known = node.store.lock(LOCK).and_then(|_lock| fate(&node.store, id));
    match known {
        Ok(Fate::NeverBegun) => Served::not_now(error),
        Ok(Fate::RolledBack(_)) => Told::Refused { why: format!("{error}; what it wrote was taken back") }.into(),
        _ => Told::Unknown { why: error.to_string() }.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_short_and_plain() {
        assert!(is_id("20261125-000000-12-0"));
        for bad in ["", "a/b", "a b", "ä", "../x", &"a".repeat(65)] {
            assert!(!is_id(bad), "{bad}");
        }
    }

    #[test]
    fn what_the_helper_tells_becomes_proxmox_s_answer() {
        let why = || "why".to_owned();
        let cases = [
            (Told::Begun { upid: "UPID:x:".into() }, 200, Touched::Done),
            (Told::Refused { why: why() }, 500, Touched::Refused),
            (Told::NotNow { why: why() }, 503, Touched::Nothing),
            (Told::Failed { why: why() }, 500, Touched::Nothing),
            (Told::Unknown { why: why() }, 500, Touched::Unknown),
        ];
        for (told, status, touched) in cases {
            let text = serde_json::to_string(&told).unwrap();
            let read: Told = serde_json::from_str(&text).unwrap();
            assert_eq!(read, told);
            let served = Served::from(told);
            assert_eq!((served.status, served.touched), (status, touched), "{text}");
            match status {
                200 => assert_eq!(served.body, json!({"data": "UPID:x:"})),
                _ => assert_eq!(served.body, json!({"data": null, "message": "why\n"})),
            }
        }
    }

    #[test]
    fn a_line_ends_and_is_bounded() {
        let said = |text: &str| {
            let (mut from, to) = UnixStream::pair().unwrap();
            from.write_all(text.as_bytes()).unwrap();
            drop(from);
            line(&to, 8).map_err(|error| error.to_string())
        };
        assert_eq!(said("12345678\nx"), Ok("12345678".to_owned()));
        assert_eq!(said("123456789\n"), Err("it says more than 8 bytes".to_owned()));
        assert_eq!(said("1234"), Err("it hung up".to_owned()));
        assert_eq!(said(""), Err("it hung up".to_owned()));
    }
}
