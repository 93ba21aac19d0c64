//! Keys that were trusted and are good no more, never were good enough, or are not the ones named.

use openpgp::Cert;
use openpgp::cert::prelude::{CertBuilder, CertRevocationBuilder, SubkeyRevocationBuilder};
use openpgp::packet::key::{Key4, PrimaryRole, SecretParts};
use openpgp::packet::signature::SignatureBuilder;
use openpgp::packet::{Key, UserID};
use openpgp::types::{HashAlgorithm, KeyFlags, ReasonForRevocation, SignatureType};
use sequoia_openpgp as openpgp;

use super::{By, Case, Desk, Trust};
use crate::keys::{ago, binary, builder, cert, days, packet, public, sign, sign_by_primary};
use crate::package::Package;

pub fn cases(desk: &mut Desk) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut case = |name, why, gate, signer: &Cert, trusted: Vec<u8>, more: &str, sign: fn(&Cert, &[u8]) -> Vec<u8>| {
        let package = format!("demo-key{}", desk.trusts.len());
        let key = signer.clone();
        let deb = Package::new(&package, "1.0", signer).sign(move |c: &[u8]| sign(&key, c)).build();
        desk.trusts.push(Trust { package, certificate: trusted, more: more.to_owned() });
        cases.push(Case { gate, ..Case::new("keys", By::Key, name, why, deb) });
    };
    for (name, reason) in [
        ("revoked: it was stolen", ReasonForRevocation::KeyCompromised),
        ("revoked: another took its place", ReasonForRevocation::KeySuperseded),
        ("revoked: retired", ReasonForRevocation::KeyRetired),
        ("revoked: no reason given", ReasonForRevocation::Unspecified),
    ] {
        let key = cert("revoked");
        case(name, "is revoked", None, &key, public(&revoked(&key, reason)), "", sign);
    }
    let key = builder("certifies").add_signing_subkey().generate().unwrap().0;
    case(
        "signed by the primary key, which only certifies",
        "not meant for signing",
        None,
        &key,
        public(&key),
        "",
        sign_by_primary,
    );
    let key = builder("halfrevoked").add_signing_subkey().generate().unwrap().0;
    case("its subkey is revoked", "is revoked", None, &key, public(&subkey_revoked(&key)), "", sign);
    let key = builder("expired").add_signing_subkey().set_validity_period(days(98)).generate().unwrap().0;
    case("expired", "expired on", None, &key, public(&key), "", |key, c| sign_at(key, c, 10));
    let key = builder("oldsub").add_subkey(KeyFlags::empty().set_signing(), days(98), None).generate().unwrap().0;
    case("its subkey is expired", "expired on", None, &key, public(&key), "", |key, c| sign_at(key, c, 10));
    let key = CertBuilder::new().add_userid("ahead").add_signing_subkey();
    let key = key.set_creation_time(std::time::SystemTime::now() + days(10)).generate().unwrap().0;
    case("made tomorrow", "", None, &key, public(&key), "", |key, c| {
        let subkey = key.keys().subkeys().secret().next().unwrap().key().clone();
        let builder = SignatureBuilder::new(SignatureType::Binary).set_hash_algo(HashAlgorithm::SHA512);
        packet(builder.sign_message(&mut subkey.into_keypair().unwrap(), c).unwrap())
    });
    case(
        "RSA of 1024 bits",
        "not acceptable",
        None,
        &weak(HashAlgorithm::SHA512, 1024),
        public(&weak_again()),
        "",
        sign_by_primary,
    );
    let key = weak(HashAlgorithm::SHA1, 2048);
    case("it binds itself by SHA-1", "not acceptable", None, &key, public(&key), "", sign_by_primary);
    let key = cert("bare");
    let bare = openpgp::Packet::from(key.primary_key().key().clone());
    let bare = Cert::from_packets([bare].into_iter()).unwrap();
    case("its primary key alone", "", None, &key, public(&bare), "", sign);
    let (key, wanted) = (cert("unlisted"), cert("wanted"));
    case(
        "not among those that the policy names",
        "no key file of package",
        None,
        &key,
        public(&key),
        &pin(&wanted),
        sign,
    );
    let both = [public(&key), public(&wanted)].concat();
    case("beside the one that the policy names", "not trusted", None, &key, both, &pin(&wanted), sign);
    let stranger = cert("stranger");
    case("of the same name as a trusted one", "not trusted", None, &cert("wanted"), public(&wanted), "", sign);
    case("of another package", "not trusted", None, &desk_release(), public(&stranger), "", sign);
    let key = cert("old");
    case(
        "good, and its version older than the policy allows",
        "older than 2.0",
        None,
        &key,
        public(&key),
        "minimum_version = \"2.0\"\n",
        sign,
    );
    case("its file is no certificate", "no OpenPGP certificate", None, &key, b"junk".to_vec(), "", sign);
    case("its file is empty", "", None, &key, Vec::new(), "", sign);
    case(
        "its file is a secret key",
        "secret key",
        None,
        &key,
        {
            use openpgp::serialize::MarshalInto;
            key.as_tsk().to_vec().unwrap()
        },
        "",
        sign,
    );
    cases
}

