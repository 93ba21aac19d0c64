//! One case, from the machine as it was to the package gone again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{IoContext, Result};

use crate::case::Case;
use crate::cluster::{self, Cluster};
use crate::disk::Image;
use crate::fault::{Disk, Fault};
use crate::flow::{Flow, Goal, UNSAFE, dpkg};
use crate::invariants::{Digests, Expected, Saved, When, violations};
use crate::machine::{Begun, Machine, Output};
use crate::plan::END;
use crate::recorder::{Moment, Recorder, Sabotage};
use crate::sabotage::{JOURNAL, Saboteur};
use crate::seed;
use crate::shortage::Shortage;
use crate::stage::{Prepared, Stages};
use crate::state::{self, Own, State};
use crate::subject::Subject;
use crate::syscalls::Effect;
use crate::trace::{Act, Event, OUTPUT};
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
        self.others_wrote(admin, wrote || wrote_later, before_the_lock(case, &events));
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

    /// dpkg itself can't go on without a disk; a script of a removal can, and all can at any time.
    fn judge_shortage(&mut self, shortage: Shortage, flow: Flow, exits: &[(String, i32)], output: &Output) {
        let removes = ["prerm:remove", "postrm:remove", "postrm:purge"];
        for (label, _) in
            exits.iter().filter(|(label, code)| *code != 0 && removes.iter().any(|r| label.starts_with(r)))
        {
            self.complain(When::Faulted, vec![format!("{label} failed for {}", shortage.name())]);
        }
        if shortage.clock() != 0 && output.code != Some(0) && flow != Flow::ConfigureBroken {
            self.complain(When::Faulted, vec!["it failed because the clock jumped".to_owned()]);
        }
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

    /// Who changes captured files or says so in the journal holds the lock: nobody else gets it.
    fn judge_lock(&mut self, case: &Case, events: &[Event], wrote: bool) {
        let Some(point) = case.point.as_ref().filter(|_| wrote) else { return };
        let Some(event) = events.iter().find(|e| e.label == point.label && e.number == point.number) else { return };
        let captured = seed::files(&self.setting.subject.policy);
        let changes = matches!(event.known.effect, Effect::Write | Effect::Rename);
        let place = if event.to.is_empty() { &event.path } else { &event.to };
        if changes && (place.ends_with(JOURNAL) || captured.iter().any(|f| f.writable && f.path == Path::new(place))) {
            self.complain("in the run", vec![format!("another writer got the lock while {place} was written")]);
        }
    }

    fn complain(&mut self, when: impl ToString, what: Vec<String>) {
        let when = when.to_string();
        self.violations.extend(what.into_iter().map(|what| Violation { when: when.clone(), what }));
    }

    /// A terminal that is gone stops nothing, and a removal stops for no disk.
    fn judge_exit(&mut self, case: &Case, events: &[Event], output: &Output) {
        let Some(point) = case.point.as_ref().filter(|p| matches!(p.fault, Fault::Once(_) | Fault::From(_))) else {
            return;
        };
        if output.code == Some(0) || !case.scenario.failing.is_empty() {
            return;
        }
        let here = events.iter().find(|e| e.label == point.label && e.number == point.number);
        let removes = matches!(case.scenario.flow, Flow::Remove | Flow::Purge | Flow::PurgeRemoved | Flow::Replaced);
        if here.is_some_and(|e| e.path == OUTPUT) && case.scenario.flow != Flow::ConfigureBroken {
            self.complain(When::Faulted, vec!["it failed because nobody could hear it".to_owned()]);
        } else if removes {
            self.complain(When::Faulted, vec!["a removal failed because something could not be written".to_owned()]);
        }
    }

    fn heard(&mut self, argv: &[String], output: &Output) {
        let code = output.code.map_or_else(|| "a signal".to_owned(), |c| c.to_string());
        self.said += &format!("$ {}\n{}[{code}]\n", argv.join(" "), output.text);
    }

    fn dpkg(&mut self, words: &[&str]) -> Result<Output> {
        let argv = dpkg(words);
        let output = self.machine.run(&argv)?;
        let package = &self.setting.subject.policy.package;
        let ran = |line: &str| ["Setting up", "Removing", "Purging"].iter().any(|w| line.starts_with(w));
        self.expected.tidy |= output.text.lines().any(|l| ran(l) && l.contains(package.as_str()));
        self.heard(&argv, &output);
        Ok(output)
    }

    /// The same, where nothing stands in its way.
    fn dpkg_has_to(&mut self, when: When, words: &[&str]) -> Result<()> {
        let output = self.dpkg(words)?;
        if output.code != Some(0) {
            let last = output
                .text
                .lines()
                .filter(|l| !l.starts_with(' '))
                .rfind(|l| l.contains(&self.setting.subject.policy.package));
            // Where nothing was said of the package, what was said last, and how it ended.
            let code = output.code.map_or_else(|| "a signal".to_owned(), |c| c.to_string());
            let end = || format!("{} [{code}]", output.text.lines().last().unwrap_or_default());
            let why = last.map_or_else(end, str::to_owned);
            self.complain(when, vec![format!("dpkg {} is blocked: {why}", words.join(" "))]);
        }
        Ok(())
    }

    fn status(&self) -> String {
        let package = self.setting.subject.policy.package.clone();
        self.machine.inside(move || state::status(&package))
    }

    /// Whether dpkg was cut off in the middle of its own bookkeeping.
    fn interrupted(&self) -> bool {
        self.machine.inside(|| std::fs::read_dir("/var/lib/dpkg/updates").is_ok_and(|mut d| d.next().is_some()))
    }

    fn check(&mut self, when: When, status: Option<&'static str>) -> Result<()> {
        let mut now = state::read(&self.machine, &self.setting.subject.policy, &self.own)?;
        if let Some(cluster) = &self.cluster {
            let (temporary, there): (Vec<PathBuf>, _) =
                cluster.changed().into_iter().partition(|p| state::is_temporary(p));
            now.temporary.extend(temporary);
            now.foreign.extend(there.into_iter().filter(|p| !self.own.covers(p)));
            if self.expected.tidy && !matches!(when, When::Faulted | When::Healed) {
                now.temporary.extend(cluster.locks());
            } else if when == When::Healed {
                cluster.drop_locks();
            }
            self.judge_own_phase(self.flow, when, &now);
            let pending = now.unfinished.iter().any(|p| p.ends_with("restore-cluster"));
            if when == When::Faulted && self.in_trouble && pending && !self.said.contains(RESUME) {
                self.complain(when, vec![format!("files wait for the cluster, and nobody named {RESUME}")]);
            }
        }
        let whole = when != When::Faulted && (self.expected.tidy || !self.lasting);
        let mut expected = Expected { status, whole, ..self.expected.clone() };
        self.kept_in_trouble(&now, &mut expected);
        self.complain(when, violations(when, &now, &expected));
        Ok(())
    }

    /// Once the package was removed this node's line is the safe one, or it was said that it stays. One that
    /// disappears was not removed: another has taken its place.
    fn judge_own_phase(&mut self, flow: Flow, when: When, now: &State) {
        let Some(safe) = self.setting.subject.policy.phase.as_ref().map(|p| p.safe.to_string()) else { return };
        let removed = when != When::Faulted && matches!(now.status.as_str(), "rc" | "un") && flow != Flow::Disappear;
        let stays = now.own_phase.as_ref().is_some_and(|phase| *phase != safe);
        let said = ["stays for now", "could not set this node's safe phase"].iter().any(|s| self.said.contains(s));
        if removed && stays && !said {
            let line =
                format!("this node's phase is {} and nobody said so", now.own_phase.as_deref().unwrap_or_default());
            self.complain(when, vec![line]);
        }
    }

    /// A file of the cluster's that could not even be read is kept, and was named.
    fn kept_in_trouble(&self, now: &State, expected: &mut Expected) {
        let named = |path: &Path| self.said.contains(&format!("keep {}: it can't be read", path.display()));
        let kept = now.captured.iter().filter(|(path, _)| self.in_trouble && named(path));
        for (path, digest) in kept {
            let with = |(name, set): &(&'static str, Digests)| {
                let mut set = set.clone();
                set.insert(path.clone(), digest.clone());
                (*name, set)
            };
            let more: Vec<_> = expected.sets.iter().map(with).collect();
            expected.sets.extend(more);
        }
    }

    /// The operator runs the command that finishes what waits for the cluster, once it is well again.
    fn resume(&mut self) -> Result<()> {
        let waiting = self.setting.subject.policy.state.join("restore-cluster");
        if !self.machine.inside(move || waiting.exists()) {
            return Ok(());
        }
        let argv = ["sh", "-c", RESUME].map(str::to_owned).to_vec();
        let output = self.machine.run(&argv)?;
        self.heard(&argv, &output);
        if output.code != Some(0) {
            self.complain(When::Healed, vec![format!("{RESUME} failed: {}", output.text.trim())]);
        }
        Ok(())
    }

    /// Everything captured is what the admin had, or what else may stay. A removal leaves the cluster's
    /// files alone.
    fn only_the_admins(&mut self) {
        self.expected.saved.iter_mut().for_each(|saved| saved.until_removed = None);
        if self.setting.trials {
            self.expected.sets.retain(|(name, _)| *name == "a");
            if self.expected.sets.is_empty() {
                self.expected.sets.extend(self.prepared.sets.get("a").map(|s| ("a", s.clone())));
            }
            if let (Some(a), Some(c), true) =
                (self.prepared.sets.get("a"), self.prepared.sets.get("c"), self.cluster.is_some())
            {
                let mut kept = a.clone();
                kept.extend(
                    c.iter().filter(|(p, _)| cluster::holds(&p.to_string_lossy())).map(|(p, d)| (p.clone(), d.clone())),
                );
                self.expected.sets.push(("the cluster's in c, the rest in a", kept));
            }
        }
    }

    /// Where the disk took no byte until the last script was gone, what is on trial stays, each file
    /// that does having been named; a restore that was cut short waits for the next install.
    fn kept_and_said(&mut self) -> Result<bool> {
        let (Some(kept), Some(before), true) = (self.prepared.sets.get("b"), self.prepared.sets.get("a"), self.lasting)
        else {
            return Ok(false);
        };
        let now = state::read(&self.machine, &self.setting.subject.policy, &self.own)?.captured;
        self.stays = now != *before && stays_named(&now, kept, before, &self.said);
        if self.stays {
            // Purge has forgotten what was to go back, and nothing moves it any more.
            self.expected.sets.push(("what stayed", now));
        }
        Ok(self.stays)
    }

    fn heal(&mut self, case: &Case) -> Result<()> {
        let flow = case.scenario.flow;
        let package = self.setting.subject.policy.package.clone();
        let goal = flow.goal();
        if goal == Goal::Installed {
            if let Some(stranger) = flow.stranger() {
                self.dpkg(&["-P", stranger])?;
            }
            // Where nothing waits to be configured, dpkg would only read its database.
            if self.status() != "ii" || self.interrupted() {
                self.dpkg(&["--configure", "-a"])?;
            }
            if self.status() != "ii" || flow == Flow::Write {
                self.dpkg_has_to(When::Healed, &["-i", flow.deb()])?;
            }
        } else if self.status() != goal.status() {
            self.dpkg(&["--configure", "-a"])?;
            let command = flow.command(&package);
            let words: Vec<&str> = command.iter().skip(2).map(String::as_str).collect();
            self.dpkg_has_to(When::Healed, &words)?;
        }
        if goal == Goal::Installed {
            self.resume()?;
        }
        if goal == Goal::Gone && flow != Flow::Disappear && !self.kept_and_said()? {
            self.only_the_admins();
        }
        self.check(When::Healed, Some(goal.status()))?;
        let audit = self.dpkg(&["--audit"])?;
        if !audit.text.trim().is_empty() {
            self.complain(When::Healed, vec![format!("dpkg --audit: {}", audit.text.trim().replace('\n', " "))]);
        }
        if goal == Goal::Installed {
            self.dpkg_has_to(When::Removed, &["-r", &package])?;
            self.only_the_admins();
            self.check(When::Removed, Some("rc"))?;
        } else {
            if let Some(stranger) = flow.stranger() {
                self.dpkg(&["-P", stranger])?;
            }
            self.dpkg_has_to(When::Installed, &["-i", flow.deb()])?;
            self.check(When::Installed, Some("ii"))?;
        }
        self.dpkg_has_to(When::Purged, &["-P", &package])?;
        if !self.stays {
            self.only_the_admins();
        }
        self.check(When::Purged, Some("un"))?;
        let since = self.prepared.layers.len() - self.prepared.before.len();
        let left = state::left_behind(
            &self.machine,
            &self.prepared.before,
            &self.prepared.layers[..since],
            &self.setting.subject.policy,
            &self.own,
        );
        self.complain(When::Purged, left);
        Ok(())
    }
}

