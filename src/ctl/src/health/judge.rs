//! From facts to checks. Pure: the same facts give the same verdict.

use host::cluster::State as ClusterState;
use phase::Phase;

use super::facts::{Facts, Room, Snapshots};
use crate::checks::{Check, Figure, State};
use crate::pending::Pending;
use crate::services::MIDDLEWARE;
use crate::units::Unit;

const DAEMON: &str = "pve-network-rs.service";

/// A snapshot older than this (7 days, in seconds) is worth a line if it no longer shows the present state.
const OLD: u64 = 7 * 24 * 3600;

/// All checks, in the order in which an operator asks.
pub(crate) fn judge(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![phase(facts), ceiling(facts), nodes(facts), units(facts), cluster(facts.cluster), api(facts)];
    checks.push(snapshots(&facts.snapshots));
    checks.push(room(facts.room.as_ref()));
    checks.push(pending(facts));
    checks.push(seal(facts));
    checks.extend(overrides(facts));
    checks
}

/// What can be drawn over time.
pub(crate) fn figures(facts: &Facts) -> Vec<Figure> {
    let figure = |name, value, unit| Figure { name, value, unit };
    let mut out = vec![
        figure("phase", Phase::ALL.iter().position(|p| *p == facts.effective.phase).unwrap_or(0) as u64, ""),
        figure("snapshots", facts.snapshots.count as u64, ""),
        figure("pending", facts.pending.len() as u64, ""),
    ];
    if let Some(newest) = &facts.snapshots.newest {
        out.push(figure("snapshot_age", newest.age, "s"));
    }
    if let Ok(room) = &facts.room {
        out.push(figure("room", room.free_kib, "KB"));
    }
    if let Ok(took) = facts.api.answered {
        out.push(figure("perl_api_connect", took.as_millis().try_into().unwrap_or(u64::MAX), "ms"));
    }
    out
}

fn phase(facts: &Facts) -> Check {
    let effective = &facts.effective;
    match effective.problems().next() {
        Some(problem) => Check::new("phase", State::Critical, format!("{}: {problem}", effective.phase)).mend(
            if facts.wished.is_some() {
                "migration-ctl phase set perl-only" // it is the ceiling
            } else {
                "migration-ctl config check"
            },
        ),
        None => Check::ok("phase", effective.to_string()),
    }
}

fn ceiling(facts: &Facts) -> Check {
    match (facts.ceiling, facts.wished) {
        (Some(ceiling), Some(wished)) if ceiling < wished => {
            let next = ceiling.next().unwrap_or(wished);
            Check::new(
                "ceiling",
                State::Warning,
                format!("this node may do {ceiling} at most, and migration.toml wishes for {wished}"),
            )
            .mend(format!("migration-ctl phase set {next}"))
        }
        (Some(ceiling), _) => Check::ok("ceiling", ceiling.to_string()),
        (None, _) => {
            Check::new("ceiling", State::Warning, "this node has no ceiling, or it can't be read: it is at perl-only")
                .mend("migration-ctl phase set perl-only")
        }
    }
}

/// Two canaries stand a step apart; more than a step is nobody's plan.
fn nodes(facts: &Facts) -> Check {
    let at = |phase: Phase| Phase::ALL.iter().position(|p| *p == phase).unwrap_or(0);
    let lowest = facts.phases.iter().map(|(_, p)| *p).min();
    let highest = facts.phases.iter().map(|(_, p)| *p).max();
    let (Some(lowest), Some(highest)) = (lowest, highest) else {
        return Check::ok("nodes", "migration.toml names no node");
    };
    if lowest == highest {
        let nodes = if facts.phases.len() == 1 { "node" } else { "nodes" };
        return Check::ok("nodes", format!("{} {nodes} at {lowest}", facts.phases.len()));
    }
    let list = facts.phases.iter().map(|(n, p)| format!("{n} at {p}")).collect::<Vec<_>>().join(", ");
    if at(highest) - at(lowest) == 1 {
        return Check::ok("nodes", format!("a step apart: {list}"));
    }
    Check::new("nodes", State::Warning, format!("more than a step apart: {list}"))
        .mend("migration-ctl phase get --all-nodes")
}

/// The middleware brings the daemon up with it, so it is the one that has to be enabled.
fn units(facts: &Facts) -> Check {
    let units = match &facts.units {
        Err(why) => return Check::new("units", State::Unknown, format!("not asked: {why}")),
        Ok(units) => units,
    };
    let phase = facts.effective.phase;
    let named = |name: &str| units.iter().find(|u| u.name == name);
    let (Some(middleware), Some(daemon)) = (named(MIDDLEWARE), named(DAEMON)) else {
        return Check::new("units", State::Unknown, "hooks.toml names other units than this version knows");
    };
    let critical = |line: String, command: String| Check::new("units", State::Critical, line).mend(command);
    if let Some(unit) = [middleware, daemon].into_iter().find(|u| u.active == "failed") {
        return critical(format!("{} has failed", unit.name), format!("journalctl -u {} -n 50", unit.name));
    }
    if phase == Phase::PerlOnly {
        let what = |u: &Unit| format!("{} {} and {}", u.name, word(&u.enabled), u.active);
        return Check::ok("units", format!("{}, {}, as perl-only allows", what(middleware), what(daemon)));
    }
    for unit in [middleware, daemon] {
        if unit.load == "masked" {
            return critical(
                format!("{} is masked, and this node is at {phase}", unit.name),
                format!("systemctl unmask {}", unit.name),
            );
        }
        if unit.load != "loaded" {
            return critical(
                format!("systemd does not know {}, and this node is at {phase}", unit.name),
                "systemctl daemon-reload".into(),
            );
        }
    }
    if !matches!(middleware.enabled.as_str(), "enabled" | "enabled-runtime" | "linked" | "alias" | "indirect") {
        return critical(
            format!(
                "{MIDDLEWARE} is {}, and this node is at {phase}: it is not started at boot",
                word(&middleware.enabled)
            ),
            format!("systemctl enable --now {MIDDLEWARE}"),
        );
    }
    for unit in [middleware, daemon] {
        if !matches!(unit.active.as_str(), "active" | "reloading" | "refreshing") {
            return critical(
                format!("{} is {}, and this node is at {phase}", unit.name, unit.active),
                format!("systemctl restart {MIDDLEWARE}"),
            );
        }
    }
    Check::ok("units", format!("{MIDDLEWARE} is enabled, both run"))
}

