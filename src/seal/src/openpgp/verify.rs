//! Judging one blob of signatures while its content streams by.

use std::time::{Duration, SystemTime};

use host::{Error, Result, Timestamp};
use sequoia_openpgp as openpgp;

use openpgp::cert::amalgamation::{ValidAmalgamation, ValidateAmalgamation};
use openpgp::cert::prelude::ValidErasedKeyAmalgamation;
use openpgp::crypto::hash::{Context, Hash};
use openpgp::packet::Signature;
use openpgp::packet::key::PublicParts;
use openpgp::policy::{HashAlgoSecurity, Policy, StandardPolicy};
use openpgp::types::{RevocationStatus, SignatureType};
use openpgp::{Cert, KeyHandle};

use super::{CLOCK_TOLERANCE, Good, is_revoked, line, name, packets};
use crate::refuse::refused;

/// A verification under way: feed it the content, then ask for the verdict.
///
/// Nothing is refused before [`Verifier::finish`] but blobs that are no signatures at all.
pub struct Verifier<'a> {
    certs: &'a [Cert],
    signatures: Vec<(Signature, Result<Context>)>,
    now: SystemTime,
}

impl std::fmt::Debug for Verifier<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("signatures", &self.signatures.len()).finish()
    }
}

impl<'a> Verifier<'a> {
    pub(super) fn new(certs: &'a [Cert], blob: &[u8], now: SystemTime) -> Result<Self> {
        let policy = StandardPolicy::new();
        let start = |signature: Signature| {
            let context = hash_context(&signature, &policy);
            (signature, context)
        };
        let signatures = packets::split(blob)?.into_iter().map(start).collect();
        Ok(Self { certs, signatures, now })
    }

