//! One case, from the machine as it was to the package gone again.
//!
//! ```text
//!   the flow, under trace, with its fault ─► judge ─► heal, remove, purge ─► judge each time
//! ```

mod heal;
mod judge;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{IoContext, Result};

use crate::case::{Case, END};
use crate::cluster::{self, Cluster};
use crate::disk::Image;
use crate::fault::{Disk, Fault};
use crate::flow::{Flow, UNSAFE, dpkg};
use crate::invariants::{Digests, Expected, Saved, When};
use crate::machine::{Begun, Machine, Output};
use crate::recorder::{Moment, Recorder};
use crate::sabotage::{Sabotage, Saboteur};
use crate::seed;
use crate::stage::{Prepared, Stages};
use crate::state::Own;
use crate::subject::Subject;
use crate::trace::{Act, Event};
use crate::writer;

/// The one command that finishes what the cluster kept from going back.
const RESUME: &str = "migration-ctl rollback --resume";

/// What every case needs.
pub struct Setting {
    /// The package.
    pub subject: Arc<Subject>,
    /// Where flows start.
    pub stages: Stages,
    /// Whether the package knows of writes on trial.
    pub trials: bool,
    /// What is broken on purpose.
    pub sabotage: Option<Sabotage>,
    /// What the operator does at the same time.
    pub operator: Option<String>,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// When it was seen.
    pub when: String,
    /// What.
    pub what: String,
}

/// What came of a case.
#[derive(Debug)]
pub struct Verdict {
    /// The case.
    pub case: Case,
    /// Whether its fault struck.
    pub fired: bool,
    /// The script calls, in order.
    pub labels: Vec<String>,
    /// The changing calls of the scripts, in order.
    pub events: Vec<Event>,
    /// What must not be.
    pub violations: Vec<Violation>,
    /// What dpkg and the scripts said.
    pub said: String,
}

/// Runs a case to its end.
pub fn run(setting: &Setting, case: &Case) -> Result<Verdict> {
    let prepared = setting.stages.get(case.scenario.flow.stage())?;
    let power = case.point.as_ref().and_then(|p| if let Fault::Power(disk) = p.fault { Some(disk) } else { None });
    let cut = power.map(Cut::prepare).transpose().map_err(|e| e.context(case))?;
    let machine = match (&cut, case.point.as_ref().map(|p| p.fault)) {
        (Some(cut), _) => Machine::on(&prepared.layers, cut.image.scratch()),
        (None, Some(Fault::Shortage(shortage))) => Machine::on(&prepared.layers, shortage.scratch()),
        _ => Machine::over(&prepared.layers),
    };
    let mut machine = machine.map_err(|e| e.context(case))?;
    let cluster = match &prepared.cluster {
        Some(kept) => {
            let own = kept.copy();
            machine.join(&own).map_err(|e| e.context(case))?;
            Some(Cluster::of(own, &setting.subject.policy))
        }
        None => None,
    };
    let run = Run {
        setting,
        prepared,
        machine,
        cluster,
        flow: case.scenario.flow,
        in_trouble: case.point.as_ref().is_some_and(|p| matches!(p.fault, Fault::Cluster(_))),
        own: Own::of(&setting.subject.policy, &setting.subject.payload),
        expected: expected(setting, prepared, case.scenario.flow),
        violations: Vec::new(),
        said: String::new(),
        lasting: case.point.as_ref().is_some_and(|p| match p.fault {
            Fault::From(_) => true,
            Fault::Shortage(shortage) => shortage.bars_writing(),
            _ => false,
        }),
        stays: false,
    };
    run.go(case, cut).map_err(|e| e.context(case))
}

/// A disk, and room for its picture.
struct Cut {
    kind: Disk,
    dir: tempfile::TempDir,
    image: Image,
}

impl Cut {
    fn prepare(kind: Disk) -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = tempfile::Builder::new().prefix("drill-").tempdir_in(place);
        let dir = dir.doing(|| "cannot make a temporary folder")?;
        let image = Image::make(kind, &dir.path().join("disk"))?;
        Ok(Self { kind, dir, image })
    }

    fn picture(&self) -> PathBuf {
        self.dir.path().join("picture")
    }
}

fn expected(setting: &Setting, prepared: &Prepared, flow: Flow) -> Expected {
    let names: &[&'static str] = match (flow, setting.trials) {
        (Flow::Install | Flow::InstallAlone | Flow::PurgeRemoved | Flow::InstallRemoved, _) | (_, false) => &["a"],
        (Flow::Configure | Flow::ConfigureBroken, _) => &["b", "c"],
        (Flow::Write, _) => &["b", "d"],
        (Flow::Remove | Flow::Purge | Flow::Replaced | Flow::Disappear, _) => &["b", "a"],
        _ => &["b"],
    };
    let set = |name: &&'static str| {
        let known = prepared.sets.get(name).cloned();
        known.or_else(|| written(setting, prepared, name)).map(|set| (*name, set))
    };
    let sets = names.iter().filter_map(set).collect();
    Expected {
        sets,
        saved: Vec::new(),
        others: prepared.state.others.clone(),
        enabled: prepared.state.enabled.clone(),
        status: None,
        tidy: false,
        whole: false,
        has_first: setting.trials,
    }
}

