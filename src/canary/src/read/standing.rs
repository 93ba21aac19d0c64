//! Where the nodes stand by `migration.toml`, and how this one came there by its history.

use history::Store;
use host::{Clock, Result, files};
use phase::Switch;
use phase::change::Seen;

use super::overrides;
use crate::facts::{Override, Past, Said, Standing, Step};

/// So many changes of the phase are looked at, the latest.
const STEPS: usize = 200;

/// What the two files say.
pub fn standing(switch: &Switch) -> Said<Standing> {
    let facts = switch.facts();
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
    let names = facts.known.iter().chain(migration.nodes.keys()).chain(&migration.canary_order).chain([&switch.node]);
    Said::Is(Standing {
        phase: effective.phase,
        problems: effective.problems().map(ToString::to_string).collect(),
        nodes: names.map(|name| (name.clone(), migration.node_phase(name))).collect(),
        order: migration.canary_order.clone(),
        sha256,
        logs_decisions: migration.log_migration_decisions,
    })
}

/// What the phase history and the passages say.
///
/// # Errors
/// They can't be read.
pub fn past(switch: &Switch, store: &Store, now: i64) -> Result<Past> {
    let contents = switch.history(Clock::System).read()?;
    let ceiling = switch.ceiling()?.map(|phase| phase.to_string());
    let mut steps = Vec::new();
    for change in contents.changes() {
        for step in change.steps.iter().filter(|s| s.node == switch.node) {
            steps.push(Step {
                time: change.time,
                from: step.from,
                to: step.to,
                outcome: change.outcome,
                why: change.why.to_owned(),
            });
        }
    }
    let steps = steps.split_off(steps.len().saturating_sub(STEPS));
    let by_step = switch.open_overrides(now)?.into_iter().filter(|o| o.node == switch.node).map(|o| Override {
        of: "step".into(),
        to: o.to,
        by: "see the phase history".into(),
        reason: o.reason,
        expires: o.expires,
    });
    let phase = switch.effective().phase;
    let mut all: Vec<Override> = by_step.collect();
    all.extend(overrides::open(store, phase)?);
    let broken = contents.broken.iter().map(|(line, how)| format!("line {line}: {how}")).collect();
    Ok(Past {
        broken,
        explains: contents.ceilings().contains(&ceiling),
        gaps: contents.gaps().len(),
        steps,
        overrides: all,
    })
}
