//! Where a package comes from, as its packager says: part of the manifest, so that both signatures cover
//! it. Nothing is judged by it; it tells whoever builds the package again what to build it from.
//!
//! ```text
//! {"format":1,"package":"demo",…,"source_date":1795419982,"provenance":{"commit":"…","toolchain":"…"},
//! ```
//!
//! Readers that don't know the field skip it, as the format allows: the hooks do.

use std::collections::BTreeMap;

use host::{Error, Kind, Result};
use serde::Deserialize;

use crate::manifest::Manifest;

/// Names and values are for people to read; more is no provenance.
const MAX_VALUE: usize = 256;
const MAX_FACTS: usize = 32;

/// Facts such as `commit` and `toolchain`, in the order of their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance(BTreeMap<String, String>);

impl Provenance {
    /// From words such as `commit=0123abcd`.
    ///
    /// # Errors
    /// A word without `=`, a name that is not `[a-z][a-z0-9-]*` or is there twice, a value that is empty,
    /// longer than 256 bytes, or holds a control character: a usage error.
    pub fn of<S: AsRef<str>>(words: &[S]) -> Result<Self> {
        let mut facts = BTreeMap::new();
        for word in words.iter().map(AsRef::as_ref) {
            let wrong = |why: &str| Error::of(Kind::Usage, format!("--provenance {}: {why}", word.escape_debug()));
            let (name, value) = word.split_once('=').ok_or_else(|| wrong("it must be NAME=VALUE"))?;
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
                return Err(wrong("a name is of a-z, 0-9 and hyphens, and begins with a letter"));
            }
            if value.is_empty() || value.len() > MAX_VALUE || value.chars().any(char::is_control) {
                return Err(wrong("a value is one line of 1 to 256 bytes"));
            }
            if facts.insert(name.to_owned(), value.to_owned()).is_some() {
                return Err(wrong("this name is there twice"));
            }
        }
        match facts.len() > MAX_FACTS {
            true => Err(Error::of(Kind::Usage, format!("--provenance: more than {MAX_FACTS} facts"))),
            false => Ok(Self(facts)),
        }
    }

    /// What the text of a manifest says; nothing where it says nothing, or nothing that is understood.
    pub fn read(manifest: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Head {
            #[serde(default)]
            provenance: BTreeMap<String, String>,
        }
        Self(serde_json::from_slice::<Head>(manifest).map(|head| head.provenance).unwrap_or_default())
    }

    /// The bytes of the manifest with these facts in its first line.
    pub fn write(&self, manifest: &Manifest) -> Result<Vec<u8>> {
        let bytes = manifest.to_bytes()?;
        if self.0.is_empty() {
            return Ok(bytes);
        }
        let broken = |what: &str| Error::new(format!("cannot write the manifest: {what}"));
        let facts = serde_json::to_string(&self.0).map_err(|e| broken(&e.to_string()))?;
        // Each entry has a line of its own, and the first line is all the rest.
        let end = bytes.windows(2).position(|w| w == b",\n").ok_or_else(|| broken("it has no first line"))?;
        Ok([&bytes[..end], format!(",\"provenance\":{facts}").as_bytes(), &bytes[end..]].concat())
    }

    /// Names and values.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::sample;

    #[test]
    fn it_is_in_the_first_line_and_every_reader_reads_the_rest() {
        let facts = Provenance::of(&["toolchain=rustc 1.90 (\"x\")", "commit=0123abcd"]).unwrap();
        let bytes = facts.write(&sample()).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let first = text.lines().next().unwrap();
        assert!(first.ends_with(r#","provenance":{"commit":"0123abcd","toolchain":"rustc 1.90 (\"x\")"},"#), "{first}");
        assert_eq!(Manifest::parse(&bytes).unwrap(), sample());
        assert_eq!(Provenance::read(&bytes), facts);
        let none = Provenance::default();
        assert_eq!(none.write(&sample()).unwrap(), sample().to_bytes().unwrap());
        assert_eq!(Provenance::read(&sample().to_bytes().unwrap()), none);
        assert_eq!(Provenance::read(b"{\"provenance\":7}"), none);
    }

    #[test]
    fn what_is_no_fact() {
        let long = format!("commit={}", "x".repeat(257));
        for (word, why) in [
            ("commit", "NAME=VALUE"),
            ("=x", "a name is of"),
            ("Commit=x", "a name is of"),
            ("a b=x", "a name is of"),
            ("commit=", "one line"),
            ("commit=a\nb", "one line"),
            (&long, "one line"),
        ] {
            let error = Provenance::of(&[word]).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(error.kind(), Kind::Usage);
        }
        assert!(Provenance::of(&["a=1", "a=2"]).unwrap_err().to_string().contains("twice"));
    }
}
