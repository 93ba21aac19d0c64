//! What dpkg is told to do, and from where.

use std::str::FromStr;

use host::{Error, Kind, Result};

use crate::subject::{BREAKS, CONFLICT, NEW, OLD, TAKEOVER};
use crate::writer;

/// One thing that dpkg is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Flow {
    /// The first install, on a machine whose cluster knows the package already.
    Install,
    /// The first install on a machine that stands alone.
    InstallAlone,
    /// From the old version to the new one.
    Upgrade,
    /// Back to the old version.
    Downgrade,
    /// The same version again.
    Reinstall,
    /// `postinst configure` of an unpacked version, while writers were at work.
    Configure,
    /// The same with a program of the package missing, so that it fails and goes back.
    ConfigureBroken,
    /// Remove.
    Remove,
    /// Remove and purge at once.
    Purge,
    /// Purge what was removed before.
    PurgeRemoved,
    /// Install again what was removed before.
    InstallRemoved,
    /// Another package conflicts with it and replaces it.
    Replaced,
    /// Another package breaks it, so that dpkg deconfigures it.
    Deconfigured,
    /// Another package ships every file of it.
    Disappear,
    /// The package's own code writes captured files, without dpkg.
    Write,
}

/// What the machine is like before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Without the package; the captured files are there.
    Bare,
    /// Without the package and without a cluster's files.
    Alone,
    /// With the old version, and something of its own on trial.
    Old,
    /// With the new version, and something of its own on trial.
    New,
    /// The new version was removed again.
    Removed,
    /// Unpacked over the old version, with a write since then.
    Unpacked,
    /// The same, and one of its programs is gone.
    UnpackedBroken,
}

/// What state the package is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Installed.
    Installed,
    /// Removed, configuration remains.
    Removed,
    /// Nothing is known of it.
    Gone,
}

impl Goal {
    /// dpkg's abbreviation for it.
    pub fn status(self) -> &'static str {
        match self {
            Self::Installed => "ii",
            Self::Removed => "rc",
            Self::Gone => "un",
        }
    }
}

impl Stage {
    /// The stage that it is made from.
    pub fn below(self) -> Option<Self> {
        match self {
            Self::Bare | Self::Alone => None,
            Self::Old | Self::New => Some(Self::Bare),
            Self::Removed => Some(Self::New),
            Self::Unpacked => Some(Self::Old),
            Self::UnpackedBroken => Some(Self::Unpacked),
        }
    }
}

impl Flow {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Install,
        Self::InstallAlone,
        Self::Upgrade,
        Self::Downgrade,
        Self::Reinstall,
        Self::Configure,
        Self::ConfigureBroken,
        Self::Remove,
        Self::Purge,
        Self::PurgeRemoved,
        Self::InstallRemoved,
        Self::Replaced,
        Self::Deconfigured,
        Self::Disappear,
        Self::Write,
    ];

    /// Its name in a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::InstallAlone => "install-alone",
            Self::Upgrade => "upgrade",
            Self::Downgrade => "downgrade",
            Self::Reinstall => "reinstall",
            Self::Configure => "configure",
            Self::ConfigureBroken => "configure-broken",
            Self::Remove => "remove",
            Self::Purge => "purge",
            Self::PurgeRemoved => "purge-removed",
            Self::InstallRemoved => "install-removed",
            Self::Replaced => "replaced",
            Self::Deconfigured => "deconfigured",
            Self::Disappear => "disappear",
            Self::Write => "write",
        }
    }

    /// Where it starts.
    pub fn stage(self) -> Stage {
        match self {
            Self::Install => Stage::Bare,
            Self::InstallAlone => Stage::Alone,
            Self::Upgrade => Stage::Old,
            Self::Configure => Stage::Unpacked,
            Self::ConfigureBroken => Stage::UnpackedBroken,
            Self::PurgeRemoved | Self::InstallRemoved => Stage::Removed,
            Self::Downgrade
            | Self::Reinstall
            | Self::Remove
            | Self::Purge
            | Self::Replaced
            | Self::Deconfigured
            | Self::Disappear
            | Self::Write => Stage::New,
        }
    }

    /// Where it leads, if nothing fails.
    pub fn goal(self) -> Goal {
        match self {
            Self::Remove | Self::Replaced => Goal::Removed,
            Self::Purge | Self::PurgeRemoved | Self::Disappear => Goal::Gone,
            _ => Goal::Installed,
        }
    }

    /// The command line.
    pub fn command(self, package: &str) -> Vec<String> {
        let words: &[&str] = match self {
            Self::Install | Self::InstallAlone | Self::Upgrade | Self::Reinstall | Self::InstallRemoved => &["-i", NEW],
            Self::Downgrade => &["-i", OLD],
            Self::Configure | Self::ConfigureBroken => &["--configure", "-a"],
            Self::Remove => &["-r", package],
            Self::Purge | Self::PurgeRemoved => &["-P", package],
            Self::Replaced => &["-i", CONFLICT],
            Self::Deconfigured => &["--auto-deconfigure", "-i", BREAKS],
            Self::Disappear => &["-i", TAKEOVER],
            Self::Write => return writer::command("d"),
        };
        dpkg(words)
    }

    /// The package file that brings the machine where the flow leads.
    pub fn deb(self) -> &'static str {
        if self == Self::Downgrade { OLD } else { NEW }
    }

    /// The other package that takes part.
    pub fn stranger(self) -> Option<&'static str> {
        match self {
            Self::Replaced => Some("drill-conflict"),
            Self::Deconfigured => Some("drill-breaks"),
            Self::Disappear => Some("drill-takeover"),
            _ => None,
        }
    }
}

impl FromStr for Flow {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|f| f.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::of(Kind::Usage, format!("{text:?} is no flow; there are {names}"))
        })
    }
}

/// Spares dpkg its syncs: a machine in memory survives no power cut.
pub const UNSAFE: &str = "--force-unsafe-io";

/// A dpkg command line.
pub fn dpkg(words: &[&str]) -> Vec<String> {
    ["dpkg", UNSAFE].iter().chain(words).map(|w| (*w).to_owned()).collect()
}
