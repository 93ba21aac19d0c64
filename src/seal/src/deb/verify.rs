//! The verdict over a file, before anything of it is unpacked.

use std::path::Path;
use std::time::SystemTime;

use host::Result;

use super::Deb;
use crate::ar;
use crate::manifest::{self, Manifest};
use crate::openpgp::{Good, Keyring};
use crate::policy::TrustedKeys;
use crate::refuse::refused;
use crate::trailer::Trailer;
use crate::version;

/// A package that is whole, and signed by somebody who is trusted for it.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Its manifest: package, version, architecture, minimum version, every path.
    pub manifest: Manifest,
    /// What its hooks carry.
    pub trailer: Trailer,
    /// Who signed it.
    pub signer: Good,
    /// Whose word it was that the signer counts.
    pub keys: TrustedKeys,
    /// What the reader should know although nothing is wrong.
    pub notes: Vec<String>,
}

/// Judges the package at `path` by the keys that `keys` gives for the name inside it.
///
/// Every refusal has kind `SignatureRefused` and names file and defect.
pub fn verify_deb(path: &Path, keys: &dyn Fn(&str) -> Result<TrustedKeys>, now: SystemTime) -> Result<Verified> {
    Deb::open(path)?.verify(keys, now).map_err(|e| e.context(path.display()))
}

impl Deb {
    /// As [`verify_deb`], on a package that is open; refusals do not name the file.
    pub fn verify(&mut self, keys: &dyn Fn(&str) -> Result<TrustedKeys>, now: SystemTime) -> Result<Verified> {
        verify(self, keys, now)
    }
}

fn verify(deb: &mut Deb, keys: &dyn Fn(&str) -> Result<TrustedKeys>, now: SystemTime) -> Result<Verified> {
    // Said before anything about keys; read only once it is known to be genuine.
    deb.sealed()?;
    let package = deb.control().package().to_owned();
    let keys = keys(&package)?;
    if keys.keyring.is_empty() {
        return Err(refused(format!("nobody is trusted to sign package {package}"))
            .way_out("name a certificate with --key, or in /etc/debseal/policy.d"));
    }
    let signer = verify_signatures(deb, &keys.keyring, now)?;
    let (manifest, trailer) = deb.check_seal()?;
    if let Some(least) = &keys.minimum_version
        && version::compare(&manifest.version, least)?.is_lt()
    {
        return Err(refused(format!("version {} is older than {least}, the least allowed here", manifest.version)));
    }
    let mut notes = Vec::new();
    if deb.control_file(manifest::SIGNATURE_NAME).is_none() {
        notes.push(format!(
            "{package} carries no manifest-sig: an installed version of it will refuse this one as \
             its successor; sign with debseal sign instead of debsigs"
        ));
    }
    Ok(Verified { manifest, trailer, signer, keys, notes })
}

/// Both signatures; the one over the manifest may be missing (debsigs knows nothing of it).
fn verify_signatures(deb: &mut Deb, keyring: &Keyring, now: SystemTime) -> Result<Good> {
    let signature = deb
        .signature()?
        .ok_or_else(|| refused("it is not signed: it has no _gpgorigin").way_out("sign it with debseal sign"))?;
    let good = keyring.verify_detached(&signature, &mut deb.signed()?, now).map_err(|e| e.context(ar::SIGNATURE))?;
    let file = |name: &str| deb.control_file(name).map(|f| &f.bytes[..]);
    if let (Some(content), Some(signature)) = (file(manifest::NAME), file(manifest::SIGNATURE_NAME)) {
        keyring.verify_detached(signature, &mut &content[..], now).map_err(|e| e.context(manifest::SIGNATURE_NAME))?;
    }
    Ok(good)
}
