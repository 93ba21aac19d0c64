//! Where a script runs and for whom: dpkg's environment (dpkg(1), "ENVIRONMENT"), read once.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use history::Store;
use host::{Clock, Error, Result, Root};
use phase::{Phase, Switch};
use seal::manifest::{self, Manifest};
use seal::unpacked::Naming;

use crate::call::{Invocation, Script};
use crate::policy::Policy;

/// Everything a step needs to know.
#[derive(Debug)]
pub struct Context {
    /// Where `/` is.
    pub root: Root,
    /// dpkg's database, as this process sees it.
    pub admindir: PathBuf,
    /// What the package asks for.
    pub policy: Policy,
    /// The certificates sealed into this script.
    pub keyring: Vec<u8>,
    /// The package's history.
    pub store: Store,
    /// The phase switch and its safe phase, if the package has one.
    pub switch: Option<(Switch, Phase)>,
    /// The call.
    pub invocation: Invocation,
    /// Where our own control files lie, and how they are named there.
    pub control: (PathBuf, Naming),
    /// Our own version; empty if our manifest can't be read (after `remove` it is gone).
    pub version: String,
}

impl Context {
    /// Reads dpkg's environment, our name, and the policy that we carry.
    pub(crate) fn from_dpkg() -> Result<Self> {
        let executable = host::executable();
        let name = env::var("DPKG_MAINTSCRIPT_NAME").unwrap_or_default();
        let (script, naming) = identify(&name, &executable)?;
        let carried = seal::trailer::read(&executable)?.ok_or_else(|| {
            Error::new(format!("{} was never sealed: it carries no hooks.toml", executable.display()))
        })?;
        let text = String::from_utf8(carried.policy).map_err(|_| Error::new("the sealed hooks.toml is not UTF-8"))?;
        let policy = Policy::parse(&text)?;
        let package = env::var("DPKG_MAINTSCRIPT_PACKAGE").unwrap_or_default();
        if package != policy.package {
            return Err(Error::new(format!(
                "dpkg runs this for package {package:?}, but it was sealed for {:?}",
                policy.package
            )));
        }
        let root = Root::from_env();
        let folder = executable.parent().unwrap_or(Path::new("/")).to_owned();
        let arguments = env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
        Ok(Self {
            admindir: admindir(&root, env::var_os("DPKG_ADMINDIR")),
            store: policy.store(&root, Clock::System),
            switch: policy.switch(&root),
            version: version(&naming.path(&folder, manifest::NAME)),
            keyring: carried.keyring,
            invocation: Invocation { script, arguments },
            control: (folder, naming),
            policy,
            root,
        })
    }

    /// Where dpkg has put the control files of the version to come.
    pub(crate) fn tmp_ci(&self) -> PathBuf {
        self.admindir.join("tmp.ci")
    }

    /// Whether this script runs from `info/` rather than from `tmp.ci`.
    pub(crate) fn is_installed(&self) -> bool {
        matches!(self.control.1, Naming::Info(_))
    }
}

/// Which script this is, by what dpkg says and by the name under which it was started; and how the
/// control files beside it are named. The two names have to agree.
pub fn identify(name: &str, executable: &Path) -> Result<(Script, Naming)> {
    let called = executable.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let own = called.rsplit('.').next().unwrap_or_default();
    if name.is_empty() {
        return Err(Error::new(format!("{called} is a maintainer script and is run by dpkg only")));
    }
    if own != name {
        return Err(Error::new(format!("dpkg says this is {name}, but it was started as {called}: it does nothing")));
    }
    let script = Script::from_name(name).ok_or_else(|| Error::new(format!("{name} is no maintainer script")))?;
    let naming = match called.strip_suffix(&format!(".{name}")) {
        Some(prefix) => Naming::Info(prefix.to_owned()),
        None => Naming::Plain,
    };
    Ok((script, naming))
}

/// dpkg's database: `DPKG_ADMINDIR` as dpkg sees it, which without a chroot may or may not include
/// the root.
pub fn admindir(root: &Root, told: Option<OsString>) -> PathBuf {
    match told {
        Some(dir) if !dir.is_empty() => {
            let dir = PathBuf::from(dir);
            if dir.starts_with(root.base()) { dir } else { root.path(dir) }
        }
        _ => root.path("/var/lib/dpkg"),
    }
}

fn version(manifest: &Path) -> String {
    let bytes = host::files::read_plain(manifest, manifest::MAX_SIZE as u64).ok().flatten();
    bytes.and_then(|b| Manifest::parse(&b).ok()).map(|m| m.version).unwrap_or_default()
}
