//! What others wrote, and what has to hold whatever stands there.
//!
//! ```text
//!   fuzz/fuzz_targets/*  ─┐                        ┌─ container  .deb, tar, compression
//!   tests/any.rs         ─┼─► ALL: name, check ────┼─ sealed     control, manifest, hooks.toml, trailer, keys
//!   tests/bounded.rs     ─┘    (panics = broken)   ├─ states     snapshot, journals, migration.toml, state files
//!                                                  ├─ called     dpkg's arguments and environment
//!                                                  └─ requests   what callers of the network API send
//! ```
//!
//! A check takes any bytes, and panics if a rule is broken: nothing panics; what is accepted is
//! written back and read the same; what is accepted keeps what its reader relies on. The same
//! functions are run by cargo-fuzz (guided by coverage, for minutes or nights) and by proptest (in
//! every `cargo test`), and what the fuzzer once found lies in `fuzz/seeds` and is tried by both.
//!
//! Nothing of this ships: the crate is for tests. It never says what is right to do with an input, only what is wrong with
//! whatever was done.

pub mod called;
pub mod container;
pub mod requests;
pub mod samples;
pub mod sealed;
pub mod states;

/// One kind of input.
#[derive(Debug, Clone, Copy)]
pub struct Input {
    /// Its name: that of the fuzz target and of the folder in `fuzz/seeds`.
    pub name: &'static str,
    /// What has to hold; panics where it does not.
    pub check: fn(&[u8]),
}

/// All of them.
pub const ALL: [Input; 16] = [
    Input { name: "deb", check: container::deb },
    Input { name: "tar", check: container::tar },
    Input { name: "compressed", check: container::compressed },
    Input { name: "control", check: sealed::control },
    Input { name: "manifest", check: sealed::manifest },
    Input { name: "hooks", check: sealed::hooks },
    Input { name: "trailer", check: sealed::trailer },
    Input { name: "keys", check: sealed::keys },
    Input { name: "snapshot", check: states::snapshot },
    Input { name: "journal", check: states::journal },
    Input { name: "phase_history", check: states::phase_history },
    Input { name: "migration", check: states::migration },
    Input { name: "state", check: states::state },
    Input { name: "interfaces", check: states::interfaces },
    Input { name: "call", check: called::call },
    Input { name: "request", check: requests::request },
];
