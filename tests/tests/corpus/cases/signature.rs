//! The signatures: over something else, by somebody else, in odd wrappings, of odd times.

use openpgp::packet::signature::SignatureBuilder;
use openpgp::packet::signature::subpacket::{Subpacket, SubpacketValue};
use openpgp::packet::{Literal, Marker};
use openpgp::parse::Parse;
use openpgp::serialize::MarshalInto;
use openpgp::types::{HashAlgorithm, SignatureType};
use openpgp::{Cert, Packet};
use sequoia_openpgp as openpgp;

use super::{By, Case, Desk};
use crate::bytes::{Ar, program};
use crate::keys::{ago, binary, days, of_type, packet, sign, sign_with};

pub fn cases(desk: &Desk) -> Vec<Case> {
    let (good, release, other) = (desk.demo(), &desk.release, &desk.other);
    let evil = || desk.demo().data(|tar| tar.change("./usr/bin/demo", |_| program("./usr/bin/demo", b"evil\n")));
    let of = |by, name, why, deb| Case::new("signature", by, name, why, deb);
    let forged = |name, why, edit: &dyn Fn(&mut Ar)| of(By::Forger, name, why, good.spoiled(edit));
    // What is in the place of the signature over the file, made from the good one.
    let blob = |name, why, make: &dyn Fn(Vec<u8>) -> Vec<u8>| {
        forged(name, why, &|ar| ar.members[3].content = make(ar.members[3].content.clone()))
    };
    let keyed = |name, why, sign: fn(&Cert, &[u8]) -> Vec<u8>| {
        let key = release.clone();
        of(By::Key, name, why, desk.demo().sign(move |content: &[u8]| sign(&key, content)).build())
    };
    let second = |with: &Cert, content: &'static [u8]| sign(with, content);
    let by_other = other.clone();
    let mixed = other.clone();
    let newer = crate::package::Package::new("demo", "2.0", release);
    vec![
        of(By::Forger, "none at all", "it is not signed", desk.demo().unsigned().build()),
        of(By::Forger, "none over the file", "it is not signed", good.spoiled(|ar| drop(ar.members.pop()))),
        of(By::Forger, "both by another", "not trusted", desk.demo().sign(move |c: &[u8]| sign(&by_other, c)).build()),
        of(By::Forger, "over the file by another", "not trusted", {
            let key = mixed.clone();
            desk.demo().sign_file(move |c| sign(&key, c)).build()
        }),
        of(
            By::Key,
            "over the manifest by another",
            "not trusted",
            desk.demo().sign_manifest(move |c| sign(&mixed, c)).build(),
        ),
        of(By::Key, "over another manifest", "was altered", {
            let key = release.clone();
            desk.demo().sign_manifest(move |c| sign(&key, &[c, b" "].concat())).build()
        }),
        of(By::Key, "over the manifest: empty", "is empty", desk.demo().sign_manifest(|_| Vec::new()).build()),
        forged("a byte of the payload", "was altered", &|ar| ar.members[2].content[600] ^= 1),
        forged("a byte of the control archive", "", &|ar| {
            let at = ar.members[1].content.len() - 2000;
            ar.members[1].content[at] ^= 1;
        }),
        forged("a byte behind the payload", "was altered", &|ar| ar.members[2].content.extend([0, 0])),
        forged("the payload of another", "was altered", &|ar| ar.members[2] = evil().ar().members[2].clone()),
        forged("the payload of a newer version", "was altered", &|ar| ar.members[2].content.extend([0; 512])),
        forged("the control archive of a newer version", "was altered", &|ar| {
            ar.members[1] = newer.ar().members[1].clone()
        }),
        forged("the signature of a newer version", "was altered", &|ar| ar.members[3] = newer.ar().members[3].clone()),
        forged("the signature over the manifest in place of that over the file", "was altered", &|ar| {
            ar.members[3].content = sign(release, b"another text");
        }),
        forged("the same bytes cut at another place", "", &|ar| {
            // What is signed is the three members one after the other.
            let moved = ar.members[2].content.drain(..512).collect::<Vec<u8>>();
            ar.members[1].content.extend(moved);
        }),
        blob("junk", "no OpenPGP packet", &|_| b"junk".to_vec()),
        blob("zeros", "no OpenPGP packet", &|s| vec![0; s.len()]),
        blob("cut off", "cut off", &|s| s[..s.len() - 2].to_vec()),
        blob("the last byte another", "altered", &|mut s| {
            let at = s.len() - 1;
            s[at] ^= 1;
            s
        }),
        blob("something behind it", "no OpenPGP packet", &|s| [&s[..], b"\0\0"].concat()),
        blob("something in front", "no OpenPGP packet", &|s| [b"  ", &s[..]].concat()),
        blob("in armor", "is armored", &|s| armor(&s)),
        blob("two in one armor", "is armored", &|s| armor(&[second(other, b"x"), s].concat())),
        blob("its length in five bytes", "odd packet length", &|s| lengthened(&s)),
        blob("a length of parts", "odd packet length", &|s| [&[0xc2, 0xe0], &s[2..]].concat()),
        blob("a certificate beside it", "type 6", &|s| [s, crate::keys::public(release)].concat()),
        blob("a marker in front", "type 10", &|s| [packet(Marker::default()), s].concat()),
        blob("a text beside it", "type 11", &|s| {
            [s, packet(Literal::new(openpgp::types::DataFormat::Binary))].concat()
        }),
        blob("17 of them", "more than 16", &|s| s.repeat(17)),
        blob("one by another besides, over other content", "", &|s| [s, second(release, b"other")].concat()),
        blob("one by a trusted key over other content", "altered", &|_| second(release, b"other")),
        blob("two by strangers", "not trusted", &|_| [second(other, b"x"), second(other, b"y")].concat()),
        blob("words that nobody signed", "nobody signed", &|s| {
            with_unhashed(&s, SubpacketValue::PolicyURI(b"https://example.org/good".to_vec()))
        }),
        blob("another issuer that nobody signed", "nobody signed", &|s| {
            with_unhashed(&s, SubpacketValue::Issuer(other.keyid()))
        }),
        blob("a name that is not its own", "", &|_| {
            // The stranger's signature says that the trusted key made it.
            let key = release.primary_key().key();
            let claim = binary().set_issuer_fingerprint(key.fingerprint()).unwrap().set_issuer(key.keyid()).unwrap();
            sign_with(other, b"x", claim)
        }),
        keyed("by SHA-1", "too weak", |key, c| sign_with(key, c, binary().set_hash_algo(HashAlgorithm::SHA1))),
        keyed("over a text", "not a signature over a file", |key, c| sign_with(key, c, of_type(SignatureType::Text))),
        keyed("over nothing", "not a signature over a file", |key, c| {
            sign_with(key, c, of_type(SignatureType::Standalone))
        }),
        keyed("a confirmation", "not a signature over a file", |key, c| {
            sign_with(key, c, of_type(SignatureType::Confirmation))
        }),
        keyed("from tomorrow", "from the future", |key, c| {
            at(key, c, |b| b.set_signature_creation_time(std::time::SystemTime::now() + days(1)).unwrap())
        }),
        keyed("from before its key", "older than its key", |key, c| {
            at(key, c, |b| b.set_signature_creation_time(ago(200)).unwrap())
        }),
        keyed("expired", "signature expired", |key, c| {
            at(key, c, |b| {
                b.set_signature_creation_time(ago(3)).unwrap().set_signature_validity_period(days(1)).unwrap()
            })
        }),
        keyed("with a critical word that nobody knows", "too weak", |key, c| {
            at(key, c, |b| b.set_notation("must@example.org", b"x", None, true).unwrap())
        }),
    ]
}

fn at(key: &Cert, content: &[u8], change: fn(SignatureBuilder) -> SignatureBuilder) -> Vec<u8> {
    sign_with(key, content, change(binary()))
}

fn armor(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut writer = openpgp::armor::Writer::new(Vec::new(), openpgp::armor::Kind::Signature).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finalize().unwrap()
}

/// The same packet with its length in the longest form.
fn lengthened(signature: &[u8]) -> Vec<u8> {
    let body = &signature[2..];
    [&[0xc2, 0xff][..], &(body.len() as u32).to_be_bytes(), body].concat()
}

fn with_unhashed(signature: &[u8], value: SubpacketValue) -> Vec<u8> {
    let Packet::Signature(mut signature) = Packet::from_bytes(signature).unwrap() else { panic!("it is a signature") };
    signature.unhashed_area_mut().add(Subpacket::new(value, false).unwrap()).unwrap();
    Packet::from(signature).to_vec().unwrap()
}
