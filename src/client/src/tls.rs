//! Whose certificates count.

use std::path::Path;
use std::sync::Arc;

use host::{Error, IoContext, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// What to do about a certificate that rustls takes for no authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unusable {
    /// An error: the file was made for this.
    Refused,
    /// The others still count: a collection, as Debian's, may hold some.
    PassedOver,
}

/// A client's TLS, for which only certificates of one file count.
#[derive(Clone)]
pub struct Tls(TlsConnector);

impl Tls {
    /// For servers whose certificate one in the file `ca` has signed.
    ///
    /// # Errors
    /// The file can't be read, is no PEM, or holds no certificate that can be used.
    pub fn trusting(ca: &Path, unusable: Unusable) -> Result<Self> {
        let doing = || format!("cannot read the certificates in {}", ca.display());
        let wrong = |e: &dyn std::fmt::Display| Error::new(format!("{}: {e}", doing()));
        let mut roots = RootCertStore::empty();
        let pem = std::fs::read(ca).doing(doing)?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let added = roots.add(certificate.map_err(|e| wrong(&e))?);
            match unusable {
                Unusable::Refused => added.map_err(|e| wrong(&e))?,
                Unusable::PassedOver => {}
            }
        }
        if roots.is_empty() {
            return Err(wrong(&"there is none"));
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| Error::new(format!("cannot set up TLS: {e}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    pub(crate) fn connector(&self) -> &TlsConnector {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PEM without a certificate in it.
    const ODD: &str = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";

    fn trusting(text: &str, unusable: Unusable) -> Result<Tls> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, text).unwrap();
        Tls::trusting(&file, unusable)
    }

    #[test]
    fn an_odd_certificate_among_good_ones_is_refused_or_passed_over() {
        let good = pveproxy::Authority::new("one of many").pem();
        for text in [format!("{ODD}{good}"), format!("{good}{ODD}")] {
            assert!(trusting(&text, Unusable::PassedOver).is_ok());
            assert!(trusting(&text, Unusable::Refused).is_err());
        }
        assert!(trusting(&good, Unusable::Refused).is_ok());
    }

    #[test]
    fn without_a_certificate_there_is_no_tls() {
        for (text, unusable) in [("", Unusable::Refused), (ODD, Unusable::PassedOver)] {
            let error = trusting(text, unusable).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.starts_with("cannot read the certificates in /"), "{error}");
            assert!(error.ends_with("/ca.pem: there is none"), "{error}");
        }
        for unusable in [Unusable::Refused, Unusable::PassedOver] {
            assert!(trusting("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n", unusable).is_err());
        }
    }
}
