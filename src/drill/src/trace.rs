//! Steps maintainer scripts from one changing system call to the next, by ptrace(2).
//!
//! The whole process tree of a dpkg run is traced, but only what a maintainer script of the package
//! and its children do is stopped at system calls; dpkg, tar and the rest run free and stop at forks
//! and execs only. What happens at a stop is a [`Director`]'s choice; this module carries it out.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use host::{Error, IoContext, Result};
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::syscalls::{self, Effect, Known, Names};
use crate::writer;

/// What to do with a call that is about to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Let it happen.
    Go,
    /// Let it not happen, and the program see this result: a negative error number, or success.
    Return(i64),
    /// Let it write half of what it wants.
    Half,
    /// Kill the script and what it started.
    KillScript,
    /// Kill dpkg and all below it.
    KillTree,
    /// Send this signal and let it happen.
    Send(Signal),
}

/// A changing call of a script.
#[derive(Debug, Clone)]
pub struct Event {
    /// The script's call, such as `preinst:upgrade`; `~2` for the second one in a run.
    pub label: String,
    /// The how manieth changing call of it, from 1.
    pub number: u32,
    /// Which.
    pub known: &'static Known,
    /// What it works on: a path, or [`OUTPUT`].
    pub path: String,
    /// Where a rename leads to.
    pub to: String,
    /// How many bytes a write writes.
    pub length: u64,
    /// Where it has them.
    pub address: u64,
    /// The process.
    pub process: i32,
}

/// Standard output and error of a script.
pub const OUTPUT: &str = "output";

/// Decides what happens.
pub trait Director {
    /// A script begins; whether it shall fail at once.
    fn begins(&mut self, label: &str) -> bool;
    /// A changing call is about to happen.
    fn before(&mut self, event: &Event) -> Act;
    /// It has happened, with this result.
    fn after(&mut self, event: &Event, result: i64);
    /// A script is about to exit; with which code it does.
    fn exits(&mut self, label: &str, code: i32) -> i32;
    /// By how many seconds scripts shall see the clock wrong.
    fn clock(&self) -> i64;
    /// Whether that may ever be other than none.
    fn moves_the_clock(&self) -> bool;
}

/// One process or thread.
#[derive(Default)]
struct Process {
    /// The script that it belongs to.
    script: Option<Script>,
    fail_at_once: bool,
    /// The call that it is in, and what it shall see instead of its result.
    inside: Option<(Event, Option<i64>)>,
    /// Where it has asked the kernel to put the time.
    asks_time: Option<u64>,
}

#[derive(Clone)]
struct Script {
    label: String,
    /// The script's own process.
    main: Pid,
}

/// Follows the process `root` and all that it starts to their ends. The caller has made sure that
/// `root` waits until [`Tracer::seize`] is done.
pub struct Tracer<'a> {
    package: &'a str,
    director: &'a mut dyn Director,
    processes: HashMap<Pid, Process>,
    counts: HashMap<String, u32>,
    begun: HashMap<String, u32>,
    root: Pid,
    /// The exit code of `root`; `None` if a signal ended it.
    code: Option<i32>,
}

impl<'a> Tracer<'a> {
    /// Takes hold of `root`; the tracer has to stay in this thread.
    pub fn seize(root: u32, package: &'a str, director: &'a mut dyn Director) -> Result<Self> {
        let root = Pid::from_raw(root.cast_signed());
        let options = Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(root, options).map_err(|e| Error::io("cannot trace dpkg", e))?;
        let processes = HashMap::from([(root, Process::default())]);
        Ok(Self { package, director, processes, counts: HashMap::new(), begun: HashMap::new(), root, code: None })
    }

