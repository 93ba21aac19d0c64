//! `debseal gate`: asked by dpkg and apt before anything is unpacked.
//!
//! ```text
//! dpkg  pre-invoke            ─► /proc/PID/cmdline ─► cmdline ─► files ┐
//! apt   DPkg::Pre-Install-Pkgs ─► its list on stdin ─► apt ────────────┤
//!                                                                      ▼
//!      policy.d ─► survey ──────────► concerns ─► verdict ─► pass, warn, refuse
//!      the file ─► facts: identify ───┘              └─ facts: genuine, least
//! ```
//!
//! Only a file that is, or would replace, a package that a policy names is judged; all others pass
//! unread but for their control file. What can't be understood is refused where a policy enforces.
//! Exit code 6 stops dpkg or apt; whatever else goes wrong must not look like it.

pub(crate) mod allow;
mod apt;
mod cmdline;
mod facts;
mod files;
pub(crate) mod log;
mod survey;
mod verdict;

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use host::{Error, Kind, Root};
use seal::policy::Mode;

use crate::Outcome;
use crate::cli::{GateCommand, GateDpkgArgs};
use allow::Allowed;
use files::Seen;
use log::Event;
use survey::Survey;
use verdict::{Identity, Verdict, concerns, verdict};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Caller {
    Dpkg,
    Apt,
}

pub(crate) use facts::identify;

pub(crate) fn run(command: &GateCommand) -> Outcome {
    let survey = Survey::of(&Root::system());
    match command {
        GateCommand::Dpkg(args) => dpkg(args, survey),
        GateCommand::Apt => apt(survey),
    }
}

fn dpkg(args: &GateDpkgArgs, survey: Survey) -> Outcome {
    let action = std::env::var("DPKG_HOOK_ACTION").unwrap_or_default();
    if survey.is_empty() || !["", "install", "unpack"].contains(&action.as_str()) {
        return Outcome::default();
    }
    let gate = Gate::new(Caller::Dpkg, survey);
    let words = match Root::system()
        .resolve(format!("/proc/{}/cmdline", args.pid))
        .and_then(|path| fs::read(&path).map_err(|e| Error::io(format!("cannot read {}", path.display()), e)))
    {
        Ok(bytes) => words(&bytes),
        Err(error) => {
            return gate
                .blind(error.way_out("is /proc mounted? mount -t proc proc /proc"), "which files dpkg installs");
        }
    };
    let called = cmdline::parse(&words);
    if called.dry_run {
        return Outcome::default();
    }
    // Our own folder is dpkg's: it has started us.
    match std::env::current_dir() {
        Ok(cwd) => gate.judge(&files::find(&cwd, &called.files)),
        Err(error) => gate.blind(Error::io("cannot find the current folder", error), "which files dpkg installs"),
    }
}

/// The words of a command line in `/proc`: each ends with a NUL.
fn words(bytes: &[u8]) -> Vec<OsString> {
    let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    text.split(|b| *b == 0).map(|word| OsString::from_vec(word.to_vec())).collect()
}

fn apt(survey: Survey) -> Outcome {
    let mut said = Vec::new();
    // Read to the end always: apt writes all of it, and must not meet a closed pipe.
    let read = std::io::stdin().lock().read_to_end(&mut said);
    if survey.is_empty() {
        return Outcome::default();
    }
    let gate = Gate::new(Caller::Apt, survey);
    match read.map_err(|e| Error::io("cannot read what apt says", e)).and_then(|_| apt::parse(&said)) {
        Ok(files) => gate.judge(&files),
        Err(error) => gate.blind(error, "which files apt installs"),
    }
}

struct Gate {
    caller: Caller,
    survey: Survey,
    root: Root,
    admindir: PathBuf,
    overwrites: bool,
}

/// What came of one file.
struct Judged {
    identity: Identity,
    verdict: Verdict,
}

impl Gate {
    fn new(caller: Caller, survey: Survey) -> Self {
        let force = std::env::var("DPKG_FORCE").unwrap_or_default();
        let overwrites = facts::overwrites(&force);
        Self { caller, survey, root: Root::system(), admindir: facts::admindir(), overwrites }
    }

    /// Nothing can be told about any file.
    fn blind(&self, error: Error, what: &str) -> Outcome {
        let line =
            format!("cannot tell {what}, and so not whether a package that a policy names is among them: {error}");
        match self.survey.strictest() {
            Mode::Warn => Outcome { notes: vec![format!("{line}; the policy only warns")], ..Outcome::default() },
            Mode::Enforce => Outcome { errors: vec![Error::of(Kind::SignatureRefused, line)], ..Outcome::default() },
        }
    }

