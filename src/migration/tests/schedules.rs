//! Ten thousand random schedules of crashes, restarts, lost answers, time-outs and phase changes: no write is
//! applied twice, none that was answered 200 is lost, and what was answered 504 can be resolved by its id.
//!
//! The world is simulated: a daemon that dies and comes back, whose journal outlives it; a middleware that
//! follows `migration::flow` to the letter, one step at a time; and chance, which picks what happens next.

use std::collections::BTreeSet;

use migration::flow::{Attempt, Cause, Fate, Next, Touched, after_attempt, after_fence, proven};

/// A small generator (splitmix64), so that a failure names the seed that repeats it.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

/// Where a write is within the daemon; it goes with the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nowhere,
    Received,
    Begun,
    Applied,
    Ended,
    Declined,
}

/// Where a write is in the middleware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outside {
    Start,
    Waiting,
    Fencing(Cause),
    Perl,
    Answered(u16),
}

#[derive(Debug, Clone)]
struct Write {
    inside: Inside,
    outside: Outside,
    /// The process that received it.
    sent_to: Option<usize>,
    /// The connection still stands, so that the answer can come.
    connected: bool,
    by_rust: usize,
    by_perl: usize,
}

/// What a middleware could do wrong, to show that the schedules would find it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// Perl is asked at once when an answer is lost.
    NoFence,
    /// Another process's "never begun" is believed while the first one lives.
    AnybodysWord,
    /// A write that was taken back or never ended is given to Perl.
    PerlAfterBegin,
    /// The journal is read, and nobody is kept from beginning.
    ReadWithoutFence,
}

struct World {
    fault: Fault,
    /// The process that listens; none while it is down.
    listening: Option<usize>,
    /// A process that no longer listens and still works: it drains, or hangs.
    draining: Option<usize>,
    processes: usize,
    fenced: BTreeSet<(usize, usize)>,
    begun: BTreeSet<usize>,
    ended: BTreeSet<usize>,
    allowed: bool,
    perl: bool,
    writes: Vec<Write>,
}

impl World {
    fn new(chance: &mut Chance, fault: Fault) -> Self {
        let write = Write {
            inside: Inside::Nowhere,
            outside: Outside::Start,
            sent_to: None,
            connected: false,
            by_rust: 0,
            by_perl: 0,
        };
        Self {
            fault,
            listening: Some(0),
            draining: None,
            processes: 1,
            fenced: BTreeSet::new(),
            begun: BTreeSet::new(),
            ended: BTreeSet::new(),
            allowed: true,
            perl: true,
            writes: vec![write; 1 + chance.below(3)],
        }
    }

    fn lives(&self, process: Option<usize>) -> bool {
        process.is_some() && (process == self.listening || process == self.draining)
    }

    /// What chance has happen to the world.
    fn happen(&mut self, chance: &mut Chance) {
        match chance.below(8) {
            0 => self.dies(self.listening),
            1 => self.dies(self.draining),
            2 if self.draining.is_none() => self.draining = self.listening.take(),
            3 | 4 if self.listening.is_none() => {
                self.listening = Some(self.processes);
                self.processes += 1;
            }
            5 => self.allowed = !self.allowed,
            6 => self.perl = !self.perl,
            7 => {
                let broken = chance.below(self.writes.len());
                self.writes[broken].connected = false;
            }
            _ => {}
        }
    }

    fn dies(&mut self, process: Option<usize>) {
        if process.is_none() {
            return;
        }
        for write in self.writes.iter_mut().filter(|w| w.sent_to == process) {
            write.connected = false;
            // What was in its memory is gone with it; the journal and the files stay.
            write.inside = Inside::Nowhere;
        }
        if self.listening == process {
            self.listening = None;
        } else {
            self.draining = None;
        }
    }

    /// The daemon takes a write one step on.
    fn work(&mut self, id: usize) {
        let process = self.writes[id].sent_to;
        if !self.lives(process) {
            return;
        }
        let fenced = process.is_some_and(|p| self.fenced.contains(&(p, id)));
        let write = &mut self.writes[id];
        write.inside = match write.inside {
            Inside::Received if fenced || !self.allowed => Inside::Declined,
            Inside::Received => {
                self.begun.insert(id);
                Inside::Begun
            }
            Inside::Begun => {
                write.by_rust += 1;
                Inside::Applied
            }
            Inside::Applied => {
                self.ended.insert(id);
                Inside::Ended
            }
            other => other,
        };
    }

