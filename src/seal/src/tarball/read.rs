//! Walking an archive member by member, with only the present one's header in memory.

use std::collections::HashMap;
use std::io::Read;

use host::Result;

use super::header::{BLOCK, Header, Type};
use crate::compress::damaged;
use crate::manifest::{Entry, Kind, MAX_SIZE};
use crate::refuse::refused;

/// dpkg packages of the whole archive stay below this by a factor of ten.
const MAX_ENTRIES: usize = 1_000_000;
/// As PATH_MAX.
const MAX_NAME: u64 = 4096;
/// GNU tar fills its last record of 10 KiB; more than this behind the end is not padding.
/// How deep a path may lie: each folder above it is looked up.
const MAX_DEPTH: usize = 128;
const MAX_PADDING: u64 = 1 << 20;

/// Reads the archive to its very end. `content` is called for each directory, link and file, must
/// read a file's content, and returns its SHA-256.
pub(super) fn walk(
    source: &mut dyn Read,
    mut content: impl FnMut(&Entry, &mut dyn Read) -> Result<Option<String>>,
) -> Result<Vec<Entry>> {
    let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut entries: Vec<Entry> = Vec::new();
    let mut long_name = None;
    let mut long_target = None;
    let mut text = 0;
    while let Some(block) = next_block(source)? {
        let header = Header::parse(&block)?;
        match header.kind {
            Type::LongName => {
                long(&mut long_name, source, header.size)?;
                continue;
            }
            Type::LongTarget => {
                long(&mut long_target, source, header.size)?;
                continue;
            }
            _ => {}
        }
        let name = long_name.take().unwrap_or(header.name);
        let target = long_target.take().unwrap_or(header.target);
        let path = canonical(&name, header.kind)?;
        let shown = crate::escape::escape(&path);
        if entries.len() == MAX_ENTRIES {
            return Err(refused(format!("it has more than {MAX_ENTRIES} members")));
        }
        // A name costs nothing in a compressed archive, so it would be a bomb of its own.
        text += shown.len() + crate::escape::escape(&target).len();
        if text > MAX_SIZE {
            return Err(refused("its names are longer than a manifest can list"));
        }
        if seen.insert(path.clone(), entries.len()).is_some() {
            return Err(refused(format!("{shown} is there twice")));
        }
        parents(&path, &shown, &seen, &entries)?;
        if header.kind != Type::File && header.size != 0 {
            return Err(refused(format!("{shown} is no file but has content")));
        }
        let mut entry = Entry {
            path: shown.clone(),
            kind: Kind::File,
            mode: header.mode,
            owner: header.uid,
            group: header.gid,
            size: None,
            sha256: None,
            target: None,
        };
        match header.kind {
            Type::Dir => {
                entry.kind = Kind::Dir;
                content(&entry, &mut std::io::empty())?;
            }
            Type::Link => {
                check_target(&path, &shown, &target)?;
                entry.kind = Kind::Link;
                entry.target = Some(crate::escape::escape(&target));
                content(&entry, &mut std::io::empty())?;
            }
            Type::Hard => {
                let first = canonical(&target, Type::File)?;
                let first = seen.get(&first).and_then(|i| entries.get(*i));
                let first = first.filter(|e| e.kind == Kind::File && e.target.is_none());
                let first = first.ok_or_else(|| refused(format!("{shown} is a hard link to no earlier file")))?;
                if (first.mode, first.owner, first.group) != (entry.mode, entry.owner, entry.group) {
                    return Err(refused(format!("{shown} and {} are one file of two owners or modes", first.path)));
                }
                entry.target = Some(first.path.clone());
                entry.size = first.size;
                entry.sha256 = first.sha256.clone();
                content(&entry, &mut std::io::empty())?;
            }
            _ => {
                entry.size = Some(header.size);
                let mut limited = source.take(header.size);
                entry.sha256 = content(&entry, &mut limited)?;
                if limited.limit() != 0 {
                    return Err(refused(format!("it is cut off in {shown}")));
                }
                padding(source, header.size, &shown)?;
            }
        }
        entries.push(entry);
    }
    if long_name.is_some() || long_target.is_some() {
        return Err(refused("a long name belongs to no member"));
    }
    Ok(entries)
}

