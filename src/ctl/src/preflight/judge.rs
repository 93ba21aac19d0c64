//! From facts to checks. Pure. What is critical stands in the way; a warning is to be known.

use super::facts::{Facts, Members, PORT, Port};
use crate::checks::{Check, State};
use crate::health::judge::{cluster, room};

/// The oldest dpkg that the maintainer scripts are tested with (Debian 12).
const DPKG: &str = "1.21";

/// Fewer samples than this say little about how long Perl takes.
const SAMPLES: usize = 10;

/// How many places of automation are shown in a line.
const SHOWN: usize = 3;

/// All checks.
pub(crate) fn judge(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![tools(facts), versions(facts), package(facts), cluster(facts.cluster), members(facts)];
    checks.extend([port(&facts.port), baseline(&facts.baseline), automation(facts)]);
    checks.extend([room(facts.room.as_ref()), capture(&facts.capture)]);
    checks
}

fn tools(facts: &Facts) -> Check {
    let missing: Vec<_> = facts.tools.iter().filter(|(_, _, there)| !there).collect();
    // Without a cluster there is no pvecm, and nothing that needs it.
    let needed = |(program, _, _): &&&(&str, &str, bool)| *program != "pvecm";
    let list = |of: &[&(&'static str, &'static str, bool)]| {
        of.iter().map(|(program, package, _)| format!("{program} ({package})")).collect::<Vec<_>>().join(", ")
    };
    match missing.iter().find(needed) {
        Some((_, package, _)) => {
            let check = Check::new("tools", State::Critical, format!("missing: {}", list(&missing)));
            check.mend(format!("apt-get -s install {package}   # look at what it would remove first"))
        }
        None if missing.is_empty() => Check::ok("tools", format!("all {} are there", facts.tools.len())),
        None => Check::ok("tools", format!("there; without a cluster also without {}", list(&missing))),
    }
}

fn versions(facts: &Facts) -> Check {
    let list: Vec<String> = facts.versions.iter().filter_map(|(p, v)| v.as_ref().map(|v| format!("{p} {v}"))).collect();
    let dpkg = facts.versions.iter().find(|(p, _)| *p == "dpkg").and_then(|(_, v)| v.as_deref());
    let Some(dpkg) = dpkg else {
        return Check::new("versions", State::Unknown, "dpkg does not say its own version");
    };
    match seal::version::compare(dpkg, DPKG) {
        Ok(order) if order.is_lt() => Check::new(
            "versions",
            State::Critical,
            format!("dpkg {dpkg} is older than {DPKG}, the oldest that is tested"),
        )
        .mend("apt-get install --only-upgrade dpkg"),
        Ok(_) => Check::ok("versions", list.join(", ")),
        Err(error) => Check::new("versions", State::Unknown, error.to_string()),
    }
}

fn package(facts: &Facts) -> Check {
    match facts.package_state.as_deref() {
        Some("ii") => Check::ok("package", "installed and configured"),
        Some(state) => Check::new("package", State::Critical, format!("dpkg's state of it is {state:?}, not \"ii\""))
            .mend("dpkg --configure -a"),
        None => Check::new("package", State::Unknown, "dpkg does not know pve-network-rs here"),
    }
}

fn members(facts: &Facts) -> Check {
    match &facts.members {
        Members::Alone => Check::ok("members", "this node stands alone"),
        Members::Unknown(why) => Check::new("members", State::Critical, why.clone()).mend("pvecm status"),
        Members::Known(nodes) => {
            let offline: Vec<&str> = nodes.iter().filter(|(_, online)| !online).map(|(n, _)| n.as_str()).collect();
            if !nodes.iter().any(|(name, _)| *name == facts.node) {
                return Check::new(
                    "members",
                    State::Critical,
                    format!("{} is not a member of its cluster", facts.node),
                )
                .mend("pvecm status");
            }
            if offline.is_empty() {
                return Check::ok("members", format!("{} nodes, all online", nodes.len()));
            }
            Check::new("members", State::Warning, format!("offline: {}", offline.join(", "))).mend("pvecm nodes")
        }
    }
}

fn port(port: &Port) -> Check {
    match port {
        Port::Free => Check::ok("metrics", format!("port {PORT} is free for the exporter")),
        Port::Ours => Check::ok("metrics", format!("our exporter answers at port {PORT}")),
        Port::Taken => Check::new("metrics", State::Critical, format!("port {PORT} is taken by another program"))
            .mend(format!("ss -ltnp 'sport = :{PORT}'")),
        Port::Unknown(why) => Check::new("metrics", State::Unknown, why.clone()),
    }
}

fn baseline(durations: &[u64]) -> Check {
    let mut sorted = durations.to_vec();
    sorted.sort_unstable();
    let Some(median) = sorted.get(sorted.len() / 2) else {
        return Check::new(
            "baseline",
            State::Warning,
            "Perl's applies are not measured yet: there is nothing to compare Rust's with",
        )
        .mend("pvenet-legacy apply");
    };
    let line = format!("{} applies by Perl, median {median} ms", sorted.len());
    if sorted.len() < SAMPLES {
        return Check::new("baseline", State::Warning, format!("{line}: {SAMPLES} make a baseline"))
            .mend("pvenet-legacy apply");
    }
    Check::ok("baseline", line)
}

