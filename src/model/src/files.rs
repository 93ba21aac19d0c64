//! A node's network files as a set, and what they say together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::configuration::Configuration;
use crate::glob;
use crate::interfaces::{self, Kind, ParseError};

/// The file that everything starts from.
pub const MAIN: &str = "/etc/network/interfaces";

/// Files by absolute path: [`MAIN`], `interfaces.d/*` and whatever else `source` may name. What is
/// not in the set does not exist.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkFiles {
    files: BTreeMap<PathBuf, Vec<u8>>,
}

impl NetworkFiles {
    /// An empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a file.
    pub fn insert(&mut self, path: impl Into<PathBuf>, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path.into(), bytes.into());
    }

    /// Takes a file out of the set.
    pub fn remove(&mut self, path: impl AsRef<Path>) {
        self.files.remove(path.as_ref());
    }

    /// The bytes of a file.
    pub fn get(&self, path: impl AsRef<Path>) -> Option<&[u8]> {
        self.files.get(path.as_ref()).map(Vec::as_slice)
    }

    /// The paths of all files, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.keys().map(PathBuf::as_path)
    }

    /// Reads them, starting at [`MAIN`] and following `source` and `source-directory`.
    pub fn read(&self) -> Reading<'_> {
        reading(self)
    }

    /// The paths that match an absolute pattern, in the byte order ifupdown2 sorts them in.
    fn matching(&self, pattern: &[u8]) -> Vec<&Path> {
        let matches = |path: &&Path| glob::matches_path(pattern, path.as_os_str().as_bytes());
        self.files.keys().map(PathBuf::as_path).filter(matches).collect()
    }

    /// The files that `source-directory` takes from folders matching an absolute pattern.
    fn in_folders(&self, pattern: &[u8]) -> Vec<&Path> {
        let inside = [pattern, b"/*"].concat();
        let mut found = self.matching(&inside);
        found.retain(|path| path.file_name().is_some_and(|n| plain_name(n.as_bytes())));
        found
    }
}

impl<P: Into<PathBuf>, B: Into<Vec<u8>>> FromIterator<(P, B)> for NetworkFiles {
    fn from_iter<I: IntoIterator<Item = (P, B)>>(files: I) -> Self {
        let mut out = Self::new();
        files.into_iter().for_each(|(path, bytes)| out.insert(path, bytes));
        out
    }
}

/// interfaces(5): files read from a folder are named by letters, digits, `_` and `-` only.
fn plain_name(name: &[u8]) -> bool {
    name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// A file that does not parse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileError {
    /// The file.
    pub file: PathBuf,
    /// Where in it, and why.
    pub error: ParseError,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file.display(), self.error.line, self.error.what)
    }
}

impl std::error::Error for FileError {}

/// What the files say, starting at [`MAIN`] and following `source` and `source-directory`.
///
/// # Errors
/// The first file, in reading order, that does not parse. A missing [`MAIN`] is an empty
/// configuration, and a `source` of nothing in the set is fine, as it is for ifupdown.
pub fn configuration(files: &NetworkFiles) -> Result<Configuration<'_>, FileError> {
    let Reading { configuration, mut faults, .. } = files.read();
    if faults.is_empty() { Ok(configuration) } else { Err(faults.remove(0)) }
}

/// Every bridge that those files configure that do parse.
pub fn bridges(files: &NetworkFiles) -> BTreeSet<String> {
    files.read().configuration.bridges()
}

/// Files and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading<'a> {
    /// The files.
    pub files: &'a NetworkFiles,
    /// What those say that do parse.
    pub configuration: Configuration<'a>,
    /// Why the others don't, in reading order.
    pub faults: Vec<FileError>,
}

fn reading(files: &NetworkFiles) -> Reading<'_> {
    let mut configuration = Configuration::default();
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    let mut todo = vec![Path::new(MAIN)];
    while let Some(path) = todo.pop() {
        let Some((path, bytes)) = files.files.get_key_value(path) else { continue };
        // Each file once: two files may source each other.
        if !seen.insert(path) {
            continue;
        }
        let parsed = match interfaces::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                faults.push(FileError { file: path.clone(), error });
                continue;
            }
        };
        let mut sourced = Vec::new();
        for stanza in parsed.stanzas {
            match stanza.kind {
                Kind::Source(patterns) => {
                    sourced.extend(patterns.iter().flat_map(|p| files.matching(&absolute(path, p))));
                }
                Kind::SourceDirectory(patterns) => {
                    sourced.extend(patterns.iter().flat_map(|p| files.in_folders(&absolute(path, p))));
                }
                Kind::Iface(iface) => configuration.add(path, stanza.line, iface),
                Kind::Allow { class, names } => configuration.allow(&class, names),
                Kind::Mapping(_) | Kind::Unknown(_) => {}
            }
        }
        todo.extend(sourced.into_iter().rev());
    }
    Reading { files, configuration, faults }
}

/// Relative patterns start from the folder of the file they stand in, `/etc/network` for [`MAIN`].
fn absolute(file: &Path, pattern: &[u8]) -> Vec<u8> {
    if pattern.starts_with(b"/") {
        return pattern.to_vec();
    }
    let folder = file.parent().unwrap_or(Path::new("/"));
    [folder.as_os_str().as_bytes(), b"/", pattern].concat()
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
