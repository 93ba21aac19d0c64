//! Directs one run: lets script calls fail, puts the fault where it belongs, and writes down what
//! happened.

use std::path::PathBuf;

use crate::case::{Case, Failing, Point};
use crate::durable::Model;
use crate::fault::Fault;
use crate::trace::{Act, Director, Event, OUTPUT};

/// When others may act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before each changing call of a script.
    Call,
    /// Where the fault strikes.
    Fault(Fault),
}

/// Does what a director can't: others' writes. Whether it did anything.
pub type Other<'a> = Box<dyn FnMut(Moment) -> bool + 'a>;

/// What is known of a run.
pub struct Recorder<'a> {
    failing: Vec<Failing>,
    point: Option<Point>,
    other: Other<'a>,
    sabotage: Option<super::sabotage::Saboteur>,
    model: Model,
    /// What fails from now on; and whether it is the terminal that is gone, rather than the disk.
    persistent: Option<(Fault, bool)>,
    /// Script calls in order.
    pub labels: Vec<String>,
    /// Changing calls in order.
    pub events: Vec<Event>,
    /// Whether the fault was put.
    pub fired: bool,
    /// By how many seconds scripts see the clock wrong from now on.
    clock: i64,
    /// The last exit code of each script call that exited.
    pub exits: Vec<(String, i32)>,
}

impl<'a> Recorder<'a> {
    /// For one case; `watched` are the folders whose durability counts.
    pub fn new(
        case: &Case,
        watched: Vec<PathBuf>,
        other: Other<'a>,
        sabotage: Option<super::sabotage::Saboteur>,
    ) -> Self {
        Self {
            failing: case.scenario.failing.clone(),
            point: case.point.clone(),
            other,
            sabotage,
            model: Model::watching(watched),
            persistent: None,
            labels: Vec::new(),
            events: Vec::new(),
            fired: false,
            clock: 0,
            exits: Vec::new(),
        }
    }

    /// What was not durable when it had to be.
    pub fn complaints(&mut self) -> Vec<String> {
        self.model.begins();
        let mut all = std::mem::take(&mut self.model.complaints);
        all.sort();
        all.dedup();
        all
    }

    fn fails(&self, label: &str, at_end: bool) -> bool {
        self.failing.iter().any(|f| f.label == label && f.at_end == at_end)
    }
}

impl Director for Recorder<'_> {
    fn begins(&mut self, label: &str) -> bool {
        self.labels.push(label.to_owned());
        self.model.begins();
        self.fails(label, false)
    }

    fn before(&mut self, event: &Event) -> Act {
        self.events.push(event.clone());
        if let Some(saboteur) = &mut self.sabotage {
            saboteur.ahead(event);
        }
        (self.other)(Moment::Call);
        let hits = |p: &&Point| p.label == event.label && p.number == event.number;
        let due = self.point.as_ref().filter(hits).map(|p| p.fault).filter(|_| !self.fired);
        let mut act = Act::Go;
        if let Some(fault) = due {
            if matches!(fault, Fault::From(_)) {
                self.persistent = Some((fault, event.path == OUTPUT));
            }
            let done = (self.other)(Moment::Fault(fault));
            // A machine that could not be brought into need has not been tried.
            self.fired = done || !matches!(fault, Fault::Shortage(_) | Fault::Cluster(_));
            if let Fault::Shortage(shortage) = fault {
                self.clock = shortage.clock();
            }
            act = fault.act();
        } else if let Some((fault, terminal)) = self.persistent {
            let same = terminal == (event.path == OUTPUT);
            if same && fault.can_hit(event.known, &event.path, event.length) {
                act = fault.act();
            }
        }
        match &mut self.sabotage {
            Some(saboteur) => saboteur.before(event, act),
            None => act,
        }
    }

    fn after(&mut self, event: &Event, result: i64) {
        if let Some(saboteur) = &mut self.sabotage
            && saboteur.after(event, result)
        {
            return;
        }
        if result >= 0 {
            self.model.note(event);
        }
    }

    fn clock(&self) -> i64 {
        self.clock
    }

    fn moves_the_clock(&self) -> bool {
        self.point.as_ref().is_some_and(|p| matches!(p.fault, Fault::Shortage(s) if s.clock() != 0))
    }

    fn exits(&mut self, label: &str, code: i32) -> i32 {
        self.exits.push((label.to_owned(), code));
        self.model.exits(label, code);
        if code == 0 && self.fails(label, true) { 1 } else { code }
    }
}