    /// Runs until the last process has ended; the exit code of `root`. Nobody else learns of it: its
    /// parent is a thread of this same program, so the kernel tells the tracer alone.
    pub fn follow(mut self) -> Result<Option<i32>> {
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(None, Some(flags)) {
                Ok(status) => self.react(status)?,
                Err(Errno::ECHILD) => return Ok(self.code),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(Error::io("cannot follow dpkg", error)),
            }
        }
    }

    fn react(&mut self, status: WaitStatus) -> Result<()> {
        match status {
            WaitStatus::Exited(pid, code) => {
                if pid == self.root {
                    self.code = Some(code);
                }
                self.processes.remove(&pid);
                Ok(())
            }
            WaitStatus::Signaled(pid, _, _) => {
                self.processes.remove(&pid);
                Ok(())
            }
            WaitStatus::PtraceEvent(pid, _, event) => {
                self.meet(pid);
                if event == libc::PTRACE_EVENT_EXEC {
                    self.look_at_exec(pid);
                }
                self.resume(pid, None)
            }
            WaitStatus::PtraceSyscall(pid) => {
                self.meet(pid);
                match self.at_call(pid) {
                    Ok(true) => self.resume(pid, None),
                    // Killed: it will not go on.
                    Ok(false) | Err(Errno::ESRCH) => Ok(()),
                    Err(error) => Err(Error::io("cannot step a script", error)),
                }
            }
            WaitStatus::Stopped(pid, signal) => {
                self.meet(pid);
                self.resume(pid, Some(signal))
            }
            _ => Ok(()),
        }
    }

    /// A new process belongs to whom its parent belongs to.
    fn meet(&mut self, pid: Pid) {
        if self.processes.contains_key(&pid) {
            return;
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix(name))?;
            line.trim().parse().ok().map(Pid::from_raw)
        };
        let above = [field("Tgid:"), field("PPid:")].into_iter().flatten().find(|p| *p != pid);
        let script = above.and_then(|p| self.processes.get(&p)).and_then(|p| p.script.clone());
        self.processes.insert(pid, Process { script, ..Process::default() });
    }

    /// Is this one of the package's maintainer scripts, as a program or through an interpreter?
    fn look_at_exec(&mut self, pid: Pid) {
        let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<String> = words.split(|b| *b == 0).map(|w| String::from_utf8_lossy(w).into_owned()).collect();
        let Some(at) = words.iter().take(3).position(|w| script_of(w, self.package).is_some()) else { return };
        let Some(name) = script_of(&words[at], self.package) else { return };
        let action = words.get(at + 1).map_or("", String::as_str);
        let label = format!("{name}:{action}");
        let begun = self.begun.entry(label.clone()).or_default();
        *begun += 1;
        let label = if *begun > 1 { format!("{label}~{begun}") } else { label };
        let fail_at_once = self.director.begins(&label);
        if self.director.moves_the_clock() {
            // If it can't be done the script sees the right time, and the clock does not jump.
            let _ = take_vdso(pid);
        }
        let process = self.processes.entry(pid).or_default();
        process.script = Some(Script { label, main: pid });
        process.fail_at_once = fail_at_once;
    }

    /// At the entry or the exit of a call; whether the process goes on.
    fn at_call(&mut self, pid: Pid) -> nix::Result<bool> {
        let entry = ptrace::syscall_info(pid)?.op == libc::PTRACE_SYSCALL_INFO_ENTRY;
        let Some(process) = self.processes.get_mut(&pid) else { return Ok(true) };
        if !entry {
            if let Some(address) = process.asks_time.take() {
                shift_time(pid, address, self.director.clock());
                return Ok(true);
            }
            let Some((event, instead)) = process.inside.take() else { return Ok(true) };
            let mut registers = ptrace::getregs(pid)?;
            if let Some(result) = instead {
                registers.rax = result.cast_unsigned();
                ptrace::setregs(pid, registers)?;
            }
            self.director.after(&event, registers.rax.cast_signed());
            return Ok(true);
        }
        let Some(script) = process.script.clone() else { return Ok(true) };
        let mut registers = ptrace::getregs(pid)?;
        let number = registers.orig_rax.cast_signed();
        if process.fail_at_once {
            process.fail_at_once = false;
            registers.orig_rax = libc::SYS_exit_group.cast_unsigned();
            registers.rdi = 1;
            ptrace::setregs(pid, registers)?;
            return Ok(true);
        }
        if number == libc::SYS_exit_group && pid == script.main {
            let code = registers.rdi as i32;
            let wanted = self.director.exits(&script.label, code);
            if wanted != code {
                registers.rdi = wanted as u64;
                ptrace::setregs(pid, registers)?;
            }
            return Ok(true);
        }
        let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
        let wall = [libc::CLOCK_REALTIME, libc::CLOCK_REALTIME_COARSE].map(|c| c as u64);
        if number == libc::SYS_clock_gettime && wall.contains(&arguments[0]) {
            process.asks_time = Some(arguments[1]);
            return Ok(true);
        }
        let Some(known) = syscalls::mutating(number, &arguments) else { return Ok(true) };
        let count = self.counts.entry(script.label.clone()).or_default();
        *count += 1;
        let (path, to) = named(pid, known.names, &arguments);
        let length = if known.effect == Effect::Write { arguments[2] } else { 0 };
        let event = Event {
            label: script.label.clone(),
            number: *count,
            known,
            path,
            to,
            length,
            address: arguments[1],
            process: pid.as_raw(),
        };
        let mut instead = None;
        match self.director.before(&event) {
            Act::Go => {}
            Act::Return(result) => {
                // No call has this number, so the kernel does nothing.
                registers.orig_rax = u64::MAX;
                ptrace::setregs(pid, registers)?;
                instead = Some(result);
            }
            Act::Half => {
                registers.rdx /= 2;
                ptrace::setregs(pid, registers)?;
            }
            Act::Send(signal) => kill(script.main, signal)?,
            Act::KillScript => {
                let of_script = |p: &Process| p.script.as_ref().is_some_and(|s| s.main == script.main);
                self.kill_all(of_script);
                return Ok(false);
            }
            Act::KillTree => {
                self.kill_all(|_| true);
                return Ok(false);
            }
        }
        if let Some(process) = self.processes.get_mut(&pid) {
            process.inside = Some((event, instead));
        }
        Ok(true)
    }

    fn kill_all(&self, which: impl Fn(&Process) -> bool) {
        for (pid, _) in self.processes.iter().filter(|(_, p)| which(p)) {
            // One that has just ended by itself is as dead.
            let _ = kill(*pid, Signal::SIGKILL);
        }
    }

    fn resume(&self, pid: Pid, signal: Option<Signal>) -> Result<()> {
        let stepped = self.processes.get(&pid).is_some_and(|p| p.script.is_some());
        let done = if stepped { ptrace::syscall(pid, signal) } else { ptrace::cont(pid, signal) };
        match done {
            // It was killed meanwhile.
            Ok(()) | Err(Errno::ESRCH) => Ok(()),
            Err(error) => Err(Error::io("cannot let a process go on", error)),
        }
    }
}

