//! The one next step: what is most urgent first. Pure.

use phase::Phase;
use serde::Serialize;

use super::facts::Facts;
use crate::pending::Pending;
use crate::services::MIDDLEWARE;

/// A command, and why it is the next one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Next {
    /// To be typed as it stands.
    pub(crate) command: String,
    /// One line.
    pub(crate) why: String,
}

/// What to do next.
pub(crate) fn next(facts: &Facts) -> Next {
    let rules: [fn(&Facts) -> Option<Next>; 9] =
        [package, pending, phase, room, snapshots, services, damage, trial, step];
    rules.iter().find_map(|rule| rule(facts)).unwrap_or_else(|| {
        is("migration-ctl status", "nothing waits to be done: this node is at the last phase".into())
    })
}

fn is(command: &str, why: String) -> Next {
    Next { command: command.into(), why }
}

/// dpkg has not finished: everything else waits for it.
fn package(facts: &Facts) -> Option<Next> {
    if let Some(installed) = facts.package.as_ref().filter(|p| !p.is_whole()) {
        let state = &installed.state;
        return Some(match state.as_str() {
            s if s.ends_with('R') || s.contains('H') => is(
                "apt-get install --reinstall pve-network-rs",
                format!("dpkg's state is {state}: a run was killed while it unpacked"),
            ),
            s if s.starts_with('r') || s.ends_with('c') => {
                is("apt-get install pve-network-rs", format!("dpkg's state is {state}: the package was removed"))
            }
            _ => is("dpkg --configure -a", format!("dpkg's state is {state}: it was not configured to its end")),
        });
    }
    let open = facts.transaction.as_ref()?;
    Some(is("dpkg --configure -a", format!("the transaction {} to {} is not closed", open.id, open.to)))
}

fn pending(facts: &Facts) -> Option<Next> {
    let first = facts.pending.iter().min_by_key(|p| p.rank())?;
    let why = first.detail();
    Some(match (first, facts.cluster) {
        (Pending::ClusterRestore(_), "no-quorum") => is("pvecm status", format!("{why}; that needs quorum")),
        (Pending::ClusterRestore(_), "unmounted") => {
            is("systemctl start pve-cluster.service", format!("{why}; that needs pmxcfs"))
        }
        (Pending::Unfinished(_), _) => is(first.command(), format!("{why}; this takes it back")),
        (Pending::Removal(_), _) => is(first.command(), format!("{why}; this keeps the package")),
        _ => is(first.command(), why.to_owned()),
    })
}

fn phase(facts: &Facts) -> Option<Next> {
    let mend = if facts.ceiling_broken { "migration-ctl phase set perl-only" } else { "migration-ctl config check" };
    facts.phase_broken.then(|| is(mend, facts.reasons.join("; ")))
}

/// Nothing is written that could not be captured first: neither an apply nor a step down goes through.
fn room(facts: &Facts) -> Option<Next> {
    facts.no_room.as_ref().map(|why| is("df -h /var/lib; df -i /var/lib", why.clone()))
}

fn snapshots(facts: &Facts) -> Option<Next> {
    let take = |why: &str| Some(is("migration-ctl snapshot take", why.to_owned()));
    match &facts.snapshots.newest {
        None => take("there is no snapshot to go back to"),
        Some(newest) if !newest.verifies => take(newest.problem.as_deref().unwrap_or("the newest does not verify")),
        Some(_) => None,
    }
}

/// The services follow the phase when the middleware is restarted.
fn services(facts: &Facts) -> Option<Next> {
    let units = facts.units.as_ref().ok()?;
    if let Some(failed) = units.iter().find(|u| u.active == "failed") {
        return Some(is(&format!("journalctl -b -u {}", failed.name), format!("{} has failed", failed.name)));
    }
    let wanted = facts.phase.parse::<Phase>().is_ok_and(|p| p > Phase::PerlOnly);
    let middleware = units.iter().find(|u| u.name == MIDDLEWARE)?;
    let runs = middleware.active == "active";
    let restart = format!("systemctl restart {MIDDLEWARE}");
    match (wanted, runs) {
        (true, false) => Some(is(&restart, format!("phase {} asks for it and it does not run", facts.phase))),
        _ => None,
    }
}

fn damage(facts: &Facts) -> Option<Next> {
    if facts.removal.refused {
        return Some(is("migration-ctl snapshot verify", facts.removal.lines.last().cloned().unwrap_or_default()));
    }
    let on_trial = |line: &&String| line.contains(" is on trial");
    let broken = facts.removal.lines.iter().filter(|l| l.starts_with("restore ")).find(|l| !on_trial(l))?;
    (facts.removal.restore == history::Policy::Accepted).then(|| is("migration-ctl rollback --dry-run", broken.clone()))
}

fn trial(facts: &Facts) -> Option<Next> {
    let count = facts.removal.lines.iter().filter(|l| l.contains(" is on trial")).count();
    let why = match count {
        0 => return None,
        1 => "a file is on trial; accept it when it has proven itself".to_owned(),
        _ => format!("{count} files are on trial; accept them when they have proven themselves"),
    };
    Some(is("migration-ctl accept --dry-run", why))
}

fn step(facts: &Facts) -> Option<Next> {
    let now = facts.phase.parse::<Phase>().ok()?;
    let up = Phase::ALL.into_iter().find(|p| *p > now)?;
    if facts.canary {
        let why = format!("nothing has to be done before it; where it passes, 'migration-ctl promote' goes up to {up}");
        return Some(is("canary gate", why));
    }
    Some(is(
        &format!("migration-ctl phase set {up}"),
        "nothing has to be done before it; see 'migration-ctl health', and go up when it is time".into(),
    ))
}

#[cfg(test)]
#[path = "next_tests.rs"]
pub(crate) mod tests;
