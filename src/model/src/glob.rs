//! Shell patterns over a known set of paths (glob(7)): `*`, `?`, `[a-z]`, `[!a-z]`, backslash.

/// Whether the absolute `path` matches the absolute `pattern`, segment by segment: no wildcard
/// crosses a `/`, and none stands for the leading dot of a hidden file.
pub(crate) fn matches_path(pattern: &[u8], path: &[u8]) -> bool {
    let segments = |p: &[u8]| -> Vec<Vec<u8>> {
        let mut out: Vec<Vec<u8>> = Vec::new();
        for part in p.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => drop(out.pop()),
                _ => out.push(part.to_vec()),
            }
        }
        out
    };
    let (pattern, path) = (segments(pattern), segments(path));
    pattern.len() == path.len() && pattern.iter().zip(&path).all(|(p, n)| matches_name(p, n))
}

/// Whether one file name matches. Quadratic at worst: only the last `*` is ever retried.
fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    if name.starts_with(b".") && !pattern.starts_with(b".") && !pattern.starts_with(b"\\.") {
        return false;
    }
    let (mut p, mut n) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            retry = Some((p, n));
        } else if let Some(used) = one(&pattern[p..], name[n]) {
            p += used;
            n += 1;
        } else if let Some((after_star, from)) = retry {
            (p, n) = (after_star, from + 1);
            retry = Some((p, n));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

/// How much of the pattern matches exactly this byte, if it does.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match *pattern.first()? {
        b'?' => Some(1),
        b'[' => match class(pattern, byte) {
            Some((true, used)) => Some(used),
            Some((false, _)) => None,
            None => (byte == b'[').then_some(1), // no closing bracket: an ordinary character
        },
        b'\\' if pattern.len() > 1 => (pattern[1] == byte).then_some(2),
        literal => (literal == byte).then_some(1),
    }
}

/// Whether the bracket expression that `pattern` starts with holds `byte`, and its length.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let start = if negated { 2 } else { 1 };
    // A bracket right after the opening is a member.
    let end = start + 1 + pattern.get(start + 1..)?.iter().position(|b| *b == b']')?;
    let mut members = &pattern[start..end];
    let mut held = false;
    while let Some((&low, rest)) = members.split_first() {
        if let [b'-', high, after @ ..] = rest {
            held |= (low..=*high).contains(&byte);
            members = after;
        } else {
            held |= low == byte;
            members = rest;
        }
    }
    Some((held != negated, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("/etc/network/interfaces.d/*", "/etc/network/interfaces.d/sdn", true),
            ("/etc/network/interfaces.d/*", "/etc/network/interfaces.d/sdn.bak", true),
            ("/etc/network/interfaces.d/*", "/etc/network/interfaces.d/.hidden", false),
            ("/etc/network/interfaces.d/*", "/etc/network/interfaces.d/sub/x", false),
            ("/etc/network/./interfaces.d//*.cfg", "/etc/network/interfaces.d/a.cfg", true),
            ("/etc/network/x/../a", "/etc/network/a", true),
            ("/etc/network/*.d/[a-c]?", "/etc/network/interfaces.d/b1", true),
            ("/etc/network/*.d/[!a-c]?", "/etc/network/interfaces.d/b1", false),
            ("/a/[]x]", "/a/]", true),
            ("/a/[x", "/a/[x", true),
            ("/a/\\*", "/a/*", true),
            ("/a/\\*", "/a/b", false),
            ("/a/*b*c", "/a/xbybzc", true),
            ("/a/*b*c", "/a/xbybz", false),
            ("/a/?", "/a/", false),
        ] {
            let got = matches_path(pattern.as_bytes(), path.as_bytes());
            assert_eq!(got, expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn many_stars_stay_quick() {
        let pattern = format!("/{}b", "*a".repeat(200));
        assert!(!matches_path(pattern.as_bytes(), format!("/{}", "a".repeat(2000)).as_bytes()));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_a_plain_name_matches_itself(
            pattern in proptest::collection::vec(0u8.., 0..40), name in "[a-z0-9._-]{1,20}",
        ) {
            matches_path(&pattern, name.as_bytes());
            proptest::prop_assert!(matches_path(name.as_bytes(), name.as_bytes()));
            proptest::prop_assert!(name.starts_with('.') || matches_path(b"*", name.as_bytes()));
        }
    }
}
