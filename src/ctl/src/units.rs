//! How our units stand, from one call of systemctl that runs while the disk is read.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use host::Command;
use serde::Serialize;

use crate::Node;

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Unit {
    /// Its name.
    pub(crate) name: String,
    /// `loaded`, `not-found`, `masked`, … (systemctl(1), LoadState).
    #[serde(skip)]
    pub(crate) load: String,
    /// `active`, `inactive`, `failed`, …
    pub(crate) active: String,
    /// `enabled`, `disabled`, `masked`, …; empty if there is no such unit.
    pub(crate) enabled: String,
}

/// The answer, or why there is none.
pub(crate) type Units = Result<Vec<Unit>, String>;

/// Asks, and goes on meanwhile; the answer is fetched by [`join`].
pub(crate) fn ask(node: &Node) -> JoinHandle<Units> {
    let runs = node.store.root.is_system() && Path::new("/run/systemd/system").is_dir();
    let units = node.policy.units.clone();
    std::thread::spawn(move || if runs { show(units) } else { Err("systemd does not run here".into()) })
}

/// Asks and waits.
pub(crate) fn of(node: &Node) -> Units {
    join(ask(node))
}

/// Waits for the answer.
pub(crate) fn join(asked: JoinHandle<Units>) -> Units {
    asked.join().unwrap_or_else(|_| Err("could not ask systemd".into()))
}

fn show(units: Vec<String>) -> Units {
    let command = Command::new("systemctl")
        .args(["show", "--property=Id,LoadState,ActiveState,UnitFileState", "--"])
        .args(units)
        .patience(Duration::from_secs(20));
    let out = command.run().map_err(|e| e.to_string())?;
    if !out.success() {
        return Err(format!("{} failed: {}", command.line(), out.stderr.lines().next().unwrap_or("it gave no reason")));
    }
    Ok(parse(&out.stdout))
}

fn parse(text: &str) -> Vec<Unit> {
    let unit = |paragraph: &str| {
        let field = |name: &str| paragraph.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default().to_owned();
        Unit {
            name: field("Id="),
            load: field("LoadState="),
            active: field("ActiveState="),
            enabled: field("UnitFileState="),
        }
    };
    text.split("\n\n").filter(|p| !p.trim().is_empty()).map(unit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_for_each() {
        let units = parse(
            "Id=a.service\nLoadState=loaded\nActiveState=failed\nUnitFileState=enabled\n\nUnitFileState=\nId=b.service\nActiveState=inactive\n",
        );
        assert_eq!(units.len(), 2);
        assert_eq!((units[0].active.as_str(), units[1].enabled.as_str()), ("failed", ""));
        assert_eq!((units[0].load.as_str(), units[1].load.as_str()), ("loaded", ""));
    }
}
