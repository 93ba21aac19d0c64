//! A throw-away OpenPGP key, in a keyring of its own.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::roots::finish;

/// Every key is made as if two days ago, so that it can also have expired yesterday.
const MADE_AGO: i64 = 2 * 24 * 3600;

/// An unprotected Ed25519 signing key in a temporary `GNUPGHOME`, with its own agent, which ends
/// with it.
pub struct Keyring {
    home: TempDir,
    fingerprint: String,
    agent: Child,
}

impl Keyring {
    /// A fresh key that never expires.
    pub fn new(user: &str) -> Self {
        Self::empty().with_key(user)
    }

    /// Under /tmp always: the path of the agent's socket may not exceed 108 bytes.
    fn empty() -> Self {
        let private = fs::Permissions::from_mode(0o700);
        let home = tempfile::Builder::new().prefix("k").permissions(private).tempdir_in("/tmp");
        let home = home.expect("/tmp is writable");
        // gpg-agent(1): given a program, it starts that once it listens, and ends soon after it. So
        // it ends with the pipe that we hold, even if we are killed and can't end it.
        let mut agent = Command::new("gpg-agent")
            .arg("--homedir")
            .arg(home.path())
            .args(["--quiet", "--daemon", "sh", "-c", "echo up; exec cat >/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("gpg-agent is installed (make deps-test)");
        let up = agent.stdout.take().map(|mut stdout| stdout.read_exact(&mut [0; 3]));
        assert!(matches!(up, Some(Ok(()))), "gpg-agent does not start in {}", home.path().display());
        Self { home, fingerprint: String::new(), agent }
    }

    fn with_key(mut self, user: &str) -> Self {
        let made = format!("--faked-system-time={}", now() - MADE_AGO);
        self.gpg(&[&made, "--passphrase", "", "--quick-generate-key", user, "ed25519", "sign", "never"], &[]);
        let listing = self.gpg(&["--with-colons", "--list-secret-keys"], &[]);
        let listing = String::from_utf8_lossy(&listing).into_owned();
        let line = listing.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap_or_default();
        self.fingerprint = line.trim_matches(':').to_owned();
        assert_eq!(self.fingerprint.len(), 40, "gpg lists no fingerprint:\n{listing}");
        self
    }

    /// The key's fingerprint, 40 hexadecimal digits.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The directory to use as `GNUPGHOME`, for programs that sign with this key.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The public key as it should be trusted, binary.
    pub fn certificate(&self) -> Vec<u8> {
        self.gpg(&["--export", &self.fingerprint], &[])
    }

    /// The public key in ASCII armor.
    pub fn armored_certificate(&self) -> Vec<u8> {
        self.gpg(&["--armor", "--export", &self.fingerprint], &[])
    }

    /// The same key as it looks to somebody who knows that it expired yesterday.
    pub fn expired_certificate(&self) -> Vec<u8> {
        let copy = self.copy();
        let then = format!("--faked-system-time={}", now() - MADE_AGO + 60);
        copy.gpg(&[&then, "--passphrase", "", "--quick-set-expire", &self.fingerprint, "1d"], &[]);
        copy.certificate()
    }

    /// The same key as it looks to somebody who knows that its owner has revoked it.
    pub fn revoked_certificate(&self) -> Vec<u8> {
        let copy = self.copy();
        let stored = self.home.path().join(format!("openpgp-revocs.d/{}.rev", self.fingerprint));
        let text = fs::read_to_string(stored).expect("gpg stores a revocation with each new key");
        // gpg puts a colon before the armor so that nobody imports it by mistake.
        copy.gpg(&["--import"], text.replace("\n:-----", "\n-----").as_bytes());
        copy.certificate()
    }

    /// A binary detached signature over `data`.
    pub fn sign(&self, data: &[u8]) -> Vec<u8> {
        self.sign_with(&[], data)
    }

    /// The same with more of gpg's options, as in `&["--digest-algo", "SHA1"]`.
    pub fn sign_with(&self, options: &[&str], data: &[u8]) -> Vec<u8> {
        let signing = ["--local-user", &self.fingerprint, "--detach-sign"];
        self.gpg(&[options, &signing].concat(), data)
    }

    /// `data` with a signature around it, as apt's `InRelease`.
    pub fn clear_sign(&self, data: &[u8]) -> Vec<u8> {
        self.gpg(&["--local-user", &self.fingerprint, "--clear-sign"], data)
    }

    /// The same key in another home, to change it without changing this.
    fn copy(&self) -> Self {
        let mut copy = Self::empty();
        copy.fingerprint.clone_from(&self.fingerprint);
        let secret = self.gpg(&["--passphrase", "", "--export-secret-keys", &self.fingerprint], &[]);
        copy.gpg(&["--passphrase", "", "--import"], &secret);
        copy
    }

    fn gpg(&self, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let mut file = tempfile::tempfile().expect("the temporary directory is writable");
        file.write_all(input).expect("the temporary directory has room");
        std::io::Seek::rewind(&mut file).expect("a file can be rewound");
        let mut gpg = Command::new("gpg");
        gpg.arg("--homedir").arg(self.home.path());
        gpg.args(["--batch", "--quiet", "--no-tty", "--pinentry-mode=loopback", "--no-auto-check-trustdb"]);
        finish(gpg.args(arguments).stdin(file))
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // The agent that serves this home, and no other.
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.home.path()).args(["--kill", "all"]).status();
        drop(self.agent.stdin.take());
        let _ = self.agent.wait();
    }
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}
