//! A packager's desk in a temporary folder: gpg with keys of its own, packages, and `debseal`.
//!
//! Real programs throughout. One that is missing fails the test by name; `make deps-test` installs
//! them all.

#![allow(dead_code, reason = "each test file uses its part of the desk")]

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// What a program said.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// It worked, and was silent on stderr.
    #[track_caller]
    pub fn fine(self) -> Self {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        self
    }

    /// It refused with exit code 6, in one line on stderr that holds `why`.
    #[track_caller]
    pub fn refused(self, why: &str) -> Self {
        self.failed(6, why)
    }

    #[track_caller]
    pub fn failed(self, code: i32, why: &str) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(why), "'{}' does not say '{why}'", self.err);
        self
    }
}

/// The desk. gpg's agent is stopped when it is dropped.
pub struct Desk {
    dir: TempDir,
    /// Folders of keys, by the name of their owner: separate homes, as separate people have.
    homes: RefCell<HashMap<String, TempDir>>,
}

pub const HOOKS_TOML: &str = "format = 1\npackage = \"demo\"\nstate = \"/var/lib/demo\"\n";

impl Desk {
    pub fn new() -> Self {
        Self { dir: TempDir::new().unwrap(), homes: RefCell::default() }
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        fs::write(self.at(name), bytes).unwrap();
        self.at(name)
    }

    pub fn debseal<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Said {
        self.debseal_as("nobody", args)
    }

