//! `canary keys`: whose signature the next version of this package may carry, and until when.

use std::time::{SystemTime, UNIX_EPOCH};

use host::{Error, Result, Root, Timestamp};
use seal::policy::{Source, trusted_keys};
use seal::unpacked::Naming;
use seal::{manifest, trailer};
use serde::Serialize;

/// Where dpkg keeps control files.
const INFO: &str = "/var/lib/dpkg/info";

/// One certificate.
#[derive(Debug, Clone, Serialize)]
pub struct Key {
    /// Fingerprint of the primary key, upper-case hexadecimal.
    pub fingerprint: String,
    /// Its first user id.
    pub name: String,
    /// Why signatures of it count for nothing now.
    pub defect: Option<String>,
    /// From when on nothing can be signed with it, in seconds since the epoch.
    pub expires: Option<u64>,
}

/// All of them.
#[derive(Debug, Clone, Serialize)]
pub struct Keys {
    /// Of this form.
    pub schema_version: u32,
    /// The package.
    pub package: String,
    /// Who names them: a policy's file, or `sealed`, the installed package itself.
    pub source: String,
    /// The certificates; none where the package asks for no signature.
    pub keys: Vec<Key>,
    /// Until when the next version can be signed by one of them, in seconds since the epoch: 0 if by none any more,
    /// nothing if one of them has no end, or there are no keys.
    pub until: Option<u64>,
}

/// Reads them.
///
/// # Errors
/// The package is not installed, or keys or policies can't be read.
pub fn read(root: &Root, package: &str, now: SystemTime) -> Result<Keys> {
    let info = root.path(INFO);
    let naming = Naming::of_installed(&info, package)?;
    let naming = naming.ok_or_else(|| Error::new(format!("package {package} is not installed")))?;
    let script = naming.path(&info, manifest::HOOKS[3]);
    let sealed = trailer::read(&script)?.map(|t| t.keyring).unwrap_or_default();
    let trusted = trusted_keys(root, package, &sealed)?;
    let key = |cert: seal::openpgp::CertInfo| Key {
        fingerprint: cert.fingerprint,
        name: cert.name,
        defect: cert.defect,
        expires: cert.expires.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map(|since| since.as_secs()),
    };
    let keys: Vec<Key> = trusted.keyring.certs(now).into_iter().map(key).collect();
    let source = match trusted.source {
        Source::Policy(file) => root.inside(&file).display().to_string(),
        Source::Sealed | Source::Given => "sealed".to_owned(),
    };
    Ok(Keys { schema_version: 1, package: package.to_owned(), source, until: until(&keys), keys })
}

/// The end of the one that lasts longest.
fn until(keys: &[Key]) -> Option<u64> {
    let usable = || keys.iter().filter(|key| key.defect.is_none());
    if keys.is_empty() || usable().any(|key| key.expires.is_none()) {
        return None;
    }
    Some(usable().filter_map(|key| key.expires).max().unwrap_or(0))
}

/// A line each, for people.
pub fn text(keys: &Keys) -> String {
    let Keys { package, source, keys, .. } = keys;
    if keys.is_empty() {
        return format!("{package}: no key ({source}): its next version needs no signature");
    }
    let line = |key: &Key| {
        let state = match (&key.defect, key.expires) {
            (Some(defect), _) => defect.clone(),
            (None, None) => "no end".to_owned(),
            (None, Some(at)) => {
                format!("until {}", Timestamp::from_seconds(i64::try_from(at).unwrap_or(i64::MAX)))
            }
        };
        format!("{package}: {} {}: {state} ({source})", key.fingerprint, key.name)
    };
    keys.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// This package.
pub const PACKAGE: &str = "pve-network-rs";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_that_lasts_longest_counts_and_a_useless_one_does_not() {
        let key = |defect: Option<&str>, expires: Option<u64>| Key {
            fingerprint: "A".into(),
            name: "x".into(),
            defect: defect.map(str::to_owned),
            expires,
        };
        for (keys, expected) in [
            (vec![], None),
            (vec![key(None, Some(5)), key(None, Some(9))], Some(9)),
            (vec![key(None, Some(5)), key(Some("revoked"), Some(9))], Some(5)),
            (vec![key(None, Some(5)), key(None, None)], None),
            (vec![key(None, Some(5)), key(Some("revoked"), None)], Some(5)),
            (vec![key(Some("expired"), Some(5))], Some(0)),
        ] {
            assert_eq!(until(&keys), expected, "{keys:?}");
        }
    }
}
