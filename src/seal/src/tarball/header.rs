//! One 512-byte header (tar(5)).

use host::Result;

use crate::refuse::refused;

pub(super) const BLOCK: usize = 512;

/// What follows a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    File,
    Hard,
    Link,
    Dir,
    /// GNU: the content is the next member's name.
    LongName,
    /// GNU: the content is the next member's link target.
    LongTarget,
}

/// The fields that matter, and nothing that is ambiguous.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) kind: Type,
    pub(super) name: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) size: u64,
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self> {
        let (gnu, old) = match &block[257..265] {
            b"ustar\x0000" => (false, false),
            b"ustar  \0" => (true, false),
            // As cargo-deb writes them. The fields that this form lacks must be empty, or another
            // reader might take them for what they are not.
            [0, 0, 0, 0, 0, 0, 0, 0] if block[257..].iter().all(|b| *b == 0) => (false, true),
            _ => return Err(refused("a header is neither ustar nor GNU nor plain old tar")),
        };
        let sum: u64 =
            block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u64::from(*b) }).sum();
        if number(&block[148..156]) != Some(sum) {
            return Err(refused("the checksum of a header is wrong"));
        }
        let mut name = text(&block[..100]).to_vec();
        if !gnu && !old {
            let prefix = text(&block[345..500]);
            if !prefix.is_empty() {
                name = [prefix, b"/", &name].concat();
            }
        }
        let shown = crate::escape::escape(&name);
        let field = |what: &str, from: usize, to: usize| {
            number(&block[from..to]).ok_or_else(|| refused(format!("the {what} of {shown} is no number")))
        };
        let kind = match block[156] {
            b'0' | 0 => Type::File,
            b'1' => Type::Hard,
            b'2' => Type::Link,
            b'5' => Type::Dir,
            b'L' if gnu => Type::LongName,
            b'K' if gnu => Type::LongTarget,
            b'3' | b'4' => return Err(refused(format!("{shown} is a device"))),
            b'6' => return Err(refused(format!("{shown} is a named pipe"))),
            b'x' | b'g' => return Err(refused("it holds pax headers, which dpkg can't read")),
            other => {
                let shown_type = crate::escape::escape(&[other]);
                return Err(refused(format!("{shown} is of unknown type '{shown_type}'")));
            }
        };
        let (uid, gid) = (id(field("owner", 108, 116)?), id(field("group", 116, 124)?));
        if !matches!(kind, Type::LongName | Type::LongTarget) {
            owner(&shown, uid, text(&block[265..297]))?;
            owner(&shown, gid, text(&block[297..329]))?;
        }
        Ok(Self {
            kind,
            target: text(&block[157..257]).to_vec(),
            mode: (field("mode", 100, 108)? & 0o7777) as u32,
            uid,
            gid,
            size: field("size", 124, 136)?,
            name,
        })
    }
}

/// dpkg resolves the *name* of an owner first and its number second, so both must say the same; and
/// the number must mean the same on every machine (Policy 9.2.2).
fn owner(path: &str, id: u32, name: &[u8]) -> Result<()> {
    let global = matches!(id, 0..=99 | 60_000..=64_999);
    if !global {
        return Err(refused(format!(
            "{path} belongs to id {id}, which differs from machine to machine; \
             build with dpkg-deb --root-owner-group"
        )));
    }
    let root = name == b"root";
    if !name.is_empty() && (id == 0) != root {
        let name = crate::escape::escape(name);
        return Err(refused(format!("{path} belongs to id {id} and to '{name}', which is not the same")));
    }
    Ok(())
}

fn id(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
    &field[..end]
}

/// Octal digits, padded by zeros or spaces in front and ended by NUL or space. GNU's binary form is
/// for sizes above 8 GiB and refused.
fn number(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let text = text.trim_start_matches(' ').trim_end_matches(['\0', ' ']);
    if text.is_empty() {
        return Some(0);
    }
    let octal = text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    octal.then(|| u64::from_str_radix(text, 8).ok()).flatten()
}
