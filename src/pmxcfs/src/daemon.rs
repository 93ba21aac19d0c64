//! One node's daemon, in the hands of a test.

use std::sync::{Arc, MutexGuard};
use std::time::Duration;

use rustix::io::Errno;

use super::condition::{Condition, Quorum};
use super::db::{Db, Entry};
use super::fs::Fs;
use super::{Fault, Peer, Pmxcfs, locked};

/// One node's daemon, to be made to fail.
#[derive(Clone, Copy)]
pub struct Daemon<'c> {
    pub(super) cluster: &'c Pmxcfs,
    pub(super) name: &'c str,
    pub(super) peer: &'c Peer,
}

impl Daemon<'_> {
    fn condition(&self) -> MutexGuard<'_, Condition> {
        locked(&self.peer.condition)
    }

    /// From now on its writes fail with EACCES, and it hears nothing of the others.
    pub fn loses_quorum(&self) {
        self.loses_quorum_slowly(0, Duration::ZERO);
    }

    /// Its next `refusals` writes fail with EPERM, later ones with EACCES; `local` still looks
    /// quorate for the time of `lag`.
    pub fn loses_quorum_slowly(&self, refusals: u32, lag: Duration) {
        let db = locked(&self.cluster.0.db);
        self.condition().lose_quorum(&db, refusals, lag);
    }

    /// It is back among the others and sees what they have written.
    pub fn has_quorum_again(&self) {
        let mut condition = self.condition();
        condition.quorum = Quorum::Yes;
        condition.last_seen = None;
    }

    /// Its next `calls` mutating calls are answered with EBUSY, as while it is syncing.
    pub fn is_busy_for(&self, calls: u32) {
        self.condition().busy = calls;
    }

    /// Something happens at its mutating call number `call` from now on, the first being 1.
    pub fn at_call(&self, call: usize, fault: Fault) {
        let mut condition = self.condition();
        let number = condition.calls + call;
        condition.plan.entry(number).or_default().push(fault);
    }

    /// Something happens between the mutating calls `call - 1` and `call` from now on.
    pub fn before_call(&self, call: usize, happens: impl FnOnce(&Pmxcfs) + Send + 'static) {
        self.at_call(call, Fault::Before(Box::new(happens)));
    }

    /// What it was asked to change so far, chmod and chown included, as in `rename a b`.
    pub fn log(&self) -> Vec<String> {
        self.condition().log.clone()
    }

    /// Writes a whole file by way of this node, as an editor would there.
    #[track_caller]
    pub fn writes(&self, path: &str, content: impl AsRef<[u8]>) {
        let mut db = locked(&self.cluster.0.db);
        if db.get(path).is_none() {
            make_dirs(&mut db, path, self.name);
            must(db.create(path, self.name), "create", path);
        }
        must(db.truncate(path, 0, self.name), "truncate", path);
        must(db.write(path, 0, content.as_ref(), self.name).map(drop), "write", path);
    }

    /// Removes a file or an empty folder by way of this node.
    #[track_caller]
    pub fn removes(&self, path: &str) {
        must(locked(&self.cluster.0.db).delete(path), "remove", path);
    }

    /// Takes a lock under `priv/lock` by way of this node; whether it got it.
    pub fn locks(&self, name: &str) -> bool {
        locked(&self.cluster.0.db).mkdir(&format!("priv/lock/{name}"), self.name).is_ok()
    }

    /// Its own locks are dropped, as if two minutes had gone by and somebody had asked.
    pub fn forgets_locks(&self) {
        let mut db = locked(&self.cluster.0.db);
        let own = |(name, entry): (&str, &Entry)| (entry.writer == self.name).then(|| format!("priv/lock/{name}"));
        let locks: Vec<String> = db.names("priv/lock").into_iter().filter_map(own).collect();
        for lock in locks {
            must(db.delete(&lock), "remove", &lock);
        }
    }

    /// What is planned for calls that have not come does not happen.
    pub fn forgets_plans(&self) {
        self.condition().plan.clear();
    }

    /// The daemon is killed: the mount stays, and everything fails with ENOTCONN. A call that it
    /// is working on fails with ECONNABORTED.
    #[track_caller]
    pub fn dies(&self) {
        if let Some(daemon) = locked(&self.peer.mounted).as_mut().and_then(|m| m.daemon.as_mut()) {
            daemon.die();
        }
    }

    /// pve-cluster.service is stopped: nothing is mounted any more.
    #[track_caller]
    pub fn unmounts(&self) {
        done(self.stops());
    }

    /// The same, where it may fail: somebody may have unmounted it already.
    ///
    /// # Errors
    /// It can't be unmounted; why.
    pub fn stops(&self) -> host::Result<()> {
        locked(&self.peer.mounted).as_ref().map_or(Ok(()), |mounted| mounted.place.unmount())
    }

    /// What lies in `/etc/pve` itself after [`Daemon::unmounts`].
    #[track_caller]
    pub fn beneath(&self) -> Vec<String> {
        match locked(&self.peer.mounted).as_ref() {
            Some(mounted) => done(mounted.place.beneath()),
            None => panic!("{} has no machine", self.name),
        }
    }

    /// pve-cluster.service is started again after [`Daemon::dies`] or [`Daemon::unmounts`]. Like
    /// the real one, it refuses a folder that is not empty.
    ///
    /// # Errors
    /// It does not start; why.
    pub fn starts(&self) -> host::Result<()> {
        let mut mounted = locked(&self.peer.mounted);
        let Some(mounted) = mounted.as_mut() else { panic!("{} has no machine", self.name) };
        if let Some(old) = mounted.daemon.take() {
            old.end()?;
            // Gone already if it was stopped rather than killed.
            let _ = mounted.place.unmount();
        }
        mounted.daemon = Some(mounted.place.serve(Fs::new(Arc::clone(&self.cluster.0), self.name))?);
        Ok(())
    }
}

#[track_caller]
fn must(answer: Result<(), Errno>, doing: &str, path: &str) {
    if let Err(error) = answer {
        panic!("cannot {doing} {path} in the cluster: {error}");
    }
}

/// A test can't go on without.
#[track_caller]
fn done<T>(result: host::Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{error}"),
    }
}

fn make_dirs(db: &mut Db, path: &str, writer: &str) {
    for (end, _) in path.match_indices('/') {
        // One that is there is as good.
        let _ = db.mkdir(&path[..end], writer);
    }
}