/// The name of the maintainer script that dpkg starts by this path, if it is one of `package`; the
/// writer is stepped like one.
fn script_of(word: &str, package: &str) -> Option<&'static str> {
    let path = Path::new(word);
    let folder = path.parent()?.file_name()?.to_str()?;
    let name = path.file_name()?.to_str()?;
    if name == writer::NAME {
        return Some("writer");
    }
    let name = match folder {
        "tmp.ci" => name,
        "info" => name.strip_prefix(package)?.trim_start_matches(|c| c != '.').strip_prefix('.')?,
        _ => return None,
    };
    seal::manifest::HOOKS.into_iter().find(|hook| *hook == name)
}

/// Takes the kernel's own code from a program that is about to start, by which it would read the clock
/// without a system call: it is told of it by an entry of the auxiliary vector, getauxval(3).
fn take_vdso(pid: Pid) -> Result<()> {
    let doing = || "cannot look at a program that starts";
    let stack = ptrace::getregs(pid).map_err(|e| Error::io(doing(), e))?.rsp;
    let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem")).doing(doing)?;
    let word = |index: u64| -> Result<u64> {
        let mut bytes = [0; 8];
        memory.read_exact_at(&mut bytes, stack + 8 * index).doing(doing)?;
        Ok(u64::from_ne_bytes(bytes))
    };
    // The count of arguments, the arguments, a null, the environment, a null.
    let mut at = word(0)? + 2;
    while word(at)? != 0 {
        at += 1;
    }
    at += 1;
    loop {
        match word(at)? {
            libc::AT_NULL => return Ok(()),
            libc::AT_SYSINFO_EHDR => {
                return memory.write_all_at(&libc::AT_IGNORE.to_ne_bytes(), stack + 8 * at).doing(doing);
            }
            _ => at += 2,
        }
    }
}

/// Moves the time that the kernel has put there.
fn shift_time(pid: Pid, address: u64, seconds: i64) {
    let shift = || -> std::io::Result<()> {
        let memory = OpenOptions::new().read(true).write(true).open(format!("/proc/{pid}/mem"))?;
        let mut now = [0; 8];
        memory.read_exact_at(&mut now, address)?;
        memory.write_all_at(&(i64::from_ne_bytes(now) + seconds).to_ne_bytes(), address)
    };
    if seconds != 0 {
        // One that was killed meanwhile reads no clock.
        let _ = shift();
    }
}

