//! One thread lives in each node and does everything that is done there.
//!
//! Namespaces and root directory belong to a thread, not to the process, so a thread can move into
//! a node while the test stays on the host. What the test wants done there is sent to it as a
//! closure: files are opened with the node's own idea of `/`, which follows absolute links as the
//! node's programs would, and programs that it starts are born in the node, without `nsenter`.
//!
//! The node's process 1 is first a shell that waits for the end of its standard input, whose other
//! end the test process holds. So it ends, and the kernel ends everything in the node with it,
//! however the test process ends.

use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use host::{Error, IoContext, Result};

use crate::overlay::{self, Scratch};

/// Reaps what is orphaned while it waits. At the end of its input it becomes systemd if
/// the rig's `boot` asked for that, else it ends. The shells of both suites reap in `wait` only,
/// hence the detour by `cat`.
const PROCESS_1: &str = r#"
exec 3<&0 </dev/null
cat <&3 >/dev/null &
wait $!
exec 3<&-
[ -e /run/rig-boot ] || exit 0
rm /run/rig-boot
exec unshare --cgroup /bin/sh -c '
  mount -t cgroup2 cgroup2 /sys/fs/cgroup
  exec env -i container=rig PATH=/usr/sbin:/usr/bin:/sbin:/bin SYSTEMD_LOG_TARGET=journal /lib/systemd/systemd'
"#;

type Job = Box<dyn FnOnce() + Send>;

/// The thread in the node, and the node's process 1.
pub struct Keeper {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
    process_1: Child,
}

impl Keeper {
    /// Makes a node over these layers, the topmost first and a root last. Also returns its writable
    /// layer.
    pub fn start(layers: Vec<PathBuf>, hostname: &str) -> Result<(Self, OwnedFd)> {
        Self::start_on(layers, hostname, Scratch::Memory)
    }

    /// The same with a writable layer that lies elsewhere than in memory.
    pub fn start_on(layers: Vec<PathBuf>, hostname: &str, scratch: Scratch) -> Result<(Self, OwnedFd)> {
        let hostname = hostname.to_owned();
        let (ready, started) = channel();
        let (jobs, inbox) = channel();
        let thread = Builder::new()
            .name("node".into())
            .spawn(move || live(&layers, &scratch, &hostname, &ready, &inbox))
            .doing(|| "cannot start a thread for a node")?;
        let (process_1, upper) =
            started.recv().map_err(|_| Error::new("the thread of a node died while making it"))??;
        Ok((Self { jobs: Some(jobs), thread: Some(thread), process_1 }, upper))
    }

    /// Runs `work` in the node, and its panic, if any, here.
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, result) = channel();
        let job: Job = Box::new(move || {
            // The receiver waits right below; if it is gone, so is the wish to know.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(work)));
        });
        let jobs = self.jobs.as_ref().expect("the keeper's inbox is open until drop");
        jobs.send(job).expect("a node's thread lives as long as the node");
        match result.recv().expect("a node's thread answers every job") {
            Ok(value) => value,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// The process id, as the host counts, of the node's process 1.
    pub fn process_1(&self) -> u32 {
        self.process_1.id()
    }

    /// Lets process 1 go on to what comes after waiting.
    pub fn release_process_1(&mut self) {
        drop(self.process_1.stdin.take());
    }

    /// Whether process 1, and with it the node, has ended.
    pub fn has_ended(&mut self) -> bool {
        !matches!(self.process_1.try_wait(), Ok(None))
    }

    /// Ends process 1, and with it, says pid_namespaces(7), every process of the node.
    pub fn end(&mut self) {
        // It may have ended by itself, which is as good; there is nobody to tell about the rest.
        let _ = self.process_1.kill();
        let _ = self.process_1.wait();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.end();
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Jobs catch their panics, so there is none to learn of here.
            let _ = thread.join();
        }
    }
}

fn live(
    layers: &[PathBuf],
    scratch: &Scratch,
    hostname: &str,
    ready: &Sender<Result<(Child, OwnedFd)>>,
    inbox: &Receiver<Job>,
) {
    let made = move_in(layers, scratch, hostname);
    let moved_in = made.is_ok();
    if ready.send(made).is_err() || !moved_in {
        return;
    }
    while let Ok(job) = inbox.recv() {
        job();
    }
}

fn move_in(layers: &[PathBuf], scratch: &Scratch, hostname: &str) -> Result<(Child, OwnedFd)> {
    overlay::leave_the_host()?;
    rustix::system::sethostname(hostname.as_bytes()).doing(|| "cannot name the node")?;
    let upper = overlay::enter(layers, scratch)?;
    // The signal covers the time after process 1 has become systemd, which watches no pipe.
    let mut process_1 = Command::new("/usr/bin/setpriv")
        .args(["--pdeathsig", "KILL", "/bin/sh", "-c", PROCESS_1])
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .doing(|| "cannot start process 1 of a node")?;
    if let Err(error) = show_processes() {
        // Nobody else knows of it yet.
        let _ = process_1.kill();
        let _ = process_1.wait();
        return Err(error);
    }
    Ok((process_1, upper))
}

/// Mounts `/proc`. It shows the process namespace of whoever mounts it, and this thread, unlike its
/// children, is still in the host's.
fn show_processes() -> Result<()> {
    let mount = Command::new("/bin/mount").args(["-t", "proc", "-o", "nosuid,nodev,noexec", "proc", "/proc"]).output();
    let mount = mount.doing(|| "cannot run the node's mount")?;
    if mount.status.success() {
        return Ok(());
    }
    Err(Error::new(format!("cannot mount /proc: {}", String::from_utf8_lossy(&mount.stderr).trim())))
}
