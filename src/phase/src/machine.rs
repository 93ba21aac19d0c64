//! A change, one read or write at a time.
//!
//! ```text
//!   read the cluster's file ─► read the ceiling ─► plan ─► record it
//!        ▲                                                    │
//!        │ another node was quicker       up: cluster, then ceiling
//!        └─────────────────────────────── down: ceiling, then cluster ─► record the outcome
//! ```
//!
//! Killed between any two steps it leaves a history that names what may have been done. It knows no
//! files: [`Switch`](crate::Switch) lends it real ones, and the model test a world in which every
//! interleaving can be tried.

use host::{Error, Kind, Result};

use crate::change::{Facts, Plan, Seen, Wish, plan};
use crate::{Event, Outcome, Override, Phase, Said, Who};

/// What a machine works on. Each call is one step that others may come before or after.
pub trait Disk {
    /// Reads the cluster's file.
    fn cluster(&mut self) -> Seen;
    /// Reads this node's ceiling.
    fn ceiling(&mut self) -> Said;
    /// Appends to this node's history, durably.
    fn append(&mut self, event: Event) -> Result<()>;
    /// Writes this node's ceiling.
    fn set_ceiling(&mut self, phase: Phase) -> Result<()>;
    /// Replaces the cluster's file if it still holds `expected`, else [`Kind::Refused`].
    fn replace(&mut self, expected: Option<&[u8]>, bytes: &[u8]) -> Result<()>;
}

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Request {
    /// A name for it that no other has.
    pub id: String,
    /// This node.
    pub node: String,
    /// The path of the cluster's file, for messages.
    pub file: String,
    /// The cluster's nodes.
    pub known: Vec<String>,
    /// What is wanted.
    pub wish: Wish,
    /// What lets a larger step than one through.
    pub overridden: Option<Override>,
    /// By whom.
    pub by: Who,
    /// Why.
    pub why: String,
}

/// How it ended.
#[derive(Debug)]
pub struct Done {
    /// What was decided.
    pub plan: Plan,
    /// The phase that this node was in before.
    pub from: Phase,
    /// What the cluster's file held before, if it was replaced.
    pub replaced: Option<Vec<u8>>,
    /// Why the cluster's file is not as wanted, though this node is lowered.
    pub cluster: Option<Error>,
    /// Why lines are missing in the history.
    pub unrecorded: Vec<Error>,
}

/// How often a change is tried again when another node changed the file meanwhile.
const TRIES: usize = 5;

#[derive(Debug)]
enum State {
    Look,
    Ceiling(Seen),
    Record,
    Write,
    Outcome,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Ceiling,
    Cluster,
}

/// One change under way.
#[derive(Debug)]
pub struct Machine {
    request: Request,
    state: State,
    tries: usize,
    from: Phase,
    before: Option<Vec<u8>>,
    plan: Plan,
    todo: Vec<Part>,
    done: Vec<Part>,
    failed: Vec<(Part, Error)>,
    unrecorded: Vec<Error>,
}

impl Machine {
    /// A change that has not begun.
    pub fn new(request: Request) -> Self {
        Self {
            request,
            state: State::Look,
            tries: 0,
            from: Phase::PerlOnly,
            before: None,
            plan: Plan::default(),
            todo: Vec::new(),
            done: Vec::new(),
            failed: Vec::new(),
            unrecorded: Vec::new(),
        }
    }

    /// Takes it to its end.
    pub fn run(mut self, disk: &mut dyn Disk) -> Result<Done> {
        loop {
            if let Some(end) = self.step(disk) {
                return end;
            }
        }
    }

