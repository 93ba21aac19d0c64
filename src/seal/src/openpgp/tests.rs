use super::*;
use crate::testing::{builder, cert, days, keyring, now, public, sign, sign_with};
use openpgp::armor::{Kind as Armor, Writer as ArmorWriter};
use openpgp::cert::prelude::{CertBuilder, CertRevocationBuilder, SubkeyRevocationBuilder};
use openpgp::packet::signature::SignatureBuilder;
use openpgp::serialize::MarshalInto;
use openpgp::types::{HashAlgorithm, KeyFlags, ReasonForRevocation, SignatureType};
use proptest::prelude::*;
use std::io::Write;
use std::time::Duration;

const CONTENT: &[u8] = b"what was signed";

fn verify(ring: &Keyring, signature: &[u8], at: SystemTime) -> Result<Good> {
    ring.verify_detached(signature, &mut &CONTENT[..], at)
}

#[track_caller]
fn refused_for(result: Result<Good>, why: &str) {
    let error = result.expect_err(why);
    assert!(error.to_string().contains(why), "'{error}' does not say '{why}'");
    assert_eq!(error.kind().exit_code(), 6);
}

fn binary() -> SignatureBuilder {
    SignatureBuilder::new(SignatureType::Binary)
        .set_hash_algo(HashAlgorithm::SHA256)
        .set_signature_creation_time(now() - days(1))
        .unwrap()
}

#[test]
fn a_good_signature_names_its_signer() {
    let alice = cert("Alice <a@example.org>");
    let good = verify(&keyring(&[&alice]), &sign(&alice, CONTENT), now()).unwrap();
    assert_eq!(good.fingerprint, alice.fingerprint().to_hex());
    assert_eq!(good.signer, "Alice <a@example.org>");
    assert_eq!(good.created, now() - days(1));
}

#[test]
fn only_the_given_certificates_count() {
    let (alice, mallory) = (cert("Alice"), cert("Mallory"));
    let signature = sign(&mallory, CONTENT);
    let ring = keyring(&[&alice]);
    refused_for(verify(&ring, &signature, now()), "which is not trusted");
    let signer = mallory.keys().nth(1).unwrap().key().keyid().to_hex();
    let said = verify(&ring, &signature, now()).unwrap_err().to_string();
    assert!(said.contains(&signer), "{said} names {signer}");
    refused_for(verify(&Keyring::default(), &signature, now()), "not trusted");
}

#[test]
fn altered_content_is_refused() {
    let alice = cert("Alice");
    let signature = sign(&alice, b"something else");
    refused_for(verify(&keyring(&[&alice]), &signature, now()), "altered");
}

#[test]
fn a_revoked_key_is_refused_hard_or_soft() {
    for reason in [ReasonForRevocation::KeyCompromised, ReasonForRevocation::KeyRetired] {
        let alice = cert("Alice");
        let signature = sign(&alice, CONTENT);
        let mut signer = alice.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
        let revocation = CertRevocationBuilder::new()
            .set_signature_creation_time(now() - Duration::from_secs(60))
            .unwrap()
            .set_reason_for_revocation(reason, b"")
            .unwrap()
            .build(&mut signer, &alice, None)
            .unwrap();
        let revoked = alice.clone().insert_packets(revocation).unwrap().0;
        let result = verify(&keyring(&[&revoked]), &signature, now());
        refused_for(result, &format!("key {} is revoked", alice.fingerprint()));
    }
}

#[test]
fn a_revoked_subkey_is_refused() {
    let alice = cert("Alice");
    let signature = sign(&alice, CONTENT);
    let mut signer = alice.primary_key().key().clone().parts_into_secret().unwrap().into_keypair().unwrap();
    let subkey = alice.keys().subkeys().next().unwrap();
    let revocation = SubkeyRevocationBuilder::new()
        .set_signature_creation_time(now() - Duration::from_secs(60))
        .unwrap()
        .build(&mut signer, &alice, subkey.key(), None)
        .unwrap();
    let revoked =
        alice.clone().insert_packets([openpgp::Packet::from(subkey.key().clone()), revocation.into()]).unwrap().0;
    refused_for(verify(&keyring(&[&revoked]), &signature, now()), "is revoked");
}