/// Whether the fault struck while the package's own writer was only about to take its lock. What it replaces it looks
/// at under the lock.
fn before_the_lock(case: &Case, events: &[Event]) -> bool {
    let Some(point) = case.point.as_ref().filter(|_| case.scenario.flow == Flow::Write) else { return false };
    let lock = events.iter().find(|e| e.label == point.label && e.known.effect == Effect::Lock);
    lock.is_some_and(|lock| point.number <= lock.number)
}

/// Whether each file is as it was or has gone back, and the ones that are as they were were named.
fn stays_named(now: &Digests, kept: &Digests, before: &Digests, said: &str) -> bool {
    let mut paths = now.keys().chain(kept.keys()).chain(before.keys());
    paths.all(|path| {
        let here = now.get(path);
        here == before.get(path) || (here == kept.get(path) && said.contains(&path.display().to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_on_trial_was_named() {
        let set = |pairs: &[(&str, &str)]| -> Digests {
            pairs.iter().map(|(path, digest)| (PathBuf::from(path), (*digest).to_owned())).collect()
        };
        let (before, kept) = (set(&[("/x", "a"), ("/y", "a")]), set(&[("/x", "b"), ("/y", "b"), ("/new", "b")]));
        let said = "cannot replace /y: Permission denied";
        for (now, fine) in [
            (set(&[("/x", "a"), ("/y", "b")]), true),
            (set(&[("/x", "b"), ("/y", "b")]), false),
            (set(&[("/x", "a"), ("/y", "?")]), false),
            (set(&[("/x", "a"), ("/y", "b"), ("/new", "b")]), false),
            (set(&[("/x", "a"), ("/y", "b"), ("/else", "b")]), false),
        ] {
            assert_eq!(stays_named(&now, &kept, &before, said), fine, "{now:?}");
        }
    }
}
