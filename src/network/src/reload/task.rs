//! A task as Proxmox VE keeps it: its id, its log, and a line among the tasks that are over.
//!
//! Its process is this one, so that Proxmox sees it run and end. The list of running tasks is Proxmox's own, and is
//! left alone. A log that can't be written is no reason to stop a reload.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::cli::note;
use history::Store;
use host::{IoContext, Lock, Result, Root, files};

/// Where Proxmox keeps its tasks.
const TASKS: &str = "/var/log/pve/tasks";

/// Whose they are: the daemon is not told who asked the middleware.
const USER: &str = "root@pam";

/// How long Proxmox itself waits for the list's lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// One that runs.
pub(super) struct Task {
    upid: String,
    folder: PathBuf,
    log: Option<File>,
    store: Store,
}

impl Task {
    /// Makes its log.
    pub(super) fn begin(store: &Store) -> Self {
        let started = store.clock.now().seconds();
        let upid = upid(&store.node, std::process::id(), own_start(), started);
        let folder = store.root.path(TASKS);
        let log = open(&store.root, &folder, &upid, started).map_err(|e| note!("pvenet: {e}")).ok();
        Self { upid, folder, log, store: store.clone() }
    }

    /// Proxmox's name for it.
    pub(super) fn upid(&self) -> &str {
        &self.upid
    }

    /// A line of its log.
    pub(super) fn say(&mut self, line: &str) {
        if let Some(log) = &mut self.log {
            // A full disk costs lines.
            let _ = log.write_all(format!("{}\n", line.replace('\n', " ")).as_bytes());
        }
    }

    /// It is over: well, or for this reason.
    pub(super) fn end(mut self, failed: Option<&str>) {
        let how = failed.map_or_else(|| "OK".to_owned(), |why| why.replace('\n', " "));
        let last = if failed.is_some() { format!("TASK ERROR: {how}") } else { "TASK OK".to_owned() };
        self.say(&last);
        if self.log.is_some()
            && let Err(error) = self.archive(&how)
        {
            note!("pvenet: {error}");
        }
    }

    /// Among those that are over.
    fn archive(&self, how: &str) -> Result<()> {
        let path = self.folder.join("index");
        let lock = self.folder.join(".active.lock");
        // Where it is not there, Proxmox has never kept a task.
        let _lock = if lock.exists() { Some(Lock::join(&lock, PATIENCE)?) } else { None };
        let doing = || format!("cannot write {}", path.display());
        let mut index = OpenOptions::new().append(true).create(true).mode(0o644).open(&path).doing(doing)?;
        let line = format!("{} {:08X} {how}\n", self.upid, self.store.clock.now().seconds());
        index.write_all(line.as_bytes()).doing(doing)
    }
}

/// `UPID:node:pid:pstart:starttime:type:id:user:`, the type and id of Proxmox's own reload.
fn upid(node: &str, pid: u32, own_start: u64, started: i64) -> String {
    format!("UPID:{node}:{pid:08X}:{own_start:08X}:{started:08X}:srvreload:networking:{USER}:")
}

/// When this process began, in the kernel's ticks since the boot: the 22nd field of proc_pid_stat(5).
fn own_start() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    started(&stat).unwrap_or(0)
}

fn started(stat: &str) -> Option<u64> {
    // The second field is a name, which may hold anything.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Its log, in the folder of the last digit of when it began, as Proxmox finds it; for its web server to read.
fn open(root: &Root, tasks: &Path, upid: &str, started: i64) -> Result<File> {
    let folder = tasks.join(format!("{:X}", started & 0xF));
    let path = folder.join(upid);
    let doing = || format!("cannot make the task's log {}", path.display());
    files::create_dirs(&folder, 0o755)?;
    let log = OpenOptions::new().append(true).create_new(true).mode(0o640).open(&path).doing(doing)?;
    if let Some(uid) = www_data(&std::fs::read_to_string(root.path("/etc/passwd")).unwrap_or_default()) {
        fchown(&log, Some(uid), None).doing(doing)?;
    }
    Ok(log)
}

fn www_data(passwd: &str) -> Option<u32> {
    passwd.lines().find_map(|line| line.strip_prefix("www-data:")?.split(':').nth(1)?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_upid_is_what_proxmox_reads() {
        let made = upid("pve1", 0xA1B2, 0xC3_D4E5, 0x6561_F003);
        assert_eq!(made, "UPID:pve1:0000A1B2:00C3D4E5:6561F003:srvreload:networking:root@pam:");
    }

    #[test]
    fn a_process_begins_at_the_22nd_field_whatever_its_name() {
        let stat = "7 (a ) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4711 1 2 3";
        assert_eq!(started(stat), Some(4711));
        assert_eq!(started("nonsense"), None);
        assert!(own_start() > 0);
    }

    #[test]
    fn a_log_lies_where_proxmox_looks_and_says_how_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let tasks = dir.path().join("tasks");
        let root = Root::at(dir.path());
        let name = upid("pve1", 1, 2, 0x6561_F00A);
        let mut log = open(&root, &tasks, &name, 0x6561_F00A).unwrap();
        log.write_all(b"x\n").unwrap();
        assert_eq!(std::fs::read_to_string(tasks.join("A").join(&name)).unwrap(), "x\n");
        assert!(open(&root, &tasks, &name, 0x6561_F00A).is_err(), "another's log is not written into");
        assert_eq!(www_data("root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n"), Some(33));
        assert_eq!(www_data("root:x:0:0::/:/bin/sh\n"), None);
    }
}