#[test]
fn an_expired_key_is_refused_by_todays_clock() {
    let short = builder("Alice").set_validity_period(days(110)).generate().unwrap().0;
    let signature = sign(&short, CONTENT);
    let ring = keyring(&[&short]);
    verify(&ring, &signature, now()).unwrap();
    let later = verify(&ring, &signature, now() + days(20));
    refused_for(later, "expired on 2026-06-07 (this machine's clock says 2026-06-17)");
    let earlier = verify(&ring, &signature, now() - days(200));
    assert!(earlier.is_err());
}

#[test]
fn an_expired_subkey_is_refused() {
    let alice = CertBuilder::new()
        .add_userid("Alice")
        .set_creation_time(now() - days(100))
        .add_subkey(KeyFlags::empty().set_signing(), days(110), None)
        .generate()
        .unwrap()
        .0;
    let signature = sign(&alice, CONTENT);
    verify(&keyring(&[&alice]), &signature, now()).unwrap();
    refused_for(verify(&keyring(&[&alice]), &signature, now() + days(20)), "expired on");
}

#[test]
fn times_of_the_signature_itself() {
    let alice = cert("Alice");
    let ring = keyring(&[&alice]);
    let ahead = |seconds: u64| {
        let at = now() + Duration::from_secs(seconds);
        sign_with(&alice, CONTENT, binary().set_signature_creation_time(at).unwrap())
    };
    verify(&ring, &ahead(500), now()).unwrap();
    refused_for(verify(&ring, &ahead(700), now()), "from the future");
    let short = binary().set_signature_validity_period(days(2)).unwrap();
    let short = sign_with(&alice, CONTENT, short);
    verify(&ring, &short, now()).unwrap();
    refused_for(verify(&ring, &short, now() + days(3)), "the signature expired on");
}

#[test]
fn weak_or_odd_signatures_are_refused() {
    let alice = cert("Alice");
    let ring = keyring(&[&alice]);
    let weak = sign_with(&alice, CONTENT, binary().set_hash_algo(HashAlgorithm::SHA1));
    refused_for(verify(&ring, &weak, now()), "digest SHA1 or its form is too weak");
    let text = SignatureBuilder::new(SignatureType::Text).set_signature_creation_time(now() - days(1)).unwrap();
    refused_for(verify(&ring, &sign_with(&alice, CONTENT, text), now()), "not a signature over a file");
}

#[test]
fn a_key_that_is_not_for_signing_is_refused() {
    let alice = builder("Alice").add_transport_encryption_subkey().generate().unwrap().0;
    let mut signature = sign(&alice, CONTENT);
    let ring = keyring(&[&alice]);
    verify(&ring, &signature, now()).unwrap();
    // The same signature, claimed by the encryption subkey.
    let handle = |flags: fn(&KeyFlags) -> bool| {
        let policy = StandardPolicy::new();
        let valid = alice.with_policy(&policy, now()).unwrap();
        let key = valid.keys().subkeys().find(|k| k.key_flags().is_some_and(|f| flags(&f))).unwrap();
        (key.key().fingerprint().as_bytes().to_vec(), key.key().keyid().as_bytes().to_vec())
    };
    let (signing, encryption) = (handle(KeyFlags::for_signing), handle(KeyFlags::for_transport_encryption));
    for (from, to) in [(&signing.0, &encryption.0), (&signing.1, &encryption.1)] {
        while let Some(at) = signature.windows(from.len()).position(|w| w == &from[..]) {
            signature[at..at + to.len()].copy_from_slice(to);
        }
    }
    refused_for(verify(&ring, &signature, now()), "not meant for signing");
}

#[test]
fn a_blob_is_signatures_and_nothing_else() {
    let (alice, bob) = (cert("Alice"), cert("Bob"));
    let ring = keyring(&[&alice]);
    let good = sign(&alice, CONTENT);
    let two = [sign(&bob, CONTENT), good.clone()].concat();
    verify(&ring, &two, now()).unwrap();
    let mixed = [good.clone(), sign(&alice, b"other")].concat();
    refused_for(verify(&ring, &mixed, now()), "altered");
    let mut armored = ArmorWriter::new(Vec::new(), Armor::Signature).unwrap();
    armored.write_all(&good).unwrap();
    // A byte more inside the packet, and the same length written in more octets.
    let (length, body) = (u8::try_from(good.len() - 2).unwrap(), &good[2..]);
    let longer = [&[0xc2, length + 1], body, b"\0"].concat();
    let wider = [&[0xc2, 0xff, 0, 0, 0, length], body].concat();
    for (blob, why) in [
        (longer, "damaged"),
        (wider, "odd packet length"),
        (Vec::new(), "empty"),
        ([&good[..], b"\0"].concat(), "no OpenPGP packet"),
        ([&good[..], &public(&alice)].concat(), "type 6 among the signatures"),
        ([b"junk", &good[..]].concat(), "no OpenPGP packet"),
        (good[..good.len() - 1].to_vec(), "cut off"),
        (armored.finalize().unwrap(), "armored"),
        (good.repeat(17), "more than 16"),
    ] {
        refused_for(verify(&ring, &blob, now()), why);
    }
}

