//! A hundred thousand interleavings of what three nodes of a cluster may do at once: set phases, look,
//! remove, purge, reinstall, be killed anywhere, lose quorum, run out of disk. A step is one read, one
//! compare-and-swap or one line of history. What runs are the real [`Machine`]s; only the disk is a model.
//!
//! It keeps: no update is lost; no phase is raised by anything but the command that asked for it; the history
//! names every change before it is visible.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;

use host::{Error, Kind, Result};
use phase::change::{Seen, settings};
use phase::machine::Disk;
use phase::record::{self, Contents};
use phase::{Effective, Event, Machine, Migration, Override, Phase, Request, Said, Setting, Who, Wish, effective};

const NODES: [&str; 3] = ["a", "b", "c"];
const SCHEDULES: u64 = 100_000;
/// Schedules that share a world, so that deep states are reached too.
const WORLD: u64 = 25;

/// xorshift64*, seeded per world: a failure names its seed and happens again.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn phase(&mut self) -> Phase {
        Phase::ALL[self.below(Phase::ALL.len())]
    }
}

#[derive(Default)]
struct Node {
    ceiling: Option<Phase>,
    history: Vec<u8>,
    contents: Contents,
    quorum: bool,
    full: bool,
    /// A change was made that the full disk did not let be recorded.
    unrecorded: bool,
    /// What the change under way announced in the history; nothing if that could not be written.
    announced: Option<Vec<Setting>>,
    /// What the last lowering took away.
    before: Option<(Option<Phase>, Phase)>,
}

#[derive(Default)]
struct World {
    file: Option<Vec<u8>>,
    migration: Migration,
    nodes: [Node; 3],
    /// The effective phases, kept up to date by every write.
    phases: [Phase; 3],
}

impl World {
    fn phase(&self, node: usize) -> Phase {
        let cluster = self.file.as_ref().map(|_| self.migration.node_phase(NODES[node]));
        let said = |phase: Option<Phase>| phase.map_or(Said::Absent, Said::Phase);
        let Effective { phase, .. } = effective(said(cluster), said(self.nodes[node].ceiling));
        phase
    }

    fn changed(&mut self) {
        self.phases = [0, 1, 2].map(|node| self.phase(node));
    }
}

/// The world as one node sees it. `torn` is how much of the next line a kill lets through.
struct View<'a> {
    world: &'a mut World,
    me: usize,
    torn: Option<usize>,
}

impl Disk for View<'_> {
    fn cluster(&mut self) -> Seen {
        self.world.file.clone().map_or(Seen::Absent, Seen::Bytes)
    }

    fn ceiling(&mut self) -> Said {
        self.world.nodes[self.me].ceiling.map_or(Said::Absent, Said::Phase)
    }

    fn append(&mut self, event: Event) -> Result<()> {
        let node = &mut self.world.nodes[self.me];
        if let Event::Change { changes, .. } = &event {
            node.announced = (!node.full).then(|| changes.clone());
        }
        if node.full {
            return Err(Error::new("no space left on device"));
        }
        let mut line = record::append(&node.history, 1_795_421_700, event);
        if let Some(torn) = self.torn {
            line.truncate(torn % line.len());
        }
        node.history.extend_from_slice(&line);
        node.contents.extend(&line);
        assert_eq!(node.contents.broken, None);
        Ok(())
    }

    fn set_ceiling(&mut self, phase: Phase) -> Result<()> {
        let node = &mut self.world.nodes[self.me];
        let from = node.ceiling.map(|p| p.to_string());
        let change = Setting { key: record::CEILING.into(), from, to: Some(phase.to_string()) };
        if let Some(told) = &node.announced {
            assert!(told.contains(&change), "{change:?} is visible and in no history");
        } else {
            let lowers = Some(phase) < node.ceiling || node.ceiling.is_none() && phase == Phase::PerlOnly;
            assert!(lowers, "{change:?} raises and is in no history");
            node.unrecorded = true;
        }
        node.ceiling = Some(phase);
        self.world.changed();
        Ok(())
    }

    fn replace(&mut self, expected: Option<&[u8]>, bytes: &[u8]) -> Result<()> {
        if !self.world.nodes[self.me].quorum {
            return Err(Error::of(Kind::ClusterNotWritable, "no quorum"));
        }
        if self.world.file.as_deref() != expected {
            return Err(Error::of(Kind::Refused, "changed by someone else"));
        }
        let migration = Migration::parse(std::str::from_utf8(bytes).unwrap(), "m").unwrap();
        let (mut before, after) = (settings(&self.world.migration), settings(&migration));
        match self.world.nodes[self.me].announced.clone() {
            // What the history says is what was there, what is there now, and nothing else moved.
            Some(told) => {
                for Setting { key, from, to } in told.into_iter().filter(|c| after.contains_key(&c.key)) {
                    assert_eq!(before.get(&key), from.as_ref(), "{key}: the history tells another story");
                    before.insert(key, to.unwrap());
                }
                assert_eq!(before, after, "an update was lost, or made that nobody announced");
            }
            None => assert_lowered(&before, &after),
        }
        self.world.migration = migration;
        self.world.file = Some(bytes.to_vec());
        self.world.changed();
        Ok(())
    }
}

