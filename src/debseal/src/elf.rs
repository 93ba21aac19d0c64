//! Is this file fit to be a maintainer script of that package? Only the header is looked at.

use std::path::Path;

use host::{Error, Result};
use seal::trailer;

/// Debian architecture, ELF machine, 64 bits, little endian (elf(5), dpkg's cputable).
const MACHINES: [(&str, u16, bool, bool); 11] = [
    ("amd64", 62, true, true),
    ("arm64", 183, true, true),
    ("armel", 40, false, true),
    ("armhf", 40, false, true),
    ("i386", 3, false, true),
    ("loong64", 258, true, true),
    ("mips64el", 8, true, true),
    ("ppc64el", 21, true, true),
    ("riscv64", 243, true, true),
    ("s390x", 22, true, false),
    ("x32", 62, false, true),
];

/// A static ELF program for `architecture` without a trailer, or why it isn't.
pub(crate) fn check_hook(path: &Path, bytes: &[u8], architecture: &str) -> Result<()> {
    let wrong = |why: &str| Error::new(format!("{}: {why}", path.display()));
    let program = Program::parse(bytes).ok_or_else(|| wrong("this is no ELF program"))?;
    let machine = MACHINES.iter().find(|m| m.0 == architecture);
    let Some((_, machine, wide, little)) = machine else {
        return Err(wrong(&format!("no hook can be checked for architecture {architecture}")));
    };
    if (program.machine, program.wide, program.little) != (*machine, *wide, *little) {
        return Err(wrong(&format!("this program is not for architecture {architecture}")));
    }
    if program.interpreter {
        return Err(wrong("this program is linked dynamically")
            .way_out("build it static, with -C target-feature=+crt-static and an explicit --target"));
    }
    if program.entry == 0 {
        return Err(wrong("this is a library, not a program"));
    }
    if trailer::parse(bytes).map_err(|e| e.context(path.display()))?.is_some() {
        return Err(wrong("this program carries a policy already").way_out("seal with the hook as it was built"));
    }
    Ok(())
}

struct Program {
    wide: bool,
    little: bool,
    machine: u16,
    entry: u64,
    interpreter: bool,
}

impl Program {
    fn parse(bytes: &[u8]) -> Option<Self> {
        const PT_INTERP: u64 = 3;
        let ident = bytes.get(..16)?;
        let (wide, little) = match (ident[..4] == *b"\x7fELF", ident[4], ident[5]) {
            (true, class @ (1 | 2), order @ (1 | 2)) => (class == 2, order == 1),
            _ => return None,
        };
        let number = |at: usize, size: usize| -> Option<u64> {
            let field = bytes.get(at..at.checked_add(size)?)?;
            let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
            Some(match little {
                true => field.iter().rev().fold(0, add),
                false => field.iter().fold(0, add),
            })
        };
        // ET_EXEC, or ET_DYN for a static-pie.
        if ![2, 3].contains(&number(16, 2)?) {
            return None;
        }
        let (entry, table, entry_size, count) = match wide {
            true => (number(24, 8)?, number(32, 8)?, number(54, 2)?, number(56, 2)?),
            false => (number(24, 4)?, number(28, 4)?, number(42, 2)?, number(44, 2)?),
        };
        let mut interpreter = false;
        for i in 0..count {
            let at = usize::try_from(table.checked_add(i.checked_mul(entry_size)?)?).ok()?;
            bytes.get(at..at.checked_add(entry_size as usize)?)?;
            interpreter |= number(at, 4)? == PT_INTERP;
        }
        let machine = number(18, 2)? as u16;
        Some(Self { wide, little, machine, entry, interpreter })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header with one program header of the given type.
    fn elf(machine: u16, kind: u32, entry: u64) -> Vec<u8> {
        let mut bytes = vec![0; 64 + 56];
        bytes[..6].copy_from_slice(b"\x7fELF\x02\x01");
        bytes[16] = 3;
        bytes[18..20].copy_from_slice(&machine.to_le_bytes());
        bytes[24..32].copy_from_slice(&entry.to_le_bytes());
        bytes[32] = 64;
        bytes[54] = 56;
        bytes[56] = 1;
        bytes[64..68].copy_from_slice(&kind.to_le_bytes());
        bytes
    }

    #[test]
    fn what_a_hook_must_be() {
        let said = |bytes: &[u8], arch: &str| check_hook(Path::new("hook"), bytes, arch).unwrap_err().to_string();
        let good = elf(62, 1, 64);
        check_hook(Path::new("hook"), &good, "amd64").unwrap();
        assert!(said(&good, "arm64").contains("not for architecture arm64"));
        assert!(said(&good, "x32").contains("not for architecture x32"));
        assert!(said(&good, "hurd").contains("no hook can be checked"));
        assert!(said(&elf(62, 3, 64), "amd64").contains("linked dynamically"));
        assert!(said(&elf(62, 1, 0), "amd64").contains("a library"));
        assert!(said(&trailer::append(&good, b"", b""), "amd64").contains("policy already"));
        for no_program in [&b"#!/bin/sh\n"[..], b"", &good[..60], &good[..100]] {
            assert!(said(no_program, "amd64").contains("no ELF program"));
        }
    }
}
