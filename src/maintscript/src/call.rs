//! The calls that dpkg makes (Debian Policy 6.5 to 6.8), told apart and nothing else.

use std::fmt;
use std::path::Path;

/// Which of the four scripts this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Script {
    /// Runs before unpacking.
    Preinst,
    /// Runs after unpacking.
    Postinst,
    /// Runs before files go or are replaced.
    Prerm,
    /// Runs after files went or were replaced.
    Postrm,
}

impl Script {
    /// The script that dpkg calls by this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "preinst" => Self::Preinst,
            "postinst" => Self::Postinst,
            "prerm" => Self::Prerm,
            "postrm" => Self::Postrm,
            _ => return None,
        })
    }

    /// dpkg's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preinst => "preinst",
            Self::Postinst => "postinst",
            Self::Prerm => "prerm",
            Self::Postrm => "postrm",
        }
    }
}

/// One call. Versions are empty where dpkg passes an empty one or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// new `postrm abort-install old`: removed as before, its configuration remains.
    AbortReinstall,
    /// new `preinst install [old]`: `old` if configuration files remain.
    Install {
        /// The version whose configuration remains.
        old: String,
    },
    /// new `preinst upgrade old`, also from `dpkg-reconfigure`.
    Upgrade {
        /// The installed version.
        old: String,
    },
    /// old `preinst abort-upgrade`, old `postinst abort-upgrade`, new `postrm abort-upgrade`, new
    /// `postrm abort-install`.
    Abort,
    /// `postinst configure [old]`.
    Configure {
        /// The version last configured.
        old: String,
    },
    /// old `postinst abort-remove`: the package stays.
    AbortRemove,
    /// `postinst abort-deconfigure`: the package stays.
    AbortDeconfigure,
    /// `postinst triggered`: a trigger of ours, or another's that we named.
    Triggered,
    /// old `prerm upgrade new`: our successor lies in `tmp.ci`.
    Replace {
        /// Its version.
        new: String,
    },
    /// `prerm remove`, also `in-favour` of another package.
    Remove,
    /// `postrm remove`.
    Removed,
    /// `postrm purge`.
    Purge,
    /// old `postrm upgrade`, new `postrm failed-upgrade`, new `prerm failed-upgrade`, `prerm
    /// deconfigure`, `postrm disappear`: nothing of ours changes hands.
    Nothing,
    /// A call that dpkg may grow one day.
    Unknown,
}

impl Call {
    /// What the script's arguments say.
    pub fn parse(script: Script, arguments: &[String]) -> Self {
        let action = arguments.first().map_or("", String::as_str);
        let version = || arguments.get(1).cloned().unwrap_or_default();
        match (script, action) {
            (Script::Preinst, "install") => Self::Install { old: version() },
            (Script::Preinst, "upgrade") => Self::Upgrade { old: version() },
            (Script::Preinst | Script::Postinst, "abort-upgrade") => Self::Abort,
            (Script::Postrm, "abort-install") if !version().is_empty() => Self::AbortReinstall,
            (Script::Postrm, "abort-install" | "abort-upgrade") => Self::Abort,
            (Script::Postinst, "configure") => Self::Configure { old: version() },
            (Script::Postinst, "abort-remove") => Self::AbortRemove,
            (Script::Postinst, "abort-deconfigure") => Self::AbortDeconfigure,
            (Script::Postinst, "triggered") => Self::Triggered,
            (Script::Prerm, "upgrade") => Self::Replace { new: version() },
            (Script::Prerm, "remove") => Self::Remove,
            (Script::Postrm, "remove") => Self::Removed,
            (Script::Postrm, "purge") => Self::Purge,
            (Script::Prerm, "failed-upgrade" | "deconfigure") => Self::Nothing,
            (Script::Postrm, "upgrade" | "failed-upgrade" | "disappear") => Self::Nothing,
            _ => Self::Unknown,
        }
    }
}

/// Script and arguments, as dpkg would be told about them.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The script.
    pub script: Script,
    /// Its arguments.
    pub arguments: Vec<String>,
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.script.name())?;
        for argument in &self.arguments {
            let shown = host::escape::escape(Path::new(argument));
            write!(f, " {}", if shown.is_empty() { "\"\"" } else { &shown })?;
        }
        Ok(())
    }
}
