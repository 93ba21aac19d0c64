//! Applying a configuration, with a way back from every step.
//!
//! ```text
//!   files, validate ─► Plan ─► armed ─► written ─► reloaded ─► checked ─► waiting ─► confirmed
//!                        │       └────────┴───────────┴───────────┴──────────┘
//!                     --dry-run                  │ anything wrong, nobody there any more
//!                                                ▼
//!                                          rolling-back ─► rolled-back
//! ```
//!
//! Each state is on disk ([`record`]) before the step that it stands for. Before the first file changes, a
//! [`guardian`] runs that takes back what the applying process leaves open. Who moves an apply on holds its turn, a
//! lock that the kernel drops with its process. What is to be done is decided by a pure function (`decide`), for the
//! one that applies, its guardian, and whoever comes later.

mod back;
pub mod decide;
pub mod guardian;
mod ifreload;
pub mod mend;
pub mod plan;
pub mod probe;
pub mod record;
mod run;
pub mod wanted;

use history::{Store, digest_at};
use host::{Error, Result, files};

use crate::Node;
use decide::{Facts, Move, Who, decide};
use record::{Record, Wish};

pub use run::{Asked, Order, Progress, candidates, run};

/// What this is called in the journal.
pub const TOOL: &str = "pvenet";

/// Milliseconds since the machine was booted, sleep included: no clock that anybody sets.
fn now_ms() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1000 + u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000
}

/// Which boot this is.
fn boot_id(store: &Store) -> String {
    let bytes = files::read_plain(&store.root.path("/proc/sys/kernel/random/boot_id"), 100).ok().flatten();
    String::from_utf8_lossy(&bytes.unwrap_or_default()).trim().to_owned()
}

/// Milliseconds until `deadline`; negative once it has passed.
fn left(deadline: u64) -> i64 {
    i64::try_from(deadline).unwrap_or(i64::MAX) - i64::try_from(now_ms()).unwrap_or(0)
}

/// Whether every file still holds what the apply wrote. Before it wrote, nothing is out of place; and what it deleted,
/// the pending changes, somebody may make anew for the next one.
fn is_intact(store: &Store, record: &Record) -> bool {
    record.state <= record::State::Written
        || record.paths.iter().filter(|(_, written)| written.after != "absent").all(|(path, written)| {
            let now = store.root.resolve(path).and_then(|real| digest_at(&real));
            now.is_ok_and(|now| now == written.after)
        })
}

fn facts(store: &Store, record: &Record, turn: bool, guarded: bool) -> Facts {
    Facts {
        state: record.state,
        turn,
        guarded,
        rebooted: record.boot != boot_id(store),
        left_ms: left(record.deadline),
        fenced: store.fenced() || record::purged(store),
        intact: is_intact(store, record),
        wish: Wish::of(store, &record.id),
    }
}

/// How the last apply stands.
#[derive(Debug)]
pub enum Standing {
    /// There never was one.
    None,
    /// It is over.
    Over(Box<Record>),
    /// Somebody is at work on it.
    UnderWay(Box<Record>),
    /// Nobody is; it has to go back.
    Open(Box<Record>),
}

/// How the last apply stands. Changes nothing.
///
/// # Errors
/// Its record can't be read.
pub fn standing(store: &Store) -> Result<Standing> {
    let Some(record) = Record::read(store)?.map(Box::new) else { return Ok(Standing::None) };
    if record.state.is_end() {
        return Ok(Standing::Over(record));
    }
    // A reader that may not open the lock, or below another root, can't tell; a living guardian goes on anyway.
    let free = guardian::turn(store).and_then(|turn| turn.is_taken()).is_ok_and(|taken| !taken);
    Ok(if free { Standing::Open(record) } else { Standing::UnderWay(record) })
}

/// Seconds until whoever is at work on it is overdue; while it waits, until it goes back.
#[must_use]
pub fn seconds_left(record: &Record) -> u64 {
    u64::try_from(left(record.deadline)).unwrap_or(0).div_ceil(1000)
}

/// How an apply that somebody is at work on stands, and who can do what about it: for a person in another session.
#[must_use]
pub fn told(record: &Record) -> String {
    let id = &record.id;
    match record.state {
        record::State::Waiting => format!(
            "apply {id} waits for pvenet confirm and goes back in {} s without it; pvenet rollback takes it back now",
            seconds_left(record)
        ),
        record::State::RollingBack => {
            format!("apply {id} is on its way back: {}", record.why.as_deref().unwrap_or("-"))
        }
        state => format!("apply {id} is under way ({})", state.name()),
    }
}

/// Takes back an apply that was left open, if there is one and nobody is at work on it. Returns its record as it is
/// then, whatever it is.
///
/// # Errors
/// It can't be taken back.
pub fn recover(node: &Node) -> Result<Option<Record>> {
    let store = &node.store;
    let Some(record) = Record::read(store)? else { return Ok(None) };
    if record.state.is_end() {
        return Ok(Some(record));
    }
    let turn = guardian::turn(store)?;
    let ours = turn.take()?;
    let Some(mut record) = Record::read(store)? else { return Ok(None) };
    if let Move::Back(why) = decide(Who::Visitor, &facts(store, &record, ours, false)) {
        back::go(node, &mut record, why.text()).map_err(|e| {
            e.context(format!("cannot take apply {} back", record.id)).way_out("pvenet recover tries again")
        })?;
    }
    Ok(Some(record))
}

/// Tells the apply that waits what becomes of it, and waits until that is so.
///
/// # Errors
/// None is under way, or it does not do what is wished.
pub fn tell(node: &Node, wish: Wish) -> Result<Record> {
    use std::time::{Duration, Instant};
    let store = &node.store;
    let Standing::UnderWay(record) = standing(store)? else {
        return Err(Error::new("no apply waits for a confirmation").way_out("pvenet status shows the last one"));
    };
    wish.make(store, &record.id)?;
    let patience = match wish {
        Wish::Confirm => Duration::from_secs(30),
        Wish::RollBack => Duration::from_secs(2 * ifreload::PATIENCE),
    };
    let begin = Instant::now();
    loop {
        match Record::read(store)? {
            Some(now) if now.id == record.id && now.state.is_end() => return Ok(now),
            Some(now) if now.id == record.id && begin.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(20));
            }
            _ => {
                return Err(Error::new(format!("apply {} did not answer", record.id))
                    .way_out("pvenet status shows how it stands"));
            }
        }
    }
}
