//! The same files judged by Debian's other means, each given the same keys.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use openpgp::Cert;
use openpgp::parse::Parse;
use sequoia_openpgp as openpgp;

use crate::cases::{Case, Desk};

/// Keyrings and policies of theirs.
pub struct Peers {
    dir: tempfile::TempDir,
}

/// The package for whose keys a case is judged.
pub fn package_of(case: &Case) -> &'static str {
    // Cases of keys are the only ones with packages of their own.
    let at = case.deb.windows(18).position(|w| w.starts_with(b"Package: demo-key"));
    let Some(at) = at else { return "demo" };
    let text = String::from_utf8_lossy(&case.deb[at + 9..at + 40]).into_owned();
    Box::leak(text.lines().next().unwrap_or_default().to_owned().into_boxed_str())
}

impl Peers {
    pub fn new(desk: &Desk) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for trust in &desk.trusts {
            let home = dir.path().join(&trust.package);
            fs::create_dir_all(&home).unwrap();
            fs::write(home.join("keyring.gpg"), &trust.certificate).unwrap();
            let Ok(certs) = openpgp::cert::CertParser::from_bytes(&trust.certificate) else { continue };
            for cert in certs.flatten() {
                policy(&home, &cert, &trust.certificate);
            }
        }
        Self { dir }
    }

    /// Whether gpgv accepts it, on what `ar` takes out of it, and whether debsig-verify does.
    pub fn accept(&self, package: &str, deb: &[u8]) -> (bool, bool) {
        let home = self.dir.path().join(package);
        let file = self.dir.path().join("x.deb");
        fs::File::create(&file).unwrap().write_all(deb).unwrap();
        let script = "f=$1 home=$2; cd \"$home\"; first() { ar t \"$f\" | grep -m1 \"^$1\"; }
            ar p \"$f\" _gpgorigin >sig && c=$(first control.tar) && d=$(first data.tar) &&
            ar p \"$f\" debian-binary \"$c\" \"$d\" >content && gpgv --quiet --keyring \"$home/keyring.gpg\" sig content";
        let gpgv = quiet(Command::new("sh").args(["-c", script, "sh"]).arg(&file).arg(&home).env("GNUPGHOME", &home));
        let mut debsig = Command::new("debsig-verify");
        debsig.arg("--policies-dir").arg(home.join("policies")).arg("--keyrings-dir").arg(home.join("keyrings"));
        (gpgv, quiet(debsig.arg(&file)))
    }
}

fn quiet(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().expect("make deps-test installs gpgv, binutils and debsig-verify").success()
}

/// debsig-verify(1): a policy and a keyring for each key id that a signature may name.
fn policy(home: &Path, cert: &Cert, ring: &[u8]) {
    let ids = cert.keys().map(|key| key.key().keyid().to_hex());
    for id in ids {
        let (policies, keyrings) = (home.join("policies").join(&id), home.join("keyrings").join(&id));
        fs::create_dir_all(&policies).unwrap();
        fs::create_dir_all(&keyrings).unwrap();
        fs::write(keyrings.join("ring.gpg"), ring).unwrap();
        let text = format!(
            "<?xml version=\"1.0\"?>\n<!DOCTYPE Policy SYSTEM \"https://www.debian.org/debsig/1.0/policy.dtd\">\n\
             <Policy xmlns=\"https://www.debian.org/debsig/1.0/\">\n<Origin Name=\"rig\" id=\"{id}\" Description=\"rig\"/>\n\
             <Selection><Required Type=\"origin\" File=\"ring.gpg\"/></Selection>\n\
             <Verification MinOptional=\"0\"><Required Type=\"origin\" File=\"ring.gpg\"/></Verification>\n</Policy>\n"
        );
        fs::write(policies.join("rig.pol"), text).unwrap();
    }
}