    /// The next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        for (_, context) in &mut self.signatures {
            if let Ok(context) = context {
                context.update(bytes);
            }
        }
    }

    /// The verdict, once all content has been seen. One good signature suffices (keys rotate), but
    /// one that a trusted key made over other content condemns the whole.
    pub fn finish(self) -> Result<Good> {
        let mut good = None;
        let mut bad: Option<(Defect, Error)> = None;
        for (signature, context) in self.signatures {
            match judge(self.certs, &signature, context, self.now) {
                Ok(it) => good = good.or(Some(it)),
                Err((Defect::Altered, error)) => return Err(error),
                // What is wrong with a key that we know says more than that another is unknown.
                Err((defect, error)) => {
                    if bad.as_ref().is_none_or(|(d, _)| *d == Defect::Unknown) {
                        bad = Some((defect, error));
                    }
                }
            }
        }
        match (good, bad) {
            (Some(good), _) => Ok(good),
            (None, Some((_, error))) => Err(error),
            (None, None) => Err(refused("there is no signature")),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Defect {
    /// Made by somebody whose certificate is not in the keyring.
    Unknown,
    /// Made by a trusted key, but over something else.
    Altered,
    /// Made by a known key, but not acceptable.
    Unacceptable,
}

/// A digest that this signature allows, or why it is refused.
fn hash_context(signature: &Signature, policy: &StandardPolicy<'_>) -> Result<Context> {
    if signature.typ() != SignatureType::Binary {
        return Err(refused(format!("it is a {}, not a signature over a file", signature.typ())));
    }
    if !matches!(signature.version(), 4 | 6) {
        return Err(refused(format!("signatures of version {} are weak", signature.version())));
    }
    policy
        .signature(signature, HashAlgoSecurity::CollisionResistance)
        .map_err(|e| refused(format!("its digest {} or its form is too weak: {}", signature.hash_algo(), line(&e))))?;
    let context = signature.hash_algo().context().map_err(|e| refused(line(&e)))?;
    let mut context = context.for_signature(signature.version());
    if let Signature::V6(six) = signature {
        context.update(six.salt());
    }
    Ok(context)
}

fn judge(
    certs: &[Cert],
    signature: &Signature,
    context: Result<Context>,
    now: SystemTime,
) -> Result<Good, (Defect, Error)> {
    let (cert, handle) = find(certs, signature).ok_or_else(|| (Defect::Unknown, unknown(signature)))?;
    let unacceptable = |e: Error| (Defect::Unacceptable, e);
    let mut context = context.map_err(unacceptable)?;
    let policy = StandardPolicy::new();
    if let Some(defect) = cert_defect(cert, &policy, now) {
        return Err(unacceptable(defect));
    }
    let key = key(cert, &handle, &policy, now).map_err(unacceptable)?;
    let created = times(signature, key.key().creation_time(), now).map_err(unacceptable)?;

    let altered = || refused("what was signed was altered, or the signature was");
    signature.hash(&mut context).map_err(|_| (Defect::Altered, altered()))?;
    let digest = context.into_digest().map_err(|_| (Defect::Altered, altered()))?;
    if !digest.starts_with(signature.digest_prefix()) || signature.verify_digest(key.key(), &digest).is_err() {
        return Err((Defect::Altered, altered()));
    }
    let handle = KeyHandle::from(key.key().fingerprint());
    packets::check_unhashed(signature, &handle).map_err(|e| (Defect::Altered, e))?;
    Ok(Good { fingerprint: cert.fingerprint().to_hex(), signer: name(cert), created })
}

/// The certificate that holds the key which the signature names, and that key.
fn find<'a>(certs: &'a [Cert], signature: &Signature) -> Option<(&'a Cert, KeyHandle)> {
    let issuers = signature.get_issuers();
    certs.iter().find_map(|cert| {
        let handles = cert.keys().map(|k| k.key().key_handle());
        let mut named = handles.filter(|h| issuers.iter().any(|i| i.aliases(h)));
        named.next().map(|handle| (cert, handle))
    })
}

fn unknown(signature: &Signature) -> Error {
    let issuers: Vec<String> = signature.get_issuers().iter().map(KeyHandle::to_string).collect();
    match issuers.is_empty() {
        true => refused("it does not say which key made it"),
        false => refused(format!("it was made by key {}, which is not trusted", issuers.join(" = "))),
    }
}

/// Why no signature of this certificate counts at `now`.
pub(super) fn cert_defect(cert: &Cert, policy: &StandardPolicy<'_>, now: SystemTime) -> Option<Error> {
    let id = cert.fingerprint();
    let status = cert.revocation_status(policy, now);
    if is_revoked(&status) {
        return Some(refused(format!("key {id} is revoked{}", reason(&status))));
    }
    if let RevocationStatus::CouldBe(signatures) = &status {
        let revokers: Vec<_> = cert.revocation_keys(policy).map(|k| KeyHandle::from(k.revoker().1)).collect();
        let named = |s: &&Signature| s.get_issuers().iter().any(|i| revokers.iter().any(|r| r.aliases(i)));
        if signatures.iter().any(named) {
            return Some(refused(format!("key {id} seems revoked by the revoker that it names")));
        }
    }
    let valid = match cert.with_policy(policy, now) {
        Ok(valid) => valid,
        Err(e) => return Some(refused(format!("key {id} is not acceptable: {}", line(&e)))),
    };
    if valid.alive().is_err() {
        let expired = valid.primary_key().key_expiration_time().filter(|t| *t <= now);
        return Some(match expired {
            Some(at) => refused(format!("key {id} expired on {}{}", day(at), by_clock(now))),
            None => refused(format!("key {id} is not valid yet{}", by_clock(now))),
        });
    }
    None
}

/// From when on this certificate can sign nothing more, if that is known at `now`.
pub(super) fn cert_expiry(cert: &Cert, policy: &StandardPolicy<'_>, now: SystemTime) -> Option<SystemTime> {
    let valid = cert.with_policy(policy, now).ok()?;
    let primary = valid.primary_key().key_expiration_time();
    let signing = valid.keys().alive().revoked(false).for_signing().map(|key| key.key_expiration_time());
    // One key that lasts is enough; `None` lasts for ever.
    let last = signing.reduce(|one, other| one.zip(other).map(|(one, other)| one.max(other))).flatten();
    [primary, last].into_iter().flatten().min()
}

/// The signing key of the certificate, good at `now`.
fn key<'a>(
    cert: &'a Cert,
    handle: &KeyHandle,
    policy: &'a StandardPolicy<'a>,
    now: SystemTime,
) -> Result<ValidErasedKeyAmalgamation<'a, PublicParts>> {
    let unusable = |e: &_| refused(format!("key {handle} is not acceptable: {}", line(e)));
    let plain = cert.keys().find(|k| k.key().key_handle().aliases(handle));
    let plain = plain.ok_or_else(|| refused(format!("key {handle} is not in its certificate")))?;
    let key = plain.with_policy(policy, now).map_err(|e| unusable(&e))?;
    let status = key.revocation_status();
    if is_revoked(&status) {
        return Err(refused(format!("subkey {handle} is revoked{}", reason(&status))));
    }
    if !key.for_signing() {
        return Err(refused(format!("key {handle} is not meant for signing")));
    }
    if key.alive().is_err() {
        return Err(match key.key_expiration_time().filter(|t| *t <= now) {
            Some(at) => refused(format!("key {handle} expired on {}{}", day(at), by_clock(now))),
            None => refused(format!("key {handle} is not valid yet{}", by_clock(now))),
        });
    }
    Ok(key)
}

/// Judges the times of a signature; returns when it was made.
fn times(signature: &Signature, key_created: SystemTime, now: SystemTime) -> Result<SystemTime> {
    let created = signature.signature_creation_time();
    let created = created.ok_or_else(|| refused("the signature has no date"))?;
    if created > now + Duration::from_secs(CLOCK_TOLERANCE) {
        return Err(refused(format!(
            "the signature is from the future, {}: this machine's clock or the signer's is wrong{}",
            day(created),
            by_clock(now)
        )));
    }
    if created < key_created {
        return Err(refused("the signature is older than its key"));
    }
    match signature.signature_expiration_time() {
        Some(end) if end <= now => Err(refused(format!("the signature expired on {}{}", day(end), by_clock(now)))),
        _ => Ok(created),
    }
}

fn reason(status: &RevocationStatus<'_>) -> String {
    let RevocationStatus::Revoked(signatures) = status else {
        return String::new();
    };
    let first = signatures.iter().find_map(|s| s.reason_for_revocation());
    first.map(|(code, _)| format!(": {code}")).unwrap_or_default()
}

fn by_clock(now: SystemTime) -> String {
    format!(" (this machine's clock says {})", day(now))
}

/// `2026-01-31` in UTC.
fn day(time: SystemTime) -> String {
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut text = Timestamp::from_seconds(seconds as i64).to_string();
    text.truncate(10);
    text
}