/// Some certificate that other packages trust, and this one does not.
fn desk_release() -> Cert {
    cert("release")
}

fn pin(cert: &Cert) -> String {
    format!("fingerprints = [\"{}\"]\n", cert.fingerprint().to_hex())
}

fn sign_at(key: &Cert, content: &[u8], days_ago: u64) -> Vec<u8> {
    crate::keys::sign_with(key, content, binary().set_signature_creation_time(ago(days_ago)).unwrap())
}

fn revoked(cert: &Cert, reason: ReasonForRevocation) -> Cert {
    let mut signer = cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let revocation = CertRevocationBuilder::new()
        .set_signature_creation_time(ago(0) - std::time::Duration::from_secs(60))
        .unwrap()
        .set_reason_for_revocation(reason, b"")
        .unwrap()
        .build(&mut signer, cert, None)
        .unwrap();
    cert.clone().insert_packets(revocation).unwrap().0
}

fn subkey_revoked(cert: &Cert) -> Cert {
    let mut signer = cert.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let subkey = cert.keys().subkeys().next().unwrap();
    let revocation = SubkeyRevocationBuilder::new()
        .set_signature_creation_time(ago(0) - std::time::Duration::from_secs(60))
        .unwrap()
        .build(&mut signer, cert, subkey.key(), None)
        .unwrap();
    let subkey = openpgp::Packet::from(subkey.key().clone());
    cert.clone().insert_packets([subkey, revocation.into()]).unwrap().0
}

/// A certificate of one RSA key, bound to its name with this digest.
fn weak(hash: HashAlgorithm, bits: usize) -> Cert {
    use std::sync::LazyLock;
    static SHORT: LazyLock<Cert> = LazyLock::new(|| rsa(HashAlgorithm::SHA512, 1024));
    if bits == 1024 { SHORT.clone() } else { rsa(hash, bits) }
}

fn weak_again() -> Cert {
    weak(HashAlgorithm::SHA512, 1024)
}

fn rsa(hash: HashAlgorithm, bits: usize) -> Cert {
    let mut key: Key<SecretParts, PrimaryRole> = Key4::generate_rsa(bits).unwrap().into();
    key.set_creation_time(ago(100)).unwrap();
    let mut signer = key.clone().into_keypair().unwrap();
    let cert = Cert::from_packets([openpgp::Packet::from(key)].into_iter()).unwrap();
    let name = UserID::from("weak <weak@example.org>");
    let binding = SignatureBuilder::new(SignatureType::PositiveCertification)
        .set_hash_algo(hash)
        .set_signature_creation_time(ago(99))
        .unwrap()
        .set_key_flags(KeyFlags::empty().set_signing().set_certification())
        .unwrap();
    let binding = name.bind(&mut signer, &cert, binding).unwrap();
    cert.insert_packets([openpgp::Packet::from(name), binding.into()]).unwrap().0
}
