//! OpenPGP verification, by Sequoia: only the certificates that are given count, and everything
//! that makes a signature worthless is named.
//!
//! It is stricter than `gpgv`, which exits 0 for a revoked key: certificate and signing key must be
//! good *now*, and so must the signature. The blob must be exactly signature packets in their
//! shortest encoding, because bytes that no digest covers are bytes that someone else can change.

mod packets;
mod verify;

use std::fmt;
use std::io::Read;
use std::time::SystemTime;

use host::Result;
use sequoia_openpgp as openpgp;

use openpgp::Cert;
use openpgp::cert::prelude::CertParser;
use openpgp::parse::Parse;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::Marshal;
use openpgp::types::RevocationStatus;

use crate::refuse::refused;

pub use packets::{SignatureInfo, describe};
pub use verify::Verifier;

/// A signature dated further ahead than this many seconds is refused: a clock is wrong.
pub(crate) const CLOCK_TOLERANCE: u64 = 600;

/// Certificates whose signatures count.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    certs: Vec<Cert>,
}

/// A signature that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Good {
    /// Fingerprint of the signer's certificate (its primary key), upper-case hexadecimal.
    pub fingerprint: String,
    /// The signer's name, as the certificate gives it.
    pub signer: String,
    /// When it was signed.
    pub created: SystemTime,
}

impl fmt::Display for Good {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <{}>", self.signer, self.fingerprint)
    }
}

/// A certificate, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertInfo {
    /// Fingerprint of the primary key, upper-case hexadecimal.
    pub fingerprint: String,
    /// The first user id, or empty.
    pub name: String,
    /// What makes signatures of it worthless now, if something does.
    pub defect: Option<String>,
    /// From when on nothing can be signed with it: its own expiry, or that of its last signing key.
    pub expires: Option<SystemTime>,
}

impl Keyring {
    /// Reads certificates, armored (one or several blocks) or binary (one after the other). Empty
    /// input is an empty keyring, which trusts nobody. Secret keys and anything else are refused.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let mut certs: Vec<Cert> = Vec::new();
        for block in armor_blocks(bytes) {
            let parser = CertParser::from_bytes(block)
                .map_err(|e| refused(format!("this is no OpenPGP certificate: {}", line(&e))))?;
            let before = certs.len();
            for cert in parser {
                let cert = cert.map_err(|e| refused(format!("this is no OpenPGP certificate: {}", line(&e))))?;
                if cert.is_tsk() {
                    return Err(refused(format!(
                        "{} is a secret key; export the certificate with gpg --export",
                        cert.fingerprint()
                    )));
                }
                certs.push(cert);
            }
            if certs.len() == before {
                return Err(refused("this is no OpenPGP certificate"));
            }
        }
        Ok(Self { certs })
    }

    /// Adds the certificates of another keyring; one that is there already is not doubled.
    pub fn extend(&mut self, other: Keyring) -> Result<()> {
        for cert in other.certs {
            match self.certs.iter_mut().find(|c| c.fingerprint() == cert.fingerprint()) {
                None => self.certs.push(cert),
                // Two copies may differ: the one with a revocation must not lose it.
                Some(known) => {
                    *known = known.clone().merge_public(cert).map_err(|e| refused(line(&e)))?;
                }
            }
        }
        Ok(())
    }

    /// Keeps only the certificate with this primary fingerprint; `None` if it is not there.
    pub fn only(&self, fingerprint: &str) -> Option<Self> {
        let wanted = fingerprint.replace(' ', "").to_uppercase();
        let found = self.certs.iter().find(|c| c.fingerprint().to_hex() == wanted)?;
        Some(Self { certs: vec![found.clone()] })
    }

    /// Whether it trusts nobody.
    pub fn is_empty(&self) -> bool {
        self.certs.is_empty()
    }

    /// Binary certificates, one after the other: the form in which they are sealed into hooks.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut out = Vec::new();
        for cert in &self.certs {
            cert.serialize(&mut out).map_err(|e| refused(line(&e)))?;
        }
        Ok(out)
    }

    /// The certificates, and what would be wrong with a signature of theirs at `now`.
    pub fn certs(&self, now: SystemTime) -> Vec<CertInfo> {
        let info = |cert: &Cert| CertInfo {
            fingerprint: cert.fingerprint().to_hex(),
            name: name(cert),
            defect: verify::cert_defect(cert, &StandardPolicy::new(), now).map(|e| e.to_string()),
            expires: verify::cert_expiry(cert, &StandardPolicy::new(), now),
        };
        self.certs.iter().map(info).collect()
    }

    /// Verifies a detached binary signature over all that `content` gives.
    pub fn verify_detached(&self, signature: &[u8], content: &mut dyn Read, now: SystemTime) -> Result<Good> {
        let mut verifier = self.verifier(signature, now)?;
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match content.read(&mut buffer) {
                Ok(0) => return verifier.finish(),
                Ok(n) => verifier.update(&buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(host::Error::io("cannot read what was signed", e)),
            }
        }
    }

    /// Begins to verify a detached signature whose content is handed over piece by piece.
    pub fn verifier(&self, signature: &[u8], now: SystemTime) -> Result<Verifier<'_>> {
        Verifier::new(&self.certs, signature, now)
    }
}

/// The first user id of a certificate, made safe to print.
fn name(cert: &Cert) -> String {
    let first = cert.userids().next();
    let text = first.map(|u| String::from_utf8_lossy(u.userid().value()).into_owned());
    text.unwrap_or_default().replace(char::is_control, "?")
}

/// Sequoia's errors can be chains; the last cause says most.
fn line(error: &openpgp::anyhow::Error) -> String {
    error.root_cause().to_string()
}

/// Splits concatenated armored certificates; anything else is one block.
fn armor_blocks(bytes: &[u8]) -> Vec<&[u8]> {
    const BEGIN: &[u8] = b"-----BEGIN PGP";
    if bytes.is_empty() {
        return Vec::new();
    }
    let starts: Vec<usize> = (0..bytes.len().saturating_sub(BEGIN.len() - 1))
        .filter(|at| bytes[*at..].starts_with(BEGIN))
        .filter(|at| *at == 0 || bytes[*at - 1] == b'\n')
        .collect();
    if starts.is_empty() {
        return vec![bytes];
    }
    let ends = starts[1..].iter().copied().chain([bytes.len()]);
    starts.iter().zip(ends).map(|(start, end)| &bytes[*start..end]).collect()
}

/// Whether a revocation status means: not any more.
fn is_revoked(status: &RevocationStatus<'_>) -> bool {
    matches!(status, RevocationStatus::Revoked(_))
}

#[cfg(test)]
mod tests;
