//! TLS: whom we take for Perl, and as whom we show ourselves in front mode.

use std::sync::Arc;

use host::{Root, files};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme};

/// The cluster's own certificate authority.
const CA: &str = "/etc/pve/pve-root-ca.pem";

/// Certificates of pveproxy on this node, the one that it prefers first.
const CERTIFICATES: [&str; 2] = ["/etc/pve/local/pveproxy-ssl.pem", "/etc/pve/local/pve-ssl.pem"];

/// A chain of certificates is far smaller.
const LIMIT: u64 = 256 * 1024;

fn read(root: &Root, path: &str) -> Option<Vec<u8>> {
    // /etc/pve/local is a link into nodes/: followed as a chroot would follow it.
    let path = root.resolve(path).ok()?;
    files::read_plain(&path, LIMIT).ok().flatten()
}

/// What Perl's certificate is checked against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Trust {
    ca: Vec<u8>,
    /// A node whose pveproxy shows a certificate from elsewhere (ACME) has it here: that very one is
    /// taken, by whatever name it is called. Proxmox's own nodes know one another in the same way.
    own: Vec<u8>,
}

impl Trust {
    pub(crate) fn read(root: &Root) -> Self {
        let file = |path| read(root, path).unwrap_or_default();
        Self { ca: file(CA), own: file(CERTIFICATES[0]) }
    }

    /// A client's configuration that trusts in this and nothing else.
    pub(crate) fn client(&self) -> Result<ClientConfig, rustls::Error> {
        let provider = provider();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates(&self.ca));
        let chain = match roots.is_empty() {
            true => None,
            false => {
                let roots = Arc::new(roots);
                let built = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
                Some(built.map_err(|e| rustls::Error::General(e.to_string()))?)
            }
        };
        let pinned = certificates(&self.own).into_iter().next();
        let verifier = Arc::new(OurPerl { chain, pinned, provider: provider.clone() });
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// Takes a certificate that the cluster's authority signed, or the very one that is pinned.
#[derive(Debug)]
struct OurPerl {
    chain: Option<Arc<WebPkiServerVerifier>>,
    pinned: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for OurPerl {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if self.pinned.as_ref().is_some_and(|pinned| pinned.as_ref() == end_entity.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.chain {
            Some(chain) => chain.verify_server_cert(end_entity, intermediates, name, ocsp, now),
            None => Err(rustls::Error::General(format!("there is no {CA} to check it against"))),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// pveproxy's certificate and key, for front mode.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    path: String,
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Identity {
    pub(crate) fn read(root: &Root) -> Option<Self> {
        CERTIFICATES.into_iter().find_map(|path| {
            let certificate = read(root, path)?;
            let key = read(root, &path.replace(".pem", ".key"))?;
            Some(Self { path: path.to_owned(), certificate, key })
        })
    }

    /// A server's configuration that shows it, for HTTP/1.1.
    ///
    /// # Errors
    /// Certificate and key can't be read, or don't belong together.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, String> {
        let error = |error: &dyn std::fmt::Display| format!("{} and its key can't be used: {error}", self.path);
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|e| error(&e))?;
        let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions();
        let mut config = builder
            .and_then(|b| b.with_no_client_auth().with_single_cert(certificates(&self.certificate), key))
            .map_err(|e| error(&e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
