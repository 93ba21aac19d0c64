//! May these files replace those? The last question before a restore writes anything.

use std::collections::BTreeSet;
use std::fmt;

use crate::configuration::{Address, Origin};
use crate::files::{FileError, Reading};

/// Why a set of files must not be put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// A file of the result does not parse.
    Unparsable(FileError),
    /// The result configures no interface at all; the files as they are do.
    Empty,
    /// The address the node is managed by, as configured now, would be gone.
    ManagementAddress(Address),
    /// The result gives the node no address; the files as they are do.
    Unaddressed,
    /// Bridges that guests are plugged into would be gone; never empty.
    Bridges(Vec<Lost>),
}

/// Something that would be lost, and where it is configured now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Its name.
    pub name: String,
    /// The file and line.
    pub origin: Origin,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unparsable(error) => write!(f, "the result would not parse: {error}"),
            Self::Empty => write!(f, "the result would configure no network interface at all"),
            Self::Unaddressed => write!(f, "the result would leave the node without any address"),
            Self::ManagementAddress(Address { ip, prefix, interface, origin }) => write!(
                f,
                "the result would lose the node's management address {ip}/{prefix} \
                 ({interface}, {origin})"
            ),
            Self::Bridges(lost) => {
                let (word, that) = if lost.len() == 1 { ("bridge", "is") } else { ("bridges", "are") };
                write!(f, "the result would lose the {word} ")?;
                for (i, Lost { name, origin }) in lost.iter().enumerate() {
                    write!(f, "{}{name} ({origin})", if i == 0 { "" } else { ", " })?;
                }
                write!(f, " that {that} named in guest configurations")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for host::Error {
    fn from(refusal: Refusal) -> Self {
        Self::of(host::Kind::Refused, refusal.to_string())
    }
}

/// Whether `after` may replace `before` without cutting off the node or a guest.
///
/// Only what `before` has can be lost, so where `before` is damaged nothing but *parses* is asked
/// of `after`. A file that does not parse counts as saying nothing; it stands in the way only if
/// the replacement would bring it: an admin's broken file that stays as it is must not bar the
/// way back for the others.
///
/// `hosts_file` is `/etc/hosts`, `guest_bridges` the union of
/// [`bridges_of`](crate::guests::bridges_of) over the node's guests.
///
/// # Errors
/// The first reason found, in the order of [`Refusal`].
pub fn check(
    before: &Reading<'_>,
    after: &Reading<'_>,
    hosts_file: &[u8],
    node_name: &str,
    guest_bridges: &BTreeSet<String>,
) -> Result<(), Refusal> {
    let (now, then) = (&before.configuration, &after.configuration);
    let brought = |fault: &&FileError| before.files.get(&fault.file) != after.files.get(&fault.file);
    if let Some(fault) = after.faults.iter().find(brought) {
        return Err(Refusal::Unparsable(fault.clone()));
    }
    if then.is_empty() && !now.is_empty() {
        return Err(Refusal::Empty);
    }
    if let Some(address) = now.management(hosts_file, node_name)
        && !then.has(address.ip)
    {
        return Err(Refusal::ManagementAddress(address));
    }
    if now.is_addressed() && !then.is_addressed() {
        return Err(Refusal::Unaddressed);
    }
    let lost: Vec<Lost> = guest_bridges
        .iter()
        .filter(|name| now.has_bridge(name) && !then.has_bridge(name))
        .filter_map(|name| Some(Lost { name: name.clone(), origin: now.origin(name)? }))
        .collect();
    if lost.is_empty() { Ok(()) } else { Err(Refusal::Bridges(lost)) }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
