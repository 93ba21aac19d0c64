//! Answering Proxmox's API on a node: what the daemon does for each request, without HTTP.
//!
//! Reads take no lock, as Proxmox's don't. A write takes Proxmox's lock, then ours; it goes into
//! `interfaces.new` as one journaled operation, under the id that the caller gave it. Whatever happens, the
//! answer says whether something was touched, so that a caller may ask Perl instead only where nothing was.

use std::collections::BTreeMap;

use history::journal::{Backend, Event, Outcome, Written};
use history::{Operation, PathText, Store, digest_at};
use host::{Command, Error, Result, files};
use model::proxmox::Kind;
use phase::{Phase, What, allows, read_migration};
use serde_json::{Value as Json, json};

use crate::api::{self, Machine, Plan, Refusal, Request, Sight};
use crate::legacy::{INTERFACES, PENDING, before_and_after, proxmox_lock};
use crate::{Node, links, reload};

/// What the daemon is called in the journal.
pub const TOOL: &str = "pve-network-rs-daemon";

/// The larger a file, the less it is a network configuration; in bytes.
const MAX_SIZE: u64 = 16 << 20;

/// What the cluster's SDN configuration that is in force lies in.
const SDN: &str = "/etc/pve/sdn/.running-config";

/// What an answer says of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touched {
    /// Proven: they are as they were. Perl may be asked instead.
    Nothing,
    /// They are as they were, and this is the answer: Proxmox's own refusal, in Proxmox's words, or one for a hole of
    /// Proxmox's.
    Refused,
    /// What was asked for is in them, durably.
    Done,
    /// Nobody can tell from this answer; [`fate`] may.
    Unknown,
}

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// The HTTP status.
    pub status: u16,
    /// Proxmox's body.
    pub body: Json,
    /// What it says of the files.
    pub touched: Touched,
}

impl Served {
    fn nothing(status: u16, body: Json) -> Self {
        Self { status, body, touched: Touched::Nothing }
    }

    /// Rust does not answer this; nothing was touched.
    pub fn not_handled(why: impl std::fmt::Display) -> Self {
        Self::nothing(501, json!({"data": null, "message": format!("not handled by Rust: {why}\n")}))
    }

    /// Rust can't or may not answer this now; nothing was touched.
    pub fn not_now(why: impl std::fmt::Display) -> Self {
        Self::nothing(503, json!({"data": null, "message": format!("{why}\n")}))
    }
}

impl From<Refusal> for Served {
    fn from(refusal: Refusal) -> Self {
        Self { status: refusal.status, body: refusal.body(), touched: Touched::Refused }
    }
}

/// Answers one request. `operation` names a write in the journal. May block: for Proxmox's lock 10 s, for ours 30 s,
/// and as long as `/etc/pve` does.
pub fn serve(node: &Node, request: &Request<'_>, operation: &str) -> Served {
    if request.node != node.store.node {
        return Served::not_handled(format!("this is node {}, not {}", node.store.node, request.node));
    }
    if request.method == "GET" {
        return read(node, request).unwrap_or_else(failed);
    }
    write(node, request, operation).unwrap_or_else(failed)
}

/// Before anything was touched.
fn failed(error: Error) -> Served {
    Served { touched: Touched::Nothing, ..Refusal::failed(error.to_string()).into() }
}

fn read(node: &Node, request: &Request<'_>) -> Result<Served> {
    let effective = node.switch.effective();
    if !allows(What::Read, effective.phase) {
        return Ok(Served::not_now(format!("this node is at {effective}: Rust answers from rust-read-only on")));
    }
    Ok(match look(node, request)? {
        Plan::Answer(body) => Served::nothing(200, body),
        Plan::Refused(refusal) => refusal.into(),
        Plan::NotHandled(why) => Served::not_handled(why),
        Plan::Write { .. } | Plan::Reload => Served::not_handled("no read"),
    })
}

