//! Debian versions and their order, as dpkg sees it (deb-version(7), Policy 5.6.12).

use std::cmp::Ordering;
use std::fmt;

use host::{Error, Result};

/// A Debian version: `[epoch:]upstream[-revision]`.
///
/// Equality is dpkg's: `1.0`, `0:1.0` and `1.00` are the same version.
#[derive(Debug, Clone)]
pub struct Version {
    text: String,
    epoch: u32,
    upstream: String,
    revision: String,
}

impl Version {
    /// Takes a version apart; refuses what `dpkg --validate-version` refuses.
    pub fn parse(text: &str) -> Result<Self> {
        let wrong = |why: &str| Error::new(format!("'{text}' is not a Debian version: {why}"));
        let (epoch, rest) = match text.split_once(':') {
            None => (0, text),
            Some((number, rest)) => {
                let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
                let epoch = number.parse::<i32>().ok().filter(|_| digits);
                (epoch.ok_or_else(|| wrong("its epoch is not a number"))? as u32, rest)
            }
        };
        let (upstream, revision) = match rest.rsplit_once('-') {
            None => (rest, ""),
            Some((_, "")) => return Err(wrong("its revision is empty")),
            Some(parts) => parts,
        };
        if !upstream.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(wrong("it does not begin with a digit"));
        }
        let allowed = |c: char, more: &str| c.is_ascii_alphanumeric() || more.contains(c);
        if !upstream.chars().all(|c| allowed(c, ".-+~:")) || !revision.chars().all(|c| allowed(c, ".+~")) {
            return Err(wrong("it holds a character that versions can't have"));
        }
        Ok(Self { text: text.to_owned(), epoch, upstream: upstream.to_owned(), revision: revision.to_owned() })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| part(self.upstream.as_bytes(), other.upstream.as_bytes()))
            .then_with(|| part(self.revision.as_bytes(), other.revision.as_bytes()))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

/// Compares two versions given as text; an error if either is none.
pub fn compare(a: &str, b: &str) -> Result<Ordering> {
    Ok(Version::parse(a)?.cmp(&Version::parse(b)?))
}

/// Letters sort before other characters, `~` before everything, even the end.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        None => 0,
        Some(b) if b.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(b) if b.is_ascii_alphabetic() => i32::from(*b),
        Some(b) => i32::from(*b) + 256,
    }
}

/// Compares by turns a stretch of non-digits and a number.
fn part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    let text = |s: &[u8]| s.first().is_some_and(|c| !c.is_ascii_digit());
    while !a.is_empty() || !b.is_empty() {
        while text(a) || text(b) {
            match weight(a.first()).cmp(&weight(b.first())) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
            a = a.get(1..).unwrap_or_default();
            b = b.get(1..).unwrap_or_default();
        }
        let (x, y) = (number(&mut a), number(&mut b));
        match x.len().cmp(&y.len()).then_with(|| x.cmp(y)) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

/// Takes the digits in front, without leading zeros: of any length, so nothing overflows.
fn number<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let end = rest.iter().position(|c| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, tail) = rest.split_at(end);
    *rest = tail;
    let zeros = digits.iter().take_while(|c| **c == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests;