fn automation(facts: &Facts) -> Check {
    let places = &facts.automation.places;
    let cut = if facts.automation.cut { "; not every file could be looked into" } else { "" };
    if places.is_empty() {
        return Check::ok("automation", format!("nothing in cron, units, /root, /usr/local calls Perl's network{cut}"));
    }
    let shown = places.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    let more = places.len().saturating_sub(SHOWN);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let path = places[0].split(':').next().unwrap_or_default();
    Check::new("automation", State::Warning, format!("calls Perl's network past us: {shown}{more}{cut}"))
        .mend(format!("less {path}"))
}

fn capture(capture: &Result<usize, String>) -> Check {
    match capture {
        Ok(count) => Check::ok("snapshot", format!("{count} paths can be captured")),
        Err(why) => Check::new("snapshot", State::Critical, why.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::facts::Room;
    use crate::preflight::automation::Found;
    use host::cluster::State as ClusterState;

    fn well() -> Facts {
        let tools = ["ifreload", "pvesh", "pvecm", "dpkg", "apt-get", "systemctl"];
        Facts {
            node: "pve1".into(),
            tools: tools.map(|t| (t, "p", true)).into(),
            versions: vec![("dpkg", Some("1.21.22".into())), ("apt", Some("2.6.1".into())), ("ifupdown2", None)],
            package_state: Some("ii".into()),
            cluster: ClusterState::Quorate,
            members: Members::Known(vec![("pve1".into(), true), ("pve2".into(), true)]),
            port: Port::Free,
            baseline: vec![400; 10],
            automation: Found::default(),
            room: Ok(Room { free_kib: 1 << 20, needed_kib: 300, free_inodes: 1 << 20, needed_inodes: 30 }),
            capture: Ok(12),
        }
    }

    #[test]
    fn a_node_that_is_ready_is_ready() {
        let checks = judge(&well());
        assert!(checks.iter().all(|c| c.state == State::Ok && c.mend.is_none()), "{checks:?}");
        assert_eq!(checks.len(), 10);
    }

    #[test]
    fn the_table() {
        use State::{Critical, Ok as Fine, Unknown, Warning};
        type Change = fn(&mut Facts);
        let rows: [(&str, Change, &str, State, &str); 20] = [
            ("no ifupdown2", |f| f.tools[0].2 = false, "tools", Critical, "missing: ifreload (p)"),
            ("no pvesh", |f| f.tools[1].2 = false, "tools", Critical, "pvesh"),
            ("no pvecm", |f| f.tools[2].2 = false, "tools", Fine, "without pvecm"),
            ("an old dpkg", |f| f.versions[0].1 = Some("1.20.13".into()), "versions", Critical, "older than 1.21"),
            ("no dpkg", |f| f.versions[0].1 = None, "versions", Unknown, "dpkg"),
            ("half configured", |f| f.package_state = Some("iF".into()), "package", Critical, "\"iF\""),
            ("not from a package", |f| f.package_state = None, "package", Unknown, "does not know"),
            ("no quorum", |f| f.cluster = ClusterState::NoQuorum, "cluster", Critical, "no quorum"),
            ("alone", |f| f.members = Members::Alone, "members", Fine, "alone"),
            (
                "one is offline",
                |f| f.members = Members::Known(vec![("pve1".into(), true), ("pve2".into(), false)]),
                "members",
                Warning,
                "offline: pve2",
            ),
            (
                "not a member",
                |f| f.members = Members::Known(vec![("pve2".into(), true)]),
                "members",
                Critical,
                "pve1 is not a member",
            ),
            ("members unreadable", |f| f.members = Members::Unknown("w".into()), "members", Critical, "w"),
            ("the port is ours", |f| f.port = Port::Ours, "metrics", Fine, "our exporter"),
            ("the port is taken", |f| f.port = Port::Taken, "metrics", Critical, "port 9187 is taken"),
            ("no baseline", |f| f.baseline.clear(), "baseline", Warning, "not measured"),
            (
                "a short baseline",
                |f| f.baseline = vec![100, 300, 200],
                "baseline",
                Warning,
                "3 applies by Perl, median 200 ms",
            ),
            (
                "automation",
                |f| f.automation.places = (1..=5).map(|n| format!("/root/{n}:1: ifreload -a")).collect(),
                "automation",
                Warning,
                "/root/1:1: ifreload -a; /root/2:1: ifreload -a; /root/3:1: ifreload -a; and 2 more",
            ),
            ("too much to look into", |f| f.automation.cut = true, "automation", Fine, "not every file"),
            ("no room", |f| f.room.as_mut().unwrap().free_kib = 1, "disk", Critical, "1 KiB free"),
            ("not to be captured", |f| f.capture = Err("cannot read x".into()), "snapshot", Critical, "cannot read x"),
        ];
        for (name, change, check, state, words) in rows {
            let mut facts = well();
            change(&mut facts);
            let checks = judge(&facts);
            let found = checks.iter().find(|c| c.name == check).unwrap();
            assert_eq!(found.state, state, "{name}: {found:?}");
            assert!(found.line.contains(words), "{name}: {found:?}");
        }
    }
}