/// The path that a call works on, and the one that a rename leads to.
fn named(pid: Pid, names: Names, arguments: &[u64; 6]) -> (String, String) {
    let none = String::new;
    match names {
        Names::Nothing => (none(), none()),
        Names::Fd(at) => (of_descriptor(pid, arguments[at] as i32), none()),
        Names::Path(at) => (absolute(pid, libc::AT_FDCWD, &text_at(pid, arguments[at])), none()),
        Names::At(dir, at) => (relative(pid, arguments[dir], arguments[at]), none()),
        Names::Two(from, to) => (
            absolute(pid, libc::AT_FDCWD, &text_at(pid, arguments[from])),
            absolute(pid, libc::AT_FDCWD, &text_at(pid, arguments[to])),
        ),
        Names::TwoAt(from_dir, from, to_dir, to) => {
            (relative(pid, arguments[from_dir], arguments[from]), relative(pid, arguments[to_dir], arguments[to]))
        }
    }
}

/// A null pointer for a path means the descriptor itself: `futimens` is such a `utimensat`.
fn relative(pid: Pid, dir: u64, address: u64) -> String {
    match address {
        0 => of_descriptor(pid, dir as i32),
        _ => absolute(pid, dir as i32, &text_at(pid, address)),
    }
}

fn absolute(pid: Pid, dir: i32, path: &str) -> String {
    if path.starts_with('/') {
        return path.to_owned();
    }
    let folder = match dir {
        libc::AT_FDCWD => place(pid, "cwd"),
        dir => place(pid, &format!("fd/{dir}")),
    };
    format!("{}/{path}", folder.trim_end_matches('/'))
}

fn of_descriptor(pid: Pid, descriptor: i32) -> String {
    let path = place(pid, &format!("fd/{descriptor}"));
    let is_output = path.ends_with(" (deleted)") || path.starts_with("pipe:") || path.starts_with("/dev/");
    if (1..=2).contains(&descriptor) && is_output { OUTPUT.to_owned() } else { path }
}

/// Where a link of the process in `/proc` leads, as the process itself would say it: the kernel tells
/// it as seen from here, and where this program runs in a chroot the machine's root is not `/`.
fn place(pid: Pid, name: &str) -> String {
    let link = |name: &str| fs::read_link(format!("/proc/{pid}/{name}")).unwrap_or_default();
    below(&link("root"), &link(name)).to_string_lossy().into_owned()
}

/// `path` as seen from `root`; one that lies elsewhere, such as a pipe, stays as it is.
fn below(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).map_or_else(|_| path.to_owned(), |inside| Path::new("/").join(inside))
}

/// The text that ends with a zero byte at this address of the process.
fn text_at(pid: Pid, address: u64) -> String {
    let read = || -> Result<Vec<u8>> {
        let memory = File::open(format!("/proc/{pid}/mem")).doing(|| "cannot read memory")?;
        let mut text = Vec::new();
        let mut chunk = [0; 256];
        while text.len() < libc::PATH_MAX as usize {
            // Not over the end of a page: the next one may not be there.
            let at = address + text.len() as u64;
            let room = (4096 - at % 4096).min(chunk.len() as u64) as usize;
            let got = memory.read_at(&mut chunk[..room], at).doing(|| "cannot read memory")?;
            let end = chunk[..got].iter().position(|b| *b == 0);
            text.extend_from_slice(&chunk[..end.unwrap_or(got)]);
            if end.is_some() || got == 0 {
                break;
            }
        }
        Ok(text)
    };
    String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_the_process_sees_them() {
        for (root, path, seen) in [
            ("/", "/var/lib/x", "/var/lib/x"),
            ("/srv/clean", "/srv/clean/var/lib/x", "/var/lib/x"),
            ("/srv/clean", "/srv/clean", "/"),
            ("/srv/clean", "/srv/cleaner/x", "/srv/cleaner/x"),
            ("/srv/clean", "pipe:[17]", "pipe:[17]"),
        ] {
            assert_eq!(below(Path::new(root), Path::new(path)), Path::new(seen), "{path}");
        }
    }

    #[test]
    fn scripts_are_told_by_where_dpkg_starts_them() {
        for (word, name) in [
            ("/var/lib/dpkg/tmp.ci/preinst", Some("preinst")),
            ("/var/lib/dpkg/info/demo.postrm", Some("postrm")),
            ("/var/lib/dpkg/info/demo:amd64.prerm", Some("prerm")),
            ("/var/lib/dpkg/info/other.prerm", None),
            ("/var/lib/dpkg/info/demo.list", None),
            ("/usr/bin/preinst", None),
        ] {
            assert_eq!(script_of(word, "demo"), name, "{word}");
        }
    }
}
