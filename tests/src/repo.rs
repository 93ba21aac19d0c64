//! A signed apt repository in a directory.

use std::fs;
use std::path::Path;

use host::files::sha256;
use tempfile::TempDir;

use crate::roots::host_tool;
use crate::{Deb, Keyring, Machine};

/// Where a machine finds the repository.
const PLACE: &str = "/srv/repo";

/// A flat repository (sources.list(5)), signed with a key that the machines it is given to trust.
pub struct Repo {
    dir: TempDir,
}

impl Repo {
    /// A repository with these packages.
    pub fn new(key: &Keyring, debs: &[&Deb]) -> Self {
        let read = |deb: &&Deb| {
            let bytes = fs::read(deb.path()).unwrap_or_else(|e| panic!("cannot read {}: {e}", deb.path().display()));
            let control = host_tool("dpkg-deb", ["--field".as_ref(), deb.path().as_os_str()]);
            (deb.file_name(), String::from_utf8_lossy(&control).into_owned(), bytes)
        };
        Self::of(key, &debs.iter().map(read).collect::<Vec<_>>())
    }

    /// A repository with these files: name, what the index says of it as in a control file, and bytes.
    /// Whether the index speaks the truth is for others to find out.
    pub fn of(key: &Keyring, files: &[(String, String, Vec<u8>)]) -> Self {
        let dir = tempfile::tempdir().expect("the temporary directory is writable");
        let repo = Self { dir };
        let packages: String = files.iter().map(|(name, control, bytes)| repo.take_in(name, control, bytes)).collect();
        let release = format!(
            "Origin: rig\nLabel: rig\nSuite: rig\nCodename: rig\nDate: {}\nArchitectures: amd64 all\nSHA256:\n {} {} Packages\n",
            String::from_utf8_lossy(&host_tool("date", ["-u", "-R"])).trim(),
            sha256(packages.as_bytes()),
            packages.len(),
        );
        repo.put("Packages", packages.as_bytes());
        repo.put("InRelease", &key.clear_sign(release.as_bytes()));
        repo.put("key.pgp", &key.certificate());
        repo
    }

    /// The repository's files, as the host sees them: to alter them in a test.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Copies it onto the machine in place of all other sources of packages, and reads it there.
    /// Giving a machine a second repository is how a new version gets published.
    pub fn give_to(&self, machine: &impl Machine) {
        machine.sh(&format!("rm -rf {PLACE} /etc/apt/sources.list.d/*; rm -f /etc/apt/sources.list")).ok();
        for file in fs::read_dir(self.path()).into_iter().flatten().flatten() {
            machine.put_file(&file.path(), &format!("{PLACE}/{}", file.file_name().to_string_lossy()));
        }
        let source = format!("deb [signed-by={PLACE}/key.pgp] file:{PLACE} ./\n");
        machine.write("/etc/apt/sources.list", source);
    }

    /// Copies the package in; its paragraph in `Packages`.
    fn take_in(&self, name: &str, control: &str, bytes: &[u8]) -> String {
        self.put(name, bytes);
        let (size, digest) = (bytes.len(), sha256(bytes));
        format!("{}\nFilename: ./{name}\nSize: {size}\nSHA256: {digest}\n\n", control.trim_end())
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.dir.path().join(name);
        fs::write(&path, bytes).unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
    }
}
