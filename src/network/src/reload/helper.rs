//! `pvenet reload`: what systemd starts for one reload. Standard input is the daemon's connection.

use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ::cli::note;
use host::{Error, IoContext, Kind, Result};
use model::Severity;
use phase::{What, allows};

use super::task::Task;
use super::{Told, is_id, line};
use crate::Node;
use crate::apply::plan::{Plan, Source};
use crate::apply::{self, Asked, Order, Progress};
use crate::fate::{Fate, fate};

/// For an id: the daemon has it at hand.
const PATIENCE: Duration = Duration::from_secs(5);

/// An id's length at most, see [`is_id`].
const LONGEST: usize = 64;

/// Carries out one reload for the daemon, which waits at standard input.
///
/// # Errors
/// Nobody asks there; the reload was refused, or failed and went back. The daemon was told, if it still waited.
pub fn run(node: &Node) -> Result<()> {
    if !node.store.root.is_system() {
        return Err(Error::of(Kind::Usage, "the running system alone has a network to reload"));
    }
    let asker = Asker::at_stdin()?;
    let mut begun = None;
    let done = go(node, &asker, &mut begun);
    match (begun, done) {
        // Answered long since.
        (Some(task), Ok(())) => task.end(None),
        (Some(task), Err(failed)) => {
            task.end(Some(&failed.why));
            return Err(Error::of(failed.kind, failed.why));
        }
        (None, Ok(())) => {}
        (None, Err(failed)) => {
            asker.tell(&failed.told(node, &asker.id));
            return Err(Error::of(failed.kind, failed.why));
        }
    }
    Ok(())
}

/// The daemon's request that waits for us.
struct Asker {
    stream: UnixStream,
    id: String,
}

impl Asker {
    fn at_stdin() -> Result<Self> {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().doing(|| "cannot use standard input")?;
        let stream = UnixStream::from(stdin);
        let usage = |_| {
            Error::of(Kind::Usage, "standard input is no socket: this is for pve-network-reload.socket")
                .way_out("pvenet apply is what a person types")
        };
        stream.set_read_timeout(Some(PATIENCE)).map_err(usage)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(usage)?;
        let id = line(&stream, LONGEST)?;
        if !is_id(&id) {
            return Err(Error::of(Kind::Usage, "what was asked for is no operation's id"));
        }
        Ok(Self { stream, id })
    }

    /// Whether it got through. That the daemon is gone stops nothing that has begun.
    fn tell(&self, told: &Told) -> bool {
        let Ok(mut text) = serde_json::to_string(told) else { return false };
        text.push('\n');
        (&self.stream).write_all(text.as_bytes()).is_ok()
    }

    /// Whether it is there at this moment. To be asked while the journal's lock is held, see [`super`].
    fn waits(&self) -> bool {
        self.tell(&Told::Ready) && line(&self.stream, LONGEST).is_ok_and(|id| id == self.id)
    }
}

/// How far it came, which decides what a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Phase and feature.
    May,
    /// What is pending is judged, another apply looked for.
    Judged,
    /// The turn is ours; other writers may have the locks.
    Locks,
    /// The snapshot is taken.
    Armed,
}

#[derive(Debug)]
struct Failed {
    stage: Stage,
    kind: Kind,
    why: String,
}

impl Failed {
    /// Before ifreload began.
    fn told(&self, node: &Node, id: &str) -> Told {
        let why = self.why.clone();
        match (self.stage, self.kind) {
            (Stage::May, _) => Told::NotNow { why },
            (Stage::Judged, _) | (Stage::Locks, Kind::Refused) => Told::Refused { why },
            (Stage::Locks, _) => Told::NotNow { why },
            (Stage::Armed, _) => match fate(&node.store, id) {
                Ok(Fate::NeverBegun) => Told::Failed { why },
                Ok(Fate::RolledBack(_)) => Told::Refused { why },
                _ => Told::Unknown { why },
            },
        }
    }
}