    fn judge(&self, paths: &[PathBuf]) -> Outcome {
        let mut outcome = Outcome::default();
        let (mut held, mut used) = (Vec::new(), Vec::new());
        let mut paths = paths.to_vec();
        paths.sort();
        paths.dedup();
        for path in &paths {
            let judged = self.file(path);
            let (event, why) = match &judged.verdict {
                Verdict::Pass => continue,
                Verdict::Warn(why) => ("warned", why),
                Verdict::Refuse(why) => ("refused", why),
            };
            let mut event = Event {
                event,
                by: self.name().to_owned(),
                file: path.display().to_string(),
                package: judged.identity.package.clone(),
                version: judged.identity.version.clone(),
                why: why.clone(),
                ..Event::default()
            };
            if let (Verdict::Refuse(_), Some(allowed)) = (&judged.verdict, allow::find(&self.root, path)) {
                event.event = "let-through";
                event.sha256 = allowed.sha256.clone();
                outcome.notes.push(format!(
                    "{}: {why}; let through once, as allowed: {}",
                    path.display(),
                    allowed.reason
                ));
                used.push(allowed);
            } else if let Verdict::Warn(_) = &judged.verdict {
                outcome.notes.push(format!("{}: {why}; the policy only warns", path.display()));
            } else {
                held.push(judged.identity.package.clone());
                outcome.errors.push(refusal(path, why));
            }
            if let Err(error) = log::append(&self.root, &event) {
                outcome.notes.push(error.to_string());
            }
        }
        if !outcome.errors.is_empty() {
            // Behind the reasons, where it is read last.
            outcome.errors.push(Error::of(Kind::SignatureRefused, what_now(held)));
        } else if self.caller == Caller::Dpkg {
            // apt asks first, and dpkg will ask again.
            used.iter().for_each(|allowed: &Allowed| outcome.notes.extend(allow::used(&self.root, allowed)));
        }
        outcome
    }

    fn name(&self) -> &'static str {
        match self.caller {
            Caller::Dpkg => "dpkg",
            Caller::Apt => "apt",
        }
    }

    /// The verdict over one path.
    fn file(&self, path: &Path) -> Judged {
        let nobody = |verdict| Judged { identity: Identity::default(), verdict };
        let strictest = |why: String| match self.survey.strictest() {
            Mode::Warn => Verdict::Warn(why),
            Mode::Enforce => Verdict::Refuse(why),
        };
        match files::look(path) {
            // apt has them all, so its list was not understood as it was meant.
            Seen::Gone | Seen::Folder if self.caller == Caller::Apt => {
                let why = "apt names it, and it is no file that can be read: is its name of two lines?";
                return nobody(strictest(why.to_owned()));
            }
            // dpkg says so itself, and unpacks nothing of it.
            Seen::Gone | Seen::Folder => return nobody(Verdict::Pass),
            Seen::Special(why) => {
                return nobody(strictest(format!("{why}; copy it to a file first, which both can read")));
            }
            Seen::File => {}
        }
        let before = stamp(path);
        let mut identity = match facts::identify(path) {
            Ok(identity) => identity,
            Err(error) => return nobody(strictest(format!("cannot tell which package it is: {error}"))),
        };
        if self.overwrites {
            match facts::shipped(path, &identity.package, &self.survey, &self.admindir) {
                Ok(ships) => identity.ships = ships,
                Err(error) => {
                    let why = format!("cannot tell whose files it would overwrite, as dpkg is told to: {error}");
                    return Judged { identity, verdict: strictest(why) };
                }
            }
        }
        let mut worst = Verdict::Pass;
        for concern in concerns(&identity, &self.survey) {
            let least = concern.itself.then(|| facts::least(&self.root, &self.admindir, &concern.name)).flatten();
            let genuine = |policy: &_| facts::genuine(&self.root, path, policy);
            match verdict(&concern, &genuine, least.as_deref()) {
                Verdict::Pass => {}
                Verdict::Warn(why) => worst = if worst == Verdict::Pass { Verdict::Warn(why) } else { worst },
                refuse @ Verdict::Refuse(_) => {
                    worst = refuse;
                    break;
                }
            }
        }
        // dpkg will open it by its name once more. What changes after this is the old prerm's to find.
        if stamp(path) != before {
            worst = strictest("it was changed while it was looked at; try again".to_owned());
        }
        Judged { identity, verdict: worst }
    }
}

fn what_now(mut held: Vec<String>) -> String {
    held.retain(|name| !name.is_empty());
    held.sort();
    held.dedup();
    let stopped = "this stops the whole transaction, other packages too; nothing was unpacked";
    match held.is_empty() {
        true => stopped.to_owned(),
        false => format!("{stopped}. To let the rest through: apt-mark hold {}", held.join(" ")),
    }
}

/// What changes when a file does, or another takes its name.
fn stamp(path: &Path) -> Option<(u64, u64, u64, i64, i64, i64, i64)> {
    let meta = fs::metadata(path).ok()?;
    let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
    Some((meta.dev(), meta.ino(), meta.size(), times.0, times.1, times.2, times.3))
}

fn refusal(path: &Path, why: &str) -> Error {
    let file = host::quote(&path.display().to_string());
    Error::of(Kind::SignatureRefused, format!("{} is refused: {why}", path.display())).way_out(format_args!(
        "get it again from its maker; if the maker has a new key: debseal key add; \
         if you know better: debseal allow {file} --reason WHY --once"
    ))
}
