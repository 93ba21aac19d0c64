//! Our own package in the variants that tests need, sealed by the `debseal` that `make deb` built.

use std::path::Path;
use std::process::Command;

use crate::{Deb, Keyring, Machine, dist};

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
}

/// The package as `make deb` builds it: sealed, unsigned, trusting nobody.
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

    /// Makes it of the payload that `make deb` left. Sealing compresses twelve megabytes, so what
    /// carries no throw-away key is made once.
    pub fn build(self) -> Deb {
        if !self.trusts.is_empty() || self.signed_by.is_some() {
            return self.build_of(&dist::payload());
        }
        let stamp = |path: &Path| {
            let meta = std::fs::metadata(path).expect("make deb built it");
            (
                meta.len(),
                meta.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok()).map(|d| d.as_nanos()),
            )
        };
        let made_of = [
            dist::payload().path().to_owned(),
            dist::hook(),
            dist::debseal(),
            dist::workspace().join("debian/hooks.toml"),
        ];
        let key = format!("{:?} {:?} {:?} {:?}", made_of.map(|p| stamp(&p)), self.version, self.minimum, self.hooks);
        let folder = dist::target_dir().join("sealed");
        std::fs::create_dir_all(&folder).expect("the target folder is writable");
        let path = folder.join(format!("{}.deb", host::files::sha256(key.as_bytes())));
        let lock = host::Lock::take(&folder.join("lock"), std::time::Duration::from_secs(600));
        let _lock = lock.expect("another test seals it, but not for ten minutes");
        if !path.exists() {
            let made = self.build_of(&dist::payload());
            std::fs::copy(made.path(), path.with_extension("new")).expect("the target folder is writable");
            std::fs::rename(path.with_extension("new"), &path).expect("the target folder is writable");
        }
        Deb::at(path)
    }

    /// Makes it of another payload.
    pub fn build_of(self, payload: &Deb) -> Deb {
        let other = self.version.as_ref().map(|version| payload.as_version(version));
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