    /// Runs debseal with the keys of `owner`.
    pub fn debseal_as<S: AsRef<OsStr>>(&self, owner: &str, args: impl IntoIterator<Item = S>) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_debseal"));
        command.args(args).env("GNUPGHOME", self.home(owner)).env_remove("SOURCE_DATE_EPOCH");
        command.env("LC_ALL", "C").current_dir(self.dir.path());
        Said::of(command.output().unwrap())
    }

    /// A package as cargo-deb or dpkg-deb make it, without maintainer scripts.
    pub fn package(&self, version: &str) -> PathBuf {
        let name = format!("plain_{version}.deb");
        match self.at(&name) {
            built if built.exists() => built,
            _ => self.package_with(&name, version, |_| {}),
        }
    }

    pub fn package_with(&self, name: &str, version: &str, change: impl FnOnce(&Path)) -> PathBuf {
        let tree = self.at(&format!("{name}.d"));
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        fs::create_dir_all(tree.join("usr/share/doc/demo")).unwrap();
        fs::create_dir_all(tree.join("etc")).unwrap();
        let control = format!(
            "Package: demo\nVersion: {version}\nArchitecture: {}\nMaintainer: T <t@example.org>\nDescription: for tests\n",
            architecture()
        );
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        fs::write(tree.join("DEBIAN/conffiles"), "/etc/demo.conf\n").unwrap();
        fs::write(tree.join("etc/demo.conf"), "x = 1\n").unwrap();
        fs::write(tree.join("usr/share/doc/demo/copyright"), "free\n").unwrap();
        fs::write(tree.join("usr/share/doc/demo/naïve name"), "x".repeat(3000)).unwrap();
        std::os::unix::fs::symlink("copyright", tree.join("usr/share/doc/demo/link")).unwrap();
        change(&tree);
        let out = self.at(name);
        run(Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .args([&tree, &out])
            .env("SOURCE_DATE_EPOCH", "1700000000"));
        out
    }

    /// A static program that does nothing, as a hook.
    pub fn hook(&self) -> PathBuf {
        let out = self.at("hook");
        if out.exists() {
            return out;
        }
        let source = match cfg!(target_arch = "x86_64") {
            true => "__asm__(\".globl _start\\n_start: mov $60,%eax\\nxor %edi,%edi\\nsyscall\\n\");",
            false => "int main(void) { return 0; }",
        };
        let bare: &[&str] = if cfg!(target_arch = "x86_64") { &["-nostdlib"] } else { &[] };
        let source = self.write("hook.c", source);
        run(Command::new("cc").arg("-static").args(bare).arg("-o").args([&out, &source]));
        out
    }

    /// Seals `input` with Alice's key trusted.
    pub fn seal(&self, input: &Path, output: &str) -> PathBuf {
        let out = self.at(output);
        self.seal_with(input, &out, &[]).fine();
        out
    }

    pub fn seal_with(&self, input: &Path, output: &Path, more: &[&str]) -> Said {
        let hooks = self.write("hooks.toml", HOOKS_TOML);
        let (hook, key) = (self.hook(), self.certificate("alice"));
        let mut args: Vec<&OsStr> = vec!["seal".as_ref(), "--hooks".as_ref(), hooks.as_ref()];
        args.extend(["--hook-elf".as_ref(), hook.as_os_str(), "--key".as_ref(), key.as_os_str()]);
        args.extend(more.iter().map(OsStr::new));
        args.extend(["-o".as_ref(), output.as_os_str(), input.as_os_str()]);
        self.debseal(args)
    }

    /// A sealed package, signed by `owner`.
    pub fn signed(&self, owner: &str) -> PathBuf {
        let out = self.seal(&self.package("1.0-1"), &format!("signed-by-{owner}.deb"));
        let said = self.sign(owner, &out);
        assert_eq!(said.code, 0, "{said:?}");
        out
    }

    pub fn sign(&self, owner: &str, file: &Path) -> Said {
        let fingerprint = self.fingerprint(owner);
        self.debseal_as(owner, ["sign".as_ref(), "--key".as_ref(), OsStr::new(&fingerprint), file.as_os_str()])
    }

    /// debseal verify with Alice's certificate.
    pub fn verify(&self, file: &Path) -> Said {
        let key = self.certificate("alice");
        self.debseal(["verify".as_ref(), "--key".as_ref(), key.as_os_str(), file.as_os_str()])
    }

    /// The gpg home of a person; a key is made in it at first use.
    pub fn home(&self, owner: &str) -> PathBuf {
        if let Some(home) = self.homes.borrow().get(owner) {
            return home.path().to_owned();
        }
        // Short: the agent's socket has to fit into 108 bytes.
        let home = TempDir::with_prefix_in("gpg", "/tmp").unwrap();
        let path = home.path().to_owned();
        self.homes.borrow_mut().insert(owner.to_owned(), home);
        path
    }

    pub fn gpg<S: AsRef<OsStr>>(&self, owner: &str, args: impl IntoIterator<Item = S>) -> Said {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--quiet", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]);
        command.args(args).env("GNUPGHOME", self.home(owner));
        run(&mut command)
    }

    /// The fingerprint of a person's key, made if need be.
    pub fn fingerprint(&self, owner: &str) -> String {
        if !self.home(owner).join("pubring.kbx").exists() {
            self.gpg(owner, ["--quick-gen-key", &format!("{owner} <{owner}@example.org>"), "ed25519", "sign", "never"]);
        }
        let listed = self.gpg(owner, ["--with-colons", "--list-secret-keys"]).out;
        let line = listed.lines().find(|l| l.starts_with("fpr:")).expect("gpg has a key");
        line.split(':').nth(9).unwrap().to_owned()
    }

    /// A person's certificate as a file, as gpg has it now.
    pub fn certificate(&self, owner: &str) -> PathBuf {
        let fingerprint = self.fingerprint(owner);
        let out = self.at(&format!("{owner}.pgp"));
        self.gpg(owner, ["--output".as_ref(), out.as_os_str(), "--export".as_ref(), OsStr::new(&fingerprint)]);
        out
    }

    /// A key of 2020 that lived for one year.
    pub fn expired_key(&self, owner: &str) {
        let config = self.home(owner).join("gpg.conf");
        fs::write(&config, "faked-system-time 20200101T000000\n").unwrap();
        self.gpg(owner, ["--quick-gen-key", &format!("{owner} <{owner}@example.org>"), "ed25519", "sign", "1y"]);
    }

    /// Publishes the revocation that gpg made along with the key.
    pub fn revoke(&self, owner: &str) {
        let fingerprint = self.fingerprint(owner);
        let file = self.home(owner).join(format!("openpgp-revocs.d/{fingerprint}.rev"));
        let text = fs::read_to_string(file).unwrap().replace(":-----BEGIN", "-----BEGIN");
        let revocation = self.write("revocation.asc", text);
        self.gpg(owner, ["--import".as_ref(), revocation.as_os_str()]);
    }

    /// Debian's own signer. It keeps its temporary folder in /tmp by its process id.
    pub fn debsigs(&self, owner: &str, file: &Path) -> Said {
        let fingerprint = self.fingerprint(owner);
        let mut command = Command::new("debsigs");
        command.args(["--sign=origin", "--default-key", &fingerprint]).arg(file);
        run(command.env("GNUPGHOME", self.home(owner)))
    }

    /// Debian's own verifier, with a policy that trusts `owner`.
    pub fn debsig_verify(&self, owner: &str, file: &Path) -> Said {
        let fingerprint = self.fingerprint(owner);
        let id = &fingerprint[fingerprint.len() - 16..];
        let certificate = fs::read(self.certificate(owner)).unwrap();
        self.write(&format!("keyrings/{id}/k.gpg"), certificate);
        self.write(
            &format!("policies/{id}/p.pol"),
            format!(
                "<?xml version=\"1.0\"?>\n<!DOCTYPE Policy SYSTEM \"https://www.debian.org/debsig/1.0/policy.dtd\">\n\
                 <Policy xmlns=\"https://www.debian.org/debsig/1.0/\">\n<Origin Name=\"t\" id=\"{id}\" Description=\"t\"/>\n\
                 <Selection><Required Type=\"origin\" File=\"k.gpg\" id=\"{id}\"/></Selection>\n\
                 <Verification MinOptional=\"0\"><Required Type=\"origin\" File=\"k.gpg\" id=\"{id}\"/></Verification>\n</Policy>\n"
            ),
        );
        let mut command = Command::new("debsig-verify");
        command.arg("--policies-dir").arg(self.at("policies")).arg("--keyrings-dir").arg(self.at("keyrings"));
        let command = command.arg(file).env("GNUPGHOME", self.home("verifier"));
        Said::of(command.output().unwrap_or_else(|e| missing(command, &e)))
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        for home in self.homes.borrow().values() {
            let _ = Command::new("gpgconf").arg("--homedir").arg(home.path()).args(["--kill", "all"]).status();
        }
    }
}

