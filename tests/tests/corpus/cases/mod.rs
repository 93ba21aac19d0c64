//! The corpus: packages that must not come in, by class.
//!
//! Two kinds are told apart. *Forged* ones are what somebody can make who has no trusted key but may
//! have good packages. *Keyed* ones are signed by a trusted key and wrong all the same: a build server
//! that went astray, or a tool that reads otherwise than dpkg.

mod compression;
mod container;
mod control;
mod identity;
mod keyring;
mod manifest;
mod naming;
mod paths;
mod signature;
mod tar;

use openpgp::Cert;
use sequoia_openpgp as openpgp;

use crate::keys;
use crate::package::Package;

/// Who could make it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Anybody.
    Forger,
    /// Whoever holds a trusted key.
    Key,
}

/// One package, or one way to name one.
pub struct Case {
    pub class: &'static str,
    pub name: &'static str,
    pub by: By,
    /// What `debseal verify` says.
    pub why: &'static str,
    /// What the gate says, if it is another thing.
    pub gate: Option<&'static str>,
    pub deb: Vec<u8>,
    /// How dpkg and apt are called, in the folder `$d` with the file at `$f`.
    pub dpkg: Option<&'static str>,
    pub apt: Option<&'static str>,
}

impl Case {
    pub fn new(class: &'static str, by: By, name: &'static str, why: &'static str, deb: Vec<u8>) -> Self {
        Self { class, name, by, why, gate: None, deb, dpkg: None, apt: None }
    }
}

/// Whose signatures count for a package, as the policy says.
pub struct Trust {
    pub package: String,
    pub certificate: Vec<u8>,
    /// More lines of its policy.
    pub more: String,
}

/// Keys, and who is trusted for what.
pub struct Desk {
    pub release: Cert,
    pub other: Cert,
    pub trusts: Vec<Trust>,
}

impl Desk {
    pub fn new() -> Self {
        let (release, other) = (keys::cert("release"), keys::cert("other"));
        let demo = Trust { package: "demo".into(), certificate: keys::public(&release), more: String::new() };
        Self { release, other, trusts: vec![demo] }
    }

    /// `demo` 1.0, good.
    pub fn demo(&self) -> Package {
        Package::new("demo", "1.0", &self.release)
    }
}

/// Every case, and the policy that they need.
pub fn all(desk: &mut Desk) -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(container::cases(desk));
    cases.extend(compression::cases(desk));
    cases.extend(tar::cases(desk));
    cases.extend(paths::cases(desk));
    cases.extend(control::cases(desk));
    cases.extend(identity::cases(desk));
    cases.extend(manifest::cases(desk));
    cases.extend(signature::cases(desk));
    cases.extend(keyring::cases(desk));
    cases.extend(naming::cases(desk));
    cases
}
