//! Paths as text in a manifest: [`host::escape`] on bytes, and canonical, so that one path has
//! exactly one text and no manifest can list a file twice under two spellings.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The text of a path.
pub fn escape(path: &[u8]) -> String {
    host::escape::escape(Path::new(OsStr::from_bytes(path)))
}

/// The path that a text stands for; `None` if it is not what [`escape`] writes.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let path = host::escape::unescape(text)?.into_os_string().into_vec();
    (escape(&path) == text).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn examples() {
        assert_eq!(escape("/usr/share/naïve file".as_bytes()), "/usr/share/naïve file");
        assert_eq!(escape(b"/a\nb\\c\xff\x1b"), "/a\\x0ab\\x5cc\\xff\\x1b");
        for foreign in ["\\", "\\x4", "\\x41", "\\xFF", "a\\y00", "\\x+1", "a\nb"] {
            assert_eq!(unescape(foreign), None, "{foreign:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_survive(bytes: Vec<u8>) {
            prop_assert_eq!(unescape(&escape(&bytes)), Some(bytes));
        }

        #[test]
        fn any_text_is_safe_to_read(text: String) {
            if let Some(bytes) = unescape(&text) {
                prop_assert_eq!(escape(&bytes), text);
            }
        }
    }
}
