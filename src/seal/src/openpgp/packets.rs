//! The outside of a signature blob: packet after packet, nothing between, before or behind them,
//! each in its shortest encoding.

use std::time::SystemTime;

use host::Result;
use sequoia_openpgp as openpgp;

use openpgp::packet::Signature;
use openpgp::packet::signature::subpacket::{SubpacketTag, SubpacketValue};
use openpgp::parse::Parse;
use openpgp::serialize::MarshalInto;
use openpgp::{KeyHandle, Packet};

use super::line;
use crate::refuse::refused;

/// More signatures than this in one blob are an attempt to waste time.
const MAX_SIGNATURES: usize = 16;
const SIGNATURE_TAG: u8 = 2;

/// What a signature says of itself. Nothing of it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureInfo {
    /// Key ids or fingerprints that it names as its issuers.
    pub issuers: Vec<String>,
    /// When it says that it was made.
    pub created: Option<SystemTime>,
    /// Name of its digest algorithm.
    pub hash: String,
}

/// Tells what the signatures in a blob say of themselves, without judging them.
pub fn describe(blob: &[u8]) -> Result<Vec<SignatureInfo>> {
    let info = |sig: Signature| SignatureInfo {
        issuers: sig.get_issuers().iter().map(KeyHandle::to_string).collect(),
        created: sig.signature_creation_time(),
        hash: sig.hash_algo().to_string(),
    };
    Ok(split(blob)?.into_iter().map(info).collect())
}

/// Takes a blob apart into signatures.
pub(super) fn split(blob: &[u8]) -> Result<Vec<Signature>> {
    if blob.is_empty() {
        return Err(refused("the signature is empty"));
    }
    if blob.starts_with(b"-----BEGIN") {
        return Err(refused("the signature is armored; a binary one belongs here"));
    }
    let mut signatures = Vec::new();
    let mut rest = blob;
    while !rest.is_empty() {
        if signatures.len() == MAX_SIGNATURES {
            return Err(refused(format!("there are more than {MAX_SIGNATURES} signatures")));
        }
        let (packet, body, tail) = frame(rest)?;
        rest = tail;
        let parsed =
            Packet::from_bytes(packet).map_err(|e| refused(format!("the signature is damaged: {}", line(&e))))?;
        let Packet::Signature(signature) = parsed else {
            return Err(refused("the signature is damaged: a packet of it can't be read"));
        };
        let again = signature.to_vec().map_err(|e| refused(line(&e)))?;
        if again != body {
            return Err(refused("the signature is damaged: it is not in its canonical encoding"));
        }
        signatures.push(signature);
    }
    Ok(signatures)
}

/// Cuts off the first packet (RFC 9580, 4.2): the packet, its body, and what follows.
fn frame(bytes: &[u8]) -> Result<(&[u8], &[u8], &[u8])> {
    let short = || refused("the signature is cut off");
    let first = *bytes.first().ok_or_else(short)?;
    let at = |i: usize| bytes.get(i).copied().map(usize::from).ok_or_else(short);
    let (tag, header, length, shortest) = match (first & 0xc0, first & 0x3f) {
        (0xc0, tag) => match at(1)? {
            one @ 0..=191 => (tag, 2, one, true),
            two @ 192..=223 => (tag, 3, ((two - 192) << 8) + at(2)? + 192, true),
            _ => return Err(refused("the signature is damaged: odd packet length")),
        },
        (0x80, old) => match old & 3 {
            0 => (old >> 2, 2, at(1)?, true),
            1 => {
                let length = (at(1)? << 8) + at(2)?;
                // gpg writes two octets from 192 on and Sequoia from 256 on: both are in use.
                (old >> 2, 3, length, length >= 192)
            }
            _ => return Err(refused("the signature is damaged: odd packet length")),
        },
        _ => return Err(refused("there is something that is no OpenPGP packet in the signature")),
    };
    if tag != SIGNATURE_TAG {
        return Err(refused(format!("there is an OpenPGP packet of type {tag} among the signatures")));
    }
    if !shortest {
        return Err(refused("the signature is damaged: it is not in its canonical encoding"));
    }
    let end = header + length;
    let packet = bytes.get(..end).ok_or_else(short)?;
    Ok((packet, &packet[header..], &bytes[end..]))
}

/// The part that no digest covers may only name the issuer, and truly.
pub(super) fn check_unhashed(signature: &Signature, handle: &KeyHandle) -> Result<()> {
    let area = signature.unhashed_area();
    let mut seen: Vec<SubpacketTag> = Vec::new();
    let mut size = 0;
    for packet in area.iter() {
        let (truthful, length) = match packet.value() {
            SubpacketValue::Issuer(id) => (handle.aliases(KeyHandle::from(id)), 10),
            SubpacketValue::IssuerFingerprint(fp) => (handle.aliases(KeyHandle::from(fp)), 3 + fp.as_bytes().len()),
            _ => (false, 0),
        };
        if !truthful || packet.critical() || seen.contains(&packet.tag()) {
            return Err(refused("the signature carries data that nobody signed"));
        }
        seen.push(packet.tag());
        size += length;
    }
    let written = area.to_vec().map_err(|e| refused(line(&e)))?;
    if written.len() != size {
        return Err(refused("the signature carries data that nobody signed"));
    }
    Ok(())
}
