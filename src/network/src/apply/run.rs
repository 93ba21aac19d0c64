//! The loop that does what was planned.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use history::journal::Backend;
use history::{Operation, Prepared, state};
use host::{Error, Kind, Result, Turn};

use super::decide::{Move, Who, Why, decide};
use super::plan::{Plan, Source};
use super::probe::{self, Role, Target};
use super::record::{Record, State, Wish};
use super::wanted::wrong;
use super::{TOOL, back, boot_id, facts, guardian, ifreload, mend, now_ms};
use crate::Node;
use crate::files::proxmox_lock;
use crate::kernel::Kernel;

/// How long a second apply waits for one that is just ending.
const TURN: Duration = Duration::from_secs(1);

/// How long the kernel may take until it shows what ifreload has set.
const SETTLE: Duration = Duration::from_secs(3);

/// How long a guardian that was killed may take to be there again.
const UNGUARDED: Duration = Duration::from_secs(2);

/// How often a waiting apply looks round.
const PAUSE: Duration = Duration::from_millis(50);

/// How to apply.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What.
    pub source: Source,
    /// Seconds in which a person has to confirm; none: the checks decide alone.
    pub confirm: Option<u64>,
    /// Whether it may lose the management address or a guest's bridge.
    pub allow_cut_off: bool,
    /// `SSH_CONNECTION` of the caller.
    pub ssh: Option<String>,
}

/// For whom it is done, where that is a program that waits.
pub struct Order<'a> {
    /// Names it in the journal.
    pub id: &'a str,
    /// Whether the program is there, asked while the journal's lock is held: if not, nothing is begun.
    pub waits: &'a dyn Fn() -> bool,
}

/// What an apply did.
#[derive(Debug)]
pub struct Applied {
    /// Its record, which says `confirmed`.
    pub record: Record,
    /// In milliseconds, waiting included.
    pub duration_ms: u64,
    /// Of these, how many ifreload itself took.
    pub reload_ms: u64,
}

/// How far it is, for a person.
#[derive(Debug)]
pub enum Progress<'a> {
    /// No other apply is under way; others may be writing.
    Turn,
    /// The snapshot is taken and the guardian is there.
    Armed(&'a Record),
    /// ifreload runs.
    Reloading,
    /// ifreload ended well, and complained.
    Complaint(&'a str),
    /// A guest's port was taken from its bridge and is back.
    Mended(String),
    /// The kernel has what was wanted; these are asked now.
    Asking(&'a [Target]),
    /// So many seconds are left.
    Waiting(u64),
    /// It goes back.
    Back(String),
}

impl std::fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Turn => f.write_str("no other apply is under way"),
            Self::Armed(record) => write!(f, "snapshot {}, guardian started", record.snapshot),
            Self::Reloading => f.write_str("ifreload -a"),
            Self::Complaint(line) => f.write_str(line),
            Self::Mended(what) => write!(f, "put right after ifreload: {what}"),
            Self::Asking([]) => f.write_str("the kernel has what was wanted"),
            Self::Asking(targets) => {
                let all: Vec<String> = targets.iter().map(ToString::to_string).collect();
                write!(f, "the kernel has what was wanted; asking {}", all.join("; "))
            }
            Self::Waiting(left) => write!(f, "{left} s left"),
            Self::Back(why) => write!(f, "going back: {why}"),
        }
    }
}

/// Who is to be asked afterwards, if they can be reached now.
pub fn candidates(node: &Node, asked: &Asked, plan: &Plan, kernel: &Kernel) -> Vec<Target> {
    let mut all = probe::targets(&node.store.root, &node.store.node, kernel, asked.ssh.as_deref());
    // A session on an address that is to go can't stay.
    let own = asked.ssh.as_deref().and_then(probe::ssh).map(|(_, own)| own);
    let stays = |own: IpAddr| plan.new.devices.values().any(|w| w.addresses.iter().any(|(ip, _)| *ip == own));
    all.retain(|t| t.role != Role::Ssh || !asked.allow_cut_off || own.is_some_and(stays));
    all
}

/// Those of them that can be reached now.
fn targets(node: &Node, asked: &Asked, plan: &Plan, kernel: &Kernel) -> Result<Vec<Target>> {
    let mut all = candidates(node, asked, plan, kernel);
    let silent = probe::silent(&all, kernel, probe::BEFORE)?;
    all.retain(|target| !silent.contains(target));
    Ok(all)
}