#[test]
fn no_byte_of_a_signature_can_be_changed() {
    let alice = cert("Alice");
    let ring = keyring(&[&alice]);
    let good = sign(&alice, CONTENT);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(verify(&ring, &bad, now()).is_err(), "byte {at}, bit {bit}");
        }
    }
}

/// gpg names the issuer in the part that no digest covers; that is all that may stand there.
#[test]
fn nothing_unsigned_rides_along() {
    use openpgp::packet::signature::subpacket::{Subpacket, SubpacketValue};
    let (alice, bob) = (cert("Alice"), cert("Bob"));
    let ring = keyring(&[&alice]);
    let signature = packets::split(&sign(&alice, CONTENT)).unwrap().remove(0);
    let with = |added: Vec<(SubpacketValue, bool)>| {
        let mut signature = signature.clone();
        for (value, critical) in added {
            signature.unhashed_area_mut().add(Subpacket::new(value, critical).unwrap()).unwrap();
        }
        openpgp::Packet::from(signature).to_vec().unwrap()
    };
    let issuer = |c: &Cert| SubpacketValue::Issuer(c.keys().nth(1).unwrap().key().keyid());
    let print = |c: &Cert| SubpacketValue::IssuerFingerprint(c.keys().nth(1).unwrap().key().fingerprint());
    let as_gpg = with(vec![(issuer(&alice), false)]);
    verify(&ring, &as_gpg, now()).unwrap();
    verify(&ring, &with(vec![(issuer(&alice), false), (print(&alice), false)]), now()).unwrap();
    for added in [
        vec![(issuer(&bob), false)],
        vec![(issuer(&alice), true)],
        vec![(issuer(&alice), false), (issuer(&alice), false)],
        vec![(SubpacketValue::PolicyURI(b"x".to_vec()), false)],
    ] {
        refused_for(verify(&ring, &with(added), now()), "data that nobody signed");
    }
    for at in 0..as_gpg.len() {
        for bit in 0..8 {
            let mut bad = as_gpg.clone();
            bad[at] ^= 1 << bit;
            assert!(verify(&ring, &bad, now()).is_err(), "byte {at}, bit {bit}");
        }
    }
}

#[test]
fn keyrings_in_every_form() {
    let (alice, bob) = (cert("Alice"), cert("Bob"));
    let armor = |c: &Cert| {
        let mut writer = ArmorWriter::new(Vec::new(), Armor::PublicKey).unwrap();
        writer.write_all(&public(c)).unwrap();
        writer.finalize().unwrap()
    };
    let prints = |ring: &Keyring| -> Vec<String> { ring.certs(now()).into_iter().map(|c| c.fingerprint).collect() };
    let both = vec![alice.fingerprint().to_hex(), bob.fingerprint().to_hex()];
    for bytes in [[public(&alice), public(&bob)].concat(), [armor(&alice), armor(&bob)].concat()] {
        let ring = Keyring::parse(&bytes).unwrap();
        assert_eq!(prints(&ring), both);
        assert_eq!(prints(&Keyring::parse(&ring.to_bytes().unwrap()).unwrap()), both);
        assert_eq!(prints(&ring.only(&both[1]).unwrap()), both[1..]);
        assert!(ring.only("00").is_none());
    }
    assert!(Keyring::parse(b"").unwrap().is_empty());
    let secret = alice.as_tsk().to_vec().unwrap();
    assert!(Keyring::parse(&secret).unwrap_err().to_string().contains("secret key"));
    let junk = [public(&alice), b"junk".to_vec()].concat();
    for wrong in [b"junk".to_vec(), junk, sign(&alice, CONTENT)] {
        assert!(Keyring::parse(&wrong).is_err());
    }
    let mut merged = keyring(&[&alice]);
    merged.extend(keyring(&[&alice, &bob])).unwrap();
    assert_eq!(prints(&merged), both);
}

proptest! {
    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = Keyring::parse(&bytes);
        let _ = describe(&bytes);
    }
}
