//! Our own package in the variants that tests need, sealed by the `debseal` that `make deb` built.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use seal::ar;
use seal::tarball::plain_control_archive;

use crate::{Deb, Keyring, Machine, dist, pkg};

/// The package's name.
pub const NAME: &str = "pve-network-rs";
/// Its state folder.
pub const STATE: &str = "/var/lib/pve-network-rs";
/// Its two services; `debian/hooks.toml` has all of its units.
pub const UNITS: [&str; 2] = ["pve-network-rs.service", "pve-network-migration.service"];

/// How to seal.
#[derive(Default)]
pub struct Sealing<'a> {
    version: Option<String>,
    trusts: Vec<&'a Keyring>,
    signed_by: Option<&'a Keyring>,
    minimum: Option<String>,
    hooks: Vec<(String, String)>,
    shipped: bool,
}

/// The package as `make deb` builds it: sealed, unsigned, trusting nobody. But its payload is not compressed: dpkg
/// unpacks it hundreds of times in the tests, and most of that was xz. Only [`Sealing::as_shipped`] has what ships.
pub fn sealing<'a>() -> Sealing<'a> {
    Sealing::default()
}

impl<'a> Sealing<'a> {
    /// As another version.
    pub fn version(mut self, version: &str) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sealed with this key's certificate, and signed by it.
    pub fn signed(self, key: &'a Keyring) -> Self {
        self.trusting(key).signed_by(key)
    }

    /// Sealed with this key's certificate.
    pub fn trusting(mut self, key: &'a Keyring) -> Self {
        self.trusts.push(key);
        self
    }

    /// Signed by this key.
    pub fn signed_by(mut self, key: &'a Keyring) -> Self {
        self.signed_by = Some(key);
        self
    }

    /// Refusing older versions than this once it was installed signed.
    pub fn minimum(mut self, version: &str) -> Self {
        self.minimum = Some(version.into());
        self
    }

    /// With `from` replaced by `to` in `hooks.toml`.
    pub fn hooks(mut self, from: &str, to: &str) -> Self {
        self.hooks.push((from.into(), to.into()));
        self
    }

    /// Compressed as what ships: for a test of what people download, or of what it costs.
    pub fn as_shipped(mut self) -> Self {
        self.shipped = true;
        self
    }

    /// Makes it of the payload that `make deb` left. Sealing takes seconds, so what carries no throw-away key is
    /// made once for all test programs.
    pub fn build(self) -> Deb {
        let payload = if self.shipped { dist::payload() } else { plain_payload() };
        if !self.trusts.is_empty() || self.signed_by.is_some() {
            return self.build_of(&payload);
        }
        let what = format!("{:?} {:?} {:?} {}", self.version, self.minimum, self.hooks, self.shipped);
        kept(&format!("{}.deb", host::files::sha256(what.as_bytes())), |to| {
            let made = self.build_of(&payload);
            std::fs::copy(made.path(), to).expect("the target folder is writable");
        })
    }

    /// Makes it of another payload.
    pub fn build_of(self, payload: &Deb) -> Deb {
        let other = self.version.as_ref().map(|version| match self.shipped {
            true => payload.altered_at("-z6", pkg::as_version(version)),
            false => payload.as_version(version),
        });
        let payload = other.as_ref().unwrap_or(payload);
        let dir = tempfile::tempdir().expect("the temporary directory is writable");
        let mut hooks =
            std::fs::read_to_string(dist::workspace().join("debian/hooks.toml")).expect("hooks.toml is there");
        for (from, to) in &self.hooks {
            assert!(hooks.contains(from), "hooks.toml has no {from:?}");
            hooks = hooks.replace(from, to);
        }
        let policy = dir.path().join("hooks.toml");
        std::fs::write(&policy, hooks).expect("the temporary directory is writable");
        let out = dir.path().join(payload.file_name());
        let mut seal = Command::new(dist::debseal());
        seal.args(["seal", "--hooks"]).arg(policy).arg("--hook-elf").arg(dist::hook()).arg("--output").arg(&out);
        for (number, key) in self.trusts.iter().enumerate() {
            let file = dir.path().join(format!("key{number}.pgp"));
            std::fs::write(&file, key.certificate()).expect("the temporary directory is writable");
            seal.arg("--key").arg(file);
        }
        if let Some(minimum) = &self.minimum {
            seal.args(["--minimum-version", minimum]);
        }
        run(seal.arg(payload.path()));
        if let Some(key) = self.signed_by {
            run(Command::new(dist::debseal())
                .env("GNUPGHOME", key.home())
                .args(["sign", "--key", key.fingerprint()])
                .arg(&out));
        }
        Deb::kept(out, dir)
    }
}