    /// What was asked for.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Takes one step: at most one read or write. Says how it ended once it has.
    pub fn step(&mut self, disk: &mut dyn Disk) -> Option<Result<Done>> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Look => {
                self.tries += 1;
                self.state = State::Ceiling(disk.cluster());
            }
            State::Ceiling(cluster) => {
                if let Err(error) = self.decide(cluster, disk.ceiling()) {
                    return Some(Err(error));
                }
            }
            State::Record => {
                match disk.append(self.announcement()) {
                    Err(error) if self.plan.raises => {
                        return Some(Err(error.context("nothing is changed, since it could not be recorded")));
                    }
                    Err(error) => self.unrecorded.push(error),
                    Ok(()) => {}
                }
                self.state = State::Write;
            }
            State::Write => self.write(disk),
            State::Outcome => {
                let again = self.lost_a_race() && self.tries < TRIES;
                self.unrecorded.extend(disk.append(self.outcome()).err());
                if !again {
                    return Some(self.end());
                }
                self.state = State::Look;
            }
            State::Over => return Some(self.end()),
        }
        None
    }

    fn decide(&mut self, cluster: Seen, ceiling: Said) -> Result<()> {
        let request = &self.request;
        let facts = Facts::new(request.file.clone(), request.node.clone(), request.known.clone(), cluster, ceiling);
        let new = plan(&request.wish, &facts, request.overridden.as_ref())?;
        if self.tries == 1 {
            self.from = facts.effective().phase;
        }
        self.before = match facts.cluster {
            Seen::Bytes(bytes) => Some(bytes),
            _ => None,
        };
        self.failed.clear();
        self.done.clear();
        // Up: the ceiling last, so that it is never higher than what was agreed. Down: first, since it
        // needs nobody.
        self.todo = if new.raises { vec![Part::Cluster, Part::Ceiling] } else { vec![Part::Ceiling, Part::Cluster] };
        self.todo.retain(|part| match part {
            Part::Ceiling => new.ceiling.is_some(),
            Part::Cluster => new.cluster.is_some(),
        });
        self.state = if new.is_empty() { State::Over } else { State::Record };
        self.plan = new;
        Ok(())
    }

    fn write(&mut self, disk: &mut dyn Disk) {
        let part = if self.todo.is_empty() { None } else { Some(self.todo.remove(0)) };
        let done = match part {
            Some(Part::Ceiling) => self.plan.ceiling.map_or(Ok(()), |to| disk.set_ceiling(to)),
            Some(Part::Cluster) => {
                let text = self.plan.cluster.as_deref().unwrap_or_default();
                disk.replace(self.before.as_deref(), text.as_bytes())
            }
            None => Ok(()),
        };
        match (done, part) {
            (Ok(()), part) => self.done.extend(part),
            (Err(error), Some(part)) => {
                self.failed.push((part, error));
                // Going up, the ceiling is not touched once the cluster's file has failed.
                if self.plan.raises {
                    self.todo.clear();
                }
            }
            (Err(_), None) => {}
        }
        self.state = if self.todo.is_empty() { State::Outcome } else { State::Write };
    }

    fn lost_a_race(&self) -> bool {
        self.failed.iter().any(|(part, error)| *part == Part::Cluster && error.kind() == Kind::Refused)
    }

    fn announcement(&self) -> Event {
        Event::Change {
            id: self.id(),
            node: self.request.node.clone(),
            by: Box::new(self.request.by.clone()),
            why: self.request.why.clone(),
            steps: self.plan.steps.clone(),
            changes: self.plan.changes.clone(),
            overridden: self.plan.overridden.clone(),
        }
    }

    /// A second try is another change.
    fn id(&self) -> String {
        if self.tries == 1 { self.request.id.clone() } else { format!("{}-try-{}", self.request.id, self.tries) }
    }

    fn outcome(&self) -> Event {
        let cluster = self.plan.cluster.is_some() || self.plan.no_cluster.is_some();
        let ceiling = self.plan.ceiling.is_some();
        let done = |part: Part| self.done.contains(&part);
        let outcome = match (done(Part::Ceiling) || !ceiling, done(Part::Cluster) || !cluster) {
            (true, true) => Outcome::Done,
            (true, false) if ceiling => Outcome::CeilingOnly,
            (false, true) if cluster => Outcome::ClusterOnly,
            _ => Outcome::Failed,
        };
        let mut errors: Vec<String> = self.failed.iter().map(|(_, error)| error.to_string()).collect();
        errors.extend(self.plan.no_cluster.iter().map(|(_, why)| why.clone()));
        let error = Some(errors.join("; ")).filter(|text| !text.is_empty());
        Event::Outcome { id: self.id(), outcome, error }
    }

    fn end(&mut self) -> Result<Done> {
        // This node is safe by its ceiling then; another's is out of reach.
        let own = match &self.request.wish {
            Wish::Node { node, .. } => *node == self.request.node,
            Wish::AllNodes { .. } | Wish::Lower { .. } | Wish::First { .. } => true,
            Wish::Feature { .. } | Wish::Import { .. } | Wish::Again { .. } => false,
        };
        let mut cluster = self.plan.no_cluster.take().map(|(kind, why)| Error::of(kind, why));
        for (part, error) in self.failed.drain(..) {
            match part {
                Part::Cluster if !self.plan.raises && own => cluster = Some(error),
                _ => return Err(error),
            }
        }
        Ok(Done {
            replaced: self.before.take().filter(|_| self.plan.cluster.is_some()),
            plan: std::mem::take(&mut self.plan),
            from: self.from,
            cluster,
            unrecorded: std::mem::take(&mut self.unrecorded),
        })
    }
}
