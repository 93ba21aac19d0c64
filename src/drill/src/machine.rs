//! A throw-away machine to drill on.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use host::{Error, IoContext, Result};
use machines::{Keeper, Scratch};
use pmxcfs::{Membership, Pmxcfs};

use crate::trace::{Director, Tracer};
use crate::writer::FOLDER;

/// The machine's name, and the node's.
pub const HOSTNAME: &str = "drill1";

/// Waits for a line on its input and becomes the command: who traces it takes hold meanwhile.
const WAIT: &str = r#"read -r go; exec "$@" </dev/null"#;

/// Longer than any honest run; a script waits 60 s at most for a lock.
const PATIENCE: Duration = Duration::from_secs(100);

/// A command's end.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// Everything that it wrote.
    pub text: String,
}

/// A command that goes on by itself.
#[derive(Debug)]
pub struct Begun {
    child: Child,
    text: File,
    argv: Vec<String>,
}

impl Begun {
    /// Waits until the command has this file open, such as a lock that it waits for, or has ended.
    pub fn until_at(mut self, file: &Path) -> Self {
        let open = |pid: u32| {
            let links = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
            links
                .filter_map(|l| fs::read_link(l.path()).ok())
                .any(|to| to.ends_with(file.strip_prefix("/").unwrap_or(file)))
        };
        for _ in 0..5000 {
            if !matches!(self.child.try_wait(), Ok(None)) || open(self.child.id()) {
                break;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        self
    }
}

/// A fresh layer over others, with processes of its own.
pub struct Machine {
    // Before the keeper: its daemon must not outlive the mount that it answers for.
    membership: Option<Membership>,
    keeper: Keeper,
    upper: OwnedFd,
}

impl Machine {
    /// Makes one over these layers, the topmost first.
    pub fn over(layers: &[PathBuf]) -> Result<Self> {
        Self::on(layers, Scratch::Memory)
    }

    /// The same with its changes elsewhere than in memory.
    pub fn on(layers: &[PathBuf], scratch: Scratch) -> Result<Self> {
        let (keeper, upper) = Keeper::start_on(layers.to_vec(), HOSTNAME, scratch)?;
        Ok(Self { membership: None, keeper, upper })
    }

    /// Makes it a node of this cluster, whose `/etc/pve` is mounted there.
    pub fn join(&mut self, cluster: &Pmxcfs) -> Result<()> {
        self.membership = Some(Membership::join(cluster, HOSTNAME, self.keeper.process_1())?);
        Ok(())
    }

    /// Runs `work` on the machine, where `/` is the machine's.
    pub fn inside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        self.keeper.inside(work)
    }

    /// Where the host sees what has changed, also another process of it.
    pub fn changes(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.upper.as_raw_fd()).into()
    }

