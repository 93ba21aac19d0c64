//! The screen. On a terminal it is cut to what fits; elsewhere every line is whole, so that a
//! removal's plan can be compared with what dpkg logs.

use super::facts::{Facts, time};
use super::next::Next;
use ::cli::screen::{Colours, cut, wrap};

/// Where the values begin.
const COLUMN: usize = 13;

/// The lines; `size` is the terminal's columns and rows.
pub(crate) fn render(facts: &Facts, next: &Next, size: Option<(usize, usize)>, colours: Colours) -> Vec<String> {
    let (width, height) = size.map_or((usize::MAX, usize::MAX), |(w, h)| (w.clamp(40, 200), h.max(24)));
    let mut head = Vec::new();
    let mut row = |label: &str, value: &str| {
        for (number, line) in wrap(value, width.saturating_sub(COLUMN), 0).into_iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            // A terminal shows two lines of each at most: the JSON has all.
            if number < 2 || size.is_none() {
                head.push(format!("{label:<COLUMN$}{line}"));
            }
        }
    };
    row("node", &format!("{} at {}", facts.node, facts.phase));
    row("", &facts.reasons.join("; "));
    row("ceiling", facts.ceiling.as_deref().unwrap_or("none"));
    row("other nodes", &others(facts));
    row("services", &services(facts));
    row("cluster", cluster(facts.cluster));
    row("package", &package(facts));
    row("last write", &last(facts));
    row("snapshots", &snapshots(facts));
    if facts.changes_pending {
        row("changes", "wait to be applied in /etc/network/interfaces.new: pvenet diff");
    }
    row("pending", &pending(facts));
    row("transaction", &transaction(facts));
    let mut tail = vec![format!("{:<COLUMN$}{}", "next", colours.bold(&next.command))];
    tail.extend(
        wrap(&next.why, width.saturating_sub(COLUMN), 0).into_iter().take(2).map(|l| format!("{:<COLUMN$}{l}", "")),
    );
    let mut plan = vec![format!("a removal now (RESTORE={}) would log:", facts.removal.restore)];
    plan.extend(plan_lines(facts, size.map(|_| width), height.saturating_sub(head.len() + tail.len() + 2)));
    head.extend(plan);
    head.extend(tail);
    if size.is_some() {
        head.iter_mut().filter(|l| !l.contains('\x1b')).for_each(|l| *l = cut(l, width));
    }
    head
}

/// The plan, indented by two; `room` lines of it at most where there is a width.
fn plan_lines(facts: &Facts, width: Option<usize>, room: usize) -> Vec<String> {
    let plan = &facts.removal;
    let mut all: Vec<String> = plan.problem.iter().chain(&plan.lines).map(|line| format!("  {line}")).collect();
    if all.is_empty() {
        all.push("  nothing: it would restore nothing".into());
    }
    let Some(width) = width else { return all };
    let wrapped: Vec<Vec<String>> = all.iter().map(|line| wrap(line, width, 2)).collect();
    let mut out: Vec<String> = Vec::new();
    for (number, lines) in wrapped.iter().enumerate() {
        let last = number + 1 == wrapped.len();
        if out.len() + lines.len() + usize::from(!last) > room {
            out.push(format!("  … {} more lines: migration-ctl status | cat", wrapped.len() - number));
            break;
        }
        out.extend(lines.iter().cloned());
    }
    out
}

fn others(facts: &Facts) -> String {
    let one = |(name, other): (&String, &super::facts::Other)| {
        let common = if other.own_line { "" } else { " (common)" };
        format!("{name} {}{common}", other.phase)
    };
    let all: Vec<String> = facts.other_nodes.iter().map(one).collect();
    if all.is_empty() { "none known".into() } else { all.join(", ") }
}

fn services(facts: &Facts) -> String {
    match &facts.units {
        Err(why) => why.clone(),
        Ok(units) => {
            let one = |u: &crate::units::Unit| {
                let enabled = if u.enabled.is_empty() { "not installed" } else { &u.enabled };
                format!("{} {}, {enabled}", u.name.trim_end_matches(".service"), u.active)
            };
            units.iter().map(one).collect::<Vec<_>>().join("; ")
        }
    }
}

fn cluster(state: &str) -> &str {
    match state {
        "none" => "no pve-cluster on this machine",
        "unmounted" => "/etc/pve is NOT MOUNTED: systemctl start pve-cluster.service",
        "no-quorum" => "NO QUORUM: /etc/pve can be read and not written",
        other => other,
    }
}

fn package(facts: &Facts) -> String {
    facts
        .package
        .as_ref()
        .map_or_else(|| "not known to dpkg".into(), |p| format!("pve-network-rs {}, dpkg says {}", p.version, p.state))
}

fn last(facts: &Facts) -> String {
    let operation = facts.last_operation.as_ref().map(|o| {
        let took = o.duration_ms.map_or_else(String::new, |ms| format!(" in {ms} ms"));
        format!("{} by {} ({}), {} paths, {}{took}; {}", time(o.time), o.tool, o.backend, o.paths, o.outcome, o.id)
    });
    let all: Vec<String> = facts.journal_problem.iter().cloned().chain(operation).collect();
    if all.is_empty() { "none".into() } else { all.join("; ") }
}

fn snapshots(facts: &Facts) -> String {
    let all = &facts.snapshots;
    let newest = match &all.newest {
        None => "none to go back to".to_owned(),
        Some(n) => match &n.problem {
            None => format!("newest {} verifies ({})", n.id, n.reason),
            Some(why) => format!("newest does NOT VERIFY: {why}"),
        },
    };
    let damaged = if all.damaged.is_empty() { String::new() } else { format!(", {} DAMAGED", all.damaged.len()) };
    format!("{}{damaged}; {newest}", all.count)
}

fn pending(facts: &Facts) -> String {
    let all: Vec<&str> = facts.pending.iter().map(crate::pending::Pending::detail).collect();
    if all.is_empty() { "nothing was left half-way".into() } else { all.join("; ") }
}

fn transaction(facts: &Facts) -> String {
    match &facts.transaction {
        None => "none open".into(),
        Some(t) => {
            let from = if t.from.is_empty() { "nothing" } else { &t.from };
            let state = if t.gone_back { "failed, and what it wrote has gone back" } else { "OPEN" };
            format!("{state}: {} from {from} to {}, snapshot {}", t.id, t.to, t.snapshot)
        }
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
