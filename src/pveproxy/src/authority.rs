//! Certificates as a cluster has them: one authority, and a pair for each node.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair};

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Pair {
    /// As in `pve-ssl.pem`.
    pub certificate: String,
    /// As in `pve-ssl.key`.
    pub key: String,
}

/// A certificate authority.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one of this name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its own certificate, as in `pve-root-ca.pem`.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for one name or address.
    pub fn sign(&self, name: &str) -> Pair {
        self.sign_all(&[name])
    }

    /// A certificate as Proxmox makes it for a node: loopback and the node's own name.
    pub fn sign_node(&self, node: &str) -> Pair {
        self.sign_all(&["127.0.0.1", "::1", "localhost", node])
    }

    fn sign_all(&self, names: &[&str]) -> Pair {
        let key = KeyPair::generate().unwrap();
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        Pair { certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
