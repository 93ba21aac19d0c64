//! What a hook carries behind its ELF: the packager's `hooks.toml` and the keys it trusts.
//!
//! ```text
//! ELF | hooks.toml | certificates | u64le len(hooks.toml) | u64le len(certificates)
//!     | SHA-256(hooks.toml certificates) | "DEBSEAL1"
//! ```
//!
//! The kernel ignores bytes behind an ELF's segments, so one published hook binary serves every
//! package, and the policy is still there in `postrm` after everything else is gone.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use host::{IoContext, Result};
use sha2::{Digest, Sha256};

use crate::refuse::refused;

const MAGIC: &[u8; 8] = b"DEBSEAL1";
const FOOTER: usize = 8 + 8 + 32 + 8;
/// More than this is no policy and no keyring, but an attempt to exhaust memory.
const MAX_PART: u64 = 8 << 20;

/// The two parts of a trailer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trailer {
    /// `hooks.toml` as it was sealed in.
    pub policy: Vec<u8>,
    /// Binary OpenPGP certificates, one after the other; may be empty.
    pub keyring: Vec<u8>,
}

impl Trailer {
    fn length(&self) -> usize {
        self.policy.len() + self.keyring.len() + FOOTER
    }
}

/// The ELF with policy and keyring behind it.
pub fn append(elf: &[u8], policy: &[u8], keyring: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(elf.len() + policy.len() + keyring.len() + FOOTER);
    out.extend_from_slice(elf);
    out.extend_from_slice(policy);
    out.extend_from_slice(keyring);
    out.extend_from_slice(&(policy.len() as u64).to_le_bytes());
    out.extend_from_slice(&(keyring.len() as u64).to_le_bytes());
    out.extend_from_slice(&digest(policy, keyring));
    out.extend_from_slice(MAGIC);
    out
}

/// Reads the trailer at the end of `file`, without reading the rest; `None` if it has none.
pub fn read(file: &Path) -> Result<Option<Trailer>> {
    let doing = || format!("cannot read {}", file.display());
    let mut open = File::open(file).doing(doing)?;
    let length = open.metadata().doing(doing)?.len();
    from(&mut open, length).map_err(|e| e.context(file.display()))
}

/// Reads the trailer at the end of `bytes`; `None` if there is none.
pub fn parse(bytes: &[u8]) -> Result<Option<Trailer>> {
    from(&mut std::io::Cursor::new(bytes), bytes.len() as u64)
}

/// The bytes before the trailer; all of them if there is none.
pub fn strip(bytes: &[u8]) -> Result<&[u8]> {
    Ok(match parse(bytes)? {
        None => bytes,
        Some(trailer) => &bytes[..bytes.len() - trailer.length()],
    })
}

fn from(source: &mut (impl Read + Seek), length: u64) -> Result<Option<Trailer>> {
    if length < FOOTER as u64 {
        return Ok(None);
    }
    let doing = || "cannot read the sealed policy";
    let mut footer = [0; FOOTER];
    source.seek(SeekFrom::Start(length - FOOTER as u64)).doing(doing)?;
    source.read_exact(&mut footer).doing(doing)?;
    if !footer.ends_with(MAGIC) {
        return Ok(None);
    }
    let size = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&footer[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let (policy, keyring) = (size(0), size(8));
    let room = length - FOOTER as u64;
    if policy > MAX_PART || keyring > MAX_PART || policy + keyring > room {
        return Err(refused("the sealed policy is damaged: its lengths are impossible"));
    }
    source.seek(SeekFrom::Start(room - policy - keyring)).doing(doing)?;
    let mut part = |size: u64| {
        let mut bytes = vec![0; size as usize];
        source.read_exact(&mut bytes).doing(doing)?;
        Ok::<_, host::Error>(bytes)
    };
    let trailer = Trailer { policy: part(policy)?, keyring: part(keyring)? };
    if digest(&trailer.policy, &trailer.keyring)[..] != footer[16..48] {
        return Err(refused("the sealed policy is damaged: its digest does not match"));
    }
    Ok(Some(trailer))
}

fn digest(policy: &[u8], keyring: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(policy).chain_update(keyring).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn read_back_from_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("preinst");
        std::fs::write(&file, append(b"\x7fELF...", b"x = 1\n", b"keys")).unwrap();
        let trailer = read(&file).unwrap().unwrap();
        assert_eq!((&trailer.policy[..], &trailer.keyring[..]), (&b"x = 1\n"[..], &b"keys"[..]));
        std::fs::write(&file, b"#!/bin/sh\n").unwrap();
        assert_eq!(read(&file).unwrap(), None);
        assert!(read(&dir.path().join("none")).unwrap_err().to_string().contains("none"));
    }

    #[test]
    fn any_altered_byte_is_found() {
        let good = append(b"ELF", b"policy", b"keyring");
        for at in 3..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            // A changed magic is no trailer at all, which every reader of a sealed hook refuses.
            assert!(!matches!(parse(&bad), Ok(Some(_))), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(elf: Vec<u8>, policy: Vec<u8>, keyring: Vec<u8>) {
            let whole = append(&elf, &policy, &keyring);
            prop_assert_eq!(strip(&whole).unwrap(), &elf[..]);
            prop_assert_eq!(parse(&whole).unwrap(), Some(Trailer { policy, keyring }));
        }

        #[test]
        fn never_panics(mut bytes: Vec<u8>, magic: bool) {
            if magic {
                bytes.extend_from_slice(MAGIC);
            }
            let _ = parse(&bytes);
        }
    }
}