/// The next header; `None` at the end, which must be two zero blocks and zeros from there on.
fn next_block(source: &mut dyn Read) -> Result<Option<[u8; BLOCK]>> {
    let mut block = [0; BLOCK];
    source.read_exact(&mut block).map_err(|e| match e.kind() {
        std::io::ErrorKind::UnexpectedEof => refused("it is cut off: the end mark is missing"),
        _ => damaged(&e),
    })?;
    if block.iter().any(|b| *b != 0) {
        return Ok(Some(block));
    }
    let mut rest = 0u64;
    let mut buffer = [0; 4096];
    loop {
        let n = source.read(&mut buffer).map_err(|e| damaged(&e))?;
        if n == 0 {
            break;
        }
        if buffer[..n].iter().any(|b| *b != 0) {
            return Err(refused("there is data behind the end of the tar archive"));
        }
        rest += n as u64;
        if rest > MAX_PADDING {
            return Err(refused("there is more than 1 MiB of padding behind the end"));
        }
    }
    match rest >= BLOCK as u64 && rest.is_multiple_of(BLOCK as u64) {
        true => Ok(None),
        false => Err(refused("it is cut off: the end mark is incomplete")),
    }
}

/// The content of a GNU long-name member.
fn long(slot: &mut Option<Vec<u8>>, source: &mut dyn Read, size: u64) -> Result<()> {
    if slot.is_some() {
        return Err(refused("two long names stand before one member"));
    }
    if size == 0 || size > MAX_NAME + 1 {
        return Err(refused(format!("a name is {size} bytes long")));
    }
    let mut name = vec![0; size as usize];
    source.read_exact(&mut name).map_err(|e| damaged(&e))?;
    padding(source, size, "a long name")?;
    if name.pop() != Some(0) || name.contains(&0) {
        return Err(refused("a long name does not end as it must"));
    }
    *slot = Some(name);
    Ok(())
}

/// Content fills whole blocks, the rest being zero.
fn padding(source: &mut dyn Read, size: u64, shown: &str) -> Result<()> {
    let odd = (size % BLOCK as u64) as usize;
    if odd == 0 {
        return Ok(());
    }
    let mut rest = [0; BLOCK];
    let rest = &mut rest[odd..];
    source.read_exact(rest).map_err(|_| refused(format!("it is cut off in {shown}")))?;
    match rest.iter().all(|b| *b == 0) {
        true => Ok(()),
        false => Err(refused(format!("the padding behind {shown} is not zero"))),
    }
}

/// `./usr/bin/x` or `usr/bin/x` as `/usr/bin/x`; only directories may end in a slash.
fn canonical(name: &[u8], kind: Type) -> Result<Vec<u8>> {
    let shown = || crate::escape::escape(name);
    if name.is_empty() || name.len() as u64 > MAX_NAME {
        return Err(refused(format!("a member's name is {} bytes long", name.len())));
    }
    if name.starts_with(b"/") {
        return Err(refused(format!("{} is an absolute path", shown())));
    }
    let inside = name.strip_prefix(b"./").unwrap_or(name);
    let inside = match (kind, inside.strip_suffix(b"/")) {
        (Type::Dir, Some(bare)) => bare,
        (_, Some(_)) => return Err(refused(format!("{} ends in '/' but is no directory", shown()))),
        (_, None) => inside,
    };
    if kind == Type::Dir && (name == b"./" || name == b".") {
        return Ok(b"/".to_vec());
    }
    for part in inside.split(|b| *b == b'/') {
        match part {
            b".." => return Err(refused(format!("{} climbs out of the package", shown()))),
            b"" | b"." => return Err(refused(format!("{} is no canonical path", shown()))),
            _ => {}
        }
    }
    Ok([b"/", inside].concat())
}

/// A folder on the way that is a link or a file would lead the member elsewhere.
fn parents(path: &[u8], shown: &str, seen: &HashMap<Vec<u8>, usize>, entries: &[Entry]) -> Result<()> {
    let slashes = path.iter().enumerate().skip(1).filter(|(_, b)| **b == b'/');
    if slashes.clone().count() >= MAX_DEPTH {
        return Err(refused(format!("{shown} lies deeper than {MAX_DEPTH} folders")));
    }
    for (end, _) in slashes {
        let parent = seen.get(&path[..end]).and_then(|i| entries.get(*i));
        if let Some(parent) = parent.filter(|p| p.kind != Kind::Dir) {
            return Err(refused(format!("{shown} lies below {}, which is no directory", parent.path)));
        }
    }
    Ok(())
}

/// A relative link may not climb above the package's top folder, and none may be empty.
fn check_target(path: &[u8], shown: &str, target: &[u8]) -> Result<()> {
    if target.is_empty() || target.len() as u64 > MAX_NAME {
        return Err(refused(format!("the link {shown} points nowhere")));
    }
    let mut depth = match target.starts_with(b"/") {
        true => 0,
        false => path.iter().filter(|b| **b == b'/').count() as i64 - 1,
    };
    for part in target.split(|b| *b == b'/') {
        match part {
            b".." => depth -= 1,
            b"" | b"." => {}
            _ => depth += 1,
        }
        if depth < 0 {
            return Err(refused(format!("the link {shown} points out of the root")));
        }
    }
    Ok(())
}