pub fn architecture() -> String {
    run(Command::new("dpkg").arg("--print-architecture")).out.trim().to_owned()
}

/// Runs a program that must work.
#[track_caller]
pub fn run(command: &mut Command) -> Said {
    let output = command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null()).output();
    let said = Said::of(output.unwrap_or_else(|e| missing(command, &e)));
    assert_eq!(said.code, 0, "{command:?}: {said:?}");
    said
}

fn missing(command: &Command, error: &std::io::Error) -> ! {
    panic!("{}: {error}; 'make deps-test' installs what the tests need", command.get_program().display())
}

/// The members of a package as (name, bytes).
pub fn members(file: &Path) -> Vec<(String, Vec<u8>)> {
    let names = run(Command::new("ar").arg("t").arg(file)).out;
    let member = |name: &str| {
        let output = Command::new("ar").args(["p".as_ref(), file.as_os_str(), name.as_ref()]).output().unwrap();
        (name.to_owned(), output.stdout)
    };
    names.lines().map(member).collect()
}

/// Puts a package together from members, with the headers that seal writes.
pub fn assemble(file: &Path, members: &[(String, Vec<u8>)]) {
    let mut out = fs::File::create(file).unwrap();
    out.write_all(b"!<arch>\n").unwrap();
    for (name, bytes) in members {
        let size = bytes.len();
        writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`", 1_700_000_000, 0, 0, "100644").unwrap();
        out.write_all(bytes).unwrap();
        if size % 2 == 1 {
            out.write_all(b"\n").unwrap();
        }
    }
}

/// Repacks the control archive of a package with real tar after `change`; the signature stays.
pub fn repack(file: &Path, out: &Path, change: impl FnOnce(&Path)) {
    let dir = TempDir::new().unwrap();
    let mut parts = members(file);
    let (archive, tree) = (dir.path().join("control.tar.xz"), dir.path().join("tree"));
    fs::write(&archive, &parts[1].1).unwrap();
    fs::create_dir(&tree).unwrap();
    run(Command::new("tar").arg("xpf").arg(&archive).arg("-C").arg(&tree));
    change(&tree);
    run(Command::new("tar")
        .args(["--format=ustar", "--owner=root:0", "--group=root:0", "--sort=name", "-cJf"])
        .arg(&archive)
        .arg("-C")
        .args([tree.as_os_str(), ".".as_ref()]));
    parts[1].1 = fs::read(&archive).unwrap();
    assemble(out, &parts);
}
