//! The phases and their order.

use std::fmt;
use std::str::FromStr;

use host::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// How much Rust does, lowest first: comparing phases compares how much they allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Perl does everything.
    #[default]
    PerlOnly,
    /// Rust answers reads.
    RustReadOnly,
    /// And writes plain interfaces, and applies.
    RustBasicWrite,
    /// And bridges, bonds, VLANs, Open vSwitch.
    RustAdvanced,
    /// And software-defined networking.
    RustSdn,
    /// Everything; Perl only if asked.
    RustFull,
}

impl Phase {
    /// Every phase, lowest first.
    pub const ALL: [Phase; 6] = [
        Phase::PerlOnly,
        Phase::RustReadOnly,
        Phase::RustBasicWrite,
        Phase::RustAdvanced,
        Phase::RustSdn,
        Phase::RustFull,
    ];

    /// The name as operators write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::PerlOnly => "perl-only",
            Phase::RustReadOnly => "rust-read-only",
            Phase::RustBasicWrite => "rust-basic-write",
            Phase::RustAdvanced => "rust-advanced",
            Phase::RustSdn => "rust-sdn",
            Phase::RustFull => "rust-full",
        }
    }

    /// The phase one step up.
    pub fn next(self) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| *phase > self)
    }

    /// The phase of this exact name.
    pub fn from_name(name: &str) -> Option<Phase> {
        Phase::ALL.into_iter().find(|phase| phase.as_str() == name)
    }

    /// All names, for messages: `perl-only, rust-read-only, …`.
    pub fn names() -> String {
        Phase::ALL.map(Phase::as_str).join(", ")
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Phase::from_name(name)
            .ok_or_else(|| Error::of(Kind::Usage, format!("unknown phase '{name}': use one of {}", Phase::names())))
    }
}

/// Whether a node may be set from one phase to another: one step up, or down to any, or nowhere.
///
/// # Errors
/// [`Kind::Refused`], naming the step that may be taken instead.
pub fn step_allowed(from: Phase, to: Phase) -> Result<()> {
    match from.next() {
        Some(next) if to > next => Err(Error::of(
            Kind::Refused,
            format!("cannot go from {from} to {to}: one step up at a time; the next phase is {next}"),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_order() {
        let names = ["perl-only", "rust-read-only", "rust-basic-write", "rust-advanced", "rust-sdn", "rust-full"];
        assert_eq!(Phase::ALL.map(Phase::as_str), names);
        assert!(Phase::ALL.is_sorted() && Phase::default() == Phase::ALL[0]);
        for phase in Phase::ALL {
            assert_eq!(phase.to_string().parse::<Phase>().unwrap(), phase);
            assert_eq!(serde_json::to_string(&phase).unwrap(), format!("\"{phase}\""));
            assert_eq!(serde_json::from_str::<Phase>(&format!("\"{phase}\"")).unwrap(), phase);
        }
        assert_eq!(format!("{:<10}|", Phase::RustSdn), "rust-sdn  |");
    }

    #[test]
    fn a_wrong_name_lists_the_right_ones() {
        for wrong in ["", "perl", "PERL-ONLY", "rust-sdn ", "rust_sdn"] {
            let error = wrong.parse::<Phase>().unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(
                error
                    .to_string()
                    .ends_with("perl-only, rust-read-only, rust-basic-write, rust-advanced, rust-sdn, rust-full")
            );
        }
    }

    #[test]
    fn one_step_up_or_any_down() {
        for (i, from) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(from.next(), Phase::ALL.get(i + 1).copied());
            for (j, to) in Phase::ALL.into_iter().enumerate() {
                let verdict = step_allowed(from, to);
                assert_eq!(verdict.is_ok(), j <= i + 1, "{from} to {to}");
                if let Err(error) = verdict {
                    assert_eq!(error.kind(), Kind::Refused);
                    assert!(error.to_string().ends_with(&format!("the next phase is {}", Phase::ALL[i + 1])));
                }
            }
        }
    }
}
