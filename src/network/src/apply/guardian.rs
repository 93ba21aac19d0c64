//! The process that outlives the one that applies, and takes back what that one leaves open.
//!
//! It runs before the first file changes, from a name of its own for the program, so that neither a killed session nor
//! a removed package takes it away: a transient service that systemd starts anew when it is killed, or, where systemd
//! does not run, a process in a session of its own. It needs nothing but ifreload on disk.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ::cli::note;
use history::Store;
use host::{Command, Error, IoContext, Result, Turn, files};

use super::decide::{Move, Who, decide};
use super::record::Record;
use super::{back, facts};
use crate::Node;

/// How long it may take to be there.
const START: Duration = Duration::from_secs(10);

/// How often it looks.
const PAUSE: Duration = Duration::from_millis(50);

/// How often it tries to take an apply back that can't be, and how long it waits in between.
const TRIES: u32 = 60;
const AGAIN: Duration = Duration::from_secs(5);

/// The lock that whoever moves an apply on holds.
pub(super) fn turn(store: &Store) -> Result<Turn> {
    Turn::at(&store.path("apply.lock"))
}

/// The lock that the living guardian of apply `id` holds.
fn guard(store: &Store, id: &str) -> Result<Turn> {
    Turn::at(&lock(store, id))
}

fn lock(store: &Store, id: &str) -> PathBuf {
    store.path(format!("guardian-{id}.lock"))
}

/// The guardian's own name for the program.
fn program(store: &Store, id: &str) -> PathBuf {
    store.path(format!("guardian-{id}"))
}

/// Starts the guardian of apply `id` and waits until it watches. Returns the lock by which it is seen to live.
///
/// # Errors
/// It can't be started, or does not come up.
pub(super) fn start(store: &Store, id: &str) -> Result<Turn> {
    let guard = guard(store, id)?;
    let own = std::env::current_exe().doing(|| "cannot find this program")?;
    let program = program(store, id);
    // Not below /run, which Debian mounts noexec. Another name for the same file costs nothing and survives
    // whatever dpkg does to the first.
    if std::fs::hard_link(&own, &program).is_err() {
        std::fs::copy(&own, &program).doing(|| format!("cannot copy this program to {}", program.display()))?;
    }
    let path = program.display().to_string();
    let systemd = store.root.path("/run/systemd/system").is_dir();
    if !(systemd && by_systemd(&path, id)?) {
        // By a shell, for its redirection alone: a guardian that holds our pipes would have us wait for its end.
        let script = r#"exec setsid --fork "$0" guardian --detach "$1" >/dev/null 2>&1"#;
        let out = Command::new("sh").args(["-c", script, &path, id]).run()?;
        if !out.success() {
            return Err(Error::new("cannot start the guardian: setsid(1) failed"));
        }
    }
    let begin = Instant::now();
    while !guard.is_taken()? {
        if begin.elapsed() > START {
            return Err(Error::new(format!("the guardian did not come up within {} s", START.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(guard)
}

/// Whether systemd took it on.
fn by_systemd(path: &str, id: &str) -> Result<bool> {
    let command = Command::new("systemd-run").args([
        "--quiet",
        "--collect",
        "--no-block",
        &format!("--unit=pvenet-guardian-{id}"),
        "--description=Takes an apply of pvenet back that nobody confirms",
        "--property=Restart=on-failure",
        "--property=RestartSec=100ms",
        "--property=StartLimitIntervalSec=0",
        // What ifreload leaves running, such as dhclient, is not the guardian's to end.
        "--property=KillMode=process",
        "--property=OOMScoreAdjust=-900",
        path,
        "guardian",
        id,
    ]);
    Ok(command.find().is_some() && command.run()?.success())
}

/// What is left of it when the apply is over.
pub(super) fn tidy(store: &Store, id: &str) {
    // What can't be removed is a second name of a program, and an empty file.
    let _ = files::remove(&program(store, id));
    let _ = files::remove(&lock(store, id));
}

/// The guardian's life.
///
/// # Errors
/// There is no such apply, or it can't be taken back however often it is tried.
pub fn run(node: &Node, id: &str, detach: bool) -> Result<()> {
    if detach {
        alone()?;
    }
    let store = &node.store;
    let (turn, guard) = (turn(store)?, guard(store, id)?);
    if !guard.take()? {
        return Ok(()); // one is enough
    }
    let mut record = read(store, id)?;
    let mut tries = 0;
    loop {
        let ours = turn.take()?;
        match Record::read(store) {
            Ok(Some(found)) if found.id == id => record = found,
            // The next one has begun, so this one is over, however long ago we looked.
            Ok(Some(_)) => break,
            // After a purge there is no file, and what was read last is what there is.
            Ok(None) | Err(_) => {}
        }
        let now = facts(store, &record, ours, true);
        match decide(Who::Guardian, &now) {
            Move::Leave => break,
            Move::Back(why) => match back::go(node, &mut record, why.text()) {
                Ok(()) => break,
                Err(error) => {
                    tries += 1;
                    note!("pvenet: cannot take apply {id} back: {error}");
                    if tries == TRIES {
                        return Err(error);
                    }
                    std::thread::sleep(AGAIN);
                }
            },
            Move::Kill => kill(record.pid),
            Move::Wait | Move::Confirm => std::thread::sleep(PAUSE),
        }
    }
    tidy(store, id);
    Ok(())
}

fn read(store: &Store, id: &str) -> Result<Record> {
    let found = Record::read(store)?.filter(|record| record.id == id);
    found.ok_or_else(|| Error::new(format!("there is no apply {id}")))
}

/// It holds the turn and does not get on.
fn kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    // That it is gone already is what is wanted.
    let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
    std::thread::sleep(PAUSE);
}

/// A session of its own: no terminal's end is ours.
fn alone() -> Result<()> {
    match rustix::process::setsid() {
        Ok(_) | Err(rustix::io::Errno::PERM) => Ok(()), // it leads one already
        Err(error) => Err(Error::io("cannot leave the session", error)),
    }
}