/// Who is to be asked afterwards: whoever answered before, a default gateway only if it still is one; and each gateway
/// that was none before. One that was silent before, and is what it was, proves nothing.
fn to_ask(answered: &[Target], before: &Kernel, now: &Kernel) -> Vec<Target> {
    let (old, new): (Vec<_>, Vec<_>) = (probe::gateways(before).collect(), probe::gateways(now).collect());
    let mut out: Vec<Target> = answered.to_vec();
    out.retain(|target| target.role != Role::Gateway || new.contains(target));
    out.extend(new.into_iter().filter(|gateway| !old.contains(gateway)));
    out
}

/// Applies what was planned.
///
/// # Errors
/// [`Kind::Refused`]: another apply is under way, the package is being removed, who ordered it is gone. Anything that
/// went wrong afterwards: the network is then as it was, or the message says what is not.
pub fn run(
    node: &Node,
    plan: &Plan,
    asked: &Asked,
    order: Option<&Order<'_>>,
    tell: &mut dyn FnMut(&Progress<'_>),
) -> Result<Applied> {
    let began = Instant::now();
    let store = &node.store;
    store.prepare()?;
    let turn = guardian::turn(store)?;
    take(node, &turn)?;
    tell(&Progress::Turn);
    let proxmox = proxmox_lock(node)?;
    let again = Plan::make(node, &asked.source, asked.allow_cut_off)?;
    if (&again.changes, &again.before) != (&plan.changes, &plan.before) {
        let what = "the configuration was changed since it was looked at";
        return Err(Error::of(Kind::Refused, what).way_out("look again"));
    }
    again.allowed()?;
    let before = Kernel::read()?;
    let targets = targets(node, asked, &again, &before)?;
    let phase = node.switch.effective().phase.to_string();
    // What a snapshot holds was somebody's before: it is not Rust's work.
    let backend = if asked.source == Source::Pending { Backend::Rust } else { Backend::Restore };
    let mut operation = Operation::begin(store, backend, TOOL, &phase)?;
    if let Some(Order { id, waits }) = order {
        // With the lock, not before it: who reads the journal once the program is dead has to find this apply.
        if !waits() {
            return Err(Error::of(Kind::Refused, format!("who asked for {id} is gone")).way_out("nothing was changed"));
        }
        operation = operation.named(id);
    }
    for (path, content) in again.changes {
        operation.stage(path, content)?;
    }
    let prepared = operation.prepare(true)?.ok_or_else(|| Error::new("the operation has no id"))?;
    let mut record = Record {
        format: state::FORMAT,
        id: prepared.id.clone(),
        state: State::Armed,
        reached: State::Armed,
        why: None,
        notes: Vec::new(),
        started: store.clock.now().seconds(),
        ended: None,
        boot: boot_id(store),
        deadline: now_ms() + 30_000,
        confirm: asked.confirm,
        phase,
        source: again.source,
        pid: std::process::id(),
        snapshot: prepared.snapshot.clone(),
        paths: prepared.paths(),
        old: again.old,
        new: again.new,
        before,
        targets,
    };
    record.write(store)?;
    let mut reload_ms = 0;
    let done = guardian::start(store, &record.id).map_err(Turned::Error).and_then(|guard| {
        Wish::forget(store).map_err(Turned::Error)?;
        tell(&Progress::Armed(&record));
        let mut attempt = Attempt { node, record: &mut record, guard, lost: None, tell: &mut *tell };
        let result = attempt.forward(prepared, proxmox, &mut reload_ms);
        let took = began.elapsed();
        result.and_then(|()| attempt.keep(took))
    });
    match done {
        Ok(()) => {
            // Its guardian sees that it is over, and tidies up.
            let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            Ok(Applied { record, duration_ms, reload_ms })
        }
        Err(turned) => Err(turn_back(node, &mut record, turned, tell)),
    }
}

/// Why an attempt turned back.
enum Turned {
    Error(Error),
    Because(Why),
}

impl std::fmt::Display for Turned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Error(error) => write!(f, "{error}"),
            Self::Because(why) => f.write_str(why.text()),
        }
    }
}

