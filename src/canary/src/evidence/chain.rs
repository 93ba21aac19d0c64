//! The form of a bundle: one JSON object a line, each with the digest of the line before it, as the phase history has
//! it; the last line seals the others. Pure.
//!
//! Text of lines rather than an archive: a tar has padding, times and sizes that may be changed without anyone being
//! told, and this can be read with nothing but `jq`. Every line has to be exactly as this version would write it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use host::files::sha256;
use host::{Error, Kind, Result};
use serde::{Deserialize, Serialize};

/// Version of the form.
const FORMAT: u64 = 1;

/// A file in the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, such as `facts.json`.
    pub name: String,
    /// What it holds.
    pub content: String,
}

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    n: usize,
    previous: Option<String>,
    name: String,
    content: String,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seal {
    format: u64,
    lines: usize,
    head: String,
    /// A detached OpenPGP signature over every byte before this line, in base64.
    signature: Option<String>,
}

/// A bundle that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// What it holds, in its order.
    pub entries: Vec<Entry>,
    /// The bytes that a signature covers.
    pub covered: Vec<u8>,
    /// The signature, if it has one.
    pub signature: Option<Vec<u8>>,
}

impl Bundle {
    /// A bundle of these files, not signed.
    ///
    /// # Errors
    /// A file's name is there twice.
    pub fn of(entries: Vec<Entry>) -> Result<Self> {
        let mut covered = Vec::new();
        let mut previous = None;
        for (index, Entry { name, content }) in entries.iter().enumerate() {
            if entries[..index].iter().any(|e| e.name == *name) {
                return Err(Error::new(format!("two files of the bundle are named {name}")));
            }
            let line = Line { n: index + 1, previous, name: name.clone(), content: content.clone() };
            let text = text(&line)?;
            previous = Some(sha256(text.as_bytes()));
            covered.extend_from_slice(text.as_bytes());
            covered.push(b'\n');
        }
        Ok(Self { entries, covered, signature: None })
    }

    /// As it is written to a file.
    ///
    /// # Errors
    /// It is empty.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        let body = self.covered.strip_suffix(b"\n").ok_or_else(|| Error::new("the bundle is empty"))?;
        let last = body.rsplit(|b| *b == b'\n').next().unwrap_or_default();
        let signature = self.signature.as_ref().map(|bytes| STANDARD.encode(bytes));
        let seal = Seal { format: FORMAT, lines: self.entries.len(), head: sha256(last), signature };
        let mut out = self.covered.clone();
        out.extend_from_slice(text(&seal)?.as_bytes());
        out.push(b'\n');
        Ok(out)
    }

    /// Understands a file. That it is whole says nothing of who made it.
    ///
    /// # Errors
    /// [`Kind::SignatureRefused`], naming the line at which it is not as it was written.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let altered =
            |line: usize, why: &str| Error::of(Kind::SignatureRefused, format!("line {line} was altered: {why}"));
        let body = bytes.strip_suffix(b"\n").ok_or_else(|| Error::of(Kind::SignatureRefused, "the end is missing"))?;
        let lines: Vec<&[u8]> = body.split(|b| *b == b'\n').collect();
        let Some((last, all)) = lines.split_last() else { return Err(altered(1, "there is none")) };
        let mut entries = Vec::new();
        for (index, bytes) in all.iter().enumerate() {
            let number = index + 1;
            let line: Line = serde_json::from_slice(bytes).map_err(|e| altered(number, &e.to_string()))?;
            entries.push(Entry { name: line.name, content: line.content });
        }
        let number = lines.len();
        let seal: Seal = serde_json::from_slice(last).map_err(|e| altered(number, &e.to_string()))?;
        if seal.format != FORMAT {
            let why = format!("the bundle is of format {}, and this version knows {FORMAT}", seal.format);
            return Err(Error::of(Kind::SignatureRefused, why));
        }
        let decode = |text: String| STANDARD.decode(text).map_err(|e| altered(number, &e.to_string()));
        let bundle = Self { signature: seal.signature.map(decode).transpose()?, ..Self::of(entries)? };
        // Written again it has to be the same, byte for byte: so numbers, digests and spaces are checked as well.
        let again = bundle.bytes()?;
        if again == bytes {
            return Ok(bundle);
        }
        let differs = again.split(|b| *b == b'\n').zip(bytes.split(|b| *b == b'\n')).position(|(a, b)| a != b);
        Err(altered(
            differs.map_or(number, |index| index + 1),
            "it is not as it was written, or does not follow the line before it",
        ))
    }

    /// The content of a file.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn get(&self, name: &str) -> Result<&str> {
        let found = self.entries.iter().find(|e| e.name == name).map(|e| e.content.as_str());
        found.ok_or_else(|| Error::of(Kind::SignatureRefused, format!("the bundle has no {name}")))
    }
}

fn text(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|e| Error::new(format!("cannot write JSON: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        let entry = |name: &str, content: &str| Entry { name: name.into(), content: content.into() };
        vec![entry("bundle.json", "{}"), entry("ä \"b\"\n", "one\ntwo\t\u{1}"), entry("empty", "")]
    }

    #[test]
    fn what_is_written_is_read() {
        let mut bundle = Bundle::of(entries()).unwrap();
        assert_eq!(Bundle::parse(&bundle.bytes().unwrap()).unwrap(), bundle);
        bundle.signature = Some((0..=255).collect());
        assert_eq!(Bundle::parse(&bundle.bytes().unwrap()).unwrap(), bundle);
        assert_eq!(bundle.get("empty").unwrap(), "");
        assert!(bundle.get("x").unwrap_err().to_string().contains("no x"));
        assert!(Bundle::of([entries(), entries()].concat()).is_err());
        assert!(Bundle::of(Vec::new()).unwrap().bytes().is_err());
    }

    #[test]
    fn every_bit_counts_even_without_a_signature() {
        let mut bundle = Bundle::of(entries()).unwrap();
        bundle.signature = Some(b"any bytes".to_vec());
        let bytes = bundle.bytes().unwrap();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                // What a signature says is for whoever verifies it; nothing else may pass.
                let passed =
                    Bundle::parse(&other).is_ok_and(|b| b.covered == bundle.covered && b.signature == bundle.signature);
                assert!(!passed, "byte {at}, bit {bit}");
                if let Ok(read) = Bundle::parse(&other) {
                    assert_ne!(read.signature, bundle.signature, "byte {at}, bit {bit}");
                    assert_eq!(read.covered, bundle.covered);
                }
            }
        }
        for less in 0..bytes.len() {
            assert!(Bundle::parse(&bytes[..less]).is_err(), "cut after {less}");
        }
        assert!(Bundle::parse(&[&bytes[..], b"\n"].concat()).is_err());
        assert!(Bundle::parse(b"").is_err());
    }
}
