//! Keys and packages for tests, made in memory.

use std::time::{Duration, SystemTime};

use sequoia_openpgp as openpgp;

use openpgp::Cert;
use openpgp::cert::prelude::{CertBuilder, CipherSuite};
use openpgp::packet::signature::SignatureBuilder;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::{Marshal, MarshalInto};
use openpgp::types::{HashAlgorithm, SignatureType};

use crate::openpgp::Keyring;

/// The day that tests call today.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_780_000_000)
}

pub(crate) fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// A key of the given name, made 100 days ago, that never expires.
pub(crate) fn cert(name: &str) -> Cert {
    builder(name).generate().unwrap().0
}

pub(crate) fn builder(name: &str) -> CertBuilder<'static> {
    CertBuilder::new()
        .add_userid(name)
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_creation_time(now() - days(100))
        .add_signing_subkey()
}

pub(crate) fn keyring(certs: &[&Cert]) -> Keyring {
    Keyring::parse(&certs.iter().flat_map(|c| public(c)).collect::<Vec<u8>>()).unwrap()
}

pub(crate) fn public(cert: &Cert) -> Vec<u8> {
    let mut out = Vec::new();
    cert.clone().strip_secret_key_material().serialize(&mut out).unwrap();
    out
}

/// A signature over `content`, made by the signing subkey yesterday.
pub(crate) fn sign(cert: &Cert, content: &[u8]) -> Vec<u8> {
    let builder = SignatureBuilder::new(SignatureType::Binary).set_hash_algo(HashAlgorithm::SHA512);
    sign_with(cert, content, builder.set_signature_creation_time(now() - days(1)).unwrap())
}

pub(crate) fn sign_with(cert: &Cert, content: &[u8], builder: SignatureBuilder) -> Vec<u8> {
    let policy = StandardPolicy::new();
    let key = cert.keys().secret().with_policy(&policy, now() - days(99)).for_signing().next();
    let mut signer = key.unwrap().key().clone().into_keypair().unwrap();
    let signature = builder.sign_message(&mut signer, content).unwrap();
    openpgp::Packet::from(signature).to_vec().unwrap()
}

#[cfg(feature = "container")]
pub(crate) use package::*;

#[cfg(feature = "container")]
mod package {
    use super::*;
    use crate::manifest::{self, HOOKS, Manifest};
    use crate::tarball::tests::Tar;
    use crate::tarball::{self, ControlMember};
    use crate::{ar, trailer};

    /// A sealed package in parts, so that each can be spoiled.
    pub(crate) struct Parts {
        pub(crate) date: u64,
        pub(crate) files: Vec<ControlMember>,
        pub(crate) data: Vec<u8>,
        pub(crate) data_name: &'static str,
    }

    pub(crate) const CONTROL: &str = "Package: demo\nVersion: 1.0-1\nArchitecture: amd64\nDescription: for tests\n";

    impl Parts {
        /// Control file, four hooks, a payload of a folder, a file and a link; no manifest yet.
        pub(crate) fn new() -> Self {
            let hook = trailer::append(b"\x7fELF program", b"format = 1\n", b"");
            let member =
                |name: &str, mode, bytes: &[u8]| ControlMember { name: name.into(), mode, bytes: bytes.into() };
            let mut files = vec![member("control", 0o644, CONTROL.as_bytes())];
            files.extend(HOOKS.iter().map(|h| member(h, 0o755, &hook)));
            let tar = Tar::new()
                .dir("./")
                .dir("./usr/")
                .file("./usr/a", b"hello")
                .link("./usr/l", "a")
                .hard("./usr/h", "./usr/a")
                .end();
            let data = crate::compress::xz(&tar).unwrap();
            Self { date: 1_700_000_000, files, data, data_name: "data.tar.xz" }
        }

        pub(crate) fn manifest(&self) -> Manifest {
            Manifest {
                format: manifest::FORMAT,
                package: "demo".into(),
                version: "1.0-1".into(),
                architecture: "amd64".into(),
                minimum_version: Some("0.9".into()),
                source_date: self.date,
                control: self.files.iter().map(ControlMember::entry).collect(),
                payload: tarball::payload(self.data_name, &mut &self.data[..]).unwrap(),
            }
        }

        pub(crate) fn add(&mut self, name: &str, bytes: Vec<u8>) {
            self.files.push(ControlMember { name: name.into(), mode: 0o644, bytes });
        }

        /// Adds the manifest of what is there, and its signature.
        pub(crate) fn seal(mut self, signer: &Cert) -> Self {
            let manifest = self.manifest().to_bytes().unwrap();
            let signature = sign(signer, &manifest);
            self.add(manifest::NAME, manifest);
            self.add(manifest::SIGNATURE_NAME, signature);
            self
        }

        /// The members as stored, without the signature.
        pub(crate) fn members(&self) -> Vec<(&'static str, Vec<u8>)> {
            let control = tarball::control_archive(&self.files, self.date).unwrap();
            vec![
                ("debian-binary", ar::FORMAT_VERSION.to_vec()),
                ("control.tar.xz", control),
                (self.data_name, self.data.clone()),
            ]
        }

        /// The whole file, signed.
        pub(crate) fn signed(&self, signer: &Cert) -> Vec<u8> {
            let mut members = self.members();
            let content: Vec<u8> = members.iter().flat_map(|(_, bytes)| bytes.clone()).collect();
            members.push((ar::SIGNATURE, sign(signer, &content)));
            self.archive(&members)
        }

        pub(crate) fn archive(&self, members: &[(&str, Vec<u8>)]) -> Vec<u8> {
            let mut writer = ar::Writer::new(Vec::new(), self.date).unwrap();
            for (name, bytes) in members {
                writer.member(name, bytes.len() as u64, &mut &bytes[..]).unwrap();
            }
            writer.finish().unwrap()
        }
    }
}
