//! Rust or Perl: the phase's table (`phase::What`), the feature, and what only Perl can know.

use phase::{Phase, What, allows};

use crate::route::{Target, by_type};

/// What the disk says at the moment of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The phase in effect.
    pub phase: Phase,
    /// Feature `rust_daemon`.
    pub rust_daemon: bool,
    /// `fallback_enabled`.
    pub fallback: bool,
}

/// Who is asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// The daemon.
    Rust,
    /// Proxmox's Perl, and why.
    Perl(&'static str),
}

/// What the phase has to allow for a request whose body names `kind`.
pub fn needed(target: &Target, kind: Option<&str>) -> What {
    if !target.operation.asks_for_type() {
        return target.what;
    }
    // A bridge's name with another type, or the reverse: whatever takes more.
    let by_type = by_type(kind);
    if by_type.least_phase() >= target.what.least_phase() { by_type } else { target.what }
}

/// Decides.
pub fn choose(target: &Target, kind: Option<&str>, standing: &Standing) -> Backend {
    if let Some(why) = target.perl_only {
        return Backend::Perl(why);
    }
    if !allows(needed(target, kind), standing.phase) {
        return Backend::Perl("phase");
    }
    if target.operation.is_write() && !standing.rust_daemon {
        return Backend::Perl("feature");
    }
    Backend::Rust
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Operation, Route, route};
    use Backend::{Perl, Rust};

    fn target(method: &str, path: &str) -> Target {
        match route(method, &format!("/api2/json{path}"), "n") {
            Route::Network(target) => target,
            other => panic!("{method} {path}: {other:?}"),
        }
    }

    #[test]
    fn the_table() {
        let list = target("GET", "/nodes/n/network");
        let vnets = target("GET", "/nodes/n/network?type=vnet");
        let create = target("POST", "/nodes/n/network");
        let update = target("PUT", "/nodes/n/network/eno1");
        let bridge = target("PUT", "/nodes/n/network/vmbr0");
        let delete = target("DELETE", "/nodes/n/network/eno1");
        let reload = target("PUT", "/nodes/n/network");
        let sdn = target("POST", "/cluster/sdn/zones");
        // The lowest phase in which Rust is asked; none: never.
        for (target, kind, from) in [
            (list, None, Some(Phase::RustReadOnly)),
            (vnets, None, None),
            (create, Some("eth"), Some(Phase::RustBasicWrite)),
            (create, Some("bridge"), Some(Phase::RustAdvanced)),
            (create, Some("OVSPort"), Some(Phase::RustAdvanced)),
            (create, None, Some(Phase::RustAdvanced)),
            (update, Some("eth"), Some(Phase::RustBasicWrite)),
            (update, Some("vlan"), Some(Phase::RustAdvanced)),
            (bridge, Some("eth"), Some(Phase::RustAdvanced)),
            (delete, None, Some(Phase::RustBasicWrite)),
            (reload, None, Some(Phase::RustBasicWrite)),
            (sdn, None, Some(Phase::RustSdn)),
        ] {
            for phase in Phase::ALL {
                for rust_daemon in [false, true] {
                    let found = choose(&target, kind, &Standing { phase, rust_daemon, fallback: true });
                    let expected = match from {
                        None => Perl("lists-sdn"),
                        Some(from) if phase < from => Perl("phase"),
                        Some(_) if target.operation.is_write() && !rust_daemon => Perl("feature"),
                        Some(_) => Rust,
                    };
                    assert_eq!(found, expected, "{target:?} {kind:?} {phase} {rust_daemon}");
                }
            }
        }
        assert_eq!(list.operation, Operation::List);
    }
}