    /// The middleware takes a write one step on.
    fn proceed(&mut self, id: usize, chance: &mut Chance) {
        let write = self.writes[id].clone();
        let next = match write.outside {
            Outside::Start => match self.listening {
                None => after_attempt(true, Attempt::NotSent(Cause::Refused), true),
                Some(process) => {
                    let write = &mut self.writes[id];
                    write.sent_to = Some(process);
                    write.connected = true;
                    write.inside = Inside::Received;
                    write.outside = Outside::Waiting;
                    return;
                }
            },
            Outside::Waiting => {
                let answered = |status, touched| Attempt::Answered { status, touched };
                let attempt = match write.inside {
                    _ if !write.connected => Attempt::Lost(Cause::Reset),
                    Inside::Ended => answered(200, Touched::Done),
                    Inside::Declined => answered(503, Touched::Nothing),
                    // Its patience is over.
                    _ if chance.below(4) == 0 => Attempt::Lost(Cause::Timeout),
                    _ => return,
                };
                if self.fault == Fault::NoFence && matches!(attempt, Attempt::Lost(_)) {
                    Next::Perl(Cause::Timeout)
                } else {
                    after_attempt(true, attempt, true)
                }
            }
            Outside::Fencing(cause) => {
                let Some(fate) = self.fence(id, chance) else { return };
                if self.fault == Fault::PerlAfterBegin && fate == Fate::Unknown {
                    Next::Perl(cause)
                } else {
                    after_fence(cause, fate, true)
                }
            }
            Outside::Perl => {
                if self.perl {
                    self.writes[id].by_perl += 1;
                    self.writes[id].outside = Outside::Answered(200);
                } else {
                    self.writes[id].outside = Outside::Answered(502);
                }
                return;
            }
            Outside::Answered(_) => return,
        };
        self.writes[id].outside = match next {
            Next::PassOn => Outside::Answered(200),
            Next::Perl(_) => Outside::Perl,
            Next::Fence(cause) => Outside::Fencing(cause),
            Next::Unknown(_) => Outside::Answered(504),
            Next::Fail(_) => Outside::Answered(503),
        };
    }

    /// One question after a write; `None`: ask again.
    fn fence(&mut self, id: usize, chance: &mut Chance) -> Option<Fate> {
        if chance.below(12) == 0 {
            return Some(Fate::Unknown); // its patience is over
        }
        let sent_to = self.writes[id].sent_to;
        let dead = !self.lives(sent_to) || self.fault == Fault::AnybodysWord;
        let fate = match self.listening {
            None if dead => self.recorded(id),
            None => return None,
            Some(process) => {
                if self.fault != Fault::ReadWithoutFence {
                    self.fenced.insert((process, id));
                }
                // What another process has begun it can't know; it knows the journal.
                let running = self.begun.contains(&id) && !self.ended.contains(&id);
                let fate = if running { Fate::Running } else { self.recorded(id) };
                proven(fate, sent_to == Some(process), dead)
            }
        };
        (fate != Fate::Running && fate != Fate::Unknown).then_some(fate)
    }

    fn recorded(&self, id: usize) -> Fate {
        match (self.begun.contains(&id), self.ended.contains(&id)) {
            (false, _) => Fate::NeverBegun,
            (true, true) => Fate::Done,
            (true, false) => Fate::Unknown,
        }
    }
}

/// What is wrong at the end of a schedule, if anything.
fn run(seed: u64, fault: Fault) -> (Option<String>, Vec<u16>) {
    let mut chance = Chance(seed);
    let mut world = World::new(&mut chance, fault);
    let mut answers = Vec::new();
    for _ in 0..200 {
        let id = chance.below(world.writes.len());
        match chance.below(5) {
            0 => world.happen(&mut chance),
            1 | 2 => world.work(id),
            _ => world.proceed(id, &mut chance),
        }
    }
    // The dust settles: everybody comes to an end, without further harm.
    for _ in 0..200 {
        for id in 0..world.writes.len() {
            world.work(id);
            world.proceed(id, &mut chance);
        }
    }
    for (id, write) in world.writes.iter().enumerate() {
        let applied = write.by_rust + write.by_perl;
        let Outside::Answered(status) = write.outside else {
            return (Some(format!("write {id} was never answered: {write:?}")), answers);
        };
        answers.push(status);
        let wrong = if applied > 1 {
            Some("applied twice")
        } else if status == 200 && applied != 1 {
            Some("answered 200 and not applied")
        } else if status == 504 && write.by_perl > 0 {
            Some("answered 504 and done by Perl")
        } else if status == 504 && (applied == 1) != world.begun.contains(&id) && world.ended.contains(&id) {
            Some("the journal says something else than the files")
        } else if status == 504 && applied == 1 && !world.begun.contains(&id) {
            Some("applied, and the journal does not know it")
        } else if (status == 502 || status == 503) && write.by_rust > 0 {
            Some("said that nothing was changed, and it was")
        } else {
            None
        };
        if let Some(wrong) = wrong {
            return (Some(format!("seed {seed}, write {id} {wrong}: {write:?}")), answers);
        }
    }
    (None, answers)
}

#[test]
fn ten_thousand_schedules() {
    let mut count = std::collections::BTreeMap::new();
    for seed in 0..10_000 {
        let (wrong, answers) = run(seed, Fault::None);
        assert_eq!(wrong, None);
        answers.into_iter().for_each(|status| *count.entry(status).or_insert(0) += 1);
    }
    // They do go everywhere: done, Perl down, and not known.
    assert!([200, 502, 504].iter().all(|status| count.get(status).is_some_and(|n| *n > 500)), "{count:?}");
}

#[test]
fn a_middleware_that_does_wrong_is_found() {
    for fault in [Fault::NoFence, Fault::AnybodysWord, Fault::PerlAfterBegin, Fault::ReadWithoutFence] {
        let found = (0..10_000).find_map(|seed| run(seed, fault).0);
        assert!(found.is_some(), "{fault:?} goes unseen");
    }
}