fn go(node: &Node, asker: &Asker, begun: &mut Option<Task>) -> Result<(), Failed> {
    let stage = std::cell::Cell::new(Stage::May);
    let failed = |error: Error| Failed { stage: stage.get(), kind: error.kind(), why: error.to_string() };
    may(node).map_err(failed)?;
    stage.set(Stage::Judged);
    let plan = Plan::make(node, &Source::Pending, false).map_err(failed)?;
    plan.allowed().map_err(failed)?;
    let asked = Asked { source: Source::Pending, confirm: None, allow_cut_off: false, ssh: None };
    let waits = || {
        // An id begins once, whichever daemon got it first.
        matches!(fate(&node.store, &asker.id), Ok(Fate::NeverBegun)) && asker.waits()
    };
    let order = Order { id: &asker.id, waits: &waits };
    let done = apply::run(node, &plan, &asked, Some(&order), &mut |progress| {
        match progress {
            Progress::Turn => return stage.set(Stage::Locks),
            Progress::Armed(_) => stage.set(Stage::Armed),
            Progress::Reloading => {
                let task = begun.insert(Task::begin(&node.store));
                for finding in plan.findings.iter().filter(|f| f.severity == Severity::Warning) {
                    task.say(&format!("warning {}: {}", finding.code, finding.what));
                }
                asker.tell(&Told::Begun { upid: task.upid().to_owned() });
            }
            _ => {}
        }
        note!("pvenet: {progress}");
        if let Some(task) = begun {
            task.say(&progress.to_string());
        }
    });
    done.map(drop).map_err(failed)
}

/// As for every write of the daemon's.
fn may(node: &Node) -> Result<()> {
    let effective = node.switch.effective();
    if !allows(What::Apply, effective.phase) {
        let what = format!("this node is at {effective}: Rust reloads from rust-basic-write on");
        return Err(Error::of(Kind::Refused, what));
    }
    match node.migration()? {
        Some(migration) if migration.features.rust_daemon => Ok(()),
        _ => Err(Error::of(Kind::Refused, "the feature rust_daemon is off")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::Root;

    #[test]
    fn what_a_failure_is_depends_on_how_far_it_came() {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::at(&Root::at(dir.path())).unwrap();
        let told = |stage, kind| Failed { stage, kind, why: "why".into() }.told(&node, "op-1");
        let why = || "why".to_owned();
        for kind in [Kind::Failed, Kind::Refused] {
            assert_eq!(told(Stage::May, kind), Told::NotNow { why: why() });
            assert_eq!(told(Stage::Judged, kind), Told::Refused { why: why() });
        }
        assert_eq!(told(Stage::Locks, Kind::Refused), Told::Refused { why: why() });
        assert_eq!(told(Stage::Locks, Kind::Failed), Told::NotNow { why: why() });
        // The guardian did not come up: the journal has no line.
        assert_eq!(told(Stage::Armed, Kind::Failed), Told::Failed { why: why() });
        let begin = r#"{"event":"begin","id":"op-1","time":1,"backend":"rust","tool":"pvenet","phase":"rust-full","snapshot":null,"transaction":null,"paths":{}}"#;
        let end = r#"{"event":"end","id":"op-1","time":1,"duration_ms":1,"outcome":"rolled-back"}"#;
        let journal = node.store.path("operations.jsonl");
        std::fs::create_dir_all(journal.parent().unwrap()).unwrap();
        for (lines, expected) in [
            (format!("{begin}\n"), Told::Unknown { why: why() }),
            (format!("{begin}\n{end}\n"), Told::Refused { why: why() }),
        ] {
            std::fs::write(&journal, lines).unwrap();
            assert_eq!(told(Stage::Armed, Kind::Failed), expected);
        }
    }

    #[test]
    fn only_who_answers_with_the_same_id_waits() {
        let asker = |answer: Option<&str>| {
            let (mut daemon, stream) = UnixStream::pair().unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            if let Some(answer) = answer {
                daemon.write_all(answer.as_bytes()).unwrap();
            }
            drop(daemon);
            Asker { stream, id: "op-1".into() }.waits()
        };
        assert!(!asker(None), "it hung up");
        assert!(!asker(Some("op-2\n")) && !asker(Some("op-1")));
        let (mut daemon, stream) = UnixStream::pair().unwrap();
        daemon.write_all(b"op-1\n").unwrap();
        assert!(Asker { stream, id: "op-1".into() }.waits());
    }
}
