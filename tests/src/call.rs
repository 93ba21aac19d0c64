//! A command on a machine, and what came of it.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use rustix::time::Timespec;

use crate::Machine;

/// How long a command may take unless a test says otherwise: longer than anything honest.
const PATIENCE: Duration = Duration::from_secs(120);

/// A listing of what has changed on the machine, made only if a test fails.
pub(crate) type Listing = Arc<dyn Fn() -> String + Send + Sync>;

/// A command that is about to run on a machine.
#[must_use = "a call runs with .run()"]
pub struct Call<'m, M: Machine> {
    machine: &'m M,
    argv: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Option<Vec<u8>>,
    patience: Duration,
}

impl<'m, M: Machine> Call<'m, M> {
    pub(crate) fn new<S: AsRef<OsStr>>(machine: &'m M, argv: impl IntoIterator<Item = S>) -> Self {
        let argv: Vec<OsString> = argv.into_iter().map(|word| word.as_ref().to_owned()).collect();
        assert!(!argv.is_empty(), "a command needs at least its name");
        Self { machine, argv, env: Vec::new(), stdin: None, patience: PATIENCE }
    }

    /// Adds a variable to the clean environment that commands get.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// What the command reads on standard input; nothing if not said.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = Some(bytes.into());
        self
    }

    /// How long it may take before the test fails.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs it to its end.
    pub fn run(self) -> Output {
        let what = self.argv.iter().map(|word| host::quote(&word.to_string_lossy())).collect::<Vec<_>>().join(" ");
        let mut command = self.machine.prepare(&self.argv);
        command.envs(self.env).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.stdin(match &self.stdin {
            None => Stdio::null(),
            Some(bytes) => Stdio::from(file_with(bytes)),
        });
        let mut child = match self.machine.spawn(command) {
            Ok(child) => child,
            Err(error) => panic!("cannot run {what} on {}: {error}", self.machine.describe()),
        };
        let (status, out, err) = gather(&mut child, self.patience);
        let output = Output {
            status: status.unwrap_or_default(),
            stdout: String::from_utf8_lossy(&out).into_owned(),
            stderr: String::from_utf8_lossy(&err).into_owned(),
            what: format!("{what}   (on {})", self.machine.describe()),
            listing: self.machine.listing(),
        };
        match status {
            Some(_) => output,
            None => output.fail(&format!("did not end within {:?}", self.patience)),
        }
    }
}

/// What a command left behind.
#[derive(Clone)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Its standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Its standard error; bytes that are not UTF-8 are replaced.
    pub stderr: String,
    what: String,
    listing: Listing,
}

impl Output {
    /// It has to have succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        if self.status.success() { self } else { self.fail("should have succeeded") }
    }

    /// It has to have failed by itself: not by a signal.
    #[track_caller]
    pub fn fails(self) -> Self {
        match self.status.code() {
            Some(code) if code != 0 => self,
            _ => self.fail("should have failed"),
        }
    }

    /// It has to have ended with this exit code.
    #[track_caller]
    pub fn code(self, code: i32) -> Self {
        if self.status.code() == Some(code) { self } else { self.fail(&format!("should have ended with {code}")) }
    }

    /// Either stream has to hold `text`.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        if self.holds(text) { self } else { self.fail(&format!("should have said {text:?}")) }
    }

    /// Neither stream may hold `text`.
    #[track_caller]
    pub fn never_says(self, text: &str) -> Self {
        if self.holds(text) { self.fail(&format!("should not have said {text:?}")) } else { self }
    }

    /// Standard error has to be empty.
    #[track_caller]
    pub fn quiet(self) -> Self {
        if self.stderr.is_empty() { self } else { self.fail("should have kept standard error empty") }
    }

    fn holds(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        let mut story = format!("{why}: {}\n--- ended with {}\n", self.what, self.status);
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr), ("changed", &(self.listing)())] {
            // Writing to a string does not fail.
            let _ = write!(story, "--- {name}\n{text}");
        }
        panic!("{story}");
    }
}

/// An unlinked file, so that a command that reads nothing can't block us.
fn file_with(bytes: &[u8]) -> std::fs::File {
    let mut file = tempfile::tempfile().expect("the temporary directory is writable");
    file.write_all(bytes).and_then(|()| file.rewind()).expect("the temporary directory has room");
    file
}

/// Reads both streams until the command itself has ended. Not until the streams have: a service
/// that it left in the background may hold them for ever.
fn gather(child: &mut Child, patience: Duration) -> (Option<ExitStatus>, Vec<u8>, Vec<u8>) {
    let deadline = Instant::now() + patience;
    let pid = Pid::from_child(child);
    let end = pidfd_open(pid, PidfdFlags::empty()).expect("Linux 5.3 or newer has pidfd_open");
    let mut streams = [child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from)];
    let mut texts = [Vec::new(), Vec::new()];
    for stream in streams.iter().flatten() {
        ioctl_fionbio(stream, true).expect("a pipe can be made non-blocking");
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // Its own process group: also what it started and waits for.
            let _ = kill_process_group(pid, Signal::KILL);
            let _ = child.wait();
        }
        let ended = left.is_zero() || wait_for(end.as_fd(), &streams, left);
        for (stream, text) in streams.iter_mut().zip(&mut texts) {
            drain(stream, text);
        }
        if ended {
            let status = if left.is_zero() { None } else { child.wait().ok() };
            let [out, err] = texts;
            return (status, out, err);
        }
    }
}

/// Waits until there is something to read or the command has ended; whether it has.
fn wait_for(end: BorrowedFd<'_>, streams: &[Option<OwnedFd>], left: Duration) -> bool {
    let mut polled = vec![PollFd::from_borrowed_fd(end, PollFlags::IN)];
    polled.extend(streams.iter().flatten().map(|stream| PollFd::new(stream, PollFlags::IN)));
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
    match poll(&mut polled, Some(&left)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => polled[0].revents().contains(PollFlags::IN),
        Err(error) => panic!("cannot wait for a command: {error}"),
    }
}

/// Takes what is there; a stream that has ended is closed, or it would be readable for ever.
fn drain(stream: &mut Option<OwnedFd>, text: &mut Vec<u8>) {
    let Some(fd) = stream.take() else { return };
    let mut file = std::fs::File::from(fd);
    match file.read_to_end(text) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => *stream = Some(file.into()),
        Err(error) => panic!("cannot read from a command: {error}"),
    }
}

/// The environment that every command gets: a plain shell's, whoever runs the tests.
pub(crate) fn clean_env(command: &mut Command, home: &OsStr) {
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", home)
        .env("LC_ALL", "C.UTF-8")
        .env("DEBIAN_FRONTEND", "noninteractive");
}
