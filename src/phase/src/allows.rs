//! What each phase allows: DESIGN's table, as a function.

use crate::Phase;

/// Something that a phase may or may not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// The middleware may run. Always: it is how requests reach Perl.
    Middleware,
    /// The daemon may run (its unit's `ExecCondition`).
    Daemon,
    /// GET under `/nodes/{node}/network` and `/cluster/sdn`.
    Read,
    /// Create, change, delete a plain interface.
    WriteInterface,
    /// Make the node's pending configuration the running one.
    Apply,
    /// Create, change, delete a Linux bridge.
    WriteBridge,
    /// Create, change, delete a bond.
    WriteBond,
    /// Create, change, delete a VLAN.
    WriteVlan,
    /// Create, change, delete anything of Open vSwitch.
    WriteOvs,
    /// Create, change, delete, apply zones, vnets, subnets, controllers, ipams, dns.
    WriteSdn,
}

impl What {
    /// Everything there is.
    pub const ALL: [What; 10] = [
        What::Middleware,
        What::Daemon,
        What::Read,
        What::WriteInterface,
        What::Apply,
        What::WriteBridge,
        What::WriteBond,
        What::WriteVlan,
        What::WriteOvs,
        What::WriteSdn,
    ];

    /// Its name on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            What::Middleware => "middleware",
            What::Daemon => "daemon",
            What::Read => "read",
            What::WriteInterface => "write-interface",
            What::Apply => "apply",
            What::WriteBridge => "write-bridge",
            What::WriteBond => "write-bond",
            What::WriteVlan => "write-vlan",
            What::WriteOvs => "write-ovs",
            What::WriteSdn => "write-sdn",
        }
    }

    /// The lowest phase that allows it.
    pub const fn least_phase(self) -> Phase {
        match self {
            What::Middleware => Phase::PerlOnly,
            What::Daemon | What::Read => Phase::RustReadOnly,
            What::WriteInterface | What::Apply => Phase::RustBasicWrite,
            What::WriteBridge | What::WriteBond | What::WriteVlan | What::WriteOvs => Phase::RustAdvanced,
            What::WriteSdn => Phase::RustSdn,
        }
    }

    /// Whether it changes configuration, so that besides the phase a feature must be on.
    pub const fn is_write(self) -> bool {
        !matches!(self, What::Middleware | What::Daemon | What::Read)
    }
}

/// Whether Rust may do `what` in `phase`. Writes need their feature as well
/// ([`Features`](crate::Features)).
pub fn allows(what: What, phase: Phase) -> bool {
    phase >= what.least_phase()
}

#[cfg(test)]
mod tests {
    use super::What::*;
    use super::*;

    #[test]
    fn the_table() {
        let allowed_from = [
            vec![Middleware],
            vec![Daemon, Read],
            vec![WriteInterface, Apply],
            vec![WriteBridge, WriteBond, WriteVlan, WriteOvs],
            vec![WriteSdn],
            vec![],
        ];
        for (i, phase) in Phase::ALL.into_iter().enumerate() {
            let expected: Vec<_> = allowed_from[..=i].concat();
            let found: Vec<_> = What::ALL.into_iter().filter(|w| allows(*w, phase)).collect();
            assert_eq!(found, expected, "{phase}");
        }
        let reads: Vec<_> = What::ALL.into_iter().filter(|w| !w.is_write()).collect();
        assert_eq!(reads, [Middleware, Daemon, Read]);
    }
}