/// What can't be recorded may only lower.
fn assert_lowered(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    for (key, to) in after {
        let phase = |text: Option<&String>| text.and_then(|t| Phase::from_name(t));
        match (phase(before.get(key)), phase(Some(to))) {
            (Some(from), Some(to)) => assert!(to <= from, "{key}"),
            (None, Some(to)) => assert!(Some(to) <= phase(before.get("phase")), "{key}"),
            _ => assert!(before.get(key) == Some(to) || to == "false", "{key}"),
        }
    }
}

enum Run {
    Machine {
        machine: Box<Machine>,
        purge: bool,
    },
    /// The look at the cluster's file, then at the ceiling.
    Get(Option<Seen>),
}

fn begin(random: &mut Random, world: &mut World, me: usize, id: u64) -> Run {
    let overridden = random.one_in(6).then(|| Override { reason: "drill".into(), expires: 1_795_421_701 });
    let mut purge = false;
    let wish = match random.below(12) {
        0..=3 => Wish::Node { node: NODES[me].into(), to: near(random, world.phase(me)) },
        4..=5 => {
            let other = random.below(3);
            let now = world.migration.node_phase(NODES[other]);
            Wish::Node { node: NODES[other].into(), to: near(random, now) }
        }
        6 => Wish::AllNodes { to: near(random, world.phase(me)) },
        7 => Wish::Feature { name: "rust_cli".into(), on: random.one_in(2) },
        8 => {
            purge = random.one_in(2);
            let line = world.migration.node_phase(NODES[me]);
            world.nodes[me].before = Some((world.nodes[me].ceiling, line));
            Wish::Lower { to: Phase::PerlOnly }
        }
        9 => match world.nodes[me].before.take() {
            Some((ceiling, line)) => Wish::Again { ceiling, line: Some(line) },
            None => return Run::Get(None),
        },
        10 => Wish::First { ceiling: Phase::PerlOnly, text: "phase = 'perl-only'\n".into() },
        _ => return Run::Get(None),
    };
    let request = Request {
        id: id.to_string(),
        node: NODES[me].into(),
        file: "m".into(),
        known: NODES.map(str::to_owned).to_vec(),
        wish,
        overridden,
        by: Who::default(),
        why: "drill".into(),
    };
    Run::Machine { machine: Box::new(Machine::new(request)), purge }
}

/// Mostly the next step up, so that nodes get high; else anywhere.
fn near(random: &mut Random, now: Phase) -> Phase {
    match now.next() {
        Some(next) if !random.one_in(3) => next,
        _ => random.phase(),
    }
}

/// What may rise from a step of this machine, and by how much.
fn judge_rise(machine: &Machine, node: usize, from: Phase, to: Phase) {
    let request = machine.request();
    match &request.wish {
        Wish::Node { node: asked, .. } => assert_eq!(asked, NODES[node], "another node rose"),
        Wish::AllNodes { .. } => {}
        Wish::Again { .. } => {
            assert_eq!(request.node, NODES[node], "another node rose");
            return;
        }
        other => panic!("{} rose from {from} to {to} by {other:?}", NODES[node]),
    }
    assert!(request.overridden.is_some() || Some(to) == from.next(), "{from} to {to} without an override");
}

