//! Answering Proxmox's API on a node: what the daemon does for each request, without HTTP.
//!
//! Reads take no lock, as Proxmox's don't. A write takes Proxmox's lock, then ours; it goes into
//! `interfaces.new` as one journaled operation, under the id that the caller gave it. Whatever happens, the
//! answer says whether something was touched, so that a caller may ask Perl instead only where nothing was.

use history::Operation;
use history::journal::Backend;
use host::{Command, Error, Result};
use model::proxmox::Kind;
use phase::{Phase, What, allows};
use serde_json::json;

use crate::answer::{Served, Touched};
use crate::api::{self, Machine, Plan, Refusal, Request, Sight};
use crate::fate::{Fate, TOOL, fate};
use crate::files::{INTERFACES, PENDING, before_and_after, content, proxmox_lock};
use crate::{Node, links, reload};

/// What the cluster's SDN configuration that is in force lies in.
const SDN: &str = "/etc/pve/sdn/.running-config";

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
    let pending = content(node, PENDING)?;
    let changes = match (&pending, request.method, request.iface) {
        (Some(_), "GET", None) => changes(node)?,
        _ => None,
    };
    let current = match pending {
        Some(bytes) => bytes,
        None => content(node, INTERFACES)?.unwrap_or_default(),
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
    match node.migration() {
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
