//! A node's network files as a set, and what they say together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::configuration::Configuration;
use crate::glob;
use crate::interfaces::{self, Kind, ParseError, Stanza};

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
pub fn configuration(files: &NetworkFiles) -> Result<Configuration, FileError> {
    let (configuration, mut faults) = collect(files);
    if faults.is_empty() { Ok(configuration) } else { Err(faults.remove(0)) }
}

/// Every bridge that those files configure that do parse.
pub fn bridges(files: &NetworkFiles) -> BTreeSet<String> {
    collect(files).0.bridges()
}

/// What those files say that do parse, and the faults of those that don't.
pub(crate) fn collect(files: &NetworkFiles) -> (Configuration, Vec<FileError>) {
    let mut configuration = Configuration::default();
    let faults = walk(files, &mut |path, stanza| {
        if let Kind::Iface(iface) = stanza.kind {
            configuration.add(path, stanza.line, iface);
        }
    });
    (configuration, faults)
}

/// The stanzas of those files that do parse, file by file as `source` leads to them.
pub fn stanzas(files: &NetworkFiles) -> Vec<Stanza> {
    let mut out = Vec::new();
    walk(files, &mut |_, stanza| out.push(stanza));
    out
}

/// Visits every stanza; the faults of the files that don't parse.
fn walk(files: &NetworkFiles, visit: &mut dyn FnMut(&Path, Stanza)) -> Vec<FileError> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    let mut todo = vec![PathBuf::from(MAIN)];
    while let Some(path) = todo.pop() {
        let Some(bytes) = files.get(&path) else { continue };
        // Each file once: two files may source each other.
        if !seen.insert(path.clone()) {
            continue;
        }
        let parsed = match interfaces::parse(bytes) {
            Ok(parsed) => parsed,
            Err(error) => {
                faults.push(FileError { file: path, error });
                continue;
            }
        };
        let mut sourced = Vec::new();
        for stanza in parsed.stanzas {
            let sources = match &stanza.kind {
                Kind::Source(patterns) => patterns.iter().flat_map(|p| files.matching(&absolute(&path, p))).collect(),
                Kind::SourceDirectory(patterns) => {
                    patterns.iter().flat_map(|p| files.in_folders(&absolute(&path, p))).collect()
                }
                _ => Vec::new(),
            };
            sourced.extend(sources.into_iter().map(Path::to_owned));
            visit(&path, stanza);
        }
        todo.extend(sourced.into_iter().rev());
    }
    faults
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
