//! Real dpkg on an empty directory, without root, chroot or namespaces.
//!
//! Maintainer scripts run on the host, as the test's own unprivileged user, and find their machine
//! in `DPKG_ROOT`: dpkg(1), `--force-script-chrootless`.

use std::ffi::{OsStr, OsString};
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;

use host::Root;
use tempfile::TempDir;

use crate::call::{Listing, clean_env};
use crate::{Machine, Tree};

/// `nobody` of every Debian: who a test that runs as root becomes, lest it test root's powers.
const NOBODY: u32 = 65534;

/// A throw-away directory that dpkg takes for `/`.
pub struct Chrootless {
    dir: TempDir,
    owner: Option<u32>,
}

impl Chrootless {
    /// A machine with an empty dpkg database.
    #[expect(clippy::new_without_default, reason = "a machine is made on purpose, never by default")]
    pub fn new() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("root-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("the temporary directory is writable");
        let owner = rustix::process::geteuid().is_root().then_some(NOBODY);
        lchown(dir.path(), owner, owner).expect("root can give a directory away");
        let new = Self { dir, owner };
        for folder in ["info", "updates", "triggers"] {
            new.mkdir(&format!("/var/lib/dpkg/{folder}"));
        }
        for folder in ["/etc", "/root", "/tmp", "/var/backups"] {
            new.mkdir(folder);
        }
        new.write("/var/lib/dpkg/status", "");
        new
    }

    /// The directory, as the host names it.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }
}

impl Machine for Chrootless {
    fn inside<T: Send + 'static>(&self, work: impl FnOnce(&Root) -> T + Send + 'static) -> T {
        work(&Root::at(self.root()))
    }

    fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        Root::at(self.root()).path(path)
    }

    fn argument(&self, path: &str) -> OsString {
        self.path(path).into()
    }

    /// `dpkg` and `dpkg-query` get the options that make them work on this directory; every other
    /// command runs on the host as it is.
    fn prepare(&self, argv: &[OsString]) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(user) = self.owner {
            let user = [format!("--reuid={user}"), format!("--regid={user}"), "--clear-groups".to_owned()];
            words.push("setpriv".into());
            words.extend(user.map(OsString::from));
        }
        words.push(argv[0].clone());
        let root = |option: &str| {
            let mut word = OsString::from(option);
            word.push(self.root());
            word
        };
        if argv[0] == "dpkg" {
            words.push(root("--root="));
            let options = ["--force-script-chrootless", "--force-not-root", "--force-bad-path", "--log=/dev/null"];
            words.extend(options.map(OsString::from));
        } else if argv[0] == "dpkg-query" {
            words.push(root("--admindir="));
            words.last_mut().expect("just pushed").push("/var/lib/dpkg");
        }
        words.extend_from_slice(&argv[1..]);
        let mut command = Command::new(&words[0]);
        clean_env(&mut command, self.path("/root").as_os_str());
        command.args(&words[1..]).env("TMPDIR", self.path("/tmp")).current_dir("/").process_group(0);
        command
    }

    fn spawn(&self, mut command: Command) -> std::io::Result<Child> {
        command.spawn()
    }

    fn listing(&self) -> Listing {
        let root = self.root().to_owned();
        let line = |path: &Path, entry: &crate::Entry| format!("{}  {entry}\n", path.display());
        Arc::new(move || Tree::of(&root, Path::new("/")).iter().map(|(path, entry)| line(path, entry)).collect())
    }

    fn describe(&self) -> String {
        format!("chrootless {}", OsStr::to_string_lossy(self.root().as_os_str()))
    }

    fn owner(&self) -> Option<u32> {
        self.owner
    }
}
