//! Where flows start: layers that are made once and that thousands of machines stand on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::{Error, IoContext, Result};
use pmxcfs::Pmxcfs;

use crate::cluster;
use crate::flow::{Flow, Stage, dpkg};
use crate::invariants::Digests;
use crate::machine::Machine;
use crate::seed;
use crate::state::{self, Own, State};
use crate::subject::{NEW, OLD, Subject};
use crate::writer::{self, FOLDER};

/// The daemon of pve-cluster.
const PMXCFS: &str = "/usr/bin/pmxcfs";

/// A stage, ready to stand on.
#[derive(Clone)]
pub struct Prepared {
    /// Its layers, the topmost first, the root last.
    pub layers: Vec<PathBuf>,
    /// What was there before the package came: the last layers of these.
    pub before: Vec<PathBuf>,
    /// Digests of captured files by state.
    pub sets: BTreeMap<&'static str, Digests>,
    /// What it looks like.
    pub state: State,
    /// What its cluster holds, where it is a node of one.
    pub cluster: Option<Pmxcfs>,
}

/// All stages of a drill.
pub struct Stages {
    _dir: tempfile::TempDir,
    prepared: BTreeMap<Stage, Prepared>,
}

impl Stages {
    /// Makes what these flows start from, on this root. `trials`: whether the package knows of
    /// writes on trial; `cluster`: whether
    /// machines are nodes of one.
    pub fn make(root: &Path, subject: &Arc<Subject>, flows: &[Flow], trials: bool, cluster: bool) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("drill-").tempdir().doing(|| "cannot make a temporary folder")?;
        let mut stages = Self { _dir: dir, prepared: BTreeMap::new() };
        for flow in flows {
            stages.need(root, subject, flow.stage(), trials, cluster)?;
        }
        Ok(stages)
    }

    /// One of them.
    pub fn get(&self, stage: Stage) -> Result<&Prepared> {
        self.prepared.get(&stage).ok_or_else(|| Error::new(format!("stage {stage:?} was not made")))
    }

    fn need(&mut self, root: &Path, subject: &Arc<Subject>, stage: Stage, trials: bool, cluster: bool) -> Result<()> {
        if self.prepared.contains_key(&stage) {
            return Ok(());
        }
        if let Some(below) = stage.below() {
            self.need(root, subject, below, trials, cluster)?;
        }
        let below = match stage.below() {
            Some(below) => Some(self.get(below)?.clone()),
            None => None,
        };
        let under = below.as_ref().map_or_else(|| vec![root.to_owned()], |b| b.layers.clone());
        let mut machine = Machine::over(&under)?;
        let cluster =
            cluster.then(|| below.as_ref().and_then(|b| b.cluster.as_ref()).map_or_else(cluster::new, Pmxcfs::copy));
        if let Some(cluster) = &cluster {
            machine.join(cluster)?;
        }
        let mut sets = below.as_ref().map(|b| b.sets.clone()).unwrap_or_default();
        build(&machine, subject, stage, (trials, cluster.is_some()), &mut sets)
            .map_err(|e| e.context(format!("stage {stage:?}")))?;
        let layer = self._dir.path().join(format!("{stage:?}"));
        fs::create_dir(&layer).doing(|| format!("cannot make {}", layer.display()))?;
        let own = Own::of(&subject.policy, &subject.payload);
        let state = state::read(&machine, &subject.policy, &own)?;
        machine.freeze(&layer)?;
        let layers: Vec<PathBuf> = std::iter::once(layer).chain(under).collect();
        let before = below.map_or_else(|| layers.clone(), |b| b.before);
        self.prepared.insert(stage, Prepared { layers, before, sets, state, cluster });
        Ok(())
    }
}

fn build(
    machine: &Machine,
    subject: &Arc<Subject>,
    stage: Stage,
    (trials, cluster): (bool, bool),
    sets: &mut BTreeMap<&'static str, Digests>,
) -> Result<()> {
    let policy = || subject.policy.clone();
    let digests = || {
        let (policy, shipped) = (policy(), subject.payload.iter().cloned().collect());
        machine.inside(move || seed::digests(&policy, &shipped))
    };
    match stage {
        Stage::Bare | Stage::Alone => {
            let subject = Arc::clone(subject);
            machine.inside(move || -> Result<()> {
                fs::create_dir_all(FOLDER).doing(|| format!("cannot make {FOLDER}"))?;
                for (name, bytes) in &subject.debs {
                    let path = Path::new(FOLDER).join(name);
                    fs::write(&path, bytes).doing(|| format!("cannot write {}", path.display()))?;
                }
                if let Some(program) = &subject.writer {
                    writer::put(program, &subject.hooks)?;
                }
                if cluster {
                    // As far as files tell, pve-cluster is installed.
                    fs::write(PMXCFS, "").doing(|| format!("cannot write {PMXCFS}"))?;
                }
                seed::admins(&subject.policy, stage == Stage::Bare)
            })?;
            sets.insert("a", digests()?);
        }
        Stage::Old | Stage::New => {
            machine.must(&dpkg(&["-i", if stage == Stage::Old { OLD } else { NEW }]))?;
            let policy = policy();
            if trials {
                machine.inside(move || seed::raise(&policy).and_then(|()| seed::trial(&policy, "b")))?;
            }
            sets.insert("b", digests()?);
        }
        Stage::Removed => {
            machine.must(&dpkg(&["-r", &subject.policy.package]))?;
            let found = digests()?;
            if trials && Some(&found) != sets.get("a") {
                return Err(Error::new("a removal without any fault does not bring back what the admin wrote"));
            }
        }
        Stage::Unpacked => {
            machine.must(&dpkg(&["--unpack", NEW]))?;
            let policy = policy();
            if trials {
                let trial = if cluster { seed::trial_with_cluster } else { seed::trial };
                machine.inside(move || trial(&policy, "c"))?;
            }
            sets.insert("c", digests()?);
        }
        Stage::UnpackedBroken => {
            let program = subject.program.clone().ok_or_else(|| Error::new("the package ships no program to miss"))?;
            machine
                .inside(move || fs::remove_file(&program).doing(|| format!("cannot remove {}", program.display())))?;
        }
    }
    Ok(())
}