/// What the files and the kernel say of a request.
fn look(node: &Node, request: &Request<'_>) -> Result<Plan> {
    let root = &node.store.root;
    let content = |path: &str| files::read_plain(&root.path(path), MAX_SIZE);
    let pending = content(PENDING)?;
    let changes = match (&pending, request.method, request.iface) {
        (Some(_), "GET", None) => changes(node)?,
        _ => None,
    };
    let current = match pending {
        Some(bytes) => bytes,
        None => content(INTERFACES)?.unwrap_or_default(),
    };
    let sdn = std::fs::metadata(root.path(SDN)).is_ok_and(|meta| meta.len() > 0);
    let ovs = root.path("/usr/bin/ovs-vsctl").exists();
    let links = links::read(root)?;
    let sight = Sight { current: &current, changes: changes.as_deref(), links: &links, machine: Machine { ovs }, sdn };
    Ok(api::plan(request, &sight))
}

/// What is pending, as Proxmox's API shows it: by the same program.
fn changes(node: &Node) -> Result<Option<String>> {
    let path = |path: &str| node.store.root.path(path).display().to_string();
    let out = Command::new("diff").args(["-b", "-N", "-u", &path(INTERFACES), &path(PENDING)]).run()?;
    Ok(Some(out.stdout).filter(|text| !text.is_empty()))
}

fn write(node: &Node, request: &Request<'_>, operation: &str) -> Result<Served> {
    let effective = node.switch.effective();
    if !allows(What::WriteInterface, effective.phase) {
        return Ok(Served::not_now(format!("this node is at {effective}: Rust writes from rust-basic-write on")));
    }
    match read_migration(&node.switch.root.path(&node.switch.migration)) {
        Ok(Some(migration)) if migration.features.rust_daemon => {}
        Ok(_) => return Ok(Served::not_now("the feature rust_daemon is off")),
        Err(error) => return Ok(Served::not_now(error)),
    }
    let lock = match proxmox_lock(node) {
        Ok(lock) => lock,
        Err(error) => return Ok(Served::not_now(error)),
    };
    let (pending, kinds) = match look(node, request)? {
        Plan::Write { pending, kinds } => (pending, kinds),
        Plan::Answer(body) => return Ok(Served::nothing(200, body)),
        Plan::Refused(refusal) => return Ok(refusal.into()),
        Plan::NotHandled(why) => return Ok(Served::not_handled(why)),
        Plan::Reload => {
            // Who carries it out takes it.
            drop(lock);
            return Ok(reload::ask(node, operation));
        }
    };
    if let Some(what) = kinds.iter().map(|kind| needs(*kind)).find(|what| !allows(*what, effective.phase)) {
        let least = what.least_phase();
        return Ok(Served::not_now(format!("this node is at {effective}: Rust does this from {least} on")));
    }
    if request.method == "DELETE"
        && let Some(text) = &pending
        && let Err(lost) = stays_reachable(node, text.as_bytes())
    {
        return Ok(Refusal::of("iface", format!("{lost} (PVN046); change it first, or use pvenet on the node")).into());
    }
    let done = put(node, effective.phase, operation, pending);
    drop(lock);
    Ok(match done {
        Ok(()) => Served { status: 200, body: json!({"data": null}), touched: Touched::Done },
        Err(error) => {
            // It is over; whether it went back the journal says.
            let touched = match fate(&node.store, operation) {
                Ok(Fate::NeverBegun | Fate::RolledBack(_)) => Touched::Nothing,
                _ => Touched::Unknown,
            };
            Served { touched, ..failed(error) }
        }
    })
}

/// What a phase has to allow for a change of an interface of this type.
fn needs(kind: Kind) -> What {
    match kind {
        Kind::Bridge => What::WriteBridge,
        Kind::Bond => What::WriteBond,
        Kind::Vlan | Kind::Vxlan => What::WriteVlan,
        Kind::OvsBridge | Kind::OvsBond | Kind::OvsPort | Kind::OvsIntPort => What::WriteOvs,
        Kind::Vnet | Kind::Fabric => What::WriteSdn,
        Kind::Eth | Kind::Alias | Kind::Loopback | Kind::Dummy | Kind::Unknown => What::WriteInterface,
    }
}