/// One schedule: each node does one thing, in any order of single steps.
fn schedule(random: &mut Random, world: &mut World, id: u64) -> usize {
    let mut runs: Vec<(usize, Run)> = (0..3).map(|me| (me, begin(random, world, me, id * 3 + me as u64))).collect();
    let mut steps = 0;
    while !runs.is_empty() {
        steps += 1;
        if random.one_in(16) {
            let node = random.below(3);
            world.nodes[node].quorum = !random.one_in(4);
        }
        if random.one_in(128) {
            let node = random.below(3);
            world.nodes[node].full = random.one_in(8);
        }
        let at = random.below(runs.len());
        let killed = random.one_in(32);
        let me = runs[at].0;
        let before = world.phases;
        // A kill falls between two steps, or in the middle of a line.
        let torn = (killed && random.one_in(2)).then(|| random.below(400));
        let mut view = View { world, me, torn };
        let over = match &mut runs[at].1 {
            Run::Machine { machine, purge } => {
                let end = machine.step(&mut view);
                for (node, (before, now)) in before.into_iter().zip(world.phases).enumerate() {
                    if now > before {
                        judge_rise(machine, node, before, now);
                    }
                }
                if end.is_some() && !killed && *purge {
                    // As purge does: the state folder goes, and with it the ceiling and the history.
                    world.nodes[me] = Node { quorum: world.nodes[me].quorum, ..Node::default() };
                    world.changed();
                }
                end.is_some()
            }
            Run::Get(None) => {
                let seen = view.cluster();
                runs[at].1 = Run::Get(Some(seen));
                false
            }
            Run::Get(Some(_)) => {
                let ceiling = view.ceiling();
                assert!(effective(Said::Phase(Phase::RustFull), ceiling).phase >= world.phase(me));
                true
            }
        };
        if over || killed {
            runs.swap_remove(at);
        }
    }
    steps
}

/// Every history leads to what stands there, unless a full disk kept it from that.
fn judge_histories(world: &World) {
    for node in &world.nodes {
        let now = node.ceiling.map(|p| p.to_string());
        let told = node.contents.ceilings().contains(&now);
        assert!(told || node.unrecorded, "no history leads to {now:?}");
        let gaps = node.contents.gaps();
        assert!(
            gaps.is_empty() || node.unrecorded,
            "before lines {gaps:?} something is missing:\n{}",
            String::from_utf8_lossy(&node.history)
        );
        assert_eq!(record::read(&node.history), node.contents, "as a whole as line by line");
    }
}

#[test]
fn a_hundred_thousand_interleavings() {
    let workers: Vec<_> = (0..2u64)
        .map(|half| {
            std::thread::spawn(move || {
                let (mut steps, mut highest) = (0, Phase::PerlOnly);
                for number in 0..SCHEDULES / WORLD / 2 {
                    let seed = 1 + 2 * number + half;
                    let outcome = std::panic::catch_unwind(|| {
                        let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
                        let mut world = World::default();
                        world.nodes.iter_mut().for_each(|node| node.quorum = true);
                        // Mostly a short file, which is quicker to read; else none, so that the shipped
                        // one with all its comments is put there and edited.
                        if !random.one_in(16) {
                            world.file = Some(b"phase = 'perl-only' # all\n".to_vec());
                        }
                        let mut highest = Phase::PerlOnly;
                        let steps: usize = (0..WORLD)
                            .map(|id| {
                                let steps = schedule(&mut random, &mut world, id);
                                highest = highest.max(world.phases.into_iter().max().unwrap());
                                steps
                            })
                            .sum();
                        judge_histories(&world);
                        (steps, highest)
                    });
                    let (more, high) = outcome.unwrap_or_else(|_| panic!("world of seed {seed}"));
                    steps += more;
                    highest = highest.max(high);
                }
                (steps, highest)
            })
        })
        .collect();
    for worker in workers {
        let (steps, highest) = worker.join().unwrap();
        // A model in which nothing happens proves nothing.
        assert!(steps > 300_000, "only {steps} steps");
        assert_eq!(highest, Phase::RustFull);
    }
}