/// The payload that `make deb` left, the same archives without compression.
pub fn plain_payload() -> Deb {
    kept("payload.deb", |to| {
        let from = dist::payload();
        let plain = || -> host::Result<Vec<u8>> {
            let mut deb = seal::deb::Deb::open(from.path())?;
            let date = deb.members().binary.mtime;
            let (control, data) = (plain_control_archive(deb.control_files(), date)?, deb.plain_data()?);
            let mut writer = ar::Writer::new(Vec::new(), date)?;
            let members = [("debian-binary", ar::FORMAT_VERSION), ("control.tar", &control), ("data.tar", &data)];
            for (name, bytes) in members {
                writer.member(name, bytes.len() as u64, &mut &bytes[..])?;
            }
            writer.finish()
        };
        let bytes = plain().unwrap_or_else(|e| panic!("{}: {e}", from.path().display()));
        std::fs::write(to, bytes).expect("the target folder is writable");
    })
}

/// A package that is made once for all test programs, in a folder that is named by the content of all that it is made of.
/// What was made of anything else goes a day later: another run may still use it.
fn kept(name: &str, make: impl FnOnce(&Path)) -> Deb {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let policy = dist::workspace().join("debian/hooks.toml");
        let made_of = [dist::payload().path().to_owned(), dist::hook(), dist::debseal(), policy];
        let digest = |path: &PathBuf| {
            let bytes = std::fs::read(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
            host::files::sha256(&bytes)
        };
        // How it is made counts as well.
        let makers = concat!(include_str!("ours.rs"), include_str!("pkg.rs"));
        let all = made_of.iter().map(digest).collect::<String>() + makers;
        dist::target_dir().join("sealed").join(host::files::sha256(all.as_bytes()))
    });
    let (folder, all) = (&*FOLDER, dist::target_dir().join("sealed"));
    std::fs::create_dir_all(folder).expect("the target folder is writable");
    let path = folder.join(name);
    let lock = host::Lock::take(&folder.join(format!("{name}.lock")), Duration::from_secs(600));
    let _lock = lock.expect("another test makes it, but not for ten minutes");
    if !path.exists() {
        let old = |e: &std::fs::DirEntry| {
            let age = e.metadata().and_then(|m| m.modified()).ok().and_then(|at| at.elapsed().ok());
            e.path() != **folder && age.is_some_and(|age| age > Duration::from_secs(24 * 3600))
        };
        for entry in std::fs::read_dir(&all).into_iter().flatten().flatten().filter(old) {
            // Somebody else may be removing it, too.
            let _ = std::fs::remove_dir_all(entry.path()).or_else(|_| std::fs::remove_file(entry.path()));
        }
        let new = path.with_extension("new");
        make(&new);
        std::fs::rename(new, &path).expect("the target folder is writable");
    }
    Deb::at(path)
}

fn run(command: &mut Command) {
    let out = command.output().unwrap_or_else(|e| panic!("cannot run {command:?}: {e}"));
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{command:?}: {said}");
}

/// A management network as Proxmox VE writes it.
pub const INTERFACES: &str = "\
auto lo
iface lo inet loopback

iface eno1 inet manual

auto vmbr0
iface vmbr0 inet static
\taddress 192.0.2.10/24
\tgateway 192.0.2.1
\tbridge-ports eno1
\tbridge-stp off
\tbridge-fd 0

source /etc/network/interfaces.d/*
";

/// Makes a machine look like a Proxmox VE node, as far as files go.
pub fn like_a_pve_node(machine: &impl Machine) {
    machine.write("/etc/network/interfaces", INTERFACES);
    machine.write("/etc/network/interfaces.d/admin", "# by the admin\n");
    machine.write("/etc/pve/storage.cfg", "dir: local\n\tpath /var/lib/vz\n");
    machine.write("/etc/pve/sdn/zones.cfg", "simple: lab\n");
    machine.write("/etc/pve/sdn/vnets.cfg", "vnet: v1\n\tzone lab\n");
}

/// Installs the program by which tests write as pvenet does: see `src/bin/rust-write.rs`.
pub fn put_rust_write(machine: &impl Machine, program: &str) {
    put_program(machine, Path::new(program), "/usr/local/bin/rust-write");
}

/// Copies a program that cargo built there, without its debug information: machines hold it in memory.
pub fn put_program(machine: &impl Machine, program: &Path, to: &str) {
    let new = format!("{to}.new");
    let stripped = tempfile::NamedTempFile::new().expect("the temporary directory is writable");
    run(Command::new("strip").arg("-o").arg(stripped.path()).arg(program));
    machine.write(&new, std::fs::read(stripped.path()).expect("it was just written"));
    // Copied there by a process of the machine: what a test itself holds open for writing while
    // another test forks can't be run for a moment (ETXTBSY).
    machine.run(["cp".into(), machine.argument(&new), machine.argument(to)]).ok();
    machine.chmod(to, 0o755);
    machine.remove(&new);
}

/// Names of the snapshots, oldest first by name.
pub fn snapshots(machine: &impl Machine) -> Vec<String> {
    let names = machine.ls(&format!("{STATE}/backups"));
    names.into_iter().filter(|n| n != "latest" && !n.starts_with('.')).collect()
}

/// A snapshot's manifest as JSON.
pub fn manifest(machine: &impl Machine, id: &str) -> serde_json::Value {
    let text = machine.text(&format!("{STATE}/backups/{id}/manifest.json"));
    serde_json::from_str(&text).expect("a manifest is JSON")
}