    /// Copies what has changed to `layer`, to stand other machines on it.
    pub fn freeze(&self, layer: &Path) -> Result<()> {
        let mut from = self.changes().into_os_string();
        from.push("/.");
        let copied = Command::new("cp").arg("-a").arg(from).arg(layer).output().doing(|| "cannot run cp")?;
        if copied.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&copied.stderr).trim().to_owned();
        Err(Error::new(format!("cannot keep a layer in {}: {said}", layer.display())))
    }

    /// Runs a command to its end.
    pub fn run(&self, argv: &[String]) -> Result<Output> {
        let mut text = tempfile::tempfile().doing(|| "cannot make a temporary file")?;
        let mut child = self.spawn(argv, Stdio::null(), &text)?;
        let status = self.bounded(argv, || child.wait().doing(|| "cannot wait for dpkg"))?;
        Ok(Output { code: status.code(), text: all_of(&mut text)? })
    }

    /// Starts a command that goes on by itself.
    pub fn begin(&self, argv: &[String]) -> Result<Begun> {
        let text = tempfile::tempfile().doing(|| "cannot make a temporary file")?;
        Ok(Begun { child: self.spawn(argv, Stdio::null(), &text)?, text, argv: argv.to_vec() })
    }

    /// Waits for it.
    pub fn end(&self, mut begun: Begun) -> Result<(Vec<String>, Output)> {
        let status = self.bounded(&begun.argv, || begun.child.wait().doing(|| "cannot wait for a command"))?;
        Ok((begun.argv, Output { code: status.code(), text: all_of(&mut begun.text)? }))
    }

    /// Runs a command that has to succeed.
    pub fn must(&self, argv: &[String]) -> Result<Output> {
        let output = self.run(argv)?;
        match output.code {
            Some(0) => Ok(output),
            _ => Err(Error::new(format!("{} failed: {}", argv.join(" "), output.text.trim().replace('\n', "; ")))),
        }
    }

    /// Runs a command whose maintainer scripts a director directs.
    pub fn run_traced(&self, argv: &[String], package: &str, director: &mut dyn Director) -> Result<Output> {
        let mut text = tempfile::tempfile().doing(|| "cannot make a temporary file")?;
        let waiting: Vec<String> =
            ["sh", "-c", WAIT, "sh"].iter().map(|w| (*w).to_owned()).chain(argv.iter().cloned()).collect();
        let mut child = self.spawn(&waiting, Stdio::piped(), &text)?;
        let tracer = Tracer::seize(child.id(), package, director)?;
        if let Some(mut input) = child.stdin.take() {
            std::io::Write::write_all(&mut input, b"go\n").doing(|| "cannot start dpkg")?;
        }
        let code = self.bounded(argv, || tracer.follow())?;
        self.inside(until_reaped);
        Ok(Output { code, text: all_of(&mut text)? })
    }

    fn spawn(&self, argv: &[String], input: Stdio, output: &File) -> Result<Child> {
        // By its path: with an environment of its own for it, std would look for a mere name by forking all of us.
        let mut command = Command::new(Path::new("/usr/bin").join(&argv[0]));
        let copy = || output.try_clone().doing(|| "cannot share a file");
        command
            .args(&argv[1..])
            .current_dir(FOLDER)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", "/root")
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(input)
            .stdout(copy()?)
            .stderr(copy()?);
        let what = argv.join(" ");
        self.inside(move || command.spawn()).doing(|| format!("cannot run {what}"))
    }

    /// Ends the machine if what is waited for does not come.
    fn bounded<T>(&self, argv: &[String], wait: impl FnOnce() -> Result<T>) -> Result<T> {
        let process_1 = rustix::process::Pid::from_raw(self.keeper.process_1().cast_signed());
        let (done, watch) = channel::<()>();
        let watcher = std::thread::spawn(move || {
            let late = watch.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
            if let (true, Some(pid)) = (late, process_1) {
                // The machine may have ended by itself.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            late
        });
        let value = wait();
        drop(done);
        match watcher.join() {
            Ok(false) => value,
            _ => Err(Error::new(format!("{} did not end within {} s", argv.join(" "), PATIENCE.as_secs()))),
        }
    }
}

/// Waits until whoever was killed is gone: one that is dead and that process 1 has not waited for yet looks alive to the next
/// script, which then leaves its files for a later one.
fn until_reaped() {
    let dead = |stat: String| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('Z'));
    for _ in 0..5000 {
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        if !all.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok()).any(dead) {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn all_of(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).doing(|| "cannot read what dpkg said")?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Paths below a layer's folder, as the machine names them; whiteouts too.
pub fn paths_below(layer: &Path) -> Vec<PathBuf> {
    let (mut out, mut todo) = (Vec::new(), vec![layer.to_owned()]);
    while let Some(dir) = todo.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|t| t.is_dir()) {
                todo.push(path.clone());
            }
            if let Ok(inside) = path.strip_prefix(layer) {
                out.push(Path::new("/").join(inside));
            }
        }
    }
    out
}