fn word(file: &str) -> &str {
    if file.is_empty() { "unknown" } else { file }
}

/// Quorum and pmxcfs; for preflight as well.
pub(crate) fn cluster(state: ClusterState) -> Check {
    let critical = |line: &str| Check::new("cluster", State::Critical, line);
    match state {
        ClusterState::Quorate => Check::ok("cluster", "/etc/pve is mounted and writable"),
        ClusterState::Plain => Check::ok("cluster", "pve-cluster is not installed: /etc/pve is a plain folder"),
        ClusterState::NoQuorum => critical("no quorum: /etc/pve can't be written").mend("pvecm status"),
        ClusterState::Unmounted => critical("pmxcfs is not mounted: this node's ceiling alone holds")
            .mend("systemctl restart pve-cluster.service"),
    }
}

/// From rust-read-only on, Perl is what is fallen back on.
fn api(facts: &Facts) -> Check {
    let api = &facts.api;
    match &api.answered {
        Ok(took) => Check::ok("perl-api", format!("{} accepts connections ({} ms)", api.url, took.as_millis())),
        Err(why) => {
            let state = if facts.effective.phase == Phase::PerlOnly { State::Warning } else { State::Critical };
            Check::new("perl-api", state, format!("{}: {why}", api.url)).mend("systemctl restart pveproxy.service")
        }
    }
}

fn snapshots(found: &Snapshots) -> Check {
    let Some(newest) = &found.newest else {
        return Check::new("snapshots", State::Critical, "there is no snapshot to go back to")
            .mend("migration-ctl snapshot take");
    };
    if let Some(defect) = &newest.defect {
        return Check::new("snapshots", State::Critical, format!("the newest can't be trusted: {defect}"))
            .mend("migration-ctl snapshot take");
    }
    let (id, age) = (&newest.id, span(newest.age));
    if newest.differs && newest.age > OLD {
        return Check::new(
            "snapshots",
            State::Warning,
            format!("the newest, {id}, is {age} old and no longer shows the present state"),
        )
        .mend("migration-ctl snapshot take");
    }
    match found.damaged.first() {
        Some(defect) => {
            let line = format!("{} of {} can't be trusted: {defect}", found.damaged.len(), found.count);
            Check::new("snapshots", State::Warning, line).mend("migration-ctl snapshot verify")
        }
        None => Check::ok("snapshots", format!("{} verify, the newest, {id}, is {age} old", found.count)),
    }
}

/// A span of time as a person says it.
fn span(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds} s"),
        120..=7199 => format!("{} min", seconds / 60),
        7200..=172_799 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// Room for a snapshot; for preflight as well.
pub(crate) fn room(room: Result<&Room, &String>) -> Check {
    let room = match room {
        Ok(room) => room,
        Err(why) => return Check::new("disk", State::Unknown, why.clone()),
    };
    // Nothing is written that could not be captured first.
    let state = if room.is_short(1) {
        State::Critical
    } else if room.is_short(10) {
        State::Warning
    } else {
        return Check::ok("disk", room.to_string());
    };
    Check::new("disk", state, room.to_string()).mend("df -h /var/lib; df -i /var/lib")
}

fn pending(facts: &Facts) -> Check {
    // By rank, as status has it: the two must not name different commands.
    let Some(first) = facts.pending.iter().min_by_key(|p| p.rank()) else {
        return Check::ok("pending", "nothing waits to be finished");
    };
    let state = if facts.pending.iter().any(Pending::urgent) { State::Critical } else { State::Warning };
    let more = match facts.pending.len() {
        1 => String::new(),
        count => format!(", and {} more", count - 1),
    };
    Check::new("pending", state, format!("{}{more}", first.detail())).mend(first.command())
}

fn seal(facts: &Facts) -> Check {
    match &facts.seal {
        Err(why) => Check::new("package", State::Unknown, why.clone()),
        Ok(findings) => match findings.first() {
            None => Check::ok("package", "its files are as they were sealed"),
            Some(first) => {
                let more =
                    if findings.len() > 1 { format!(", and {} more", findings.len() - 1) } else { String::new() };
                Check::new("package", State::Critical, format!("{first}{more}"))
                    .mend("apt-get install --reinstall pve-network-rs")
            }
        },
    }
}

fn overrides(facts: &Facts) -> Option<Check> {
    let first = facts.overrides.iter().find(|o| o.expired).or(facts.overrides.first())?;
    let state = if first.expired { State::Critical } else { State::Warning };
    Some(Check::new("overrides", state, first.line.clone()).mend("migration-ctl phase history"))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
