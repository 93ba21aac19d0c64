//! `debseal sign`.

use std::path::Path;
use std::time::SystemTime;

use host::{Error, Kind, Result};
use seal::deb::{self, Deb};
use seal::openpgp::Keyring;
use seal::policy::{Mode, Source, TrustedKeys};
use seal::tarball::{self, ControlMember};
use seal::{manifest, openpgp};

use crate::cli::SignArgs;
use crate::gpg::Signer;
use crate::{Outcome, output};

pub(crate) fn run(args: &SignArgs) -> Outcome {
    match signer(args) {
        Err(error) => Err(error).into(),
        Ok((mut signer, keyring)) => {
            let mut outcome = Outcome::default();
            for file in &args.files {
                let target = args.output.as_deref().unwrap_or(file);
                match sign(&mut signer, &keyring, file, target) {
                    Ok(note) => outcome.notes.extend(note),
                    Err(e) => outcome.errors.push(e),
                }
            }
            outcome
        }
    }
}

/// The key, judged the way that others will judge its signatures.
fn signer(args: &SignArgs) -> Result<(Signer, Keyring)> {
    if args.output.is_some() && args.files.len() != 1 {
        return Err(Error::of(Kind::Usage, "--output takes exactly one FILE"));
    }
    let mut signer = Signer::find(&args.key)?;
    let keyring = signer.certificate()?;
    let keyring = keyring.only(signer.fingerprint());
    let keyring = keyring.ok_or_else(|| Error::new("gpg exported another certificate"))?;
    for cert in keyring.certs(SystemTime::now()) {
        if let Some(defect) = cert.defect {
            return Err(Error::of(Kind::SignatureRefused, defect));
        }
    }
    Ok((signer, keyring))
}

fn sign(signer: &mut Signer, keyring: &Keyring, file: &Path, target: &Path) -> Result<Option<String>> {
    let mut deb = Deb::open(file)?;
    sign_open(signer, keyring, &mut deb, target).map_err(|e| e.context(file.display()))
}

fn sign_open(signer: &mut Signer, keyring: &Keyring, deb: &mut Deb, target: &Path) -> Result<Option<String>> {
    let (manifest, trailer) = deb.check_seal()?;
    let listed = deb.sealed()?.to_vec();
    let kept = deb.control_files().iter().filter(|f| f.name != manifest::SIGNATURE_NAME);
    let mut files: Vec<ControlMember> = kept.cloned().collect();
    files.push(ControlMember {
        name: manifest::SIGNATURE_NAME.to_owned(),
        mode: 0o644,
        bytes: signer.sign(&listed[..])?,
    });
    let archive = tarball::control_archive(&files, manifest.source_date)?;
    let signature = signer.sign(deb.signed_with(&archive)?)?;
    let keys =
        TrustedKeys { keyring: keyring.clone(), source: Source::Given, mode: Mode::Enforce, minimum_version: None };
    output::replace(
        target,
        |out| deb::write(out, manifest.source_date, &archive, deb, Some(&signature)),
        |written| {
            let mut written = Deb::open(written)?;
            let verdict = written.verify(&|_| Ok(keys.clone()), SystemTime::now());
            verdict.map(drop).map_err(|e| e.context("the signature that was just made is not good"))
        },
    )?;
    let sealed = openpgp::Keyring::parse(&trailer.keyring)?;
    let trusted = sealed.is_empty() || sealed.only(signer.fingerprint()).is_some();
    let note = format!(
        "{}: its own hooks do not trust key {}; the next version needs one that they trust",
        target.display(),
        signer.fingerprint()
    );
    Ok((!trusted).then_some(note))
}