/// Against what runs now: an apply would cut off the node or a guest.
fn stays_reachable(node: &Node, text: &[u8]) -> Result<()> {
    let present = history::snapshot::present(&node.store, true)?;
    let (before, mut after) = before_and_after(&present);
    after.insert(INTERFACES, text.to_vec());
    history::restore::stays_reachable(&node.store, &before, &after)
}

fn put(node: &Node, phase: Phase, id: &str, pending: Option<String>) -> Result<()> {
    let mut operation = Operation::begin(&node.store, Backend::Rust, TOOL, &phase.to_string())?.named(id);
    operation.stage(PENDING, pending.map(String::into_bytes))?;
    operation.commit().map(drop)
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The journal does not know it: it changed nothing.
    NeverBegun,
    /// It began, and nobody has written how it ended.
    Open(BTreeMap<PathText, Written>),
    /// It is done; these paths it changed.
    Done(Vec<PathText>),
    /// It was taken back, and changed nothing.
    RolledBack(Vec<PathText>),
    /// It failed and could not be taken back.
    Failed(Vec<PathText>),
}

/// What the journal says of an operation.
///
/// # Errors
/// The journal can't be read, or holds lines that can't be read: then nobody knows.
pub fn fate(store: &Store, id: &str) -> Result<Fate> {
    let journal = store.journal();
    let Some(contents) = journal.read()? else { return Ok(Fate::NeverBegun) };
    let mut fate = Fate::NeverBegun;
    for event in contents.events {
        match event {
            Event::Begin { id: found, paths, .. } if found == id => fate = Fate::Open(paths),
            Event::End { id: found, outcome, .. } if found == id => {
                let paths = match fate {
                    Fate::Open(paths) => paths.into_keys().collect(),
                    Fate::Done(paths) | Fate::RolledBack(paths) | Fate::Failed(paths) => paths,
                    Fate::NeverBegun => Vec::new(),
                };
                fate = match outcome {
                    Outcome::Done => Fate::Done(paths),
                    Outcome::RolledBack => Fate::RolledBack(paths),
                    Outcome::Failed => Fate::Failed(paths),
                };
            }
            _ => {}
        }
    }
    if fate == Fate::NeverBegun && contents.damaged > 0 {
        let lines = contents.damaged;
        return Err(Error::new(format!("{} lines of {} can't be read", lines, journal.path().display())));
    }
    Ok(fate)
}

/// The same for who gives up on the operation: that it never began is asked for with the lock that a writer holds until
/// its line is written. A reload for a daemon that has died meanwhile may be about to begin.
///
/// # Errors
/// [`fate`]'s; another writer holds the lock for a second, and then nobody knows.
pub fn settled_fate(store: &Store, id: &str) -> Result<Fate> {
    let mut found = fate(store, id)?;
    if matches!(found, Fate::Open(_)) {
        settle(store)?;
        found = fate(store, id)?;
    }
    if found == Fate::NeverBegun {
        let _lock = store.lock(std::time::Duration::from_secs(1))?;
        found = fate(store, id)?;
    }
    Ok(found)
}

/// Writes the end of operations of the daemon that a killed daemon left open: what the files hold says which. Returns
/// how many.
///
/// # Errors
/// Another writer holds the lock for 30 s, or the journal can't be read or written.
pub fn settle(store: &Store) -> Result<usize> {
    let _lock = store.lock(std::time::Duration::from_secs(30))?;
    let Some(contents) = store.journal().read()? else { return Ok(0) };
    let begun = contents.operations(|e| matches!(e, Event::Begin { tool, .. } if tool == TOOL));
    let mut settled = 0;
    for id in begun {
        let Fate::Open(paths) = fate(store, &id)? else { continue };
        let holds = |path: &PathText, digest: &str| {
            store.root.resolve(path).and_then(|real| digest_at(&real)).is_ok_and(|now| now == digest)
        };
        let outcome = if paths.iter().all(|(path, written)| holds(path, &written.after)) {
            Outcome::Done
        } else if paths.iter().all(|(path, written)| holds(path, &written.before)) {
            Outcome::RolledBack
        } else {
            Outcome::Failed
        };
        store.journal().append(&Event::End { id, time: store.clock.now().seconds(), duration_ms: 0, outcome })?;
        settled += 1;
    }
    Ok(settled)
}
