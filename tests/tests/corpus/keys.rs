//! Keys and signatures, good and bad ones, made in memory.

use std::time::{Duration, SystemTime};

use openpgp::cert::prelude::{CertBuilder, CipherSuite};
use openpgp::packet::signature::SignatureBuilder;
use openpgp::policy::StandardPolicy;
use openpgp::serialize::{Marshal, MarshalInto};
use openpgp::types::{HashAlgorithm, KeyFlags, SignatureType};
use openpgp::{Cert, Packet};
use sequoia_openpgp as openpgp;

pub fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

pub fn ago(n: u64) -> SystemTime {
    SystemTime::now() - days(n)
}

/// A certificate made 100 days ago.
pub fn builder(name: &str) -> CertBuilder<'static> {
    CertBuilder::new()
        .add_userid(format!("{name} <{name}@example.org>"))
        .set_cipher_suite(CipherSuite::Cv25519)
        .set_creation_time(ago(100))
}

/// One whose primary key signs: debsig-verify finds no other.
pub fn cert(name: &str) -> Cert {
    let flags = KeyFlags::empty().set_certification().set_signing();
    builder(name).set_primary_key_flags(flags).generate().unwrap().0
}

pub fn public(cert: &Cert) -> Vec<u8> {
    let mut out = Vec::new();
    cert.clone().strip_secret_key_material().serialize(&mut out).unwrap();
    out
}

/// A signature over a file, dated yesterday.
pub fn binary() -> SignatureBuilder {
    of_type(SignatureType::Binary)
}

pub fn of_type(kind: SignatureType) -> SignatureBuilder {
    let builder = SignatureBuilder::new(kind).set_hash_algo(HashAlgorithm::SHA512);
    builder.set_signature_creation_time(ago(1)).unwrap()
}

pub fn sign(cert: &Cert, content: &[u8]) -> Vec<u8> {
    sign_with(cert, content, binary())
}

/// By the key that signs, or was to sign when it was made.
pub fn sign_with(cert: &Cert, content: &[u8], builder: SignatureBuilder) -> Vec<u8> {
    let policy = StandardPolicy::new();
    let key = cert.keys().secret().with_policy(&policy, ago(99)).for_signing().next();
    let mut signer = key.expect("it has a key that signs").key().clone().into_keypair().unwrap();
    if matches!(builder.typ(), SignatureType::Binary | SignatureType::Text) {
        return packet(builder.sign_message(&mut signer, content).unwrap());
    }
    // Over a file, and yet of a type that says otherwise.
    let mut hash = builder.hash_algo().context().unwrap().for_signature(4);
    hash.update(content);
    packet(builder.sign_hash(&mut signer, hash).unwrap())
}

/// By the primary key, whatever it is for.
pub fn sign_by_primary(cert: &Cert, content: &[u8]) -> Vec<u8> {
    let key = cert.primary_key().key().clone().parts_into_secret().unwrap();
    packet(binary().sign_message(&mut key.into_keypair().unwrap(), content).unwrap())
}

pub fn packet(packet: impl Into<Packet>) -> Vec<u8> {
    packet.into().to_vec().unwrap()
}
