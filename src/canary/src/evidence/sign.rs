//! Signing by gpg, verifying by Sequoia: as `debseal` does with packages. The key stays with gpg's agent; this program
//! links no C library, and so calls gpg itself.

use std::path::Path;
use std::time::{Duration, SystemTime};

use host::files::{self, Attributes};
use host::{Command, Error, IoContext, Kind, Result};
use seal::openpgp::{Good, Keyring};

/// Somebody may have to type a passphrase.
const PATIENCE: Duration = Duration::from_secs(300);

/// A certificate or signature is far smaller, in bytes.
const LIMIT: u64 = 8 << 20;

/// A detached signature over `covered` by the key with this full fingerprint. It is checked the way that others will
/// check it; files beside `near` are used meanwhile.
///
/// # Errors
/// gpg has no such key or does not sign; the signature would be refused.
pub fn sign(covered: &[u8], fingerprint: &str, near: &Path) -> Result<Vec<u8>> {
    let bare = fingerprint.replace(' ', "").to_uppercase();
    if ![40, 64].contains(&bare.len()) || !bare.bytes().all(|b| b.is_ascii_hexdigit()) {
        let why = format!("--key {fingerprint} is not a full fingerprint; gpg --list-secret-keys shows it");
        return Err(Error::of(Kind::Usage, why));
    }
    let (input, output) = (files::beside(near, "signed"), files::beside(near, "signature"));
    let made = by_gpg(covered, &bare, &input, &output);
    // Ours, and beside what is kept.
    let _ = files::remove(&input);
    let _ = files::remove(&output);
    let signature = made?;
    let armored = gpg(&["--armor", "--export", &bare])?;
    let all = Keyring::parse(armored.as_bytes())?;
    let keyring = all.only(&bare).ok_or_else(|| Error::new(format!("gpg exported another certificate than {bare}")))?;
    verify(covered, &signature, &keyring).map_err(|e| e.context("the signature that was just made is not good"))?;
    Ok(signature)
}

fn by_gpg(covered: &[u8], key: &str, input: &Path, output: &Path) -> Result<Vec<u8>> {
    files::replace(input, covered, &Attributes::mode(0o600))?;
    let (input, shown) = (input.display().to_string(), output.display().to_string());
    gpg(&[
        "--yes",
        "--local-user",
        &format!("{key}!"),
        "--digest-algo",
        "SHA512",
        "--output",
        &shown,
        "--detach-sign",
        &input,
    ])?;
    let signature = files::read_plain(output, LIMIT)?;
    signature.ok_or_else(|| Error::new("gpg wrote no signature"))
}

fn gpg(arguments: &[&str]) -> Result<String> {
    let all = ["--batch", "--no-tty", "--quiet"].iter().chain(arguments).copied();
    let out = Command::new("gpg").args(all).patience(PATIENCE).run()?;
    if out.success() {
        return Ok(out.stdout);
    }
    let said = out.stderr.lines().next().unwrap_or("no reason given").to_owned();
    Err(Error::new(format!("gpg: {said}")).way_out("see gpg --list-secret-keys, and GNUPGHOME"))
}

/// Who signed.
///
/// # Errors
/// [`Kind::SignatureRefused`]: nobody who is trusted did, or over something else.
pub fn verify(covered: &[u8], signature: &[u8], keyring: &Keyring) -> Result<Good> {
    keyring.verify_detached(signature, &mut &covered[..], SystemTime::now())
}

/// The certificates in these files.
///
/// # Errors
/// One can't be read, or holds none.
pub fn keyring(files: &[std::path::PathBuf]) -> Result<Keyring> {
    let mut all = Keyring::default();
    for file in files {
        let bytes = std::fs::read(file).doing(|| format!("cannot read {}", file.display()))?;
        let ring = Keyring::parse(&bytes).map_err(|e| e.context(file.display()))?;
        if ring.is_empty() {
            return Err(Error::new(format!("{} holds no certificate", file.display())));
        }
        all.extend(ring)?;
    }
    Ok(all)
}
