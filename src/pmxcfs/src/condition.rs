//! What one node's daemon suffers: quorum, syncing, and what a test has planned for a call.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use super::Pmxcfs;
use super::db::Db;

/// What happens at one of a node's mutating calls.
pub enum Fault {
    /// It fails with this errno and changes nothing.
    Fails(Errno),
    /// It is carried out, and EBUSY all the same: the answer was lost when a member came or went.
    DoneButBusy,
    /// Only so many bytes of a write are taken.
    Short(usize),
    /// This happens just before it, on behalf of whoever the closure names. It runs in the
    /// daemon's thread: it must not touch a node's `/etc/pve` by path.
    Before(Box<dyn FnOnce(&Pmxcfs) + Send>),
}

/// How a node stands to the rest.
#[derive(Default)]
pub(super) enum Quorum {
    #[default]
    Yes,
    /// So many calls more fail with EPERM, and the link shows quorum until then.
    Losing {
        refusals: u32,
        shown_until: Instant,
    },
    No,
}

#[derive(Default)]
pub(super) struct Condition {
    pub quorum: Quorum,
    /// Without quorum a node hears nothing of the others: what it saw last.
    pub last_seen: Option<Db>,
    /// Mutating calls that will still be answered EBUSY.
    pub busy: u32,
    /// Mutating calls so far.
    pub calls: usize,
    /// What each was, chmod and chown among them, which never reach the database; newest last.
    pub log: Vec<String>,
    /// What is planned, by number of the mutating call.
    pub plan: BTreeMap<usize, Vec<Fault>>,
}

/// What has become of a call before it reaches the database.
pub(super) enum Verdict {
    Goes,
    Fails(Errno),
    DoneButBusy,
    Short(usize),
}

impl Condition {
    pub fn is_quorate(&self) -> bool {
        matches!(self.quorum, Quorum::Yes)
    }

    /// Whether `local`'s own mode shows quorum.
    pub fn looks_quorate(&self) -> bool {
        match self.quorum {
            Quorum::Yes => true,
            Quorum::Losing { shown_until, .. } => Instant::now() < shown_until,
            Quorum::No => false,
        }
    }

    pub fn lose_quorum(&mut self, now: &Db, refusals: u32, lag: Duration) {
        if self.is_quorate() {
            self.last_seen = Some(now.clone());
        }
        self.quorum = match (refusals, lag) {
            (0, Duration::ZERO) => Quorum::No,
            _ => Quorum::Losing { refusals, shown_until: Instant::now() + lag },
        };
    }

    /// Takes note of a mutating call; what is planned for it.
    pub fn begin(&mut self, what: String) -> Vec<Fault> {
        self.log.push(what);
        self.calls += 1;
        self.plan.remove(&self.calls).unwrap_or_default()
    }

    pub fn judge(&mut self, faults: Vec<Fault>) -> Verdict {
        match &mut self.quorum {
            Quorum::Yes => {}
            Quorum::Losing { refusals, .. } if *refusals > 0 => {
                *refusals -= 1;
                return Verdict::Fails(Errno::PERM);
            }
            Quorum::Losing { .. } | Quorum::No => return Verdict::Fails(Errno::ACCESS),
        }
        if self.busy > 0 {
            self.busy -= 1;
            return Verdict::Fails(Errno::BUSY);
        }
        for fault in faults {
            match fault {
                Fault::Fails(errno) => return Verdict::Fails(errno),
                Fault::DoneButBusy => return Verdict::DoneButBusy,
                Fault::Short(length) => return Verdict::Short(length),
                Fault::Before(_) => {}
            }
        }
        Verdict::Goes
    }
}
