//! Three nodes of one cluster do what operators do, at the same time, at random, while quorum comes
//! and goes: no update is lost, and no phase is raised but by its command.
//!
//! `INTERLEAVED_SEED=N` repeats a run, `INTERLEAVED_ROUNDS=N` makes it longer or shorter.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::{Duration, Instant, SystemTime};

use phase::{Migration, Phase};
use rig::ours::{NAME, sealing};
use rig::{Deb, Machine, Node, Output, Pmxcfs, need_fuse};

const FILE: &str = "network/migration.toml";
const NAMES: [&str; 3] = ["a", "b", "c"];
const ROUNDS: usize = 100;
/// A slow machine stops here, after as many rounds as it managed, which it says.
const LIMIT: Duration = Duration::from_secs(60);

/// A small random number generator (xorshift64*): a seed has to mean the same for ever.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Set(Phase),
    Purge,
    Install,
    /// A change of phase during which quorum goes, before this call.
    SetAndLose(Phase, usize),
    Lose,
    Regain,
}

/// What is known of a node between two rounds.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    installed: bool,
    quorate: bool,
    ceiling: Option<Phase>,
    /// Its line in the file, for those with quorum.
    line: Option<Phase>,
    /// Its line as it sees it.
    seen: Option<Phase>,
}

impl Known {
    fn effective(&self) -> Phase {
        self.seen.unwrap_or(Phase::PerlOnly).min(self.ceiling.unwrap_or(Phase::PerlOnly))
    }

    fn choose(&self, random: &mut Random) -> Act {
        let up = Phase::ALL.get(Phase::ALL.iter().position(|p| *p == self.effective()).unwrap() + 1);
        let phase = match random.below(3) {
            0 => Phase::ALL[random.below(Phase::ALL.len())],
            _ => up.copied().unwrap_or(Phase::PerlOnly),
        };
        match (random.below(10), self.installed, self.quorate) {
            (0, _, true) => Act::Lose,
            (0..=4, _, false) => Act::Regain,
            (_, false, _) => Act::Install,
            (1, true, _) => Act::Purge,
            (2, true, true) => Act::SetAndLose(phase, 1 + random.below(6)),
            (_, true, _) => Act::Set(phase),
        }
    }
}

fn seed() -> u64 {
    let given = std::env::var("INTERLEAVED_SEED").ok().map(|text| text.parse().expect("INTERLEAVED_SEED is a number"));
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    // Zero stays zero in this generator.
    given.unwrap_or_else(now).max(1)
}

fn rounds() -> usize {
    match std::env::var("INTERLEAVED_ROUNDS") {
        Ok(text) => text.parse().expect("INTERLEAVED_ROUNDS is a number"),
        Err(_) => ROUNDS,
    }
}

fn carry_out(cluster: &Pmxcfs, name: &str, node: &Node, deb: &Deb, act: Act) -> Option<Output> {
    let daemon = cluster.on(name);
    match act {
        Act::Lose => daemon.loses_quorum(),
        Act::Regain => daemon.has_quorum_again(),
        Act::SetAndLose(phase, call) => {
            let owner = name.to_owned();
            daemon.before_call(call, move |cluster| cluster.on(&owner).loses_quorum());
            let out = node.run(["migration-ctl", "phase", "set", phase.as_str()]);
            daemon.forgets_plans();
            // Fewer calls than that: it goes now.
            daemon.loses_quorum();
            // The lock may be left. The others need not wait two minutes for it.
            daemon.forgets_locks();
            return Some(out);
        }
        Act::Set(phase) => return Some(node.run(["migration-ctl", "phase", "set", phase.as_str()])),
        Act::Purge => return Some(node.run(["dpkg", "-P", NAME]).ok()),
        Act::Install => return Some(node.install(deb).ok()),
    }
    None
}

