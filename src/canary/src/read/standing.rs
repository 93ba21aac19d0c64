//! Where the nodes stand by `migration.toml`, and how this one came there by its history.

use history::Store;
use host::{Clock, Error, Result, files};
use phase::change::{self, Seen};
use phase::record::Contents;
use phase::{Outcome, Phase, Switch, step_allowed};

use super::overrides::{self, Kept, Passage};
use crate::facts::{Override, Past, Said, Standing, Step};

/// So many changes of the phase are looked at, the latest.
const STEPS: usize = 200;

/// What the two files say.
pub fn standing(switch: &Switch) -> Said<Standing> {
    standing_of(&switch.facts())
}

/// The same of what was read.
pub(crate) fn standing_of(facts: &change::Facts) -> Said<Standing> {
    let migration = match facts.migration() {
        Ok(Some(migration)) => migration,
        Ok(None) => return Said::Missing(format!("there is no {}", facts.file)),
        Err(error) => return Said::Missing(error.to_string()),
    };
    let effective = facts.effective();
    let sha256 = match &facts.cluster {
        Seen::Bytes(bytes) => Some(files::sha256(bytes)),
        _ => None,
    };
    let names = facts.known.iter().chain(migration.nodes.keys()).chain(&migration.canary_order).chain([&facts.node]);
    Said::Is(Standing {
        phase: effective.phase,
        problems: effective.problems().map(ToString::to_string).collect(),
        nodes: names.map(|name| (name.clone(), migration.node_phase(name))).collect(),
        order: migration.canary_order.clone(),
        sha256,
        logs_decisions: migration.log_migration_decisions,
    })
}

/// How a line of the history names the passage by which a node came further: its file, and the SHA-256 of what it holds.
/// The history is a chain; so a passage that is taken away, or changed, is missed.
pub fn by_passage(why: &str, file: &str, sha256: &str) -> String {
    format!("{why} [gates/{file} {sha256}]")
}

/// The file and the digest that a line of the history names.
pub(crate) fn passage_of(why: &str) -> Option<(&str, &str)> {
    let named = why.strip_suffix(']')?.rsplit_once(" [gates/")?.1;
    let (file, sha256) = named.rsplit_once(' ')?;
    let digest = sha256.len() == 64 && sha256.bytes().all(|b| b.is_ascii_hexdigit());
    digest.then_some((file, sha256))
}

/// What the phase history and the passages say.
///
/// # Errors
/// They can't be read, or a passage that the history names is not there as it was.
pub fn past(switch: &Switch, store: &Store, now: i64) -> Result<Past> {
    let contents = switch.history(Clock::System).read()?;
    let here = Here { node: &switch.node, phase: switch.effective().phase, ceiling: switch.ceiling()?, now };
    past_of(&contents, overrides::all(store)?, &here)
}

/// Whose past it is, and where it led.
#[derive(Debug, Clone, Copy)]
pub struct Here<'a> {
    /// The node.
    pub node: &'a str,
    /// Its phase in effect.
    pub phase: Phase,
    /// Its ceiling.
    pub ceiling: Option<Phase>,
    /// Seconds since the epoch.
    pub now: i64,
}

/// The same of what was read.
///
/// # Errors
/// A passage that the history names is not among `kept`, or was changed.
pub(crate) fn past_of(contents: &Contents, kept: Vec<Kept>, here: &Here<'_>) -> Result<Past> {
    let steps = steps(contents, here.node);
    let named: Vec<_> = way(&steps).into_iter().filter_map(|step| passage_of(&step.why)).collect();
    for (file, sha256) in &named {
        let found = kept.iter().find(|kept| kept.file == *file);
        if found.is_none_or(|kept| kept.sha256 != *sha256) {
            let how = if found.is_none() { "is not there" } else { "was changed" };
            return Err(Error::new(format!("gates/{file}, by which this node came to its phase, {how}")));
        }
    }
    // One that is not named was written for a change that was not made, or one that the node went down from since.
    let passages = kept.into_iter().filter(|kept| named.iter().any(|(file, _)| kept.file == *file));
    let passages: Vec<Passage> = passages.map(|kept| kept.passage).collect();
    let larger = contents.open_overrides(here.now).into_iter();
    // What was lowered since by another node, or by hand, is in no history of ours.
    let larger = larger.filter(|o| o.node == here.node && step_allowed(o.from, here.phase).is_err());
    let larger = larger.map(|o| Override {
        of: "step".into(),
        to: o.to,
        by: "see the phase history".into(),
        reason: o.reason,
        expires: o.expires,
    });
    let mut all: Vec<Override> = larger.collect();
    all.extend(overrides::open(&passages, &steps, here.node, here.phase));
    Ok(Past {
        broken: contents.broken.iter().map(|(line, how)| format!("line {line}: {how}")).collect(),
        explains: contents.ceilings().contains(&here.ceiling.map(|phase| phase.to_string())),
        gaps: contents.gaps().len(),
        steps,
        overrides: all,
    })
}

/// The changes that led from below to where the node is: what it went down from since is no part of the way.
fn way(steps: &[Step]) -> Vec<&Step> {
    let mut way: Vec<&Step> = Vec::new();
    for step in steps.iter().filter(|step| step.outcome != Some(Outcome::Failed)) {
        way.retain(|before| before.to < step.to);
        way.push(step);
    }
    way
}

/// Changes of this node's phase, oldest first.
pub fn steps(contents: &Contents, node: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for change in contents.changes() {
        for step in change.steps.iter().filter(|s| s.node == node) {
            steps.push(Step {
                time: change.time,
                from: step.from,
                to: step.to,
                outcome: change.outcome,
                why: change.why.to_owned(),
            });
        }
    }
    steps.split_off(steps.len().saturating_sub(STEPS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_node_went_down_from_is_no_part_of_its_way() {
        use Phase::{PerlOnly, RustAdvanced, RustBasicWrite, RustReadOnly};
        let step = |from, to, outcome| Step { time: 0, from, to, outcome: Some(outcome), why: String::new() };
        let done = |from, to| step(from, to, Outcome::Done);
        let up = [done(PerlOnly, RustReadOnly), done(RustReadOnly, RustBasicWrite), done(RustBasicWrite, RustAdvanced)];
        let led = |steps: &[Step]| way(steps).iter().map(|s| (s.from, s.to)).collect::<Vec<_>>();
        assert_eq!(led(&up), up.iter().map(|s| (s.from, s.to)).collect::<Vec<_>>());
        let down = [&up[..], &[done(RustAdvanced, RustReadOnly)]].concat();
        assert_eq!(led(&down), [(RustAdvanced, RustReadOnly)]);
        let again = [&down[..], &[done(RustReadOnly, RustBasicWrite)]].concat();
        assert_eq!(led(&again), [(RustAdvanced, RustReadOnly), (RustReadOnly, RustBasicWrite)]);
        let failed = [&up[..], &[step(RustAdvanced, PerlOnly, Outcome::Failed)]].concat();
        assert_eq!(led(&failed).len(), 3);
    }

    #[test]
    fn a_line_names_its_passage() {
        let digest = "0".repeat(64);
        let why = by_passage("the gate passed", "20261129-080000-rust-sdn.json", &digest);
        assert_eq!(passage_of(&why), Some(("20261129-080000-rust-sdn.json", digest.as_str())));
        for other in ["", "by hand", "[gates/a b]", &format!("x [gates/{digest}]"), &format!("{why}.")] {
            assert_eq!(passage_of(other), None, "{other}");
        }
    }
}