/// The turn, or why not. An apply that was left open goes back first, and then somebody should look.
fn take(node: &Node, turn: &Turn) -> Result<()> {
    let store = &node.store;
    let begin = Instant::now();
    while !turn.take()? {
        if begin.elapsed() > TURN {
            let what = match Record::read(store)? {
                Some(record) if !record.state.is_end() => {
                    format!("apply {} of process {} is under way ({})", record.id, record.pid, record.state.name())
                }
                _ => "another apply is under way".to_owned(),
            };
            return Err(Error::of(Kind::Refused, what)
                .way_out("pvenet status shows it; pvenet confirm or pvenet rollback ends it"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let Some(mut record) = Record::read(store)?.filter(|record| !record.state.is_end()) else { return Ok(()) };
    let why = match decide(Who::Visitor, &facts(store, &record, true, false)) {
        Move::Back(why) => why,
        _ => Why::Killed,
    };
    back::go(node, &mut record, why.text())?;
    let what = format!("apply {} was left open ({}) and has been taken back", record.id, why.text());
    Err(Error::new(what).way_out("look at pvenet status, then apply again"))
}

/// Goes back, and says so in one line.
fn turn_back(node: &Node, record: &mut Record, turned: Turned, tell: &mut dyn FnMut(&Progress<'_>)) -> Error {
    let why = turned.to_string();
    tell(&Progress::Back(why.clone()));
    let wrote = record.state != State::Armed;
    let kind = match &turned {
        Turned::Error(error) => error.kind(),
        Turned::Because(_) => Kind::Failed,
    };
    if let Err(error) = back::go(node, record, &why) {
        return Error::new(format!("{why}; going back failed as well: {error}"))
            .way_out("its guardian goes on trying; pvenet status shows how it stands");
    }
    let wrong: Vec<&String> =
        record.notes.iter().filter(|n| n.starts_with("still wrong") || n.contains("could not")).collect();
    let error = Error::of(kind, why);
    match wrong.as_slice() {
        [] if !wrote => error.way_out("nothing was changed"),
        [] => error
            .way_out(format!("the network is as it was; what was to be applied is in snapshot {}", record.snapshot)),
        [first, ..] => error.way_out(format!("the files are as they were, the network is not: {first}")),
    }
}

struct Attempt<'a, 'b> {
    node: &'a Node,
    record: &'a mut Record,
    guard: Turn,
    lost: Option<Instant>,
    tell: &'b mut dyn FnMut(&Progress<'_>),
}

impl Attempt<'_, '_> {
    fn enter(&mut self, state: State, patience: Duration) -> Result<(), Turned> {
        let deadline = now_ms() + u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
        self.record.enter(&self.node.store, state, deadline).map_err(Turned::Error)
    }

    /// Whether it may go on.
    fn look(&mut self) -> Result<Move, Turned> {
        let guarded = self.guard.is_taken().map_err(Turned::Error)?;
        let lost = if guarded { None } else { Some(*self.lost.get_or_insert_with(Instant::now)) };
        self.lost = lost;
        let guarded = lost.is_none_or(|since| since.elapsed() < UNGUARDED);
        match decide(Who::Applier, &facts(&self.node.store, self.record, true, guarded)) {
            Move::Back(why) => Err(Turned::Because(why)),
            other => Ok(other),
        }
    }

    fn forward(
        &mut self,
        prepared: Prepared<'_>,
        proxmox: Option<host::Lock>,
        reload_ms: &mut u64,
    ) -> Result<(), Turned> {
        self.enter(State::Written, Duration::from_secs(30))?;
        prepared.write().map_err(Turned::Error)?;
        // Others may write again: what they change is seen, and left to them.
        drop(prepared);
        drop(proxmox);
        self.look()?;
        self.enter(State::Reloaded, Duration::from_secs(ifreload::PATIENCE + 20))?;
        (self.tell)(&Progress::Reloading);
        let began = Instant::now();
        let (reloaded, mended) = ifreload::run_and_mend(&self.record.old, &self.record.new, &self.record.before);
        *reload_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        for order in mended {
            (self.tell)(&Progress::Mended(order.to_string()));
        }
        // Also when it failed: guests come first.
        self.ports().map_err(Turned::Error)?;
        for complaint in reloaded.map_err(Turned::Error)? {
            (self.tell)(&Progress::Complaint(&complaint));
            self.record.notes.push(complaint);
        }
        self.look()?;
        self.enter(State::Checked, SETTLE + probe::AFTER + Duration::from_secs(20))?;
        let kernel = self.settled()?;
        let targets = to_ask(&self.record.targets, &self.record.before, &kernel);
        (self.tell)(&Progress::Asking(&targets));
        let silent = probe::silent(&targets, &kernel, probe::AFTER).map_err(Turned::Error)?;
        if let Some(first) = silent.first() {
            return Err(Turned::Error(Error::new(format!(
                "{first} does not answer within {} s",
                probe::AFTER.as_secs()
            ))));
        }
        self.look().map(drop)
    }

    /// Gives guests' ports their bridge back where ifupdown2 took it.
    fn ports(&mut self) -> Result<()> {
        let now = Kernel::read()?;
        let orders = mend::lost_ports(&self.record.old, &self.record.new, &self.record.before, &now);
        let failed = ifreload::carry_out(&orders, &self.record.before)?;
        for order in &orders {
            (self.tell)(&Progress::Mended(order.to_string()));
        }
        match failed.into_iter().next() {
            None => Ok(()),
            Some(line) => Err(Error::new(line)),
        }
    }

    /// The kernel once it has what was wanted.
    fn settled(&mut self) -> Result<Kernel, Turned> {
        let began = Instant::now();
        loop {
            let kernel = Kernel::read().map_err(Turned::Error)?;
            let record = &*self.record;
            let wrong = wrong(&record.old, &record.new, &record.before, &kernel);
            let ports = mend::lost_ports(&record.old, &record.new, &record.before, &kernel);
            if wrong.is_empty() && ports.is_empty() {
                return Ok(kernel);
            }
            if began.elapsed() > SETTLE {
                let lines: Vec<String> =
                    wrong.into_iter().chain(ports.iter().map(|o| format!("not {o}"))).take(3).collect();
                let what = format!("the network is not what was wanted: {}", lines.join("; "));
                return Err(Turned::Error(Error::new(what)));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Waits for a person where one is asked for, and keeps it.
    fn keep(&mut self, took: Duration) -> Result<(), Turned> {
        if let Some(seconds) = self.record.confirm {
            self.enter(State::Waiting, Duration::from_secs(seconds))?;
            let mut shown = None;
            loop {
                let left = super::seconds_left(self.record);
                if shown != Some(left) {
                    (self.tell)(&Progress::Waiting(left));
                    shown = Some(left);
                }
                match self.look()? {
                    Move::Confirm => break,
                    _ => std::thread::sleep(PAUSE),
                }
            }
        }
        // First in the journal: what is not in there as done, the next dpkg run would take back.
        history::finish(&self.node.store, &self.record.id, took).map_err(Turned::Error)?;
        self.enter(State::Confirmed, Duration::ZERO)?;
        let _ = Wish::forget(&self.node.store); // one for this apply, which is over
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Default as Route;

    #[test]
    fn a_gateway_that_was_silent_before_proves_nothing_and_a_new_one_has_to_answer() {
        let ip = |n: u8| IpAddr::from([192, 0, 2, n]);
        let kernel = |gateways: &[u8]| {
            let route = |n: &u8| Route { gateway: Some(ip(*n)), device: "vmbr0".into(), metric: 0 };
            Kernel { defaults: gateways.iter().map(route).collect(), ..Kernel::default() }
        };
        let target = |role, n| Target { ip: ip(n), role };
        let asked = |answered: &[Target], before: &[u8], now: &[u8]| to_ask(answered, &kernel(before), &kernel(now));
        let (gateway, peer) = (|| target(Role::Gateway, 1), || target(Role::Peer, 7));
        assert_eq!(asked(&[gateway(), peer()], &[1], &[1]), [gateway(), peer()]);
        assert_eq!(asked(&[peer()], &[1], &[1]), [peer()], "it was silent");
        assert_eq!(asked(&[gateway()], &[1], &[2]), [target(Role::Gateway, 2)], "another is one now");
        assert_eq!(asked(&[], &[], &[1]), [gateway()], "the first one has to answer");
        assert_eq!(asked(&[gateway(), peer()], &[1], &[]), [peer()]);
    }
}