/// What has to be true of a node after its act, whatever the others did meanwhile.
fn check(before: Known, act: Act, out: Option<&Output>, cluster: &Pmxcfs, name: &str, node: &Node) -> Known {
    let text = String::from_utf8(cluster.content(FILE).unwrap_or_default()).unwrap();
    let file = Migration::parse(&text, FILE).unwrap();
    let line = file.nodes.get(name).copied();
    let mut now = Known { line, ..before };
    assert_eq!(file.phase, Phase::PerlOnly, "nobody changes the common phase");
    let code = out.map(|out| out.status.code().unwrap());
    let unchanged = || assert_eq!(line, before.line, "its line was lost or changed by another");
    match act {
        Act::Lose => {
            unchanged();
            now.quorate = false;
        }
        Act::Regain => {
            unchanged();
            now.quorate = true;
        }
        Act::Install => {
            unchanged();
            (now.installed, now.ceiling) = (true, Some(Phase::PerlOnly));
        }
        Act::Purge => {
            (now.installed, now.ceiling) = (false, None);
            if before.quorate {
                assert_eq!(line.unwrap_or(Phase::PerlOnly), Phase::PerlOnly);
            } else {
                unchanged();
            }
        }
        Act::Set(to) | Act::SetAndLose(to, _) => {
            let from = before.effective();
            let step = phase::step_allowed(from, to).is_ok();
            let lost = matches!(act, Act::SetAndLose(..));
            now.quorate = before.quorate && !lost;
            match code.unwrap() {
                0 => {
                    assert!(step);
                    now.ceiling = Some(to);
                    // A step down without quorum is the ceiling's alone.
                    let written = line == Some(to);
                    assert!(written || (to <= from && line == before.line && (lost || !before.quorate)), "{line:?}");
                }
                3 => {
                    assert!(!step);
                    unchanged();
                }
                5 => {
                    assert!(step && (lost || !before.quorate));
                    // The ceiling follows the cluster, so only the line may have gone up.
                    unchanged();
                }
                other => panic!("exit code {other}"),
            }
        }
    }
    now.seen = if now.quorate { line } else { seen(node) };
    if now.installed {
        let shown = node.run(["migration-ctl", "phase", "get"]).ok().stdout.trim().to_owned();
        assert_eq!(shown, now.effective().as_str());
    }
    let raised = now.effective() > before.effective();
    assert!(!raised || matches!((act, code), (Act::Set(_) | Act::SetAndLose(..), Some(0))), "a phase was raised");
    now
}

/// Its own line as a node sees it, which has no quorum.
fn seen(node: &Node) -> Option<Phase> {
    if !node.exists(&format!("/etc/pve/{FILE}")) {
        return None;
    }
    let name = node.run(["hostname"]).ok().stdout.trim().to_owned();
    Migration::parse(&node.text(&format!("/etc/pve/{FILE}")), FILE).unwrap().nodes.get(&name).copied()
}

#[test]
fn no_update_is_lost_and_no_phase_raised_but_by_its_command() {
    if !need_fuse() {
        return;
    }
    let (seed, rounds) = (seed(), rounds());
    println!("INTERLEAVED_SEED={seed}");
    let mut random = Random(seed);
    let deb = sealing().build();
    let cluster = Pmxcfs::with(NAMES);
    let nodes = NAMES.map(|name| Node::bookworm().named(name).in_cluster(&cluster, name));
    nodes[0].install(&deb).ok();
    let mut known = NAMES.map(|_| Known { quorate: true, ..Known::default() });
    (known[0].installed, known[0].ceiling) = (true, Some(Phase::PerlOnly));
    let begin = Instant::now();
    let mut done = 0;
    while done < rounds && begin.elapsed() < LIMIT {
        let acts = known.map(|node| node.choose(&mut random));
        let outs: Vec<Option<Output>> = std::thread::scope(|scope| {
            let run = |i: usize| {
                let (cluster, node, deb) = (&cluster, &nodes[i], &deb);
                scope.spawn(move || carry_out(cluster, NAMES[i], node, deb, acts[i]))
            };
            let running = [0, 1, 2].map(run);
            running.into_iter().map(|r| r.join().unwrap()).collect()
        });
        println!("round {done}: {acts:?}");
        for i in 0..3 {
            known[i] = check(known[i], acts[i], outs[i].as_ref(), &cluster, NAMES[i], &nodes[i]);
        }
        done += 1;
    }
    assert!(done >= rounds.min(30), "only {done} rounds in {LIMIT:?}: this machine is too slow to tell anything");
    if done < rounds {
        eprintln!("stopped after {done} of {rounds} rounds, for time");
    }
}
