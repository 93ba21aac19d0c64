//! File names are bytes; JSON and messages are text. Between them stands one escape: what is not
//! printable UTF-8, and the backslash itself, is written `\xNN`. It is lossless both ways.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The path as text.
pub fn escape(path: &Path) -> String {
    let mut out = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' || c.is_control() {
                let mut buffer = [0; 4];
                c.encode_utf8(&mut buffer).bytes().for_each(|b| push(&mut out, b));
            } else {
                out.push(c);
            }
        }
        chunk.invalid().iter().for_each(|b| push(&mut out, *b));
    }
    out
}

fn push(out: &mut String, byte: u8) {
    // Writing to a String never fails.
    let _ = write!(out, "\\x{byte:02x}");
}

/// The path that [`escape`] wrote; `None` for a backslash that begins no `\xNN`.
pub fn unescape(text: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first != b'\\' {
            bytes.push(*first);
            rest = tail;
            continue;
        }
        let [b'x', high, low, tail @ ..] = tail else {
            return None;
        };
        let digit = |b: &u8| char::from(*b).to_digit(16);
        bytes.push(u8::try_from(digit(high)? * 16 + digit(low)?).ok()?);
        rest = tail;
    }
    Some(PathBuf::from(OsString::from_vec(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn every_name_comes_back() {
        for name in [&b"/etc/a b"[..], b"/x\\y", b"/\xff\xfe", b"/new\nline", "/ü".as_bytes(), b"\\x41", b""] {
            let path = Path::new(OsStr::from_bytes(name));
            let text = escape(path);
            assert!(!text.chars().any(char::is_control), "{text}");
            assert_eq!(unescape(&text).as_deref(), Some(path), "{text}");
        }
        assert_eq!(escape(Path::new("/ü b")), "/ü b");
        assert_eq!(unescape("\\"), None);
        assert_eq!(unescape("\\xg0"), None);
    }
}