/// What stands there after the package's own code wrote this state.
fn written(setting: &Setting, prepared: &Prepared, state: &str) -> Option<Digests> {
    let mut set = prepared.sets.get("a")?.clone();
    set.extend(seed::trial_digests(&setting.subject.policy, state));
    Some(set)
}

struct Run<'a> {
    setting: &'a Setting,
    prepared: &'a Prepared,
    machine: Machine,
    cluster: Option<Cluster>,
    flow: Flow,
    /// Whether the cluster fails in this run.
    in_trouble: bool,
    own: Own,
    expected: Expected,
    violations: Vec<Violation>,
    said: String,
    /// The disk took nothing more until the end of the run with the fault.
    lasting: bool,
    /// What is on trial stays for good, since nothing could be written.
    stays: bool,
}

impl Run<'_> {
    fn go(mut self, case: &Case, cut: Option<Cut>) -> Result<Verdict> {
        let flow = case.scenario.flow;
        let policy = &self.setting.subject.policy;
        let (machine, mut admin, mut wrote, mut taken) = (&self.machine, None, false, None);
        let mut cluster = self.cluster.take();
        let (operator, mut second, mut meanwhile) = (self.setting.operator.clone(), None, None);
        let other = |moment: Moment| {
            let policy = policy.clone();
            let Moment::Fault(fault) = moment else {
                cluster.iter_mut().for_each(Cluster::turn);
                return true;
            };
            match fault {
                Fault::Cluster(trouble) => return cluster.as_mut().is_some_and(|c| c.strike(trouble).is_ok()),
                Fault::Admin => admin = machine.inside(move || seed::admin_saves(&policy)).ok().flatten(),
                Fault::Writer => wrote = machine.inside(move || seed::trial_if_free(&policy, "e")),
                Fault::Shortage(shortage) => return machine.inside(move || shortage.strike(&policy)).is_ok(),
                // Where no dpkg is at work, it removes the package while its own code is writing.
                Fault::SecondDpkg if flow == Flow::Write => {
                    meanwhile = machine.begin(&dpkg(&["-r", &policy.package])).ok();
                }
                Fault::SecondDpkg => second = machine.run(&dpkg(&["-r", &policy.package])).ok(),
                Fault::WaitingWriter => {
                    let begun = machine.begin(&writer::command("e"));
                    meanwhile = begun.ok().map(|b| b.until_at(&policy.state.join("lock")));
                }
                Fault::Operator => {
                    let command = operator.clone().unwrap_or_default();
                    meanwhile = machine.begin(&["sh".into(), "-c".into(), command]).ok();
                }
                Fault::Power(_) => taken = cut.as_ref().map(|c| c.image.picture(&c.picture())),
                _ => return false,
            }
            true
        };
        let captured: Vec<PathBuf> =
            seed::files(policy).iter().filter_map(|f| f.path.parent().map(PathBuf::from)).collect();
        let mut watched = captured.clone();
        // pmxcfs is a database: what it has taken is on disk.
        watched.retain(|folder| self.prepared.cluster.is_none() || !cluster::holds(&folder.to_string_lossy()));
        watched.push(policy.state.clone());
        let saboteur = self.setting.sabotage.map(|kind| Saboteur::new(kind, captured));
        let mut recorder = Recorder::new(case, watched, Box::new(other), saboteur);
        let at_end = case.point.as_ref().is_some_and(|p| p.label == END);
        let mut command = flow.command(&policy.package);
        if cut.is_some() {
            // On a disk dpkg has to sync what it unpacks.
            command.retain(|word| word != UNSAFE);
        }
        let output = self.machine.run_traced(&command, &policy.package, &mut recorder)?;
        let complaints = recorder.complaints();
        let (labels, events, fired) =
            (std::mem::take(&mut recorder.labels), std::mem::take(&mut recorder.events), recorder.fired || at_end);
        let exits = std::mem::take(&mut recorder.exits);
        drop(recorder);
        self.cluster = cluster;
        let fault = case.point.as_ref().map(|p| p.fault);
        // A call that failed on purpose can't have made anything durable.
        if !fault.is_some_and(Fault::fails_calls) {
            self.complain("in the run", complaints);
        }
        self.heard(&command, &output);
        let wrote_later = self.met(fault, second, meanwhile)?;
        if let Some(Fault::Shortage(shortage)) = fault.filter(|_| fired) {
            self.judge_shortage(shortage, flow, &exits, &output);
            let policy = self.setting.subject.policy.clone();
            self.machine.inside(move || shortage.mend(&policy))?;
        }
        self.others_wrote(admin, wrote || wrote_later, judge::before_the_lock(case, &events));
        if !self.cluster_heals(fault)? {
            return Ok(Verdict {
                case: case.clone(),
                fired,
                labels,
                events,
                violations: self.violations,
                said: self.said,
            });
        }
        self.judge_lock(case, &events, wrote);
        self.judge_exit(case, &events, &output);
        let _picture = match cut {
            Some(cut) => Some(self.wake(case, cut, taken, &output)?),
            None => None,
        };
        self.check(When::Faulted, None)?;
        self.heal(case)?;
        // The machine first: its disk can't go while it is mounted.
        drop(self.machine);
        Ok(Verdict { case: case.clone(), fired, labels, events, violations: self.violations, said: self.said })
    }

    /// The machine after a power cut: on what was on the disk in that moment. Also says what the cut
    /// at the very end has lost.
    fn wake(&mut self, case: &Case, cut: Cut, taken: Option<Result<()>>, output: &Output) -> Result<(Image, Cut)> {
        let at_end = case.point.as_ref().is_some_and(|p| p.label == END);
        match taken {
            Some(taken) => taken?,
            None => cut.image.picture(&cut.picture())?,
        }
        let image = Image::of_picture(cut.kind, &cut.picture())?;
        self.machine = Machine::on(&self.prepared.layers, image.scratch())?;
        if at_end && output.code == Some(0) {
            self.check(When::Faulted, Some(case.scenario.flow.goal().status()))?;
        }
        Ok((image, cut))
    }

    /// What became of those who were at work at the same time; whether a writer was let in.
    fn met(&mut self, fault: Option<Fault>, second: Option<Output>, meanwhile: Option<Begun>) -> Result<bool> {
        if let Some(output) = &second
            && (output.code == Some(0) || !output.text.contains("lock"))
        {
            self.complain("in the run", vec![format!("a second dpkg was let in: {}", output.text.trim())]);
        }
        let Some(begun) = meanwhile else { return Ok(false) };
        let (argv, output) = self.machine.end(begun)?;
        self.heard(&argv, &output);
        // What they may have brought back.
        if matches!(fault, Some(Fault::Operator | Fault::SecondDpkg)) {
            let known = ["a", "b"].into_iter().filter_map(|n| Some((n, self.prepared.sets.get(n)?.clone())));
            self.expected.sets.extend(known);
        }
        Ok(fault == Some(Fault::WaitingWriter) && output.code == Some(0))
    }

    fn others_wrote(&mut self, admin: Option<PathBuf>, wrote: bool, before_it_looked: bool) {
        if wrote {
            self.expected.sets.extend(written(self.setting, self.prepared, "e").map(|set| ("e", set)));
        }
        if let Some(path) = admin {
            let digest = seed::digest_of(&path, "admin");
            let replaced = |set: Digests| set.get(&path).cloned();
            let until_removed =
                written(self.setting, self.prepared, "d").filter(|_| before_it_looked).and_then(replaced);
            self.expected.saved.push(Saved { who: "the admin", path, digest, until_removed });
        }
    }

    /// The cluster is well again; whether pmxcfs could start. A removal never waited for it.
    fn cluster_heals(&mut self, fault: Option<Fault>) -> Result<bool> {
        let Some(cluster) = &mut self.cluster else { return Ok(true) };
        let trouble = if let Some(Fault::Cluster(trouble)) = fault { Some(trouble) } else { None };
        let locks = cluster.locks();
        let healed = cluster.heal(trouble);
        // Who is cut off in the middle leaves its lock; and EBUSY for one that was made leaves it unknown
        // whose it is. Such a lock bars nobody for longer than two minutes.
        let left = fault.is_some_and(|f| f.fails_calls() || f.act() != Act::Go);
        if !left {
            let left = locks.iter().map(|lock| format!("{} was left locked", lock.display())).collect();
            self.complain(When::Faulted, left);
        }
        match healed {
            Ok(written) => {
                let mut files = written.files.into_iter();
                let saved = |(path, digest)| Saved { who: "another node", path, digest, until_removed: None };
                self.expected.saved.extend(files.by_ref().map(saved));
                if let Some((node, phase)) = written.phase {
                    let others = self.expected.others.get_or_insert_with(|| {
                        [("other", phase.as_str()), ("third", "perl-only")]
                            .map(|(n, p)| (n.to_owned(), p.to_owned()))
                            .to_vec()
                    });
                    others.iter_mut().filter(|(n, _)| *n == node).for_each(|(_, p)| p.clone_from(&phase));
                }
                Ok(true)
            }
            Err(error) => {
                self.complain(When::Faulted, vec![format!("the cluster can't come back: {error}")]);
                Ok(false)
            }
        }
    }

    fn complain(&mut self, when: impl ToString, what: Vec<String>) {
        let when = when.to_string();
        self.violations.extend(what.into_iter().map(|what| Violation { when: when.clone(), what }));
    }

    fn heard(&mut self, argv: &[String], output: &Output) {
        let code = output.code.map_or_else(|| "a signal".to_owned(), |c| c.to_string());
        self.said += &format!("$ {}\n{}[{code}]\n", argv.join(" "), output.text);
    }
}
