//! Signing by gpg, through gpgme: the key stays with gpg's agent, wherever that keeps it.

use std::io::Read;

use gpgme::{Context, Data, ExportMode, Key, Protocol};
use host::{Error, Kind, Result};
use seal::openpgp::Keyring;

/// One secret key, ready to sign.
pub(crate) struct Signer {
    context: Context,
    key: Key,
    fingerprint: String,
}

impl Signer {
    /// Finds the secret key by the full fingerprint of its certificate. Short ids can be forged, and
    /// names are anybody's.
    pub(crate) fn find(fingerprint: &str) -> Result<Self> {
        let bare = fingerprint.replace(' ', "").to_uppercase();
        let bare = bare.strip_prefix("0X").unwrap_or(&bare).to_owned();
        if ![40, 64].contains(&bare.len()) || !bare.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(Error::of(
                Kind::Usage,
                format!("--key {fingerprint} is not a full fingerprint; gpg --list-secret-keys shows it"),
            ));
        }
        let failed = |e| failed("cannot talk to gpg", e);
        let mut context = Context::from_protocol(Protocol::OpenPgp).map_err(failed)?;
        context.set_armor(false);
        let key = context.get_secret_key(bare.as_str()).map_err(|e| {
            Error::new(format!("gpg has no secret key {bare}: {e}"))
                .way_out("see gpg --list-secret-keys, and GNUPGHOME")
        })?;
        let refused = |why: &str| Err(Error::of(Kind::SignatureRefused, format!("key {bare} {why}")));
        if key.fingerprint() != Ok(&bare) {
            return refused("is a subkey; name its certificate's fingerprint");
        }
        if key.is_revoked() {
            return refused("is revoked");
        }
        if key.is_expired() {
            return refused("is expired");
        }
        if key.is_disabled() || key.is_invalid() || !key.can_sign() {
            return refused("can't sign");
        }
        context.add_signer(&key).map_err(failed)?;
        Ok(Self { context, key, fingerprint: bare })
    }

    /// The certificate's fingerprint, upper-case hexadecimal.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The certificate as anybody would check it against: with every revocation that gpg knows.
    pub(crate) fn certificate(&mut self) -> Result<Keyring> {
        let failed = |e| failed("cannot export the certificate from gpg", e);
        let mut out = Data::new().map_err(failed)?;
        self.context.export_keys([&self.key], ExportMode::empty(), &mut out).map_err(failed)?;
        Keyring::parse(&out.try_into_bytes().unwrap_or_default())
    }

    /// A detached binary signature over all that `content` gives.
    pub(crate) fn sign(&mut self, content: impl Read + Send) -> Result<Vec<u8>> {
        let failed = |e| failed("gpg did not sign", e);
        let input = Data::from_reader(content).map_err(|e| failed(e.error()))?;
        let mut out = Data::new().map_err(failed)?;
        self.context.sign_detached(input, &mut out).map_err(failed)?;
        out.try_into_bytes().ok_or_else(|| Error::new("gpg returned no signature"))
    }
}

fn failed(what: &str, error: gpgme::Error) -> Error {
    Error::new(format!("{what}: {error}"))
}
